"""Time and memory of `nc.receptive_fields` against autograd, one window and one cell at a time.

    python benchmarks/fields.py [--threads 1] [--times 1000] [--repeats 5] [--memory]

On the bundled simulated retina (16 cells, 40 frames of 50x50 pixels) and its test movie. Every row
is measured in this run, ours and the competitor in turn; the times are medians per field and
include all set-up of a call.

- autograd: one window, one output, `torch.autograd.grad` with respect to the window, in evaluation
  mode with frozen parameters. For whole fields it keeps all of them, as ours does; beside
  components it is the gradient alone, without any decomposition.
- ours: `nc.receptive_fields` of all cells at all times, with `rank=1`, `rank=3` and whole.

With `--memory`: peak memory (of a fresh process, above what it held after a first small call) of
the same call for 800 and for 2,900 times, written to a file as it comes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
import xarray as xr

import neurocodec as nc

WINDOWS = 40
"""Fields that the competitor computes per repeat, where it does not keep them."""


def material(times: int) -> tuple[nc.Network, xr.DataArray]:
    """Bundled model, and as much of its test movie as has `times` responses."""
    net = nc.load_model("simulated-retina")
    movie = nc.load_dataset("simulated-retina", seed=0).stimulus
    return net, movie.isel(time=slice(0, times + (net.history or 1) - 1))


def autograd(net: nc.Network, movie: xr.DataArray, *, keep: bool) -> float:
    """Seconds per field, one at a time."""
    module = net.module.eval().requires_grad_(requires_grad=False)
    history, cells = net.history or 1, len(net.outputs or ())
    frames = torch.from_numpy(movie.values)
    count = (len(frames) - history + 1) * cells if keep else WINDOWS
    kept = np.zeros((count, history, *movie.shape[1:]), "float32") if keep else None
    start = time.perf_counter()
    for i in range(count):
        x = frames[i // cells : i // cells + history][None].clone().requires_grad_()
        (field,) = torch.autograd.grad(module(x)[0, i % cells], x)
        if kept is not None:
            kept[i] = field[0].numpy()
    return (time.perf_counter() - start) / count


def ours(net: nc.Network, movie: xr.DataArray, rank: int | None) -> float:
    """Seconds per field of one whole call."""
    start = time.perf_counter()
    found = nc.receptive_fields(net, movie, rank=rank, progress=False)
    count = found.sizes["time"] * found.sizes["cell"]
    return (time.perf_counter() - start) / count


def speed(times: int, repeats: int) -> None:
    """Print one row for each kind of result."""
    print("microseconds per field      ours   autograd   ratio")
    for name, rank, many in (
        ("rank=1", 1, times),
        ("rank=3", 3, times),
        ("whole", None, min(times, 100)),
    ):
        net, movie = material(many)
        ours(net, movie.isel(time=slice(0, 60)), rank)
        rows = [
            (ours(net, movie, rank), autograd(net, movie, keep=rank is None))
            for _ in range(repeats)
        ]
        a, b = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(theirs / mine for mine, theirs in rows)
        print(f"{name:24}{a * 1e6:8.0f}{b * 1e6:11.0f}{ratio:8.1f}", flush=True)


def peak(rank: int | None, times: int) -> float:
    """Peak memory in MB of one call that writes to a file, above that of a small one."""
    torch.set_num_threads(1)
    net, movie = material(times)
    cells = list(net.outputs or ())[: 16 if rank else 2]
    nc.receptive_fields(net, movie, cells, slice(0.39, 1.02), rank, batch_size=16, progress=False)
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    sizes = [before]

    def watch() -> None:
        while not done.wait(0.005):
            sizes.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fields.nc"
        found = nc.receptive_fields(
            net, movie, cells, rank=rank, batch_size=16, out=out, progress=False
        )
        found.close()
    done.set()
    watcher.join()
    return (max(sizes) - before) / 2**20


def memory() -> None:
    """Print peak memory for 800 and 2,900 times."""
    print("peak memory in MB     800 times   2900 times")
    context = multiprocessing.get_context("spawn")
    for name, rank in (("rank=1, 16 cells", 1), ("whole, 2 cells", None)):
        found = []
        for times in (800, 2900):
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                found.append(pool.submit(peak, rank, times).result())
        print(f"{name:20}{found[0]:11.0f}{found[1]:13.0f}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads")
    speed(options.times, options.repeats)
    if options.memory:
        memory()


if __name__ == "__main__":
    main()
