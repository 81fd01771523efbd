"""Where all cells look: the centres of their receptive fields, by type."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style


def plot_mosaic(
    shapes: xr.Dataset,
    *,
    by: str | None = None,
    um_per_pixel: float | None = None,
    names: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the centre of each cell's receptive field, as a circle of one standard deviation.

    Parameters
    ----------
    shapes
        Of `nc.describe_fields`, one field for each cell (cell).
    by
        Coordinate or variable of the cells that says which kind they are; None takes `cell_type`
        where there is one, else `polarity`.
    um_per_pixel
        Micrometres on the retina that a pixel spans: axes are in micrometres then.
    names
        Whether the cells' names are written.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.axes.Axes
        Cells without a field are left out, and their number is said in the title.

    Raises
    ------
    InputError
        Where there are no centres, or more than one for each cell.

    Examples
    --------
    >>> names = {"y_center": 3.0, "x_center": 4.0, "radius": 1.5}
    >>> shapes = xr.Dataset({k: ("cell", [x]) for k, x in names.items()}, {"cell": ["a"]})
    >>> len(plot_mosaic(shapes.assign_coords(polarity=("cell", ["ON"]))).patches)
    1
    """
    for name in ("y_center", "x_center", "radius"):
        if name not in shapes.variables or shapes[name].dims != (v.CELL,):
            raise InputError(
                came=f"shapes with the variables {sorted(map(str, shapes.variables))} over"
                f" {dict(shapes.sizes)}",
                expected=f"{name!r} of each cell, and no other dim",
                hint="nc.describe_fields(nc.spike_triggered_average(stimulus, responses))",
            )
    scale = 1.0 if um_per_pixel is None else arguments.at_least("um_per_pixel", um_per_pixel, 1e-9)
    places = np.stack([shapes[name].values for name in ("x_center", "y_center", "radius")], axis=1)
    seen = np.isfinite(places).all(axis=1)
    kinds = _kinds(shapes, by)[seen]
    colors = style.category_colors([*np.unique(kinds)])
    ax = style.new_axes(ax, 4.2, 4.6)
    cells = shapes[v.CELL].values if v.CELL in shapes.coords else np.arange(len(seen))
    drawn = set[str]()
    for (x, y, radius), kind, cell in zip(places[seen] * scale, kinds, cells[seen], strict=True):
        color = colors[kind]
        circle = Circle((x, y), radius, fill=False, edgecolor=color, linewidth=1)
        if kind not in drawn:  # once in the legend
            circle.set_label(style.plain(kind))
        drawn.add(kind)
        ax.add_patch(circle)
        if names:
            text = ax.text(x, y, style.plain(cell), ha="center", va="center", color=color)
            text.set_fontsize(style.TEXT - 2)
    ax.set_aspect("equal")
    ax.autoscale_view()
    ax.invert_yaxis()  # the first row of a frame is at the top
    units = "pixel" if um_per_pixel is None else "um"
    missing = len(seen) - int(seen.sum())
    title = f"{int(seen.sum())} cells" + f", {missing} without a field" * bool(missing)
    style.tidy(ax, title, xlabel=f"x ({units})", ylabel=f"y ({units})")
    if drawn and len(drawn) < 12:
        ax.legend(frameon=False, fontsize=style.TEXT - 1, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _kinds(shapes: xr.Dataset, by: str | None) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
    """What kind each cell is, as text; empty where nothing says so."""
    known = [n for n in ("cell_type", "polarity") if n in shapes.variables]
    name = (known[0] if known else None) if by is None else by
    if name is None:
        return np.full(shapes.sizes[v.CELL], "cells")
    if name not in shapes.variables or shapes[name].dims != (v.CELL,):
        raise InputError(
            came=f"by={by!r}",
            expected=f"a coordinate or variable of the cells: {sorted(map(str, shapes.variables))}",
        )
    return shapes[name].values.astype(str)
