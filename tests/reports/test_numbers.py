"""The table of a figure holds what was given to matplotlib, read back by pandas."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from neurocodec.plotting import style
from neurocodec.reports.numbers import numbers


def _read(figure):
    text = numbers(figure)
    heads = [line for line in text.splitlines() if line.startswith("#")]
    return heads, pd.read_csv(io.StringIO(text), comment="#").set_index("series")


def test_lines_points_and_bars_come_back():
    ax = Figure().add_subplot()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5))
    ax.plot(x, y, label="rate, in Hz")
    ax.scatter(y, x, c=x, label="cells")
    ax.barh([0, 1], [2.0, 3.0], label="flat")
    ax.bar([0, 1], [4.0, 5.0], label="upright")
    ax.vlines([7.0], 1.0, 2.0, label="interval")
    ax.axhline(0.5)
    ax.axvline(0.5)
    ax.axline((0, 0), slope=1)
    _, rows = _read(ax.figure)
    np.testing.assert_allclose(rows.loc["rate, in Hz", ["x", "y"]], np.c_[x, y], rtol=1e-6)
    np.testing.assert_allclose(rows.loc["cells", ["x", "y", "value"]], np.c_[y, x, x], rtol=1e-6)
    assert rows.loc["flat", ["x", "y"]].values.tolist() == [[2, 0], [3, 1]]
    assert rows.loc["upright", ["x", "y"]].values.tolist() == [[0, 4], [1, 5]]
    assert rows.loc["interval", ["x", "y"]].values.tolist() == [[7, 1], [7, 2]]
    assert len(rows) == 5 + 5 + 2 + 2 + 2  # lines across a panel are no numbers


def test_an_area_down_to_zero_is_its_edge_and_another_its_outline():
    ax = Figure().add_subplot()
    ax.fill_between([0, 1, 2], [3.0, 0.0, 5.0], label="recorded")
    ax.fill_between([0, 1], [1.0, 1.0], [2.0, 3.0], label="between")
    _, rows = _read(ax.figure)
    assert rows.loc["recorded", ["x", "y"]].values.tolist() == [[0, 3], [1, 0], [2, 5]]
    assert {*rows.loc["between", "y"]} == {1.0, 2.0, 3.0}


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_pixels_stand_at_their_places(origin):
    ax = Figure().add_subplot()
    data = np.arange(6.0).reshape(2, 3)
    image = ax.imshow(data, origin=origin, cmap="gray")
    ax.imshow(np.zeros((2, 3, 3)))  # a picture in colour
    style.color_scale(ax, image, "light")
    _, rows = _read(ax.figure)
    assert {*rows.index} == {"light"}
    table = rows.pivot_table(index="y", columns="x", values="value")
    np.testing.assert_array_equal(table, data)
    assert table.columns.tolist() == [0, 1, 2]
    assert table.index.tolist() == [0, 1]


def test_a_movie_in_time_has_the_times_of_its_samples():
    ax = Figure().add_subplot()
    ax.imshow([[1.0, 2.0]], extent=(0.0, 0.2, 0.5, -0.5), label="rate")
    _, rows = _read(ax.figure)
    np.testing.assert_allclose(rows[["x", "y", "value"]], [[0.05, 0, 1], [0.15, 0, 2]])


def test_panels_axes_and_names_are_told():
    top, bottom = Figure().subplots(2, 1, sharex=True)
    style.tidy(top, "cost in $")
    top.plot([0, 1], [0, 1])
    top.set_yticks([0, 1], style.plain_all(["cell $1$", "_b"]))
    style.tidy(bottom, "below", xlabel="time (s)", ylabel="rate (Hz)")
    bottom.plot([0, 1], [0, 1])
    heads, rows = _read(top.figure)
    assert heads == [
        "# panel 1: cost in $; x: time (s); y: not labelled",
        "# panel 1, names at y: 0 cell $1$, 1 _b",
        "# panel 2: below; x: time (s); y: rate (Hz)",
    ]
    assert {*rows.index} == {"series 1"}
    assert numbers(Figure()) == "panel,series,x,y,value\n"
