"""Whether concept vectors come back: planted ones do, those of noise no more than by chance."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.kernels.spherical import unit_rows


def clustered(noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    centers = unit_rows(rng.normal(size=(4, 20)))
    values = np.repeat(centers - centers.mean(0), 30, 0) + noise * rng.normal(size=(120, 20))
    return xr.DataArray(values, dims=("vector", "channel"))


def told(rows, **options):
    fitted = nc.ConceptVectors(vectors=4, active=1, validation=0.0).fit(rows)
    return nc.concept_stability(fitted, rows, **{"seeds": 3, "progress": False, **options})


def test_planted_vectors_come_back_and_not_by_chance():
    found = told(clustered())
    assert found.matched_cosine.dims == ("fit", "mode")
    assert found.seed.values.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.stability, found.matched_cosine.median("fit"))
    assert found.above_chance_share > 0.7
    assert found.replicated_share > 0.7
    assert found.found_in_shuffled_share == 0
    assert found.single_share == 0


def test_those_of_noise_do_not():
    rng = np.random.default_rng(0)
    found = told(xr.DataArray(rng.normal(size=(400, 20)), dims=("vector", "channel")))
    assert found.above_chance_share == 0
    assert found.replicated_share < 0.3


def test_rows_that_are_vectors_by_themselves_are_no_part_of_shares():
    rows = clustered(noise=0.3)
    fitted = nc.ConceptVectors(vectors=100, active=1, validation=0.0).fit(rows)
    found = nc.concept_stability(fitted, rows, seeds=2, progress=False)
    single = (fitted.summary["cluster_size"] <= 1).values
    np.testing.assert_allclose(found.single_share, single.mean())
    assert single.mean() > 0.5
    expected = (found.matched_cosine.values[:, ~single] >= 0.9).mean()
    np.testing.assert_allclose(found.replicated_share, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [0, 1]}, r"seeds=\[0, 1\]"),
        ({"seeds": [2, 2]}, r"seeds=\[2, 2\]"),
        ({"seeds": 0}, "seeds=0"),
        ({"shuffles": 0}, "shuffles=0"),
        ({"cosine": 1.5}, "cosine=1.5"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        told(clustered(), **options)


def test_other_rows_are_refused():
    fitted = nc.ConceptVectors(vectors=4, active=1).fit(clustered())
    with pytest.raises(InputError, match="rows that are not those"):
        nc.concept_stability(fitted, clustered(seed=1), progress=False)
    with pytest.raises(InputError, match="not fitted"):
        nc.concept_stability(nc.ConceptVectors(vectors=4), clustered(), progress=False)
