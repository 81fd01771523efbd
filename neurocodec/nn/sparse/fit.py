"""Fit sparse modes: the one entry to every encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neurocodec.nn.settings import usual
from neurocodec.nn.sparse.autoencoder.model import Autoencoder
from neurocodec.nn.sparse.autoencoder.training import AutoencoderTraining
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.inference.model import InferenceModel
from neurocodec.nn.sparse.inference.training import InferenceTraining
from neurocodec.nn.sparse.loop import Checkpoint, Fit, Training, run
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.schedule import passes
from neurocodec.nn.sparse.source import Source
from neurocodec.nn.sparse.threads import threads_for


def fit(
    source: Source,  # training rows, scaled, on the device to fit on
    held: Source,  # rows that are only scored; may be empty
    configs: Sequence[SparseConfig],  # differ at most in seed, threshold, penalties, learning rate
    *,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
) -> list[Fit]:
    """Fit models side by side: the same for the same rows, settings and device."""
    first = configs[0]
    threads = threads_for(source.channels * first.modes(source.channels))
    with usual(source.device), torch.enable_grad(), threads:
        training = _training(source, held, configs)
        found = run(
            training,
            source.fits,
            passes(first, source),
            first.patience,
            checkpoint=checkpoint,
            progress=progress,
        )
    for one in found:
        one.model.eval().requires_grad_(requires_grad=False)
    return found


def build(channels: int, config: SparseConfig) -> SparseModel:
    """Make a model without content, for `load_state_dict`."""
    if config.encoder == "inference":
        return InferenceModel(channels, config)
    return Autoencoder(channels, config, torch.Generator("cpu"))


def _training(source: Source, held: Source, configs: Sequence[SparseConfig]) -> Training:
    if configs[0].encoder == "inference":
        return InferenceTraining(source, held, configs)
    return AutoencoderTraining(source, held, configs)
