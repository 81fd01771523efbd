import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.statistics.overlaps import chance


def ranked_of(places, *dims) -> xr.DataArray:
    return xr.DataArray(np.asarray(places), dims=(*dims, "feature", "rank"))


def drawn(rng, stimuli, features, count):
    return np.stack([rng.permutation(stimuli)[:count] for _ in range(features)])


def test_uniqueness_by_hand_with_choices_that_are_missing():
    found = nc.statistics.uniqueness(ranked_of([[0, 1], [1, 2], [2, -1]]), stimuli=9)
    assert float(found.uniqueness) == 3 / 5


def test_the_papers_example_is_not_unique_by_chance():
    mean, _ = chance(np.full(20, 8), 400)
    assert mean == pytest.approx(0.83, abs=0.005)


def test_random_choices_have_this_mean_and_this_spread():
    rng = np.random.default_rng(0)
    sets = ranked_of([drawn(rng, 50, 6, 7) for _ in range(300)], "by")
    found = nc.statistics.uniqueness(sets, stimuli=50)
    mean, deviation = chance(np.full(6, 7), 50)
    assert float(found.uniqueness.mean()) == pytest.approx(mean, abs=3 * deviation / 300**0.5)
    assert float(found.uniqueness.std()) == pytest.approx(deviation, rel=0.15)
    low, high = found.chance_uniqueness_interval.T
    inside = (found.uniqueness >= low) & (found.uniqueness <= high)
    assert 0.9 < float(inside.mean()) < 0.99
    np.testing.assert_allclose(found.chance_uniqueness, mean)


def test_features_that_share_all_and_features_that_share_none():
    shared, own = np.tile(np.arange(5), (4, 1)), np.arange(20).reshape(4, 5)
    found = nc.statistics.uniqueness(ranked_of([shared, own], "by"), stimuli=100)
    assert found.uniqueness.values.tolist() == [0.25, 1.0]
    assert float(found.uniqueness[0]) < float(found.chance_uniqueness_interval[0, 0])
    ends = found.uniqueness_interval.T
    assert ((ends[0] <= found.uniqueness) & (found.uniqueness <= ends[1])).all()


def test_ranked_stimuli_know_how_many_there_were():
    rng = np.random.default_rng(1)
    dims = ("stimulus", "feature")
    plus, minus = rng.uniform(size=(2, 30, 4))
    data = {"excitation": (dims, plus), "inhibition": (dims, minus), "target": (dims, plus - minus)}
    ranked = nc.rank_stimuli(xr.Dataset(data), count=5)
    one = nc.statistics.uniqueness(ranked)
    assert float(one.chance_uniqueness) == pytest.approx(chance(np.full(4, 5), 30)[0])


@pytest.mark.parametrize(
    ("ranked", "stimuli", "message"),
    [
        (ranked_of([[0, 1], [1, 2]]), None, "an unknown number of stimuli"),
        (ranked_of([[0, 1], [1, 2]]), 2, "places from 0 to 2 of 2 stimuli"),
        (ranked_of([[0, 1]]), 5, "one feature"),
        (ranked_of([[0.0, 1.0], [1.0, 2.0]]), 5, "places of stimuli"),
        (xr.DataArray([1, 2], dims="rank"), 5, r"dims \('rank',\)"),
        ([[0, 1]], 5, "a list"),
        (ranked_of([[0, 1], [1, 2]]), 0, "stimuli=0"),
    ],
)
def test_choices_that_are_none_are_refused(ranked, stimuli, message):
    with pytest.raises(InputError, match=message):
        nc.statistics.uniqueness(ranked, stimuli=stimuli)
