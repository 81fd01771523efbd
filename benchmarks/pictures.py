"""Pictures of what excites and what inhibits: do they do it, and what do they cost.

    python benchmarks/pictures.py signs --weights NETWORKS --photos PHOTOGRAPHS
    python benchmarks/pictures.py speed --weights NETWORKS --photos PHOTOGRAPHS
    python benchmarks/pictures.py retina --seconds 30
    python benchmarks/pictures.py horama --weights NETWORKS --photos PHOTOGRAPHS
    python benchmarks/pictures.py icons --network cifar20 --images 500 --channels 5 17 40

The networks and photographs are those of `shared/weights-and-images.md`. Seconds are CPU seconds.

signs: ResNet-18; units of a block before its last ReLU, at its centre; of the photographs those
with the largest min(E+, E-). `nc.invert` of the attribution (ActGrad) in the block before, both
signs, from noise: how often the excitatory picture drives the unit more than the inhibitory one,
how often the latter lowers it below its mean over the photographs, and both in standard deviations.
`--network cifar20` (or 56, with `--resnets`): a CIFAR ResNet; `--method line`: attributions by the
default of `nc.tension`; `--objective activation`: pictures as in the paper.

icons: attribution atlases of some channels of a block by the one before: how many icons have the
sign of their images' mean target; of all, and of those places whose mean is two standard errors
from 0; the latter also for E+ - E- of the images themselves.

speed: 16 inversions in one batch against one by one, and against as many bare forward and backward
passes to the block whose unit it is, in one batch and one by one.

horama: the target that `nc.visualise` and Horama (`pip install horama`) reach for the same units,
in frequencies (`fourier` of both) and, ours, in phases. Horama draws the side of a crop between b1
and 2 b1 - b0 where (b0, b1) is asked for, so (0.81, 0.9) is what gives it ours, (0.9, 0.99); and it
fails with one crop a step, so it has two, and ours as many steps, or twice as many: as many passes.

retina: the bundled model: the most exciting movie of every cell against 1,000 windows of natural
scenes of equal contrast.
"""

from __future__ import annotations

import argparse
import contextlib
import time
import warnings
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from tension import ACT_GRAD, block_names, clocked, network, photographs, resnet18

import neurocodec as nc

QUIET = {"progress": False}
LINE = nc.methods.IntegratedGradients("auto", path="hidden", tolerance=0.01, max_steps=128)


def pairs_of(options: argparse.Namespace) -> tuple[dict[str, nc.Network], xr.DataArray]:
    """Pairs of blocks of the network that is asked for, and its images."""
    if options.network == "resnet18":
        return pairs(options.weights), photographs(options.photos, options.images)
    module, shown, _ = network(options)
    return pairs_in(module), shown


def pairs(weights: Path) -> dict[str, nc.Network]:
    """ResNet-18, each block after the first before its last ReLU, with the block before it."""
    return pairs_in(resnet18(weights))


def pairs_in(module: torch.nn.Module) -> dict[str, nc.Network]:
    """Each block after the first before its last ReLU, with the block before it."""
    names = block_names(module)
    found = {}
    for early, late in pairwise(names):
        known = nc.Network(module, layers={"early": early, "late": late})
        layers = {"early": early, "pre": known.pre_activation("late")}
        found[late] = nc.Network(module, layers)
    return found


def width_of(net: nc.Network) -> int:
    """Channels of the later block."""
    block = ".".join(net.layers["pre"].module.split(".")[:2])
    return int(net.module.get_submodule(block).conv2.out_channels)


def tense(
    net: nc.Network, shown: xr.DataArray, channels: list[int], count: int, method: object = ACT_GRAD
) -> list[tuple[nc.targets.Feature, xr.DataArray]]:
    """Units, and the attributions of the photographs that are most tense for them."""
    target = nc.targets.Features("pre", channels=channels, position="center")
    found = nc.tension(net, shown, "early", target=target, method=method, **QUIET)
    width = width_of(net)
    ranked = nc.rank_stimuli(found, by="tension", count=count)
    made = []
    for place, channel in enumerate(channels):
        chosen = np.asarray(ranked.isel(feature=place)).ravel()
        vector = np.eye(width)[channel]
        one = nc.targets.Feature("pre", vector, "center")
        call = {"target": one, "method": method, "layers": ["early"], "reduce": "none"}
        tree = nc.contributions(net, shown[chosen], **call, **QUIET)
        made.append((one, tree["early/contribution"]))
    return made


WIDTH = {"layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}
"""Channels of the stages."""


def signs(options: argparse.Namespace) -> None:
    """Do the pictures do what their sign says."""
    nets, shown = pairs_of(options)
    method = ACT_GRAD if options.method == "actgrad" else LINE
    every = []
    for late, net in list(nets.items())[-options.layers :]:
        width = width_of(net)
        drawn = np.random.default_rng(0).permutation(width)[: options.units].tolist()
        rows = []
        for one, attribution in tense(net, shown, options.channels or drawn, options.tense, method):
            call = {"target": one, "like": shown, "steps": options.steps, **QUIET}
            call["objective"] = options.objective
            found = nc.invert(net, "early", attribution, **call)
            rows.append(found.target_score.values.reshape(-1, 2))
        every.append(np.concatenate(rows))
        told(late, every[-1])
    told("all", np.concatenate(every))


def told(name: str, scores: np.ndarray) -> None:
    """Print how often, and how far."""
    plus, minus = scores.T
    print(
        f"{name}: n {len(plus)}, S+ > S- in {(plus > minus).mean():.1%}, S- below the mean in"
        f" {(minus < 0).mean():.1%}; medians {np.median(plus):+.1f} and {np.median(minus):+.1f} sd",
        flush=True,
    )


class ReachedError(Exception):
    """A pass has reached what it was for."""


def bare(net: nc.Network, late: str, x: torch.Tensor, steps: int) -> float:
    """CPU seconds of forward passes as far as a block, and backward passes to the pixels."""
    read = []

    def keep(_module: torch.nn.Module, _args: object, out: torch.Tensor) -> None:
        read.append(out)
        raise ReachedError

    module = net.module.eval().requires_grad_(requires_grad=False)
    handle = module.get_submodule(late).register_forward_hook(keep)
    start = time.process_time()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        with contextlib.suppress(ReachedError):
            module(x)
        torch.autograd.grad(read.pop().sum(), [x])
    handle.remove()
    return time.process_time() - start


def speed(options: argparse.Namespace) -> None:
    """A batch against one by one and against bare passes, in CPU seconds and in seconds."""
    nets, shown = pairs_of(options)
    late = options.late or "layer3.1"
    net = nets[late]
    _, attribution = tense(net, shown, [5], 16)[0]
    one = nc.targets.Feature("pre", np.eye(width_of(net))[5], "center")
    call = {"like": shown, "steps": options.steps, "sign": "excitatory", "target": one, **QUIET}
    call["objective"] = options.objective
    nc.invert(net, "early", attribution[:1], **{**call, "steps": 1})

    def timed(size: int) -> tuple[float, float]:
        """CPU seconds of all steps but the first, and of the first with the set-up."""
        run = partial(nc.invert, net, "early", attribution, batch_size=size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = clocked(partial(run, **{**call, "steps": 1}))[0]
            return clocked(partial(run, **call))[0] - first, first

    rows = {size: timed(size) for size in (16, 1)}
    x = torch.from_numpy(shown.values[:16])
    bare(net, late, x, 1)
    passes = bare(net, late, x, options.steps - 1)
    small = sum(bare(net, late, x[i : i + 1], options.steps - 1) for i in range(16))
    batch, alone = rows[16][0], rows[1][0]
    print(
        f"{options.network} {late}, {options.threads} threads, 16 pictures, {options.steps} steps"
        f" (CPU s; of all but the first step): a batch {batch:.2f} (set-up and first step"
        f" {rows[16][1]:.2f}), one by one {alone:.2f} ({alone / batch:.2f} times); bare passes"
        f" {passes:.2f} ({batch / passes:.2f}), one by one {small:.2f} ({small / passes:.2f} times)"
    )


def horama(options: argparse.Namespace) -> None:
    """Targets reached and CPU seconds, beside Horama's."""
    from horama.fourier_fv import fourier  # noqa: PLC0415 - no test needs it

    shown = photographs(options.photos, options.images)
    low, high = float(shown.min()), float(shown.max())
    net = pairs(options.weights)["layer3.1"]
    channels = np.random.default_rng(0).permutation(WIDTH["layer3"])[: options.units].tolist()
    target = nc.targets.Features("pre", channels=channels, position="center")
    rows = {}
    for kind, steps in product(("fourier", "phase"), (options.steps, 2 * options.steps)):
        call = {"kind": kind, "steps": steps, "like": shown, **QUIET}
        seconds, found = clocked(partial(nc.visualise, net, target, **call))
        rows[f"nc.visualise, {kind}, {steps} steps"] = seconds, found.target_score.values.ravel()
    natural = nc.tension(net, shown, "early", target=target, method=ACT_GRAD, **QUIET).target
    center, scale = natural.mean("stimulus").values, natural.std("stimulus").values
    read = {}
    handle = net.module.layer3[1].bn2.register_forward_hook(
        lambda _m, _a, out: read.update(branch=out)
    )
    before = net.module.layer3[0].register_forward_hook(lambda _m, _a, out: read.update(skip=out))

    def value(x: torch.Tensor, channel: int) -> torch.Tensor:
        y = net.module.maxpool(torch.relu(net.module.bn1(net.module.conv1(x))))
        net.module.layer3(net.module.layer2(net.module.layer1(y)))
        total = read["branch"] + read["skip"]
        return total[:, channel, total.shape[2] // 2, total.shape[3] // 2].mean()

    net.module.eval().requires_grad_(requires_grad=False)
    torch.manual_seed(0)
    start, reached = time.process_time(), []
    for channel in channels:
        picture, _ = fourier(
            partial(value, channel=channel),
            total_steps=options.steps,
            image_size=shown.sizes["y"],
            model_input_size=shown.sizes["y"],
            noise=0.1 * float(shown.std()),
            values_range=(low, high),
            crops_per_iteration=2,  # it fails with one
            box_size=(0.81, 0.9),
            device="cpu",
        )
        with torch.no_grad():
            reached.append(float(value(picture.detach()[None], channel)))
    spent = time.process_time() - start
    handle.remove()
    before.remove()
    told = f"Horama, fourier, {options.steps} steps of 2 crops"
    rows[told] = spent, (np.array(reached) - center) / scale
    for name, (seconds, scores) in rows.items():
        higher = int((scores >= rows[told][1]).sum())
        print(
            f"{name}: {seconds:.1f} s, median {np.median(scores):+.1f} sd ({scores.min():+.1f} to"
            f" {scores.max():+.1f}), at least Horama's for {higher} of {len(scores)}"
        )


def icons(options: argparse.Namespace) -> None:
    """How many icons do what their images do."""
    nets, shown = pairs_of(options)
    late = options.late or list(nets)[-1]
    net = nets[late]
    eye = np.eye(width_of(net))
    method = ACT_GRAD if options.method == "actgrad" else LINE
    counts = np.zeros(5, int)
    call = {"method": method, "like": shown[:64], "steps": options.steps, **QUIET}
    for channel in options.channels or [5]:
        unit = nc.targets.Feature("pre", eye[channel], "center")
        found = nc.attribution_atlas(net, shown, "early", target=unit, grid=options.grid, **call)
        own = found["icons"].to_dataset()
        sure = np.asarray(abs(own.mean_target) > 2 * own.standard_error)
        sums = found.excitation - found.inhibition
        of = found.icon_of_image.values
        agree = [np.sign(float(sums[of == i].mean())) for i in range(len(sure))]
        agree = np.asarray(agree == np.sign(own.mean_target.values))
        kept = np.asarray(own.confirmed)
        counts += [len(sure), kept.sum(), sure.sum(), kept[sure].sum(), agree[sure].sum()]
        print(channel, late, counts.tolist(), flush=True)
    total, kept, sure, both, agree = counts.tolist()
    print(
        f"{late}, {options.method}, {options.steps} steps: {kept} of {total} icons confirmed"
        f" ({kept / total:.1%}); where the images have a sign {both} of {sure} ({both / sure:.1%});"
        f" there E+ - E- has it in {agree}"
    )


def retina(options: argparse.Namespace) -> None:
    """Most exciting movies of all cells against natural windows of their contrast."""
    net = nc.load_model("simulated-retina")
    movie = nc.simulate_retina(0, duration=options.seconds, repeats=1).stimulus
    values = movie.values.astype("float32")
    ends = np.linspace(net.history, len(values), 1000).astype(int)
    windows = np.stack([values[e - net.history : e] for e in ends])
    better = []
    names = net.outputs or ()
    for name in names:
        call = {"like": movie, "steps": options.steps, **QUIET}
        found = nc.visualise(net, nc.targets.Output(name), **call)
        made = found.stimulus.squeeze("draw").values
        about = windows - windows.mean((1, 2, 3), keepdims=True)
        size = about.std((1, 2, 3), keepdims=True)
        equal = made.mean() + about * (made.std() / size)
        with torch.no_grad():
            parts = torch.from_numpy(equal.astype("float32")).split(100)
            rates = torch.cat([net.module(x) for x in parts])[:, names.index(name)]
        better.append(float(found.target.squeeze()) > float(rates.max()))
    print(f"{sum(better)} of {len(better)} cells: above all of 1,000 windows of equal contrast")


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("signs", "speed", "retina", "horama", "icons"))
    parser.add_argument("--network", default="resnet18", help="or cifar20, cifar56, ...")
    parser.add_argument("--resnets", type=Path)
    parser.add_argument("--method", choices=("actgrad", "line"), default="actgrad")
    parser.add_argument("--objective", choices=("attribution", "activation"))
    parser.add_argument("--late", help="block whose channels have atlases (the last)")
    parser.add_argument("--channels", type=int, nargs="+", help="in place of some drawn")
    parser.add_argument("--grid", type=int, default=6)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--tense", type=int, default=5, help="photographs of a unit")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    globals()[options.what](options)


if __name__ == "__main__":
    main()
