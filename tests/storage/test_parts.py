"""Files of rows of an unfinished run."""

from pathlib import Path

import pytest

from neurocodec.errors import StorageError
from neurocodec.storage.parts import range_of


def test_the_name_of_a_part_says_its_samples():
    assert range_of(Path("rows-000000000000-000000000008.safetensors")) == (0, 8)


def test_another_file_is_no_part():
    with pytest.raises(StorageError, match="no part of a run"):
        range_of(Path("rows-a-b.safetensors"))
