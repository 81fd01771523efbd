"""Figures of fields in colours."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.plotting import style


@pytest.fixture
def fields():
    values = np.zeros((2, 5, 2, 6, 6))  # cell, lag, color, y, x
    values[0, -2, 0, 2, 3] = 2.0
    values[0, -3, 1, 2, 3] = -1.0
    values[1, -1, 1, 4, 1] = 1.0
    coords = {"cell": ["a", "b"], "lag": np.arange(-4, 1) / 10, "color": ["UV", "green"]}
    return xr.DataArray(values, coords, ("cell", "lag", "color", "y", "x"), name="sta")


def test_a_field_has_a_map_of_each_colour_in_its_hue(fields):
    figure = nc.plotting.plot_field(fields.sel(cell="a"))
    violet, green, courses = figure.axes
    assert [violet.get_title(loc="left"), green.get_title(loc="left")] == ["UV", "green"]
    # what excites is violet, what inhibits grey, on one scale
    image = violet.images[0]
    np.testing.assert_allclose(image.cmap(image.norm(2.0))[:3], to_rgb("#7b3fa0"), atol=0.01)
    dark = green.images[0]
    assert dark.norm.vmax == image.norm.vmax == 2.0
    shade = dark.cmap(dark.norm(dark.get_array().min()))[:3]
    assert max(shade) - min(shade) < 0.02
    assert max(shade) < 0.8
    colors = [line.get_color() for line in courses.lines if line.get_color() in style.HUES.values()]
    assert colors == [style.hue("UV"), style.hue("green")]


def test_a_grid_has_the_colours_as_columns(fields):
    figure = nc.plotting.plot_fields(fields, crop=False)
    assert len(figure.axes) == 2 * 4
    maps = [ax.images[0].cmap.name for ax in figure.axes if ax.images]
    assert maps == ["hue UV", "hue green"] * 2


def test_components_with_one_time_course_are_drawn_and_described(fields):
    temporal = fields.isel(y=2, x=3, color=0, drop=True).expand_dims(component=1)
    spatial = fields.isel(lag=-2, drop=True).expand_dims(component=1)
    parts = xr.Dataset({"temporal": temporal, "spatial": spatial}).isel(cell=0)
    figure = nc.plotting.plot_field(parts)
    assert len(figure.axes) == 3
    found = nc.describe_fields(parts.isel(component=0))
    assert found.polarity.dims == ("color",)


def test_names_that_say_no_hue_have_one_all_the_same():
    assert style.hue("green LED") == style.HUES["green"]
    assert style.hue("channel 3") in style.HUES.values()
    assert style.hue("0") != style.hue("1")


HUES = {
    "filtered UV": "uv",
    "infrared": "red",  # a part of a word, where no word is known
    "510 nm": "green",
    "LED 385nm": "uv",
    "M": "green",
    "L": "red",
    "M cone": "green",
}


def test_words_and_wavelengths_tell_a_hue_before_parts_of_words_do():
    assert {name: style.hue(name) for name in HUES} == {n: style.HUES[h] for n, h in HUES.items()}
    assert len({*map(style.hue, ["S", "M", "L", "white"])}) == 4


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


@pytest.mark.parametrize("names", [["UV", "green"], ["mouse green LED 510 nm", "mouse UV LED"]])
def test_frames_fill_the_width_and_names_of_colours_stay_apart(names):
    movie = xr.DataArray(
        np.random.default_rng(0).standard_normal((20, 2, 6, 9)),
        {"time": np.arange(20) / 10, "color": names},
        ("time", "color", "y", "x"),
    )
    ax = nc.plotting.plot_stimulus(movie)
    renderer = drawn(ax.figure)
    assert ax.get_window_extent(renderer).width > 0.8 * ax.figure.bbox.width
    above, below = (t.get_window_extent(renderer) for t in ax.get_yticklabels())
    assert above.y0 > below.y1
    assert above.y1 < ax.get_window_extent(renderer).y1 + 5


@pytest.mark.parametrize(("count", "name"), [(8, "a long name of a transient cell"), (60, "unit")])
def test_names_of_fitted_cells_stay_apart_and_leave_the_axis_its_height(count, name):
    row = ("cell", np.linspace(0.9, 0.2, count))
    names = {"cell": [f"{name} {i}" for i in range(count)]}
    known = ("correlation", "correlation_ln", "correlation_glm", "ceiling")
    ax = nc.plotting.plot_fit(xr.Dataset(dict.fromkeys(known, row), names)).axes[0]
    renderer = drawn(ax.figure)
    boxes = [t.get_window_extent(renderer) for t in ax.get_xticklabels()]
    assert len(boxes) == count
    assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))
    assert min(b.y0 for b in boxes) >= 0
    assert ax.get_window_extent(renderer).height > 130


def test_of_hundreds_of_cells_their_number_is_told():
    row = ("cell", np.linspace(0.9, 0.2, 300))
    known = ("correlation", "correlation_ln", "ceiling")
    names = {"cell": [f"unit {i}" for i in range(300)]}
    ax = nc.plotting.plot_fit(xr.Dataset(dict.fromkeys(known, row), names)).axes[0]
    assert ax.get_xlabel() == "300 cells, in falling order of the CNN"
    assert not ax.get_xticklabels()


def test_a_movie_has_a_strip_of_each_colour():
    values = np.random.default_rng(0).standard_normal((20, 2, 5, 5))
    coords = {"time": np.arange(20) / 10, "color": ["UV", "green"]}
    movie = xr.DataArray(values, coords, ("time", "color", "y", "x"))
    ax = nc.plotting.plot_stimulus(movie, [0.3, 1.0, 1.7])
    assert [image.cmap.name for image in ax.images] == ["light UV"] * 3 + ["light green"] * 3
    np.testing.assert_array_equal(ax.images[4].get_array(), movie.sel(color="green")[10])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["UV", "green"]


def hued(ax):
    """Colour maps of a panel, and the names beside them."""
    return [image.cmap.name for image in ax.images], [t.get_text() for t in ax.get_yticklabels()]


BOTH = (["hue UV", "hue green"], ["UV", "green"])


@pytest.fixture
def moments():
    """Fields of a cell at two times: ON in UV at the first, OFF in green at the second."""
    values = np.zeros((2, 1, 3, 2, 6, 6))  # time, cell, lag, color, y, x
    values[0, 0, -1, 0, 2, 3], values[1, 0, -1, 1, 4, 1] = 2.0, -3.0
    values[0, 0, -1, 1, 2, 3] = -1.0
    time = {"time": [0.1, 0.2], "cell": ["a"]}
    coords = {**time, "lag": [-0.2, -0.1, 0.0], "color": ["UV", "green"]}
    fields = xr.DataArray(values, coords, ("time", "cell", "lag", "color", "y", "x"), name="irf")
    rates = xr.DataArray([[5.0], [9.0]], time, ("time", "cell"))
    loadings = xr.DataArray([[1.0, 0.0], [1.0, 2.0]], {"time": [0.1, 0.2]}, ("time", "mode"))
    return fields.to_dataset(), rates, loadings


def test_moments_have_a_map_of_each_colour_and_say_which_has_the_largest_weight(moments):
    figure = nc.plotting.plot_moments(*moments, times=[0.1, 0.2])
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == [
        "0.10 s UV ON",
        "0.20 s green OFF",
    ]
    panels = [ax for ax in figure.axes if len(ax.images) == 2]
    assert [hued(ax) for ax in panels] == [BOTH] * 2
    above, below = panels[0].images
    assert above.norm.vmax == below.norm.vmax == 2.0
    assert above.get_extent()[2] < below.get_extent()[3]  # y runs down
    assert above.get_array().max() == 2.0
    assert below.get_array().min() == -1.0


def test_combinations_have_a_map_of_each_colour(moments):
    fields, rates, loadings = moments
    alone = nc.combination_times(loadings, rates, modes=0)
    together = nc.combination_times(loadings, rates)
    figure = nc.plotting.plot_combinations(fields, alone, together, crop=False)
    panels = [ax for ax in figure.axes if ax.images]
    assert [hued(ax) for ax in panels] == [BOTH] * 2
    largest = [[float(np.abs(i.get_array()).max()) for i in ax.images] for ax in panels]
    assert sorted(largest) == [[0.0, 3.0], [2.0, 1.0]]
    cut = nc.plotting.plot_combinations(fields, alone, together)
    sizes = {image.get_array().shape for ax in cut.axes for image in ax.images}
    assert len(sizes) == 1
    assert sizes != {(6, 6)}


def test_maps_of_a_movie_stand_beside_its_frame_in_its_colours():
    coords = {"time": np.arange(20) / 10, "color": ["UV", "green"]}
    values = np.random.default_rng(0).standard_normal((20, 2, 6, 6))
    movie = xr.DataArray(values, coords, ("time", "color", "y", "x"))
    dims = ("time", "mode", "lag", "color", "y", "x")
    maps = xr.DataArray(np.zeros((1, 3, 5, 2, 6, 6)), {"time": [1.4], **movie.color.coords}, dims)
    maps = maps.assign_coords(lag=("lag", np.arange(-4, 1) / 10, {"units": "s"}))
    maps[0, 1, 2, 1, 4, 0], maps[0, 1, 3, 1, 4, 0] = 1.0, 2.0
    figure = nc.plotting.plot_movie_maps(maps, movie)
    frame, *panels = [ax for ax in figure.axes if ax.images]
    assert hued(frame) == (["light UV", "light green"], ["UV", "green"])
    np.testing.assert_array_equal(frame.images[1].get_array(), movie.sel(color="green")[13])
    assert [hued(ax) for ax in panels] == [BOTH] * 3
    assert panels[1].images[1].get_array()[4, 0] == 3.0
    assert "hue of its colour raises, grey lowers" in " ".join(figure.texts[-1].get_text().split())


def test_a_movie_in_other_colours_is_not_that_of_the_maps():
    dims = ("time", "lag", "color", "y", "x")
    maps = xr.DataArray(np.ones((1, 1, 3, 4, 4)), {"time": [0.1], "lag": [0.0]}, dims)
    movie = xr.DataArray(np.ones((3, 2, 4, 4)), {"time": [0, 0.1, 0.2]}, ("time", *dims[2:]))
    with pytest.raises(InputError, match="the movie of the maps"):
        nc.plotting.plot_movie_maps(maps, movie)
