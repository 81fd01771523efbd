"""Rows (image x set of channels) per second: after the layer alone, and by whole passes.

    .venv/bin/python benchmarks/perturbation.py                    # ResNet-56 on CIFAR-10 images
    .venv/bin/python benchmarks/perturbation.py --threads 2 --rows 2048

Both answer the same rows: images of CIFAR-10 (random pixels where `--images` names no archive of
shared/tools/get_networks.py) with a random half of the layer's channels ablated, another half
for every row of the replay. A whole pass is the stock module with `nc.ablate`, at the batch size
(of 32, 128) at which it is fastest; it can only ablate the same channels for all rows of a batch.
The two are measured in turns, and the best of three is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from mode_rows import DEVIATION, MEAN, SHARED, ResNet56
from torch import Tensor

import neurocodec as nc
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.tracing import quickened, trace
from neurocodec.nn.perturbation.replay import Remainder
from neurocodec.perturbation.answers import BUDGET

LAYERS = ("layer1.0", "layer1.4", "layer2.0", "layer2.4", "layer2.8", "layer3.4", "layer3.7")
REPEATS = 3


@dataclass(frozen=True)
class Case:
    """Images, how many rows they make, and the network."""

    net: nc.Network
    x: Tensor
    rows: int


def main() -> None:
    """Measure every layer, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, help="cifar10.npz")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--curve", metavar="LAYER", help="time nc.perturbation_curve as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    module = ResNet56().eval()
    weights = SHARED / "data" / "cifar10-resnets" / "cifar10_resnet56.pth"
    if weights.exists():
        module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    net = nc.Network(module, options.layers)
    case = Case(net, pictures(options.images), options.rows)
    print(f"{options.rows} rows, {options.threads} thread(s), torch {torch.__version__}")
    print("| layer | whole passes (rows/s) | after the layer (rows/s) | ratio |")
    print("|---|---|---|---|")
    for layer in options.layers:
        whole, after = measure(case, layer)
        print(f"| {layer} | {whole:.0f} | {after:.0f} | {after / whole:.1f} |", flush=True)
    if options.curve:
        curve(case, options.curve)


def pictures(path: Path | None, count: int = 128) -> Tensor:
    """Images (sample, 3, 32, 32), normalised as the network takes them."""
    if path is None:
        print("random pixels", file=sys.stderr)
        pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3))
    else:
        with np.load(path) as stored:
            pixels = stored["x_test"][:count]
    values = (pixels / 255 - MEAN) / DEVIATION
    return torch.from_numpy(values.transpose(0, 3, 1, 2).astype("float32"))


def measure(case: Case, layer: str) -> tuple[float, float]:
    """Rows per second, by whole passes and after the layer; their answers are compared."""
    net = case.net
    with replaying(net, layer, case.x) as rest:
        hidden = rest.capture.look(case.x).hidden
        channels = hidden[layer].shape[1]
        keep = (torch.rand(case.rows, channels, generator=seeded()) < 0.5).float()
        row = torch.arange(case.rows) % len(case.x)

        def replay() -> Tensor:
            with rest.resumed():
                size = BUDGET.samples["cpu"]
                parts = zip(row.split(size), keep.split(size), strict=True)
                return torch.cat([rest.perturbed(case.x, hidden, r, k) for r, k in parts])

        after = min(clock(replay) for _ in range(REPEATS))
        one = replay_one(rest, case.x, hidden, keep[0])
    with nc.ablate(net, layer, (keep[0] == 0).nonzero()[:, 0].numpy()) as ablated:
        sizes = {32: 0.0, 128: 0.0}
        for size in sizes:
            many = case.x[row[:256]].split(size)
            seconds = min(clock(lambda many=many: passes(ablated, many)) for _ in range(REPEATS))
            sizes[size] = min(256, case.rows) / seconds
        torch.testing.assert_close(one, passes(ablated, [case.x]), rtol=1e-3, atol=1e-3)
    return max(sizes.values()), case.rows / after


@contextmanager
def replaying(net: nc.Network, layer: str, x: Tensor) -> Iterator[Remainder]:
    """What comes after the layer, as `nc.perturbation_curve` runs it."""
    few = x[[0, len(x) // 2, len(x) - 1]]
    with ExitStack() as stack:
        capture = stack.enter_context(Capture(net.module, net.select_layers([layer])).attached())
        stack.enter_context(quickened(capture, trace(capture, few), few))
        yield Remainder.of(capture, layer, few)


def curve(case: Case, layer: str) -> None:
    """Time whole curves, of random rankings, and count what a plain loop would compute."""
    net = case.net
    stimulus = xr.DataArray(case.x.numpy(), dims=("stimulus", "color", "y", "x"))
    answer = nc.respond(net, stimulus).argmax("category").values
    names, counts = np.unique(answer, return_counts=True)
    names = [str(name) for name in names[counts > 1]]
    with replaying(net, layer, case.x) as rest:
        channels = rest.capture.look(case.x[:1]).hidden[layer].shape[1]
    like = xr.DataArray(
        np.zeros((len(names), channels)), {"category": names}, ("category", "channel")
    )
    scores = {f"ranking {i}": nc.rankings.at_random(like, draws=1, seed=i) for i in range(4)}
    scores["random"] = nc.rankings.at_random(like, draws=3)
    start = time.perf_counter()
    found = nc.perturbation_curve(net, stimulus, layer, scores, labels=answer, progress=False)
    seconds = time.perf_counter() - start
    loops = found.sizes["ranking"] * found.sizes["kind"] * found.sizes["fraction"]
    rows = loops * found.sizes["draw"] * 2 * int(found.n.sel(group="target").sum())
    print(f"curves at {layer}: {rows} rows of a plain loop in {seconds:.1f} s")
    print(f"= {rows / seconds:.0f} rows of a plain loop per second")


def replay_one(rest: Remainder, x: Tensor, hidden: dict[str, Tensor], keep: Tensor) -> Tensor:
    """Answers to all images with the same channels ablated."""
    with rest.resumed():
        return rest.perturbed(x, hidden, torch.arange(len(x)), keep.expand(len(x), -1))


def passes(net: nc.Network, batches: object) -> Tensor:
    """Answers of the stock module."""
    with torch.no_grad():
        return torch.cat([net.module(x) for x in batches])  # type: ignore[attr-defined]


def clock(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def seeded() -> torch.Generator:
    """Random numbers that are the same in every run."""
    return torch.Generator().manual_seed(0)


if __name__ == "__main__":
    main()
