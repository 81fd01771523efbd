"""Several processes give the store that one gives, whoever of them dies on the way."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional
from places import SUPPORT
from processes import CONTEXT, in_a_process
from stored_images import stored_images, write_images
from streamed_runs import stream_with_workers

import neurocodec as nc
from neurocodec.engine import distributed as distributed_run
from neurocodec.errors import InputError, StorageError
from neurocodec.storage import RunWriter
from neurocodec.storage.regions import SharedRun, write_range

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pytest.importorskip("zarr")

LAYERS = {"first": "2", "second": "4"}
COUNT = 150
BROKEN = (0, 20, 33, 149)

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",  # of sockets of workers that were killed
    "ignore:.*Sending large graph:UserWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_images(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    in_a_process(os.getpid)  # so that workers are forked from what has imported everything
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with (
        dask.config.set(method),
        distributed.LocalCluster(
            n_workers=4,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=None,
        ) as found,
    ):
        yield found


@pytest.fixture
def client(cluster: distributed.LocalCluster) -> Iterator[distributed.Client]:
    with distributed.Client(cluster) as found:
        found.run(add_to_path, str(SUPPORT))
        found.wait_for_workers(4, timeout=60)
        yield found


def add_to_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As Dask's workers have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network() -> nc.Network:
    return nc.Network(convolutional(), layers=LAYERS)


def run(stimulus: xr.DataArray, **options: object) -> xr.DataTree:
    known = {"target": nc.targets.TopK(1), "method": nc.methods.ActGrad(), "batch_size": 2}
    return nc.contributions(network(), stimulus, progress=False, **{**known, **options})


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store; of the one with the provenance of this run, its other lines."""
    found = {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}
    for name in (".zattrs", ".zmetadata"):
        found[name] = json.dumps(json.loads(found[name]), sort_keys=True).encode()
    return found


def test_four_workers_give_the_store_of_one_process(
    client: distributed.Client, files: list[Path], tmp_path: Path
) -> None:
    stimulus = stored_images(files)
    run(stimulus, out=tmp_path / "one.zarr").close()
    run(stimulus, out=tmp_path / "four.zarr", client=client).close()
    assert contents(tmp_path / "four.zarr") == contents(tmp_path / "one.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["four.zarr", "one.zarr"]


def test_stimuli_in_memory_and_dask_arrays_are_computed_too(
    client: distributed.Client, files: list[Path], tmp_path: Path
) -> None:
    whole = stored_images(files[:40]).load()
    wanted = run(whole)
    for name, stimulus in (("memory", whole), ("dask", whole.chunk(stimulus=7))):
        found = run(stimulus, out=tmp_path / f"{name}.zarr", client=client)
        for node in wanted.subtree:
            xr.testing.assert_equal(found[node.path].to_dataset(), node.to_dataset())
        found.close()


def test_broken_images_are_left_out(
    client: distributed.Client,
    files: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    copies = write_images(tmp_path / "images", COUNT)
    for place in BROKEN:
        copies[place].write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, "neurocodec"):
        found = run(
            stored_images(copies, broken="skip"), out=tmp_path / "run.zarr", client=client
        ).load()
    names = "image000.png, image020.png, image033.png, image149.png"
    told = f"4 of 150 images could not be read and are left out: {names}"
    assert caplog.messages == [told]
    wanted = run(stored_images(files)).isel(stimulus=[i for i in range(COUNT) if i not in BROKEN])
    for node in wanted.subtree:
        xr.testing.assert_equal(found[node.path].to_dataset(), node.to_dataset())


def test_a_worker_that_is_killed_loses_only_its_range(
    client: distributed.Client, files: list[Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    stimulus = stored_images(files, pause=0.02, log=log)
    killed: list[int] = []

    def kill_one() -> None:
        folder = tmp_path / "run.zarr.parts"
        while not any(folder.glob("ranges-*.json")):
            time.sleep(0.01)
        workers = {int(line.split()[0]) for line in log.read_text().splitlines()} - {os.getpid()}
        killed.append(min(workers))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    found = run(stimulus, out=tmp_path / "run.zarr", client=client).load()
    killer.join()
    assert killed
    wanted = run(stored_images(files))
    for node in wanted.subtree:
        xr.testing.assert_equal(found[node.path].to_dataset(), node.to_dataset())
    # this process reads all once, as no file tells it what an array of another's class is
    readers = [int(line.split()[0]) for line in log.read_text().splitlines()]
    assert sum(reader != os.getpid() for reader in readers) < 2 * COUNT  # not everything again


@pytest.mark.slow
def test_ranges_that_kill_every_worker_are_given_up(
    client: distributed.Client,
    cluster: distributed.LocalCluster,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    monkeypatch.setattr(distributed_run, "ATTEMPTS", 2)
    deadly = stored_images(files, deadly="image040.png")
    with pytest.raises(StorageError, match="1 ranges of samples whose workers died 2 times"):
        run(deadly, out=tmp_path / "run.zarr", client=client)
    found = run(stored_images(files), out=tmp_path / "run.zarr", client=client)
    xr.testing.assert_equal(found.target.load(), run(stored_images(files)).target)


@pytest.mark.slow
def test_a_run_goes_on_after_everything_was_killed(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "run.zarr"
    arguments = (files[0].parent, out, 0.03)
    child = CONTEXT.Process(target=stream_with_workers, args=arguments)
    child.start()
    folder = tmp_path / "run.zarr.parts"
    deadline = time.monotonic() + 240
    while not any(folder.glob("ranges-*.json")):
        assert child.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for process in [child.pid, *map(int, Path(f"{out}.workers").read_text().split())]:
        os.kill(process, signal.SIGKILL)
    child.join()
    done = len(list(folder.glob("ranges-*.json")))
    assert not out.exists()
    assert 1 <= done < 5
    with pytest.raises(StorageError, match="in another way"):
        run(stored_images(files), out=out)
    in_a_process(stream_with_workers, *arguments)
    wanted = run(stored_images(files))
    found = nc.open(out)
    for node in wanted.subtree:
        xr.testing.assert_equal(found[node.path].to_dataset(), node.to_dataset())


def test_what_a_worker_finds_wrong_is_told_here(
    client: distributed.Client, files: list[Path], tmp_path: Path
) -> None:
    copies = write_images(tmp_path / "images", COUNT)
    copies[33].write_bytes(b"no image")
    stimulus, out = stored_images(copies), tmp_path / "run.zarr"
    with pytest.raises(InputError, match="first at {'stimulus': 33"):
        run(stimulus, out=out, client=client)
    copies[33].write_bytes(files[33].read_bytes())
    found = run(stimulus, out=out, client=client).load()
    xr.testing.assert_equal(found.target, run(stored_images(files)).target)


def test_another_run_is_refused(
    client: distributed.Client, files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "run.zarr"
    run(stored_images(files[:20]), out=out, client=client).close()
    run(stored_images(files[:20]), out=out, client=client).close()
    with pytest.raises(StorageError, match="target"):
        run(stored_images(files[:20]), out=out, client=client, target=nc.targets.Sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": None}, "without out="),
        ({"out": "run.nc"}, "expected: a Zarr store"),
        ({"client": "tcp://127.0.0.1:8786"}, "a synchronous dask.distributed.Client"),
    ],
    ids=["no out", "netCDF", "no client"],
)
def test_what_does_not_fit_is_refused(  # noqa: PLR0917 - fixtures
    client: distributed.Client,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run(stored_images(files), **{"client": client, "out": "run.zarr", **options})


def test_a_folder_that_a_worker_does_not_see_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a folder that the client and all its workers share"):
        write_range(tmp_path / "run.zarr.parts", 0, {"target": np.zeros(3)})


def test_the_store_of_a_run_of_one_process_is_not_mixed_with_ranges(tmp_path: Path) -> None:
    run_of_one = RunWriter(tmp_path / "run.zarr", facts={}, size=4)
    with run_of_one:
        run_of_one.write(0, {"target": np.zeros(2)})
    with pytest.raises(StorageError, match="without client="):
        SharedRun(tmp_path / "run.zarr", facts={}, size=4)
