"""Time and memory of `nc.contributions` against a floor, Captum, and the per-step copying approach.

    python benchmarks/contributions.py [retina] [resnet50] [--repeats 5] [--device cpu]

Every row is measured in this run. Times are medians over repeats that are taken in turn (ours,
floor, Captum, copying, ours, ...), so that a drift of the machine's speed meets all of them; peak
memory is that of a fresh process that does one of them, above what it held before.

- floor: one forward pass and one backward pass to the first captured layer, parameters frozen.
- Captum: `LayerConductance`, once per layer, as it works on one layer at a time; all steps at
  once, its default, for the retina, four steps at once for ResNet-50 (its default there needs
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
from typing import Any

import numpy as np
import torch
import torchvision
import xarray as xr
from captum.attr import LayerConductance
from torch import Tensor, nn

import neurocodec as nc
from neurocodec.nn import methods, targets
from neurocodec.nn.retina import LAYERS, RetinaCNN, RetinaConfig


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
    values = np.random.default_rng(0).normal(size=(39 + 128, 50, 50)).astype("float32")
    stimulus = xr.DataArray(values, dims=("time", "y", "x"))
    target = targets.Surprisal.fit(nc.respond(net, stimulus))
    windows = torch.from_numpy(values).unfold(0, 40, 1).permute(0, 3, 1, 2)
    return Case("retina", net, stimulus, windows[:16].contiguous().to(device), target, 20, 16)


def resnet50(device: str) -> Case:
    """Untrained ResNet-50, its 16 blocks, largest logit, batch 8."""
    torch.manual_seed(0)
    module = torchvision.models.resnet50().eval().to(device)
    names = [f"layer{s}.{b}" for s, n in enumerate((3, 4, 6, 3), 1) for b in range(n)]
    net = nc.Network(module, layers=names)
    values = np.random.default_rng(0).normal(size=(32, 3, 224, 224)).astype("float32")
    stimulus = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    x = torch.from_numpy(values[:8]).to(device)
    return Case("resnet50", net, stimulus, x, targets.TopK(1), 10, 8, captum_batch=32)


CASES = {"retina": retina, "resnet50": resnet50}


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
    return ours(case, methods.IntegratedGradients(steps=case.steps))


def own_batch(case: Case) -> float:
    """The same with the batch size that `nc.contributions` chooses itself."""
    return integrated(replace(case, batch=None))


def integrated_50(case: Case) -> float:
    """`IntegratedGradients` with 50 steps, for the memory."""
    return ours(case, methods.IntegratedGradients(steps=50))


def integrated_10(case: Case) -> float:
    """`IntegratedGradients` with 10 steps, for the memory."""
    return ours(case, methods.IntegratedGradients(steps=10))


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
    rounds = max(1, len(case.stimulus) // len(case.x) // 4)
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


def peak(name: str, device: str, competitor: Callable[[Case], float]) -> float:
    """Peak memory in MB of one competitor in a process of its own, above what it held before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak, name, device, competitor).result()


def _peak(name: str, device: str, competitor: Callable[[Case], float]) -> float:
    warnings.simplefilter("ignore")
    case = CASES[name](device)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        competitor(case)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    act_grad(case)  # libraries allocate their own buffers on first use
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # peak := present size
    competitor(case)
    return (_resident("VmHWM") - before) / 2**10


def _resident(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


def timed(case: Case, repeats: int, competitors: list[Callable[[Case], float]]) -> dict[str, float]:
    """Median seconds per sample, competitors taken in turn after one round of warming up."""
    times: dict[str, list[float]] = {c.__name__: [] for c in competitors}
    for i in range(repeats + 1):
        for competitor in competitors:
            seconds = competitor(case)
            if i or competitor in (captum, copying):
                times[competitor.__name__].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def report(name: str, device: str, repeats: int) -> None:
    """Print one case's table."""
    case = CASES[name](device)
    found = timed(case, repeats, [integrated, own_batch, act_grad, floor, captum, copying])
    competitors = (
        integrated,
        own_batch,
        act_grad,
        floor,
        captum,
        copying,
        integrated_10,
        integrated_50,
    )
    memory: dict[str, Any] = {c.__name__: peak(name, device, c) for c in competitors}
    shape = f"batch {case.batch}, {case.steps} steps, {len(case.layers)} layers"
    print(f"\n{case.name}: {shape}, {device}")
    print(f"{'':16}{'ms / sample':>14}{'time / ours':>14}{'peak MB':>10}{'memory / ours':>15}")
    for key, seconds in found.items():
        ratio, size = seconds / found["integrated"], memory[key] / memory["integrated"]
        print(f"{key:16}{1e3 * seconds:14.2f}{ratio:14.2f}{memory[key]:10.0f}{size:15.2f}")
    floors, steps = case.steps + 1, found["integrated"] / found["floor"]
    print(f"ActGrad / floor: {found['act_grad'] / found['floor']:.2f}")
    print(f"IntegratedGradients / ({floors} floors): {steps / floors:.2f}")
    flat = memory["integrated_50"] / memory["integrated_10"]
    print(f"peak memory, 50 steps / 10 steps: {flat:.3f}", flush=True)


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), help="retina, resnet50")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Setting .* hooks")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in options.cases:
        report(name, options.device, options.repeats)


if __name__ == "__main__":
    main()
