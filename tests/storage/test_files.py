"""Files give back exactly what was saved, or say why they cannot; nothing half-written stays."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from labelled_objects import arrays, assert_same, attributes, datasets, trees
from processes import in_a_process, run_code

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecError, StorageError
from neurocodec.storage import files
from neurocodec.storage.attributes import from_native, to_native
from neurocodec.storage.encoding import encode

SUFFIXES = pytest.mark.parametrize("suffix", [".nc", ".zarr"])

RATES = xr.DataArray(
    np.arange(6.0).reshape(3, 2),
    {
        "time": ("time", [0.0, 0.01, 0.02], {"units": "s", "long_name": "time"}),
        "cell": ["ON transient 1", "é"],
        "cell_type": ("cell", np.array(["", "OFF"])),
        "bin_width": ((), 0.01, {"units": "s"}),
    },
    ("time", "cell"),
    "firing_rate",
    {"units": "Hz", "long_name": "firing rate", "shape": (1, 2), "seed": 3, "trained": True},
)


@SUFFIXES
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(obj=arrays() | datasets() | trees())
@example(obj=RATES)
@example(obj=RATES.time)
@example(obj=RATES.bin_width)
@example(obj=RATES.isel(time=slice(0), cell=slice(0)))
@example(obj=RATES.to_dataset())
@example(obj=xr.DataArray([1.0], attrs={"units": "seconds"}, name="lag"))
@example(obj=xr.DataArray([1], attrs={"units": "days since 2000-01-01"}, name="day"))
@example(obj=xr.Dataset())
@example(obj=xr.DataArray(np.nan))
def test_round_trip_is_exact(obj: Any, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x" + suffix)
        nc.save(obj, path)
        assert_same(nc.open(path), obj)
        assert list(path.parent.iterdir()) == [path]


@given(attributes)
def test_attributes_in_a_file_are_text_and_numbers(attrs: dict[str, Any]) -> None:
    assert {type(v) for v in to_native(attrs, "x").values()} <= {str, int, float}
    assert repr(sorted(from_native(to_native(attrs, "x")).items())) == repr(sorted(attrs.items()))


@SUFFIXES
def test_child_is_saved_with_what_it_inherits(tmp_path: Path, suffix: str) -> None:
    tree = xr.DataTree.from_dict(
        {"/": RATES[:, 0].to_dataset(), "/layer1": xr.Dataset({"a": ("time", [1, 2, 3])})}
    )
    path = tmp_path / f"x{suffix}"
    nc.save(tree["layer1"], path)
    assert nc.open(path).identical(tree["layer1"].copy())
    nc.save(tree, path)
    assert "time" not in nc.open(path)["layer1"].to_dataset(inherit=False)
    assert nc.open(path)["layer1"].time.variable.identical(RATES.time.variable)


@SUFFIXES
def test_other_software_reads_the_file(tmp_path: Path, suffix: str) -> None:
    """Plain xarray sees numbers, text, booleans, coordinates and simple attributes."""
    path = tmp_path / f"x{suffix}"
    nc.save((RATES > 2).assign_attrs(RATES.attrs), path)
    plain = xr.open_dataset(
        path, engine=None if suffix == ".nc" else "zarr", decode_timedelta=False
    )
    with plain:
        assert plain.firing_rate.dtype == bool
        assert (plain.firing_rate == (RATES > 2)).all()
        assert set(plain.coords) == set(RATES.coords)
        assert plain.cell_type.values.tolist() == ["", "OFF"]
        assert plain.firing_rate.attrs["seed"] == 3
        assert plain.time.attrs == RATES.time.attrs


@SUFFIXES
def test_lazy_reads_when_used(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    nc.save(RATES, path)
    lazy = nc.open(path, lazy=True)
    assert not lazy.variable._in_memory
    assert lazy[1:, 0].values.tolist() == [2.0, 4.0]
    nc.save(lazy, tmp_path / f"copy{suffix}")
    lazy.close()
    assert_same(nc.open(tmp_path / f"copy{suffix}"), RATES)
    assert nc.open(path).variable._in_memory


def bad(**variables: Any) -> xr.Dataset:
    return xr.Dataset(variables)


@SUFFIXES
@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (bad(a=("x", np.array([1, "b"], object))), "dtype object"),
        (bad(a=("x", np.array([b"a"]))), r"dtype \|S1"),
        (bad(a=("x", np.array(["a\0b"]))), "NUL"),
        (bad(a=("x", np.array(["\ud800"]))), "surrogate"),
        (bad(a=("x", np.zeros(2, np.longdouble))), "dtype float128"),
        (bad(**{"a b": 1}), "the name 'a b'"),
        (bad(**{"a/b": 1}), "the name 'a/b'"),
        (bad(**{"": 1}), "the name ''"),
        (bad(**{"+a": 1}), r"the name '\+a'"),
        (bad(a=("e\u0301", [1])), "the name 'e\u0301'"),
        (bad(**{"a" * 256: 1}), "at most 255 bytes"),
        (xr.Dataset({5: ("x", [1])}), "the name 5"),
        (xr.Dataset({"a": ("_x", [1])}), "the name '_x'"),
        (xr.Dataset({"a": ("x", [1])}).stack(y=["x"]), "PandasMultiIndex"),
        (xr.Dataset(attrs={"model": object()}), "attribute of type object"),
        (xr.Dataset({"a": ("x", [1], {"b": {"c": {1}}})}), "attribute of type set"),
        (xr.DataTree.from_dict({"/": bad(a=("b", [1])), "/b": bad(c=1)}), "something else"),
        (np.zeros(3), "an object of type ndarray"),
    ],
)
def test_what_would_not_come_back_is_refused(
    tmp_path: Path, suffix: str, obj: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        nc.save(obj, tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.pkl", "x", "x.nc.gz"])
def test_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="'.nc'"):
        nc.save(RATES, tmp_path / name)
    with pytest.raises(InputError, match="'.nc'"):
        nc.open(tmp_path / name)


def test_zarr_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StorageError, match=r'pip install "neurocodec\[zarr\]"'):
        nc.save(RATES, tmp_path / "x.zarr")
    nc.save(RATES, tmp_path / "x.nc")


@SUFFIXES
def test_only_results_are_replaced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    nc.save(RATES, path)
    with pytest.raises(StorageError, match="exists already"):
        nc.save(RATES + 1, path, overwrite=False)
    nc.save(RATES + 1, path)
    assert nc.open(path).equals(RATES + 1)
    if path.is_dir():
        shutil.rmtree(path)
    path.write_text("my thesis")
    with pytest.raises(StorageError, match="exists already"):
        nc.save(RATES, path)
    assert path.read_text() == "my thesis"


def test_file_of_others_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    RATES.drop_attrs().to_netcdf(path, engine="netcdf4")
    with pytest.raises(StorageError, match="exists already"):
        nc.save(RATES, path)
    with pytest.raises(StorageError, match="without the marks"):
        nc.open(path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        nc.save(RATES, tmp_path / "no" / "x.nc")


@SUFFIXES
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (RuntimeError("Unable to flush file"), StorageError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failed_write_leaves_what_was_there(  # noqa: PLR0917
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    before: bool,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    path = tmp_path / f"x{suffix}"
    if before:
        nc.save(RATES, path)

    def fail(*args: Any) -> None:
        arrays = args[1]
        arrays["time"][...] = 0.5  # some of it is written
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(files, "fill", fail)
        with pytest.raises(raised):
            nc.save(RATES + 1, path)
    assert list(tmp_path.iterdir()) == [path] * before
    if before:
        assert_same(nc.open(path), RATES)


FULL_DISK = """
import resource, signal, sys
import numpy as np, xarray as xr
import neurocodec as nc
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
nc.save(xr.DataArray(np.random.default_rng(0).normal(size=2**19), name="a"), sys.argv[1])
"""


@SUFFIXES
@pytest.mark.parametrize("limit", [100, 2**20])
def test_disk_that_refuses_more(tmp_path: Path, suffix: str, limit: int) -> None:
    """The operating system itself refuses to write more of a result of 4 MiB."""
    path = tmp_path / f"x{suffix}"
    with pytest.raises(StorageError, match="could not be written"):  # and not by a signal
        in_a_process(run_code, FULL_DISK, [path, limit], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_comes_back_where_the_new_one_cannot_be_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.zarr"
    nc.save(RATES, path)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if Path(target) == path and self.name != "replaced":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(KeyboardInterrupt):
            nc.save(RATES + 1, path)
    assert_same(nc.open(path), RATES)


@pytest.mark.parametrize("size", [0, 3, 100, 5000, -1])
def test_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.nc"
    nc.save(RATES.to_dataset(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with pytest.raises(StorageError, match="cannot be read"):
        nc.open(path)


def test_incomplete_zarr_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    nc.save(RATES.to_dataset(), path)
    for part in sorted(path.rglob("*")):
        if part.is_file():
            damaged = tmp_path / "damaged.zarr"
            shutil.copytree(path, damaged)
            (damaged / part.relative_to(path)).unlink()
            try:
                found = nc.open(damaged)
            except StorageError:
                pass
            else:  # what consolidated metadata repeats may go
                assert part.name in {".zattrs", ".zarray", ".zgroup", ".zmetadata"}
                assert_same(found, RATES.to_dataset())
            shutil.rmtree(damaged)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        nc.open(tmp_path / "x.nc")


def test_newer_format_is_refused(tmp_path: Path) -> None:
    import h5py

    nc.save(RATES, tmp_path / "x.nc")
    with h5py.File(tmp_path / "x.nc", "r+") as file:
        file.attrs["neurocodec_format"] = 99
    with pytest.raises(StorageError, match="newer neurocodec"):
        nc.open(tmp_path / "x.nc")


class SparseModes:
    """Stands for the fitted class of that name."""

    def __init__(self, dictionary: xr.DataArray) -> None:
        self.dictionary = dictionary

    def to_tree(self) -> xr.DataTree:
        return xr.DataTree(self.dictionary.to_dataset(name="dictionary"))

    @classmethod
    def from_tree(cls, tree: xr.DataTree) -> SparseModes:
        return cls(tree["dictionary"])


@SUFFIXES
def test_fitted_object_comes_back_as_itself(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files._FITTED, "SparseModes", f"{__name__}:SparseModes")
    nc.save(SparseModes(RATES), tmp_path / f"x{suffix}")
    found = nc.open(tmp_path / f"x{suffix}")
    assert type(found) is SparseModes
    assert found.dictionary.equals(RATES)


def test_values_are_written_into_arrays() -> None:
    arrays = {"a": np.zeros(2), "b": np.zeros(2)}
    groups = encode(xr.Dataset({"a": ("x", [1.0, 2.0]), "b": ("x", [3.0, 4.0])}))
    files.fill(groups, arrays, except_for=["b"])
    assert arrays["a"].tolist() == [1.0, 2.0]
    assert arrays["b"].tolist() == [0.0, 0.0]


def test_a_file_appears_whole(tmp_path: Path) -> None:
    with files.whole_file(tmp_path / "note.txt") as scratch:
        scratch.write_text("all of it")
        assert not (tmp_path / "note.txt").exists()
    assert (tmp_path / "note.txt").read_text() == "all of it"


def test_a_folder_that_is_missing_is_told() -> None:
    with pytest.raises(StorageError) as error:
        files.require_free(Path("no such folder/x.nc"), overwrite=True)
    assert str(error.value).splitlines() == [
        "the folder 'no such folder', which does not exist",
        "  expected: a folder to write 'x.nc' into",
        "  try: mkdir -p 'no such folder'",
    ]


def test_chunks_are_of_samples() -> None:
    pytest.importorskip("dask")
    found = files.chunked(xr.Dataset({"target": ("stimulus", [1.0, 2.0, 3.0])}), 2)
    assert found["target"].chunks == ((2, 1),)


@pytest.mark.parametrize("chunks", [0, -1, True, 1.5])
def test_chunks_that_are_none_are_refused(tmp_path: Path, chunks: Any) -> None:
    nc.save(RATES, tmp_path / "x.nc")
    with pytest.raises(InputError, match=f"chunks={chunks}"):
        nc.open(tmp_path / "x.nc", chunks=chunks)


def test_chunks_may_be_whole_numbers_of_numpy(tmp_path: Path) -> None:
    pytest.importorskip("dask")
    nc.save(RATES, tmp_path / "x.nc")
    found = nc.open(tmp_path / "x.nc", chunks=np.int64(2))
    assert found.chunks == ((2, 1), (2,))
    found.close()


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert files.existing_folder(".").is_dir()
    assert files.existing_folder(tmp_path / "a" / "b").is_dir()


def test_every_error_is_one_of_ours() -> None:
    assert issubclass(StorageError, NeurocodecError)
    assert issubclass(StorageError, OSError)


def test_what_threads_write_on_after_a_failure_vanishes_too(tmp_path: Path) -> None:
    def write_on(folder: Path) -> None:
        for number in range(20):
            with contextlib.suppress(OSError):  # the folder is being removed
                folder.mkdir(parents=True, exist_ok=True)
                (folder / str(number)).touch()
            time.sleep(0.005)

    writers = []

    def fail() -> None:
        with files.whole_file(tmp_path / "x.zarr") as scratch:
            writers.append(threading.Thread(target=write_on, args=(scratch / "c",)))
            writers[0].start()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError):
        fail()
    writers[0].join()
    assert list(tmp_path.iterdir()) == []
