"""Time and memory of `nc.contributions` against a floor, Captum, and the per-step copying approach.

    python benchmarks/contributions.py [retina] [resnet18] [resnet50] [--repeats 5] [--device cpu]

Every row is measured in this run, each in a fresh process: the median time per sample over repeats
after one to warm up, and the peak memory above what the process held before. `integrated` works on
batches of the size that the competitors get, `own_batch` on those that `nc.contributions` chooses;
both include all set-up.

- floor: one forward pass and one backward pass to the first captured layer, parameters frozen.
- Captum: `LayerConductance`, once per layer, as it works on one layer at a time; all steps at
  once, its default, for the retina, four steps at once for the ResNets (its default there needs
  more memory than the machine has).
- copying: a re-creation of what scripts for this analysis do: forward hooks and tensor hooks, every
  step's activations and gradients kept, `.backward()` through the parameters too, the sum taken
  over the stack at the end.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision
import xarray as xr
from captum.attr import LayerConductance
from torch import Tensor, nn

import neurocodec as nc
from neurocodec.nn.attribution import methods, targets
from neurocodec.nn.retina.model import LAYERS, RetinaCNN, RetinaConfig


@dataclass
class Case:
    """One network with its stimuli, in the form that each competitor takes."""

    name: str
    net: nc.Network
    stimulus: xr.DataArray
    x: Tensor
    target: targets.Target
    steps: int
    batch: int | None
    path_samples: int | None = None
    captum_batch: int | None = None

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Hooked modules by alias, in order."""
        parts = dict(self.net.module.named_modules())
        return {alias: parts[layer.module] for alias, layer in self.net.layers.items()}


def retina(device: str) -> Case:
    """Retina CNN, two layers, surprisal of the population, batch 16."""
    torch.manual_seed(0)
    module = RetinaCNN(RetinaConfig(cells=16)).eval().to(device)
    net = nc.Network(module, layers=LAYERS, history=40)
    values = np.random.default_rng(0).normal(size=(39 + 512, 50, 50)).astype("float32")
    stimulus = xr.DataArray(values, dims=("time", "y", "x"))
    target = targets.Surprisal.fit(nc.respond(net, stimulus))
    windows = torch.from_numpy(values).unfold(0, 40, 1).permute(0, 3, 1, 2)
    return Case("retina", net, stimulus, windows[:16].contiguous().to(device), target, 20, 16)


def resnet18(device: str) -> Case:
    """Untrained ResNet-18, its 8 blocks, largest logit, batch 8."""
    return _resnet("resnet18", (2, 2, 2, 2), device)


def resnet50(device: str) -> Case:
    """Untrained ResNet-50, its 16 blocks, largest logit, batch 8."""
    return _resnet("resnet50", (3, 4, 6, 3), device)


def _resnet(name: str, blocks: tuple[int, ...], device: str) -> Case:
    torch.manual_seed(0)
    module = torchvision.models.get_model(name).eval().to(device)
    names = [f"layer{s}.{b}" for s, n in enumerate(blocks, 1) for b in range(n)]
    net = nc.Network(module, layers=names)
    values = np.random.default_rng(0).normal(size=(64, 3, 224, 224)).astype("float32")
    stimulus = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    x = torch.from_numpy(values[:8]).to(device)
    return Case(name, net, stimulus, x, targets.TopK(1), 10, 8, path_samples=16, captum_batch=32)


class Figures(NamedTuple):
    """Median seconds per sample, and peak memory in MB above what was held before."""

    seconds: float
    memory: float


CASES = {"retina": retina, "resnet18": resnet18, "resnet50": resnet50}


def ours(case: Case, method: methods.Method) -> float:
    """Whole call of `nc.contributions`, set-up included; seconds per sample."""
    start = time.perf_counter()
    tree = nc.contributions(
        case.net,
        case.stimulus,
        target=case.target,
        method=method,
        batch_size=case.batch,
        progress=False,
    )
    return (time.perf_counter() - start) / tree.target.size


def integrated(case: Case) -> float:
    """`IntegratedGradients` with the case's steps."""
    return path(case, case.steps)


def path(case: Case, steps: int) -> float:
    """`IntegratedGradients` on as many samples as do not take too long."""
    few = replace(case, stimulus=case.stimulus[: case.path_samples])
    return ours(few, methods.IntegratedGradients(steps=steps))


def own_batch(case: Case) -> float:
    """The same with the batch size that `nc.contributions` chooses itself."""
    return integrated(replace(case, batch=None))


def integrated_50(case: Case) -> float:
    """`IntegratedGradients` with 50 steps, for the memory."""
    return path(case, 50)


def integrated_10(case: Case) -> float:
    """`IntegratedGradients` with 10 steps, for the memory."""
    return path(case, 10)


def act_grad(case: Case) -> float:
    """`ActGrad`."""
    return ours(case, methods.ActGrad())


def floor(case: Case) -> float:
    """One forward and one backward pass to the first captured layer, parameters frozen."""
    module, captured = case.net.module, {}
    first = next(iter(case.layers.values()))

    def leaf(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        captured["h"] = output.detach().requires_grad_()
        return captured["h"]

    hook = first.register_forward_hook(leaf)
    module.requires_grad_(requires_grad=False)
    rounds = 4
    start = time.perf_counter()
    for _ in range(rounds):
        value = case.target(module(case.x)).sum()
        torch.autograd.grad(value, captured["h"])
    seconds = time.perf_counter() - start
    hook.remove()
    module.requires_grad_(requires_grad=True)
    return seconds / rounds / len(case.x)


def captum(case: Case) -> float:
    """`LayerConductance`, layer by layer."""
    start = time.perf_counter()
    for layer in case.layers.values():
        method = LayerConductance(lambda x: case.target(case.net.module(x)), layer)
        method.attribute(case.x, n_steps=case.steps, internal_batch_size=case.captum_batch)
    return (time.perf_counter() - start) / len(case.x)


def copying(case: Case) -> float:
    """Every step's activations and gradients kept, parameters' gradients computed."""
    module = case.net.module
    held: dict[str, list[Tensor]] = {f"{a}/{k}": [] for a in case.layers for k in "hg"}

    def keep(alias: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: object, output: Tensor) -> None:
            held[f"{alias}/h"].append(output.detach().clone())
            if output.requires_grad:
                output.register_hook(lambda g: held[f"{alias}/g"].append(g.detach().clone()))

        return hook

    start = time.perf_counter()
    hooks = [layer.register_forward_hook(keep(a)) for a, layer in case.layers.items()]
    with torch.no_grad():
        module(torch.zeros_like(case.x))
    for k in range(1, case.steps + 1):
        module.zero_grad()
        case.target(module(case.x * (k / case.steps))).sum().backward()
    for hook in hooks:
        hook.remove()
    for alias in case.layers:
        h, g = torch.stack(held[f"{alias}/h"]), torch.stack(held[f"{alias}/g"])
        values = (g * h.diff(dim=0)).sum(0).flatten(2)
        _ = values.clamp(min=0).sum(2).cpu(), values.clamp(max=0).sum(2).cpu()
    module.zero_grad()
    return (time.perf_counter() - start) / len(case.x)


SLOW = (captum, copying, integrated_10, integrated_50)
"""Competitors that are run once: they take long against any warming up, or only show memory."""


def measured(name: str, device: str, competitor: Callable[[Case], float], repeats: int) -> Figures:
    """Time and peak memory of one competitor, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, name, device, competitor, repeats).result()


def _measure(name: str, device: str, competitor: Callable[[Case], float], repeats: int) -> Figures:
    warnings.simplefilter("ignore")
    case = CASES[name](device)
    floor(case)  # libraries allocate their own buffers on first use
    before = _held(device)
    times = [competitor(case) for _ in range(1 if competitor in SLOW else repeats + 1)]
    return Figures(statistics.median(times[1:] or times), (_peak(device) - before) / 2**20)


def _held(device: str) -> int:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # peak := present size
    return _resident("VmRSS")


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else _resident("VmHWM")


def _resident(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(what)).split()[1])


def report(name: str, device: str, repeats: int) -> None:
    """Print one case's table."""
    case = CASES[name](device)
    competitors = (integrated, own_batch, act_grad, floor, captum, copying)
    found = {c.__name__: measured(name, device, c, repeats) for c in competitors}
    shape = f"batch {case.batch}, {case.steps} steps, {len(case.layers)} layers"
    print(f"\n{case.name}: {shape}, {device}")
    print(f"{'':14}{'ms / sample':>12}{'/ integrated':>14}{'/ own_batch':>13}{'peak MB':>10}")
    for key, (seconds, memory) in found.items():
        ratios = [seconds / found[k].seconds for k in ("integrated", "own_batch")]
        print(f"{key:14}{1e3 * seconds:12.2f}{ratios[0]:14.2f}{ratios[1]:13.2f}{memory:10.0f}")
    steps, one = found["integrated"].seconds, found["floor"].seconds
    print(f"ActGrad / floor: {found['act_grad'].seconds / one:.2f}")
    print(f"IntegratedGradients / ({case.steps + 1} floors): {steps / one / (case.steps + 1):.2f}")
    few, many = (measured(name, device, c, 1).memory for c in (integrated_10, integrated_50))
    print(f"peak memory, 50 steps / 10 steps: {many:.0f} / {few:.0f} MB", flush=True)


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Setting .* hooks")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in options.cases:
        report(name, options.device, options.repeats)


if __name__ == "__main__":
    main()
