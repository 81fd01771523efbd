"""The name of a file says its format."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.storage.formats import format_of


def test_the_ending_says_the_format():
    assert format_of(Path("run.nc")).package == "netCDF4"


def test_another_ending_is_told_the_nearest_name():
    with pytest.raises(InputError, match=r"try: 'run\.nc'"):
        format_of(Path("run.h5"))


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_loadings_take_the_room_of_what_is_active(tmp_path, suffix):
    values = np.zeros((3000, 400), dtype=np.float32)
    random = np.random.default_rng(0)
    values[np.arange(3000), random.integers(400, size=3000)] = random.random(3000)
    loadings = xr.DataArray(values, dims=("time", "mode"), name="loading")
    path = tmp_path / f"x{suffix}"
    nc.save(loadings, path)
    files = [path, *path.rglob("*")]
    assert sum(f.stat().st_size for f in files if f.is_file()) < values.nbytes / 50
    xr.testing.assert_identical(nc.open(path), loadings)
