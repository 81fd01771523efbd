"""Runs over stored images in processes of their own, which tests kill or measure."""

import ctypes
import os
import resource
import sys
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from networks import convolutional
from stored_images import DecodedFiles, stored_images

import neurocodec as nc
from neurocodec.storage import runs

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
LAYERS = {"first": "2", "second": "4"}


def run(net: nc.Network, stimulus: xr.DataArray, **options: object) -> xr.DataTree:
    known = {"target": nc.targets.TopK(1), "method": nc.methods.ActGrad(), "batch_size": 3}
    return nc.contributions(net, stimulus, progress=False, **{**known, **options})


def stream(images: Path, out: Path, pause: float, log: Path | None = None) -> None:
    """A run with a worker process, and with a part for every few batches."""
    torch.set_num_threads(1)
    runs._PART_SECONDS = 0.05
    stimulus = stored_images(sorted(images.glob("*.png")), pause=pause, log=log)
    run(nc.Network(convolutional(), layers=LAYERS), stimulus, out=out, workers=1).close()


def stream_with_workers(images: Path, out: Path, pause: float) -> None:
    """A run with two workers of Dask, whose numbers stand in the file `<out>.workers`."""
    import dask
    import distributed

    stimulus = stored_images(sorted(images.glob("*.png")), pause=pause)
    net = nc.Network(convolutional(), layers=LAYERS)
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "fork"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = client.run(os.getpid).values()
        Path(f"{out}.workers").write_text(" ".join(map(str, workers)))
        run(net, stimulus, out=out, batch_size=2, client=client).close()


class Made(DecodedFiles):
    """Random images of 49 kB, of no files."""

    def __init__(self, count: int) -> None:
        super().__init__([Path(str(i)) for i in range(count)])
        self.shape = (count, 3, 64, 64)

    def _decode(self, file: Path) -> np.ndarray:
        return np.random.default_rng(int(file.name)).normal(size=(3, 64, 64)).astype("f4")


def _give_back_what_is_freed() -> None:
    """Undo what the suite asks of malloc for speed: a heap of fragments, whose size is chance."""
    if sys.platform == "linux":
        malloc = ctypes.CDLL(None)
        malloc.mallopt(_M_MMAP_MAX, 2**16)
        malloc.mallopt(_M_MMAP_THRESHOLD, 2**16)
        malloc.mallopt(_M_TRIM_THRESHOLD, 2**17)


def peak_of_a_run(count: int, out: Path) -> int:
    """Most kilobytes that this process ever had, after a run over so many images."""
    torch.set_num_threads(1)
    _give_back_what_is_freed()
    runs._PART_BYTES = 2**22  # else a slow machine collects 64 MB before it writes any
    array = xr.core.indexing.LazilyIndexedArray(Made(count))
    provenance = {"neurocodec": '{"function": "nc.images"}'}
    stimulus = xr.DataArray(xr.Variable(("stimulus", "color", "y", "x"), array, provenance))
    module = torch.nn.Sequential(
        *convolutional()[:5], torch.nn.Flatten(), torch.nn.Linear(18000, 2)
    )
    net = nc.Network(module.eval(), layers=LAYERS)
    run(net, stimulus, out=out, batch_size=20, workers=1).close()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
