"""`nc.mosaics`: images in a grid, which of them drives the answer being known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import class_names, labelled, require_dims, stamp


class Mosaics(NamedTuple):
    """Mosaics and their masks; unpacks to both.

    Parameters
    ----------
    images
        `stimulus` (stimulus, color, y, x).
    masks
        `mask` (stimulus, y, x), true in the tile of the class that is asked for.
    """

    images: xr.DataArray
    masks: xr.DataArray


def mosaics(
    images: xr.DataArray, *, grid: int = 2, count: int | None = None, seed: int = 0
) -> Mosaics:
    """Grids of images of different classes, with the tile of one of them as the mask.

    Where images have no boxes around their objects: a map for the class of one tile should keep
    inside of this tile (grid pointing game, Böhle et al. 2021, doi:10.1109/CVPR46437.2021.00990,
    sec. 5). Only networks that take images of any size can be shown these, such as ResNets, which
    average over positions before their last layer. Choose images that the network is right and
    sure about, as the paper does: of others nothing can be expected.

    Parameters
    ----------
    images
        (stimulus, color, y, x) as the network takes them, with `label`; images whose label is
        empty are left out.
    grid
        Tiles on a side.
    count
        Number of mosaics; as many as use no image twice where None. No image is used twice in any
        case.
    seed
        Of the draw.

    Returns
    -------
    Mosaics
        Images `grid` times as high and wide as those that came, and masks. Coordinates along
        `stimulus`: `label`, the class that is asked for; `place`, its tile, from the upper left
        along the rows; `tile0_label`, `tile0_stimulus` (and `tile0_source` where known), ...: what
        is in each. Mosaics are made in memory.

    Raises
    ------
    InputError
        Where images have no labels, or there are too few of different classes.

    Examples
    --------
    >>> images = xr.DataArray(
    ...     np.arange(4.0).reshape(4, 1, 1, 1),
    ...     {"label": ("stimulus", ["a", "b", "c", "d"])},
    ...     ("stimulus", "color", "y", "x"),
    ... )
    >>> pictures, masks = mosaics(images, grid=2)
    >>> pictures.shape, sorted(pictures.values.ravel().tolist())
    ((1, 1, 2, 2), [0.0, 1.0, 2.0, 3.0])
    >>> asked = images.values.ravel()[images.label.values == pictures.label.values[0]]
    >>> bool(pictures.values[0, 0][masks.values[0]] == asked)
    True
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    images = require_dims(images, (v.STIMULUS, v.COLOR, v.Y, v.X), "images")
    classes = _classes(images)
    grid = arguments.whole("grid", grid, 2, hint="grid=2, for four tiles")
    count = arguments.whole_or_none("count", count, hint="count=None, for as many as there can be")
    rng = np.random.default_rng(seed)
    drawn = _draw(classes, grid**2, count, rng)
    place = rng.integers(grid**2, size=len(drawn))
    coords = _coords(images, drawn, place)
    pixels = _tiled(images, drawn, grid)
    facts = {"grid": grid, "seed": seed, "images": images.sizes[v.STIMULUS]}
    dims = (v.STIMULUS, v.COLOR, v.Y, v.X)
    colors = {v.COLOR: images[v.COLOR].variable} if v.COLOR in images.coords else {}
    shown = labelled(pixels, dims, {**coords, **colors}, name=v.STIMULUS, comment="mosaics")
    flags = _flags(place, grid, (images.sizes[v.Y], images.sizes[v.X]))
    masks = labelled(flags, (v.STIMULUS, v.Y, v.X), coords, name="mask")
    return Mosaics(stamp(shown, "nc.mosaics", **facts), stamp(masks, "nc.mosaics", **facts))


def _classes(images: xr.DataArray) -> NDArray[np.str_]:
    if v.LABEL not in images.coords or images[v.LABEL].dims != (v.STIMULUS,):
        raise InputError(
            came="images without labels",
            expected="the class of each image, as the coordinate 'label'",
            hint="nc.images(folder, net, labels=...)",
        )
    return class_names(images[v.LABEL])


def _draw(
    classes: NDArray[np.str_], tiles: int, count: int | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Images (mosaic, tile), none twice, those of a mosaic of different classes."""
    # tiles come from the classes that have the most images left, of equal ones by chance: this
    # uses up as many images as can be
    names = sorted({*classes.tolist()} - {""})
    left = {c: list(rng.permutation(np.flatnonzero(classes == c))) for c in names}
    found: list[NDArray[np.intp]] = []
    while count is None or len(found) < count:
        order = rng.permutation(len(names))
        most = sorted(order, key=lambda i: len(left[names[i]]), reverse=True)[:tiles]
        if len(most) < tiles or not left[names[most[-1]]]:
            break
        row = [left[names[i]].pop() for i in most]
        found.append(rng.permutation(row))
    if not found or (count is not None and len(found) < count):
        raise InputError(
            came=f"{len(classes)} images of {len(names)} classes, enough for {len(found)} mosaics"
            f" of {tiles} different classes",
            expected=f"{count or 1} mosaics, none of whose images is used twice",
            hint="a smaller grid or count, or more images",
        )
    return np.asarray(found, dtype=np.intp)


def _coords(
    images: xr.DataArray, drawn: NDArray[np.intp], place: NDArray[np.intp]
) -> dict[str, xr.Variable]:
    """What is in each tile, and which of them is asked for."""
    rows, tiles = np.arange(len(drawn)), range(drawn.shape[1])
    known = {n: images[n].values for n in (v.LABEL, v.STIMULUS, v.SOURCE) if n in images.coords}
    known.setdefault(v.STIMULUS, np.arange(images.sizes[v.STIMULUS]))
    return {
        v.STIMULUS: xr.Variable(v.STIMULUS, rows),
        v.LABEL: xr.Variable(v.STIMULUS, known[v.LABEL][drawn[rows, place]]),
        "place": xr.Variable(v.STIMULUS, place),
        **{
            f"tile{tile}_{name}": xr.Variable(v.STIMULUS, values[drawn[:, tile]])
            for tile in tiles
            for name, values in known.items()
        },
    }


def _tiled(images: xr.DataArray, drawn: NDArray[np.intp], grid: int) -> NDArray[np.float32]:
    pixels = np.asarray(images.isel({v.STIMULUS: drawn.ravel()}).values)
    colors, y, x = pixels.shape[1:]
    split = pixels.reshape(len(drawn), grid, grid, colors, y, x)
    return split.transpose(0, 3, 1, 4, 2, 5).reshape(len(drawn), colors, grid * y, grid * x)


def _flags(place: NDArray[np.intp], grid: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    row, column = np.divmod(place, grid)
    y, x = (np.arange(grid * n) // n for n in size)
    inside: NDArray[np.bool_] = (row[:, None] == y)[:, :, None] & (column[:, None] == x)[:, None]
    return inside
