"""The three-layer ganglion-cell CNN: two convolutions and a readout of one unit per cell."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from neurocodec.arguments import number, one_of, whole
from neurocodec.errors import InputError
from neurocodec.nn.fast.movie import convolve_movie
from neurocodec.nn.retina.readouts import (
    Exponential,
    FactorisedReadout,
    Gain,
    GaussianReadout,
    LocalReadout,
)
from neurocodec.nn.settings import building
from neurocodec.nn.standardisation import Standardisation

BatchNorm = Literal["unit", "channel", "none"]
Readout = Literal["dense", "convolutional", "factorised", "gaussian"]
Nonlinearity = Literal["softplus", "exponential"]

EPSILON = 1e-3
"""Added to the variance by every batch norm, as in torch-deep-retina."""

LAYERS = {"layer1": "layer1.convolution", "layer2": "layer2.convolution"}
"""The hidden layers by alias: the convolutions, before batch norm and rectification."""


@dataclass(frozen=True)
class RetinaConfig:
    """Architecture of a `RetinaCNN`."""

    cells: int  # ganglion cells, that is outputs
    history: int = 40  # frames per window
    size: tuple[int, int] = (50, 50)  # height and width of a frame in pixels
    channels: tuple[int, int] = (8, 8)  # of the two hidden layers: model cell types
    kernels: tuple[int, int] = (15, 11)  # sides of the two convolutions' kernels in pixels
    batch_norm: BatchNorm = "unit"  # of every unit of a feature map on its own, or of each channel
    readout: Readout = "dense"  # every unit of the second layer, or see `readouts`
    # Row and column of every cell in pixels: the convolutional readout has its units there, the
    # windows of the Gaussian one (in the middle where None) and maps of the factorised one (at
    # random where None) start there.
    centers: tuple[tuple[float, float], ...] | None = None
    readout_kernel: int = 11  # side of the convolutional readout's kernel in pixels
    nonlinearity: Nonlinearity = "softplus"  # of the output
    # Firing rate in Hz per unit of the nonlinearity, one for all cells or one per cell. At the
    # scale of the peak rates the weights before it stay near 1, which is what optimisers and
    # batch norms are made for.
    gain: float | tuple[float, ...] = 1.0
    noise: float = 0.05  # standard deviation, added in training before each rectification
    readout_width: float = 1.0  # standard deviation in pixels at which Gaussian windows start
    # The network subtracts the one and divides by the other, so that it takes frames in the units
    # of the recording; 0 and 1 where these are units of contrast.
    stimulus_mean: float = 0.0
    stimulus_deviation: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))

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
        """Read what `to_dict` and JSON made."""
        return cls(**values)  # type: ignore[arg-type]


def _plain(value: object) -> object:
    """Tuples and Python's own numbers, also from lists and numpy's."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


class GaussianNoise(nn.Module):
    """Add Gaussian noise in training; the identity in evaluation."""

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
    """Model of the ganglion cells of a retina (Maheswaranathan et al. 2023; CODEC sec. 3)."""

    # Convolution, batch norm, noise, rectification; the same again; readout, batch norm and a
    # nonnegative nonlinearity. Input (sample, history, height, width) in units of contrast, the
    # oldest frame first; output (sample, cell): firing rate in Hz.

    def __init__(self, config: RetinaConfig, seed: int = 0) -> None:
        super().__init__()
        _check(config)
        self.config = config
        with building(seed):
            self.layer1 = _hidden_layer(config, 0)
            self.layer2 = _hidden_layer(config, 1)
            self.readout = _readout(config)
            if (config.stimulus_mean, config.stimulus_deviation) != (0.0, 1.0):
                numbers = config.stimulus_mean, config.stimulus_deviation
                self.standardisation = Standardisation(*numbers)

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
    """Rates (time - history + 1, cell) in Hz for every window of a movie (time, y, x), fast."""
    # equals `module(windows(frames, history))`; for a long movie, call it on pieces
    first = module.first_convolution
    frames = module.standardised(frames)
    return module.from_first_convolution(convolve_movie(frames, first.weight, first.bias))


def _check(config: RetinaConfig) -> None:
    _check_numbers(config)
    _check_choices(config)
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


def _check_choices(config: RetinaConfig) -> None:
    one_of("batch_norm", config.batch_norm, get_args(BatchNorm))
    one_of("readout", config.readout, get_args(Readout))
    one_of("nonlinearity", config.nonlinearity, get_args(Nonlinearity))


def _check_numbers(config: RetinaConfig) -> None:
    hint = "RetinaConfig(cells=5, channels=(8, 8), kernels=(15, 11))"
    for name in ("cells", "history", "readout_kernel"):
        whole(name, getattr(config, name), hint=hint)
    for name in ("size", "channels", "kernels"):
        pair = getattr(config, name)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise InputError(came=f"{name}={pair!r}", expected="two whole numbers", hint=hint)
        for one in pair:
            whole(name, one, hint=hint)
    if number("noise", config.noise, "a number of at least 0") < 0:
        raise InputError(came=f"noise={config.noise!r}", expected="a number of at least 0")
    width, expected = config.readout_width, "a number of pixels above 0"
    if number("readout_width", width, expected) <= 0:
        raise InputError(came=f"readout_width={width!r}", expected=expected)


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
