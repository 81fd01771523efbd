"""Figures of fields in colours."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.reports.retina import require_no_colors


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


def test_a_movie_has_a_strip_of_each_colour():
    values = np.random.default_rng(0).standard_normal((20, 2, 5, 5))
    coords = {"time": np.arange(20) / 10, "color": ["UV", "green"]}
    movie = xr.DataArray(values, coords, ("time", "color", "y", "x"))
    ax = nc.plotting.plot_stimulus(movie, [0.3, 1.0, 1.7])
    assert [image.cmap.name for image in ax.images] == ["light UV"] * 3 + ["light green"] * 3
    np.testing.assert_array_equal(ax.images[4].get_array(), movie.sel(color="green")[10])


def test_what_does_not_show_colours_says_so(fields):
    times = {"time": [0.0, 0.1]}
    movie = xr.DataArray(np.zeros((2, 2, 3, 3)), times, ("time", "color", "y", "x"))
    with pytest.raises(InputError, match="does not show colours"):
        require_no_colors(movie)
    rates = xr.DataArray(np.ones((2, 2)), {**times, "cell": ["a", "b"]}, ("time", "cell"))
    with pytest.raises(InputError, match="fields in colours"):
        nc.plotting.plot_moments(fields.to_dataset(name="irf"), rates, rates)
