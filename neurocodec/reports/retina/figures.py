"""The figures of the report about a retina model."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurocodec import clock, plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.plotting import style, timeline
from neurocodec.plotting.fields import is_light
from neurocodec.reports.description import target_name
from neurocodec.reports.retina.tension import tension_figures

WIDTH: Final = 88
"""Letters of a title that find room above a figure."""


def figures(analysis: RetinaAnalysis) -> Iterator[tuple[str, Figure, str]]:
    """Draw everything that the report shows: name, figure and description of each."""
    target = analysis.tree.data_vars[v.TARGET]
    time = plotting.excerpt(target)
    note = " (simulated)" if analysis.simulated else ""
    strip = plotting.plot_stimulus(analysis.stimulus, count=10, title=f"stimulus{note}")
    yield "overview", plotting.plot_overview(analysis, time=time), "all steps on one time axis"
    yield "stimulus", style.whole_figure(strip), "frames of the movie"
    responses = plotting.plot_responses(analysis.rates, analysis.recorded, time=time, note=note)
    yield "responses", responses, "firing rates of all cells, and of some beside their recording"
    if analysis.completeness.sizes[v.LAYER]:
        yield (
            "completeness",
            plotting.plot_completeness(analysis.tree, note=note),
            "completeness error",
        )
    for layer in analysis.layers:
        yield from _layer_figures(analysis, layer, time, note)
    yield from _map_figures(analysis, note)
    yield from _picture_figures(analysis)
    yield from _dynamic_figures(analysis, time, note)
    yield from tension_figures(analysis, note)
    yield from _interneuron_figures(analysis, note)
    if analysis.clusters:
        curve = plotting.plot_silhouette(analysis.clusters, title=f"silhouette{note}")
        yield "silhouette", style.whole_figure(curve), "mean silhouette against number of clusters"


def _layer_figures(
    analysis: RetinaAnalysis, layer: str, time: slice, note: str
) -> Iterator[tuple[str, Figure, str]]:
    node, modes = analysis.tree.children[layer], analysis.modes[layer]
    parts = plotting.plot_contributions(
        node.data_vars[v.CONTRIBUTION],
        analysis.tree.data_vars[v.TARGET],
        analysis.rates,
        time=time,
        target_name=target_name(analysis.target),
        title=f"contributions of {layer}{note}",
    )
    yield f"contributions-{layer}", parts, f"contributions of the channels of {layer} over time"
    used = plotting.plot_modes(modes.dictionary, modes.loadings, time=time, note=note)
    yield f"modes-{layer}", used, f"the most used modes of {layer} and their loadings"
    clusters = analysis.clusters.get(layer)
    shown = "rank correlation of firing rate and loading"
    shown += "" if clusters is None else ", standardised over the cells"
    corr = plotting.plot_mode_correlation(
        analysis.correlation[layer] if clusters is None else clusters["pattern"],
        clusters,
        title=f"{shown},\n{layer}{note}",  # in one line it would reach the colour scale
    )
    yield f"clusters-{layer}", style.whole_figure(corr), f"cells against modes of {layer}"


def _map_figures(analysis: RetinaAnalysis, note: str) -> Iterator[tuple[str, Figure, str]]:
    """What acts at excitatory positions, of which modes are made."""
    if analysis.maps is None or is_light(analysis.stimulus):
        return
    for layer, node in analysis.maps.children.items():
        maps = node.to_dataset().sel({v.SIGN: v.EXCITATORY}, drop=True)
        shown = plotting.plot_movie_maps(maps, analysis.stimulus, title=f"modes of {layer}{note}")
        yield f"maps-{layer}", shown, f"what of the movie acts through modes of {layer}"


def _picture_figures(analysis: RetinaAnalysis) -> Iterator[tuple[str, Figure, str]]:
    """What channels and cells answer most to."""
    if analysis.pictures is None or is_light(analysis.stimulus):
        return
    for name, node in analysis.pictures.children.items():
        title = f"synthetic movies that {name} answer most to"
        yield f"pictures-{name}", plotting.plot_pictures(node.to_dataset(), title=title), title


def _dynamic_figures(
    analysis: RetinaAnalysis, time: slice, note: str
) -> Iterator[tuple[str, Figure, str]]:
    found = analysis.dynamics
    if found is None:
        return
    layer = analysis.layers[-1]
    moments = plotting.plot_moments(
        found.fields,
        analysis.rates,
        found.loadings[layer],
        time=_with_fields(found.fields, time),
        recorded=analysis.recorded,
        note=note,
    )
    yield "moments", moments, "fields of a cell at chosen times beside its rate and loadings"
    for name in () if is_light(analysis.stimulus) else analysis.layers:
        alone, together = found.alone[name], found.together[name]
        if alone.sizes["example"] or together.sizes["example"]:
            panel = plotting.plot_combinations(found.fields, alone, together, note=note)
            yield f"combinations-{name}", panel, f"fields while modes of {name} were active"


def _with_fields(fields: xr.Dataset, time: slice) -> slice | None:
    """The range of times, where there are fields in it."""
    return time if fields.sel({v.TIME: time}).sizes[v.TIME] > 1 else None


def shown_figure(frames: xr.DataArray, said: str) -> Figure:
    """Draw what interneurons saw: frames, the one that differs most in pixels, light over time."""
    frames = clock.in_seconds(frames.transpose(v.TIME, v.Y, v.X))
    figure = style.new_figure(4.4)
    figure.set_layout_engine("constrained", h_pad=0.08)  # a title of two lines reaches high
    panels = figure.subplot_mosaic(
        [["strip", "strip"], ["frame", "light"]], width_ratios=(1, 2.4), height_ratios=(1.3, 2.6)
    )
    title = fill(f"what the interneurons saw{': ' * bool(said)}{said}", WIDTH)
    plotting.plot_stimulus(frames, count=10, title=title, ax=panels["strip"])
    left, right = panels["frame"], panels["light"]
    times, light = timeline.times_of(frames), frames.values.astype(np.float64)
    at = int(light.std(axis=(1, 2)).argmax())
    units = str(frames.attrs.get("units", ""))
    units = units if units.startswith("light") else style.with_units("light", units)
    image = left.imshow(light[at], cmap="gray")
    style.tidy(left, xlabel=f"x (pixel), at {times[at]:.2f} s", ylabel="y (pixel)")
    style.color_scale(left, image, "light")
    ends = light.min(axis=(1, 2)), light.max(axis=(1, 2))
    for values, name in zip(ends, ("darkest pixel", "brightest pixel"), strict=True):
        right.plot(times, values, color=style.RECORDED, linewidth=0.8, label=style.plain(name))
    right.plot(times, light.mean(axis=(1, 2)), color=style.INK, linewidth=0.8, label="mean")
    style.tidy(right, "light over time", xlabel="time (s)", ylabel=units)
    right.legend(
        frameon=False, fontsize=style.TEXT - 2, ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
    )
    return figure


def _interneuron_figures(analysis: RetinaAnalysis, note: str) -> Iterator[tuple[str, Figure, str]]:
    found = analysis.interneurons
    if found is None:
        return
    if note and not found.attrs.get("simulated"):
        note = " (simulated model)" if "model" in analysis.simulated else ""
    if analysis.shown is not None:
        seen = shown_figure(analysis.shown, str(found.attrs.get("shown", "")))
        yield "interneuron-stimulus", seen, "what the interneurons saw"
    skill = plotting.plot_interneurons(found, title=f"interneurons and their best units{note}")
    yield (
        "interneurons",
        style.whole_figure(skill),
        "correlation of each interneuron with its best unit",
    )
    maps = plotting.plot_interneuron_maps(found, title=f"correlation with every unit{note}")
    yield "interneuron-maps", maps, "correlation maps of some interneurons"
    matrix = plotting.plot_interneuron_matrix(
        found, title=f"best correlation with each channel or mode{note}"
    )
    yield "interneuron-matrix", matrix, "interneurons against channels and modes"
