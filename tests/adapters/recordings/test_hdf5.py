"""Lengths and names in recordings of torch-deep-retina."""

import pytest

from neurocodec.adapters.recordings.hdf5 import numbered, require_length
from neurocodec.errors import InputError


def test_one_value_a_frame():
    require_length(3, 3, "train/time")
    with pytest.raises(InputError, match="train/time of length 2 beside a stimulus of 3 frames"):
        require_length(2, 3, "train/time")


def test_names_are_ordered_by_their_numbers():
    assert numbered(["cell10", "cell2"]) == ["cell2", "cell10"]
