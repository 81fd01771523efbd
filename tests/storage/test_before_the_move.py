"""Files and unfinished runs that the state before the move has left: they open and go on."""

import json
import runpy
import shutil

import numpy as np
import pytest
import xarray as xr
from places import ROOT

import neurocodec as nc
from neurocodec.attribution.plan import Contributions

HERE = ROOT / "tests" / "storage" / "before_the_move"
MADE = runpy.run_path(str(HERE / "make.py"))
VALUES = json.loads((HERE / "values.json").read_text("utf-8"))


@pytest.mark.parametrize(("name", "kind"), [("sparse", nc.SparseModes), ("pca", nc.BaselineModes)])
def test_modes_open_with_their_dictionary_and_still_read_rows(name, kind):
    modes = kind.load(HERE / f"{name}.nc")
    np.testing.assert_array_equal(modes.dictionary, np.array(VALUES[name]["dictionary"], "float32"))
    assert float(modes.r2) == VALUES[name]["r2"]
    loadings = modes.transform(MADE["rows"]())
    np.testing.assert_allclose(loadings, modes.loadings, rtol=1e-4, atol=1e-5)


def test_a_tree_opens_with_the_values_that_the_same_call_gives_now():
    with nc.open(HERE / "tree.nc") as found:
        now = MADE["run"]()
        for path in ("target", "hidden/contribution", "hidden/completeness_error"):
            np.testing.assert_allclose(found[path], now[path], rtol=1e-5, atol=1e-6)
        assert found["hidden/contribution"].dims == now["hidden/contribution"].dims
        assert found["stimulus"].values.tolist() == now["stimulus"].values.tolist()


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_an_unfinished_run_goes_on_from_where_it_was(tmp_path, monkeypatch, suffix):
    name, real, computed = f"unfinished.{suffix}", Contributions.rows, []
    shutil.copytree(HERE / f"{name}.parts", tmp_path / f"{name}.parts")

    def counted(self, batch, into):
        computed.append((batch.first, len(batch.x)))
        return real(self, batch, into)

    monkeypatch.setattr(Contributions, "rows", counted)
    found = MADE["run"](out=tmp_path / name)
    first = MADE["BATCH"] * MADE["DONE"]
    assert computed == [(first, 2), (first + 2, 2), (first + 4, 2), (0, 1)]  # one for the shapes
    whole = MADE["run"]()
    assert [*found.children] == [*whole.children]
    for node in whole.subtree:
        there = found[node.path].to_dataset().load()
        xr.testing.assert_allclose(there, node.to_dataset(), rtol=1e-5, atol=1e-6)
    found.close()
