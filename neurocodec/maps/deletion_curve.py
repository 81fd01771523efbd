"""`nc.deletion_curve`: what becomes of the target when pixels are replaced in a map's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.ndimage import gaussian_filter
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.plan import passes_for, require_one, with_layer_of
from neurocodec.engine.samples import Samples, bar
from neurocodec.engine.session import hooked
from neurocodec.errors import InputError
from neurocodec.kernels.localisation import PARTS, Part, pixel_ranks
from neurocodec.labels import (
    labelled,
    provenance,
    require_free_names,
    require_same,
    sample_dim,
    stamp,
)
from neurocodec.maps.by_label import labels_of, require_outputs
from neurocodec.maps.localisation import MapsLike, map_of
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Output, TopK

Kind = Literal["deletion", "insertion"]
Fill: TypeAlias = ArrayLike | xr.DataArray
FILLS: Final = ("zeros", "mean", "blur")
SHARE: Final = "share"
RESULTS: Final = ("target", "curve_area", "random_target", "random_curve_area")
BLURS: Final = 20
"""Standard deviations of the blur that fit in the longer side of an image."""


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
    def shares(self) -> NDArray[np.float64]:
        """Shares of the pixels, from 0 to 1."""
        return np.linspace(0.0, 1.0, self.steps + 1)


@dataclass(frozen=True)
class Curves:
    """Target at each share of the pixels."""

    target: NDArray[np.float64]  # (image, map, share)
    random: NDArray[np.float64]  # (image, draw, share)
    units: str  # of the target


@dataclass(frozen=True)
class Answering:
    """A network that is ready to answer, and the images that it is asked about."""

    passes: Passes  # through the network, with the target
    outputs: Sequence[str]  # their names
    samples: Samples  # the images
    labels: NDArray[Any] | None  # output that each is asked about, in place of the target
    batch_size: int  # images that are computed together
    device: torch.device

    def target_of(self, image: int) -> Target:
        """Target of an image."""
        if self.labels is None:
            return self.passes.target
        return Output(str(self.labels[image])).bind(self.outputs)

    def values(self, versions: Iterator[Tensor], target: Target, x: Tensor) -> NDArray[np.float64]:
        """Target of versions of the image `x`, bound at the image itself."""
        origin = self.passes.look(x)
        found = []
        for some in versions:
            done = self.passes.look(some)
            held = target.fixed_at(self.passes.read(origin.repeated(len(some)), target))
            found.append(self.passes.value(done, held).cpu().double().numpy())
        return np.concatenate(found)


def deletion_curve(
    net: Network,
    images: xr.DataArray,
    maps: MapsLike,
    *,
    target: Target | Literal["label"],
    kind: Kind = "deletion",
    fill: Fill | None = None,
    steps: int = 20,
    of: Part = "positive",
    draws: int = 3,
    seed: int = 0,
    batch_size: int = 64,
    device: str | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Replace pixels in the order of a map, the largest first, and follow the target.

    Deletion replaces more and more pixels of the image by the fill: the target falls early where
    the map has found what it rests on. Insertion begins with the fill and brings the image's
    pixels back: it rises early (Petsiuk et al. 2018, RISE, arXiv:1806.07421, sec. 4.1; theirs is
    ``target=nc.targets.TopK(1, of="probability")``). All colors of a pixel are replaced together.

    Parameters
    ----------
    net
        A network that sees still images.
    images
        (stimulus, color, y, x).
    maps
        As `nc.contribution_maps` returns them for these images, or a DataArray (stimulus, ...,
        color, y, x); colors are summed. Every other dim is kept: maps of one image share batches.
    target
        One of `nc.targets`, bound at the original image: `TopK` keeps the categories that it
        finds there. ``"label"`` is the output that the coordinate `label` of each image names.
    kind
        ``"deletion"`` or ``"insertion"``.
    fill
        What takes the place of pixels, in the network's input space: ``"zeros"``, ``"mean"`` (of
        `images`), ``"blur"`` (the image, blurred by a Gaussian with a standard deviation of 1/20
        of its longer side), a number, or an image. None is zeros for deletion and blur for
        insertion, as in RISE.
    steps
        Number of steps between none of the pixels and all.
    of
        Order: ``"positive"`` by the signed value of the pixels, ``"absolute"`` by their size,
        ``"negative"`` the most negative first (for inhibitory maps).
    draws
        Random orders of each image, for comparison.
    seed
        Of the random orders.
    batch_size
        Images computed together; the numbers do not depend on it.
    device
        Where to compute; None stays where the network is.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        - `target` (stimulus, ..., share): target when this share of the pixels is replaced (or
          brought back),
        - `curve_area` (stimulus, ...): area under it (trapezoid), in units of the target; small
          is good for deletion, large for insertion,
        - `random_target` (stimulus, draw, share), `random_curve_area` (stimulus, draw): the same
          for random orders.

    Raises
    ------
    InputError
        Where images, maps, target or options do not fit.

    Examples
    --------
    >>> import neurocodec as nc
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1, bias=False))
    >>> module[1].weight.data = torch.tensor([[1.0, 0.0, 0.0, 0.0]])  # looks at one corner
    >>> images = xr.DataArray(np.ones((1, 1, 2, 2)), dims=("stimulus", "color", "y", "x"))
    >>> maps = xr.DataArray([[[5.0, 1.0], [0.0, 0.0]]], dims=("stimulus", "y", "x"))
    >>> target = nc.targets.Output(0)
    >>> net = nc.Network(module, [])
    >>> curve = deletion_curve(net, images, maps, target=target, steps=4, progress=False)
    >>> curve.target.values.tolist(), curve.curve_area.values.tolist()
    ([[1.0, 0.0, 0.0, 0.0, 0.0]], [0.125])
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    batch_size = arguments.whole("batch_size", batch_size)
    arguments.one_of("kind of curve", kind, get_args(Kind))
    arguments.one_of("part of a map", of, PARTS)
    steps, draws = arguments.whole("steps", steps), arguments.whole("draws", draws, 0)
    if fill is None:
        fill = "zeros" if kind == "deletion" else "blur"
    options = Options(kind, fill, steps, of, draws, seed)
    order = _aligned(require_network(net), images, maps)
    with answering(net.on(device), images, target, batch_size) as network:
        found = replaced(network, order, options, progress=progress)
        data = network.samples.sha256
    facts = {
        **net.facts,
        "data_sha256": data,
        "target": target,
        "options": {**vars(options), "fill": _described(options.fill)},
        "maps": provenance(maps) or provenance(order),
    }
    return stamp(_labelled(found, order, images, options), "nc.deletion_curve", **facts)


def _described(fill: Fill) -> object:
    return fill if isinstance(fill, str | float | int) else "given"


def _aligned(net: Network, images: xr.DataArray, maps: MapsLike) -> xr.DataArray:
    """Maps (stimulus, ..., y, x) of these images."""
    if net.history is not None or sample_dim(images) != v.STIMULUS:
        raise InputError(
            came=f"a movie, or the network {net.name!r} that sees movies",
            expected="still images (stimulus, color, y, x) and a network that sees them",
        )
    found = map_of(maps)
    for dim in (v.STIMULUS, v.Y, v.X):
        require_same(found, images, dim, "maps and images")
    for one, what in ((found, "the maps"), (images, "the images")):
        require_free_names(one.coords, (*RESULTS, SHARE, v.DRAW), what)
    if v.COLOR in found.dims:
        require_same(found, images, v.COLOR, "maps and images")
    if v.LAG in found.dims:
        raise InputError(came="maps with the dim 'lag'", expected="maps of still images")
    return found.transpose(v.STIMULUS, ...)


@contextmanager
def answering(
    net: Network, images: xr.DataArray, target: Target | Literal["label"], batch_size: int
) -> Iterator[Answering]:
    """Borrow the network, and bind the target to its outputs."""
    samples, labels = Samples.of(net, images, stream=True), labels_of(images, target)
    if labels is not None and not (labels != "").all():
        raise InputError(
            came=f"target='label' for {int((labels == '').sum())} images without a label",
            expected="the class of each image",
            hint="images.isel(stimulus=nc.labels.class_names(images.label) != '')",
        )
    require_one(target)
    goal = target if isinstance(target, Target) else Output(0)
    goal = replace(goal, hold=True) if isinstance(goal, TopK) else goal  # those of the original
    few = samples.few(net.device)
    with hooked(net, with_layer_of(goal, {}, net), few) as session:
        require_outputs(labels, session.outputs)
        passes = passes_for(session, goal, torch.zeros_like(few[:1]), given=False)
        yield Answering(passes, session.outputs, samples, labels, batch_size, net.device)


def replaced(
    network: Answering,
    maps: xr.DataArray,  # (stimulus, ..., y, x), with or without `color` before y
    options: Options,
    *,
    progress: bool,
) -> Curves:
    """Follow the target of every image, in the order of each of its maps and in random orders."""
    of_maps, of_draws = [], []
    fill = _Filling.of(network.samples, options.fill)
    with bar(len(network.samples), options.kind, progress=progress) as shown:
        for image in range(len(network.samples)):
            ranks = _ranks(maps.isel({v.STIMULUS: image}), options)
            drawn = _random_ranks(ranks.shape[1], options, image)
            curves = _of_image(network, image, np.concatenate([ranks, drawn]), options, fill)
            of_maps.append(curves[: len(ranks)])
            of_draws.append(curves[len(ranks) :])
            shown.update(1)
    return Curves(np.stack(of_maps), np.stack(of_draws), network.target_of(0).units)


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
    network: Answering, image: int, ranks: NDArray[np.intp], options: Options, filling: _Filling
) -> NDArray[np.float64]:
    """Target (order, share) of one image."""
    x = network.samples.batch(image, image + 1, network.device).x
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
        for first in range(0, len(order), network.batch_size):
            some = slice(first, first + network.batch_size)
            limit = torch.from_numpy(counts[1:-1][inner[some]]).to(x.device)
            gone = places[torch.from_numpy(order[some]).to(x.device)] < limit[:, None, None, None]
            yield torch.where(gone, end, start)

    values = network.values(versions(), network.target_of(image), x)
    ends = np.broadcast_to(values[:2], (len(ranks), 2))
    between = values[2:].reshape(len(ranks), -1)
    return np.concatenate([ends[:, :1], between, ends[:, 1:]], axis=1)


@dataclass(frozen=True)
class _Filling:
    """What takes the place of pixels: the same for all images, or each image blurred (None)."""

    values: Tensor | None

    @classmethod
    def of(cls, samples: Samples, fill: Fill) -> _Filling:
        if isinstance(fill, str) and arguments.one_of("fill", fill, FILLS) == "blur":
            return cls(None)
        return cls(samples.baseline(fill))

    def __call__(self, x: Tensor) -> Tensor:
        """Fill of one image, of shape (1, color, y, x)."""
        if self.values is not None:
            return self.values.to(x).expand_as(x)
        width = max(x.shape[-2:]) / BLURS
        blurred = gaussian_filter(x.cpu().numpy(), (0, 0, width, width), mode="nearest")
        return torch.from_numpy(blurred).to(x)


def _labelled(
    found: Curves, maps: xr.DataArray, images: xr.DataArray, options: Options
) -> xr.Dataset:
    dims = tuple(str(d) for d in maps.dims if d not in (v.COLOR, v.Y, v.X))
    of_images = {k: c.variable for k, c in images.coords.items() if c.dims == (v.STIMULUS,)}
    inner = {k: c.variable for k, c in maps.coords.items() if {*c.dims} <= {*dims}}
    what = "replaced" if options.kind == "deletion" else "brought back"
    share = xr.Variable(SHARE, options.shares, {"long_name": f"part of the pixels {what}"})
    sizes = [maps.sizes[d] for d in dims]
    values = found.target.reshape(*sizes, -1)
    drawn = (v.STIMULUS, v.DRAW)
    along = ((*dims, SHARE), dims, (*drawn, SHARE), drawn)
    numbers = (values, _area(values, options), found.random, _area(found.random, options))
    return xr.Dataset(
        {
            name: labelled(x, over, name=name, units=found.units)
            for name, over, x in zip(RESULTS, along, numbers, strict=True)
        },
        coords={**inner, **of_images, SHARE: share, v.DRAW: np.arange(options.draws)},
        attrs={"kind": options.kind},
    )


def _area(values: NDArray[Any], options: Options) -> NDArray[np.float64]:
    return np.asarray(trapezoid(values, options.shares, axis=-1))
