"""netCDF files as other software has them, in threads, and open more than once."""

import os
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from labelled_objects import assert_same
from networks import two_layers
from processes import in_a_process, run_code

import neurocodec as nc
from neurocodec.errors import StorageError

needs_ncdump = pytest.mark.skipif(
    shutil.which("ncdump") is None, reason="needs ncdump (Debian's netcdf-bin)"
)


def labelled_tree():
    """Text, booleans, dates, half precision, attributes of all kinds, an inherited coordinate."""
    root = xr.Dataset(
        {"target": ("time", [0.5, np.nan, -0.0], {"units": "bit"})},
        {
            "time": ("time", [0.0, 0.1, 0.2], {"long_name": "time"}),
            "source": ("time", ["a.jpg", "", "é 日本"]),
            "label": ((), "cat"),
        },
        {"steps": 20, "threshold": 0.5, "window": (1, 2), "note": "größer", "empty": ""},
    )
    layer = xr.Dataset(
        {
            "contribution": (("time", "sign"), np.arange(6, dtype="float32").reshape(3, 2)),
            "refined": ("time", [True, False, True]),
            "half": ("time", np.array([0.5, 1, 2], "float16")),
            "when": ("time", np.array([0, 1, 2], "datetime64[ns]")),
            "count": ((), np.uint8(7)),
        },
        {"sign": ["excitatory", "inhibitory"]},
        {"converged": True},
    )
    return xr.DataTree.from_dict({"/": root, "/0.conv1": layer, "/a/b": layer[["refined"]]})


def many_names():
    """Text of several groups."""
    root = xr.Dataset(coords={"source": ("time", [f"image {i}" for i in range(23)])})
    layer = xr.Dataset({"a": ("sign", [1, 2])}, {"sign": ["excitatory", "inhibitory"]})
    return xr.DataTree.from_dict({"/": root, "/layer2": layer, "/layer10": layer + 1})


def no_samples():
    return xr.DataTree(xr.Dataset({"a": (("time", "x"), np.zeros((0, 3)))}, {"time": np.zeros(0)}))


def complex_tree():
    """Both precisions, the one below the other."""
    double = xr.Dataset({"z": ("x", np.array([1 + 2j, 3]))})
    single = xr.Dataset({"z": ("x", np.array([4 + 5j, 6], "complex64")), "one": np.complex64(1j)})
    return xr.DataTree.from_dict({"/a": double, "/a/b": single})


def contributions(**options):
    stimulus = xr.DataArray(np.arange(10.0).reshape(5, 2), dims=("stimulus", "feature"))
    net = nc.Network(two_layers(), {"hidden": "1"}, name="two layers")
    target = nc.targets.Output(0)
    return nc.contributions(net, stimulus, target=target, batch_size=2, progress=False, **options)


def dumped(path):
    done = subprocess.run(["ncdump", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_xarray_opens_a_tree(tmp_path):
    tree = labelled_tree()
    nc.save(tree, tmp_path / "x.nc")
    with xr.open_datatree(tmp_path / "x.nc", engine="netcdf4") as found:
        assert [n.path for n in found.subtree] == ["/", "/0.conv1", "/a", "/a/b"]
        assert found["source"].values.tolist() == ["a.jpg", "", "é 日本"]
        assert found["label"].item() == "cat"
        assert set(found.coords) == {"time", "source", "label"}
        np.testing.assert_array_equal(found["target"], tree["target"])
        assert found["target"].attrs == {"units": "bit"}
        known = {"steps": 20, "threshold": 0.5, "note": "größer", "empty": ""}
        assert {name: found.attrs[name] for name in known} == known
        layer = found["0.conv1"]
        xr.testing.assert_equal(layer["contribution"], tree["0.conv1/contribution"])
        assert layer["contribution"].dtype == np.float32
        assert layer["refined"].dtype == bool
        assert layer["refined"].values.tolist() == [True, False, True]
        assert layer["half"].values.tolist() == [0.5, 1, 2]
        assert layer["when"].values.tolist() == [0, 1, 2]
        assert layer["count"].dtype == np.uint8
        assert layer["sign"].values.tolist() == ["excitatory", "inhibitory"]
    assert_same(nc.open(tmp_path / "x.nc"), tree)


@needs_ncdump
def test_ncdump_prints_a_tree(tmp_path):
    nc.save(labelled_tree(), tmp_path / "x.nc")
    text = dumped(tmp_path / "x.nc")
    for line in (
        'source = "a.jpg", _, "é 日本" ;',  # so it prints text that is empty
        'label = "cat" ;',
        "target = 0.5, NaN, -0 ;",
        ":steps = 20LL ;",
        ":threshold = 0.5 ;",
        "float contribution(time, sign) ;",
        "refined = 1, 0, 1 ;",
        'sign = "excitatory", "inhibitory" ;',
    ):
        assert line in text
    assert 'note = "größer" ;' in text


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_xarray_opens_a_streamed_run(tmp_path, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"run{suffix}"
    result, whole = contributions(out=path), contributions()
    engine = "netcdf4" if suffix == ".nc" else "zarr"
    with xr.open_datatree(path, engine=engine) as found:
        for name in ("target", "hidden/contribution", "hidden/completeness_error"):
            np.testing.assert_array_equal(found[name], whole[name])
            assert found[name].attrs["units"] == whole[name].attrs["units"]
        assert found["hidden/sign"].values.tolist() == whole["hidden/sign"].values.tolist()
    result.close()


@needs_ncdump
def test_ncdump_prints_a_streamed_run(tmp_path):
    contributions(out=tmp_path / "run.nc").close()
    text = dumped(tmp_path / "run.nc")
    assert "group: hidden {" in text
    assert 'sign = "excitatory", "inhibitory" ;' in text


@pytest.mark.parametrize("make", [no_samples, complex_tree, xr.DataTree])
def test_trees_without_samples_of_complex_numbers_and_of_nothing_open_everywhere(tmp_path, make):
    tree = make()
    nc.save(tree, tmp_path / "x.nc")
    assert_same(nc.open(tmp_path / "x.nc"), tree)
    lazy = nc.open(tmp_path / "x.nc", lazy=True)
    assert_same(lazy.load(), tree)
    lazy.close()
    with xr.open_datatree(tmp_path / "x.nc", engine="netcdf4") as found:
        assert [n.path for n in found.subtree] == [n.path for n in tree.subtree]
        for node in tree.subtree:
            assert dict(found[node.path].sizes) == dict(node.sizes)
    if shutil.which("ncdump"):
        assert dumped(tmp_path / "x.nc").startswith("netcdf x {")


DESCRIPTORS = Path("/proc/self/fd")
needs_descriptors = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="needs /proc")


def open_files(folder):
    """Files in a folder that this process has open."""
    names = [os.path.realpath(link) for link in DESCRIPTORS.iterdir()]
    return [name for name in names if name.startswith(f"{folder.resolve()}/")]


@needs_descriptors
@pytest.mark.parametrize("make", [labelled_tree, lambda: labelled_tree()["0.conv1/contribution"]])
def test_files_are_closed(tmp_path, make):
    nc.save(make(), tmp_path / "x.nc")
    assert_same(nc.open(tmp_path / "x.nc"), nc.open(tmp_path / "x.nc"))
    assert open_files(tmp_path) == []
    lazy = nc.open(tmp_path / "x.nc", lazy=True)
    assert open_files(tmp_path) == [str((tmp_path / "x.nc").resolve())]
    lazy.close()
    assert open_files(tmp_path) == []


@needs_descriptors
@pytest.mark.parametrize("make", [labelled_tree, lambda: labelled_tree()["0.conv1/contribution"]])
def test_files_of_dask_arrays_are_closed(tmp_path, make):
    pytest.importorskip("dask")
    nc.save(make(), tmp_path / "x.nc")
    chunked = nc.open(tmp_path / "x.nc", chunks=2)
    assert_same(chunked.compute(), make())
    chunked.close()
    assert open_files(tmp_path) == []


def test_an_hdf5_file_of_others_is_no_result_and_does_no_harm(tmp_path):
    """Half precision ends a process that asks the library of netCDF for it."""
    with h5py.File(tmp_path / "x.nc", "w") as file:
        file["stimulus"] = np.zeros((3, 2), np.float16)
    with pytest.raises(StorageError, match="without the marks"):
        nc.open(tmp_path / "x.nc")
    with pytest.raises(StorageError, match="exists already"):
        nc.save(labelled_tree(), tmp_path / "x.nc")


def elsewhere(code, path):
    """Run what may end the interpreter, with the helpers of this file at hand."""
    in_a_process(
        run_code, f"import sys\nfrom test_netcdf import *\n{code}", [path], Path(__file__).parent
    )


IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor
tree = labelled_tree()
def use(i):
    path = Path(sys.argv[1], f"{i}.nc")
    for _ in range(8):
        nc.save(tree, path)
        assert nc.open(path).identical(tree)
        lazy = nc.open(path, lazy=True)
        assert lazy.identical(tree)
        lazy.close()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(use, range(4)))
"""


@pytest.mark.slow
def test_threads_save_and_open(tmp_path):
    elsewhere(IN_THREADS, tmp_path)


OPEN_ELSEWHERE = """
nc.save(many_names(), sys.argv[1])
lazy = nc.open(sys.argv[1], lazy=True)
for _ in range(5):
    assert nc.open(sys.argv[1]).identical(lazy)
    with xr.open_datatree(sys.argv[1], engine="netcdf4") as found:
        found.load()
    assert found["source"].values.tolist() == lazy["source"].values.tolist()
"""


OPEN_HERE = """
nc.save(many_names(), sys.argv[1])
with xr.open_datatree(sys.argv[1], engine="netcdf4") as found:
    for _ in range(5):
        assert nc.open(sys.argv[1]).equals(many_names())
    assert found["source"].values.tolist() == many_names()["source"].values.tolist()
"""


@pytest.mark.parametrize("code", [OPEN_ELSEWHERE, OPEN_HERE])
def test_a_file_may_be_open_here_and_elsewhere(tmp_path, code):
    """HDF5 ends processes in which netCDF4 reads text of a file that somebody has open."""
    elsewhere(code, tmp_path / "x.nc")
