"""Baselines give what scikit-learn gives, behind the face of sparse modes."""

import logging

import numpy as np
import pytest
import xarray as xr
from planted import planted_rows
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA, FastICA, MiniBatchDictionaryLearning

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning, StorageError
from neurocodec.kernels import scores

METHODS = {
    "pca": {},
    "nmf": {"max_iter": 3000, "tol": 1e-6},
    "dictionary_learning": {"alpha": 0.3},
    "ica": {"tol": 1e-3},
    "kmeans": {},
}


def rows_of(samples=400, channels=6):
    x, _ = planted_rows(samples, channels, 8, active=2, noise=0.05, seed=0)
    return labels.labelled(
        x,
        ("stimulus", "channel"),
        {"channel": np.arange(channels), "label": ("stimulus", np.repeat(["cat", "dog"], 200))},
        name="contribution",
        units="bit",
    )


@pytest.fixture(scope="module", params=METHODS)
def fitted(request):
    modes = nc.BaselineModes(request.param, modes=4, **METHODS[request.param])
    return modes.fit(rows_of())


def by_scikit_learn(method, x):
    made = {
        "pca": lambda: PCA(4, random_state=0),
        "nmf": lambda: NMF(4, init="nndsvda", random_state=0, **METHODS["nmf"]),
        "dictionary_learning": lambda: MiniBatchDictionaryLearning(
            4,
            alpha=0.3,
            random_state=0,
            fit_algorithm="cd",
            transform_algorithm="lasso_cd",
            positive_code=True,
            positive_dict=True,
        ),
        "ica": lambda: FastICA(
            4, whiten="unit-variance", max_iter=1000, random_state=0, **METHODS["ica"]
        ),
        "kmeans": lambda: KMeans(4, n_init=4, random_state=0),
    }
    return made[method]().fit(x)


def test_rows_made_again_are_those_of_scikit_learn(fitted):
    rows = rows_of()
    training = ~fitted.loadings.held_out.values
    scale = rows.values[training].std()
    x = rows.values / scale
    model = by_scikit_learn(fitted.method, x[training].astype(np.float32).astype(float))
    if fitted.method == "kmeans":
        expected = model.cluster_centers_[model.predict(x)]
    elif fitted.method in ("pca", "ica"):
        expected = model.inverse_transform(model.transform(x))
    else:
        expected = model.transform(x) @ model.components_
    made = fitted.inverse_transform(fitted.loadings)
    np.testing.assert_allclose(made, expected * scale, atol=5e-3 * scale)


def test_the_face_is_that_of_sparse_modes(fitted):
    sparse = nc.SparseModes(expansion=1, epochs=2, progress=False).fit(rows_of())
    assert isinstance(fitted, nc.Decomposition)
    assert isinstance(sparse, nc.Decomposition)
    assert fitted.dictionary.dims == sparse.dictionary.dims
    ours, theirs = (
        {k: a for k, a in modes.dictionary.attrs.items() if k != labels.PROVENANCE}
        for modes in (fitted, sparse)
    )
    assert ours == theirs
    assert set(fitted.summary) == set(sparse.summary)
    assert fitted.loadings.label.values.tolist() == sparse.loadings.label.values.tolist()
    np.testing.assert_array_equal(fitted.loadings.held_out, sparse.loadings.held_out)
    held = fitted.loadings.held_out.values
    made = fitted.inverse_transform(fitted.loadings)
    assert fitted.r2 == pytest.approx(scores.r2(rows_of()[held], made[held]), abs=1e-5)
    assert 0 < fitted.l0 <= 4


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_round_trip_gives_the_same_bits(fitted, tmp_path, suffix):
    path = tmp_path / f"modes{suffix}"
    fitted.save(path)
    for again in (nc.BaselineModes.load(path), nc.open(path)):
        xr.testing.assert_identical(again.to_tree(), fitted.to_tree())
        xr.testing.assert_identical(again.transform(rows_of()), fitted.transform(rows_of()))
    with pytest.raises(StorageError, match="BaselineModes"):
        nc.SparseModes.load(path)


def test_rows_with_mean_and_sign_are_made_again_with_their_offset():
    x = np.random.default_rng(0).standard_normal((200, 3)) + np.array([5.0, -3.0, 0.0])
    rows = xr.DataArray(x, dims=("time", "channel"))
    modes = nc.BaselineModes("pca").fit(rows)
    np.testing.assert_allclose(modes.inverse_transform(modes.loadings), x, atol=1e-5)
    assert modes.r2 == pytest.approx(1.0, abs=1e-6)
    assert (modes.loadings < 0).any()


def test_the_inhibitory_part_keeps_its_sign():
    parts = xr.DataArray(
        np.stack([rows_of().values, -rows_of().values], axis=1),
        {"sign": ["excitatory", "inhibitory"]},
        ("time", "sign", "channel"),
    )
    modes = nc.BaselineModes("nmf", modes=3, sign="inhibitory", tol=1e-3).fit(parts)
    assert (modes.dictionary <= 0).all()
    assert (modes.loadings >= 0).all()


def test_negative_rows_have_no_nmf():
    rows = xr.DataArray(np.random.default_rng(0).standard_normal((50, 3)), dims=("time", "channel"))
    with pytest.raises(InputError, match="rows down to -.*non-negative"):
        nc.BaselineModes("nmf").fit(rows)


def test_what_has_not_converged_is_warned_of_once():
    with pytest.warns(NeurocodecWarning, match="'nmf' stopped before it converged") as caught:
        nc.BaselineModes("nmf", modes=5, max_iter=2, tol=1e-9).fit(rows_of())
    assert {w.category for w in caught} == {NeurocodecWarning}


def test_silent_channels_are_reported(caplog):
    rows = rows_of()
    rows[:, 1] = 0.0
    with caplog.at_level(logging.INFO):
        nc.BaselineModes("pca", modes=2).fit(rows)
    assert "1 of 6 channels are constant" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "som"}, "no method 'som'"),
        ({"method": "pca", "alpha": 1.0}, "no setting of 'pca' 'alpha'"),
        ({"method": "pca", "n_components": 3}, "n_components"),
        ({"method": "nmf", "modes": 0}, "modes=0"),
        ({"method": "nmf", "modes": 3, "expansion": 2}, "one of the two"),
        ({"method": "nmf", "expansion": -1}, "expansion=-1"),
        ({"method": "nmf", "validation": 1.0}, "validation=1.0"),
        ({"method": "nmf", "sign": "positive"}, "no sign 'positive'"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        nc.BaselineModes(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 3}, r"n_components=3\n  expected: modes=.*\n  try: modes=20"),
        ({"n_clusters": 3}, "try: modes=20"),
        ({"random_state": 3}, r"random_state=3\n.*\n  try: seed=0"),
        ({"split_sign": True}, "split_sign=True"),
        ({"modes": True}, "modes=True"),
        ({"modes": 2.0}, "modes=2.0"),
        ({"modes": "a"}, "modes='a'"),
        ({"seed": -3}, "seed=-3"),
        ({"seed": "a"}, "seed='a'"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"seed": True}, "seed=True"),
        ({"expansion": "a"}, "expansion='a'"),
        ({"expansion": np.nan}, "expansion=nan"),
        ({"expansion": np.inf}, "expansion=inf"),
        ({"validation": "a"}, "validation='a'"),
        ({"validation": np.nan}, "validation=nan"),
        ({"dict_init": np.eye(3)}, "dict_init of type ndarray"),
    ],
)
def test_wrong_settings_say_what_to_type(settings, message):
    with pytest.raises(InputError, match=message):
        nc.BaselineModes("dictionary_learning", **settings)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("nmf", {"max_iter": "a"}),
        ("nmf", {"init": "foo"}),
        ("nmf", {"modes": 9, "init": "nndsvd"}),
        ("pca", {"svd_solver": "foo"}),
        ("ica", {"fun": "foo"}),
        ("kmeans", {"n_init": "foo"}),
        ("dictionary_learning", {"transform_algorithm": "omp"}),
    ],
)
def test_what_scikit_learn_refuses_is_named(method, settings):
    name = [*settings][-1]
    with pytest.raises(InputError, match=f"'{method}' of scikit-learn with .*{name}") as caught:
        nc.BaselineModes(method, **settings).fit(rows_of())
    assert caught.value.expected == str(caught.value.__cause__)


def test_numbers_of_numpy_are_those_of_python(tmp_path):
    given = {"modes": np.int64(2), "seed": np.int32(1), "validation": np.float32(0.25)}
    modes = nc.BaselineModes("nmf", **given, tol=np.float32(0.5)).fit(rows_of())
    plain = nc.BaselineModes("nmf", modes=2, seed=1, validation=0.25, tol=0.5).fit(rows_of())
    assert modes.settings() == plain.settings()
    modes.save(tmp_path / "modes.nc")
    again = nc.BaselineModes.load(tmp_path / "modes.nc")
    xr.testing.assert_identical(again.to_tree(), plain.to_tree())


def with_constant(value, place, rows):
    found = rows.copy()
    found[:, place] = value
    return found


def mixed_rows():
    """Independent and far from normal, so that ICA converges."""
    generator = np.random.default_rng(0)
    mixing = np.eye(6) + 0.2 * generator.random((6, 6))
    return rows_of().copy(data=generator.exponential(size=(400, 6)) @ mixing)


@pytest.mark.parametrize("place", [0, 3, 5])
def test_ica_leaves_constant_channels_out(place):
    rows = with_constant(0.25, place, mixed_rows())
    modes = nc.BaselineModes("ica", tol=1e-3).fit(rows)
    others = [c for c in range(6) if c != place]
    without = nc.BaselineModes("ica", tol=1e-3).fit(rows.isel(channel=others))
    assert modes.dictionary.shape == (5, 6)
    assert (modes.dictionary.isel(channel=place) == 0).all()
    made = modes.inverse_transform(modes.loadings)
    np.testing.assert_allclose(made[:, place], 0.25, rtol=1e-6)
    # the scale differs, as the constant is part of it; ICA divides by the deviation itself
    cosine = np.corrcoef(modes.loadings.T, without.loadings.T)[:5, 5:]
    np.testing.assert_allclose(np.abs(cosine).max(axis=1), 1.0, atol=1e-3)
    np.testing.assert_allclose(made, rows, atol=1e-4)
    moved = modes.transform(with_constant(7.0, place, rows))
    np.testing.assert_array_equal(moved, modes.transform(rows))


@pytest.mark.parametrize("size", [{"modes": 6}, {"expansion": 1}])
@pytest.mark.parametrize("other", [0.5, "copy", "sum"])
def test_ica_has_no_more_modes_than_independent_channels(size, other):
    rows = mixed_rows()
    values = {"copy": rows[:, 1], "sum": rows[:, 1] + 2 * rows[:, 3]}.get(other, other)
    with pytest.raises(InputError, match=r"(?s)at most 5 modes for 'ica'.*modes=5\)"):
        nc.BaselineModes("ica", **size).fit(with_constant(values, 4, rows))
    made = nc.BaselineModes("ica", modes=5, tol=1e-3).fit(with_constant(values, 4, rows))
    assert np.abs(made.dictionary).max() < 100 * rows.max()


def test_ica_of_channels_that_are_all_constant_is_refused():
    rows = xr.DataArray(np.tile([0.0, 1.0, 2.0], (50, 1)), dims=("time", "channel"))
    with pytest.raises(InputError, match="at most 0 modes.*\n  try: rows that vary"):
        nc.BaselineModes("ica").fit(rows)


def test_nmf_has_more_modes_than_channels():
    given = {"modes": 9, "max_iter": 3000, "tol": 1e-4, "validation": 0.0}
    modes = nc.BaselineModes("nmf", **given).fit(rows_of())
    again = nc.BaselineModes("nmf", **given).fit(rows_of())
    other = nc.BaselineModes("nmf", **given, seed=1).fit(rows_of())
    assert modes.dictionary.shape == (9, 6)
    assert modes.r2_train > 0.95
    np.testing.assert_array_equal(modes.dictionary, again.dictionary)
    assert not np.allclose(modes.dictionary, other.dictionary)


def test_dictionary_learning_of_negative_rows_needs_a_sign():
    rows = xr.DataArray(np.random.default_rng(0).standard_normal((80, 3)), dims=("time", "channel"))
    with pytest.raises(InputError, match=r"(?s)rows down to -.*positive_dict=False"):
        nc.BaselineModes("dictionary_learning").fit(rows)
    for signed in ("positive_dict", "positive_code"):
        modes = nc.BaselineModes("dictionary_learning", modes=3, alpha=0.2, **{signed: False})
        assert modes.fit(rows).r2_train > 0.3


@pytest.mark.parametrize("method", METHODS)
def test_the_global_random_state_is_given_back(method):
    before = np.random.get_state(legacy=False)  # noqa: NPY002  is what must not change
    modes = nc.BaselineModes(method, modes=4, **METHODS[method]).fit(rows_of())
    modes.transform(rows_of())
    with pytest.raises(InputError):
        nc.BaselineModes("dictionary_learning", tol="a").fit(rows_of())
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert before["state"]["pos"] == after["state"]["pos"]
    np.testing.assert_array_equal(before["state"]["key"], after["state"]["key"])


def test_the_warning_is_at_the_line_of_the_caller():
    modes = nc.BaselineModes("nmf", modes=5, max_iter=2, tol=1e-9)
    with pytest.warns(NeurocodecWarning) as caught:
        modes.fit(rows_of())
    assert {w.filename for w in caught} == {__file__}


@pytest.mark.parametrize("method", ["pca", "ica"])
def test_more_components_than_channels_are_refused(method):
    with pytest.raises(InputError, match=f"at most 6 modes for '{method}'"):
        nc.BaselineModes(method, modes=7).fit(rows_of())


def test_other_channels_are_named(fitted):
    with pytest.raises(InputError, match="missing 5"):
        fitted.transform(rows_of().isel(channel=slice(5)))
