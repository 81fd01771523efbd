"""Completeness, speed, memory and truth of contributions of concept vectors.

    python benchmarks/concept_contributions.py complete [--images 16] [--network cifar]
    python benchmarks/concept_contributions.py speed --images 64
    python benchmarks/concept_contributions.py memory
    python benchmarks/concept_contributions.py interventions --images 200 [--network cifar]

Needs the weights and images of `shared/weights-and-images.md`: `--weights` is the folder of its
`get_networks.py`, `--photos` the folder of photographs, `--resnets` that of the CIFAR ResNets.
Seconds are CPU seconds. Concept vectors are of the sums of blocks before their last ReLU, 8 a
channel, by bisecting, kept in `--cache`; of CIFAR ResNet-56 of 400 training images at 16 positions
each, of ResNet-18 of the 800 photographs that are not shown, at 8.

complete: completeness error over the change of the target, by number of steps; the share of the
residual in the sizes of all contributions.

speed: CIFAR ResNet-56, layer3.1 to layer3.5, 8 steps. All concept vectors of one target against one
forward and backward pass for each of them; all targets (sums over positions) against one pass for
each; both against one pass for each pair. What they are held against is plain torch, image by
image, some of whose passes are timed.

memory: largest memory of a run with 8 and 64 steps, and with 8 and all 512 targets, each in a
process of its own.

interventions: correlation of predicted with measured changes, single concept vectors and sets of
them, to a later layer (the 5 strongest targets of an image) and to the largest logit; stopped and
started again it goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from tension import MEAN, STD, CifarBlock, CifarResNet, clocked, largest_memory, photographs
from tension import resnet18 as trained_resnet18
from torch import Tensor
from torch.nn import functional

import neurocodec as nc

PAIRS = {
    "cifar": [("layer3.1", "layer3.5"), ("layer2.4", "layer3.4"), ("layer3.1", "logit")],
    "resnet18": [("layer3.0", "layer3.1"), ("layer2.1", "layer3.1"), ("layer3.1", "logit")],
}
"""Sources and targets."""
LOGIT = nc.targets.TopK(1, hold=True)


def cifar(options: argparse.Namespace) -> nc.Network:
    """CIFAR ResNet-56 with the sums of some blocks before their last ReLU."""
    module = CifarResNet(9)
    weights = torch.load(options.resnets / "cifar10_resnet56.pth", weights_only=True)
    module.load_state_dict(weights)
    return before_relu(module.eval(), "cifar")


def before_relu(module: torch.nn.Module, name: str) -> nc.Network:
    """A network with the layers of its pairs, before their last ReLU."""
    layers = sorted({layer for pair in PAIRS[name] for layer in pair} - {"logit"})
    known = nc.Network(module, layers=layers)
    return nc.Network(module, {layer: known.pre_activation(layer) for layer in layers})


def pictures(options: argparse.Namespace, split: str, count: int) -> xr.DataArray:
    """Images of CIFAR-10, drawn at random."""
    with np.load(options.weights / "cifar10.npz") as data:
        values = data[f"x_{split}"]
    some = values[np.random.default_rng(0).permutation(len(values))[:count]]
    scaled = (some / 255 - np.array(MEAN)) / np.array(STD)
    rows = scaled.transpose(0, 3, 1, 2).astype("float32")
    return xr.DataArray(rows, dims=("stimulus", "color", "y", "x"))


def setting(options: argparse.Namespace) -> tuple[nc.Network, xr.DataArray, xr.DataArray, int]:
    """A network, images to fit and to show, positions of each that fits."""
    if options.network == "cifar":
        net = cifar(options)
        return net, pictures(options, "train", 400), pictures(options, "test", options.images), 16
    net = before_relu(trained_resnet18(options.weights), "resnet18")
    every = photographs(options.photos, 1000)
    order = np.random.default_rng(0).permutation(1000)
    shown = np.sort(order[800 : 800 + options.images])
    return net, every[np.sort(order[:800])], every[shown], 8


class Fits:
    """Concept vectors, each fitted once and kept in a folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.net, self.images, self.shown, self.each = setting(options)
        self.folder = options.cache / options.network
        self.folder.mkdir(parents=True, exist_ok=True)

    def of(self, layer: str) -> nc.ConceptVectors:
        """Those of a layer."""
        if not (self.folder / f"{layer}.nc").exists():
            names = [*self.net.layers]
            rows = nc.point_vectors(
                self.net, self.images, names, per_image=self.each, progress=False
            )
            for name in names:
                vectors = nc.ConceptVectors(per_channel=8).fit(rows, layer=name)
                vectors.save(self.folder / f"{name}.nc")
        return nc.ConceptVectors.load(self.folder / f"{layer}.nc")

    def call(self, source: str, target: str) -> dict:
        """Arguments for a pair: the five strongest targets, or the largest logit."""
        aim = {"target": LOGIT} if target == "logit" else {"target": self.of(target), "targets": 5}
        return {"source": self.of(source), **aim, "progress": False}


def complete(options: argparse.Namespace) -> None:
    """Errors by number of steps."""
    fits = Fits(options)
    net, shown = fits.net, fits.shown
    for source, target in PAIRS[options.network]:
        for steps in (4, 8, 32, "auto"):
            call = {**fits.call(source, target), "steps": steps}
            seconds, found = clocked(lambda call=call: nc.concept_contributions(net, shown, **call))
            change = abs(
                found.contribution.sum("mode")
                + found.residual_contribution
                - found.completeness_error
            )
            error = (abs(found.completeness_error) / change).values
            sizes = abs(found.contribution).sum("mode") + abs(found.residual_contribution)
            share = float((abs(found.residual_contribution) / sizes).median())
            print(
                f"{source} -> {target}, {steps} steps: median error {np.median(error):.2%}, 90 %"
                f" below {np.quantile(error, 0.9):.2%}, reached in {(error <= 0.02).mean():.1%};"
                f" mean steps {float(found.steps.mean()):.1f}, residual {share:.1%},"
                f" {seconds / len(shown):.3f} s an image",
                flush=True,
            )


def block_sum(block: CifarBlock, x: Tensor) -> Tensor:
    """A block before its last ReLU, whose stride is 1."""
    return x + block.bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))


def after(module: CifarResNet, h: Tensor) -> Tensor:
    """Sum of layer3.5 of that of layer3.1."""
    x = functional.relu(h)
    for place in (2, 3, 4):
        x = module.layer3[place](x)
    return block_sum(module.layer3[5], x)


def one_by_one(module: CifarResNet, h: Tensor, parts: Tensor, vector: Tensor) -> float:
    """CPU seconds of a forward and a backward pass by a single number, plain torch; a median."""
    taken = []
    for _ in range(9):
        start = time.process_time()
        scale = torch.ones((), requires_grad=True)
        value = (after(module, h + scale * parts).sum((0, 2, 3)) @ vector).sum()
        torch.autograd.grad(value, scale)
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def speed(options: argparse.Namespace) -> None:
    """All of them at once against one after the other."""
    options.network = "cifar"
    fits = Fits(options)
    net, shown = fits.net, fits.shown
    source, target = fits.of("layer3.1"), fits.of("layer3.5")
    call = {"source": source, "target": target, "steps": 8, "at": "sum", "progress": False}
    one = {**call, "targets": [0]}
    nc.concept_contributions(net, shown[:2], **one)
    seconds, found = clocked(lambda: nc.concept_contributions(net, shown, **one))
    every, _ = clocked(lambda: nc.concept_contributions(net, shown[:8], **call))
    count, targets = float(found.active.sum("mode").mean()), len(target.dictionary)
    for parameter in net.module.parameters():
        parameter.requires_grad = False
    h = torch.randn(1, 64, 8, 8)
    vector = torch.as_tensor(np.asarray(target.dictionary[0]))
    a_pass = one_by_one(net.module, h, torch.randn_like(h), vector)
    seconds, every = seconds / len(shown), every / len(shown[:8])
    print(f"{count:.0f} active concept vectors of an image, {targets} targets, 8 steps")
    print(f"{len(shown)} images for one target, {len(shown[:8])} for all")
    print(f"one forward and backward pass: {a_pass * 1e3:.2f} ms")
    alone, apart = 8 * count * a_pass, 8 * targets * a_pass
    told = [
        ("one target", seconds, "concept vector", alone),
        ("all targets", every, "target", apart),
        ("all targets", every, "pair", alone * targets),
    ]
    for what, own, of, other in told:
        print(
            f"{what}: {own:.4f} s an image; a pass for each {of}: {other:.2f} s,"
            f" {other / own:.0f} times as long"
        )


def peak(options: argparse.Namespace, change: dict) -> float:
    """Largest memory of a run, in MB."""
    fits = Fits(options)
    call = {"source": fits.of("layer3.1"), "target": fits.of("layer3.5"), "progress": False}
    nc.concept_contributions(fits.net, fits.shown, **{**call, "batch_size": 4, **change})
    return largest_memory()


def memory(options: argparse.Namespace) -> None:
    """More steps, and more targets."""
    options.network, options.images = "cifar", 4
    context = multiprocessing.get_context("spawn")
    cases = [(8, 8, "strongest"), (64, 8, "strongest"), (8, 512, "strongest"), (8, 512, "sum")]
    for steps, count, at in cases:
        change = {"steps": steps, "targets": list(range(count)), "at": at}
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found = pool.submit(peak, options, change).result()
        print(f"{steps} steps, {count} targets, {at}: {found:.0f} MB", flush=True)


def interventions(options: argparse.Namespace) -> None:
    """Predicted and measured changes."""
    fits = Fits(options)
    net, shown = fits.net, fits.shown
    for source, target in PAIRS[options.network][options.first :]:
        call = {**fits.call(source, target), "draws": options.draws, "batch_size": 10}
        call["out"] = fits.folder / f"{source}-{target}-{len(shown)}-{options.draws}.nc"
        seconds, found = clocked(lambda call=call: nc.concept_interventions(net, shown, **call))
        print(f"{source} -> {target}, {len(shown)} images, {seconds:.0f} s", flush=True)
        for method in found.graph.values:
            told = []
            for fraction in found.fraction.values:
                at = {"graph": method, "fraction": fraction}
                middle = float(found.median_correlation.sel(at))
                low, high = found.median_correlation_interval.sel(at).values
                told.append(f"{fraction:g}: {middle:.3f} [{low:.3f}, {high:.3f}]")
            print(f"  {method:8} {'; '.join(told)}", flush=True)


TASKS = {
    "complete": complete,
    "speed": speed,
    "memory": memory,
    "interventions": interventions,
}


def main() -> None:
    """Run one of the tasks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--network", choices=PAIRS, default="cifar")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--first", type=int, default=0, help="pair that interventions begin with")
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--cache", type=Path, default=Path("concepts"))
    shared = Path("../shared/data")
    parser.add_argument("--weights", type=Path, default=Path("../networks"))
    parser.add_argument("--photos", type=Path, default=shared / "photos-ccby")
    parser.add_argument("--resnets", type=Path, default=shared / "cifar10-resnets")
    options = parser.parse_args()
    TASKS[options.task](options)


if __name__ == "__main__":
    main()
