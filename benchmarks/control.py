"""What ablating, preserving and steering does, by contributions and by activations.

    .venv/bin/python benchmarks/control.py --images cifar10.npz --cache CACHE
    .venv/bin/python benchmarks/control.py --images cifar10.npz --cache CACHE --steering

The tables of docs/paper.md: CIFAR ResNet-56, blocks from the middle on, integrated gradients of the
logit of the class that the network answers with.
Channels are ranked on one half of the images and judged on the other, then the other way round,
with another seed of the modes each time; a difference counts where its interval, paired class by
class, is apart from 0 and every half and seed agrees (`nc.compare_rankings`). Everything is kept in
the cache, so that the same call goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from mode_rows import DEVIATION, MEAN, SHARED, ResNet56

import neurocodec as nc

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CAPTURED = (13, 16, 18, 20, 22, 24, 26)
"""Blocks whose contributions are kept, counted from 0 over the 27."""
BLOCKS = (22, 26, 18)
"""Of these, what is judged unless others are asked for."""
OURS = "contribution contrast"
FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Study:
    """A network, images, what they contribute, and where everything is kept."""

    net: nc.Network
    images: xr.DataArray
    tree: xr.DataTree
    cache: Path
    options: argparse.Namespace

    def half(self, repeat: int, *, judged: bool) -> slice:
        """Images that rank, or that are judged, in one repeat."""
        middle = len(self.images) // 2
        return slice(middle, None) if judged == (repeat % 2 == 0) else slice(0, middle)

    def rows(self, block: str, variable: str, repeat: int) -> xr.DataArray:
        """Rows that rank in one repeat, with what they are of."""
        array = self.tree[block][variable].isel(stimulus=self.half(repeat, judged=False))
        origin = nc.labels.provenance(self.tree)
        known = {k: origin[k] for k in ("weights_sha256", "layers")}
        return nc.labels.stamp(array.drop_attrs(), "nc.contributions", layer=block, **known)

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Read what was made before, or make and keep it."""
        path = self.cache / name
        if not path.exists():
            nc.save(make(), path)
        return nc.open(path)

    def modes(self, block: str, variable: str, repeat: int) -> nc.SparseModes:
        """Modes of one half, another seed for each repeat."""
        expansion, seed = self.options.expansion, repeat
        name = f"modes-{block}-{variable}-{expansion:g}-{repeat}.nc"
        made = nc.SparseModes(expansion=expansion, seed=seed, progress=False)
        return self.kept(name, lambda: made.fit(self.rows(block, variable, repeat)))

    def masks(self, repeat: int) -> xr.DataArray:
        """Classes of the images that rank."""
        return nc.class_masks(self.images.isel(stimulus=self.half(repeat, judged=False)), CLASSES)

    def judged(self, repeat: int) -> xr.DataArray:
        """Images of the other half, so many of each class."""
        others = self.images.isel(stimulus=self.half(repeat, judged=True))
        labels = others.label.values
        chosen = [np.flatnonzero(labels == c)[: self.options.per_class] for c in CLASSES]
        return others.isel(stimulus=np.sort(np.concatenate(chosen)))


def main() -> None:
    """Print the table, or that of steering."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="cifar10.npz")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000, help="images, the first of the test set")
    parser.add_argument("--steps", type=int, default=10, help="of integrated gradients")
    parser.add_argument("--blocks", type=int, nargs="+", choices=CAPTURED, default=BLOCKS)
    parser.add_argument("--repeats", type=int, default=2, help="halves and seeds")
    parser.add_argument("--per-class", type=int, default=15)
    parser.add_argument("--expansion", type=float, default=0.5, help="0: no rankings by modes")
    parser.add_argument("--steering", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    study = opened(options)
    for line in steering(study) if options.steering else table(study):
        print(line, flush=True)


def opened(options: argparse.Namespace) -> Study:
    """Network and images, and what contributes to the logit of the class that is answered."""
    module = ResNet56().eval()
    weights = SHARED / "data" / "cifar10-resnets" / "cifar10_resnet56.pth"
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    layers = {f"block{i}": f"layer{i // 9 + 1}.{i % 9}" for i in CAPTURED}
    net = nc.Network(module, layers, outputs=CLASSES, name="CIFAR ResNet-56")
    with np.load(options.images) as stored:
        pixels, label = stored["x_test"][: options.count], stored["y_test"][: options.count].ravel()
    values = ((pixels / 255 - MEAN) / DEVIATION).astype("float32").transpose(0, 3, 1, 2)
    coords = {"stimulus": np.arange(len(values)), "label": ("stimulus", np.array(CLASSES)[label])}
    images = xr.DataArray(values, coords, ("stimulus", "color", "y", "x"))
    tree = nc.contributions(
        net,
        images,
        target=nc.targets.TopK(1, hold=True),
        method=nc.methods.IntegratedGradients(steps=options.steps),
        out=options.cache / f"contributions-{options.count}-{options.steps}.nc",
        progress=False,
    )
    return Study(net, images, tree.load(), options.cache, options)


def rankings(study: Study, block: str, repeat: int) -> dict[str, xr.DataArray]:
    """Scores of the channels, that which is judged first."""
    masks = study.masks(repeat)
    contribution, activation = (
        study.rows(block, kind, repeat) for kind in ("contribution", "activation")
    )
    found = {
        OURS: nc.rankings.from_contrast(contribution, masks),
        "contribution r": nc.rankings.from_correlation(contribution, masks),
        "activation contrast": nc.rankings.from_contrast(activation, masks),
        "activation r": nc.rankings.from_correlation(activation, masks),
    }
    every = {"top": "all", "weights": "contrast"}
    for kind in ("contribution", "activation") if study.options.expansion else ():
        modes = study.modes(block, kind, repeat)
        found[f"{kind} modes, all"] = nc.rankings.from_modes(modes, masks, **every)
        found[f"{kind} mode"] = nc.rankings.from_modes(modes, masks)
    return {**found, "random": nc.rankings.at_random(found[OURS])}


def curves(study: Study, block: str) -> list[xr.Dataset]:
    """Perturbation curves of every repeat."""
    found = []
    for repeat in range(study.options.repeats):
        images = study.judged(repeat)
        scores = rankings(study, block, repeat)
        name = f"curve-{block}-{study.options.expansion:g}-{len(images)}-{repeat}.nc"

        def make(images: xr.DataArray = images, scores: Any = scores, seed: int = repeat) -> Any:
            return nc.perturbation_curve(
                study.net, images, block, scores, seed=seed, n_off=5, progress=False
            )

        found.append(study.kept(name, make))
    return found


def table(study: Study) -> Iterator[str]:
    """Scores of every ranking, and where ours is better than each of activations."""
    for kind, score in (("ablate", "area"), ("preserve", "separation")):
        yield f"\n{kind}: {score}, mean of {study.options.repeats} repeats; [ours minus it]"
        first = True
        for number in study.options.blocks:
            several = curves(study, f"block{number}")
            names = several[0].ranking.values.tolist()
            if first:
                yield "| block | " + " | ".join(names) + " |"
                yield "|---" * (len(names) + 1) + "|"
            first = False
            mean = sum(one[score].sel(kind=kind) for one in several) / len(several)
            told = nc.compare_rankings(several, score=score).sel(kind=kind)
            cells = [f"{float(mean.sel(ranking=OURS)):.2f}"]
            for name in names[1:]:
                one = told.sel(ranking=name)
                low, high = one.ranking_difference_interval.values
                better = " **" if bool(one.better) else ""
                value = f"{float(mean.sel(ranking=name)):.2f}"
                cells.append(f"{value} [{low:.2f}, {high:.2f}]{better}")
            yield f"| {number} | " + " | ".join(cells) + " |"


def doses(study: Study, block: str, repeat: int) -> dict[str, xr.DataArray]:
    """Shares of the classes, and controls of the same size."""
    masks = study.masks(repeat)
    contribution, activation = (
        study.rows(block, kind, repeat) for kind in ("contribution", "activation")
    )
    contrast = nc.steering.from_contrast(contribution, masks)
    correlated = nc.rankings.from_correlation(contribution, masks)
    found = {
        "contrast": contrast,
        "activation contrast": nc.steering.from_contrast(activation, masks),
        "single channels": nc.steering.from_scores(correlated, contrast),
        "random contrast": nc.steering.at_random(contrast),
    }
    if not study.options.expansion:
        return found
    own, other = (study.modes(block, k, repeat) for k in ("contribution", "activation"))
    mode = nc.steering.from_modes(own, contribution, masks)
    found |= {
        "mode": mode,
        "modes, 3": nc.steering.from_modes(own, contribution, masks, top=3),
        "activation mode": nc.steering.from_modes(other, activation, masks),
        "random mode": nc.steering.at_random(mode),
    }
    return found


def steering(study: Study) -> Iterator[str]:
    """Change of the label's logit of target and other images, by factor."""
    for number in study.options.blocks:
        block = f"block{number}"
        for repeat in range(study.options.repeats):
            images, shares = study.judged(repeat), doses(study, block, repeat)
            name = f"steering-{block}-{study.options.expansion:g}-{len(images)}-{repeat}.nc"

            def make(images: xr.DataArray = images, shares: Any = shares, at: str = block) -> Any:
                return nc.steering_curve(
                    study.net, images, at, shares, factors=FACTORS, progress=False
                )

            found = study.kept(name, make)
            yield f"\nblock {number}, repeat {repeat}: change of the label's logit, target (other)"
            yield "| shares | " + " | ".join(f"{f:g}" for f in FACTORS if f != 1)
            yield "|---" * (len(FACTORS) + 2) + "|"
            for ranking in found.ranking.values.tolist():
                yield _doses_row(found.sel(ranking=ranking), ranking)


def _doses_row(one: xr.Dataset, name: str) -> str:
    cells = []
    for factor in (f for f in FACTORS if f != 1):
        change = one.mean_label_change.sel(factor=factor)
        own, off = (float(change.sel(group=g)) for g in ("target", "off_target"))
        cells.append(f"{own:+.2f} ({off:+.2f})")
    ratio = one.off_target_ratio_interval.sel(factor=[0.0, 2.0]).values
    ends = ", ".join(f"[{low:.2f}, {high:.2f}]" for low, high in ratio)
    rising = 10 * float(one.monotonic_share)
    return f"| {name} | " + " | ".join(cells) + f" | ratio at 0, 2: {ends} | {rising:.0f} of 10 |"


if __name__ == "__main__":
    main()
