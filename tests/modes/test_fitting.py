"""Fits from settings and rows alone, and what tells one from others."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from planted import planted_rows

import neurocodec as nc
from neurocodec.errors import NeurocodecWarning
from neurocodec.modes.coders import SparseCoder
from neurocodec.modes.fitting import checkpoint_of, fit_together, identity
from neurocodec.modes.preparation import prepare
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.rows.blocks import Rows

CPU = torch.device("cpu")


def test_without_a_path_there_is_no_checkpoint():
    assert checkpoint_of(None, [], [], CPU) is None


def test_what_differs_between_fits_is_a_list():
    found = identity([SparseConfig(seed=1), SparseConfig(seed=2)], [], CPU)
    assert (found["seed"], found["epochs"]) == ([1, 2], None)
    assert (found["fits"], found["device"]) == (2, "cpu")


@pytest.mark.parametrize("shared", [True, False])
def test_configs_and_rows_give_what_sparse_modes_hold(shared):
    values = np.random.default_rng(0).random((99, 3))
    data = xr.DataArray(values, dims=("time", "channel"))
    configs = [SparseConfig(expansion=1, epochs=2, seed=0, l1_loading=x) for x in (0.1, 0.2)]

    def prepared():
        rows = Rows.of(data, "excitatory")
        return prepare(rows, configs[0].modes, validation=0.1, seed=0, memory=2**31)

    first = prepared()
    rows = [first, first if shared else prepared()]
    found = fit_together(configs, rows, CPU, progress=False)
    for config, fitted in zip(configs, found, strict=True):
        alone = nc.SparseModes.of(config, device="cpu", progress=False).fit(data)
        np.testing.assert_allclose(fitted.result.dictionary, alone.dictionary, atol=1e-4)
        assert nc.labels.provenance(fitted.result) == nc.labels.provenance(
            alone.to_tree().to_dataset()
        )


def test_fits_of_many_modes_leave_their_loadings_and_encode_what_is_held_out(monkeypatch):
    """Those of fewer modes encode all rows, so that `transform` has the same bits."""
    seen, encode = [], SparseCoder.weak_loadings

    def counted(coder, rows):
        seen.append(len(rows))
        return encode(coder, rows)

    monkeypatch.setattr(SparseCoder, "weak_loadings", counted)
    values, _ = planted_rows(60, 20, 30, active=3, noise=0.05, seed=0)
    rows = xr.DataArray(values.astype("float32"), dims=("stimulus", "channel"))
    for expansion, encoded in ((26, 6), (2, 60)):
        fit = nc.SparseModes(expansion=expansion, epochs=2, progress=False, device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurocodecWarning)  # fewer rows than modes
            fit.fit(rows)
        assert seen == [encoded]
        again = fit.transform(rows)
        assert (np.abs(again - fit.loadings) > 1e-2 * again.max()).mean() < 1e-3
        assert fit.loadings.values.any(axis=1).all()
        seen.clear()
