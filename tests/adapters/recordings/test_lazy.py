"""Arrays that stay in their file."""

import h5py
import numpy as np

from neurocodec.adapters.recordings.lazy import stored_variable


def test_a_part_of_a_stored_array_is_read(tmp_path):
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        file["stimulus"] = np.arange(6).reshape(3, 2)
    movie = stored_variable(path, "stimulus", ("time", "x"))
    assert movie[1:].values.tolist() == [[2, 3], [4, 5]]
