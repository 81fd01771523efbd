"""Which modes are drawn."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.plotting.modes import draw_most_used, most_used, plot_modes
from neurocodec.plotting.style import new_axes


def test_modes_that_are_never_active_are_not_used():
    loadings = xr.DataArray([[0.0, 1.0, 2.0], [0.0, 1.0, 0.0]], dims=("time", "mode"))
    assert most_used(loadings, 5).tolist() == [1, 2]


def test_of_modes_that_are_active_together_the_most_used_is_taken():
    loadings = xr.DataArray([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], dims=("time", "mode"))
    assert most_used(loadings, 5).tolist() == [1, 2]
    assert most_used(0 * loadings, 5).tolist() == [0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_label_beside_few_modes_is_not_cut(count):
    loadings = xr.DataArray(np.eye(4)[:, :count], {"time": np.arange(4) / 10}, ("time", "mode"))
    dictionary = xr.DataArray(np.ones((count, 2)), dims=("mode", "channel"))
    figure = plot_modes(dictionary, loadings)
    figure.draw_without_rendering()
    label = figure.axes[0].yaxis.label.get_window_extent()
    assert figure.bbox.y0 <= label.y0 < label.y1 <= figure.bbox.y1
    assert label.x0 >= 0


def test_the_most_used_modes_are_named_at_the_left():
    values = [[0.0, 1.0, 2.0], [0.0, 1.0, 0.0]]
    loadings = xr.DataArray(values, {"time": [0.0, 0.1], "mode": [3, 5, 7]}, ("time", "mode"))
    ax = new_axes(None, 2.0)
    draw_most_used(ax, loadings, "loadings")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["5", "7"]
    assert ax.get_title(loc="left") == "loadings"
