"""Stimuli that are read as they are needed: same values, in order, whatever is broken or killed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional, movie, retina_network
from processes import CONTEXT, in_a_process
from stored_images import stored_images, write_images
from streamed_runs import LAYERS, peak_of_a_run, run, stream

import neurocodec as nc
from neurocodec.adapters.recordings.lazy import stored_variable
from neurocodec.engine import read_ahead as loading
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError, StorageError
from neurocodec.storage import runs


@pytest.fixture
def network() -> nc.Network:
    return nc.Network(convolutional(), layers=LAYERS)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", 11)


def assert_equal_values(found: xr.DataTree, wanted: xr.DataTree) -> None:
    """The same numbers to the last bit, and the same labels; provenance may differ."""
    assert [n.path for n in found.subtree] == [n.path for n in wanted.subtree]
    for node in wanted.subtree:
        xr.testing.assert_equal(found[node.path].to_dataset(), node.to_dataset())


def break_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


@pytest.mark.parametrize(
    ("workers", "out"),
    [(0, None), (1, None), (3, None), (None, None), (0, "run.nc"), (3, "run.nc"), (1, "run.zarr")],
)
def test_stored_images_give_the_values_of_loaded_ones(
    network: nc.Network, files: list[Path], tmp_path: Path, workers: int | None, out: str | None
) -> None:
    stimulus = stored_images(files)
    wanted = run(network, stimulus.load().copy(deep=True))
    found = run(network, stored_images(files), workers=workers, out=out and tmp_path / out)
    assert_equal_values(found.load(), wanted)
    assert found["source"].values.tolist() == [f.name for f in files]
    found.close()


def test_reading_does_not_load_the_stimulus(files: list[Path], network: nc.Network) -> None:
    stimulus = stored_images(files)
    run(network, stimulus)
    assert not stimulus.variable._in_memory
    samples = Samples.of(network, stimulus, stream=True)
    assert samples.values.device.type == "meta"
    assert len(samples) == 11


def test_worker_processes_read_every_file_once_and_end(
    network: nc.Network, files: list[Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    run(network, stored_images(files, log=log), workers=2)
    lines = [line.split() for line in log.read_text().splitlines()]
    elsewhere = [name for process, name in lines if int(process) != os.getpid()]
    assert sorted(elsewhere) == [f.name for f in files]
    assert 1 <= len({process for process, _ in lines}) - 1 <= 2
    assert not multiprocessing.active_children()


def test_a_slow_worker_does_not_change_the_order(network: nc.Network, files: list[Path]) -> None:
    """Blocks of three images: the middle one takes longest."""
    stimulus = stored_images(files, pause=0.01)
    responses = nc.respond(network, stimulus, batch_size=3, workers=3)
    wanted = nc.respond(network, stored_images(files).load(), batch_size=3)
    # not to the last bit: where in memory a batch begins decides how its sums are rounded
    xr.testing.assert_allclose(responses, wanted, rtol=1e-4, atol=1e-6)
    assert abs(wanted - wanted[::-1].values).max() > 0.01


@pytest.mark.parametrize("kind", ["hdf5", "zarr", "dask", "netcdf transposed"])
def test_other_stored_stimuli_are_read_in_one_thread(
    network: nc.Network,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    whole = stored_images(files).load()  # says that it is from nc.images, which it no longer is
    path = tmp_path / "stimulus"
    if kind == "hdf5":
        with h5py.File(path, "w") as file:
            file["values"] = whole.values
        variable = stored_variable(path, "values", whole.dims)
        stimulus = xr.DataArray(variable, whole.coords)
    elif kind == "zarr":
        nc.save(whole, path.with_suffix(".zarr"))
        stimulus = nc.open(path.with_suffix(".zarr"), lazy=True)
    elif kind == "dask":
        stimulus = whole.chunk(stimulus=4, y=3)
    else:
        nc.save(whole.transpose("y", "color", "x", "stimulus"), path.with_suffix(".nc"))
        stimulus = nc.open(path.with_suffix(".nc"), lazy=True)
    started = []
    monkeypatch.setattr(loading, "ProcessPoolExecutor", started.append)
    assert_equal_values(run(network, stimulus), run(network, whole))
    assert not started
    assert not [t for t in threading.enumerate() if t.name.startswith("neurocodec")]
    assert stimulus.chunks is not None or not stimulus.variable._in_memory
    stimulus.close()


def test_stored_movies_give_the_values_of_loaded_ones(tmp_path: Path) -> None:
    net, whole = retina_network(), movie(23)
    nc.save(whole.to_dataset(name="stimulus"), tmp_path / "movie.nc")
    stored = nc.open(tmp_path / "movie.nc", lazy=True)
    method = nc.methods.IntegratedGradients(steps=3)
    options = {"target": nc.targets.Sum(), "method": method, "batch_size": 5, "baseline": "mean"}
    found, wanted = (run(net, s, **options) for s in (stored.stimulus, whole))
    for path in ("layer1/contribution", "layer2/completeness_error", "target"):
        np.testing.assert_allclose(found[path], wanted[path], rtol=1e-4, atol=1e-5)
    stored.close()


def test_mean_of_a_stored_stimulus_is_that_of_all_its_images(
    network: nc.Network, files: list[Path]
) -> None:
    break_file(files[5])
    stimulus = stored_images(files, broken="skip")
    mean = Samples.of(network, stimulus, stream=True).baseline("mean")
    loaded = np.delete(stored_images(files).values, 5, axis=0)
    np.testing.assert_allclose(mean[0], loaded.mean(0, dtype="f8"), rtol=1e-6, atol=1e-7)
    in_memory = Samples.of(network, stimulus.load()).baseline("mean")
    np.testing.assert_allclose(in_memory, mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("broken", [[0, 3, 4, 5, 10], [5], [1, 6, 9]])
@pytest.mark.parametrize(
    ("loaded", "out"), [(False, None), (False, "run.nc"), (False, "run.zarr"), (True, None)]
)
def test_broken_images_are_left_out_and_shift_nothing(  # noqa: PLR0917 - fixtures
    network: nc.Network,
    files: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    out: str | None,
    broken: list[int],
    loaded: bool,
) -> None:
    wanted = run(network, stored_images(files).load()).isel(
        stimulus=[i for i in range(11) if i not in broken]
    )
    for place in broken:
        break_file(files[place])
    stimulus = stored_images(files, broken="skip")
    stimulus = stimulus.load() if loaded else stimulus
    with caplog.at_level(logging.WARNING, "neurocodec"):
        found = run(network, stimulus, out=out and tmp_path / out).load()
    told = [r.getMessage() for r in caplog.records]
    names = ", ".join(files[i].name for i in broken)
    assert told == [f"{len(broken)} of 11 images could not be read and are left out: {names}"]
    assert found.stimulus.values.tolist() == sorted({*range(11)} - {*broken})
    assert_equal_values(found, wanted)
    found.close()
    responses = nc.respond(network, stimulus, batch_size=4)
    assert responses["source"].values.tolist() == found["source"].values.tolist()


def test_broken_images_of_a_run_that_goes_on_are_not_forgotten(
    network: nc.Network, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_file(files[1])
    stimulus, out = stored_images(files, broken="skip"), tmp_path / "run.zarr"
    wanted = run(network, stimulus)
    stop_at_batch(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        run(network, stimulus, out=out)
    monkeypatch.undo()
    assert_equal_values(run(network, stimulus, out=out).load(), wanted)


def stop_at_batch(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    original, seen = nc.methods.ActGrad.attribute, iter(range(1, number))

    def attribute(self, passes, batch):
        if next(seen, None) is None:
            raise KeyboardInterrupt
        return original(self, passes, batch)

    monkeypatch.setattr(nc.methods.ActGrad, "attribute", attribute)


def test_images_that_cannot_be_read_are_refused(network: nc.Network, files: list[Path]) -> None:
    break_file(files[7])
    with pytest.raises(InputError, match=r"NaN or infinite.*'stimulus': 7"):
        run(network, stored_images(files))
    for file in files:
        break_file(file)
    with pytest.raises(InputError, match="none of which could be read"):
        run(network, stored_images(files, broken="skip"))


def test_one_nan_is_no_broken_image(network: nc.Network, files: list[Path]) -> None:
    stimulus = stored_images(files, broken="skip").load()
    stimulus[4, 0, 2, 2] = np.nan
    with pytest.raises(InputError, match=r"first at \{'stimulus': 4, 'color': 0, 'y': 2"):
        run(network, stimulus)


def test_a_killed_worker_is_an_error_that_says_so(network: nc.Network, files: list[Path]) -> None:
    stimulus = stored_images(files, pause=0.2)
    killer = threading.Thread(target=kill_children)
    killer.start()
    with pytest.raises(StorageError, match="a worker process that ended"):
        run(network, stimulus, workers=1, batch_size=1)
    killer.join()


def kill_children() -> None:
    while not multiprocessing.active_children():
        time.sleep(0.05)
    for child in multiprocessing.active_children():
        os.kill(child.pid or 0, signal.SIGKILL)


@pytest.mark.parametrize("workers", [-1, 1.5, "two"])
def test_wrong_numbers_of_workers_are_refused(
    network: nc.Network, files: list[Path], workers: object
) -> None:
    with pytest.raises(InputError, match="workers="):
        run(network, stored_images(files), workers=workers)


TORCH_OUT_OF_MEMORY = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"


class Limited(torch.nn.Sequential):
    """Has memory for a few samples only."""

    error: Exception = torch.OutOfMemoryError("CUDA out of memory.")
    most = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise self.error
        return super().forward(x)


@pytest.fixture
def limited() -> nc.Network:
    return nc.Network(Limited(*convolutional()).eval(), layers=LAYERS)


@pytest.fixture
def _few_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace with one sample, which is below the limits of these tests."""
    monkeypatch.setattr(Samples, "few", lambda self, device: self.batch(0, 1, device).x)


@pytest.mark.usefixtures("_few_traced")
@pytest.mark.parametrize(
    ("error", "batch_size", "streamed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), None, True),
        (torch.OutOfMemoryError("CUDA out of memory."), 8, False),
        (MemoryError(), 5, True),
        (MemoryError(), None, False),
        (RuntimeError(TORCH_OUT_OF_MEMORY), 8, True),
        (RuntimeError(TORCH_OUT_OF_MEMORY), 5, False),
    ],
    ids=["cuda-None", "cuda-8", "numpy-5", "numpy-None", "torch-8", "torch-5"],
)
def test_batches_are_halved_where_memory_runs_out(  # noqa: PLR0917 - fixtures
    limited: nc.Network,
    network: nc.Network,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    batch_size: int | None,
    streamed: bool,
) -> None:
    monkeypatch.setattr(Limited, "error", error)
    with caplog.at_level(logging.WARNING, "neurocodec"):
        found = run(
            limited,
            stored_images(files),
            batch_size=batch_size,
            out=tmp_path / "run.nc" if streamed else None,
        ).load()
    told = [r.getMessage() for r in caplog.records]
    assert told[-1] in {f"out of memory: batches of {n} samples from here on" for n in (1, 2)}
    wanted = run(network, stored_images(files))
    for node in wanted.subtree:
        xr.testing.assert_allclose(found[node.path].to_dataset(), node.to_dataset(), rtol=1e-4)


@pytest.mark.usefixtures("_few_traced")
def test_a_sample_that_does_not_fit_is_an_error(
    limited: nc.Network, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = nc.methods.ActGrad.attribute

    def attribute(self, passes, batch):
        monkeypatch.setattr(Limited, "most", 0)
        return original(self, passes, batch)

    monkeypatch.setattr(nc.methods.ActGrad, "attribute", attribute)
    with pytest.raises(InputError, match="one sample whose passes do not fit into memory"):
        run(limited, stored_images(files))


def test_other_errors_of_the_network_are_not_taken_for_a_lack_of_memory(
    limited: nc.Network, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Limited, "error", RuntimeError("mat1 and mat2 cannot be multiplied"))
    with pytest.raises((RuntimeError, InputError), match="cannot be multiplied"):
        run(limited, stored_images(files))


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_estimate_is_told_before_and_is_right(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    suffix: str,
) -> None:
    net = nc.Network(convolutional(), layers=LAYERS)
    values = np.random.default_rng(0).normal(size=(4000, 3, 8, 8)).astype("float32")
    stimulus = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    out = tmp_path / f"run{suffix}"
    options = {"target": nc.targets.Sum(), "method": nc.methods.ActGrad(), "batch_size": 500}
    with caplog.at_level(logging.INFO, "neurocodec.engine.run"):
        tree = nc.contributions(net, stimulus, out=out, progress=True, reduce="none", **options)
    tree.close()
    told = next(r.args[0] for r in caplog.records if r.name == "neurocodec.engine.run")
    assert str(told) in capfd.readouterr().err
    files = [out] if out.is_file() else [p for p in out.rglob("*") if p.is_file()]
    assert told.output_bytes == pytest.approx(sum(p.stat().st_size for p in files), rel=0.05)
    assert (told.samples, told.layers, told.batch_size) == (4000, 2, 500)
    assert 2**26 < told.memory_bytes < 2**34


def other_images(files: list[Path]) -> xr.DataArray:
    return stored_images(files).isel(stimulus=slice(None, None, -1))


def other_pixels(files: list[Path]) -> xr.DataArray:
    write_images(files[0].parent, len(files), seed=1)
    return stored_images(files)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"net": {"module": convolutional(seed=1)}}, "weights_sha256"),
        ({"net": {"perturbation": ("ablate first 0",)}}, "perturbation"),
        ({"target": nc.targets.Sum()}, "target"),
        ({"method": nc.methods.NormGrad()}, "method"),
        ({"layers": ["first"]}, "layers"),
        ({"stimulus": other_images}, "data_sha256"),
        ({"stimulus": other_pixels}, "data_sha256"),
        ({"stimulus": lambda files: stored_images(files[:9])}, "samples was 11, is 9"),
        ({"stimulus": lambda files: stored_images(files, broken="skip")}, "data_sha256"),
    ],
    ids=lambda x: x if isinstance(x, str) else "-".join(x),
)
@pytest.mark.parametrize("finished", [False, True])
def test_another_run_is_refused(  # noqa: PLR0917 - fixtures
    network: nc.Network,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict,
    fact: str,
    finished: bool,
) -> None:
    out = tmp_path / "run.nc"
    with monkeypatch.context() as patch:
        if not finished:
            stop_at_batch(patch, 3)
        try:
            run(network, stored_images(files), out=out).close()
        except KeyboardInterrupt:
            assert not out.exists()
    options = dict(change)
    stimulus = options.pop("stimulus", stored_images)(files)
    net = nc.Network(**{"module": convolutional(), "layers": LAYERS, **options.pop("net", {})})
    with pytest.raises(StorageError, match=f"of another run: .*{fact}"):
        run(net, stimulus, out=out, **options)


def test_a_full_disk_is_told_by_the_next_write_and_loses_nothing(
    network: nc.Network, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = runs.save_file, []

    def save_until_full(rows: dict, path: Path) -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        original(rows, path)

    out = tmp_path / "run.nc"
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_PART_SECONDS", 0.0)
        patch.setattr(runs, "save_file", save_until_full)
        with pytest.raises(StorageError, match="No space left"):
            run(network, stored_images(files), out=out)
    assert all(name.startswith("neurocodec-write") for name in calls)
    assert [p.name for p in (tmp_path / "run.nc.parts").glob("rows*")] == [
        "rows-000000000000-000000000003.safetensors"
    ]
    wanted = run(network, stored_images(files))
    assert_equal_values(run(network, stored_images(files), out=out).load(), wanted)


def test_a_read_only_folder_is_told_before_anything_is_computed(
    network: nc.Network, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    stop_at_batch(monkeypatch, 1)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        run(network, stored_images(files), out=tmp_path / "run.nc")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_run_killed_three_times_equals_the_uninterrupted_one(tmp_path: Path, suffix: str) -> None:
    files = write_images(tmp_path / "images", 120)
    out = tmp_path / f"run{suffix}"
    options = {"target": stream, "args": (tmp_path / "images", out, 0.005)}
    rng = np.random.default_rng(7)
    for _ in range(3):
        child = CONTEXT.Process(**options)
        child.start()
        parts = out.with_name(out.name + ".parts")
        before = len(list(parts.glob("rows*")))
        deadline = time.monotonic() + 240
        while child.is_alive() and len(list(parts.glob("rows*"))) < before + 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.2)))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert not out.exists()
    in_a_process(stream, *options["args"])
    found = nc.open(out)
    net = nc.Network(convolutional(), layers=LAYERS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        wanted = run(net, stored_images(files))
    finally:
        torch.set_num_threads(threads)
    assert_equal_values(found, wanted)


def test_workers_end_with_a_killed_run(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 60)
    log = tmp_path / "log"
    child = CONTEXT.Process(target=stream, args=(tmp_path / "images", tmp_path / "r.nc", 0.5, log))
    child.start()
    deadline = time.monotonic() + 240
    readers: set[int] = set()
    while not readers and time.monotonic() < deadline:
        time.sleep(0.05)
        lines = log.read_text().splitlines() if log.exists() else []
        readers = {int(line.split()[0]) for line in lines} - {child.pid}
    child.kill()
    child.join()
    assert readers
    while any(map(is_alive, readers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_run_is_opened_as_dask_arrays(
    network: nc.Network, files: list[Path], tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"run{suffix}"
    wanted = run(network, stored_images(files), out=out).load()
    opened = nc.open(out, chunks=4)
    for node in wanted.subtree:
        for name, variable in node.dataset.data_vars.items():
            found = opened[f"{node.path.rstrip('/')}/{name}"]
            assert found.chunks[0] == (4, 4, 3)
            xr.testing.assert_equal(found.compute(), variable)
    assert opened["source"].chunks is None
    assert opened["first/contribution"].attrs == wanted["first/contribution"].attrs
    opened.close()
    with pytest.raises(InputError, match="chunks=-1"):
        nc.open(out, chunks=-1)


def test_an_estimate_can_be_asked_for(network: nc.Network, files: list[Path]) -> None:
    options = {"target": nc.targets.TopK(1), "method": nc.methods.ActGrad(), "batch_size": 3}
    told = nc.estimate(network, stored_images(files, pause=0.01), workers=0, **options)
    whole = run(network, stored_images(files))
    numbers = sum(v.nbytes for node in whole.subtree for v in node.dataset.data_vars.values())
    assert told.output_bytes == numbers
    assert told.sample_bytes * 11 == numbers
    assert 0.11 < told.seconds < 11
    assert "11 samples, 2 layers, 3 at once" in str(told)


def test_mending_leaves_the_stimulus_of_the_user_alone(
    network: nc.Network, files: list[Path]
) -> None:
    break_file(files[2])
    stimulus = stored_images(files, broken="skip").load()
    run(network, stimulus)
    run(network, stimulus.chunk(stimulus=4))
    assert np.isnan(stimulus[2]).all()
    assert np.isfinite(stimulus.drop_isel(stimulus=2)).all()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """The larger stimulus would take 98 MB more."""
    few, many = (
        in_a_process(peak_of_a_run, count, tmp_path / f"{count}.nc") for count in (100, 2100)
    )
    assert many < 1.05 * few
