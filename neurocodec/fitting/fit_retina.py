"""`nc.fit_retina`: a ganglion-cell CNN and an LN model, fitted to a recording and judged."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast, get_args

import numpy as np
import torch
import xarray as xr

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.arguments import one_of, whole_or_none
from neurocodec.errors import InputError
from neurocodec.fitting.data import FittingData, default_history, fitting_data
from neurocodec.fitting.results import RetinaFit, save_fit, score_cells, together
from neurocodec.fitting.segments import Segments
from neurocodec.fitting.trials import Given, given
from neurocodec.network import Network
from neurocodec.nn.device import device_named
from neurocodec.nn.retina.linear_nonlinear import LinearNonlinear, fit_linear_nonlinear
from neurocodec.nn.retina.model import Readout, RetinaCNN, RetinaConfig
from neurocodec.nn.retina.spike_history import SpikeHistory, fit_spike_history
from neurocodec.nn.retina.spikes import predict
from neurocodec.nn.retina.training import Blocks, History, TrainingConfig, train_retina
from neurocodec.storage.claims import claimed
from neurocodec.storage.files import PathLike, existing_folder
from neurocodec.zoo import retina_network

logger = logging.getLogger(__name__)

CHECKPOINT: Final = "checkpoint.safetensors"
VALIDATION: Final = 5
"""Every so many-th block is held out for early stopping."""
CHUNK: Final = 64
READOUT_KERNEL: Final = 11
L2: Final[dict[str, float]] = {"gaussian": 1e-5}
OTHER_L2: Final = 1e-3


def fit_retina(
    recording: xr.DataTree | xr.Dataset,
    *,
    cells: str | Iterable[str] | None = None,
    channels: tuple[int, int] = (4, 4),
    kernels: tuple[int, int] | None = None,
    readout: Readout = "gaussian",
    history: int | None = None,
    segments: Segments = "matching",
    smoothing: float = 0.01,
    temporal_basis: int = 10,
    epochs: int = 30,
    learning_rate: float = 1e-2,
    l2: float | None = None,
    noise: float = 0.0,
    seed: int = 0,
    seeds: int = 1,
    device: str | None = None,
    out: PathLike | None = None,
    name: str = "fitted-retina",
    glm: bool = True,
    progress: bool = True,
) -> RetinaFit:
    """Fit the ganglion-cell CNN, and an LN model beside it, to a recording.

    The defaults are for short recordings: few channels, first filters that are separable in space
    and time and smooth in time, a Gaussian readout that starts at the peak of each cell's
    spike-triggered average, and early stopping on every fifth block of the training part. The LN
    model is that of `neurocodec.nn.retina.linear_nonlinear.fit_linear_nonlinear`, with its filters
    chosen by cross-validation over the same blocks. The responses of the test part are used for
    the scores alone; its stimulus also says which segments are fitted to, unless
    ``segments="all"`` or their numbers are given.

    Parameters
    ----------
    recording
        As `nc.read_recording` returns it: a part `train` and, where there is one, a part `test`
        with repeats; without it, the last fifth of every segment is the test part.
    cells
        Names; "reliable" for those of which the recording says so; all where None. Cells whose
        response never changes are left out, with a warning.
    channels
        Channels of the two hidden layers.
    kernels
        Sides of their kernels; None takes (3, 3) for frames of up to 32 pixels and rises with
        their smaller side to (15, 11) at 50 pixels and beyond.
    readout
        "gaussian", "factorised", "dense" or "convolutional"; see
        `neurocodec.nn.retina.model.RetinaConfig`.
    history
        Frames in a window. None takes 0.4 s; of movies below 25 frames per second ten frames, as
        far as these span no more than 1.2 s. The result says which (`fit.network.history`).
    segments
        Numbers of the segments of the training part to fit to; "all"; or "matching", those whose
        stimulus is like that of the test part in contrast, and in its correlation between
        neighbouring pixels and frames: a feed-forward model does not adapt, so it is fitted to
        the kind of stimulus that it is to predict. Where none is alike, and where there is no
        test part, all are used. A segment ends where the times jump.
    smoothing
        Standard deviation in seconds of the Gaussian with which spike counts are smoothed; firing
        rates are taken as they are.
    temporal_basis
        Smooth functions of which the first filters' time courses are made; 0 learns every frame
        and pixel on its own, for long recordings.
    l2
        Weight decay; None takes 1e-5 for the Gaussian readout and 1e-3 for the others, which have
        a number to learn for every position.
    epochs, learning_rate, seed
        See `neurocodec.nn.retina.training.TrainingConfig`.
    noise
        Standard deviation of the noise before each rectification, in training.
    seeds
        Networks to fit, with `seed` and those after it, to the same data and beside one LN model:
        how much of a figure is the luck of one start. They take that many times as long.
    device
        "cpu", "cuda", ...
    out
        A folder for `weights.safetensors`, which `nc.load_model` reads, and `fit.nc`, which
        `nc.open` reads; networks of further seeds stand in folders `seed-1`, ... A run that was
        interrupted goes on from its checkpoints there.
    name
        Of the network.
    glm
        Fit a generalised linear model beside them too: the LN model, times what a cell's own last
        spikes do. It needs spike counts of single trials (whole numbers); where the recording has
        none, the log and `scores.attrs["glm"]` say so.
    progress
        Show a progress bar.

    Returns
    -------
    RetinaFit
        Network, LN model, scores by cell and history; of several seeds, the scores of each and
        their mean and spread.

    Raises
    ------
    InputError
        Where the recording lacks something, is too short or constant, or settings do not fit.
    StorageError
        Where `out` holds the checkpoint of another run, or cannot be written.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> movie = rng.standard_normal((600, 6, 6)).astype("float32")
    >>> rates = 30 * np.maximum(movie[:, 2, 2:4], 0)
    >>> recording = xr.Dataset(
    ...     {"stimulus": (("time", "y", "x"), movie), "firing_rate": (("time", "cell"), rates)},
    ...     {"time": np.arange(600) / 100, "cell": ["a", "b"]},
    ... )
    >>> fit = fit_retina(recording, history=4, epochs=2, progress=False)
    >>> fit.scores.correlation.sizes["cell"], fit.network.outputs
    (2, ('a', 'b'))
    """
    glm = arguments.flag("glm", glm, hint="glm=False")
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    seeds = arguments.whole("seeds", seeds, hint="seeds=3")
    one_of("readout", readout, get_args(Readout))
    history = whole_or_none("history", history, hint="history=40")
    channels = _pair("channels", channels, "channels=(4, 4)")
    kernels = None if kernels is None else _pair("kernels", kernels, "kernels=(15, 11)")
    place = None if device is None else device_named(device)
    training = TrainingConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        temporal_basis=temporal_basis,
        balance=True,
        l2=L2.get(readout, OTHER_L2) if l2 is None else l2,
        seed=seed,
    )
    data = fitting_data(
        recording, cells=cells, segments=segments, history=history, smoothing=smoothing
    )
    folder = None if out is None else existing_folder(Path(out))
    history = history or _told_history(data.frame_rate)
    linear = fit_linear_nonlinear(data.frames, data.rates, data.blocks, history=history)
    model = RetinaConfig(
        cells=len(data.cells),
        history=history,
        size=linear.filters.shape[2:],
        channels=channels,
        kernels=kernels or default_kernels(min(linear.filters.shape[2:])),
        batch_norm="channel",
        readout=readout,
        centers=tuple((float(row), float(column)) for row, column in linear.centers),
        gain=_gain(data),
        noise=noise,
        stimulus_mean=linear.mean,
        stimulus_deviation=linear.deviation,
    )
    spiking = _glm(data, linear) if glm else None
    fits = []
    for one in range(seed, seed + seeds):
        config = dataclasses.replace(training, seed=one)
        checkpoint = folder and folder / _checkpoint(one, seed)
        told: dict[str, Any] = {"name": name, "place": place, "progress": progress}
        fits.append(_fit(data, linear, spiking, model, config, checkpoint=checkpoint, **told))
    fit = together(fits, range(seed, seed + seeds))
    return fit if folder is None else _finished(fit, folder)


@dataclasses.dataclass(frozen=True)
class _Glm:
    """The GLMs and what they predict, or why there are none."""

    said: str
    model: SpikeHistory | None = None
    given: Given | None = None


def _glm(data: FittingData, linear: LinearNonlinear) -> _Glm:
    """Fit the GLMs, or tell the log why there are none."""
    why = data.trials
    if linear.filters.shape[1] < 2:
        why = "a history of one frame has no spikes before its answer"
    if isinstance(why, str):
        logger.info("no GLM: %s", why)
        return _Glm(f"none: {why}")
    blocks, width = data.blocks, why.bin_width
    model = fit_spike_history(linear, why.counts, blocks, bin_width=width)
    said = f"own spikes of the last {model.history.shape[1] * width:.2g} s"
    return _Glm(said, model, given(model, why, data.test_frames, data.stretches))


def _told_history(frame_rate: float) -> int:
    """The default, and a line in the log that says which it is."""
    history = default_history(frame_rate)
    said = "windows of %d frames, %.2g s at %g frames per second: history=%d"
    logger.info(said, history, history / frame_rate, frame_rate, history)
    return history


def _pair(name: str, value: Any, hint: str) -> tuple[int, int]:
    """Take two whole numbers, one of each hidden layer, before anything is fitted."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputError(came=f"{name}={value!r}", expected="two whole numbers", hint=hint)
    first, second = (arguments.whole(name, one, hint=hint) for one in value)
    return first, second


def _fit(
    data: FittingData,
    linear: LinearNonlinear,
    spiking: _Glm | None,
    model: RetinaConfig,
    config: TrainingConfig,
    *,
    name: str,
    place: torch.device | None,
    checkpoint: Path | None,
    progress: bool,
) -> RetinaFit:
    """Fit and judge the network of one seed."""
    module = RetinaCNN(_fitting_kernel(model), seed=config.seed)
    module = cast("RetinaCNN", _network(module, data, name).on(place).module)
    losses = _train(module, data, config, checkpoint, progress=progress)
    network = _network(module.cpu().eval(), data, name)
    reached = data.predicted(lambda frames: predict(module, torch.from_numpy(frames)).numpy())
    judged = data.predicted(linear.predict)
    given_spikes = spiking.given if spiking else None
    scores = score_cells(data, reached, judged, model.history, given_spikes)
    scores.attrs |= {"glm": spiking.said} if spiking else {}
    facts = {"model": model.to_dict(), "training": config, "segments": data.segments}
    scores = labels.stamp(scores, "nc.fit_retina", weights=network.weights_sha256, **facts)
    glm = spiking.model if spiking else None
    return RetinaFit(network, linear, scores, losses, spike_history=glm)


def _checkpoint(seed: int, first: int) -> str:
    """Name of the checkpoint of a seed."""
    return CHECKPOINT if seed == first else f"checkpoint-{seed}.safetensors"


def _fitting_kernel(model: RetinaConfig) -> RetinaConfig:
    """Make the convolutional readout's kernel no larger than the maps."""
    return dataclasses.replace(
        model, readout_kernel=max(1, min(READOUT_KERNEL, *model.feature_size))
    )


def _train(
    module: RetinaCNN,
    data: FittingData,
    config: TrainingConfig,
    checkpoint: Path | None,
    *,
    progress: bool,
) -> History:
    blocks = split_blocks(data.blocks, data.borders)
    with claimed(checkpoint and checkpoint.parent):
        return train_retina(
            module,
            torch.from_numpy(data.frames),
            torch.from_numpy(data.rates / np.float32(data.frame_rate)),
            dataclasses.replace(config, chunk=_chunk(blocks, module.config.history)),
            bin_width=1 / data.frame_rate,
            blocks=blocks,
            checkpoint=checkpoint,
            progress=progress,
        )


def _finished(fit: RetinaFit, folder: Path) -> RetinaFit:
    saved = save_fit(fit, folder)
    for seed in fit.seeds:
        (folder / _checkpoint(seed, fit.seeds[0])).unlink(missing_ok=True)
    return saved


def default_kernels(side: int) -> tuple[int, int]:
    """Sides of the kernels of the two layers, by the smaller side of a frame in pixels."""
    # Odd numbers between (3, 3), up to 32 pixels, and (15, 11), from 50 pixels.
    if side < 5:
        return 1, 1
    share = min(max((side - 32) / 18, 0), 1)
    return 3 + 2 * round(6 * share), 3 + 2 * round(4 * share)


def split_blocks(blocks: Iterable[tuple[int, int]], borders: Iterable[int] = ()) -> Blocks:
    """Hold out every fifth block, or else the last one; join neighbours of one stretch."""
    parts = list(blocks)
    held_out = parts[VALIDATION - 1 :: VALIDATION] or parts[-1:]
    joined: list[tuple[int, int]] = []
    for start, stop in (part for part in parts if part not in held_out):
        if joined and joined[-1][1] == start and start not in borders:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return Blocks(tuple(joined), tuple(held_out))


def _chunk(blocks: Blocks, history: int) -> int:
    shortest = min(stop - start for start, stop in blocks.training)
    return max(1, min(CHUNK, (shortest - history) // 2))


def _gain(data: FittingData) -> tuple[float, ...]:
    inside = np.concatenate([np.arange(a, b) for a, b in data.blocks])
    return tuple(float(x) for x in data.rates[inside].std(axis=0))


def _network(module: RetinaCNN, data: FittingData, name: str) -> Network:
    coords = {k: x for k, x in data.coords.items() if k != v.CELL}
    return retina_network(
        module, name=name, outputs=data.cells, frame_rate=data.frame_rate, output_coords=coords
    )
