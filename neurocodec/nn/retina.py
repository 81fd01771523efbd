"""The three-layer ganglion-cell CNN: two convolutions and a readout of one unit per cell."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from neurocodec.errors import InputError
from neurocodec.nn.movie import convolve_movie

BatchNorm = Literal["unit", "channel", "none"]
Readout = Literal["dense", "convolutional"]
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
        which one unit per cell, the one nearest to its centre, is computed.
    centers
        Centre (row, column) of every cell in pixels, for the convolutional readout.
    readout_kernel
        Side of the readout's kernel in pixels.
    nonlinearity
        Of the output.
    gain
        Firing rate in Hz per unit of the nonlinearity. At the scale of the peak rates the
        weights before it stay near 1, which is what optimisers and batch norms are made for.
    noise
        Standard deviation of the Gaussian noise added in training before each rectification.

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
    centers: tuple[tuple[int, int], ...] | None = None
    readout_kernel: int = 11
    nonlinearity: Nonlinearity = "softplus"
    gain: float = 1.0
    noise: float = 0.05

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


class LocalReadout(nn.Module):
    """A convolution of which one unit per cell is computed.

    Parameters
    ----------
    channels
        Channels that come in.
    kernel
        Side of the square kernel.
    corners
        Row and column of each cell's kernel in the feature map.

    Examples
    --------
    >>> LocalReadout(8, 11, [(0, 0), (3, 4)])(torch.zeros(5, 8, 26, 26)).shape
    torch.Size([5, 2])
    """

    def __init__(self, channels: int, kernel: int, corners: list[tuple[int, int]]) -> None:
        super().__init__()
        bound = (channels * kernel**2) ** -0.5
        self.weight = nn.Parameter(
            torch.empty(len(corners), channels, kernel, kernel).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(len(corners)))
        self.corners = tuple(corners)

    def forward(self, x: Tensor) -> Tensor:
        """Return (sample, cell): each cell's kernel times the patch of `x` under it."""
        side = self.weight.shape[-1]
        patches = [
            x[:, :, row : row + side, column : column + side] for row, column in self.corners
        ]
        return torch.einsum("nbcij,ncij->bn", torch.stack(patches), self.weight) + self.bias


class Exponential(nn.Module):
    """Exponential output nonlinearity.

    Examples
    --------
    >>> Exponential()(torch.zeros(1)).tolist()
    [1.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return `exp(x)`."""
        return x.exp()


class Gain(nn.Module):
    """Multiply by a constant.

    Parameters
    ----------
    factor
        The constant.

    Examples
    --------
    >>> Gain(20.0)(torch.ones(1)).tolist()
    [20.0]
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return `factor * x`."""
        return self.factor * x


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

    @property
    def first_convolution(self) -> nn.Conv2d:
        """The only layer that sees the movie, and most of the work."""
        return cast("nn.Conv2d", self.layer1.convolution)

    def forward(self, x: Tensor) -> Tensor:
        """Return the firing rates (sample, cell) of windows (sample, history, height, width)."""
        rates: Tensor = self.readout(self.layer2(self.layer1(x)))
        return rates

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
    return module.from_first_convolution(convolve_movie(frames, first.weight, first.bias))


def _check(config: RetinaConfig) -> None:
    inner = min(config.feature_size)
    needed = config.readout_kernel if config.readout == "convolutional" else 1
    if inner < needed:
        raise InputError(
            came=f"frames of {config.size} pixels, which leave {inner} after the two convolutions",
            expected=f"at least {needed} pixels for the {config.readout} readout",
            hint="larger frames (size=...) or smaller kernels (kernels=..., readout_kernel=...)",
        )
    if config.readout == "convolutional" and len(config.centers or ()) != config.cells:
        raise InputError(
            came=f"{len(config.centers or ())} centres for {config.cells} cells",
            expected="the centre (row, column) of every cell, for the convolutional readout",
            hint="RetinaConfig(cells=2, readout='convolutional', centers=((20, 24), (25, 30)))",
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
    else:
        parts["linear"] = LocalReadout(channels, config.readout_kernel, _corners(config))
    parts["normalisation"] = nn.BatchNorm1d(config.cells, eps=EPSILON)
    softplus = config.nonlinearity == "softplus"
    parts["nonlinearity"] = nn.Softplus() if softplus else Exponential()
    parts["gain"] = Gain(config.gain)
    return nn.Sequential(parts)


def _corners(config: RetinaConfig) -> list[tuple[int, int]]:
    """Corner of each cell's kernel, so that the middle of what it sees is at its centre."""
    half = (sum(config.kernels) - len(config.kernels) + config.readout_kernel - 1) // 2
    last = [n - config.readout_kernel for n in config.feature_size]
    centers = config.centers or ()
    return [
        (min(max(0, row - half), last[0]), min(max(0, column - half), last[1]))
        for row, column in centers
    ]
