"""Grids of panels and the words around them."""

import pytest

from neurocodec.errors import InputError
from neurocodec.plotting.maps.grid import below, head, panel_grid, side
from neurocodec.plotting.style import new_axes


def test_a_grid_has_so_many_panels():
    assert panel_grid(2, 3, 1.0)[1].shape == (2, 3)
    figure, axes = panel_grid(2, 6, 1.0, groups=3)
    assert axes.shape == (2, 6)
    assert len(figure.axes) == 12
    with pytest.raises(InputError, match="at most 200"):
        panel_grid(20, 11, 1.0)


def test_a_column_is_named_above():
    head(ax := new_axes(None, 2.0), "mode 3")
    assert ax.get_title() == "mode 3"


def test_a_row_is_named_at_the_left():
    side(ax := new_axes(None, 2.0), "mode 3")
    assert ax.get_ylabel() == "mode 3"


def test_a_number_stands_below():
    below(ax := new_axes(None, 2.0), "0.5")
    assert ax.get_xlabel() == "0.5"
