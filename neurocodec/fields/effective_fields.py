"""`nc.effective_fields`: which pixels of an image made the vector at one position of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import hooked
from neurocodec.errors import CaptureError, InputError
from neurocodec.fields import sharing
from neurocodec.fields.sharing import WAYS, SharingPlan
from neurocodec.network import Network, require_layer, require_network
from neurocodec.nn.fields.sharing import Sharing

Way: TypeAlias = sharing.Way
Positions: TypeAlias = (
    Literal["center"] | int | Sequence[int] | NDArray[np.integer] | xr.DataArray | xr.Dataset
)


def effective_fields(
    net: Network,
    images: xr.DataArray,
    layer: str,
    positions: Positions = "center",
    *,
    method: Way = "sharing",
    colors: bool = False,
    context: float = 2.0,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Which pixels of its image made a vector: the label of a point vector (GIG sec. 3.1).

    By sharing ratios (GIG eq. 10, of Han et al. 2024) a vector's relevance, 1, is shared among the
    positions before it in proportion to what each gave to the vector, along the vector, and so on
    down to the pixels. One backward pass does this for a whole batch, whatever the layer.

    Parameters
    ----------
    net
        The network.
    images
        (stimulus, color, y, x), or (stimulus, y, x), as the network takes them.
    layer
        Alias of a layer of maps or tokens.
    positions
        ``"center"`` (n // 2 along each axis); one position (y, x), or token, of every image; an
        array (stimulus, 2) of a position for each image; or vectors of `nc.point_vectors` (vector,
        channel), each with the labels `stimulus`, `y` and `x`, of any number for each image.
    method
        ``"sharing"``; or ``"input_gradient"``, the size of the gradient of the vector's length at
        every pixel (Luo et al. 2016), which every network has that can be differentiated.
    colors
        Whether shares of the colours are told apart.
    context
        Side of the square around a field, in sides of the box that holds 90 % of it along each
        axis.
    batch_size, device, workers, out, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.Dataset
        With the dim `vector` where vectors came, else `stimulus`:

        - `effective_field` (stimulus, y, x), or with `color`; the shares of a vector sum to 1, and
          some are negative. What an image gives is as the network takes it: pixels that are 0
          there, often grey ones, have no share.
        - `field_box` (stimulus, edge): top, bottom, left and right of the square in context.
        - `completeness_error` (stimulus): sum of the shares minus 1, or minus 0 where the vector is
          0 and has no field. It is rounding, unless a vector on the way is all bias.

    Raises
    ------
    InputError
        Where images, layer or positions do not fit the network or each other.
    CaptureError
        Where an operation before the layer has no sharing ratio (attention, a layer norm, products
        of what depends on the image); it is named.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Flatten())
    >>> net = Network(module, layers={"maps": "0"})
    >>> values = np.random.default_rng(0).normal(size=(2, 1, 5, 5)).astype("float32")
    >>> images = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    >>> found = effective_fields(net, images, "maps", (0, 0), progress=False)
    >>> found.effective_field.sum(("y", "x")).values.round(5).tolist()
    [1.0, 1.0]
    >>> int((found.effective_field[0] != 0).sum())
    4
    """
    batch_size = arguments.batch_size(batch_size)
    placed = require_network(net).on(device)
    if not isinstance(layer, str):
        raise InputError(
            came=f"layer={layer!r}",
            expected="the alias of one layer",
            hint=f"layer={next(iter(net.layers), 'layer1')!r}",
        )
    require_layer(placed, layer)
    method = arguments.one_of("method", method, WAYS)
    colors = arguments.flag("colors", colors, hint="colors=True")
    context = arguments.at_least("context", context, 1, hint="context=2.0")
    samples = _samples(placed, images, colors=colors)
    chosen = _chosen(positions, samples)
    plan = SharingPlan(
        net=placed,
        samples=chosen.samples,
        layers=placed.select_layers([layer]),
        positions=chosen.positions,
        method=method,
        colors=colors,
        context=context,
    )
    with Run.opened(plan, batch_size, workers, progress=progress, out=out) as run:
        return run.result(out).to_dataset()


def way_of(net: Network, images: xr.DataArray) -> tuple[Way, str]:
    """How fields of all of a network's layers can be had, and what has no sharing ratio."""
    samples = _samples(net, images, colors=False)
    with hooked(net, net.layers, samples.few(net.device)) as session:
        try:
            for alias in net.layers:
                Sharing.of(session.capture, session.traced.flow, alias, session.few[:2])
        except CaptureError as error:
            return "input_gradient", error.came
    return "sharing", ""


class _Chosen(NamedTuple):
    """A sample for each vector, and where it is in the layer; None for the middle."""

    samples: Samples
    positions: NDArray[np.intp] | None


def _samples(net: Network, images: xr.DataArray, *, colors: bool) -> Samples:
    """Images, as they are stored; movies and inputs without pixels are refused."""
    if net.history is not None:
        raise InputError(
            came=f"a network of movies, of {net.history} frames a window",
            expected="a network of images",
            hint="nc.receptive_fields(net, movie, of=nc.targets.Feature('layer1',"
            " vectors.dictionary[0], position='strongest'))",
        )
    samples = Samples.of(net, images, stream=True)
    if not {v.Y, v.X} <= {*samples.dims}:
        raise InputError(
            came=f"inputs with the dims {samples.dims}",
            expected="images (stimulus, color, y, x) or (stimulus, y, x)",
            hint="images.rename(...)",
        )
    if colors and v.COLOR not in samples.dims:
        raise InputError(
            came="colors=True of images without the dim 'color'",
            expected="images (stimulus, color, y, x)",
            hint="colors=False",
        )
    return samples


def _chosen(positions: Any, samples: Samples) -> _Chosen:
    if isinstance(positions, xr.DataArray | xr.Dataset) and v.VECTOR in positions.dims:
        return _of_vectors(positions, samples)
    if isinstance(positions, str):
        if positions != "center":
            raise _no_position(positions)
        return _Chosen(samples, None)
    found = np.atleast_1d(np.asarray(positions))
    if found.dtype.kind not in "iu" or found.ndim > 2 or not found.size:
        raise _no_position(positions)
    if found.ndim == 1:
        found = np.broadcast_to(found, (len(samples), len(found)))
    elif len(found) != len(samples):
        raise InputError(
            came=f"positions of {len(found)} images for {len(samples)}",
            expected="a position for each image, or one for all",
            hint="positions='center'",
        )
    return _with_places(samples, found.astype(np.intp), {})


def _no_position(positions: Any) -> InputError:
    return InputError(
        came=f"positions={positions!r:.60}",
        expected="'center', whole numbers (y, x), an array (stimulus, 2) of these, or vectors of"
        " nc.point_vectors",
        hint="positions='center'",
    )


def _of_vectors(vectors: xr.DataArray | xr.Dataset, samples: Samples) -> _Chosen:
    """A sample for each vector, by the label of its image."""
    axes = next((a for a in ((v.Y, v.X), (v.TOKEN,)) if {*a} <= {*vectors.coords}), None)
    if axes is None or v.STIMULUS not in vectors.coords or not vectors.sizes[v.VECTOR]:
        raise InputError(
            came=f"{vectors.sizes[v.VECTOR]} vectors with the coordinates"
            f" {sorted(map(str, vectors.coords))}",
            expected="the image (stimulus) and the position (y, x) of each",
            hint="nc.point_vectors(net, images.assign_coords("
            "stimulus=range(images.sizes['stimulus'])), layer)",
        )
    known = samples.coords.get(v.STIMULUS)
    labels = range(len(samples)) if known is None else known.values.tolist()
    place = {label: i for i, label in enumerate(labels)}
    wanted = vectors[v.STIMULUS].values.tolist()
    missing = [label for label in wanted if label not in place]
    if missing or len(place) != len(samples):
        raise InputError(
            came=f"vectors of image {missing[0]!r}" if missing else "images with equal labels",
            expected="images, each with a label of its own, that the vectors were taken of",
            hint="the images that nc.point_vectors was given",
        )
    chosen = np.array([place[label] for label in wanted], np.intp)
    found = np.stack([np.asarray(vectors[a].values, np.intp) for a in axes], 1)
    along = {str(n): c.variable for n, c in vectors.coords.items() if c.dims == (v.VECTOR,)}
    own = replace(samples.at(chosen, labels=False), dim=v.VECTOR)
    return _with_places(own, found, {n: c for n, c in along.items() if n not in axes})


def _with_places(
    samples: Samples, positions: NDArray[np.intp], coords: dict[str, xr.Variable]
) -> _Chosen:
    """Say where in the layer each vector is, by names that pixels do not have."""
    names = (v.VECTOR_Y, v.VECTOR_X) if positions.shape[1] == 2 else (v.TOKEN,)
    own = {}
    if positions.shape[1] == len(names):
        axes = zip(names, positions.T, strict=True)
        own = {name: xr.Variable(samples.dim, np.array(axis)) for name, axis in axes}
    return _Chosen(replace(samples, coords={**samples.coords, **coords, **own}), positions)
