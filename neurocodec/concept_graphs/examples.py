"""What concept vectors stand for: the nearest vectors as fields in context, and where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.concept_graphs.checked import Vectors
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import hooked
from neurocodec.errors import InputError, unknown_name
from neurocodec.fields.effective_fields import Way, effective_fields
from neurocodec.kernels.spherical import unit_rows
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network, require_network

PICTURE_Y: Final = "picture_y"
PICTURE_X: Final = "picture_x"
DIM: Final = 0.35
"""Brightness of what is context alone."""
CLEAR: Final = 0.98
"""Quantile of a field from which a pixel is wholly clear."""
BATCH: Final = 32
"""Images whose maps are computed together."""


def concept_examples(
    net: Network,
    stimulus: xr.DataArray,
    vectors: ConceptVectors,
    rows: xr.DataArray,
    modes: Iterable[int] | None = None,
    *,
    count: int = 10,
    side: int = 64,
    method: Way = "sharing",
    device: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Show the point vectors nearest to concept vectors, each as what it sees of its image.

    Parameters
    ----------
    net
        The network.
    stimulus
        The images that the rows are of.
    vectors
        Concept vectors of a layer of maps, or of tokens.
    rows
        (vector, channel), as `nc.point_vectors` returns them, with their images and positions.
    modes
        Which concept vectors; all where None.
    count
        Examples of each: the nearest by cosine, at most one of each image.
    side
        Pixels along each side of a picture.
    method
        Of the effective fields: ``"sharing"``, or ``"input_gradient"`` for networks with operations
        that have no sharing ratio (attention, a layer norm).
    device, workers, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.Dataset
        `example_picture` (mode, rank, color, picture_y, picture_x): the part of the image around
        the effective field (`nc.effective_fields`), as bright as the field is strong; `cosine`
        (mode, rank) with the concept vector, from its offset. Each has the labels of its image and
        its position (y, x), or its token.

    Raises
    ------
    InputError
        Where rows and images do not belong together, or rows do not say where they are.
    CaptureError
        Where an operation before the layer has no sharing ratio.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> import neurocodec as nc
    >>> net = nc.Network(module, layers={"maps": "1"})
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(8, 3, 9, 9)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> rows = nc.point_vectors(net, images, "maps", draw="uniform", per_image=4, progress=False)
    >>> vectors = nc.ConceptVectors(per_channel=1).fit(rows)
    >>> found = nc.concept_examples(net, images, vectors, rows, [0, 2], count=3, progress=False)
    >>> dict(found.sizes)["rank"], dict(found.sizes)["mode"]
    (3, 2)
    """
    count = arguments.whole("count", count, hint="count=10")
    side = arguments.whole("side", side, hint="side=64")
    known = Vectors.of("vectors", vectors, require_network(net))
    chosen = _chosen(known, modes)
    images, places = _placed(stimulus, rows, known.layer)
    own = np.array([known.modes.index(mode) for mode in chosen])
    near, cosine = nearest(rows, known, own, places, count)
    flat = near.ravel()
    # every image once, its vectors side by side
    wanted, back = np.unique(flat, return_inverse=True)
    used, which = np.unique(places[wanted], return_inverse=True)
    shown = images.isel({v.STIMULUS: used}).load().assign_coords({v.STIMULUS: range(len(used))})
    some = rows.isel({v.VECTOR: wanted}).assign_coords({v.STIMULUS: (v.VECTOR, which)})
    how: dict[str, Any] = {"method": method, "device": device, "workers": workers}
    fields = effective_fields(net, shown, known.layer, some, progress=progress, **how)
    clear = pictures(shown, net.preprocessing).transpose(v.STIMULUS, v.COLOR, v.Y, v.X).values
    made = np.stack(
        [
            in_context(clear[image], field, box, side)
            for image, field, box in zip(
                which, fields["effective_field"].values, fields["field_box"].values, strict=True
            )
        ]
    )
    shape = (*near.shape, *made.shape[1:])
    dims = (v.MODE, v.RANK, v.COLOR, PICTURE_Y, PICTURE_X)
    found = xr.Dataset(
        {
            "example_picture": labels.labelled(
                made[back.ravel()].reshape(shape), dims, name="example_picture"
            ),
            "cosine": labels.labelled(cosine.astype(np.float32), (v.MODE, v.RANK), name="cosine"),
        },
        {v.MODE: list(chosen), **_told(rows, images, near, places)},
    )
    facts = {"vectors": known.facts, "count": count, "side": side, "layer": known.layer}
    facts["method"] = method
    return labels.stamp(found, "nc.concept_examples", **facts)


def _chosen(known: Vectors, modes: Iterable[int] | None) -> list[int]:
    chosen = list(known.modes) if modes is None else [*modes]
    for mode in chosen:
        if mode not in known.modes:
            raise unknown_name("concept vector", mode, known.modes)
    if not chosen:
        raise InputError(came="modes=[]", expected="at least one mode", hint="modes=None for all")
    return chosen


def _placed(stimulus: Any, rows: Any, layer: str) -> tuple[xr.DataArray, NDArray[np.intp]]:
    """Images with labels, and the place of each row's image."""
    hint = f"nc.point_vectors(net, images, {layer!r})"
    if not isinstance(rows, xr.DataArray) or {v.VECTOR, v.CHANNEL} != {*rows.dims}:
        raise InputError(
            came=f"rows with dims {getattr(rows, 'dims', type(rows).__name__)}",
            expected="(vector, channel), as nc.point_vectors returns them",
            hint=hint,
        )
    if v.TIME in rows.coords and v.STIMULUS not in rows.coords:
        raise InputError(
            came=f"rows of {layer!r} of the moments of a movie",
            expected="rows of images",
            hint=f"nc.receptive_fields(net, movie, of=nc.targets.Feature({layer!r},"
            " vectors.dictionary[0], position='strongest'))",
        )
    wanted = [v.STIMULUS, *_axes(rows)]
    missing = [name for name in wanted if name not in rows.coords]
    if missing:
        raise InputError(
            came=f"rows of {layer!r} without {', '.join(missing)}",
            expected="rows that say of which image and position they are",
            hint=hint,
        )
    known = require_different(stimulus)
    places = known.get_indexer(rows[v.STIMULUS].values)
    if (places < 0).any():
        raise InputError(
            came=f"{int((places < 0).sum())} rows of images that are not among those given",
            expected="the images that the rows were taken from",
            hint=hint,
        )
    return stimulus, np.asarray(places, dtype=np.intp)


def require_different(images: xr.DataArray | xr.Dataset) -> Any:
    """Labels of images, or their places; refused where two are the same."""
    known = images.get_index(v.STIMULUS)
    if not known.is_unique:
        again = known[known.duplicated()]
        raise InputError(
            came=f"{len(again)} images that are called as another one, such as {again[0]!r}",
            expected="images, each with a label of its own",
            hint="images.assign_coords(stimulus=range(images.sizes['stimulus']))",
        )
    return known


def _axes(rows: xr.DataArray) -> tuple[str, ...]:
    """Names of the numbers that say where in its layer each row is."""
    return (v.TOKEN,) if v.TOKEN in rows.coords else (v.Y, v.X)


def nearest(
    rows: xr.DataArray, known: Vectors, own: NDArray[np.intp], places: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Place and cosine (mode, rank) of the rows nearest to each vector, one of each image."""
    values = np.asarray(rows.transpose(v.VECTOR, v.CHANNEL).values, np.float64) - known.offset
    cosine = known.rows[own].astype(np.float64) @ unit_rows(values).T
    count = min(count, len(np.unique(places)))
    found = np.empty((len(own), count), dtype=np.intp)
    for i, row in enumerate(cosine):
        order = np.argsort(-row, kind="stable")
        _, first = np.unique(places[order], return_index=True)
        found[i] = order[np.sort(first)[:count]]
    return found, np.take_along_axis(cosine, found, axis=1)


def in_context(
    image: NDArray[Any],  # (color, y, x) from 0 to 1
    field: NDArray[Any],  # (y, x)
    box: NDArray[Any],  # top, bottom, left, right
    side: int,
) -> NDArray[np.uint8]:
    """The part of an image around a field (color, y, x), darker where the field is weak."""
    top, bottom, left, right = (int(x) for x in box)
    size = gaussian_filter(np.abs(np.asarray(field, np.float64)), max(1.0, (bottom - top) / 24))
    size = size[top:bottom, left:right]
    most = float(np.quantile(size, CLEAR)) if size.size else 0.0
    there = np.clip(size / most, 0, 1) if most > 0 else np.zeros_like(size)
    part = np.clip(image[:, top:bottom, left:right], 0, 1) * (DIM + (1 - DIM) * there)
    shown = Image.fromarray(np.rint(255 * np.moveaxis(part, 0, -1)).astype(np.uint8).squeeze())
    made = np.asarray(shown.resize((side, side), Image.Resampling.BILINEAR))
    return made[None] if made.ndim == 2 else np.moveaxis(made, -1, 0)


def _told(
    rows: xr.DataArray, images: xr.DataArray, near: NDArray[np.intp], places: NDArray[np.intp]
) -> dict[str, Any]:
    """Labels of the image of each example, and its position."""
    dims = (v.MODE, v.RANK)
    told: dict[str, Any] = {n: (dims, rows[n].values[near]) for n in _axes(rows)}
    for name in (v.SOURCE, v.LABEL):
        if name in images.coords and images[name].dims == (v.STIMULUS,):
            told[name] = (dims, images[name].values[places[near]].astype(str))
    told.setdefault(v.SOURCE, (dims, images.get_index(v.STIMULUS).values[places[near]].astype(str)))
    return told


def concept_maps(
    net: Network, stimulus: xr.DataArray, vectors: ConceptVectors, modes: Iterable[int]
) -> xr.DataArray:
    """`concept_map` (stimulus, mode, y, x): loadings in maps, of images that can be read alone."""
    known = Vectors.of("vectors", vectors, require_network(net))
    chosen = np.array([known.modes.index(mode) for mode in _chosen(known, modes)])
    samples = Samples.of(net, stimulus, stream=True)
    layers, maps = net.select_layers([known.layer]), list[NDArray[np.float32]]()
    kept = np.ones(len(samples), bool)
    with hooked(net, layers, samples.few(net.device)) as session, torch.no_grad():
        hidden = session.capture.layers[known.layer]
        for start in range(0, len(samples), BATCH):
            block = samples.block(start, min(start + BATCH, len(samples)))
            kept[start : block.stop] = block.kept
            batch = samples.place(block, start, block.stop, net.device)
            done = hidden.channels_first(session.capture.run(batch.x).hidden[known.layer])
            maps.append(_map_of(done.movedim(1, -1).cpu().numpy(), known, chosen))
    dims = (v.STIMULUS, v.MODE, v.Y, v.X)
    coords: Mapping[str, Any] = {
        v.STIMULUS: stimulus.get_index(v.STIMULUS).values[kept],
        v.MODE: [known.modes[i] for i in chosen],
    }
    return labels.labelled(np.concatenate(maps)[kept], dims, coords, name="concept_map")


def _map_of(rows: NDArray[Any], known: Vectors, chosen: NDArray[np.intp]) -> NDArray[np.float32]:
    """Loadings (sample, mode, y, x) of chosen vectors, from maps with their channels last."""
    values, modes = known.coder.codes(rows.reshape(-1, rows.shape[-1]))
    found = np.zeros((len(values), len(known)), dtype=np.float32)
    filled = modes >= 0
    found[np.nonzero(filled)[0], modes[filled]] = values[filled]
    return np.moveaxis(found[:, chosen].reshape(*rows.shape[:-1], len(chosen)), -1, 1)
