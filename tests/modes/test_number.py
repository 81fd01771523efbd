"""Fits whose number of modes the rows decide."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning
from neurocodec.modes.fit_modes import settled_for
from neurocodec.modes.number import settled
from neurocodec.nn.sparse.config import PRESETS, SparseConfig

AUTO = {"expansion": "auto", "epochs": 9, "progress": False, "device": "cpu"}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows_of(modes=3, samples=140, seed=0):
    """One of some modes of two channels each is active on every row."""
    random = np.random.default_rng(seed)
    on = np.eye(modes)[random.integers(modes, size=samples)].repeat(2, axis=1)
    values = on * random.uniform(0.5, 1.5, (samples, 1)) + 0.01 * random.random(on.shape)
    return labels.labelled(values, ("stimulus", "channel"), name="contribution", units="bit")


@pytest.fixture(scope="module")
def modes():
    return nc.SparseModes(**AUTO).fit(rows_of())


def test_a_fit_has_as_many_modes_as_were_planted(modes):
    assert modes.dictionary.shape == (3, 6)
    assert modes.config.expansion == "auto"
    assert modes.chosen == SparseConfig(expansion=0.5, epochs=9)
    atoms = modes.dictionary / np.sqrt((modes.dictionary**2).sum("channel"))
    pairs = np.kron(np.eye(3), [1, 1]) / np.sqrt(2)
    assert ((atoms.values @ pairs.T).max(axis=0) > 0.99).all()


def test_results_say_how_the_number_was_found(modes):
    for one in (modes.dictionary, modes.loadings, modes.summary):
        known = labels.provenance(one)["number"]
        assert known["auto"]
        assert (known["modes"], known["most"], known["settled"]) == (3, 12, True)
        assert {step["modes"] for step in known["tried"]} >= {3, 4, 8}
    assert labels.provenance(modes.dictionary)["config"]["expansion"] == 0.5


def test_a_fit_with_that_number_is_the_same_fit(modes):
    other = nc.SparseModes.of(modes.chosen, progress=False, device="cpu").fit(rows_of())
    np.testing.assert_array_equal(other.dictionary, modes.dictionary)
    assert "number" not in labels.provenance(other.dictionary)


def test_files_keep_both_what_was_asked_and_what_was_found(modes, tmp_path):
    modes.save(tmp_path / "modes.nc")
    again = nc.SparseModes.load(tmp_path / "modes.nc")
    assert (again.config, again.chosen) == (modes.config, modes.chosen)
    xr.testing.assert_equal(again.transform(rows_of()), modes.transform(rows_of()))


def test_seeds_share_one_number_and_other_rows_have_their_own():
    same = [nc.SparseModes(**AUTO, seed=seed) for seed in (0, 1)]
    found = nc.fit_modes(rows_of(), same, progress=False)
    assert [len(one.dictionary) for one in found] == [3, 3]
    widest = rows_of(1).pad(channel=(0, 4), constant_values=0.0)
    found = nc.fit_modes([rows_of(), widest], nc.SparseModes(**AUTO), progress=False)
    assert [len(one.dictionary) for one in found] == [3, 1]


def test_stability_takes_the_number_that_was_chosen_or_chooses_one(modes):
    assert settled_for(rows_of(), modes.chosen) == modes.chosen
    for one in (modes, nc.SparseModes(**AUTO)):
        found = nc.mode_stability(rows_of(), one, seeds=2, progress=False)
        assert found.mode.size == 3


def test_modes_are_no_more_than_rows_can_support_and_that_is_said():
    with pytest.warns(NeurocodecWarning, match="at most 2, which 27 rows can support"):
        found = nc.SparseModes(**AUTO).fit(rows_of(samples=30))
    assert len(found.dictionary) <= 2
    assert not labels.provenance(found.dictionary)["number"]["settled"]


def test_one_channel_has_one_mode_and_nothing_is_said():
    rows = xr.DataArray(np.random.default_rng(0).random((20, 1)), dims=("stimulus", "channel"))
    found = nc.SparseModes(**AUTO).fit(rows)  # a warning would be an error
    assert found.dictionary.shape == (1, 1)
    assert labels.provenance(found.dictionary)["number"]["settled"]
    assert SparseConfig(nonnegative=False).most_modes(1, 500) == 10


def test_how_a_number_was_found_is_json():
    values = np.ones((60, 4))
    values[0] = 2.0  # the half without it does not vary
    rows = xr.DataArray(values, dims=("stimulus", "channel"))
    found = nc.SparseModes(**AUTO).fit(rows)
    text = found.dictionary.attrs["neurocodec"]
    known = json.loads(text, parse_constant=pytest.fail)["number"]
    assert None in [one["r2"] for one in known["tried"]]


def test_rows_of_which_no_mode_comes_back_say_so():
    random = np.random.default_rng(0)
    rows = xr.DataArray(random.standard_normal((60, 40)), dims=("stimulus", "channel"))
    signed = nc.SparseModes(**AUTO, nonnegative=False, sign="net")
    with pytest.warns(NeurocodecWarning) as told:
        found = signed.fit(rows)
    assert any("no mode of one half of 54 rows comes back" in str(one.message) for one in told)
    assert len(found.dictionary) == 1


def test_halves_of_a_movie_are_stretches():
    values = np.arange(200.0)[:, None] + [[1.0, 2.0]]
    rows = xr.DataArray(values, dims=("time", "channel"))
    seen = []

    def count(halves, *_):
        seen.append((halves * prepared.scale).round()[..., 0].int().tolist())
        raise KeyboardInterrupt

    prepared = nc.SparseModes(**AUTO).prepare(rows, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurocodec.modes.number.count_modes", count)
        with pytest.raises(KeyboardInterrupt):
            settled(SparseConfig(expansion="auto"), prepared, torch.device("cpu"))
    first, second = seen[0]
    assert not {*first} & {*second}
    assert not {*first, *second} & {*(np.flatnonzero(prepared.held) + 1)}
    assert (np.diff(first) > 1).sum() <= 30  # 10 blocks of either half, 10 held out


def test_expansions_of_the_paper_stay():
    assert PRESETS["paper_resnet50"]["expansion"] == 3
    assert PRESETS["paper_retina"]["expansion"] == 10
    assert SparseConfig().expansion == "auto"
    assert PRESETS["topk"]["expansion"] == 10  # trained encoders have no number of their own


def test_a_number_that_rows_decide_is_for_solved_loadings_alone():
    with pytest.raises(InputError, match=r"expansion='auto' with encoder='mlp'(.|\n)*expansion=10"):
        nc.SparseModes.preset("paper_retina", expansion="auto")
    with pytest.raises(InputError, match="above 0, or 'auto'"):
        nc.SparseModes(expansion="automatic")
    with pytest.raises(InputError, match=r"modes\.fit\(data\)\.chosen"):
        SparseConfig(expansion="auto").modes(8)


def test_bounds_follow_channels_and_rows():
    auto = SparseConfig(expansion="auto")
    assert [auto.most_modes(8, rows) for rows in (5, 100, 1000)] == [1, 10, 80]
    assert SparseConfig(expansion=3).most_modes(8, 5) == 24
