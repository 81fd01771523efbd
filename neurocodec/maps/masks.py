"""`nc.box_masks`: where the object is, from boxes around it; masks checked against images."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels.localisation import mask_area
from neurocodec.labels import labelled, require_finite, require_same, stamp

BOX: Final = ("y0", "x0", "y1", "x1")
"""Upper, left, lower and right edge of a box, in pixels."""

FILE: Final = "file"

Boxes: TypeAlias = xr.DataArray | Mapping[Any, Any] | str | os.PathLike[str]


def box_masks(boxes: Boxes, images: xr.DataArray) -> xr.DataArray:
    """Make masks of objects from boxes around them.

    Edges are in pixels of the images as the network takes them, after cropping and scaling: 0 is
    the outer edge of the first row or column, the image's height or width that of the last. A
    pixel is inside where its centre is, so that whole-numbered edges are ranges of Python:
    ``mask[y0:y1, x0:x1]``. What reaches beyond the image is cut off.

    Parameters
    ----------
    boxes
        One of

        - a DataArray (stimulus, bound) or (stimulus, box, bound), `bound` being y0, x0, y1, x1 in
          this order or as its labels; NaN where an image has fewer boxes,
        - a mapping from image to a box (y0, x0, y1, x1) or several of them,
        - the path of a CSV table with the columns file, y0, x0, y1, x1; an image may have several
          rows.

        Images are named by their coordinate `source` (or `stimulus`, in a mapping).
    images
        (stimulus, ..., y, x), only looked at for sizes and labels.

    Returns
    -------
    xarray.DataArray
        `mask` (stimulus, y, x), true inside of any of an image's boxes, with the coordinates of
        the images.

    Raises
    ------
    InputError
        Where an image has no box, or none that covers a pixel, or boxes are turned around.
    UnknownNameError
        Where boxes are of images that do not exist.

    Examples
    --------
    >>> images = xr.DataArray(np.zeros((1, 2, 3)), {"stimulus": [7]}, ("stimulus", "y", "x"))
    >>> box_masks({7: (0, 1, 1, 3)}, images).astype(int).values.tolist()
    [[[0, 1, 1], [0, 0, 0]]]
    """
    if not {v.STIMULUS, v.Y, v.X} <= {*images.dims}:
        raise InputError(
            came=f"images with dims {tuple(map(str, images.dims))}",
            expected="the dims 'stimulus', 'y' and 'x'",
        )
    size = (images.sizes[v.Y], images.sizes[v.X])
    if isinstance(boxes, xr.DataArray):
        found = _of_array(boxes, images)
    else:
        found = _of_table(_as_mapping(boxes), images)
    values = np.stack([_mask(rows, size, images, i) for i, rows in enumerate(found)])
    dims = (v.STIMULUS, v.Y, v.X)
    of_images = images.coords.items()
    kept = {str(k): c.variable for k, c in of_images if c.dims and {*c.dims} <= {*dims}}
    return stamp(labelled(values, dims, kept, name="mask"), "nc.box_masks")


def _of_array(boxes: xr.DataArray, images: xr.DataArray) -> list[NDArray[np.float64]]:
    inner = [d for d in boxes.dims if d not in (v.STIMULUS, v.BOUND)]
    if not {v.STIMULUS, v.BOUND} <= {*boxes.dims} or len(inner) > 1:
        raise InputError(
            came=f"boxes with dims {tuple(map(str, boxes.dims))}",
            expected="dims ('stimulus', 'bound') or ('stimulus', 'box', 'bound')",
        )
    require_same(boxes, images, v.STIMULUS, "boxes and images")
    if v.BOUND in boxes.coords:
        for name in BOX:
            if name not in boxes[v.BOUND].values:
                raise unknown_name("edge of a box", name, map(str, boxes[v.BOUND].values))
        boxes = boxes.sel({v.BOUND: list(BOX)})
    values = boxes.transpose(v.STIMULUS, *inner, v.BOUND).values.astype(np.float64)
    return [_rows(one, i) for i, one in enumerate(values)]


def _rows(box: Any, name: object) -> NDArray[np.float64]:
    """Boxes of one image (box, 4), without those that are NaN."""
    try:
        rows = np.atleast_2d(np.asarray(box, dtype=np.float64))
    except (TypeError, ValueError):
        rows = np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != len(BOX):
        raise InputError(
            came=f"{box!r} as the box of image {name!r}",
            expected="four numbers y0, x0, y1, x1, or several such boxes",
        )
    rows = rows[~np.isnan(rows).all(axis=1)]
    if np.isnan(rows).any() or (rows[:, 0] > rows[:, 2]).any() or (rows[:, 1] > rows[:, 3]).any():
        raise InputError(
            came=f"the box {rows.tolist()} of image {name!r}",
            expected="y0 <= y1 and x0 <= x1, in the order y0, x0, y1, x1",
        )
    return rows


def _of_table(boxes: Mapping[Any, Any], images: xr.DataArray) -> list[NDArray[np.float64]]:
    known = [d for d in (v.STIMULUS, v.SOURCE) if d in images.coords]
    names = {d: images[d].values.tolist() for d in known}
    names = names or {v.STIMULUS: list(range(images.sizes[v.STIMULUS]))}
    coordinate = max(names, key=lambda dim: len({*names[dim]} & {*boxes}))
    for name in boxes:
        if name not in names[coordinate]:
            raise unknown_name(f"image with {coordinate}", name, names[coordinate])
    missing = [name for name in names[coordinate] if name not in boxes]
    if missing:
        raise InputError(
            came=f"{len(missing)} images without a box, the first {missing[0]!r}",
            expected="at least one box for each image",
            hint=f"images.isel(stimulus=images.{coordinate}.isin(list(boxes)))",
        )
    return [_rows(boxes[name], name) for name in names[coordinate]]


def _as_mapping(boxes: object) -> Mapping[Any, Any]:
    if isinstance(boxes, Mapping):
        return boxes
    if isinstance(boxes, str | os.PathLike):
        return _of_csv(Path(boxes))
    raise InputError(
        came=f"boxes of type {type(boxes).__name__}",
        expected="a DataArray (stimulus, bound), a mapping or the path of a CSV table",
        hint="nc.box_masks({'n01440764/10.jpg': (y0, x0, y1, x1)}, images)",
    )


def _of_csv(path: Path) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                found[row[FILE]].append([float(row[edge]) for edge in BOX])
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            came=f"the table of boxes {path}: {type(error).__name__}: {error}",
            expected="a CSV file with the columns file, y0, x0, y1, x1",
        ) from error
    return dict(found)


def _mask(
    rows: NDArray[np.float64], size: tuple[int, int], images: xr.DataArray, place: int
) -> NDArray[np.bool_]:
    y, x = (np.arange(n) + 0.5 for n in size)
    mask = np.zeros(size, dtype=bool)
    for y0, x0, y1, x1 in rows:
        mask |= ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))
    if not mask.any():
        name = images[v.STIMULUS].values[place] if v.STIMULUS in images.coords else place
        raise InputError(
            came=f"boxes {rows.tolist()} of image {name!s}, which cover no pixel of {size}",
            expected="y0, x0, y1, x1 in pixels of the image as the network takes it",
        )
    return mask


def checked_masks(masks: xr.DataArray, images: xr.DataArray) -> xr.DataArray:
    """Masks (stimulus, y, x) or (y, x) in memory, checked against images or maps of them."""
    wanted = [d for d in (v.STIMULUS, v.TIME) if d in getattr(masks, "dims", ())]
    if not isinstance(masks, xr.DataArray) or {*masks.dims} != {*wanted, v.Y, v.X}:
        raise InputError(
            came=f"masks of type {type(masks).__name__} with dims"
            f" {tuple(map(str, getattr(masks, 'dims', ())))}",
            expected="a bool DataArray with the dims ('stimulus', 'y', 'x')",
            hint="nc.box_masks(boxes, images)",
        )
    masks = masks.transpose(*wanted, v.Y, v.X)
    for dim in (*wanted, v.Y, v.X):
        require_same(masks, images, dim, "masks and images")
    found = masks.copy(data=_as_flags(masks))
    _refuse_trivial(found)
    return found


def _as_flags(masks: xr.DataArray) -> NDArray[np.bool_]:
    values = np.asarray(masks.values)
    if values.dtype == bool:
        return values
    require_finite(masks, "masks")
    if not np.isin(values, (0, 1)).all():
        raise InputError(
            came=f"masks of {values.dtype} with other values than 0 and 1",
            expected="true inside of the object, false outside",
            hint="masks = masks > 0.5",
        )
    return np.asarray(values.astype(bool))


def _refuse_trivial(masks: xr.DataArray) -> None:
    if not masks.size:
        raise InputError(came="no masks", expected="the mask of one image at least")
    area = np.atleast_1d(mask_area(masks.values))
    for what, bad in (("empty", area == 0), ("full", area == 1)):
        if bad.any():
            places = np.flatnonzero(bad)
            named = masks[v.STIMULUS].values if v.STIMULUS in masks.coords else np.arange(len(area))
            which = [str(np.atleast_1d(named)[i]) for i in places[:5]]
            more = ", ..." if len(places) > 5 else ""
            several = f"{len(places)} {what} masks, of the stimuli {', '.join(which)}{more}"
            raise InputError(
                came=several if masks.ndim > 2 else f"an {what} mask".replace("an f", "a f"),
                expected="objects that cover some pixels of the image, but not all",
                hint="leave these images out: masks.any(['y', 'x']) & ~masks.all(['y', 'x'])",
            )
