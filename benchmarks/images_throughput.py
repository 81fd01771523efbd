"""Throughput and memory of streamed contributions of ResNet-50 against the bare network.

    python benchmarks/images_throughput.py time [--images 64] [--rounds 3] [--workers N]
    python benchmarks/images_throughput.py memory [--sizes 200 2000]

Needs the weights and the photographs of `shared/weights-and-images.md`: `--weights` is the file
that its `get_networks.py` writes, `--photos` the folder of photographs.

time: rounds in one process, the cases one after the other in each; seconds per image are medians
over the rounds, and so are the ratios within a round. All work on the same batches.

- bare: the stock module, parameters frozen; one forward pass, and one backward pass from the
  largest logit to the output of the first block. The batches were decoded before.
- bare + decoding: the same, each batch decoded just before, as in a plain loop.
- loaded: `nc.contributions(ActGrad, 16 blocks, out=...)`, whole call, set-up and file included, on
  images that were decoded before.
- streamed: the same on `nc.images`, decoded by worker processes.

memory: each number of images in a fresh process (files are repeated as links); the largest memory
of the process and of its largest worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torchvision
import xarray as xr
from safetensors.torch import load_file
from torch import Tensor, nn

import neurocodec as nc

BLOCKS = [f"layer{s}.{b}" for s, n in enumerate((3, 4, 6, 3), 1) for b in range(n)]
SHARED = Path(__file__).parents[2] / "shared"
NETWORKS = Path(tempfile.gettempdir()) / "nets"


def resnet50_v1(weights: Path) -> nn.Module:
    """ResNet-50 with the stride on the first convolution of a stage, as its weights expect."""
    module = torchvision.models.resnet50()
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    module.load_state_dict(load_file(weights))
    return module.eval()


def network(weights: Path) -> nc.Network:
    """The network with its 16 blocks and its preprocessing."""
    transforms = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    module = resnet50_v1(weights)
    return nc.Network(module, layers=BLOCKS, preprocessing=transforms, name="ResNet-50 v1")


def linked(photos: Path, count: int, folder: Path) -> list[Path]:
    """Photographs, repeated as links where there are fewer."""
    files = sorted(photos.glob("*.jpg"))
    links = [folder / f"{i:06}.jpg" for i in range(count)]
    for i, link in enumerate(links):
        link.symlink_to(files[i % len(files)])
    return links


class Bare:
    """The stock module, and one pass each way."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module.requires_grad_(requires_grad=False)
        self.first: Tensor | None = None
        module.get_submodule(BLOCKS[0]).register_forward_hook(self._start)

    def _start(self, _module: nn.Module, _args: object, output: Tensor) -> Tensor:
        self.first = output.detach().requires_grad_()
        return self.first

    def __call__(self, x: Tensor) -> Tensor:
        """Gradient of the largest logit of every sample."""
        top = self.module(x).max(1).values.sum()
        return torch.autograd.grad(top, self.first)[0]


def run(net: nc.Network, stimulus: xr.DataArray, batch: int | None, workers: int | None) -> None:
    """Whole call into a new file."""
    with tempfile.TemporaryDirectory() as folder:
        nc.contributions(
            net,
            stimulus,
            target=nc.targets.TopK(1),
            method=nc.methods.ActGrad(),
            batch_size=batch,
            workers=workers,
            out=Path(folder, "run.nc"),
            progress=False,
        ).close()


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_time(options: argparse.Namespace) -> None:
    """Interleaved rounds of all cases."""
    with tempfile.TemporaryDirectory() as folder:
        net = network(options.weights)
        files = linked(options.photos, options.images, Path(folder))
        stimulus = nc.images(files, net)
        loaded = stimulus.copy(data=stimulus.values)
        bare = Bare(resnet50_v1(options.weights))
        starts = range(0, options.images, options.batch)
        rows = [slice(i, i + options.batch) for i in starts]
        cases = {
            "bare": lambda: [bare(torch.from_numpy(loaded.values[r])) for r in rows],
            "bare + decoding": lambda: [
                bare(torch.from_numpy(stimulus.isel(stimulus=r).values)) for r in rows
            ],
            "decoding alone": lambda: [stimulus.isel(stimulus=r).values for r in rows],
            "loaded": lambda: run(net, loaded, options.batch, None),
            "streamed": lambda: run(net, stimulus, options.batch, options.workers),
        }
        bare(torch.from_numpy(loaded.values[rows[0]]))
        rounds = [{k: seconds(f) for k, f in cases.items()} for _ in range(options.rounds)]
    print(f"{options.images} images, batches of {options.batch}, {torch.get_num_threads()} threads")
    print(f"{'':16}{'ms / image':>12}{'/ bare':>10}{'/ bare + decoding':>20}")
    for name in cases:
        each = statistics.median(r[name] for r in rounds) / options.images * 1000
        ratios = [
            statistics.median(r[name] / r[floor] for r in rounds)
            for floor in ("bare", "bare + decoding")
        ]
        print(f"{name:16}{each:12.2f}{ratios[0]:10.3f}{ratios[1]:20.3f}")


def peak(options: argparse.Namespace, count: int) -> tuple[int, int]:
    """Largest memory, in bytes, of this process and of its largest worker."""
    with tempfile.TemporaryDirectory() as folder:
        net = network(options.weights)
        stimulus = nc.images(linked(options.photos, count, Path(folder)), net)
        run(net, stimulus, None, options.workers)
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    own, worker = (resource.getrusage(kind).ru_maxrss * 1024 for kind in kinds)
    return own, worker


def measure_memory(options: argparse.Namespace) -> None:
    """Each size in a fresh process."""
    print(f"{'images':>8}{'process MB':>12}{'worker MB':>12}")
    found = []
    context = multiprocessing.get_context("spawn")
    for count in options.sizes:
        with ProcessPoolExecutor(1, context) as pool:
            found.append(pool.submit(peak, options, count).result())
        print(f"{count:8}{found[-1][0] / 1e6:12.0f}{found[-1][1] / 1e6:12.0f}", flush=True)
    print(f"process, last / first: {found[-1][0] / found[0][0]:.3f}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("time", "memory"))
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--weights", type=Path, default=NETWORKS / "resnet50.safetensors")
    parser.add_argument("--photos", type=Path, default=SHARED / "data" / "photos-ccby")
    options = parser.parse_args()
    {"time": measure_time, "memory": measure_memory}[options.what](options)


if __name__ == "__main__":
    main()
