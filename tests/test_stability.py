"""Planted modes come out stable and above chance; noise does not; results are labelled."""

import numpy as np
import pytest
import torch
import xarray as xr
from planted import matched_cosine

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError
from neurocodec.kernels.matching import match_modes

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
    assert not result.above_chance.any()


def test_figures_follow_from_the_matches(found):
    np.testing.assert_allclose(found.stability, np.median(found.matched_cosine, axis=0))
    np.testing.assert_allclose(found.replicated, (found.matched_cosine >= 0.9).mean("fit"))
    np.testing.assert_array_equal(
        found.above_chance, (found.stability >= 0.9) & (found.chance < 0.9)
    )
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


def test_fits_without_active_modes_are_named():
    rows = labelled_rows(combined(rows=100, modes=4)[0])
    silent = nc.SparseModes(expansion=1, epochs=2, l1_loading=1e4)
    with pytest.raises(InputError, match="no mode is ever active"):
        nc.mode_stability(rows, silent, seeds=2, progress=False)
