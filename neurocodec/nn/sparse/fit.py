"""Fit sparse modes: the one entry to every encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neurocodec.nn.sparse.autoencoder.model import Autoencoder
from neurocodec.nn.sparse.autoencoder.training import AutoencoderTraining
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.inference.model import InferenceModel
from neurocodec.nn.sparse.inference.training import InferenceTraining
from neurocodec.nn.sparse.loop import Checkpoint, Fit, Training, run
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.source import Source
from neurocodec.nn.sparse.threads import threads_for


def fit(
    source: Source,
    held: Source,
    configs: Sequence[SparseConfig],
    *,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
) -> list[Fit]:
    """Fit one model, or several side by side.

    Parameters
    ----------
    source
        Training rows, scaled, on the device to fit on.
    held
        Rows that are only scored; may be empty.
    configs
        One per fit of the source; they differ at most in seed, threshold, penalties and learning
        rate.
    checkpoint
        Where the state is written while the fit goes on, and read when it is there.
    progress
        Whether to show a progress bar.

    Returns
    -------
    list of Fit
        The same for the same rows, settings and device; global random state is not used.

    Examples
    --------
    >>> from neurocodec.nn.sparse.source import Resident
    >>> rows = torch.rand(1, 64, 3, generator=torch.Generator().manual_seed(0))
    >>> config = SparseConfig(expansion=2, epochs=2)
    >>> found = fit(Resident(rows[:, :48]), Resident(rows[:, 48:]), [config], progress=False)
    >>> len(found[0].history), tuple(found[0].model.dictionary.shape)
    (2, (6, 3))
    """
    first = configs[0]
    with threads_for(source.channels * first.modes(source.channels)):
        training = _training(source, held, configs)
        found = run(
            training,
            source.fits,
            first.epochs,
            first.patience,
            checkpoint=checkpoint,
            progress=progress,
        )
    for one in found:
        one.model.eval().requires_grad_(requires_grad=False)
    return found


def build(channels: int, config: SparseConfig) -> SparseModel:
    """Make a model without content, for `load_state_dict`.

    Parameters
    ----------
    channels
        Length of a row.
    config
        The settings it was fitted with.

    Examples
    --------
    >>> tuple(build(3, SparseConfig(expansion=2)).dictionary.shape)
    (6, 3)
    """
    if config.encoder == "inference":
        return InferenceModel(channels, config)
    return Autoencoder(channels, config, torch.Generator())


def _training(source: Source, held: Source, configs: Sequence[SparseConfig]) -> Training:
    if configs[0].encoder == "inference":
        return InferenceTraining(source, held, configs)
    return AutoencoderTraining(source, held, configs)
