"""Several fits at once are the fits one by one; killed fits continue; presets fit."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from planted import planted_rows

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning, StorageError, UnknownNameError
from neurocodec.modes import fit_modes, fitting
from neurocodec.modes.fit_modes import (
    alive_atoms,
    check_all,
    fit_all,
    in_memory,
    prepare_all,
    seed_list,
    settings_of,
)
from neurocodec.nn.sparse import loop as running
from neurocodec.nn.sparse.config import PRESETS, SparseConfig

QUICK = {"expansion": 1, "epochs": 6, "progress": False, "device": "cpu"}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows_of(seed=0, samples=300, channels=6):
    x, _ = planted_rows(samples, channels, 8, active=2, noise=0.05, seed=seed)
    return labels.labelled(x, ("stimulus", "channel"), name="contribution", units="bit")


@pytest.fixture
def stacks_made(monkeypatch):
    """Numbers of fits that went into each stack."""
    sizes = []
    fit_together = fitting.fit_together

    def counted(configs, *rest, **settings):
        sizes.append(len(configs))
        return fit_together(configs, *rest, **settings)

    monkeypatch.setattr(fit_modes, "fit_together", counted)
    return sizes


def assert_alike(a, b):
    assert a.config == b.config
    np.testing.assert_allclose(a.dictionary, b.dictionary, rtol=1e-3, atol=1e-4)
    assert a.r2 == pytest.approx(b.r2, abs=1e-4)
    np.testing.assert_array_equal(a.loadings.held_out, b.loadings.held_out)


def test_seeds_and_penalties_go_into_one_stack(stacks_made):
    rows = rows_of()
    templates = [
        nc.SparseModes(**QUICK, seed=seed, l1_loading=l1) for seed in (0, 1) for l1 in (0.05, 0.1)
    ]
    found = nc.fit_modes(rows, templates, progress=False)
    assert stacks_made == [4]
    for one, template in zip(found, templates, strict=True):
        assert_alike(one, template.copy().fit(rows))
        assert "not fitted" in repr(template)
    assert not np.array_equal(found[0].dictionary, found[2].dictionary)


def test_layers_of_equal_width_go_into_one_stack(stacks_made, tmp_path):
    layers = {"a": rows_of(0), "b": rows_of(1), "wide": rows_of(2, channels=7)}
    data = {f"/{name}": xr.Dataset({"contribution": x}) for name, x in layers.items()}
    tree = xr.DataTree.from_dict(data)
    modes = nc.SparseModes(**QUICK)
    found = nc.fit_modes([*layers.values()], modes, progress=False)
    assert sorted(stacks_made) == [1, 2]
    for one, rows in zip(found, layers.values(), strict=True):
        assert_alike(one, modes.copy().fit(rows))
    nc.save(tree, tmp_path / "run.nc")
    for source in (tree, tmp_path / "run.nc"):
        again = nc.fit_modes(source, modes, layers=list(layers), progress=False)
        for one, other, layer in zip(again, found, layers, strict=True):
            xr.testing.assert_equal(one.dictionary, other.dictionary)
            assert nc.labels.provenance(one.dictionary)["contributions"]["layer"] == layer


def test_stacks_are_no_larger_than_memory(stacks_made):
    rows = rows_of()
    one = 4 * (6 + 6) * 300
    templates = [nc.SparseModes(**QUICK, seed=s, memory=2 * one) for s in range(3)]
    nc.fit_modes(rows, templates, progress=False)
    assert sorted(stacks_made) == [1, 2]


def test_a_single_fit_is_that_of_fit(stacks_made):
    found = nc.fit_modes(rows_of(), nc.SparseModes(**QUICK), progress=False)
    alone = nc.SparseModes(**QUICK).fit(rows_of())
    xr.testing.assert_identical(found[0].to_tree(), alone.to_tree())
    assert stacks_made == [1]


def test_wrong_lists_are_refused():
    rows = rows_of()
    with pytest.raises(InputError, match="2 data and 3 modes"):
        nc.fit_modes([rows, rows], [nc.SparseModes(**QUICK)] * 3)
    with pytest.raises(InputError, match=r"layers=\['a'\]"):
        nc.fit_modes(rows, layers="a")
    with pytest.raises(InputError, match="modes of type str"):
        nc.fit_modes(rows, "topk")


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("preset", ["sparse_coding", "topk"])
def test_a_killed_fit_continues_with_the_same_result(preset, tmp_path, monkeypatch):
    def modes():
        return nc.SparseModes.preset(preset, **QUICK)

    whole = modes().fit(rows_of())
    file = tmp_path / "modes.safetensors"
    write, written = running.write_tensors, []

    def write_and_die(path, tensors, facts):
        write(path, tensors, facts)
        written.append(facts["progress"]["done"])
        if len(written) == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(running.Checkpoint, "every", 0.0)
        patch.setattr(running, "write_tensors", write_and_die)
        patch.setattr("neurocodec.modes.fitting.Checkpoint", _impatient)
        with pytest.raises(Killed):
            modes().fit(rows_of(), checkpoint=file)
    assert written == [1, 2, 3]
    assert file.exists()
    with pytest.raises(StorageError, match="another fit: seed was 0, is 4\n"):
        modes().copy(seed=4).fit(rows_of(), checkpoint=file)
    with pytest.raises(StorageError, match="another fit: data was"):
        modes().fit(rows_of(seed=1), checkpoint=file)
    again = modes().fit(rows_of(), checkpoint=file)
    xr.testing.assert_identical(again.to_tree(), whole.to_tree())
    assert not file.exists()


def test_a_checkpoint_stays_until_the_result_is_safe(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    file = tmp_path / "modes.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("neurocodec.modes.fitting.Checkpoint", _impatient)
        patch.setattr("neurocodec.modes.fitting.finish", full)
        with pytest.raises(MemoryError):
            nc.SparseModes(**QUICK).fit(rows_of(), checkpoint=file)
    assert file.exists()
    with pytest.raises(StorageError) as found:
        nc.SparseModes(**QUICK | {"expansion": 2}, seed=3).fit(rows_of(), checkpoint=file)
    assert found.value.came.endswith("fit: expansion was 1, is 2, seed was 0, is 3")
    nc.SparseModes(**QUICK).fit(rows_of(), checkpoint=file)
    assert not file.exists()


@pytest.mark.parametrize("other", ["block", "device", "neurocodec", "torch"])
def test_a_checkpoint_of_other_circumstances_is_refused(other, tmp_path):
    file = tmp_path / "modes.safetensors"
    rows, modes = rows_of(), nc.SparseModes(**QUICK)
    prepared = modes.prepare(rows, {})
    known = fitting.identity([modes.config], [prepared], modes.device)
    assert (known["block"], known["device"], known["fits"]) == (0, "cpu", 1)
    assert known["torch"] == torch.__version__.partition("+")[0]
    running.write_tensors(file, {"x": torch.zeros(1)}, {"identity": {**known, other: "else"}})
    with pytest.raises(StorageError, match=f"another fit: {other} was 'else', is [^,]*\n"):
        modes.fit(rows, checkpoint=file)


def test_fits_side_by_side_are_told_apart_by_what_differs():
    configs = [SparseConfig(seed=1, threshold=0.8), SparseConfig(seed=2, threshold=0.8)]
    found = fitting.identity(configs, [], torch.device("cuda", 1))
    assert (found["seed"], found["threshold"], found["fits"]) == ([1, 2], 0.8, 2)
    assert found["device"] == "cuda"
    rows = rows_of(samples=1000)
    few = nc.SparseModes(**QUICK, memory=2**12).prepare(rows, {})
    assert fitting.identity(configs[:1], [few], torch.device("cpu"))["block"] == few.block > 0


def _impatient(path, identity):
    return running.Checkpoint(path, identity, every=0.0)


@pytest.mark.parametrize("path", ["modes.nc", "no/such/folder/modes.safetensors", 3])
def test_a_checkpoint_is_a_safetensors_file(path):
    with pytest.raises(InputError, match="checkpoint=.*safetensors"):
        nc.SparseModes(**QUICK).fit(rows_of(), checkpoint=path)
    assert not Path(str(path)).exists()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_and_comes_back_from_a_file(name, tmp_path):
    changes = {"expansion": 2, "epochs": 3} | ({"candidates": 20} if name == "archetypal" else {})
    modes = nc.SparseModes.preset(name, **changes, device="cpu", progress=False).fit(rows_of())
    assert modes.config == SparseConfig.preset(name, **changes)
    assert np.isfinite(modes.loadings).all()
    assert (modes.loadings >= 0).all()
    np.testing.assert_array_equal(modes.transform(rows_of()), modes.loadings)
    modes.save(tmp_path / "modes.nc")
    again = nc.SparseModes.load(tmp_path / "modes.nc")
    xr.testing.assert_identical(again.to_tree(), modes.to_tree())
    xr.testing.assert_identical(again.transform(rows_of()), modes.transform(rows_of()))


def test_wrong_presets_are_refused():
    with pytest.raises(UnknownNameError, match="'paper_retina'"):
        nc.SparseModes.preset("paper_retin")
    with pytest.raises(UnknownNameError, match="'epochs'"):
        nc.SparseModes.preset("topk", epoch=3)


def test_every_setting_is_a_keyword_with_the_same_default():
    assert nc.SparseModes().config == SparseConfig()
    changed = SparseConfig.preset(
        "topk", expansion=2, sign="net", nonnegative=False, active=3, patience=2, batch_size=64
    )
    fields = {f.name: getattr(changed, f.name) for f in dataclasses.fields(changed)}
    assert nc.SparseModes(**fields).config == changed
    assert nc.SparseModes.of(changed).copy(seed=3).config == dataclasses.replace(changed, seed=3)


def few_rows():
    return xr.DataArray(np.random.default_rng(0).random((99, 2)), dims=("time", "channel"))


def test_settings_come_from_a_template_or_are_the_defaults():
    assert settings_of(nc.SparseModes(expansion=3)).expansion == 3
    assert settings_of(None) == SparseConfig()


def test_seeds_are_counted_or_listed():
    assert seed_list(3, least=2) == [0, 1, 2]
    assert seed_list([5, 7], least=2) == [5, 7]
    assert seed_list(np.int64(2), least=1) == [0, 1]


@pytest.mark.parametrize("seeds", [1, [1, 1], [0, -1], [0, True], [0, 1.5], True, "01"])
def test_seeds_that_are_none_are_refused(seeds):
    with pytest.raises(InputError, match="seeds="):
        seed_list(seeds, least=2)


def test_small_arrays_are_read_once():
    array = xr.DataArray(np.array([1.0, 2.0]), dims="time")
    assert in_memory(array[:1], 2**20).values.tolist() == [1.0]
    lazy = array.chunk(time=1)
    assert in_memory(lazy, 16).chunks is None
    assert in_memory(lazy, 15) is lazy


def test_the_same_rows_are_fitted_with_each_of_several_settings():
    quick = SparseConfig(expansion=1, epochs=1)
    fits = fit_all(few_rows(), [quick, quick], progress=False)
    assert [fit.dictionary.shape for fit in fits] == [(2, 2), (2, 2)]


def test_rows_are_refused_before_any_fit():
    negative = xr.DataArray(-np.eye(3), dims=("time", "channel"))
    with pytest.raises(InputError) as found:
        check_all(negative, [SparseConfig()])
    assert str(found.value) == (
        "rows down to -1 for a non-negative dictionary\n"
        "  expected: values of at least 0 (at most 0 for the inhibitory part)\n"
        "  try: nc.SparseModes(sign='excitatory', nonnegative=False)"
    )


def test_modes_that_are_active_are_rows_of_a_matrix():
    quick = nc.SparseModes(expansion=1, epochs=1, progress=False)
    assert alive_atoms(quick.fit(few_rows())).shape[1] == 2


def test_equal_rows_are_prepared_once():
    rows = xr.DataArray(np.eye(9), dims=("time", "channel"))
    made = prepare_all([nc.SparseModes(expansion=0.5)] * 2, [(rows, {})] * 2)
    assert made[0] is made[1]
    assert int(made[0].held.sum()) == 1


def test_of_several_templates_each_is_warned_of():
    modes = [nc.SparseModes.preset("topk", **QUICK, active=active) for active in (3, 9)]
    with pytest.warns(NeurocodecWarning, match="active=9 is more than the 6 modes"):
        nc.fit_modes(rows_of(), modes, progress=False)
