"""Quality, sparsity, time and memory of concept vectors and their codes.

    python benchmarks/concept_vectors.py draw --cache FOLDER --fitted 850 --per-image 24
    python benchmarks/concept_vectors.py table --cache FOLDER --out table.jsonl --most 4096
    python benchmarks/concept_vectors.py codes --cache FOLDER --layer layer3.0
    python benchmarks/concept_vectors.py clusters --cache FOLDER --layer layer3.0
    python benchmarks/concept_vectors.py stability --cache FOLDER --layer layer3.0
    python benchmarks/concept_vectors.py speed --channels 256 --vectors 2048
    python benchmarks/concept_vectors.py large

Needs the weights and photographs of `shared/weights-and-images.md`: `--weights` is the folder of
its `get_networks.py`, `--photos` the folder of photographs. Seconds are CPU seconds.

draw: vectors of the sum before the last ReLU of eight blocks of ResNet-50 v1, drawn by their
contribution to the top logit; of photographs that are fitted, and of others, of which positions
drawn uniformly are kept too. Files in `--cache`, one alone with `--only`; stopped and started again
it goes on. `--by uniform` draws those of the photographs that are fitted uniformly, which takes no
backward pass.

table: relative l2 of vectors of photographs that were not fitted, at as many active vectors as the
paper's table 1, with 8 concept vectors a channel, by method, and by principal components. Each line
is kept in `--out`, and what is there is not done again.

codes: OMP against the Lasso, and the Lasso refitted, at equal numbers of active vectors: of every
row (the path of least angles), and on average (one penalty for all rows, coordinate descent).

clusters: mean 1 - cosine to the nearest of so many vectors, and seconds, against scikit-learn.

stability: how many vectors come back from four other seeds, and from shuffled rows.

speed: milliseconds a row of OMP against scikit-learn's, and of the Lasso, on made rows.

large: 50,000 made rows of 2,048 channels, 16,384 vectors; seconds and peak memory, by stage.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
import xarray as xr
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.cluster import BisectingKMeans
from sklearn.decomposition import PCA, sparse_encode
from tension import MEAN, STD
from torchvision import transforms

import neurocodec as nc
from neurocodec.kernels.bisecting import bisecting
from neurocodec.kernels.pursuit import pursuit
from neurocodec.kernels.spherical import nearest_center, spherical_kmeans, unit_rows
from neurocodec.modes.concept_vectors.finding import directions

PAPER = {
    "layer1.1": (0.3651, 0.9947),
    "layer2.0": (0.4633, 0.9964),
    "layer2.2": (0.6159, 0.9961),
    "layer3.0": (0.5618, 0.9971),
    "layer3.2": (0.6855, 0.9967),
    "layer3.4": (0.6565, 0.9962),
    "layer4.0": (0.6051, 0.9968),
    "layer4.2": (0.5095, 0.9936),
}
"""Relative l2 and share of vectors that are not active, table 1, "Ours"."""
PER_CHANNEL = 8
HELD = {"contribution": "held-contribution.nc", "uniform": "held-uniform.nc"}
FITTED = "fitted.nc"
WORDS = ("draw", "table", "codes", "clusters", "stability", "speed", "large")


def resnet50(weights: Path) -> torch.nn.Module:
    """ResNet-50 v1: the stride of a stage is that of its first 1x1 convolution."""
    module = torchvision.models.resnet50()
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    module.load_state_dict(load_file(weights / "resnet50.safetensors"))
    return module.eval()


def network(weights: Path) -> nc.Network:
    """ResNet-50 v1 with the sums of eight blocks before their last ReLU."""
    module = resnet50(weights)
    known = nc.Network(module, layers=[*PAPER])
    return nc.Network(module, layers={name: known.pre_activation(name) for name in PAPER})


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """What some work returns, and its CPU seconds."""
    before = time.process_time()
    return work(), time.process_time() - before


def draw(arguments: argparse.Namespace) -> None:
    """Vectors of eight layers, in three files."""
    net = network(arguments.weights)
    files = sorted(arguments.photos.glob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(files))
    ends = arguments.fitted, arguments.fitted + arguments.held
    fitted, held = ([files[i] for i in part] for part in np.split(order[: ends[1]], ends[:1]))
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    prepare = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    options = {"per_image": arguments.per_image, "batch_size": 10, "workers": 0}
    files_of = {**HELD, "fitted": FITTED}
    for what in arguments.only:
        name, by = files_of[what], arguments.by if what == "fitted" else what
        own = nc.images(fitted if name == FITTED else held, preprocessing=prepare)
        _, spent = seconds(
            lambda own=own, name=name, by=by: nc.point_vectors(
                net, own, [*PAPER], draw=by, out=arguments.cache / name, **options
            )
        )
        print(json.dumps({"file": name, "images": len(own), "seconds": round(spent, 1)}))


def rows(cache: Path, file: str, layer: str) -> xr.DataArray:
    """Vectors of a layer."""
    with nc.open(cache / file, lazy=True) as tree:
        return tree[layer]["activation"].load()


def active_of(layer: str, channels: int) -> int:
    """Whole number of vectors that are active in table 1, and no more."""
    return int((1 - PAPER[layer][1]) * PER_CHANNEL * channels + 1e-9)


def table(arguments: argparse.Namespace) -> None:
    """Table 1, a layer and method after the other."""
    done = (
        {
            (line["layer"], line["method"])
            for line in map(json.loads, arguments.out.read_text().splitlines())
        }
        if arguments.out.exists()
        else set()
    )
    for layer in arguments.layers:
        for method in arguments.methods:
            if (layer, method) in done:
                continue
            line = scored(arguments, layer, method)
            with arguments.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


def scored(arguments: argparse.Namespace, layer: str, method: str) -> dict[str, Any]:
    """One method at one layer."""
    fitted = rows(arguments.cache, FITTED, layer)
    channels = fitted.sizes["channel"]
    active = active_of(layer, channels)
    count = min(PER_CHANNEL * channels, arguments.most or 10**9)
    line: dict[str, Any] = {"layer": layer, "method": method, "rows": len(fitted), "active": active}
    if method == "pca":
        found = PCA(active, random_state=0).fit(fitted.values)
        make = lambda x: found.inverse_transform(found.transform(x))  # noqa: E731
        offset = found.mean_
    else:
        vectors = nc.ConceptVectors(
            method, vectors=count, active=active, validation=0.0, seed=arguments.seed
        )
        vectors, line["seconds"] = seconds(lambda: vectors.fit(fitted))
        make = lambda x: vectors.coder.made(vectors.coder.coded(x, active))  # noqa: E731
        offset = vectors.offset.values
        line["vectors"] = len(vectors.dictionary)
    for by, file in HELD.items():
        x = rows(arguments.cache, file, layer).values
        x = x[np.linspace(0, len(x) - 1, arguments.scored).astype(int)]
        line[by] = errors(x, make(x), offset)
    line["paper"] = PAPER[layer][0]
    return line


def errors(x: NDArray[Any], made: NDArray[Any], offset: NDArray[Any]) -> dict[str, float]:
    """Relative l2 of rows and of rows without the offset, mean over rows, and R2 of all."""
    lost = np.linalg.norm(x - made, axis=1)
    about = ((x - x.mean(0)) ** 2).sum()
    return {
        "relative_l2": round(float((lost / np.linalg.norm(x, axis=1)).mean()), 4),
        "of_centred": round(float((lost / np.linalg.norm(x - offset, axis=1)).mean()), 4),
        "r2": round(float(1 - (lost**2).sum() / about), 4),
    }


def codes(arguments: argparse.Namespace) -> None:
    """OMP and the Lasso at equal numbers."""
    fitted = rows(arguments.cache, FITTED, arguments.layer)
    vectors = nc.ConceptVectors(vectors=arguments.vectors, validation=0.0).fit(fitted)
    x = rows(arguments.cache, HELD["contribution"], arguments.layer).values
    x = x[np.linspace(0, len(x) - 1, arguments.scored).astype(int)]
    for active in arguments.active:
        line: dict[str, Any] = {"layer": arguments.layer, "active": active}
        for solver in ("omp", "lasso", "lasso_refit"):
            found, spent = seconds(lambda s=solver, a=active: vectors.coder.coded(x, a, s))
            line[solver] = errors(x, vectors.coder.made(found), vectors.offset.values)
            line[solver]["active"] = float((found.indices >= 0).sum(1).mean())
            line[solver]["ms"] = round(1e3 * spent / len(x), 2)
        line["one penalty"] = one_penalty(x, vectors, active)
        print(json.dumps(line), flush=True)


def one_penalty(x: NDArray[Any], vectors: nc.ConceptVectors, active: int) -> dict[str, float]:
    """The Lasso with the penalty at which rows have so many vectors on average."""
    atoms, offset = vectors.dictionary.values.astype(float), vectors.offset.values
    left = (x - offset).astype(float)
    low, high = 0.0, float(np.abs(left @ atoms.T).max())
    for _ in range(12):
        middle = (low + high) / 2
        found = sparse_encode(left, atoms, algorithm="lasso_cd", alpha=middle, max_iter=1000)
        low, high = (middle, high) if (found != 0).sum(1).mean() > active else (low, middle)
    found, spent = seconds(
        lambda: sparse_encode(left, atoms, algorithm="lasso_cd", alpha=high, max_iter=1000)
    )
    made = found @ atoms + offset
    own = {"active": float((found != 0).sum(1).mean()), "ms": round(1e3 * spent / len(x), 2)}
    return {**errors(x, made, offset), **own}


def clusters(arguments: argparse.Namespace) -> None:
    """Bisecting against scikit-learn's, flat k-means and exemplars."""
    fitted = rows(arguments.cache, FITTED, arguments.layer).values[: arguments.rows]
    x = np.asarray(unit_rows((fitted - fitted.mean(0)).astype(np.float32)))
    for name, work in clusterings(x, arguments.vectors, arguments.seed):
        centers, spent = seconds(work)
        distance = float(1 - nearest_center(x, unit_rows(centers).astype(np.float32))[1].mean())
        line = {"layer": arguments.layer, "rows": len(x), "vectors": len(centers)}
        print(json.dumps({**line, "by": name, "distance": distance, "seconds": spent}), flush=True)


def clusterings(x: NDArray[Any], count: int, seed: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Ways to find so many centres, by name."""
    options = {"bisecting_strategy": "largest_cluster", "random_state": seed}
    yield "ours", lambda: bisecting(x, count, seed=seed).centers
    yield "sklearn", lambda: BisectingKMeans(count, **options).fit(x).cluster_centers_
    yield "kmeans", lambda: spherical_kmeans(x, count, seed=seed, most=30).centers
    place = np.random.default_rng(seed).permutation(len(x))[:count]
    yield "exemplars", lambda: x[place]


def stability(arguments: argparse.Namespace) -> None:
    """Vectors that come back, by method."""
    fitted = rows(arguments.cache, FITTED, arguments.layer)
    for method in arguments.methods:
        vectors = nc.ConceptVectors(method, vectors=arguments.vectors, validation=0.0).fit(fitted)
        for cosine in (0.7, 0.9):
            told = nc.concept_stability(vectors, fitted, cosine=cosine, progress=False)
            found = {n: round(float(told[n]), 4) for n in told if not told[n].ndim}
            median = round(float(told.stability.median()), 4), round(float(told.chance.median()), 4)
            line = {"layer": arguments.layer, "method": method, "cosine": cosine}
            print(json.dumps({**line, **found, "median stability, chance": median}), flush=True)


def made_rows(count: int, channels: int, parts: int) -> NDArray[np.float32]:
    """Sums of a few of many directions, and noise."""
    random = np.random.default_rng(0)
    base = random.normal(size=(parts, channels)).astype(np.float32)
    found = np.empty((count, channels), np.float32)
    for start in range(0, count, 4096):
        size = len(found[start : start + 4096])
        loads = np.maximum(random.normal(size=(size, parts)) - 1.5, 0).astype(np.float32)
        noise = 0.3 * random.standard_normal((size, channels), np.float32)
        found[start : start + size] = loads @ base + noise
    return found


def speed(arguments: argparse.Namespace) -> None:
    """Milliseconds a row."""
    x = made_rows(10 * arguments.vectors, arguments.channels, 3 * arguments.channels)
    u = np.asarray(unit_rows(x - x.mean(0)))
    atoms = bisecting(u, arguments.vectors, seed=0).centers
    some = (x - x.mean(0))[: arguments.scored]
    few = some[: max(10, arguments.scored // 10)].astype(float)
    for active in arguments.active:
        _, ours = seconds(lambda a=active: pursuit(some, atoms, a))
        options = {"algorithm": "omp", "n_nonzero_coefs": active}
        _, theirs = seconds(lambda o=options: sparse_encode(few, atoms.astype(float), **o))
        line = {"active": active, "ours_ms": 1e3 * ours / len(some)}
        print(json.dumps({**line, "sklearn_ms": 1e3 * theirs / len(few)}), flush=True)


def large(arguments: argparse.Namespace) -> None:
    """Seconds and peak memory of the largest layer of the paper, stage by stage."""
    x = made_rows(arguments.rows, arguments.channels, 1024)
    told("rows", 0.0)
    units, spent = seconds(lambda: directions(x - x.mean(0)))
    told("directions", spent)
    centers, spent = seconds(partial(bisecting, units, arguments.vectors, seed=0, overwrite=True))
    told(f"{len(centers.centers)} vectors", spent)
    some = x[: arguments.scored] - x.mean(0)
    _, spent = seconds(lambda: pursuit(some, centers.centers, 12))
    told(f"codes of {len(some)} rows", spent)


def told(stage: str, spent: float) -> None:
    """Print a stage with its CPU seconds and the peak memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps({"stage": stage, "seconds": round(spent, 1), "peak_gb": round(peak, 2)}),
        flush=True,
    )


def parser() -> argparse.ArgumentParser:
    """Words of the command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path("../shared")
    made.add_argument("what", choices=WORDS)
    made.add_argument("--weights", type=Path, default=shared / "networks")
    made.add_argument("--photos", type=Path, default=shared / "data/photos-ccby")
    made.add_argument("--cache", type=Path, default=Path("concept-vectors"))
    made.add_argument("--out", type=Path, default=Path("table.jsonl"))
    made.add_argument("--fitted", type=int, default=850)
    made.add_argument("--held", type=int, default=150)
    made.add_argument("--per-image", type=int, default=24)
    made.add_argument("--by", default="contribution", help="draw of the rows that are fitted")
    made.add_argument("--only", nargs="+", default=[*HELD, "fitted"])
    made.add_argument("--most", type=int, help="vectors of a layer, at most")
    made.add_argument("--layers", nargs="+", default=[*PAPER])
    made.add_argument("--layer", default="layer3.0")
    made.add_argument(
        "--methods", nargs="+", default=["bisecting", "exemplars", "kmeans", "random", "pca"]
    )
    made.add_argument("--vectors", type=int, default=2048)
    made.add_argument("--channels", type=int, default=2048)
    made.add_argument("--rows", type=int, default=50_000)
    made.add_argument("--scored", type=int, default=300)
    made.add_argument("--active", type=int, nargs="+", default=[5, 11, 31])
    made.add_argument("--seed", type=int, default=0)
    return made


def main(words: list[str] | None = None) -> None:
    """Run what was asked for."""
    arguments = parser().parse_args(words)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    torch.set_grad_enabled(True)
    globals()[arguments.what](arguments)


if __name__ == "__main__":
    main()
