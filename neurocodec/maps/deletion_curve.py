"""`nc.deletion_curve`: what becomes of the target when pixels are replaced in a map's order."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from neurocodec import vocabulary as v
from neurocodec.engine.samples import require_batch_size
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels.localisation import PARTS, Part
from neurocodec.labels import labelled, provenance, require_same, sample_dim, stamp
from neurocodec.maps.localisation import Maps, map_of
from neurocodec.maps.pixel_replacement import Curves, Fill, Kind, Options, opened, replaced
from neurocodec.network import Network
from neurocodec.nn.attribution.target import Target

SHARE = "share"


def deletion_curve(
    net: Network,
    images: xr.DataArray,
    maps: Maps,
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
    require_batch_size(batch_size)
    options = Options(kind, _fill(kind, fill), steps, of, draws, seed)
    _check(options)
    order = _aligned(net, images, maps)
    with opened(net.on(device), images, target, batch_size) as asked:
        found = replaced(asked, order, options, progress=progress)
        data = asked.samples.sha256
    facts = {
        "model": net.name,
        "weights_sha256": net.weights_sha256,
        "perturbation": net.perturbation,
        "data_sha256": data,
        "target": target,
        "options": {**vars(options), "fill": _described(options.fill)},
        "maps": provenance(maps) or provenance(order),
    }
    return stamp(_labelled(found, order, images, options), "nc.deletion_curve", **facts)


def _fill(kind: Kind, fill: Fill | None) -> Fill:
    if fill is not None:
        return fill
    return "zeros" if kind == "deletion" else "blur"


def _described(fill: Fill) -> object:
    return fill if isinstance(fill, str | float | int) else "given"


def _check(options: Options) -> None:
    for what, value, known in (
        ("kind of curve", options.kind, get_args(Kind)),
        ("part of a map", options.of, PARTS),
    ):
        if value not in known:
            raise unknown_name(what, value, known)
    for name, number, least in (("steps", options.steps, 1), ("draws", options.draws, 0)):
        if not isinstance(number, int) or number < least:
            raise InputError(
                came=f"{name}={number!r}", expected=f"a whole number, at least {least}"
            )


def _aligned(net: Network, images: xr.DataArray, maps: Maps) -> xr.DataArray:
    """Maps (stimulus, ..., y, x) of these images."""
    if net.history is not None or sample_dim(images) != v.STIMULUS:
        raise InputError(
            came=f"a movie, or the network {net.name!r} that sees movies",
            expected="still images (stimulus, color, y, x) and a network that sees them",
        )
    found = map_of(maps)
    for dim in (v.STIMULUS, v.Y, v.X):
        require_same(found, images, dim, "maps and images")
    if v.LAG in found.dims:
        raise InputError(came="maps with the dim 'lag'", expected="maps of still images")
    return found.transpose(v.STIMULUS, ...)


def _labelled(
    found: Curves, maps: xr.DataArray, images: xr.DataArray, options: Options
) -> xr.Dataset:
    dims = tuple(str(d) for d in maps.dims if d not in (v.COLOR, v.Y, v.X))
    of_images = {k: c.variable for k, c in images.coords.items() if c.dims == (v.STIMULUS,)}
    inner = {k: c.variable for k, c in maps.coords.items() if {*c.dims} <= {*dims}}
    what = "replaced" if options.kind == "deletion" else "brought back"
    share = xr.Variable(SHARE, options.shares, {"long_name": f"part of the pixels {what}"})
    units = found.units
    sizes = [maps.sizes[d] for d in dims]
    values = found.target.reshape(*sizes, -1)
    drawn = (v.STIMULUS, v.DRAW)
    return xr.Dataset(
        {
            "target": labelled(values, (*dims, SHARE), name="target", units=units),
            "curve_area": labelled(_area(values, options), dims, name="curve_area", units=units),
            "random_target": labelled(
                found.random, (*drawn, SHARE), name="random_target", units=units
            ),
            "random_curve_area": labelled(
                _area(found.random, options), drawn, name="random_curve_area", units=units
            ),
        },
        coords={**inner, **of_images, SHARE: share, v.DRAW: np.arange(options.draws)},
        attrs={"kind": options.kind},
    )


def _area(values: NDArray[Any], options: Options) -> NDArray[np.float64]:
    return np.asarray(trapezoid(values, options.shares, axis=-1))
