"""The field of a cell at chosen moments, beside its rate and the active modes (CODEC fig. 8B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import ConnectionPatch

from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.fields.describe import describe_fields, first_components
from neurocodec.plotting import style, timeline
from neurocodec.plotting.fields import (
    cropped,
    draw_courses,
    draw_map,
    is_light,
    name_colors,
)
from neurocodec.plotting.modes import draw_most_used
from neurocodec.plotting.responses import cell_names, draw_rate, lively_cells

COUNT: Final = 6
"""Moments in one figure."""


def plot_moments(
    fields: xr.Dataset,
    rates: xr.DataArray,
    loadings: xr.DataArray,
    *,
    cell: str | None = None,
    times: Sequence[float] | None = None,
    time: slice | None = None,
    recorded: xr.DataArray | None = None,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw the receptive field of a cell at some moments, with its rate and loadings of modes.

    Parameters
    ----------
    fields
        `nc.receptive_fields` of the cell at these times and perhaps others.
    rates
        Firing rates (time, cell), in Hz.
    loadings
        (time, mode) of one layer at the times of the rates.
    cell
        Its name; the liveliest of those with fields where None.
    times
        Moments, among those of the fields; the peaks of the rate within `time` where None.
    time
        Range of times in seconds; everything where None.
    recorded
        Recorded rates (time, cell), drawn behind the model's.
    note
        Added to the title, such as "simulated".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Rate and loadings on one time axis, with a line at each moment; below, the field at each,
        with its polarity: its map (red where more light raises the rate), of which the part that
        is near zero at all moments is left out, and its time course.

    Raises
    ------
    UnknownNameError
        Where the cell has no field, or no rate.
    InputError
        Where no field lies within the range, or there is none at a time.

    Examples
    --------
    >>> at = {"time": np.arange(4) / 10, "cell": ["a"]}
    >>> irf = xr.DataArray(np.ones((4, 1, 2, 3, 3)), at, ("time", "cell", "lag", "y", "x"))
    >>> rates = xr.DataArray([[1.0], [3.0], [1.0], [2.0]], at, ("time", "cell"))
    >>> loadings = xr.DataArray(np.ones((4, 1)), {"time": at["time"], "mode": [0]},
    ...                         ("time", "mode"))
    >>> figure = plot_moments(irf.to_dataset(name="irf"), rates, loadings, times=[0.1, 0.3])
    >>> len(figure.axes)  # rate, loadings, their scale, and a map and a course for each moment
    7
    """
    cell = _chosen(fields, rates, cell)
    one = fields.isel({v.CELL: cell_names(fields[v.CELL]).index(cell)})
    rate_of = rates.isel({v.CELL: cell_names(rates).index(cell)})
    chosen = _moments(one, rate_of, time) if times is None else _wanted(one, times)
    figure = figure or style.new_figure(5.4)
    grid = figure.add_gridspec(4, len(chosen), height_ratios=(1.1, 1.5, 1.6, 0.5))
    rate, modes = (figure.add_subplot(grid[i, :]) for i in range(2))
    draw_rate(rate, timeline.within(rates, time), cell, recorded, note)
    draw_most_used(modes, timeline.within(loadings, time), "loadings of the modes")
    modes.set_xlim(rate.get_xlim())
    rate.tick_params(labelbottom=False)
    _draw_fields(
        figure, [[grid[row, i] for row in (2, 3)] for i in range(len(chosen))], one, chosen
    )
    for panel, moment in zip(figure.axes[-2 * len(chosen) :: 2], chosen, strict=True):
        _connect(figure, rate, panel, moment)
    return figure


def _chosen(fields: xr.Dataset, rates: xr.DataArray, cell: str | None) -> str:
    """Name of a cell that has both fields and rates."""
    known = cell_names(fields[v.CELL])
    shared = [i for i, name in enumerate(cell_names(rates)) if name in known]
    if cell is None and shared:
        return lively_cells(rates.isel({v.CELL: shared}), 1)[0]
    names = [cell_names(rates)[i] for i in shared]
    return str(one_of("cell with fields", str(cell), names))


def _wanted(fields: xr.Dataset, times: Sequence[float]) -> list[float]:
    known, wanted = fields[v.TIME].values, [float(t) for t in times]
    missing = [t for t in wanted if t not in known]
    if missing or not wanted:
        raise InputError(
            came=f"no field at {missing or 'any time, as times is empty'}",
            expected=f"some of the {len(known)} times of the fields",
            hint=f"times=[{float(known[0])!r}]",
        )
    return wanted


def _moments(fields: xr.Dataset, rate: xr.DataArray, time: slice | None) -> list[float]:
    """The strongest moments with a field, no two close together, in order of time."""
    shown = timeline.within(rate, time)
    start, stop = timeline.time_range(shown)
    times = fields[v.TIME].values
    there = times[(times >= start) & (times <= stop) & np.isin(times, shown[v.TIME].values)]
    if not there.size:
        raise InputError(
            came=f"no field between {start:g} and {stop:g} s",
            expected="fields at times of the rates, within the range",
            hint=f"time=slice({float(times.min()):g}, {float(times.max()):g})",
        )
    apart, chosen = (stop - start) / (2 * COUNT), list[float]()
    for t in there[np.argsort(-shown.sel({v.TIME: there}).values, kind="stable")]:
        if len(chosen) < COUNT and all(abs(t - other) >= apart for other in chosen):
            chosen.append(float(t))
    return sorted(chosen)


def _draw_fields(
    figure: Figure, places: Sequence[Sequence[SubplotSpec]], fields: xr.Dataset, times: list[float]
) -> None:
    """Draw the fields of a cell at some times, each as a map over a time course."""
    fields = fields.isel({v.COMPONENT: 0}) if v.COMPONENT in fields.dims else fields
    fields = fields.sel({v.TIME: times})
    courses, images = first_components(fields)
    images, polarity = cropped(images), _polarity(fields, images)
    for i, (above, below) in enumerate(places):
        panel = figure.add_subplot(above)
        _draw_moment(panel, figure.add_subplot(below), courses[i], images[i])
        title = f"{times[i]:.2f} s {polarity[i]}".strip()
        panel.set_title(style.plain(title), fontsize=style.TEXT - 1.5, color=style.INK)
        if i == 0:
            name = f"field of\n{fields[v.CELL].item()}"
            panel.set_ylabel(style.plain(name), fontsize=style.TEXT - 1.5, color=style.INK)


def _polarity(fields: xr.Dataset, images: xr.DataArray) -> list[str]:
    """ON or OFF at each time; of fields in colours, of the colour with the largest weight."""
    found = describe_fields(fields)["polarity"]
    if v.COLOR not in found.dims:
        return [str(text) for text in found.values]
    best = abs(images).max((v.Y, v.X)).argmax(v.COLOR)
    names = images[v.COLOR].values[best.values]
    strongest = found.transpose(v.TIME, v.COLOR).isel({v.COLOR: best}).values
    return [f"{name} {text}" for name, text in zip(names, strongest, strict=True)]


def _draw_moment(panel: Axes, below: Axes, course: xr.DataArray, image: xr.DataArray) -> None:
    largest = float(np.abs(image.values).max())
    if not is_light(image):
        draw_map(panel, image, largest or 1.0)
    draw_courses(panel if is_light(image) else below, course)
    for ax in (panel, below):
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    name_colors(panel, image)


def _connect(figure: Figure, rate: Axes, panel: Axes, moment: float) -> None:
    rate.axvline(moment, color=style.TARGET, linewidth=0.9, linestyle=":")
    line = ConnectionPatch(
        (moment, 0.0),
        (0.5, 1.18),
        rate.get_xaxis_transform(),
        panel.transAxes,
        color=style.TARGET,
        linewidth=0.7,
        linestyle=":",
        alpha=0.6,
    )
    line.set_in_layout(False)
    figure.add_artist(line)
