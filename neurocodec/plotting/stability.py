"""Figures of how far modes can be trusted: stability across fits, and grids of settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.modes import draw_dictionary

_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
_PANELS: Final = (
    ("r2", "R2, held-out rows"),
    ("replicated_share", "replicated modes"),
    ("alive", "modes alive"),
)
_ROLES: Final = ("color", "marker", "column")
_USUAL: Final = {"l1_loading": "color", "expansion": "marker", "threshold": "column"}
_LEGENDS: Final[tuple[tuple[str, Literal["outside right upper", "outside right lower"]], ...]] = (
    ("color", "outside right upper"),
    ("marker", "outside right lower"),
)
_TALLEST: Final = 9.0
"""Height of a figure of many modes, in inches."""


def plot_stability(result: xr.Dataset, *, note: str = "", figure: Figure | None = None) -> Figure:
    """Draw the consensus dictionary and how well each fit has each of its modes.

    Parameters
    ----------
    result
        As `nc.mode_stability` returns it.
    note
        Added to the title, such as " (simulated)".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        One mode per row, the most stable at the top. Left its channels, each mode divided by its
        largest; right its cosine with the other fits, one dot per fit and a tick at the median,
        over a bar that reaches as far as the closest mode of shuffled rows. A vertical line is at
        the cosine from which a mode is stable. Modes above chance are coloured: those whose tick
        is beyond the line, and beyond the bar by the margin of `nc.mode_stability`, and along
        which rows vary more than by accident.

    Raises
    ------
    InputError
        Where it is no result of `nc.mode_stability`.

    Examples
    --------
    >>> from neurocodec import SparseModes, mode_stability
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 4)), dims=("time", "channel"))
    >>> quick = SparseModes(expansion=1, epochs=1)
    >>> figure = plot_stability(mode_stability(rows, quick, seeds=2, progress=False))
    >>> len(figure.axes)
    2
    """
    _require(result, ("dictionary", "matched_cosine", "chance", "above_chance"), "mode_stability")
    order = np.argsort(-result["stability"].values, kind="stable")
    shown = result.isel({v.MODE: order})
    figure = figure or style.new_figure(min(0.11 * len(order) + 1.8, _TALLEST))
    left, right = figure.subplots(1, 2, width_ratios=[1, 2], sharey=True)
    draw_dictionary(left, shown["dictionary"], "consensus modes")
    left.set_xlabel("channel (each mode / its largest)", fontsize=style.TEXT)
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel("mode", fontsize=style.TEXT)
    draw_matches(right, shown)
    style.tidy(right, _headline(result) + note, xlabel="cosine with the mode of all other fits")
    figure.legend(frameon=False, fontsize=style.TEXT - 1.5, loc="outside lower right", ncols=4)
    return figure


def _headline(result: xr.Dataset) -> str:
    count, above = result.sizes[v.MODE], int(result["above_chance"].sum())
    cosine = labels.provenance(result).get("cosine", 0.9)
    stable = int((result["stability"] >= cosine).sum())
    return f"{stable} of {count} modes stable (cosine >= {cosine:g}), {above} also above chance"


def draw_matches(ax: Axes, result: xr.Dataset) -> None:
    """Draw the cosines of each mode across fits, one mode per row, with chance as a bar."""
    rows = np.arange(result.sizes[v.MODE])
    ax.barh(
        rows,
        result["chance"].values,
        height=1.0,
        color=style.RECORDED,
        label="chance: closest mode of shuffled rows",
    )
    ax.axvline(labels.provenance(result).get("cosine", 0.9), color=style.MUTED, linewidth=0.8)
    colors = np.where(result["above_chance"].values, style.CATEGORIES[0], style.MUTED)
    for kind, marker in (("seed", "."), ("bootstrap", "x")):
        for fit in result["matched_cosine"].values[result[v.KIND].values == kind]:
            ax.scatter(fit, rows, s=14, c=colors, marker=marker, linewidth=0.7, alpha=0.7)
    ax.scatter(result["stability"].values, rows, s=40, c=colors, marker="|", linewidth=1.6)
    _describe(ax, "dot: seed" if (result[v.KIND] == "seed").all() else "dot: seed, x: resampled")
    lowest = min(float(result[name].min()) for name in ("matched_cosine", "chance"))
    ax.set(xlim=(lowest - 0.05, 1.02), ylim=(len(rows) - 0.5, -0.5))


def _describe(ax: Axes, dots: str) -> None:
    """Entries of the legend that no single artist stands for."""
    blue = style.CATEGORIES[0]
    ax.plot([], [], ".", color=blue, label=style.plain(f"stable and above chance ({dots})"))
    ax.plot([], [], ".", color=style.MUTED, label="not both")
    ax.plot([], [], "|", color=style.INK, markeredgewidth=1.6, label="median over fits")


def plot_sweep(result: xr.Dataset, *, note: str = "", figure: Figure | None = None) -> Figure:
    """Draw a grid of settings: R2, replicated and living modes against the active modes of a row.

    Parameters
    ----------
    result
        As `nc.sweep` returns it, with up to three settings of more than one value.
    note
        Added to the titles, such as " (simulated)".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Colours for one setting, markers for the second, columns for the third (`l1_loading`,
        `expansion` and `threshold` where they are among them). Large symbols are means over
        seeds, joined along the colours; small ones are single fits. Combinations that are not
        fitted yet are left out.

    Raises
    ------
    InputError
        Where it is no result of `nc.sweep`, or more than three settings have several values.

    Examples
    --------
    >>> from neurocodec import SparseModes, sweep
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 4)), dims=("time", "channel"))
    >>> quick = SparseModes(expansion=1, epochs=1)
    >>> figure = plot_sweep(sweep(rows, modes=quick, l1_loading=[0.1, 0.4], progress=False))
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['R2, held-out rows', 'replicated modes', 'modes alive']
    """
    _require(result, [name for name, _ in _PANELS], "sweep")
    looks = _looks(result)
    result = _without_single(result, looks)
    columns = looks["column"].values
    figure = figure or style.new_figure(6.6, min(2.6 * len(columns) + 2.6, 14.0))
    panels = figure.subplots(3, len(columns), squeeze=False, sharex=True, sharey="row")
    for (row, (name, label)), (column, value) in itertools.product(
        enumerate(_PANELS), enumerate(columns)
    ):
        ax = panels[row, column]
        part = result.isel({looks["column"].name: column}) if looks["column"].name else result
        _draw_curves(ax, part, name, looks)
        title = f"{looks['column'].name} {value}" if looks["column"].name else "sweep"
        style.tidy(
            ax,
            f"{title}{note}" if row == 0 else "",
            xlabel="active modes of a row (mean)" if row == 2 else "",
            ylabel=label if column == 0 else "",
        )
        if name != "r2":
            ax.set_ylim(-0.03, 1.03)
    _draw_legends(figure, looks)
    return figure


@dataclass(frozen=True)
class _Look:
    """How the values of one setting are told apart; no setting where the name is empty."""

    name: str
    values: tuple[Any, ...]
    marks: tuple[str, ...]


def _looks(result: xr.Dataset) -> dict[str, _Look]:
    """Which setting each role shows, with a mark for each of its values."""
    roles = _roles(result)
    looks = {}
    for role in _ROLES:
        name = roles.get(role, "")
        values = tuple(result[name].values.tolist()) if name else ("",)
        looks[role] = _Look(name, values, _marks(role, values))
    return looks


def _roles(result: xr.Dataset) -> dict[str, str]:
    """Role -> setting: the usual one where there is, the next free one otherwise."""
    settings = [str(d) for d in result["r2"].dims if d != v.SEED]
    several = [s for s in settings if result.sizes[s] > 1] or settings[:1]
    if len(several) > len(_ROLES):
        raise InputError(
            came=f"a sweep of {len(several)} settings: {', '.join(several)}",
            expected="at most three with more than one value",
            hint=f"nc.plotting.plot_sweep(result.isel({several[-1]}=0))",
        )
    free = list(_ROLES[: len(several)])
    roles: dict[str, str] = {}
    for setting in several:
        if _USUAL.get(setting) in free:
            roles[_USUAL[setting]] = setting
            free.remove(_USUAL[setting])
    rest = [s for s in several if s not in roles.values()]
    return {**roles, **dict(zip(free, rest, strict=True))}


def _without_single(result: xr.Dataset, looks: Mapping[str, _Look]) -> xr.Dataset:
    """Result without the settings that are not shown, which have one value."""
    shown = {v.SEED, *(look.name for look in looks.values())}
    return result.isel({d: 0 for d in result["r2"].dims if d not in shown})


def _marks(role: str, values: tuple[Any, ...]) -> tuple[str, ...]:
    """A colour (along a scale for numbers) or a marker for each value."""
    if role != "color":
        return tuple(itertools.islice(itertools.cycle(_MARKERS), len(values)))
    if len(values) == 1 or any(isinstance(value, str) for value in values):
        return tuple(itertools.islice(itertools.cycle(style.CATEGORIES), len(values)))
    ranks = np.argsort(np.argsort(values)) / (len(values) - 1)
    return tuple(to_hex(colormaps["viridis"](0.9 * rank)) for rank in ranks)


def _draw_curves(ax: Axes, part: xr.Dataset, name: str, looks: Mapping[str, _Look]) -> None:
    """Draw one figure of merit over the active modes, one curve per marker."""
    for marker, curve in _along(part, looks["marker"]):
        points = list(_along(curve, looks["color"]))
        means = [(_mean(one, "l0"), _mean(one, name)) for _, one in points]
        ax.plot(*zip(*means, strict=True), color=style.RECORDED, linewidth=1.2, zorder=1)
        for (color, one), (x, y) in zip(points, means, strict=True):
            if v.SEED in one[name].dims:
                ax.plot(one["l0"], one[name], ls="", marker=marker, ms=3, color=color, alpha=0.6)
            ax.plot(x, y, ls="", marker=marker, ms=7, color=color, markeredgecolor="white")
    ax.locator_params(nbins=5)


def _along(part: xr.Dataset, look: _Look) -> Iterator[tuple[str, xr.Dataset]]:
    """Mark and part of each value of a setting."""
    if not look.name:
        yield look.marks[0], part
        return
    for position in np.argsort(part[look.name].values, kind="stable"):
        yield look.marks[position], part.isel({look.name: position})


def _mean(part: xr.Dataset, name: str) -> float:
    """Mean over seeds; NaN where there are none yet."""
    values = part[name].values
    return float(values.mean()) if values.size else float("nan")


def _draw_legends(figure: Figure, looks: Mapping[str, _Look]) -> None:
    """Draw a legend for colours and one for markers, at the right."""
    for role, place in _LEGENDS:
        look = looks[role]
        if not look.name:
            continue
        handles = [
            Line2D(
                [],
                [],
                ls="",
                marker=mark if role == "marker" else "o",
                label=style.plain(str(value)),
            )
            for mark, value in zip(look.marks, look.values, strict=True)
        ]
        for handle, mark in zip(handles, look.marks, strict=True):
            handle.set_color(mark if role == "color" else style.INK)
        figure.legend(
            handles=handles,
            loc=place,
            title=style.plain(look.name),
            frameon=False,
            fontsize=style.TEXT - 1,
            title_fontsize=style.TEXT - 1,
        )


def _require(result: xr.Dataset, names: tuple[str, ...] | list[str], function: str) -> None:
    if isinstance(result, xr.Dataset) and set(names) <= set(result.data_vars):
        return
    came = f"a {type(result).__name__}"
    if isinstance(result, xr.Dataset):
        came += f" with variables {[*map(str, result.data_vars)]}"
    raise InputError(
        came=came, expected=f"a result of nc.{function}", hint=f"nc.{function}(tree['layer1'])"
    )
