"""Rows that stay in their file: the same figures, flat memory, and errors that name the row."""

import tracemalloc

import numpy as np
import pytest
import torch
import xarray as xr
from planted import planted_rows

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, StorageError, UnknownNameError
from neurocodec.kernels import scores
from neurocodec.nn.sparse.inference import training as learning
from neurocodec.nn.sparse.loop import Fit
from neurocodec.rows.blocks import opened
from neurocodec.storage import runs

QUICK = {"expansion": 1.5, "epochs": 5, "progress": False, "device": "cpu"}
LITTLE = 2**16
"""Bytes: rows of the tests take more, so that they are streamed."""


FEW, MANY = 2000, 6000


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tree_of(samples=1500, channels=8):
    x, _ = planted_rows(samples, channels, 10, active=2, noise=0.05, seed=0)
    parts = np.stack([x, -0.5 * np.roll(x, 7, axis=0)], axis=1).astype(np.float32)
    contribution = labels.labelled(
        parts,
        ("time", "sign", "channel"),
        {"sign": ["excitatory", "inhibitory"], "channel": 3 + np.arange(channels)},
        name="contribution",
        units="bit",
    )
    root = xr.Dataset(coords={"time": labels.time_coordinate(samples, 100.0)})
    tree = xr.DataTree.from_dict({"/": root, "/conv1": xr.Dataset({"contribution": contribution})})
    return labels.stamp(tree, "nc.contributions", model="planted, simulated")


@pytest.fixture(scope="module")
def tree():
    return tree_of()


@pytest.fixture(scope="module", params=[".nc", ".zarr"])
def path(request, tree, tmp_path_factory):
    file = tmp_path_factory.mktemp("run") / f"run{request.param}"
    nc.save(tree, file)
    return file


@pytest.fixture(scope="module")
def streamed(path):
    return nc.SparseModes(**QUICK, memory=LITTLE).fit(path, layer="conv1")


@pytest.fixture(scope="module")
def resident(tree):
    return nc.SparseModes(**QUICK).fit(tree["conv1"])


def test_streamed_rows_are_fitted_about_as_well(streamed, resident):
    assert resident.r2 > 0.8
    assert streamed.r2 == pytest.approx(resident.r2, abs=0.03)
    assert streamed.alive == 1.0
    assert streamed.l0 == pytest.approx(resident.l0, rel=0.15)


def test_every_figure_is_that_of_all_rows(tree, streamed):
    rows = tree["conv1"].contribution.sel(sign="excitatory")
    z = streamed.transform(tree["conv1"])
    made = streamed.inverse_transform(z)
    held = nc.SparseModes(**QUICK).prepare(tree["conv1"].contribution, {}).held
    assert streamed.r2 == pytest.approx(scores.r2(rows[held], made[held]), abs=1e-5)
    assert streamed.r2_train == pytest.approx(scores.r2(rows[~held], made[~held]), abs=1e-5)
    assert streamed.l0 == pytest.approx(float((z > 0).sum("mode").mean()))
    np.testing.assert_allclose(streamed.summary.active_share, (z > 0).mean("time"))
    strength = z[~held].where(z[~held] > 0).mean("time")
    np.testing.assert_allclose(strength, 1.0, rtol=1e-4)


def test_loadings_are_not_kept_but_written(path, tree, streamed, tmp_path):
    with pytest.raises(InputError, match=r"transform\(data, out='loadings.zarr'\)"):
        _ = streamed.loadings
    out = tmp_path / f"z{path.suffix}"
    z = streamed.transform(path, layer="conv1", out=out)
    np.testing.assert_allclose(z, streamed.transform(tree["conv1"]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(z.time, tree.time)
    again = nc.open(out)
    np.testing.assert_array_equal(again["loading"], z)
    for written in (again, again["loading"], z, streamed.transform(tree["conv1"])):
        record = labels.provenance(written)
        assert record["function"] == "nc.SparseModes.transform"
        assert record["modes"] == labels.fingerprint(streamed.dictionary)
        assert record["data"] == labels.provenance(z)["data"]


def test_a_file_of_other_loadings_is_not_mixed_with_these(path, streamed, resident, tmp_path):
    out = tmp_path / "z.nc"
    streamed.transform(path, layer="conv1", out=out).close()
    with pytest.raises(StorageError, match="modes was .*\n.*the same modes and data"):
        resident.transform(path, layer="conv1", out=out)
    resident.save(tmp_path / "modes.nc")
    with pytest.raises(StorageError, match="the same modes and data") as found:
        resident.transform(path, layer="conv1", out=tmp_path / "modes.nc")
    assert "overwrite" not in str(found.value)
    with pytest.raises(StorageError, match="mkdir"):
        resident.transform(path, layer="conv1", out=tmp_path / "none" / "z.nc")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_labels_are_those_of_the_file_when_it_was_read(tree, resident, tmp_path, suffix):
    path = tmp_path / f"run{suffix}"

    def write(first):
        trial = ("time", first + np.arange(tree.sizes["time"]))
        kind = ("channel", first + np.arange(8.0))
        layer = tree["conv1"].to_dataset().assign_coords(trial=trial, depth=kind)
        nc.save(xr.DataTree.from_dict({"/conv1": layer}), path, overwrite=True)

    write(0.0)
    with opened(path, "conv1") as (array, _):
        pass
    found = resident.transform(path, layer="conv1")
    fitted = nc.SparseModes(**QUICK | {"epochs": 1}).fit(path, layer="conv1")
    write(1000.0)
    for trial in (array.trial, found.trial, fitted.loadings.trial):
        np.testing.assert_array_equal(trial, np.arange(tree.sizes["time"]))
    np.testing.assert_array_equal(fitted.dictionary.depth, np.arange(8.0))


def test_a_round_trip_keeps_streamed_modes(streamed, tree, tmp_path):
    streamed.save(tmp_path / "modes.nc")
    again = nc.open(tmp_path / "modes.nc")
    xr.testing.assert_identical(again.to_tree(), streamed.to_tree())
    part = tree["conv1"].isel(time=slice(50))
    xr.testing.assert_identical(again.transform(part), streamed.transform(part))


def test_what_fits_into_memory_is_loaded_and_fitted_the_same(path, resident):
    from_file = nc.SparseModes(**QUICK).fit(path, layer="conv1")
    xr.testing.assert_identical(from_file.dictionary, resident.dictionary)
    xr.testing.assert_identical(from_file.loadings, resident.loadings)
    facts = [labels.provenance(m.to_tree()) for m in (from_file, resident)]
    assert facts[0] == facts[1]
    assert facts[0]["contributions"]["model"] == "planted, simulated"


def test_an_opened_tree_is_streamed_as_well(path, streamed):
    with nc.open(path, lazy=True) as tree:
        found = nc.SparseModes(**QUICK, memory=LITTLE).fit(tree["conv1"])
    xr.testing.assert_identical(found.dictionary, streamed.dictionary)


@pytest.mark.parametrize("sign", ["inhibitory", "both", "net"])
def test_signs_are_taken_block_by_block(path, tree, sign):
    settings = QUICK | {"sign": sign, "nonnegative": sign != "net", "epochs": 1}
    found = nc.SparseModes(**settings, memory=LITTLE).fit(path, layer="conv1")
    data = tree["conv1"].contribution
    rows = (
        data.sum("sign") if sign == "net" else data.sel(sign=sign if sign != "both" else data.sign)
    )
    made = found.inverse_transform(found.transform(tree["conv1"]))
    assert made.dims == rows.dims
    r2 = scores.r2_pooled(rows, made)
    assert found.r2_pooled == pytest.approx(r2, abs=0.05)


def test_nan_is_named_by_its_row_in_the_file(tree, tmp_path):
    broken = tree.copy(deep=True)
    broken["conv1"].contribution[1345, 0, 4] = np.nan
    nc.save(broken, tmp_path / "run.nc")
    with pytest.raises(InputError, match="NaN.*'time': 1345.*'channel': 4"):
        nc.SparseModes(**QUICK, memory=LITTLE).fit(tmp_path / "run.nc", layer="conv1")


def test_a_file_asks_for_a_layer_and_offers_near_names(path):
    with pytest.raises(InputError, match="layer='conv1'"):
        nc.SparseModes(**QUICK).fit(path)
    with pytest.raises(UnknownNameError, match="'conv1'"):
        nc.SparseModes(**QUICK).fit(path, layer="conv2")
    with pytest.raises(UnknownNameError, match="conv1"):
        nc.SparseModes(**QUICK).fit(path, layer=["conv1"])
    with pytest.raises(InputError, match="DataArray\n.*a tree of layers.*\n.*leave out layer="):
        nc.SparseModes(**QUICK).fit(xr.DataArray(np.eye(3)), layer="conv1")


def test_a_layer_of_a_layer_is_refused(tree):
    with pytest.raises(InputError, match="single layer\n.*a tree of layers.*\n.*leave out layer="):
        nc.SparseModes(**QUICK).fit(tree["conv1"], layer="conv1")


def test_files_of_something_else_are_refused(tmp_path, resident):
    with pytest.raises(StorageError, match="does not exist"):
        nc.SparseModes(**QUICK).fit(tmp_path / "none.zarr", layer="conv1")
    resident.save(tmp_path / "modes.nc")
    with pytest.raises(InputError, match="rows of type SparseModes"):
        nc.SparseModes(**QUICK).fit(tmp_path / "modes.nc")


def peak_of(work):
    """Bytes that some work takes at most, without those that tensors take."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def files_of(folder, *sizes):
    """Files with so many rows each."""
    found = {n: folder / f"{n}.nc" for n in sizes}
    for n, file in found.items():
        nc.save(tree_of(n, channels=32), file)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files with few rows and with many."""
    return files_of(tmp_path_factory.mktemp("sizes"), FEW, MANY)


def assert_flat(few, many):
    """One time and one mark (held out or not) per row may stay, and copies of these."""
    bytes_of_a_row = 2 * 32 * 4
    assert many - few < 0.2 * (MANY - FEW) * bytes_of_a_row


@pytest.mark.slow
@pytest.mark.parametrize(
    "whole",
    [False, True],
    ids=["around the fit", "whole"],
)
def test_memory_does_not_grow_with_the_rows(files, monkeypatch, whole):
    modes = nc.SparseModes(**QUICK | {"epochs": 1}, memory=2**19)
    monkeypatch.setattr(learning, "_START_ROWS", 500)  # as if these were far fewer than all rows
    if not whole:
        small = tree_of(300, channels=32)["conv1"]
        model = nc.SparseModes(**QUICK | {"epochs": 1}).fit(small)._fitted().coder.model
        monkeypatch.setattr("neurocodec.modes.fitting.fit", lambda *_, **__: [Fit(model, [])])
    assert_flat(*(peak_of(lambda f=f: modes.fit(f, layer="conv1")) for f in files.values()))


def test_memory_of_writing_loadings_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_PART_BYTES", 2**18)  # as if these were far fewer than all rows
    small = tree_of(300, channels=32)["conv1"]
    modes = nc.SparseModes(**QUICK | {"epochs": 1}, memory=2**21).fit(small)
    few, many = (
        peak_of(lambda f=f: modes.transform(f, layer="conv1", out=f.with_suffix(".out.nc")))
        for f in files_of(tmp_path, 8000, 24000).values()
    )
    assert many - few < 0.2 * 16000 * 48 * 4


@pytest.mark.parametrize("memory", [0, -1, 0.5, 2**20 + 0.5, np.inf, np.nan, True, "2e9", None])
def test_memory_is_a_number_of_bytes(memory):
    with pytest.raises(InputError, match="memory="):
        nc.SparseModes(memory=memory)


@pytest.mark.parametrize("memory", [2e9, np.float32(2e9), np.int64(2_000_000_000)])
def test_memory_may_be_any_whole_number(memory):
    found = nc.SparseModes(memory=memory).memory
    assert found == 2_000_000_000
    assert isinstance(found, int)
