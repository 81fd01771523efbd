"""Which ranking is better, by hand."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.kernels.proportions import separation_area, separation_index

NAMES = list("abcdefgh")


def curve(first, second, seed=0, names=NAMES):
    """Areas of two rankings, with as much noise as classes have."""
    noise = np.random.default_rng(seed).normal(0, 0.3, len(names))
    own = np.random.default_rng(seed + 1).normal(0, 0.01, (2, len(names)))
    values = np.array([[first], [second]]) + noise + own
    coords = {"ranking": ["one", "two"], "kind": ["ablate"], "category": names}
    array = xr.DataArray(values[:, None], coords, ("ranking", "kind", "category"))
    return xr.Dataset({"category_area": array, "category_separation": array / 2})


def test_better_on_all_repeats_is_better():
    found = nc.compare_rankings([curve(0.6, 0.5), curve(0.7, 0.6, 5)])
    assert bool(found.better.item())
    assert found.ranking_difference.item() == pytest.approx(0.1, abs=0.02)
    low, high = found.ranking_difference_interval.values.ravel()
    assert 0 < low < 0.1 < high < 0.15  # paired: classes differ by 0.3


def test_worse_on_one_of_the_repeats_is_not_better():
    found = nc.compare_rankings([curve(0.9, 0.5), curve(0.5, 0.6, 5)])
    assert found.ranking_difference.item() > 0
    assert found.agreeing_share.item() == 0.5
    assert not bool(found.better.item())


def test_a_class_without_a_score_is_left_out():
    one = curve(0.6, 0.5)
    one["category_area"][1, 0, 3] = np.nan
    assert bool(nc.compare_rankings([one]).better.item())


def test_the_bounded_score_can_be_asked_for():
    found = nc.compare_rankings([curve(0.6, 0.5)], score="separation")
    assert found.ranking_difference.item() == pytest.approx(0.05, abs=0.01)


def test_curves_of_other_classes_are_refused():
    with pytest.raises(InputError, match="different 'category'"):
        nc.compare_rankings([curve(0.6, 0.5), curve(0.6, 0.5, names=list("abcdefgi"))])


def test_one_ranking_is_refused():
    with pytest.raises(InputError, match="curves of one ranking"):
        nc.compare_rankings([curve(0.6, 0.5).isel(ranking=[0])])


def test_the_index_is_bounded_where_the_area_is_not():
    share, own, off = np.array([0.0, 1.0]), np.array([1.0, 1.0]), np.array([0.0, 0.01])
    assert separation_area(own, off, share, ablated=False) == pytest.approx(199)
    assert separation_index(own, off, share, ablated=False) == pytest.approx(0.995 / 1.005)
    assert separation_index(own, off, share, ablated=True) == pytest.approx(-0.995 / 1.005)
    assert separation_index(off * 0, own, share, ablated=True) == 1
