"""`nc.localisation`: which part of a map's energy lies inside of an object."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.localisation import (
    PARTS,
    Part,
    energy_inside,
    mask_area,
    maximum_inside,
    part_of,
)
from neurocodec.labels import fingerprint, labelled, provenance, require_free_names, stamp
from neurocodec.maps.masks import checked_masks

MapsLike: TypeAlias = xr.Dataset | xr.DataArray | xr.DataTree
"""With `contribution_map`, such as a file of maps that was opened, or an array of maps."""

SCORES: Final = ("energy_inside", "localisation", "pointing")
_BYTES: Final = 2**27
"""Of maps that are looked at together."""


def localisation(maps: MapsLike, masks: xr.DataArray, *, of: Part = "absolute") -> xr.Dataset:
    """Score how well maps of pixels keep inside of objects.

    The map is summed over colors first, so that a pixel is one number; energy is then its size,
    or that of its positive or negative part.

    Parameters
    ----------
    maps
        As `nc.contribution_maps` returns them or wrote them into a file that `nc.open` opened, or
        a DataArray (stimulus, ..., color, y, x) of maps; `color` may be missing, and every other
        dim is kept.
    masks
        bool (stimulus, y, x), true inside of the object, for the same images in the same order;
        or (y, x) for all of them. See `nc.box_masks`.
    of
        What counts as energy: ``"absolute"`` |m| of the pixels, ``"positive"`` max(m, 0) or
        ``"negative"`` max(-m, 0).

    Returns
    -------
    xarray.Dataset
        Over all dims of the maps but color, y and x:

        - `energy_inside`: part of the energy inside, sum_inside E / sum E (energy-based pointing
          game, Wang et al. 2020, Score-CAM),
        - `localisation`: energy_inside / mask_area; 1 for a map that knows nothing of the object,
          at most 1 / mask_area,
        - `pointing`: 1 where the largest pixel is inside, else 0 (of several largest, their
          part; pointing game, Zhang et al. 2018); the chance of a random pixel is mask_area,

        and `mask_area` (stimulus), the part of the pixels that is inside. NaN where a map has no
        energy: none of its channels contributes.

    Raises
    ------
    InputError
        Where masks are empty, full, of other images or of another size.

    Examples
    --------
    >>> maps = xr.DataArray([[[3.0, 0.0], [0.0, -1.0]]], dims=("stimulus", "y", "x"))
    >>> mask = xr.DataArray([[True, False], [False, False]], dims=("y", "x"))
    >>> found = localisation(maps, mask)
    >>> found.energy_inside.item(), found.mask_area.item(), found.localisation.item()
    (0.75, 0.25, 3.0)
    """
    arguments.one_of("part of a map", of, PARTS)
    values = map_of(maps)
    inside = checked_masks(masks, values)
    require_free_names(values.coords, (*SCORES, "mask_area"), "the maps")
    found = _scored(values, inside, of)
    facts = {"of": of, "masks_sha256": fingerprint(inside.values)}
    made = provenance(maps) or provenance(values)
    return stamp(found, "nc.localisation", **facts, maps=made)


def map_of(maps: MapsLike) -> xr.DataArray:
    """Maps themselves, the dims y and x last, after `color` where there is one."""
    if isinstance(maps, xr.Dataset | xr.DataTree) and v.CONTRIBUTION_MAP in maps.data_vars:
        maps = maps.data_vars[v.CONTRIBUTION_MAP]
    if not isinstance(maps, xr.DataArray) or not {v.Y, v.X} <= {*maps.dims}:
        what = "variables" if hasattr(maps, "data_vars") else "dims"
        names = getattr(maps, "data_vars", getattr(maps, "dims", ()))
        raise InputError(
            came=f"maps of type {type(maps).__name__} with {what} {[*map(str, names)]}",
            expected=f"a Dataset with {v.CONTRIBUTION_MAP!r},"
            " or a DataArray with the dims 'y' and 'x'",
            hint="nc.contribution_maps(net, images, layer, modes=modes, target=target)",
        )
    if v.COLOR in maps.dims:
        return maps.transpose(..., v.COLOR, v.Y, v.X)
    return maps.transpose(..., v.Y, v.X)


def _scored(maps: xr.DataArray, masks: xr.DataArray, of: Part) -> xr.Dataset:
    """Scores of maps that are read some samples at a time."""
    sample = next((d for d in (v.STIMULUS, v.TIME) if d in masks.dims), "")
    dims = tuple(str(d) for d in maps.dims if d not in (v.COLOR, v.Y, v.X))
    first = next(iter(dims), "")
    parts = []
    for some in _blocks(maps, first):
        mask = masks[{sample: some}] if sample == first and sample else masks
        parts.append(score_arrays(maps[{first: some}] if first else maps, mask, of))
    found = {
        name: np.concatenate([p[name] for p in parts]) if first else parts[0][name]
        for name in SCORES
    }
    kept = {k: c for k, c in maps.coords.items() if {*c.dims} <= {*dims}}
    return xr.Dataset(
        {
            **{name: labelled(values, dims, name=name) for name, values in found.items()},
            "mask_area": labelled(
                mask_area(masks.values), [sample] if sample else [], name="mask_area"
            ),
        },
        coords=kept,
    )


def _blocks(maps: xr.DataArray, first: str) -> list[slice]:
    if not first:
        return [slice(None)]
    size = maps.sizes[first]
    step = max(1, _BYTES // max(1, 8 * maps.size // max(size, 1)))
    return [slice(start, start + step) for start in range(0, max(size, 1), step)]


def score_arrays(
    maps: xr.DataArray,  # as `map_of` gives them
    mask: xr.DataArray,  # (stimulus, y, x) or (y, x), checked
    of: Part,
) -> dict[str, NDArray[Any]]:
    """`SCORES` of some maps by name, over all of their dims but color, y and x."""
    pixels = maps.astype(np.float64)
    if v.COLOR in pixels.dims:
        pixels = pixels.sum(v.COLOR, skipna=False)
    energy = part_of(pixels.values, of)
    sample = [d for d in mask.dims if d not in (v.Y, v.X)]
    over = [pixels.sizes[d] if d in (*sample, v.Y, v.X) else 1 for d in pixels.dims]
    order = [d for d in pixels.dims if d in mask.dims]
    inside = mask.transpose(*order).values
    flags = inside.reshape(over if sample else inside.shape)
    share = energy_inside(energy, flags)
    return {
        "energy_inside": share,
        "localisation": share / mask_area(flags),
        "pointing": maximum_inside(energy, flags),
    }
