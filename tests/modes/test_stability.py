"""Planted modes come out stable and above chance; noise does not; results are labelled."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from planted import matched_cosine

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning
from neurocodec.kernels.matching import cosine_similarity, match_modes
from neurocodec.kernels.resampling import shuffle_columns
from neurocodec.kernels.splits import held_out
from neurocodec.modes import fit_modes, stability

QUICK = {"expansion": 1, "epochs": 25}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def combined(rows=1200, modes=12, seed=0):
    """Rows of modes of four equally strong channels each: far from any single channel."""
    random = np.random.default_rng(seed)
    atoms = np.zeros((modes, modes))
    for atom in atoms:
        atom[random.choice(modes, 4, replace=False)] = 0.5
    loadings = random.gamma(4.0, 0.25, (rows, modes)) * (random.random((rows, modes)) < 0.15)
    noise = 0.02 * random.standard_normal((rows, modes))
    return np.maximum(loadings @ atoms + noise, 0.0), atoms


def labelled_rows(values, dim="stimulus", sign="excitatory"):
    kinds = np.array([f"type {i}" for i in range(values.shape[1])])
    coords = {"channel": 10 + np.arange(values.shape[1]), "cell_type": ("channel", kinds)}
    rows = labels.labelled(values, (dim, "channel"), coords, name="contribution", units="bit")
    return rows.assign_coords(sign=sign)


@pytest.fixture(scope="module")
def found():
    values, _ = combined()
    return nc.mode_stability(
        labelled_rows(values), nc.SparseModes(**QUICK), seeds=3, bootstrap=1, progress=False
    )


def test_planted_modes_are_stable_and_above_chance(found):
    _, atoms = combined()
    assert (matched_cosine(found.dictionary.values, atoms) > 0.95).mean() >= 0.9
    assert found.above_chance.mean() >= 0.8
    assert found.replicated_share >= 0.8
    assert (found.stability.diff("mode") <= 0).all()


@pytest.mark.parametrize("kind", ["half-normal", "signed"])
def test_noise_is_not_above_chance(kind):
    noise = np.random.default_rng(1).standard_normal((800, 10))
    rows = np.maximum(noise, 0.0) if kind == "half-normal" else noise
    quick = nc.SparseModes(**{**QUICK, "nonnegative": kind != "signed"})
    result = nc.mode_stability(labelled_rows(rows), quick, seeds=2, progress=False)
    assert result.above_chance.mean() <= 0.1


def test_stable_single_channels_are_what_independent_channels_give():
    """Why stability alone is no evidence of combinations."""
    sparse = np.random.default_rng(2).gamma(0.3, size=(1200, 8))
    result = nc.mode_stability(
        labelled_rows(sparse), nc.SparseModes(**QUICK), seeds=2, progress=False
    )
    assert result.replicated_share > 0.8
    assert result.chance_replicated_share > 0.8
    assert result.found_in_shuffled_share > 0.8  # stable, but of no use as combinations
    assert (result.stability > result.chance).mean() > 0.5  # why there is a margin
    assert not result.above_chance.any()


def test_combinations_are_not_found_in_shuffled_rows(found):
    assert found.replicated_share > 0.8
    assert found.found_in_shuffled_share < 0.2


@pytest.mark.parametrize("kind", ["uniform", "exponential", "sparse"])
def test_accidents_of_few_rows_are_not_above_chance(kind):
    """All fits share them, and shuffled rows have others: 12 to 38 % of the modes were."""
    random = np.random.default_rng(3)
    rows = {
        "uniform": random.random((150, 6)),
        "exponential": random.exponential(size=(150, 6)),
        "sparse": random.exponential(size=(150, 6)) * (random.random((150, 6)) < 0.2),
    }[kind]
    modes = nc.SparseModes(expansion=8, epochs=30)
    result = nc.mode_stability(labelled_rows(rows), modes, seeds=2, progress=False)
    alike = (result.stability >= 0.9) & (result.stability > result.chance + 0.05)
    assert kind != "uniform" or alike.mean() > 0.1  # what stability alone would say
    assert result.above_chance.mean() <= 0.05


@pytest.mark.slow
def test_slow_channels_that_have_nothing_to_do_with_each_other_are_not_above_chance():
    """Neighbouring frames are no independent rows: slow channels go together by accident."""
    limits, above = [], []
    for seed in (1, 2):
        noise = np.random.default_rng(seed).standard_normal((700, 6))
        for i in range(1, len(noise)):
            noise[i] += 0.95 * noise[i - 1]
        rows = np.maximum(noise[100:], 0.0)
        kinds = [labelled_rows(rows, "time"), labelled_rows(rows)]
        quick = nc.SparseModes(**QUICK)
        found = [nc.mode_stability(rows, quick, seeds=2, progress=False) for rows in kinds]
        limits.append([float(one.chance_variance_ratio) for one in found])
        above.append(float(found[0].above_chance.mean()))
    turned, permuted = np.mean(limits, axis=0)
    assert turned > permuted + 0.05
    assert np.mean(above) <= 0.05


def by_hand(rows, seed):
    fit = nc.SparseModes(expansion=1, epochs=8, seed=seed, progress=False).fit(rows)
    return fit.dictionary.values[(fit.loadings > 0).any("stimulus").values]


def ratio_by_hand(atoms, rows):
    covariance = np.cov(np.asarray(rows, dtype=float).T)
    return [d @ covariance @ d / (d**2 @ np.diag(covariance)) for d in np.asarray(atoms)]


def test_chance_is_the_closest_mode_of_any_fit_to_shuffled_rows():
    rows = labelled_rows(combined(rows=300, modes=5)[0])
    quick = nc.SparseModes(expansion=1, epochs=8)
    result = nc.mode_stability(rows, quick, seeds=[4, 9], shuffles=2, cosine=0.7, progress=False)
    broken = [rows.copy(data=shuffle_columns(rows.values, [4, 2, i])) for i in range(2)]
    shuffled = [by_hand(array, seed) for array in broken for seed in (4, 9)]
    closest = [cosine_similarity(result.dictionary, atoms).max(axis=1) for atoms in shuffled]
    np.testing.assert_allclose(result.chance, np.max(closest, axis=0), atol=1e-4)
    assert np.ptp(closest, axis=0).max() > 0.01  # a least or a mean would be another
    ratio = [ratio_by_hand(result.dictionary, rows)]
    ratio += [ratio_by_hand(shuffled[i], broken[i // 2]) for i in range(4)]
    np.testing.assert_allclose(result.variance_ratio, ratio[0], rtol=1e-5)
    below = np.sort(np.concatenate(ratio[1:]))
    limit = below[int(np.ceil(0.975 * (len(below) - 1)))]
    assert float(result.chance_variance_ratio) == pytest.approx(limit, rel=1e-5)
    real = [by_hand(rows, seed) for seed in (4, 9)]
    shares = [(match_modes(a, b)[1] >= 0.7).mean() for a in real for b in shuffled]
    assert len({*shares}) > 1
    assert float(result.found_in_shuffled_share) == pytest.approx(np.mean(shares))


def test_near_copies_are_counted_once():
    copied = combined(rows=400, modes=4)[0]
    quick = nc.SparseModes(expansion=6, epochs=25)
    result = nc.mode_stability(labelled_rows(copied), quick, seeds=2, progress=False)
    assert (result.distinct_share < 0.8).all()
    assert (result.distinct_share > 0).all()
    assert (result.nearest_cosine >= 0.99).mean() > 0.2


def resampled(monkeypatch, dim, **settings):
    """Rows of each fit of a call with resampled rows, as they are counted."""
    given, fit_all = [], fit_modes.fit_all

    def kept(rows, configs, **kwargs):
        given.append(
            [(array.values[:, 0], config) for array, config in zip(rows, configs, strict=True)]
        )
        return fit_all(rows, configs, **kwargs)

    monkeypatch.setattr(stability, "fit_all", kept)
    values, _ = combined(rows=1000, modes=4)
    values[:, 0] = np.arange(1000) / 1000
    quick = nc.SparseModes(expansion=1, epochs=1, **settings)
    nc.mode_stability(labelled_rows(values, dim), quick, seeds=2, bootstrap=3, progress=False)
    return [(np.rint(1000 * one).astype(int), config) for one, config in given[0][2:5]]


@pytest.mark.parametrize("dim", ["time", "stimulus"])
def test_rows_held_out_are_no_copies_of_training_rows(dim, monkeypatch):
    found = resampled(monkeypatch, dim, validation=0.2)
    assert [config.seed for _, config in found] == [0, 1, 0]
    for drawn, config in found:
        held = held_out(1000, 0.2, config.seed, series=dim == "time")
        np.testing.assert_array_equal(drawn[held], np.flatnonzero(held))
        assert not {*drawn[held]} & {*drawn[~held]}
        assert 0.5 < len({*drawn[~held]}) / 800 < 0.75  # with replacement
    assert not np.array_equal(found[0][0], found[2][0])


def fits_made(monkeypatch):
    """Seeds of the fits of calls from here on, as they are made."""
    made, fit_all = [], fit_modes.fit_all

    def counted(rows, configs, **kwargs):
        made.append([config.seed for config in configs])
        return fit_all(rows, configs, **kwargs)

    monkeypatch.setattr(stability, "fit_all", counted)
    return made


def test_modes_that_are_fitted_are_one_of_the_fits(monkeypatch):
    rows, other = (labelled_rows(combined(rows=n, modes=4)[0]) for n in (100, 110))
    quick = nc.SparseModes(expansion=1, epochs=2, seed=1, progress=False)
    fitted, made = quick.copy().fit(rows), fits_made(monkeypatch)
    found = nc.mode_stability(rows, fitted, seeds=2)
    anew = nc.mode_stability(rows, quick, seeds=2)
    nc.mode_stability(other, fitted, seeds=2)
    nc.mode_stability(rows, fitted, seeds=[5, 6])
    assert made == [[0, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1], [5, 6, 5, 6]]
    assert found.r2[1] == fitted.r2
    xr.testing.assert_allclose(found, anew, rtol=1e-3, atol=1e-3)


def test_settings_that_were_changed_after_a_fit_are_fitted_anew(monkeypatch):
    rows = labelled_rows(combined(rows=60, modes=4)[0])
    fitted = nc.SparseModes(expansion=1, epochs=1, progress=False).fit(rows)
    fitted.config = dataclasses.replace(fitted.config, epochs=2)
    made = fits_made(monkeypatch)
    nc.mode_stability(rows, fitted, seeds=2)
    assert made == [[0, 1, 0, 1]]


def test_layers_side_by_side_are_as_one_by_one(monkeypatch):
    rows = {k: labelled_rows(combined(rows=n, modes=4)[0]) for k, n in (("a", 100), ("b", 90))}
    tree = xr.DataTree.from_dict({k: xr.Dataset({"contribution": x}) for k, x in rows.items()})
    quick = nc.SparseModes(expansion=1, epochs=2, progress=False)
    modes = {k: quick.copy().fit(x) for k, x in rows.items()}
    made = fits_made(monkeypatch)
    found = stability.stability_by_layer(tree, modes, [0, 1])
    assert made == [[1, 0, 1, 1, 0, 1]]
    for k, one in modes.items():
        xr.testing.assert_allclose(found[k], nc.mode_stability(tree[k], one, seeds=2))


@pytest.mark.filterwarnings("ignore:.*active")
def test_a_layer_without_active_modes_leaves_the_others():
    rows = labelled_rows(combined(rows=100, modes=4)[0])
    tree = xr.DataTree.from_dict({k: xr.Dataset({"contribution": rows}) for k in "ab"})
    quick = nc.SparseModes(expansion=1, epochs=2, progress=False)
    modes = {"a": quick.copy(l1_loading=2.9).fit(rows), "b": quick.copy().fit(rows)}
    found = stability.stability_by_layer(tree, modes, [0, 1])
    assert "no mode is ever active" in found["a"].came
    assert found["b"].sizes["fit"] == 2


def test_of_a_movie_blocks_are_resampled(monkeypatch):
    for dim, least, most in (("time", 0.8, 1.0), ("stimulus", 0.0, 0.05)):
        with monkeypatch.context() as patch:
            drawn, config = resampled(patch, dim)[0]
        training = drawn[~held_out(1000, 0.1, config.seed, series=dim == "time")]
        assert least <= (np.diff(training) == 1).mean() <= most


def test_a_file_and_a_layer_are_taken(tmp_path):
    rows = labelled_rows(combined(rows=100, modes=4)[0])
    tree = xr.DataTree.from_dict({"/conv1": xr.Dataset({"contribution": rows})})
    tree = labels.stamp(tree, "nc.contributions", model="simulated")
    nc.save(tree, tmp_path / "run.nc")
    quick = nc.SparseModes(expansion=1, epochs=1, progress=False)
    expected = nc.mode_stability(tree["conv1"], quick, seeds=2)
    for data in (tree, tmp_path / "run.nc", str(tmp_path / "run.nc")):
        assert nc.mode_stability(data, quick, layer="conv1", seeds=2).identical(expected)
    assert labels.provenance(expected)["contributions"]["model"] == "simulated"
    with pytest.raises(InputError, match="'conv1'"):
        nc.mode_stability(tmp_path / "run.nc", quick, layer="conv2")


def test_few_rows_are_said_once_where_the_call_is():
    rows = labelled_rows(combined(rows=40, modes=6)[0])
    quick = nc.SparseModes(expansion=10, epochs=1, progress=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nc.mode_stability(rows, quick, seeds=2, bootstrap=2, shuffles=2)
    assert [w.category for w in caught] == [NeurocodecWarning]
    assert "fewer than 60 modes" in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("wanted", "template"), [(True, True), (True, False), (False, True)])
def test_progress_is_shown_where_call_and_template_want_it(wanted, template, capfd):
    rows = labelled_rows(combined(rows=40, modes=4)[0])
    quick = nc.SparseModes(expansion=1, epochs=1, progress=template)
    nc.mode_stability(rows, quick, seeds=2, progress=wanted)
    shown = capfd.readouterr().err
    assert ("shuffled rows" in shown) == (wanted and template)
    assert bool(shown) == (wanted and template)


def test_counts_of_numpy_are_counts():
    rows = labelled_rows(combined(rows=40, modes=4)[0])
    quick = nc.SparseModes(expansion=1, epochs=1)
    given = {"seeds": 2, "progress": False}
    found = nc.mode_stability(rows, quick, shuffles=np.int64(2), bootstrap=np.int8(1), **given)
    wanted = nc.mode_stability(rows, quick, shuffles=2, bootstrap=1, **given)
    xr.testing.assert_identical(found, wanted)
    with pytest.raises(InputError, match="shuffles=True"):
        nc.mode_stability(rows, quick, shuffles=True)


def test_a_cosine_of_numpy_is_a_cosine():
    rows = labelled_rows(combined(rows=40, modes=4)[0])
    quick = nc.SparseModes(expansion=1, epochs=1)
    found = nc.mode_stability(rows, quick, seeds=2, cosine=np.float32(0.5), progress=False)
    assert labels.provenance(found)["cosine"] == 0.5
    for wrong in (0.0, 1.5, True, np.nan, "0.9"):
        with pytest.raises(InputError, match="cosine="):
            nc.mode_stability(rows, quick, cosine=wrong)


def test_other_warnings_are_passed_on(monkeypatch):
    one, rows = nc.SparseModes(expansion=1), labelled_rows(np.eye(3).repeat(9, 0))
    prepared = one.prepare(rows, {})

    def prepare(*_):
        warnings.warn("from elsewhere", RuntimeWarning, stacklevel=1)
        return prepared

    monkeypatch.setattr(one, "prepare", prepare)
    with pytest.warns(RuntimeWarning, match="from elsewhere"):
        fit_modes.prepare_all([one], [(rows, {})])


def test_figures_follow_from_the_matches(found):
    np.testing.assert_allclose(found.stability, np.median(found.matched_cosine, axis=0))
    np.testing.assert_allclose(found.replicated, (found.matched_cosine >= 0.9).mean("fit"))
    np.testing.assert_array_equal(
        found.above_chance,
        (found.stability >= 0.9)
        & (found.stability > found.chance + 0.05)
        & (found.variance_ratio > found.chance_variance_ratio),
    )
    assert float(found.above_chance_share) == pytest.approx(found.above_chance.mean())
    atoms = found.dictionary.values.astype(float)
    unit = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    nearest = np.sort(unit @ unit.T, axis=1)[:, -2]
    np.testing.assert_allclose(found.nearest_cosine, nearest, atol=1e-5)
    pairs = found.pairwise_replicated.values
    np.testing.assert_array_equal(np.diag(pairs), 1.0)
    seeds = pairs[:3, :3]
    assert float(found.replicated_share) == pytest.approx(seeds[~np.eye(3, dtype=bool)].mean())


def test_pairs_are_those_of_fits_made_by_hand():
    rows = labelled_rows(combined(rows=500, modes=6)[0])
    result = nc.mode_stability(rows, nc.SparseModes(**QUICK), seeds=[4, 9], progress=False)
    a, b = (nc.SparseModes(**QUICK, seed=s, progress=False).fit(rows) for s in (4, 9))
    atoms = [f.dictionary.values[(f.loadings > 0).any("stimulus").values] for f in (a, b)]
    share = (match_modes(*atoms)[1] >= 0.9).mean()
    assert float(result.pairwise_replicated[0, 1]) == pytest.approx(share)
    np.testing.assert_allclose(result.r2, [a.r2, b.r2])
    np.testing.assert_allclose(
        np.sort(result.matched_cosine[0])[::-1][: len(atoms[0])],
        np.sort(match_modes(*atoms)[1])[::-1][: len(atoms[0])],
        atol=1e-6,
    )
    strength = np.linalg.norm(result.dictionary, axis=1)
    both = np.concatenate([np.linalg.norm(x, axis=1) for x in atoms])
    assert both.min() * 0.999 <= strength.min() <= strength.max() <= both.max() * 1.001


def test_everything_is_labelled_and_comes_back_from_a_file(found, tmp_path):
    assert found.dictionary.dims == ("mode", "channel")
    assert found.dictionary.attrs["units"] == "bit"
    assert found.channel.values.tolist() == list(range(10, 22))
    assert found.cell_type.values[0] == "type 0"
    assert found.kind.values.tolist() == ["seed"] * 3 + ["bootstrap"]
    assert found.seed.values.tolist() == [0, 1, 2, 0]
    for name, array in found.data_vars.items():
        assert array.name == name
        assert {"units", "long_name"} <= set(array.attrs)
    facts = labels.provenance(found)
    assert facts["function"] == "nc.mode_stability"
    assert (facts["seeds"], facts["shuffles"], facts["cosine"]) == ([0, 1, 2], 1, 0.9)
    nc.save(found, tmp_path / "stability.nc")
    assert nc.open(tmp_path / "stability.nc").identical(found)


def test_a_tree_and_both_signs_are_taken():
    values, _ = combined(rows=300, modes=5)
    parts = np.stack([values, -np.roll(values, 3, axis=0)], axis=1)
    array = labels.labelled(
        parts,
        ("time", "sign", "channel"),
        {"sign": ["excitatory", "inhibitory"]},
        name="contribution",
        units="bit",
    )
    tree = xr.DataTree.from_dict({"/conv1": xr.Dataset({"contribution": array})})
    quick = nc.SparseModes(**QUICK, sign="both")
    found = nc.mode_stability(tree["conv1"], quick, seeds=2, bootstrap=1, progress=False)
    assert found.dictionary.dims == ("mode", "sign", "channel")
    assert (found.dictionary.sel(sign="inhibitory") <= 0).all()
    assert (found.dictionary.sel(sign="excitatory") >= 0).all()
    assert (found.chance >= 0).all()


def test_global_random_numbers_are_left_alone():
    rows = labelled_rows(combined(rows=100, modes=4)[0])
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    quick = nc.SparseModes(expansion=1, epochs=1)
    nc.mode_stability(rows, quick, seeds=2, bootstrap=1, progress=False)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_same_call_same_result():
    rows = labelled_rows(combined(rows=100, modes=4)[0], dim="time")
    quick = nc.SparseModes(expansion=1, epochs=1)
    first, second = (
        nc.mode_stability(rows, quick, seeds=2, bootstrap=2, progress=False) for _ in range(2)
    )
    assert first.identical(second)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 1}, "seeds=1"),
        ({"seeds": [3, 3]}, "different seeds"),
        ({"seeds": 2.5}, "seeds=2.5"),
        ({"seeds": "ab"}, "seeds='ab'"),
        ({"seeds": [0.2, 1.7]}, "seeds="),
        ({"seeds": True}, "seeds=True"),
        ({"seeds": [True, 2]}, "seeds="),
        ({"seeds": [-1, 2]}, "of at least 0"),
        ({"seeds": None}, "seeds=None"),
        ({"bootstrap": True}, "bootstrap=True"),
        ({"shuffles": 1.5}, "shuffles=1.5"),
        ({"cosine": "0.9"}, "cosine='0.9'"),
        ({"cosine": True}, "cosine=True"),
        ({"cosine": float("nan")}, "cosine=nan"),
        ({"bootstrap": -1}, "bootstrap=-1"),
        ({"shuffles": 0}, "shuffles=0"),
        ({"cosine": 1.5}, "cosine=1.5"),
        ({"modes": "SparseModes"}, "modes of type str"),
    ],
)
def test_bad_settings_are_named_before_any_fit(settings, message):
    rows = labelled_rows(combined(rows=50, modes=4)[0])
    with pytest.raises(InputError, match=message):
        nc.mode_stability(rows, **{"progress": False, **settings})


def test_numbers_of_numpy_are_taken():
    rows = labelled_rows(combined(rows=50, modes=4)[0])
    quick = nc.SparseModes(expansion=1, epochs=1, progress=False)
    plain = nc.mode_stability(rows, quick, seeds=[0, 1], bootstrap=1, cosine=0.5)
    of_numpy = {"bootstrap": np.int64(1), "shuffles": np.uint8(1), "cosine": np.float32(0.5)}
    for seeds in (np.int64(2), np.arange(2), [np.int32(0), np.int32(1)]):
        assert nc.mode_stability(rows, quick, seeds=seeds, **of_numpy).identical(plain)


def test_fits_without_active_modes_are_named():
    rows = labelled_rows(combined(rows=100, modes=4)[0])
    silent = nc.SparseModes(expansion=1, epochs=2, l1_loading=1e4)
    with pytest.raises(InputError, match="no mode is ever active"):
        nc.mode_stability(rows, silent, seeds=2, progress=False)
