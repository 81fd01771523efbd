"""Time and memory of `nc.contribution_maps` against one backward pass for every position.

    python benchmarks/maps.py [positions captum modes memory retina]
        [--threads 1] [--repeats 5] [--sample 24] [--cpu] [--check]
        [--weights resnet50.safetensors] [--images FOLDER]

ResNet-50 at the output of its second stage (512 channels, 28x28 positions), one image of 224x224,
target the largest logit, `InputGrad`; weights of examples/resnet50_images.py (`network_v1`), random
ones and noise where no files are given, on which the times do not depend. Every row is measured in
this run, ours and the competitor in turn; a ratio is the median over the turns, beside its
smallest. Our times include all set-up of a call, which is most of it where the call is for one
image: tracing and checking the network take five forward passes.

- positions: what the paper's authors describe, for three channels: one forward pass to the layer
  whose graph is kept, then `torch.autograd.grad` of one position at a time with respect to the
  image, parameters frozen, on a random sample of positions; extrapolated to all 3 x 784 (the
  forward pass and the pass from the answer counted once). Beside it 16 positions in one batched
  backward pass (`is_grads_batched`), which is what a careful script would do.
- captum: `NeuronGradient` of a sample of positions, each of which does its own forward pass, and
  for one channel.
- modes: eight modes in one call against one call for each.
- memory: peak of a fresh process during one call, above what it held before, beside the peak of a
  plain forward and backward pass of the same image and of 56 positions in one batched pass (their
  Jacobian).
- retina: the bundled model, eight channels of both layers, ten times, against position by position.

`--check` goes through all 784 positions of one channel and prints the largest difference of our map
from them, relative to the largest value, in float64; and what is left in float32, where a unit next
to zero may fall on the other side of its ReLU, for our map and for the positions themselves.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

import neurocodec as nc

LAYER = "layer2.3"
CHANNELS = [3, 141, 400]
TARGET = nc.targets.TopK(1)
MODES, TOP = 8, 10
IMAGES = 8
RETINA_TIMES = 10
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Material:
    """Files, or None for random weights and noise."""

    weights: Path | None
    images: Path | None

    def network(self) -> nc.Network:
        """ResNet-50 with its second stage."""
        spec = importlib.util.spec_from_file_location(
            "resnet50_images", ROOT / "examples/resnet50_images.py"
        )
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        return example.network_v1(None if self.weights is None else str(self.weights))

    def stimuli(self, net: nc.Network, count: int) -> xr.DataArray:
        """A few images as the network takes them."""
        if self.images is not None:
            table = next(self.images.glob("*.csv"), None)
            return nc.images(self.images, net, labels=table).isel(stimulus=slice(count)).compute()
        values = np.random.default_rng(0).normal(size=(count, 3, 224, 224)).astype("float32")
        return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


@dataclass
class Clock:
    """Which time is measured: that of a clock on the wall, or of the processor."""

    now: Callable[[], float] = time.perf_counter


CLOCK = Clock()


def seconds(call: Callable[..., object], *values: object, **options: object) -> float:
    """Time of a call with these arguments."""
    start = CLOCK.now()
    call(*values, **options)
    return CLOCK.now() - start


def ours(net: nc.Network, stimuli: xr.DataArray, layer: str = LAYER, **options) -> xr.Dataset:
    """One call."""
    return nc.contribution_maps(
        net, stimuli, layer, **{"target": TARGET, "progress": False} | options
    )


class Positions:
    """A layer of one sample with its graph, differentiated one position at a time."""

    def __init__(self, net: nc.Network, layer: str, x: Tensor, target: nc.targets.Target) -> None:
        self.module = net.module.eval().requires_grad_(requires_grad=False)
        self.x = x.clone().requires_grad_()
        seen = {}

        def hook(_module: object, _args: object, output: Tensor) -> Tensor:
            seen["h"] = output
            return output.clone()

        handle = self.module.get_submodule(net.layers[layer].module).register_forward_hook(hook)
        try:
            self.value = target(self.module(self.x))
        finally:
            handle.remove()
        self.h = seen["h"]
        (self.gradient,) = torch.autograd.grad(self.value.sum(), self.h, retain_graph=True)

    def one(self, at: tuple[int, int, int]) -> Tensor:
        """Map of one position."""
        (row,) = torch.autograd.grad(self.h[(0, *at)], self.x, retain_graph=True)
        return (self.gradient[(0, *at)] * row * self.x.detach())[0]

    def several(self, where: list[tuple[int, int, int]]) -> Tensor:
        """Maps of several positions by one batched pass."""
        index = torch.tensor(where).T
        values = self.h[0][tuple(index)]
        rows = torch.eye(len(where))
        (found,) = torch.autograd.grad(
            values, self.x, rows, retain_graph=True, is_grads_batched=True
        )
        return found[:, 0] * self.gradient[0][tuple(index)][:, None, None, None] * self.x.detach()

    def sample(
        self, rng: np.random.Generator, channels: list[int], count: int
    ) -> list[tuple[int, int, int]]:
        """Random positions of these channels."""
        size = self.h.shape[2:]
        return [
            (int(rng.choice(channels)), *(int(rng.integers(n)) for n in size)) for _ in range(count)
        ]


def row(name: str, mine: list[float], theirs: list[float]) -> None:
    """Print medians in seconds, the median ratio, and the smallest of all turns."""
    ratios = [b / a for a, b in zip(mine, theirs, strict=True)]
    a, b = statistics.median(mine), statistics.median(theirs)
    print(
        f"{name:64}{a:9.3f}{b:11.2f}{statistics.median(ratios):9.1f}{min(ratios):9.1f}", flush=True
    )


def header(what: str) -> None:
    """Print what the columns are."""
    print(f"\n{what:64}{'ours, s':>9}{'theirs, s':>11}{'ratio':>9}{'smallest':>9}", flush=True)


def positions(material: Material, repeats: int, sample: int) -> None:
    """Three channels against one position at a time."""
    net = material.network()
    stimuli = material.stimuli(net, IMAGES)
    rng = np.random.default_rng(0)
    ours(net, stimuli[:1], channels=CHANNELS)
    names = ("both", "net", "single", "one", "batched")
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        image = stimuli[[turn % IMAGES]]
        call = {"channels": CHANNELS, "batch_size": 4}
        found["both"].append(seconds(ours, net, stimuli, **call) / IMAGES)
        found["net"].append(seconds(ours, net, stimuli, sign="net", **call) / IMAGES)
        found["single"].append(seconds(ours, net, image, **call))
        start = CLOCK.now()
        layer = Positions(net, LAYER, torch.from_numpy(image.values), TARGET)
        once = CLOCK.now() - start
        where = layer.sample(rng, CHANNELS, sample)
        total = len(CHANNELS) * layer.h[0, 0].numel()
        each = statistics.median(seconds(layer.one, at) for at in where)
        found["one"].append(once + total * each)
        found["batched"].append(once + total * seconds(layer.several, where[:16]) / 16)
    header(f"{LAYER}, {len(CHANNELS)} channels, an image: each position by itself")
    row(f"both signs, of {IMAGES} images in a call", found["both"], found["one"])
    row(f"net, of {IMAGES} images in a call", found["net"], found["one"])
    row("both signs, one image in a call", found["single"], found["one"])
    row(f"both signs, of {IMAGES}; 16 positions in a pass", found["both"], found["batched"])


def captum(material: Material, repeats: int, sample: int) -> None:
    """One channel against Captum's NeuronGradient."""
    from captum.attr import NeuronGradient  # noqa: PLC0415 - only for this row

    net = material.network()
    stimuli = material.stimuli(net, IMAGES)
    for part in net.module.modules():
        if isinstance(part, torch.nn.ReLU):
            part.inplace = False  # Captum's hooks do not survive it
    module = net.module.eval().requires_grad_(requires_grad=False)
    rng = np.random.default_rng(0)
    size = 28
    gradient = NeuronGradient(module, module.get_submodule(net.layers[LAYER].module))
    mine, theirs = [], []
    call = {"channels": CHANNELS[0], "batch_size": 4}
    ours(net, stimuli[:1], **call)
    for i in range(repeats):
        mine.append(seconds(ours, net, stimuli, **call) / IMAGES)
        x = torch.from_numpy(stimuli.values[[i % IMAGES]]).requires_grad_()
        where = [(CHANNELS[0], *map(int, rng.integers(size, size=2))) for _ in range(sample // 2)]
        each = [seconds(gradient.attribute, x, at) for at in where]
        theirs.append(size**2 * statistics.median(each))
    header(f"{LAYER}, one channel, an image: Captum's NeuronGradient")
    row(f"both signs, of {IMAGES} images in a call", mine, theirs)


def modes(material: Material, repeats: int, _sample: int) -> None:
    """Several modes in one call against one call for each."""
    net = material.network()
    stimuli = material.stimuli(net, repeats)
    dictionary = xr.DataArray(
        np.random.default_rng(0).gamma(0.3, size=(MODES, 512)).astype("float32"),
        {"mode": np.arange(MODES), "channel": np.arange(512)},
        ("mode", "channel"),
    )
    ours(net, stimuli[:1], modes=dictionary[:1])
    header(f"{LAYER}, {MODES} modes, one image: one call for each mode")
    for weights in ("equal", "dictionary"):
        options = {"weights": weights, "top": TOP}
        mine, theirs = [], []
        for i in range(repeats):
            image = stimuli[i : i + 1]
            mine.append(seconds(ours, net, image, modes=dictionary, **options))
            theirs.append(sum(seconds(ours, net, image, modes=m, **options) for m in dictionary))
        row(f"both signs, weights={weights!r}", mine, theirs)


def retina(_material: Material, repeats: int, sample: int) -> None:
    """Eight channels at several times of the test movie."""
    net = nc.load_model("simulated-retina")
    history = net.history or 1
    movie = nc.load_dataset("simulated-retina", seed=0).stimulus
    frames = np.linspace(history, movie.time.size - 1, RETINA_TIMES).astype(int)
    times = movie.time.values[frames]
    target = nc.targets.Surprisal.fit(nc.respond(net, movie.isel(time=slice(0, 600))))
    rng = np.random.default_rng(0)
    header(f"simulated retina, 8 channels, {RETINA_TIMES} times: each position by itself")
    for layer in net.layers:
        options = {"channels": "each", "target": target, "layer": layer}
        ours(net, movie, times=times[:1], **options)
        mine, theirs = [], []
        for turn in range(repeats):
            mine.append(seconds(ours, net, movie, times=times, **options))
            last = int(frames[turn % len(frames)])
            window = torch.from_numpy(movie.values[last - history + 1 : last + 1])[None]
            start = CLOCK.now()
            part = Positions(net, layer, window, target)
            once = CLOCK.now() - start
            where = part.sample(rng, list(range(8)), sample)
            each = statistics.median(seconds(part.one, at) for at in where)
            theirs.append(len(times) * (once + part.h.numel() * each))
        row(f"{layer}, both signs", mine, theirs)


def peak(material: Material, case: str) -> float:
    """Peak memory in MB of one case, above what was held before it."""
    torch.set_num_threads(1)
    net = material.network()
    image = material.stimuli(net, 1)
    call = _memory_case(net, image, case)
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    sizes = [before]

    def watch() -> None:
        while not done.wait(0.002):
            sizes.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return (max(sizes) - before) / 2**20


def _memory_case(net: nc.Network, image: xr.DataArray, case: str) -> Callable[[], object]:
    x = torch.from_numpy(image.values)
    if case.startswith("maps"):
        dictionary = xr.DataArray(
            np.random.default_rng(0).gamma(0.3, size=(MODES, 512)).astype("float32"),
            {"mode": np.arange(MODES), "channel": np.arange(512)},
            ("mode", "channel"),
        )
        options = {
            "maps, 1 channel": {"channels": CHANNELS[0]},
            "maps, 3 channels": {"channels": CHANNELS},
            "maps, 8 modes": {"modes": dictionary},
            "maps, 16 channels": {"channels": list(range(16))},
            "maps, 3 channels, IntegratedGradients(steps=10)": {
                "channels": CHANNELS,
                "method": nc.methods.IntegratedGradients(steps=10),
            },
        }[case]
        return lambda: ours(net, image, **options)

    def plain() -> object:
        part = Positions(net, LAYER, x, TARGET)
        if case == "forward and backward":
            return torch.autograd.grad(part.h.sum(), part.x)
        return part.several([(CHANNELS[0], i, j) for i in range(2) for j in range(28)])

    return plain


CASES = (
    "forward and backward",
    "maps, 1 channel",
    "maps, 3 channels",
    "maps, 8 modes",
    "maps, 16 channels",
    "maps, 3 channels, IntegratedGradients(steps=10)",
    "56 positions in one batched pass",
)


def memory(material: Material, _repeats: int, _sample: int) -> None:
    """Print peak memory, each case in a fresh process."""
    print(f"\n{'peak memory of one image':64}{'MB':>9}{'ratio':>11}")
    context = multiprocessing.get_context("spawn")
    plain = 0.0
    for case in CASES:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found = pool.submit(peak, material, case).result()
        plain = plain or found
        print(f"{case:64}{found:9.0f}{found / plain:11.2f}", flush=True)


def check(material: Material) -> None:
    """All positions of one channel, added up by sign: ours against these, in both precisions."""
    net = material.network()
    image = material.stimuli(net, 1)
    double = nc.Network(copy.deepcopy(net.module).double(), layers=net.layers)
    exact = all_positions(double, torch.from_numpy(image.values).double())
    size = np.abs(exact).max()
    print("\nlargest difference from all positions one by one in float64, relative to the largest:")
    for name, found in (
        ("our map, float64", one_map(double, image)),
        ("our map, float32", one_map(net, image)),
        ("all positions one by one, float32", all_positions(net, torch.from_numpy(image.values))),
    ):
        print(f"{name:35} {np.abs(found - exact).max() / size:.1e}")


def one_map(net: nc.Network, image: xr.DataArray) -> NDArray[Any]:
    """Our map (sign, color, y, x) of one channel."""
    return ours(net, image, channels=CHANNELS[0]).contribution_map[0].values


def all_positions(net: nc.Network, image: Tensor) -> NDArray[Any]:
    """The same, position by position."""
    layer = Positions(net, LAYER, image, TARGET)
    total = np.zeros((2, *image.shape[1:]))
    for y, x in np.ndindex(*layer.h.shape[2:]):
        unit = layer.one((CHANNELS[0], y, x)).numpy()
        total[int(unit.sum() <= 0)] += unit.reshape(total.shape[1:])
    return total


PARTS = {
    "positions": positions,
    "captum": captum,
    "modes": modes,
    "memory": memory,
    "retina": retina,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=" ".join(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sample", type=int, default=24, help="positions of a turn, at least 16")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument(
        "--cpu", action="store_true", help="time of the processor, on a busy machine"
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    torch.set_num_threads(options.threads)
    CLOCK.now = time.process_time if options.cpu else time.perf_counter
    kind = "processor's time" if options.cpu else "time"
    print(f"torch {torch.__version__}, {options.threads} threads, {kind}")
    material = Material(options.weights, options.images)
    for name in options.parts or PARTS:
        PARTS[name](material, options.repeats, max(16, options.sample))
    if options.check:
        check(material)


if __name__ == "__main__":
    main()
