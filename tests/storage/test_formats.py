"""The name of a file says its format."""

from pathlib import Path

import pytest

from neurocodec.errors import InputError
from neurocodec.storage.formats import format_of


def test_the_ending_says_the_format():
    assert format_of(Path("run.nc")).package == "netCDF4"


def test_another_ending_is_told_the_nearest_name():
    with pytest.raises(InputError, match=r"try: 'run\.nc'"):
        format_of(Path("run.h5"))
