"""The explorer: in a browser, pick a cell and a time and see its field, modes and channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

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
from neurocodec.reports.page import filled

LARGE: Final = 20_000_000
"""Characters from which a page is called large: a telephone has trouble to open it."""


def explorer_data(
    fields: xr.Dataset,  # nc.receptive_fields(net, movie, times=..., rank=1)
    rates: xr.DataArray,  # (time, cell) of the stretch that is shown, with the times of the fields
    loadings: Mapping[str, xr.DataArray],  # layer -> (time, mode), at the times of the rates
    dictionaries: Mapping[str, xr.DataArray],  # layer -> (mode, channel) or (mode, sign, channel)
    *,
    stimulus: xr.DataArray | None = None,  # (time, y, x); the newest frame of a field is shown
    recorded: xr.DataArray | None = None,  # (time, cell), at the times of the rates, of some cells
    recorded_name: str = "recorded rate",
    alike: float = 0.95,  # mean cosine from which modes of a layer stand in one row, at first
    note: str = "",  # shown above all else
) -> dict[str, Any]:
    """Gather and pack what the explorer shows, as a dict that JSON can hold; see `pack_fields`."""
    parts = field_arrays(fields)
    rates = labels.require_dims(rates, (v.TIME, v.CELL), "rates")
    if not rates.get_index(v.TIME).is_monotonic_increasing:
        raise InputError(
            came="rates whose times do not rise", expected="rates.time", hint="rates.sortby('time')"
        )
    moments = places(rates, parts[v.SPATIAL], v.TIME, "rates")
    shown = rates.isel({v.CELL: places(rates, parts[v.SPATIAL], v.CELL, "rates")})
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
        "stimulus": None if stimulus is None else pack_frames(stimulus, parts[v.SPATIAL]),
        "layers": pack_layers(loadings, dictionaries, shown, alike),
    }


def render_explorer(data: Mapping[str, Any], *, title: str | None = None) -> str:
    """The explorer as HTML by itself: a whole page with this title, or a fragment without."""
    page = filled("explorer.html.j2", data=dict(data), title=title, style=style)
    if len(page) > LARGE:
        warn(
            f"the explorer has {len(page) / 1e6:.0f} MB; fewer times or cells, or rank=1, "
            "make a page that opens everywhere"
        )
    return page
