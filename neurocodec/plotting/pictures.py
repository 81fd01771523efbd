"""Figures of pictures made by ascent: what excites and what inhibits, beside the images."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style

FRAMES: Final = 8
"""Of a movie, at equal distances, the last of which is the newest."""
CLEAR: Final = 0.98
"""Quantile of the opacity that is drawn as wholly clear."""
MOST: Final = 400
"""Pictures in a figure."""
ROUNDING: Final = 1e-3
"""By which pictures may leave the range that a screen has."""


def plot_pictures(
    found: xr.Dataset, images: xr.DataArray | None = None, *, mask: bool = True, title: str = ""
) -> Figure:
    """Draw pictures made by ascent, each with the target that it reaches.

    Parameters
    ----------
    found
        As `nc.visualise` or `nc.invert` returns it, or a part of it. Of images the last of the
        outer dims (`sign`, `feature`) makes columns, the others rows; of movies frames do.
    images
        Pictures (stimulus, color, y, x) between 0 and 1, which go first; `stimulus` is then a dim
        of `found`.
    mask
        Whether what the picture does not depend on fades into white.
    title
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import torch
    >>> import neurocodec as nc
    >>> module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> shown = np.random.default_rng(0).normal(size=(16, 3, 4, 4)).astype("float32")
    >>> found = nc.visualise(nc.Network(module, []), nc.targets.Output(0), steps=20, progress=False,
    ...                      like=xr.DataArray(shown, dims=("stimulus", "color", "y", "x")))
    >>> figure = plot_pictures(found)
    """
    name = next((n for n in (v.IMAGE, v.STIMULUS) if n in found), None)
    if name is None or v.OPACITY not in found:
        raise InputError(
            came=f"a result with {sorted(map(str, found))}",
            expected="pictures, as nc.visualise or nc.invert returns them",
        )
    made = found[name]
    outer = [d for d in made.dims if d not in (v.COLOR, v.LAG, v.Y, v.X)]
    if np.prod([made.sizes[d] for d in outer]) > MOST:
        raise InputError(
            came=f"pictures of {dict(found[v.OPACITY].sizes)}",
            expected=f"at most {MOST} in a figure",
            hint="found.isel(feature=slice(10))",
        )
    if v.LAG in made.dims:
        return _movies(found, made, outer, title)
    return _images(found, made, outer, images, mask=mask, title=title)


def _images(
    found: xr.Dataset,
    made: xr.DataArray,
    outer: list[Any],
    images: xr.DataArray | None,
    *,
    mask: bool,
    title: str,
) -> Figure:
    columns = made.sizes[outer[-1]] if outer else 1
    rows = int(np.prod([made.sizes[d] for d in outer[:-1]])) if outer else 1
    before = 0 if images is None else 1
    figure = style.new_figure(0.6 + 1.6 * rows, 0.4 + 1.5 * (columns + before))
    grid = figure.subplots(rows, columns + before, squeeze=False)
    for place in np.ndindex(rows, columns):
        where = _where(made, outer, place)
        one, clear = made.isel(where), found[v.OPACITY].isel(where)
        ax = grid[place[0], place[1] + before]
        ax.imshow(seen(one.assign_attrs(made.attrs), clear if mask else None))
        ax.set_title(style.plain(", ".join(_words(found, where))), fontsize=style.TEXT - 1)
    given = made if images is None else images
    for row in range(rows * before):
        where = _where(made, outer, (row, 0))
        ax = grid[row, 0]
        ax.imshow(displayed(given.isel({v.STIMULUS: where.get(v.STIMULUS, 0)})))
        ax.set_title("image", fontsize=style.TEXT - 1)
    return _finished(figure, grid, title)


def _movies(found: xr.Dataset, made: xr.DataArray, outer: list[Any], title: str) -> Figure:
    rows = int(np.prod([made.sizes[d] for d in outer]))
    lags = np.unique(np.linspace(0, made.sizes[v.LAG] - 1, FRAMES).astype(int))
    figure = style.new_figure(0.6 + 1.2 * rows, 0.4 + 1.1 * len(lags))
    grid = figure.subplots(rows, len(lags), squeeze=False)
    for row in range(rows):
        places = np.unravel_index(row, [made.sizes[d] for d in outer]) if outer else ()
        where = dict(zip(outer, map(int, places), strict=True))
        one = made.isel(where)
        middle = float(one.mean())
        size = style.robust_limit(np.asarray(one) - middle)
        for ax, lag in zip(grid[row], lags, strict=True):
            frame = one.isel({v.LAG: int(lag)})
            frame = frame.mean(v.COLOR) if v.COLOR in frame.dims else frame
            ax.imshow(frame, cmap="gray", vmin=middle - size, vmax=middle + size)
            if not row and v.LAG in made.coords:
                unit = made[v.LAG].attrs.get("units", "")
                label = f"{float(made[v.LAG][int(lag)]):.3g} {unit}".strip()
                ax.set_xlabel(style.plain(label), fontsize=style.TEXT - 1)
                ax.xaxis.set_label_position("top")
        words = "\n".join(_words(found, where))  # a row is too low for one line
        grid[row, 0].set_ylabel(style.plain(words), fontsize=style.TEXT - 1)
    return _finished(figure, grid, title)


def _where(made: xr.DataArray, outer: list[Any], place: tuple[int, ...]) -> dict[Any, int]:
    if not outer:
        return {}
    before = np.unravel_index(place[0], [made.sizes[d] for d in outer[:-1]] or [1])
    places: list[Any] = [*(before if len(outer) > 1 else ()), place[1]]
    return dict(zip(outer, map(int, places), strict=True))


def seen(one: xr.DataArray, clear: xr.DataArray | None) -> NDArray[np.float64]:
    """Picture (y, x, 3) from 0 to 1 of one made by ascent, faded where nothing depends on it."""
    low, high = (np.asarray(one.attrs[n], dtype=float) for n in ("darkest", "brightest"))
    values = np.asarray(one.transpose(v.Y, v.X, v.COLOR) if v.COLOR in one.dims else one)
    values = values.reshape(*values.shape[:2], -1)
    span = np.where(high > low, high - low, 1)
    picture: NDArray[np.float64] = _in_three(np.clip((values - low) / span, 0, 1))
    if clear is not None:
        strength = np.asarray(clear)
        most = np.quantile(strength, CLEAR) or 1.0
        alpha = np.clip(strength / most, 0, 1)[..., None]
        picture = np.clip(alpha * picture + (1 - alpha), 0, 1)  # rounding would be above 1
    return picture


def displayed(image: xr.DataArray) -> NDArray[np.float64]:
    """Picture (y, x, 3) from 0 to 1 of an image that people look at."""
    values = np.asarray(image.transpose(v.Y, v.X, ...), dtype=float)
    low, high = float(values.min()), float(values.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise InputError(
            came=f"pictures from {low:.3g} to {high:.3g}",
            expected="from 0 (black) to 1, as people see them, not as a network takes them",
            hint="images * deviation + mean of the network's preprocessing; images / 255 of bytes",
        )
    picture: NDArray[np.float64] = np.clip(_in_three(np.atleast_3d(values)), 0, 1)
    return picture


def _in_three(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three colours; grey of any other number."""
    grey: NDArray[np.float64] = values.mean(2, keepdims=True).repeat(3, 2)
    return values if values.shape[2] == 3 else grey


def deviations(score: float) -> str:
    """By how many standard deviations a target is above its mean."""
    return f"{score:+.1f} sd".replace("-", "\N{MINUS SIGN}")


def _words(found: xr.Dataset, where: dict[Any, int]) -> list[str]:
    """Labels of the outer dims, and how far the target is from its mean."""
    words = [str(found[d].values[i]) if d in found.coords else str(i) for d, i in where.items()]
    words = [f"{d} {w}" if d == v.DRAW else w for d, w in zip(where, words, strict=True)]
    if v.TARGET_SCORE in found:
        words.append(deviations(float(found[v.TARGET_SCORE].isel(where))))
    if v.CONFIRMED in found and not bool(found[v.CONFIRMED].isel(where)):
        words.append("not confirmed")
    return words


def _finished(figure: Figure, grid: NDArray[Any], title: str) -> Figure:
    for ax in grid.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_visible(False)
    if title:
        figure.suptitle(style.plain(title), fontsize=style.TEXT + 1)
    return figure
