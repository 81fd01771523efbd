"""The explorer: in a browser, pick a cell and a time and see its field, modes and channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, warn
from neurocodec.plotting import style
from neurocodec.reports.explorer_arrays import (
    field_arrays,
    pack,
    pack_cells,
    pack_fields,
    pack_frames,
    pack_layers,
    pack_recorded,
    pack_trace,
    places,
)

LARGE: Final = 20_000_000
"""Characters from which a page is called large: a telephone has trouble to open it."""


def explorer_data(
    fields: xr.Dataset,
    rates: xr.DataArray,
    loadings: Mapping[str, xr.DataArray],
    dictionaries: Mapping[str, xr.DataArray],
    *,
    stimulus: xr.DataArray | None = None,
    recorded: xr.DataArray | None = None,
    recorded_name: str = "recorded rate",
    alike: float = 0.95,
    note: str = "",
) -> dict[str, Any]:
    """Gather and pack what the explorer shows, as a dict that JSON can hold.

    Spatial maps are held in 127 steps of the largest magnitude of each map, so that no value is
    off by more than 1/254 of it, and cropped to where the cell has any field; temporal courses
    are held to 1/65,534; all other numbers as they are, in single precision (times in double).

    Parameters
    ----------
    fields
        Receptive fields with `temporal` (time, cell, component, lag), `spatial` (time, cell,
        component, y, x) and `energy_share` (time, cell, component) at a choice of times, as
        ``nc.receptive_fields(net, movie, times=..., rank=1)`` returns them.
    rates
        Firing rates (time, cell) of the stretch that is shown, which holds the times and the
        cells of `fields`.
    loadings
        Layer -> loadings (time, mode), at the times of `rates`.
    dictionaries
        Layer -> dictionary (mode, channel) or (mode, sign, channel).
    stimulus
        Movie (time, y, x) that has the times of `fields`: its newest frame is shown.
    recorded
        Recorded rates (time, cell) at the times of `rates`, of all or some of its cells.
    recorded_name
        What they are called; "simulated rate" where a simulation stands for the recording.
    alike
        Near-copies, modes of a layer whose mean cosine is at least this (see `nc.merge_modes`),
        stand in one row until the reader asks for all.
    note
        Shown above all else, such as "simulated".

    Returns
    -------
    dict
        What `render_explorer` takes. Arrays are packed as `explorer_arrays.unpack` takes them.

    Raises
    ------
    InputError
        Where variables, dims, times, cells, layers or modes are missing or do not agree, or a
        number is not finite.

    Examples
    --------
    >>> from neurocodec.reports.explorer_arrays import unpack
    >>> times, dims = [0.1, 0.2], ("time", "cell", "component")
    >>> fields = xr.Dataset(
    ...     {
    ...         "temporal": ((*dims, "lag"), np.ones((1, 1, 1, 1))),
    ...         "spatial": ((*dims, "y", "x"), np.ones((1, 1, 1, 2, 2))),
    ...         "energy_share": (dims, np.ones((1, 1, 1))),
    ...     },
    ...     {"time": times[:1], "cell": ["a"], "lag": [0.0]},
    ... )
    >>> rates = xr.DataArray([[3.0], [4.0]], {"time": times, "cell": ["a"]}, ("time", "cell"))
    >>> loadings = xr.DataArray([[0.5], [0.0]], {"time": times, "mode": [0]}, ("time", "mode"))
    >>> dictionary = xr.DataArray([[1.0, 2.0]], {"mode": [0]}, ("mode", "channel"))
    >>> data = explorer_data(fields, rates, {"layer1": loadings}, {"layer1": dictionary})
    >>> data["cells"]["names"], unpack(data["fields"]["peak"]).ravel().tolist()
    (['a'], [1.0])
    """
    parts = field_arrays(fields)
    rates = labels.require_dims(rates, (v.TIME, v.CELL), "rates")
    if not rates.get_index(v.TIME).is_monotonic_increasing:
        raise InputError(
            came="rates whose times do not rise", expected="rates.time", hint="rates.sortby('time')"
        )
    moments = places(rates, parts["spatial"], v.TIME, "rates")
    shown = rates.isel({v.CELL: places(rates, parts["spatial"], v.CELL, "rates")})
    labels.require_finite(shown, "rates")
    return {
        "note": note,
        "cells": pack_cells(fields, shown),
        "time": pack(shown[v.TIME].values, np.float64),
        "moments": moments.tolist(),
        "rate": pack_trace(shown),
        "recorded": None
        if recorded is None
        else {"name": recorded_name, **pack_recorded(recorded, shown)},
        "fields": pack_fields(parts),
        "stimulus": None if stimulus is None else pack_frames(stimulus, parts["spatial"]),
        "layers": pack_layers(loadings, dictionaries, shown, alike),
    }


def render_explorer(data: Mapping[str, Any], *, title: str | None = None) -> str:
    """Write the explorer as HTML that needs no network and no other file.

    Parameters
    ----------
    data
        As `explorer_data` returns it.
    title
        Makes a whole page with this title; None makes a fragment, to stand inside of a page.

    Examples
    --------
    >>> render_explorer({"cells": {"names": []}}).lstrip()[:8]
    '<section'
    """
    environment = Environment(
        loader=PackageLoader("neurocodec.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    page = environment.get_template("explorer.html.j2").render(
        data=dict(data),
        title=title,
        style=style,
    )
    if len(page) > LARGE:
        warn(
            f"the explorer has {len(page) / 1e6:.0f} MB; fewer times or cells, or rank=1, "
            "make a page that opens everywhere"
        )
    return page
