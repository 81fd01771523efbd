import numpy as np
import pytest
import xarray as xr
from scipy import stats

import neurocodec as nc
from neurocodec.errors import InputError

DIMS = ("stimulus", "feature")


def node(e, target=None) -> xr.Dataset:
    e = np.asarray(e, float)
    data = {"excitation": (DIMS, e.clip(min=0)), "inhibition": (DIMS, (-e).clip(min=0))}
    return xr.Dataset(data if target is None else {**data, "target": (DIMS, target)})


def noisy(noise, size=60, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(size, 2))
    return target + noise * rng.normal(size=target.shape), target


def test_correlations_are_those_of_scipy():
    e, target = noisy(0.7)
    found = nc.statistics.attribution_correlation(node(e, target), bootstrap=0)
    for i in range(2):
        one = found.isel(feature=i)
        assert float(one.pearson) == pytest.approx(stats.pearsonr(e[:, i], target[:, i])[0])
        assert float(one.spearman) == pytest.approx(stats.spearmanr(e[:, i], target[:, i])[0])
        assert float(one.distance) == pytest.approx(abs(e - target)[:, i].mean())
    assert np.isnan(found.pearson_interval).all()


def test_layers_have_intervals_that_hold_the_value_and_are_those_of_fisher():
    e, target = noisy(0.7)
    root = xr.Dataset({"target": (DIMS, target)}, {"feature": ["a", "b"]})
    tree = xr.DataTree.from_dict({"/": root, "/early": node(e), "/late": node(target)})
    found = nc.statistics.attribution_correlation(tree, bootstrap=400)
    assert found.pearson.dims == ("layer", "feature")
    assert found.layer.values.tolist() == ["early", "late"]
    np.testing.assert_allclose(found.sel(layer="late").pearson, 1)
    low, high = found.sel(layer="early", feature="a").pearson_interval.values
    r = float(found.pearson[0, 0])
    expected = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(57))
    np.testing.assert_allclose([low, high], expected, atol=0.05)


def test_what_never_changes_has_no_correlation_and_movies_have_stretches():
    e, target = noisy(0.2)
    found = nc.statistics.attribution_correlation(node(np.ones_like(e), target), bootstrap=20)
    assert np.isnan(found.pearson).all()
    movie = node(e, target).rename(stimulus="time").isel(feature=0, drop=True)
    one = nc.statistics.attribution_correlation(movie)
    assert one.pearson.dims == ()
    assert one.pearson_interval[0] < one.pearson < one.pearson_interval[1]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (node(np.ones((4, 1))), "without excitation, inhibition and target"),
        (xr.DataTree(), "without excitation"),
        (3, "a int without"),
        (node([[1.0], [2.0]], [[1.0], [2.0]]), "2 samples"),
        (node(np.full((4, 1), np.nan), np.ones((4, 1))), "NaN"),
    ],
)
def test_what_is_no_tension_is_refused(found, message):
    with pytest.raises(InputError, match=message):
        nc.statistics.attribution_correlation(found)
