"""Concept vectors put in and taken out in the order of rankings; effective fields and their cost.

    python benchmarks/concept_curves.py draw
    python benchmarks/concept_curves.py class --images 200 [--vectors exemplars] [--active 12]
    python benchmarks/concept_curves.py layers --source layer3.1 --target layer3.5 --images 20
    python benchmarks/concept_curves.py draw --network resnet50
    python benchmarks/concept_curves.py class --network resnet50 --source layer3.5 --images 40
    python benchmarks/concept_curves.py layers --network resnet50 --source layer3.2 --images 20
    python benchmarks/concept_curves.py figure CACHE/*-class-*.found.nc --figure classes.png
    python benchmarks/concept_curves.py shares --network resnet18 --layer layer3.1 --images 8

Needs the weights, CIFAR-10 and the photographs of `shared/weights-and-images.md`, as
`benchmarks/tension.py` does. `--network cifar56`: concept vectors are of 1,000 training images, 8
positions of each, curves of test images. `--network resnet50`, ResNet-50 v1: of 600 photographs, 20
positions of each drawn uniformly, curves of others.

draw: vectors of training images, of all layers, drawn by their contribution.

class: vectors of `--source`, the class that the network finds; areas of accuracy and of
probability, with 95 % intervals over images.

layers: the five strongest vectors of `--target` in each image, projection of the strongest position
relative to that with all vectors.

`draw`, `class` and `layers` write into `--cache` as they go; one that was stopped goes on there.

figure: the curves of several such runs, a row each, and their areas as lines of a table.

shares: cost of effective fields in forward passes up to the layer, as far as shares of a vector
miss 1, and how far the shares of its positions in the largest logit do. CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from concept_vectors import resnet50
from tension import network
from torchvision import transforms

import neurocodec as nc
from neurocodec.engine.session import opened
from neurocodec.nn.fields.sharing import Sharing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FITTED, EACH = 1000, 8
"""Training images that vectors are of, and how many of each."""
LAYERS = {
    "cifar56": ("layer2.4", "layer3.1", "layer3.4", "layer3.5"),
    "resnet50": ("layer2.3", "layer3.0", "layer3.2", "layer3.5", "layer4.0", "layer4.2"),
}
ACTIVE = {
    "layer2.3": 15,
    "layer3.0": 23,
    "layer3.2": 27,
    "layer3.5": 31,
    "layer4.0": 52,
    "layer4.2": 104,
}
"""Vectors of a position of ResNet-50: those of the paper's table 1, or of the block before."""
PHOTOGRAPHS, OF_EACH, MOST = 600, 20, 4096
"""Photographs that vectors of ResNet-50 are of, positions of each, concept vectors at most."""


def training_images(options: argparse.Namespace) -> xr.DataArray:
    """Training images of CIFAR-10, or photographs, as the network takes them."""
    if options.network == "resnet50":
        return chosen_photographs(options)[:PHOTOGRAPHS]
    x = np.load(options.weights / "cifar10.npz")["x_train"][:FITTED] / 255
    x = ((x - MEAN) / STD).astype("float32").transpose(0, 3, 1, 2)
    return xr.DataArray(x, dims=("stimulus", "color", "y", "x"))


def chosen_photographs(options: argparse.Namespace) -> xr.DataArray:
    """Photographs in an order drawn at random: those that are fitted first, then those shown."""
    files = sorted(options.photos.glob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(files))[: PHOTOGRAPHS + options.images]
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    prepare = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    return nc.images([files[i] for i in order], preprocessing=prepare)


def setting(options: argparse.Namespace, *names: str) -> tuple[nc.Network, xr.DataArray]:
    """A network, sums of its blocks before their last ReLU, and images that were not fitted."""
    if options.network == "resnet50":
        module, images = resnet50(options.weights), chosen_photographs(options)[PHOTOGRAPHS:]
    else:
        module, images, _ = network(options)
    blocks = nc.Network(module, {name: name for name in names})
    return nc.Network(module, {name: blocks.pre_activation(name) for name in names}), images


def active_of(options: argparse.Namespace, layer: str) -> int:
    """Vectors of a position."""
    return options.active or (ACTIVE[layer] if options.network == "resnet50" else 12)


def vectors_of(
    options: argparse.Namespace, layer: str, method: str = "bisecting"
) -> nc.ConceptVectors:
    """Concept vectors of a layer: eight for each channel, or as many as there are."""
    path, known = options.cache / f"{options.network}-points.nc", {}
    if options.network == "resnet50":
        with nc.open(path, lazy=True) as tree:
            channels = tree[layer]["activation"].sizes["channel"]
        known = {"vectors": min(8 * channels, MOST)}
    vectors = nc.ConceptVectors(method, active=active_of(options, layer), **known)
    return vectors.fit(path, layer=layer)


def said(found: xr.Dataset, name: str, **where: str) -> str:
    """A mean with its interval, by ranking."""
    parts = []
    for ranking in found.ranking.values:
        here = {"ranking": ranking, **where}
        low, high = found[f"{name}_interval"].sel(here).values.ravel()
        parts.append(f"{ranking} {float(found[name].sel(here)):.3f} ({low:.3f} to {high:.3f})")
    return "; ".join(parts)


def keep(options: argparse.Namespace, found: xr.Dataset, out: Path, **facts: object) -> None:
    """Write down one run, and say it."""
    nc.save(found, out.with_suffix(".found.nc"))
    row = {"task": options.task, "network": options.network, "images": options.images}
    active = active_of(options, options.source)
    row |= {"active": active, "points": options.points, "steps": options.steps, **facts}
    row["mean active"] = float(found.active_count.mean())
    for outcome in found.outcome.values:
        for kind in found.kind.values:
            print(
                f"{outcome} {kind}: {said(found, 'concept_curve_area', outcome=outcome, kind=kind)}"
            )
        for name in ("advantage", "lead"):
            print(f"{outcome} {name}: {said(found, name, outcome=outcome)}", flush=True)
        for name in ("advantage", "lead"):
            row[f"{outcome} {name}"] = {
                str(r): [
                    float(found[name].sel(ranking=r, outcome=outcome)),
                    *map(float, found[f"{name}_interval"].sel(ranking=r, outcome=outcome).values),
                ]
                for r in found.ranking.values
            }
    print(row["mean active"], "vectors active in an image")
    with options.out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def figure(options: argparse.Namespace) -> None:
    """Curves of several runs, one below the other, and their areas as lines of a table."""
    shown, columns = {}, ("insert", "delete", "advantage", "lead")
    for path in options.found:
        found = nc.open(path)
        outcome = options.outcome or str(found.outcome.values[0])
        name = path.name.removesuffix(".found.nc").split("-", 2)[2]
        shown[options.labels.pop(0) if options.labels else name] = found.sel(outcome=[outcome])
        print(f"\n{name}, {found.sizes['stimulus']} images, {outcome}\n")
        print(f"| | {' | '.join(columns)} |\n{'|---' * (1 + len(columns))}|")
        for ranking in found.ranking.values:
            where = {"ranking": ranking, "outcome": outcome}
            cells = [
                cell(found, "concept_curve_area", kind=kind, **where) for kind in columns[:2]
            ] + [cell(found, column, **where) for column in columns[2:]]
            print(f"| {ranking} | {' | '.join(cells)} |")
    if options.figure:
        nc.plot.concept_curve(shown).savefig(options.figure, dpi=options.dpi)


def cell(found: xr.Dataset, name: str, **where: str) -> str:
    """A mean with its interval."""
    low, high = found[f"{name}_interval"].sel(where).values.ravel()
    return f"{float(found[name].sel(where)):.3f} [{low:.3f}, {high:.3f}]"


def draw(options: argparse.Namespace) -> None:
    """Vectors of training images, into a file; a run that was stopped goes on."""
    layers = LAYERS[options.network]
    net, _ = setting(options, *layers)
    file, images = options.cache / f"{options.network}-points.nc", training_images(options)
    call = {"per_image": EACH, "batch_size": 25, "progress": False}
    if options.network == "resnet50":
        call |= {"per_image": OF_EACH, "batch_size": 8, "draw": "uniform", "workers": 0}
    nc.point_vectors(net, images, [*layers], out=file, **call)


def of_class(options: argparse.Namespace) -> None:
    """Class curves with vectors of one layer."""
    net, images = setting(options, options.source)
    start = time.process_time()
    vectors = vectors_of(options, options.source, options.vectors)
    target = nc.targets.TopK(1, of=options.scale)
    names = (options.source, options.vectors, options.images, options.points, options.scale)
    rankings = options.rankings.split(",") if options.rankings else None
    names += (active_of(options, options.source), options.steps, *(rankings or ()))
    out = options.cache / f"{options.network}-class-{'-'.join(map(str, names))}.nc"
    size = options.batch_size or (5 if options.network == "resnet50" else 25)
    call = {"source": vectors, "target": target, "batch_size": size, "out": out}
    call |= {"points": options.points, "steps": options.steps, "rankings": rankings}
    found = nc.concept_curve(net, images, progress=False, **call)
    ends = found.concept_curve.sel(kind="insert", outcome="accuracy").isel(ranking=0)
    kept, none = float(ends.isel(fraction=-1).mean()), float(ends.isel(fraction=0).mean())
    print(f"all vectors keep the class of {kept:.3f}, none that of {none:.3f}")
    spent = time.process_time() - start
    facts = {"source": options.source, "vectors": options.vectors, "scale": options.scale}
    keep(options, found, out, **facts, kept=kept, cpu_seconds=spent)
    if options.figure:
        nc.plot.concept_curve(found.sel(outcome=["accuracy"])).savefig(options.figure)


def between(options: argparse.Namespace) -> None:
    """Curves of vectors of a later layer."""
    net, images = setting(options, options.source, options.target)
    start = time.process_time()
    source = vectors_of(options, options.source, options.vectors)
    target = vectors_of(options, options.target, options.vectors)
    rankings = options.rankings.split(",") if options.rankings else None
    names = (options.source, options.target, options.vectors, options.images, options.points)
    names += (active_of(options, options.source), options.targets, options.steps)
    names += (*(rankings or ()),)
    out = options.cache / f"{options.network}-layers-{'-'.join(map(str, names))}.nc"
    call = {"source": source, "target": target, "rankings": rankings, "out": out}
    call |= {"steps": options.steps, "targets": options.targets}
    size = options.batch_size or (5 if options.network == "resnet50" else 10)
    call |= {"batch_size": size, "points": options.points}
    found = nc.concept_curve(net, images, progress=False, **call)
    spent = time.process_time() - start
    facts = {"source": options.source, "target": options.target, "vectors": options.vectors}
    keep(options, found, out, **facts, cpu_seconds=spent)
    if options.figure:
        nc.plot.concept_curve(found).savefig(options.figure)


def shares(options: argparse.Namespace) -> None:
    """Cost of effective fields, and what they conserve."""
    module, images, _ = network(options)
    net = nc.Network(module, {"layer": options.layer})
    x = torch.from_numpy(images.values)

    def least(function, count: int = 5) -> float:
        taken = []
        for _ in range(count):
            start = time.process_time()
            function()
            taken.append(time.process_time() - start)
        return min(taken)

    def forward() -> None:
        with torch.no_grad():
            session.capture.reach(x, ["layer"])

    with opened(net, net.layers, x[:3]) as session:
        flow, capture = session.traced.flow, session.capture
        sharing = Sharing.of(capture, flow, "layer", x[:3])
        size = capture.layers["layer"].channels_first(session.traced.done.hidden["layer"]).shape[2:]
        places = [tuple(n // 2 for n in size)] * len(x)
        one, back = least(forward), least(lambda: sharing.fields(x, places))
        plain = least(lambda: sharing.gradients(x, places))
        found = sharing.fields(x, places)
        missed = float((found.shares.flatten(1).double().sum(1) - 1).abs().max())
        top = Sharing.of(capture, flow, None, x[:3]).shares(x)["layer"]
        logit = float((top.flatten(1).double().sum(1) - 1).abs().max())
    print(
        f"{options.network} {options.layer}, {len(x)} images: {back / one:.2f} forward passes"
        f" (plain gradient {plain / one:.2f}); shares miss 1 by {missed:.1e} at most, those in the"
        f" largest logit by {logit:.1e}"
    )


def steps_of(word: str) -> int | str:
    """Number of steps, or auto."""
    return word if word == "auto" else int(word)


TASKS = {"draw": draw, "class": of_class, "layers": between, "shares": shares, "figure": figure}


def main() -> None:
    """Run one of the tasks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("found", nargs="*", type=Path, help="of figure: what runs left in --cache")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--source", default="layer3.1")
    parser.add_argument("--target", default="layer3.5")
    parser.add_argument("--vectors", default="bisecting", help="or kmeans, exemplars, random")
    parser.add_argument("--rankings", default="", help="by commas; all where empty")
    parser.add_argument("--active", type=int, help="vectors of a position")
    parser.add_argument("--scale", default="logits", help="or probability, of the contributions")
    parser.add_argument("--network", default="", help="cifar56 or resnet50; shares: resnet18")
    parser.add_argument("--points", type=int, default=20, help="steps of a curve")
    parser.add_argument("--steps", type=steps_of, default="auto", help="of a line, or auto")
    parser.add_argument("--targets", type=int, default=5, help="of an image, between layers")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--layer", default="layer3.1")
    parser.add_argument("--cache", type=Path, default=Path())
    parser.add_argument("--figure", default="", help="where to draw it")
    parser.add_argument("--labels", nargs="*", default=[], help="of figure, of its rows")
    parser.add_argument("--outcome", default="", help="of figure; the first where empty")
    parser.add_argument("--dpi", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("curves.jsonl"))
    shared = Path("../shared/data")
    parser.add_argument("--weights", type=Path, default=Path("../networks"))
    parser.add_argument("--photos", type=Path, default=shared / "photos-ccby")
    parser.add_argument("--resnets", type=Path, default=shared / "cifar10-resnets")
    options = parser.parse_args()
    options.network = options.network or ("resnet18" if options.task == "shares" else "cifar56")
    TASKS[options.task](options)


if __name__ == "__main__":
    main()
