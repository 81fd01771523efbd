import numpy as np
import pytest
import torch
import xarray as xr
from concept_vectors import concepts
from residual import residual, residual_network
from torch import nn

import neurocodec as nc
from neurocodec.concept_graphs.interventions import medians
from neurocodec.errors import InputError

SOURCE, TARGET = concepts("one", 4, 7), concepts("pre", 4, 9, seed=1)
MODULE = residual().requires_grad_(False)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # changes are stored in single precision


def pictures(n=3, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def found(target=None, shown=None, net=None, **options) -> xr.Dataset:
    options = {"draws": 4, "active": 2, "bootstrap": 20, "progress": False, **options}
    net = residual_network(MODULE) if net is None else net
    target = nc.targets.Output(1) if target is None else target
    shown = pictures() if shown is None else shown
    return nc.concept_interventions(net, shown, source=SOURCE, target=target, **options)


def parts(x):
    """The layer of an image, and what each concept vector is of it: (mode, channel, y, x)."""
    h = MODULE.first(torch.from_numpy(x)[None])[0]
    values, modes = SOURCE.coder.codes(h.flatten(1).T.numpy(), 2)
    v = torch.from_numpy(SOURCE.dictionary.values).double()
    made = torch.zeros(len(v), *h.shape, dtype=torch.float64)
    for p, (row, which) in enumerate(zip(values, modes, strict=True)):
        for u, q in zip(row, which, strict=True):
            made[q, :, p // 6, p % 6] += float(u) * v[q] if q >= 0 else 0
    return h, made


def answer(h):
    return float(MODULE.head(MODULE.two(h[None]).mean((2, 3)))[0, 1])


def test_changes_are_those_of_the_network_with_one_vector_scaled():
    tree = found()
    one = tree.sel(fraction=0)
    for i, x in enumerate(pictures().values):
        h, made = parts(x)
        for draw, node in enumerate(one.node[i].values):
            for factor in (0, 0.5, 2):
                expected = answer(h + (factor - 1) * made[node]) - answer(h)
                got = one.measured_change[i].sel(draw=draw, factor=factor)
                np.testing.assert_allclose(got, expected, **CLOSE)


def test_predictions_are_sums_of_contributions():
    tree = found(TARGET, targets=2)
    options = {"source": SOURCE, "target": TARGET, "targets": 2, "active": 2, "progress": False}
    for method in ("gig", "actgrad"):
        made = nc.concept_contributions(
            residual_network(MODULE), pictures(), method=method, **options
        )
        for i in range(3):
            for draw, node in enumerate(tree.node[i].values):
                one = tree.predicted_change[i].sel(graph=method, fraction=0, draw=draw, factor=2)
                np.testing.assert_allclose(one, made.contribution[i].sel(mode=node), **CLOSE)
    np.testing.assert_array_equal(tree.target_mode, made.target_mode)


def test_in_a_linear_network_every_change_is_predicted():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten()).double().eval()
    net = nc.Network(module, {"one": "0", "pre": "1"})
    tree = found(TARGET, net=net, targets=2, fractions=(0, 0.5, 1))
    for method in ("gig", "actgrad"):
        one = tree.predicted_change.sel(graph=method)
        np.testing.assert_allclose(
            one.transpose(*tree.measured_change.dims), tree.measured_change, **CLOSE
        )
    both = tree.median_correlation.sel(graph=["gig", "actgrad"], fraction=[0, 0.5])
    np.testing.assert_allclose(both, 1, rtol=1e-5)
    assert float(tree.median_correlation.sel(graph="random", fraction=0)) < 0.9
    assert bool(tree.correlation.sel(fraction=1).isnull().all())  # all draws are the same


def test_the_correlation_is_numpys_and_the_median_that_of_its_mean():
    tree = found(draws=5, fractions=(0.3,), factors=(0, 2))
    for i in range(3):
        for method in ("gig", "actgrad", "random"):
            for factor in (0, 2):
                at = {"fraction": 0.3, "factor": factor}
                measured = tree.measured_change[i].sel(at)
                predicted = tree.predicted_change[i].sel(graph=method, **at)
                expected = np.corrcoef(measured, predicted)[0, 1]
                got = tree.correlation[i].sel(graph=method, **at)
                np.testing.assert_allclose(got, expected, rtol=1e-6)
    middle = tree.correlation.mean("factor").median("stimulus")
    np.testing.assert_allclose(
        tree.median_correlation, middle.transpose(*tree.median_correlation.dims)
    )


def test_draws_of_an_image_are_its_own_and_differ():
    whole = found(shown=pictures(4), fractions=(0, 0.4))
    first = found(shown=pictures(4)[:1], fractions=(0, 0.4), batch_size=1)
    for name in ("measured_change", "predicted_change", "node", "n_nodes"):
        np.testing.assert_allclose(first[name][0], whole[name][0], **CLOSE)
    for row in whole.node.values:
        assert len({*row}) == len(row)
    other = found(shown=pictures(4), fractions=(0, 0.4), seed=1)
    assert not np.array_equal(other.node, whole.node)


def test_where_there_are_fewer_vectors_than_draws_the_rest_is_missing():
    tree = found(draws=12, fractions=(0,))
    missing = tree.measured_change.isnull().all("factor").values[:, 0]
    np.testing.assert_array_equal((~missing).sum(1), tree.n_nodes)
    np.testing.assert_array_equal(missing, tree.node == -1)
    assert bool(tree.correlation.notnull().all())


def test_a_run_goes_on(tmp_path):
    file = tmp_path / "run.nc"
    written, again = found(out=file), found(out=file)
    expected = found()
    for name in ("measured_change", "correlation", "median_correlation_interval"):
        np.testing.assert_allclose(written[name], expected[name], **CLOSE)
        np.testing.assert_allclose(again[name], expected[name], **CLOSE)


def test_the_interval_of_a_median_holds_it():
    rows = np.random.default_rng(0).normal(size=(200, 2, 1))
    rows[0, 0] = np.nan
    middle, ends = medians(rows, 500, 0.95, 0)
    np.testing.assert_allclose(middle, np.nanmedian(rows, 0))
    assert ((ends[0] < middle) & (middle < ends[1])).all()
    assert (ends[1] - ends[0] < 0.6).all()
    assert np.isnan(medians(rows, 0, 0.95, 0)[1]).all()


MALFORMED = {
    "fraction": ({"fractions": 1.5}, r"fractions=\(1.5,\)"),
    "fractions twice": ({"fractions": (0, 0)}, "each once"),
    "no fraction": ({"fractions": ()}, r"fractions=\(\)"),
    "a factor of one": ({"factors": (0, 1)}, r"factors=\(0.0, 1.0\)"),
    "no number": ({"factors": "zero"}, "factors='zero'"),
    "not finite": ({"factors": (np.inf,)}, "factors=inf"),
    "draws": ({"draws": 2}, "draws=2"),
    "seed": ({"seed": -1}, "seed=-1"),
    "confidence": ({"confidence": 95}, "confidence=95"),
    "the same layer": ({"target": SOURCE}, "of the same layer 'one'"),
    "outside": ({"target": TARGET, "at": (9, 9)}, "in 'pre'"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_input_is_named(name):
    options, message = MALFORMED[name]
    with pytest.raises(InputError, match=message):
        found(**options)
