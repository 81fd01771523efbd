"""What a network answers to an image while more and more of its pixels are replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples, bar
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels.localisation import Part, pixel_ranks
from neurocodec.network import Network
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Output, TopK
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.tracing import trace

Kind = Literal["deletion", "insertion"]
Fill: TypeAlias = ArrayLike | xr.DataArray
BY_LABEL: Final = "label"
FILLS: Final = ("zeros", "mean", "blur")
BLURS: Final = 20
"""Standard deviations of the blur that fit in the longer side of an image."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """What is replaced, by what, in which order; see `nc.deletion_curve`."""

    kind: Kind
    fill: Fill
    steps: int
    of: Part
    draws: int
    seed: int

    @property
    def shares(self) -> Matrix:
        """Shares of the pixels, from 0 to 1."""
        return np.linspace(0.0, 1.0, self.steps + 1)


@dataclass(frozen=True)
class Curves:
    """Target at each share of the pixels.

    Parameters
    ----------
    target
        (image, map, share).
    random
        (image, draw, share).
    units
        Of the target.
    """

    target: Matrix
    random: Matrix
    units: str


@dataclass(frozen=True)
class Asked:
    """A network that is ready to answer, and the images that it is asked about.

    Parameters
    ----------
    passes
        Through the network, with the target.
    outputs
        Names of its outputs.
    samples
        The images.
    labels
        Output that each image is asked about, in place of the target.
    batch_size
        Images computed together.
    device
        Where.
    """

    passes: Passes
    outputs: Sequence[str]
    samples: Samples
    labels: NDArray[Any] | None
    batch_size: int
    device: torch.device

    def target_of(self, image: int) -> Target:
        """Target of an image."""
        if self.labels is None:
            return self.passes.target
        return Output(str(self.labels[image])).bind(self.outputs)

    def values(self, versions: Iterator[Tensor], target: Target, x: Tensor) -> Matrix:
        """Target of versions of the image `x`, bound at the image itself."""
        origin = self.passes.look(x).outputs
        found = []
        for some in versions:
            done = self.passes.look(some)
            held = target.fixed_at(origin.expand(len(some), -1))
            found.append(self.passes.value(done, held).double().cpu().numpy())
        return np.concatenate(found)


@contextmanager
def opened(
    net: Network, images: xr.DataArray, target: Target | str, batch_size: int
) -> Iterator[Asked]:
    """Borrow the network, and bind the target to its outputs.

    Parameters
    ----------
    net
        On its device.
    images
        (stimulus, color, y, x).
    target
        A target, or "label".
    batch_size
        Images computed together.
    """
    samples, goal = Samples.of(net, images, stream=True), _held(target)
    layers = {} if goal.layer is None else net.select_layers([goal.layer])
    labels = _labels(images) if isinstance(target, str) else None
    with Capture(net.module, layers, net.select).attached() as capture:
        few = samples.few(net.device)
        outputs = net.output_names(trace(capture, few).done.outputs.shape[1])
        passes = Passes(capture, goal.bind(outputs), torch.zeros_like(few[:1]))
        yield Asked(passes, outputs, samples, labels, batch_size, net.device)


def _held(target: Target | str) -> Target:
    """Target that keeps the categories of the original image."""
    if isinstance(target, TopK):
        return replace(target, hold=True)
    if isinstance(target, Target):
        return target
    if target != BY_LABEL:
        raise InputError(
            came=f"target={target!r}",
            expected="an instance of one of nc.targets, or 'label'",
            hint="target=nc.targets.TopK(1, of='probability')",
        )
    return Output(0)


def _labels(images: xr.DataArray) -> NDArray[Any]:
    if v.LABEL not in images.coords:
        raise InputError(
            came="target='label' for images without labels",
            expected="the output that each image is asked about, as the coordinate 'label'",
        )
    return np.asarray(images[v.LABEL].values)


def replaced(asked: Asked, maps: xr.DataArray, options: Options, *, progress: bool) -> Curves:
    """Follow the target of every image, in the order of each of its maps and in random orders.

    Parameters
    ----------
    asked
        The network and the images.
    maps
        (stimulus, ..., y, x), with or without `color` before y.
    options
        What is replaced.
    progress
        Whether to show a bar.
    """
    of_maps, of_draws = [], []
    fill = _Filling.of(asked.samples, options.fill)
    with bar(len(asked.samples), options.kind, progress=progress) as shown:
        for image in range(len(asked.samples)):
            ranks = _ranks(maps.isel({v.STIMULUS: image}), options)
            drawn = _random_ranks(ranks.shape[1], options, image)
            curves = _of_image(asked, image, np.concatenate([ranks, drawn]), options, fill)
            of_maps.append(curves[: len(ranks)])
            of_draws.append(curves[len(ranks) :])
            shown.update(1)
    return Curves(np.stack(of_maps), np.stack(of_draws), asked.target_of(0).units)


def _ranks(one: xr.DataArray, options: Options) -> NDArray[np.intp]:
    """Places (map, pixel) of the pixels of one image in the order of its maps."""
    pixels = one.astype(np.float64)
    if v.COLOR in pixels.dims:
        pixels = pixels.sum(v.COLOR, skipna=False)
    values = pixels.values.reshape(-1, pixels.sizes[v.Y] * pixels.sizes[v.X])
    if not np.isfinite(values).all():
        raise InputError(
            came="maps with NaN or infinite values",
            expected="finite numbers",
            hint="leave out the images that could not be read",
        )
    return pixel_ranks(values, options.of)


def _random_ranks(pixels: int, options: Options, image: int) -> NDArray[np.intp]:
    """Random places (draw, pixel), the same for an image whatever else is computed."""
    rng = np.random.default_rng([options.seed, image])
    drawn = [rng.permutation(pixels) for _ in range(options.draws)]
    return np.stack(drawn) if drawn else np.empty((0, pixels), dtype=np.intp)


def _of_image(
    asked: Asked, image: int, ranks: NDArray[np.intp], options: Options, filling: _Filling
) -> Matrix:
    """Target (order, share) of one image."""
    x = asked.samples.batch(image, image + 1, asked.device).x
    if x.ndim != 4:
        raise InputError(
            came=f"images of shape {tuple(x.shape[1:])}", expected="images (color, y, x)"
        )
    fill = filling(x)
    places = torch.from_numpy(ranks).to(x.device).reshape(-1, 1, *x.shape[-2:])
    start, end = (x, fill) if options.kind == "deletion" else (fill, x)
    counts = np.rint(options.shares * ranks.shape[1]).astype(int)
    order, inner = (g.ravel() for g in np.indices((len(ranks), options.steps - 1)))

    def versions() -> Iterator[Tensor]:
        yield torch.cat([start, end])
        for first in range(0, len(order), asked.batch_size):
            some = slice(first, first + asked.batch_size)
            limit = torch.from_numpy(counts[1:-1][inner[some]]).to(x.device)
            gone = places[torch.from_numpy(order[some]).to(x.device)] < limit[:, None, None, None]
            yield torch.where(gone, end, start)

    values = asked.values(versions(), asked.target_of(image), x)
    ends = np.broadcast_to(values[:2], (len(ranks), 2))
    between = values[2:].reshape(len(ranks), -1)
    return np.concatenate([ends[:, :1], between, ends[:, 1:]], axis=1)


@dataclass(frozen=True)
class _Filling:
    """What takes the place of pixels: the same for all images, or each image blurred (None)."""

    values: Tensor | None

    @classmethod
    def of(cls, samples: Samples, fill: Fill) -> _Filling:
        if isinstance(fill, str) and fill not in FILLS:
            raise unknown_name("fill", fill, FILLS)
        return cls(None if isinstance(fill, str) and fill == "blur" else samples.baseline(fill))

    def __call__(self, x: Tensor) -> Tensor:
        """Fill of one image, of shape (1, color, y, x)."""
        if self.values is not None:
            return self.values.to(x).expand_as(x)
        width = max(x.shape[-2:]) / BLURS
        blurred = gaussian_filter(x.cpu().numpy(), (0, 0, width, width), mode="nearest")
        return torch.from_numpy(blurred).to(x)
