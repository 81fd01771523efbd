"""Figures of combinations of modes: the fields of cells while they are active (CODEC fig. 8D)."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.cells.combinations import EXAMPLE
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.fields import draw_map, name_colors

_SIZE: Final = 1.05
"""Of a map, in inches."""
_VISIBLE: Final = 0.08
"""Pixels below this part of a cell's largest weight are not shown, where maps are cut out."""


def plot_combinations(
    fields: xr.Dataset,
    alone: xr.Dataset,
    together: xr.Dataset,
    *,
    cells: int = 4,
    count: int = 4,
    crop: bool = True,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw fields of cells while one mode was active alone, and while several were (CODEC fig. 8D).

    Parameters
    ----------
    fields
        `nc.receptive_fields` at the times of both kinds of examples, with a rank (drawn is the
        spatial map of the first component) or whole (drawn is the lag with the largest weights).
    alone
        `nc.combination_times` of one mode alone, of several cells; of a cell the first example is
        drawn.
    together
        `nc.combination_times` of combinations; one row per cell.
    cells
        Cells to draw, spread over those that have the most examples.
    count
        Examples per cell.
    crop
        Whether to cut out the part of the stimulus in which the cell's maps are.
    note
        Added to the title, such as "simulated".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Left one map per cell, with the mode's name; right a row of maps per cell, each with the
        modes that were active. Below each map the firing rate; red is where more light raises it
        and blue where it lowers it, in parts of each map's largest weight.

    Raises
    ------
    InputError
        Where the fields are not those of the examples, or there is no example at all.

    Examples
    --------
    >>> from neurocodec.cells.combinations import combination_times
    >>> time, cell = {"time": [0.0, 1.0]}, {"cell": ["a"]}
    >>> loadings = xr.DataArray([[1.0, 0.0], [1.0, 2.0]], time, ("time", "mode"))
    >>> rates = xr.DataArray([[5.0], [9.0]], {**time, **cell}, ("time", "cell"))
    >>> maps = np.random.default_rng(0).normal(size=(2, 1, 1, 5, 5))
    >>> irf = xr.DataArray(maps, {**time, **cell}, ("time", "cell", "lag", "y", "x"))
    >>> figure = plot_combinations(irf.to_dataset(name="irf"),
    ...                            combination_times(loadings, rates, modes=0),
    ...                            combination_times(loadings, rates))
    >>> [ax.get_title() for ax in figure.axes if ax.images]
    ['0', '0 1', '0']
    """
    if not (alone.sizes[EXAMPLE] or together.sizes[EXAMPLE]):
        raise InputError(
            came="no example of a mode alone or of a combination",
            expected="times at which modes drive a cell",
            hint="a lower min_rate, or nc.merge_modes(loadings, dictionary) if modes have copies",
        )
    left_rows = [row[0] for row in _rows(alone, cells, 1)]
    right_rows = _rows(together, cells, count)
    height = max(len(left_rows), len(right_rows), 1)
    figure = figure or style.new_figure(1.45 * _SIZE * height + 0.6, _SIZE * (count + 1.6) + 1.6)
    grid = figure.add_gridspec(1, 2, width_ratios=[1.25, max(count, 1)])
    left, right = (figure.add_subfigure(grid[0, i]) for i in range(2))
    windows = _windows(fields, alone, together) if crop else {}
    _draw(left, fields, alone, [[i] for i in left_rows], windows=windows, height=height)
    _draw(right, fields, together, right_rows, windows=windows, height=height, columns=count)
    for part, title in ((left, "one mode alone"), (right, f"combinations of modes{note}")):
        part.suptitle(style.plain(title), x=0.02, ha="left", fontsize=style.TEXT, fontweight="bold")
    return figure


def _rows(examples: xr.Dataset, cells: int, count: int) -> list[list[int]]:
    """First examples of cells that are spread over all that have the most examples."""
    names = examples[v.CELL].values
    all_rows = [np.flatnonzero(names == n)[:count].tolist() for n in dict.fromkeys(names.tolist())]
    if not all_rows:  # no mode is ever active alone
        return []
    most = max(map(len, all_rows))
    full = [i for i, rows in enumerate(all_rows) if len(rows) == most]
    rest = [i for i in range(len(all_rows)) if i not in full]
    spread = [full[i] for i in np.linspace(0, len(full) - 1, cells).round().astype(int)]
    chosen = spread if len(full) >= cells else [*full, *rest][:cells]
    return [all_rows[i] for i in sorted(chosen)]


def _draw(
    part: SubFigure,
    fields: xr.Dataset,
    examples: xr.Dataset,
    rows: list[list[int]],
    *,
    windows: dict[str, tuple[slice, slice]],
    height: int,
    columns: int = 1,
) -> None:
    axes = part.subplots(height, columns, squeeze=False)
    for ax in axes.ravel():
        ax.set_axis_off()
    for row, line in zip(rows, axes, strict=False):
        for i, ax in zip(row, line, strict=False):
            _draw_map(ax, fields, examples.isel({EXAMPLE: i}), windows)
        line[0].set_axis_on()
        line[0].set_ylabel(
            style.plain(str(examples[v.CELL].values[row[0]])),
            fontsize=style.TEXT - 1.5,
            color=style.INK,
        )


def _draw_map(
    ax: Axes, fields: xr.Dataset, example: xr.Dataset, windows: dict[str, tuple[slice, slice]]
) -> None:
    shown = _map_of(fields, example)
    window = windows.get(str(example[v.CELL].item()))
    shown = shown if window is None else shown[..., *window]
    limit = float(np.abs(shown.values).max()) or 1.0
    ax.set_axis_on()
    draw_map(ax, shown, limit)
    ax.set(xticks=[], yticks=[])
    name_colors(ax, shown)
    ax.spines[:].set_color(style.MUTED)
    ax.set_title(style.plain(_names(example)), fontsize=style.TEXT - 2.5, color=style.INK, pad=2)
    ax.set_xlabel(
        style.plain(f"{float(example['firing_rate']):.3g} Hz"),
        fontsize=style.TEXT - 2.5,
        color=style.INK,
        labelpad=2,
    )


def _names(example: xr.Dataset) -> str:
    """Active modes, two or three per line."""
    names = str(example[v.COMBINATION].item()).split("+")
    return "\n".join(" ".join(names[i : i + 3]) for i in range(0, len(names), 3))


def _map_of(fields: xr.Dataset, example: xr.Dataset) -> xr.DataArray:
    """Spatial map (y, x), or (color, y, x), of the field of an example, its pixels numbered."""
    variable = v.SPATIAL if v.SPATIAL in fields else v.IRF
    if variable not in fields:
        raise InputError(
            came=f"fields with the variables {[*map(str, fields)]}", expected="'spatial' or 'irf'"
        )
    field = _at(fields[variable], example).drop_vars((v.Y, v.X), errors="ignore")
    colors = (v.COLOR,) if v.COLOR in field.dims else ()
    if variable == v.SPATIAL:
        return field.isel({v.COMPONENT: 0}).transpose(*colors, v.Y, v.X)
    whole = field.transpose(v.LAG, *colors, v.Y, v.X)
    return whole[int((whole.values**2).sum(axis=tuple(range(1, whole.ndim))).argmax())]


def _at(fields: xr.DataArray, example: xr.Dataset) -> xr.DataArray:
    """Field of the example's cell at its time."""
    place = {}
    if v.TIME not in example.coords:
        raise InputError(
            came="examples without times",
            expected="times, at which the fields are found",
            hint="loadings.assign_coords(time=rates.time)",
        )
    for dim in (v.TIME, v.CELL):
        known, wanted = fields[dim].values, example[dim].values
        if dim == v.CELL:  # names, also where they are numbers
            known, wanted = known.astype(str), wanted.astype(str)
        found = np.flatnonzero(known == wanted)
        if not len(found):
            raise InputError(
                came=f"fields without the {dim} {example[dim].item()!r} of an example",
                expected="fields of all examples",
                hint="nc.receptive_fields(net, movie, times=np.unique(examples.time), rank=1)",
            )
        place[dim] = int(found[0])
    return fields.isel(place)


def _windows(fields: xr.Dataset, *kinds: xr.Dataset) -> dict[str, tuple[slice, slice]]:
    """Square part of the stimulus, of each cell, that holds all of its maps."""
    largest = dict[str, NDArray[np.float64]]()
    for examples in kinds:
        for i in range(examples.sizes[EXAMPLE]):
            example = examples.isel({EXAMPLE: i})
            size = np.abs(_map_of(fields, example).values)
            size = size.max(axis=0) if size.ndim > 2 else size
            name = str(example[v.CELL].item())
            size = size / (size.max() or 1.0)
            largest[name] = np.maximum(largest.get(name, size), size)
    return {name: _window(size) for name, size in largest.items()}


def _window(size: NDArray[np.float64]) -> tuple[slice, slice]:
    rows, columns = np.nonzero(size >= _VISIBLE)
    if not len(rows):
        return slice(None), slice(None)
    side = 3 + int(max(np.ptp(rows), np.ptp(columns)))
    return (_slice(rows, side, size.shape[0]), _slice(columns, side, size.shape[1]))


def _slice(places: NDArray[np.intp], side: int, whole: int) -> slice:
    start = int(places.min() + places.max() - side + 1) // 2
    start = max(0, min(start, whole - side))
    return slice(start, min(whole, start + side))
