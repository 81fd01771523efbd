"""Arrays of an archive, read row by row."""

import numpy as np
from xarray.core import indexing

from neurocodec.adapters.recordings.npz import NpzArray


def test_rows_that_are_asked_for_are_read(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, stimulus=np.arange(6).reshape(3, 2))
    found = NpzArray(path, "stimulus")[indexing.BasicIndexer((slice(1, 2), 0))]
    assert found.tolist() == [2]
