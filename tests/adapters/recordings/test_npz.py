"""Arrays of an archive, read row by row."""

import numpy as np
import pytest
from xarray.core import indexing

import neurocodec as nc
from neurocodec.adapters.recordings.npz import NpzArray
from neurocodec.errors import InputError, StorageError


def test_rows_that_are_asked_for_are_read(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, stimulus=np.arange(6).reshape(3, 2))
    found = NpzArray(path, "stimulus")[indexing.BasicIndexer((slice(1, 2), 0))]
    assert found.tolist() == [2]


def test_an_archive_that_is_cut_off_is_called_so(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, stimulus=np.zeros((30, 8, 8)), frame_rate=10.0)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(StorageError, match="cut off"):
        nc.read_recording(path)


@pytest.mark.parametrize("name", ["firing_rate", "spike_count", "membrane_potential"])
def test_responses_of_which_nothing_tells_the_axes_are_refused(name, tmp_path):
    path, rates = tmp_path / "r.npz", np.ones((3, 40))  # (cell, time)
    np.savez(path, **{name: rates}, frame_rate=10.0)
    with pytest.raises(InputError, match=r"shape \(3, 40\), of which nothing tells"):
        nc.read_recording(path)
    np.savez(path, **{name: rates.T}, time=np.arange(40) / 10)
    assert nc.read_recording(path)["recording"][name].sizes["time"] == 40
