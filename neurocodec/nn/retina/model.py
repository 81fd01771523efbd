"""The three-layer ganglion-cell CNN: two convolutions and a readout of one unit per cell."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from neurocodec.errors import InputError
from neurocodec.nn.fast.movie import convolve_movie
from neurocodec.nn.retina.readouts import (
    Exponential,
    FactorisedReadout,
    Gain,
    GaussianReadout,
    LocalReadout,
)
from neurocodec.nn.standardisation import Standardisation

__all__ = [
    "EPSILON",
    "LAYERS",
    "Exponential",
    "Gain",
    "GaussianNoise",
    "LocalReadout",
    "RetinaCNN",
    "RetinaConfig",
    "respond_to_movie",
]

BatchNorm = Literal["unit", "channel", "none"]
Readout = Literal["dense", "convolutional", "factorised", "gaussian"]
Nonlinearity = Literal["softplus", "exponential"]

EPSILON = 1e-3
"""Added to the variance by every batch norm, as in torch-deep-retina."""

LAYERS = {"layer1": "layer1.convolution", "layer2": "layer2.convolution"}
"""The hidden layers by alias: the convolutions, before batch norm and rectification."""


@dataclass(frozen=True)
class RetinaConfig:
    """Architecture of a `RetinaCNN`.

    Parameters
    ----------
    cells
        Ganglion cells, that is outputs.
    history
        Frames per window.
    size
        Height and width of a frame in pixels.
    channels
        Channels of the two hidden layers: model cell types.
    kernels
        Side of the square kernels of the two convolutions in pixels.
    batch_norm
        "unit" normalises every unit of a feature map on its own, "channel" each channel.
    readout
        "dense" reads every unit of the second layer; "convolutional" is a third convolution of
        which one unit per cell, the one nearest to its centre, is computed; "factorised" and
        "gaussian" are `neurocodec.nn.retina.readouts.FactorisedReadout` and `GaussianReadout`.
    centers
        Centre (row, column) of every cell in pixels, for the convolutional readout, and where
        the Gaussian one starts (the middle of the frame where None). The maps of the factorised
        one start as the same Gaussian windows (at random where None).
    readout_kernel
        Side of the readout's kernel in pixels.
    nonlinearity
        Of the output.
    gain
        Firing rate in Hz per unit of the nonlinearity, one for all cells or one per cell. At the
        scale of the peak rates the weights before it stay near 1, which is what optimisers and
        batch norms are made for.
    noise
        Standard deviation of the Gaussian noise added in training before each rectification.
    readout_width
        Standard deviation in pixels at which the Gaussian windows of these two start.
    stimulus_mean, stimulus_deviation
        The network itself subtracts the one and divides by the other, so that it takes frames in
        the units of the recording; 0 and 1 where the frames are in units of contrast.

    Examples
    --------
    >>> RetinaConfig(cells=5).feature_size
    (26, 26)
    """

    cells: int
    history: int = 40
    size: tuple[int, int] = (50, 50)
    channels: tuple[int, int] = (8, 8)
    kernels: tuple[int, int] = (15, 11)
    batch_norm: BatchNorm = "unit"
    readout: Readout = "dense"
    centers: tuple[tuple[float, float], ...] | None = None
    readout_kernel: int = 11
    nonlinearity: Nonlinearity = "softplus"
    gain: float | tuple[float, ...] = 1.0
    noise: float = 0.05
    readout_width: float = 1.0
    stimulus_mean: float = 0.0
    stimulus_deviation: float = 1.0

    @property
    def feature_size(self) -> tuple[int, int]:
        """Height and width of the second layer's feature maps."""
        height, width = (n - sum(self.kernels) + len(self.kernels) for n in self.size)
        return height, width

    def to_dict(self) -> dict[str, object]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> RetinaConfig:
        """Read what `to_dict` and JSON made: lists become tuples again."""
        return cls(**{k: _tuples(v) for k, v in values.items()})  # type: ignore[arg-type]


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


class GaussianNoise(nn.Module):
    """Add Gaussian noise in training; the identity in evaluation.

    Parameters
    ----------
    sigma
        Standard deviation.

    Examples
    --------
    >>> GaussianNoise(0.1).eval()(torch.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with noise from `generator`, or from torch's own where that is None."""
        if not self.training or self.sigma == 0:
            return x
        noise = torch.empty_like(x).normal_(0, self.sigma, generator=self.generator)
        return x + noise


class RetinaCNN(nn.Module):
    """Model of the ganglion cells of a retina (Maheswaranathan et al. 2023; CODEC sec. 3).

    Convolution, batch norm, noise, rectification; the same again; readout, batch norm and a
    nonnegative nonlinearity. Input (sample, history, height, width) in units of contrast, the
    oldest frame first; output (sample, cell): firing rate in Hz.

    Parameters
    ----------
    config
        The architecture.
    seed
        Of the initial weights; torch's own random state is left as it was.

    Raises
    ------
    InputError
        Where the kernels do not fit into the frame or the centres do not match the cells.

    Examples
    --------
    >>> module = RetinaCNN(RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3)))
    >>> module(torch.zeros(4, 3, 9, 9)).shape
    torch.Size([4, 2])
    """

    def __init__(self, config: RetinaConfig, seed: int = 0) -> None:
        super().__init__()
        _check(config)
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.layer1 = _hidden_layer(config, 0)
            self.layer2 = _hidden_layer(config, 1)
            self.readout = _readout(config)
        if (config.stimulus_mean, config.stimulus_deviation) != (0.0, 1.0):
            self.standardisation = Standardisation(config.stimulus_mean, config.stimulus_deviation)

    @property
    def first_convolution(self) -> nn.Conv2d:
        """The only layer that sees the movie, and most of the work."""
        return cast("nn.Conv2d", self.layer1.convolution)

    def forward(self, x: Tensor) -> Tensor:
        """Return the firing rates (sample, cell) of windows (sample, history, height, width)."""
        rates: Tensor = self.readout(self.layer2(self.layer1(self.standardised(x))))
        return rates

    def standardised(self, x: Tensor) -> Tensor:
        """Return frames, or windows of them, in the units that the first convolution sees."""
        frames: Tensor = self.standardisation(x) if hasattr(self, "standardisation") else x
        return frames

    def from_first_convolution(self, x: Tensor) -> Tensor:
        """Return the firing rates from the first convolution's output, whoever computed it."""
        for part in list(self.layer1)[1:]:
            x = part(x)
        rates: Tensor = self.readout(self.layer2(x))
        return rates


def respond_to_movie(module: RetinaCNN, frames: Tensor) -> Tensor:
    """Firing rates for every window of a movie: `module(windows(frames, history))`, faster.

    The first convolution is done by `convolve_movie`; for a long movie, call it on pieces.

    Parameters
    ----------
    module
        In evaluation, results do not depend on how a movie is cut into pieces.
    frames
        Movie (time, y, x) in units of contrast.

    Returns
    -------
    torch.Tensor
        Shape (time - history + 1, cell) in Hz.

    Examples
    --------
    >>> config = RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3))
    >>> respond_to_movie(RetinaCNN(config).eval(), torch.zeros(8, 9, 9)).shape
    torch.Size([6, 2])
    """
    first = module.first_convolution
    frames = module.standardised(frames)
    return module.from_first_convolution(convolve_movie(frames, first.weight, first.bias))


def _check(config: RetinaConfig) -> None:
    numbers = (config.cells, config.history, *config.channels, *config.kernels)
    pairs = all(len(x) == 2 for x in (config.size, config.channels, config.kernels))
    if not pairs or min(numbers) < 1 or not config.noise >= 0 or not config.readout_width > 0:
        raise InputError(
            came=f"{config.cells} cells, history={config.history}, channels={config.channels},"
            f" kernels={config.kernels}, noise={config.noise},"
            f" readout_width={config.readout_width}",
            expected="two channels and two kernels, all of these numbers at least 1, noise at"
            " least 0 and a width above 0",
            hint="RetinaConfig(cells=5, channels=(8, 8), kernels=(15, 11))",
        )
    inner = min(config.feature_size)
    needed = config.readout_kernel if config.readout == "convolutional" else 1
    if inner < needed:
        raise InputError(
            came=f"frames of {config.size} pixels, which leave {inner} after the two convolutions",
            expected=f"at least {needed} pixels for the {config.readout} readout",
            hint="larger frames (size=...) or smaller kernels (kernels=..., readout_kernel=...)",
        )
    centred = config.readout == "convolutional" or (
        config.readout in ("gaussian", "factorised") and config.centers is not None
    )
    if centred and len(config.centers or ()) != config.cells:
        raise InputError(
            came=f"{len(config.centers or ())} centres for {config.cells} cells",
            expected=f"the centre (row, column) of every cell, for the {config.readout} readout",
            hint=f"RetinaConfig(cells=2, readout={config.readout!r}, centers=((20, 24), (25, 30)))",
        )


def _hidden_layer(config: RetinaConfig, index: int) -> nn.Sequential:
    before = (config.history, *config.channels)[index]
    channels, kernel = config.channels[index], config.kernels[index]
    lost = sum(config.kernels[: index + 1]) - index - 1
    height, width = (n - lost for n in config.size)
    parts = OrderedDict[str, nn.Module](convolution=nn.Conv2d(before, channels, kernel))
    if config.batch_norm == "unit":
        parts["flatten"] = nn.Flatten()
        parts["normalisation"] = nn.BatchNorm1d(channels * height * width, eps=EPSILON)
        parts["unflatten"] = nn.Unflatten(1, (channels, height, width))
    elif config.batch_norm == "channel":
        parts["normalisation"] = nn.BatchNorm2d(channels, eps=EPSILON)
    parts["noise"] = GaussianNoise(config.noise)
    parts["rectification"] = nn.ReLU()
    return nn.Sequential(parts)


def _readout(config: RetinaConfig) -> nn.Sequential:
    channels = config.channels[1]
    parts = OrderedDict[str, nn.Module]()
    if config.readout == "dense":
        height, width = config.feature_size
        parts["flatten"] = nn.Flatten()
        parts["linear"] = nn.Linear(channels * height * width, config.cells)
    elif config.readout == "factorised":
        linear = FactorisedReadout(config.cells, channels, config.feature_size)
        if config.centers is not None:
            window = GaussianReadout(
                _places(config), 1, config.feature_size, config.readout_width
            ).window()
            linear.map.data.copy_(window.detach())
        parts["linear"] = linear
    elif config.readout == "gaussian":
        places = _places(config)
        size, spread = config.feature_size, config.readout_width
        parts["linear"] = GaussianReadout(places, channels, size, spread)
    else:
        parts["linear"] = LocalReadout(channels, config.readout_kernel, _corners(config))
    parts["normalisation"] = nn.BatchNorm1d(config.cells, eps=EPSILON)
    softplus = config.nonlinearity == "softplus"
    parts["nonlinearity"] = nn.Softplus() if softplus else Exponential()
    parts["gain"] = Gain(config.gain)
    return nn.Sequential(parts)


def _places(config: RetinaConfig) -> list[tuple[float, float]]:
    """Centre of each cell in the feature map."""
    half = (sum(config.kernels) - len(config.kernels)) / 2
    middle = ((config.size[0] - 1) / 2, (config.size[1] - 1) / 2)
    return [
        (row - half, column - half) for row, column in config.centers or [middle] * config.cells
    ]


def _corners(config: RetinaConfig) -> list[tuple[int, int]]:
    """Corner of each cell's kernel, so that the middle of what it sees is at its centre."""
    half = (sum(config.kernels) - len(config.kernels) + config.readout_kernel - 1) // 2
    last = [n - config.readout_kernel for n in config.feature_size]
    return [
        (min(max(0, round(row) - half), last[0]), min(max(0, round(column) - half), last[1]))
        for row, column in config.centers or ()
    ]
