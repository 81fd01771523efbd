"""A run that is killed ten times at random moments, against the uninterrupted one.

    python benchmarks/images_kill.py [--kills 10] [--random 0] [--images 300] [--suffix .nc]

ResNet-18 (weights and photographs of `shared/weights-and-images.md`), ActGrad, 8 blocks, images
decoded by worker processes. SIGKILL to the process alone; its workers have to end by themselves.
A run that is finished before the ten kills is followed by another one; all are compared. Each
life of a process lasts for a random time up to the length of a whole run, start-up included; parts
are written every second, so that these short runs have something to go on from.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file

import neurocodec as nc
from neurocodec.storage import runs

BLOCKS = [f"layer{s}.{b}" for s in range(1, 5) for b in range(2)]
SHARED = Path(__file__).parents[2] / "shared"
NETWORKS = Path(tempfile.gettempdir()) / "nets"


def compute(options: argparse.Namespace, out: Path) -> None:
    """Run as a user would; go on where it was killed."""
    runs._PART_SECONDS = 1.0  # noqa: SLF001 - so that a run of seconds has parts
    module = torchvision.models.resnet18()
    module.load_state_dict(load_file(options.weights))
    transforms = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    net = nc.Network(module.eval(), layers=BLOCKS, preprocessing=transforms, name="ResNet-18")
    files = sorted(options.photos.glob("*.jpg"))[: options.images]
    nc.contributions(
        net,
        nc.images(files, net),
        target=nc.targets.TopK(1),
        method=nc.methods.ActGrad(),
        batch_size=4,
        workers=1,
        out=out,
        progress=False,
    ).close()


def covered(out: Path) -> int:
    """Samples that are on disk."""
    names = (p.stem.split("-") for p in out.with_name(out.name + ".parts").glob("rows-*"))
    return sum(int(stop) - int(start) for _, start, stop in names)


def live(options: argparse.Namespace, out: Path, seconds: float | None) -> float:
    """Start the run in a process of its own, and kill it after some seconds; its length."""
    command = [sys.executable, __file__, *sys.argv[1:], "--child", str(out)]
    start = time.perf_counter()
    child = subprocess.Popen(command)  # noqa: S603 - this script itself
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        print(f"killed after {seconds:5.1f} s: {covered(out):4} of {options.images} on disk")
    else:
        if child.returncode:
            raise SystemExit(child.returncode)
    return time.perf_counter() - start


def equal(first: Path, second: Path) -> bool:
    """Whether two results have the same numbers to the last bit, and the same labels."""
    a, b = nc.open(first), nc.open(second)
    return bool(a.identical(b))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--suffix", default=".nc")
    parser.add_argument("--weights", type=Path, default=NETWORKS / "resnet18.safetensors")
    parser.add_argument("--photos", type=Path, default=SHARED / "data" / "photos-ccby")
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        logging.basicConfig(level=logging.WARNING)
        compute(options, options.child)
        return
    rng = np.random.default_rng(options.random)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, f"whole{options.suffix}")
        length = live(options, whole, None)
        print(f"uninterrupted: {length:.1f} s, {torch.get_num_threads()} threads")
        kills, results = 0, [Path(folder, f"0{options.suffix}")]
        while kills < options.kills:
            if results[-1].exists():  # finished before its next kill: another run, from nothing
                results.append(Path(folder, f"{len(results)}{options.suffix}"))
            live(options, results[-1], float(rng.uniform(0, length)))
            kills += not results[-1].exists()
        live(options, results[-1], None)
        same = all(equal(whole, result) for result in results)
        print(f"{kills} kills in {len(results)} runs; equal to the last bit: {same}")


if __name__ == "__main__":
    main()
