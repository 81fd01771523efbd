import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.nn import superposition as toys


@pytest.fixture(scope="module")
def trained() -> xr.DataTree:
    return nc.superposition.train("absolute", hidden=(8, 6), seeds=3, steps=40, progress=False)


def test_scores_are_those_of_the_weights(trained):
    weights = trained["units6"]
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 0.0, 1.0], size=(50, 6))
    x = x[abs(x).sum(1) == 2]
    h = np.maximum(x @ weights.first_weight.values[1].T + weights.first_bias.values[1], 0)
    y = h @ weights.second_weight.values[1].T + weights.second_bias.values[1]
    error = abs(np.maximum(y, 0) - abs(x)).max()
    assert error <= float(trained.largest_error.sel(hidden=6, seed=1, active=2)) + 1e-6
    assert dict(trained.input_loss.sizes) == {"hidden": 2, "seed": 3, "active": 7}
    found = nc.superposition.attributions(trained).sel(hidden=6, seed=1)
    s = np.maximum(weights.first_weight.values[1][:, 2] + weights.first_bias.values[1], 0)
    s = s * weights.second_weight.values[1][4]
    one = found.sel(shown="2+", feature=4)
    np.testing.assert_allclose(one.excitation, s[s > 0].sum(), rtol=1e-5)
    np.testing.assert_allclose(one.inhibition, -s[s < 0].sum(), rtol=1e-5)
    size = found.excitation + found.inhibition
    own = size.where(found.shown_feature == found.feature).sum()
    share = 1 - float(own / size.sum())
    assert share == pytest.approx(float(trained.off_diagonal.sel(hidden=6, seed=1)), rel=1e-5)


def test_the_reference_is_disentangled_and_inhibits_where_it_has_to():
    found = nc.superposition.attributions(nc.superposition.reference("xor")).squeeze(drop=True)
    both = found.isel(shown=slice(1, None, 2))
    np.testing.assert_array_equal(both.inhibition, 2 * np.eye(6))
    assert not found.inhibition[::2].any()


def test_a_file_has_the_same(trained, tmp_path):
    path = tmp_path / "toys.nc"
    again = nc.superposition.train(
        "absolute", hidden=(8, 6), seeds=3, steps=40, out=path, progress=False
    )
    with nc.open(path) as found:
        for tree in (again, found.load()):
            xr.testing.assert_identical(tree["units8"].to_dataset(), trained["units8"].to_dataset())
            xr.testing.assert_identical(tree.to_dataset(), trained.to_dataset())


def test_a_training_that_was_stopped_goes_on_to_the_same(trained, tmp_path, monkeypatch):
    call = {"hidden": (8, 6), "seeds": 3, "steps": 40, "progress": False, "out": tmp_path / "t.nc"}
    whole, made = toys.train, []

    def stopped(task, size, some, **how):
        if size == 6:
            raise KeyboardInterrupt
        return whole(task, size, some, **how)

    monkeypatch.setattr(toys, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        nc.superposition.train("absolute", **call)
    assert len([*tmp_path.glob("*.parts/*.nc")]) == 1
    monkeypatch.setattr(toys, "train", lambda *a, **k: made.append(a[1]) or whole(*a, **k))
    found = nc.superposition.train("absolute", **call)
    assert made == [6]
    xr.testing.assert_identical(found["units8"].to_dataset(), trained["units8"].to_dataset())
    xr.testing.assert_identical(found.to_dataset(), trained.to_dataset())
    assert [*tmp_path.iterdir()] == [tmp_path / "t.nc"]


def test_hidden_units_have_a_bias_where_it_is_asked_for():
    for kind, asked, there in (
        ("absolute", None, False),
        ("xor", None, True),
        ("xor", False, False),
    ):
        call = {"hidden": 6, "seeds": 2, "steps": 3, "first_bias": asked, "progress": False}
        found = nc.superposition.train(kind, **call)
        assert bool(found["units6"].first_bias.any()) == there


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "or"}, "'or'"),
        ({"hidden": 0}, "hidden=0"),
        ({"hidden": ()}, "numbers of hidden units"),
        ({"hidden": (6, 6)}, "none twice"),
        ({"hidden": "12"}, "hidden='12'"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": 2.5}, "seeds=2.5"),
        ({"steps": -1}, "steps=-1"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": np.nan}, "learning_rate=nan"),
        ({"out": 3}, "out=3"),
        ({"first_bias": "no"}, "first_bias='no'"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        nc.superposition.train(**options)


@pytest.mark.parametrize("tree", [None, xr.DataTree(), xr.Dataset()])
def test_attributions_of_something_else_are_refused(tree):
    with pytest.raises(InputError, match="not of toy models"):
        nc.superposition.attributions(tree)
