"""Parts that every figure is made of."""

import numpy as np
import xarray as xr

from neurocodec.plotting import style


def test_a_new_figure_has_the_usual_width():
    assert style.new_figure(2.0).get_size_inches().tolist() == [9.6, 2.0]


def test_axes_are_made_where_none_came():
    ax = style.new_axes(None, 2.0)
    assert len(ax.figure.axes) == 1
    assert style.new_axes(ax, 5.0) is ax


def test_titles_stand_at_the_left():
    ax = style.tidy(style.new_axes(None, 2.0), "rates")
    assert ax.get_title(loc="left") == "rates"
    assert not ax.spines["top"].get_visible()


def test_a_heat_map_is_as_wide_as_the_time_of_its_samples():
    data = xr.DataArray([[1.0], [2.0]], {"time": [0.0, 0.1]}, ("time", "cell"))
    image = style.heat_map(style.new_axes(None, 2.0), data, cmap="Greys", limits=(0, 2))
    assert [round(edge, 2) for edge in image.get_extent()] == [-0.05, 0.15, 0.5, -0.5]


def test_a_color_scale_has_its_quantity_and_its_ends():
    ax = style.new_axes(None, 2.0)
    scale = style.color_scale(ax, ax.imshow([[0.0, 1.0]]), "rate (Hz)")
    assert [text.get_text() for text in scale.texts] == ["rate (Hz)  0", "1"]


def test_a_legend_stands_outside_of_the_axes():
    figure = style.new_figure(2.0)
    ax = figure.add_subplot()
    ax.plot([0, 1], label="a line")
    style.legend_outside(figure, ax)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a line"]
    assert ax.get_legend() is None


def test_the_whole_figure_is_found_from_a_part_of_it():
    figure = style.new_figure(2.0)
    ax = figure.subfigures(1, 2)[0].add_subplot()
    assert style.whole_figure(ax) is figure


def test_the_most_extreme_value_does_not_set_the_limit():
    assert style.robust_limit(np.r_[np.ones(999), -50.0]) == 1.0
    assert style.robust_limit(np.zeros(3)) == style.robust_limit(np.full(3, np.nan)) == 1.0


def test_a_name_has_one_color_whatever_the_order():
    colors = {"OFF": "#0072b2", "ON": "#d55e00"}
    assert style.category_colors(["ON", "OFF", "ON"]) == colors
    assert style.category_colors(["OFF", "ON"]) == colors


def test_units_are_written_where_there_are_any():
    assert style.with_units("surprisal", "bit") == "surprisal (bit)"
    assert style.with_units("loading", "1") == "loading"
