"""Which samples a mode is strongest on: by hand, and against a sort of pandas."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError

RANDOM = np.random.default_rng(0)


def loadings(samples=40, modes=3, **coords):
    values = RANDOM.gamma(2.0, 1.0, (samples, modes)) * (RANDOM.random((samples, modes)) < 0.5)
    known = {"stimulus": np.arange(samples) + 100, "mode": np.arange(modes) + 5}
    return xr.DataArray(values, {**known, **coords}, ("stimulus", "mode"), name="loading")


def test_the_strongest_come_first_and_the_median_ones_are_in_the_middle():
    values = [[0.0, 1.0], [5.0, 0.0], [1.0, 0.0], [3.0, 0.0], [2.0, 0.0], [4.0, 2.0]]
    found = nc.top_samples(xr.DataArray(values, dims=("stimulus", "mode")), 3)
    assert found.ranked_position.sel(mode=0, kind="top").values.tolist() == [1, 5, 3]
    assert found.loading.sel(mode=0, kind="top").values.tolist() == [5, 4, 3]
    assert found.ranked_position.sel(mode=0, kind="median").values.tolist() == [3, 4, 5]
    assert found.ranked_position.sel(mode=1, kind="top").values.tolist() == [5, 0, -1]
    assert np.isnan(found.loading.sel(mode=1, kind="top", rank=2))


def test_it_is_the_order_of_pandas_with_the_labels_of_the_samples():
    given = loadings(label=("stimulus", [f"class {i % 3}" for i in range(40)]))
    found = nc.top_samples(given, 4)
    for mode in given.mode.values:
        column = pd.Series(given.sel(mode=mode).values, given.stimulus.values)
        top = column[column > 0].nlargest(4)
        one = found.sel(mode=mode, kind="top")
        assert one.stimulus.values.tolist() == top.index.tolist()
        assert one.label.values.tolist() == given.label.sel(stimulus=top.index).values.tolist()


def test_random_samples_are_those_of_the_seed_and_the_same_for_all_modes():
    given = loadings()
    first, again, other = (nc.top_samples(given, 5, seed=s).sel(kind="random") for s in (0, 0, 1))
    xr.testing.assert_identical(first.drop_attrs(), again.drop_attrs())
    assert (first.stimulus == first.stimulus.isel(mode=0)).all()
    assert (first.stimulus != other.stimulus).any()
    assert len({*first.stimulus.isel(mode=0).values.tolist()}) == 5
    values = [given.sel(stimulus=s).values for s in first.stimulus.isel(mode=0).values]
    np.testing.assert_array_equal(first.loading.values.T, values)


def test_held_out_samples_are_marked_or_alone():
    held = RANDOM.random(40) < 0.4
    given = loadings(held_out=("stimulus", held))
    found = nc.top_samples(given, 4)
    np.testing.assert_array_equal(found.held_out, held[found.ranked_position])
    alone = nc.top_samples(given, 4, held_out=True)
    assert alone.held_out.all()
    best = given.where(given.held_out, drop=True).isel(mode=0).max()
    assert float(alone.loading.isel(mode=0, kind=0, rank=0)) == float(best)


def test_of_fitted_modes_it_takes_the_loadings():
    rows = xr.DataArray(RANDOM.gamma(1.0, size=(40, 4)), dims=("stimulus", "channel"))
    modes = nc.BaselineModes("nmf", modes=2).fit(rows)
    found = nc.top_samples(modes, 2)
    np.testing.assert_array_equal(
        found.loading.sel(kind="top", rank=0), modes.loadings.max("stimulus")
    )
    assert found.held_out.any()


def test_moments_of_a_movie_have_their_time():
    given = xr.DataArray([[1.0], [2.0]], {"time": [0.5, 0.6]}, ("time", "mode"))
    found = nc.top_samples(given, 3)
    assert found.time.sel(kind="top").values[0, :2].tolist() == [0.6, 0.5]
    assert np.isnan(found.time.values[0, 0, 2])


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (loadings(), {"k": 0}, "k=0"),
        (loadings(), {"seed": -1}, "seed=-1"),
        (loadings(), {"held_out": True}, "without a coordinate 'held_out'"),
        (loadings(held_out=("stimulus", [False] * 40)), {"held_out": True}, "no held-out row"),
        ([[1.0]], {}, "type list"),
        (nc.SparseModes(), {}, "not fitted"),
        (loadings() * np.nan, {}, "loadings"),
        (loadings().rename(mode="channel"), {}, "mode"),
    ],
)
def test_what_cannot_be_ranked_is_refused(given, options, message):
    with pytest.raises(InputError, match=message):
        nc.top_samples(given, **options)
