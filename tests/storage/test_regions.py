"""A run that several processes write into one store."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.storage.regions import SharedRun, write_range

pytest.importorskip("zarr")


def test_ranges_become_one_result(tmp_path):
    run = SharedRun(tmp_path / "run.zarr", facts={}, size=4)
    template = xr.DataTree(xr.Dataset({"target": ("stimulus", np.broadcast_to(0.0, 4))}))
    run.prepare(lambda kept: template, {"target": np.zeros(1)}, chunk_rows=2)
    assert run.missing() == [slice(0, 2), slice(2, 4)]
    for rows in run.missing():
        write_range(run.folder, rows.start, {"target": np.arange(rows.start, rows.stop) / 2})
    result = run.finish()
    assert result["target"].values.tolist() == [0.0, 0.5, 1.0, 1.5]
    result.close()
