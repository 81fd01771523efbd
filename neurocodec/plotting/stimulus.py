"""Figures of stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from neurocodec import clock, labels
from neurocodec import vocabulary as v
from neurocodec.plotting import style, timeline
from neurocodec.plotting.fields import is_light

TALLEST: Final = 5.0
"""Of all strips together, in inches; of taller ones the frames are narrower."""


def strip_height(stimulus: xr.DataArray, count: int) -> float:
    """Inches of so many frames beside each other, in a strip of each colour; of light, a line."""
    if is_light(stimulus):
        return style.WIDTH / count
    height, across = (stimulus.sizes[d] for d in (v.Y, v.X))
    whole = style.WIDTH / count * height / across * stimulus.sizes.get(v.COLOR, 1)
    return min(max(whole, 0.3), TALLEST)


def plot_stimulus(
    stimulus: xr.DataArray,
    times: Sequence[float] | None = None,
    *,
    count: int = 8,
    title: str = "stimulus",
    ax: Axes | None = None,
) -> Axes:
    """Draw a strip of frames, each where it is on the time axis.

    Parameters
    ----------
    stimulus
        Movie (time, y, x), or (time, color, y, x): a strip of each colour, in its hue.
    times
        In seconds; the nearest frames are drawn. Where None, `count` times, equally far apart.
    count
        Frames to draw.
    title
        Written above.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.axes.Axes
        One image per frame, on a time axis in seconds; a line where the frames are of one pixel.

    Examples
    --------
    >>> times = np.arange(100) / 100
    >>> movie = xr.DataArray(np.zeros((100, 5, 5)), {"time": times}, ("time", "y", "x"))
    >>> len(plot_stimulus(movie, count=4).images)
    4
    """
    stimulus = labels.movie_of(stimulus)
    colors = (v.COLOR,) if v.COLOR in getattr(stimulus, "dims", ()) else ()
    stimulus = labels.require_dims(stimulus, (v.TIME, *colors, v.Y, v.X), "the stimulus")
    stimulus = clock.in_seconds(stimulus)
    start, stop = timeline.time_range(stimulus)
    if times is None:
        edges = np.linspace(start, stop, count + 1)
        times = list((edges[:-1] + edges[1:]) / 2)
    ax = style.new_axes(ax, strip_height(stimulus, len(times)) + 0.6)
    width = 0.95 * (np.diff(times).min() if len(times) > 1 else stop - start)
    shown = [stimulus] if not colors else [*stimulus.transpose(v.COLOR, ...)]
    if is_light(stimulus) and not colors:
        ax.plot(stimulus[v.TIME].values, stimulus.values[:, 0, 0], color=style.INK, linewidth=0.8)
        style.tidy(ax, title, xlabel="time (s)")
        return ax
    brightness = Normalize(*np.quantile(stimulus.values[::10], (0.005, 0.995)))
    names = [str(x[v.COLOR].item() if v.COLOR in x.coords else i) for i, x in enumerate(shown)]
    for place, (one, named) in enumerate(zip(shown, names, strict=True)):  # one below the other
        below, above = (1.0 - (place + i) / len(shown) for i in (1, 0))
        for t in times:
            ax.imshow(
                one.sel({v.TIME: t}, method="nearest").values,
                extent=(t - width / 2, t + width / 2, below, above),
                cmap=style.lights(named) if colors else "gray",
                norm=brightness,
                aspect="auto",
            )
    ax.set(xlim=(start, stop), ylim=(0.0, 1.0), yticks=[])
    height, across = stimulus.shape[-2:]
    ax.set_box_aspect(width / (stop - start) * len(shown) * height / across)
    style.tidy(ax, title, xlabel="time (s)")
    ax.spines[["left"]].set_visible(False)
    if colors:
        style.hue_ticks(ax, [1 - (i + 0.5) / len(names) for i in range(len(names))], names)
    return ax
