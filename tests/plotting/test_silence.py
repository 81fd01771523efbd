"""Figures of silent cells: bars are the counts, bands the silences."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import UnknownNameError

CAUSES = ["not driven", "in between", "cancelled"]


def planted() -> xr.Dataset:
    silent = np.zeros((3, 10, 3), bool)
    silent[2, 2:5, 1] = True
    silent[2, 7, 1] = True
    silent[0, 0:2, 0] = True
    rows = ("time", "cell")
    data = {
        "excitation": (rows, np.ones((10, 3))),
        "inhibition": (rows, np.full((10, 3), 2.0)),
        "target": (rows, np.full((10, 3), -1.0)),
        "silent": (("cause", *rows), silent),
        "silent_count": (("cause", "cell"), silent.sum(1)),
        "chance_silent_count": (("cause", "cell"), silent.sum(1) / 2),
    }
    coords = {"cause": CAUSES, "cell": ["a", "b", "c"], "time": np.arange(10) / 10}
    return xr.Dataset(data, coords | {"cell_type": ("cell", ["ON", "ON", "OFF"])})


def test_bars_are_shares_and_marks_those_of_the_control():
    *_, counts = nc.plot.silence(planted()).axes
    by_cause = {bars.get_label(): [bar.get_width() for bar in bars] for bars in counts.containers}
    assert by_cause["cancelled"] == pytest.approx([0, 0.4, 0])
    assert by_cause["not driven"] == pytest.approx([0.2, 0, 0])
    np.testing.assert_allclose(counts.lines[0].get_xdata(), [0, 0.2, 0])


def test_a_cell_of_each_type_comes_first_and_silences_are_bands():
    first, second, _ = nc.plot.silence(planted(), count=2).axes
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["b, ON", "c, OFF"]
    spans = sorted((p.get_x(), p.get_x() + p.get_width()) for p in first.patches)
    np.testing.assert_allclose(spans, [(0.15, 0.45), (0.65, 0.75)])
    assert not second.patches


def test_an_unknown_cell_is_refused():
    with pytest.raises(UnknownNameError, match="'d'"):
        nc.plot.silence(planted(), ["d"])
