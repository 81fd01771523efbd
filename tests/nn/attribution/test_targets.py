import numpy as np
import pytest
import scipy.special
import torch
import xarray as xr
from scipy.stats import entropy, multivariate_normal

from neurocodec import targets
from neurocodec.errors import InputError, UnknownNameError

OUTPUTS = torch.tensor([[1.0, 5.0, 3.0], [4.0, 0.0, 2.0]])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (targets.Sum(), [9.0, 6.0]),
        (targets.Output(-1), [3.0, 2.0]),
        (targets.Output("b").bind(["a", "b", "c"]), [5.0, 0.0]),
        (targets.TopK(1), [5.0, 4.0]),
        (targets.TopK(2), [8.0, 6.0]),
        (targets.Margin(), [2.0, 2.0]),
    ],
)
def test_targets_by_hand(target, expected):
    assert target(OUTPUTS).tolist() == expected


def test_top_k_of_probabilities_is_scipys_softmax():
    p = np.exp(OUTPUTS.numpy()) / np.exp(OUTPUTS.numpy()).sum(1, keepdims=True)
    found = targets.TopK(2, of="probability")(OUTPUTS)
    np.testing.assert_allclose(found, np.sort(p, axis=1)[:, 1:].sum(1), rtol=1e-6)


def test_a_probability_is_scipys_softmax():
    expected = scipy.special.softmax(OUTPUTS.numpy(), axis=1)[:, 1]
    for which in ("b", 1, -2):
        found = targets.Probability(which).bind(["a", "b", "c"])(OUTPUTS)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(UnknownNameError, match="no output 'd'"):
        targets.Probability("d").bind(["a", "b", "c"])


def test_entropy_is_that_of_scipy_in_bits():
    p = torch.softmax(OUTPUTS, 1)
    expected = entropy(p.numpy(), base=2, axis=1)
    np.testing.assert_allclose(targets.Entropy()(OUTPUTS), expected, rtol=1e-5)
    np.testing.assert_allclose(targets.Entropy(of="probability")(p), expected, rtol=1e-5)


def test_entropy_of_raw_logits_is_refused():
    with pytest.raises(InputError, match="raw logits have no entropy"):
        targets.Entropy(of="logits")
    with pytest.raises(InputError, match="raw logits"):
        targets.Entropy(of="probability")(OUTPUTS)


def test_surprisal_is_scipys_gaussian():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))
    target = targets.Surprisal.fit(rows, shrinkage=None)
    gauss = multivariate_normal(rows.mean(0), np.cov(rows.T))
    expected = -gauss.logpdf(rows) / np.log(2)
    np.testing.assert_allclose(target(torch.from_numpy(rows)), expected, rtol=1e-10)


def test_mahalanobis_is_the_quadratic_form_alone():
    target = targets.Mahalanobis(mean=[1.0, 0.0], covariance=[[4.0, 0.0], [0.0, 9.0]])
    assert target(torch.tensor([[3.0, 3.0]], dtype=torch.float64)).item() == pytest.approx(2.0)


def test_singular_covariance_is_refused_and_shrinkage_helps():
    rows = np.random.default_rng(0).normal(size=(30, 1)) @ np.ones((1, 3))
    with pytest.raises(InputError, match="singular covariance.*\n.*\n.*shrinkage='ledoit-wolf'"):
        targets.Surprisal.fit(rows, shrinkage=None)
    shrunk = targets.Surprisal.fit(rows, shrinkage=0.1)
    assert np.isfinite(shrunk.condition_number)


def test_surprisal_reports_rows_that_it_did_not_see():
    rows = np.random.default_rng(0).normal(size=(40, 10))
    target = targets.Surprisal.fit(rows, shrinkage=None, holdout=0.5)
    assert target.heldout["heldout"] > target.heldout["fitted"]
    np.testing.assert_allclose(target.mean, rows[:20].mean(0))


def test_surprisal_takes_labelled_responses_in_any_order():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    rates = xr.DataArray(rows, dims=("time", "cell"), coords={"cell": ["a", "b", "c"]})
    target = targets.Surprisal.fit(rates.transpose("cell", "time"))
    assert target.outputs == ("a", "b", "c")
    np.testing.assert_allclose(target.mean, rows.mean(0))
    with pytest.raises(InputError, match="in their order"):
        target.bind(["b", "a", "c"])


def test_surprisal_of_responses_with_nan_is_refused():
    with pytest.raises(InputError, match="1 not finite"):
        targets.Surprisal.fit(np.array([[1.0, 2.0], [np.nan, 0.0], [1.0, 1.0]]))


def test_unknown_output_lists_near_names():
    with pytest.raises(UnknownNameError, match="'cell 3'"):
        targets.Output("cel 3").bind(["cell 1", "cell 2", "cell 3"])
    with pytest.raises(InputError, match="position from 0 to 2"):
        targets.Output(3).bind(["a", "b", "c"])
    with pytest.raises(InputError, match="at most 3"):
        targets.TopK(4).bind(["a", "b", "c"])


def test_held_classes_are_those_at_the_sample():
    target = targets.TopK(1, hold=True).fixed_at(OUTPUTS)
    assert target(torch.tensor([[7.0, 1.0, 9.0], [0.0, 6.0, 8.0]])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_of_equal_outputs_the_first_is_taken_however_many_there_are(count):
    equal = torch.zeros(count, 20)
    numbered = torch.arange(20.0).expand(count, 20)
    held = targets.TopK(2, hold=True).fixed_at(equal)
    assert held(numbered).tolist() == [1.0] * count
    outputs = equal.clone().requires_grad_()
    for target, expected in ((targets.TopK(2), [1.0, 1.0]), (targets.Margin(), [1.0, -1.0])):
        (slope,) = torch.autograd.grad(target(outputs).sum(), outputs)
        assert slope.tolist() == [[*expected, *[0.0] * 18]] * count


def test_positions_and_numbers_of_outputs_are_whole_numbers_of_any_kind():
    assert targets.Output(np.int64(-1)).bind(["a", "b"]) == targets.Output(-1)
    assert isinstance(targets.Output(np.int64(0)).bind(["a"]).which, int)
    assert targets.TopK(np.int32(2)) == targets.TopK(2)
    for which in (True, 1.0):
        with pytest.raises(InputError, match="a position from 0 to 1"):
            targets.Output(which).bind(["a", "b"])
    for k in (0, 1.5, True):
        with pytest.raises(InputError, match=rf"k={k}\n  expected: a whole number, at least 1"):
            targets.TopK(k)
    with pytest.raises(UnknownNameError, match="'logits', 'probability'"):
        targets.TopK(of="softmax")


def test_labelled_means_belong_to_their_outputs():
    mean = xr.DataArray([1.0, 2.0], {"cell": ["b", "a"]}, ("cell",))
    target = targets.Mahalanobis(mean, np.eye(2))
    assert target.outputs == ("b", "a")
    target.bind(["b", "a"])
    with pytest.raises(InputError, match="in their order"):
        target.bind(["a", "b"])
