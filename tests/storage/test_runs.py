"""A run that is killed, continued or mixed up with another gives the right result or none."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import traceback
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from labelled_objects import assert_same
from processes import in_a_process, run_code

import neurocodec as nc
from neurocodec.errors import InputError, StorageError
from neurocodec.storage import RunWriter, runs
from neurocodec.storage.run_folder import gaps

SIZE = 23
FACTS = {"weights": "ab12", "layers": ("layer1", "layer2"), "method": {"steps": 20}}


def whole_tree(size: int = SIZE) -> xr.DataTree:
    """Result of a made-up run: every number is a function of its position."""
    values = np.arange(size * 2 * 3, dtype=np.float32).reshape(size, 2, 3)
    root = xr.Dataset(
        {"target": ("time", np.arange(size) / 7, {"units": "bit"})},
        {
            "time": ("time", np.arange(size) / 100, {"units": "s"}),
            "source": ("time", np.array([f"image {i}" for i in range(size)])),
        },
        {"neurocodec": '{"seed": 1}', "steps": 20},
    )
    layer = xr.Dataset(
        {
            "contribution": (("time", "sign", "channel"), values, {"units": "bit"}),
            "refined": ("time", np.arange(size) % 3 == 0),
        },
        {"sign": ["excitatory", "inhibitory"]},
    )
    return xr.DataTree.from_dict({"/": root, "/layer2": layer, "/layer10": layer + 1.5})


STREAMED = ("target", "layer2/contribution", "layer2/refined", "layer10/contribution")


def rows_of(tree: xr.DataTree, rows: slice) -> dict[str, np.ndarray]:
    return {name: tree[name].values[rows] for name in STREAMED}


def template_of(tree: xr.DataTree) -> xr.DataTree:
    """The tree without the numbers that are written row by row."""
    empty = tree.copy()
    for name in STREAMED:
        old = tree[name]
        empty[name] = old.copy(data=np.broadcast_to(old.dtype.type(0), old.shape))
    return empty


def write_all(path: Path, block: int, tree: xr.DataTree) -> xr.DataTree:
    with RunWriter(path, facts=FACTS, size=SIZE) as run:
        for rows in run.missing(block):
            run.write(rows.start, rows_of(tree, rows))
        return run.finish(template_of(tree))


def test_rows_become_a_result(tmp_path: Path) -> None:
    times = np.arange(5) / 100
    with RunWriter(tmp_path / "run.nc", facts={"method": "ActGrad"}, size=5) as run:
        for rows in run.missing(2):
            run.write(rows.start, {"target": times[rows] ** 2})
        template = xr.Dataset({"target": ("time", np.broadcast_to(0.0, 5))}, {"time": times})
        result = run.finish(xr.DataTree(template))
    assert (result["target"] == times**2).all()
    result.close()


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("block", [1, 5, 100])
def test_streamed_result_is_the_saved_one(tmp_path: Path, suffix: str, block: int) -> None:
    tree = whole_tree()
    path = tmp_path / f"run{suffix}"
    write_all(path, block, tree).close()
    nc.save(tree, tmp_path / f"saved{suffix}")
    assert_same(nc.open(path), nc.open(tmp_path / f"saved{suffix}"))
    assert_same(nc.open(path), tree)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"run{suffix}", f"saved{suffix}"]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_interrupted_run_continues(tmp_path: Path, suffix: str) -> None:
    tree, path = whole_tree(), tmp_path / f"run{suffix}"
    with suppress(KeyboardInterrupt), RunWriter(path, facts=FACTS, size=SIZE) as run:
        for rows in run.missing(4):
            if rows.start >= 12:
                raise KeyboardInterrupt
            run.write(rows.start, rows_of(tree, rows))
    with pytest.raises(StorageError, match="not finished"):
        nc.open(path)
    with RunWriter(path, facts=FACTS, size=SIZE) as run:
        assert run.missing(4) == [slice(12, 16), slice(16, 20), slice(20, 23)]
    assert_same(write_all(path, 4, tree).load(), tree)


def write_until(path: Path, changes: int) -> None:
    """Write the run, and kill this process before its next change of a folder but `changes`."""
    left = iter(range(changes))
    events = {"os.rename", "os.rmdir", "os.remove", "os.mkdir", "shutil.rmtree"}

    def hook(event: str, _: object) -> None:
        if event in events and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    runs._PART_SECONDS = 0.0  # every block becomes a part at once
    write_all(path, 8, whole_tree())


def continue_and_compare(path: Path) -> None:
    assert_same(write_all(path, 8, whole_tree()).load(), whole_tree())
    assert list(path.parent.iterdir()) == [path]


def in_child(function: Callable[..., None], *arguments: object) -> int:
    """Exit status of a forked process that calls the function; negative: the signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        function(*arguments)
    except BaseException:  # noqa: BLE001 - the child ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def kill_along_the_way(folder: Path, suffix: str, stride: str) -> None:
    """Entry point of the process that the test below starts; it has no threads to lose."""
    importlib.import_module("zarr")
    xr.backends.list_engines()  # imported once, and not in every child
    kills, status = 0, -signal.SIGKILL
    while status != 0:
        path = folder / str(kills) / f"run{suffix}"
        path.parent.mkdir()
        status = in_child(write_until, path, kills * int(stride))
        assert status in (0, -signal.SIGKILL)
        assert in_child(continue_and_compare, path) == 0, f"after kill {kills}"
        kills += 1
    assert kills > 6


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "stride"), [(".nc", 4), (".zarr", 29)])
def test_killed_at_any_moment_it_continues(tmp_path: Path, suffix: str, stride: int) -> None:
    """SIGKILL at changes of the folder all along; the same call completes every run."""
    code = "from test_runs import *; kill_along_the_way(Path(sys.argv[1]), *sys.argv[2:])"
    in_a_process(run_code, code, [tmp_path, suffix, stride], Path(__file__).parent)


def test_another_run_is_refused(tmp_path: Path) -> None:
    tree, path = whole_tree(), tmp_path / "run.nc"
    with RunWriter(path, facts=FACTS, size=SIZE) as run:
        run.write(0, rows_of(tree, slice(0, 3)))
    other = {**FACTS, "weights": "cd34"}
    with pytest.raises(StorageError, match="weights was 'ab12', is 'cd34'") as error:
        RunWriter(path, facts=other, size=SIZE)
    assert "layers was" not in str(error.value)
    write_all(path, 4, tree).close()
    with pytest.raises(StorageError, match="of another run: samples was 23, is 24"):
        RunWriter(path, facts=FACTS, size=24)
    assert_same(nc.open(path), tree)


def test_finished_run_is_not_computed_again(tmp_path: Path) -> None:
    tree, path = whole_tree(), tmp_path / "run.nc"
    write_all(path, 4, tree).close()
    with RunWriter(path, facts=FACTS, size=SIZE) as run:
        assert run.finished
        assert run.missing(4) == []
        assert_same(run.finish(template_of(tree)).load(), tree)


def test_result_of_save_is_not_taken_for_a_run(tmp_path: Path) -> None:
    nc.save(whole_tree(), tmp_path / "run.nc")
    with pytest.raises(StorageError, match="exists already"):
        RunWriter(tmp_path / "run.nc", facts=FACTS, size=SIZE)


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.nc.parts").mkdir()
    (tmp_path / "run.nc.parts" / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="exists already"):
        RunWriter(tmp_path / "run.nc", facts=FACTS, size=SIZE)
    assert (tmp_path / "run.nc.parts" / "thesis.txt").exists()


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tree = whole_tree()
    with RunWriter(tmp_path / "run.nc", facts=FACTS, size=SIZE) as run:
        with pytest.raises(InputError, match="within the 23 samples"):
            run.write(20, rows_of(tree, slice(0, 4)))
        with pytest.raises(InputError, match="lengths"):
            run.write(0, {"a": np.zeros(2), "b": np.zeros(3)})
        with pytest.raises(InputError, match="real numbers"):
            run.write(0, {"source": np.array(["x"])})
        run.write(0, {"target": np.zeros(20)})
        with pytest.raises(StorageError, match="without 20:23"):
            run.finish(template_of(tree))
        run.write(20, {"target": np.zeros(3, np.float32)})


def test_template_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run.nc", facts=FACTS, size=SIZE) as run:
        run.write(0, {"layer3/contribution": np.zeros((SIZE, 2))})
        with pytest.raises(InputError, match="no such variable"):
            run.finish(template_of(whole_tree()))
    assert not (tmp_path / "run.nc").exists()


def test_damaged_part_is_named(tmp_path: Path) -> None:
    tree, path = whole_tree(), tmp_path / "run.nc"
    with RunWriter(path, facts=FACTS, size=SIZE) as run:
        run.write(0, rows_of(tree, slice(None)))
    part = next(tmp_path.glob("run.nc.parts/rows-*"))
    part.write_bytes(part.read_bytes()[:-9])
    with (
        RunWriter(path, facts=FACTS, size=SIZE) as run,
        pytest.raises(StorageError, match="damaged"),
    ):
        run.finish(template_of(tree))
    part.unlink()
    assert_same(write_all(path, 4, tree).load(), tree)


def test_full_disk_ends_the_run_and_leaves_it_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_two_blocks(patch: pytest.MonkeyPatch) -> None:
        with RunWriter(path, facts=FACTS, size=SIZE) as run:
            run.write(0, rows_of(tree, slice(0, 4)))
            run._flush()
            patch.setattr(runs, "save_file", full)
            run.write(4, rows_of(tree, slice(4, 8)))
            run._flush()

    tree, path = whole_tree(), tmp_path / "run.nc"
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left"):
        write_two_blocks(patch)
    with RunWriter(path, facts=FACTS, size=SIZE) as run:
        assert run.missing(SIZE) == [slice(4, SIZE)]
    assert_same(write_all(path, 4, tree).load(), tree)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=6),
    st.integers(1, 7),
)
def test_blocks_fill_exactly_the_gaps(ranges: list[tuple[int, int]], block: int) -> None:
    covered = sorted((start, min(start + length, 30)) for start, length in ranges)
    done = {i for start, stop in covered for i in range(start, stop)}
    blocks = list(gaps(covered, 30, block))
    assert [i for s in blocks for i in range(s.start, s.stop)] == sorted({*range(30)} - done)
    assert all(0 < s.stop - s.start <= block for s in blocks)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_memory_does_not_grow_with_the_run(tmp_path: Path, suffix: str) -> None:
    """A result of 64 MiB is put together with memory for one of its parts of 1 MiB."""
    size, rows = 64, np.ones((1, 2**18), np.float32)
    template = xr.Dataset({"a": (("stimulus", "x"), np.broadcast_to(rows, (size, 2**18)))})
    with RunWriter(tmp_path / f"run{suffix}", facts={}, size=size) as run:
        for block in run.missing(1):
            run.write(block.start, {"a": rows * block.start})
            run._flush()
        tracemalloc.start()
        try:
            result = run.finish(xr.DataTree(template))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 24 * 2**20  # Zarr changes a chunk of 4 MiB at a time, in several copies
    assert result["a"][:, 5].values.tolist() == list(range(size))
