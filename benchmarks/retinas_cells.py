"""Clusters of cells against the true types of simulated retinas, seed by seed and layer by layer.

    python benchmarks/retinas_cells.py --models simulated-retina:0 /path/to/retina-1:1 ...

Each model is a trained retina (a folder, or a name that `nc.load_model` knows), then a colon and
the seed of the simulated retina that it was trained on. Everything else is the default pipeline:
contributions by integrated gradients in 20 steps to the population's surprisal, ten modes per
channel, rank correlation of loadings with rates, standardised over the cells, k-means, number of
clusters by silhouette. Nothing is told the true types or their number; beside the choice stand the
figures of plain correlations and of other patterns (k by silhouette), and in brackets those of the
true number of clusters. The patterns were chosen on the seeds 0 to 2.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import xarray as xr

import neurocodec as nc
from neurocodec.cells.correlate import Transform

PATTERNS: dict[str, tuple[Transform | None, bool]] = {
    "default": ("rank", True),
    "rank": ("rank", False),
    "sqrt": ("sqrt", False),
    "plain": (None, False),
}
"""Name -> transform of loadings and rates, and whether modes are standardised over the cells."""


def at_the_size_of(net: nc.Network, stimulus: xr.DataArray) -> xr.DataArray:
    """Movie at the resolution of a model, which may be half of the simulated retina's."""
    factor = stimulus.sizes["y"] // (net.input_shape or stimulus.shape)[-1]
    small = stimulus.coarsen(y=factor, x=factor).mean()
    return stimulus if factor == 1 else small.drop_vars(["y", "x"], errors="ignore")


def loadings_of(model: str, seed: int, duration: float, cache: Path | None) -> xr.DataTree:
    """Loadings (time, mode) of every layer, and `firing_rate` (time, cell) with the true types."""
    path = None if cache is None else cache / f"cells-{Path(model).name}-{seed}-{duration:g}.nc"
    if path is not None and path.exists():
        return nc.open(path)
    net = nc.load_model(model)
    movie = nc.simulate_retina(seed=seed, duration=duration, repeats=1)
    stimulus = at_the_size_of(net, movie["stimulus"])
    rates = nc.respond(net, stimulus, progress=False)
    types = dict(zip(movie["cell"].values.tolist(), movie["cell_type"].values, strict=True))
    names = [types[name] for name in rates["cell"].values.tolist()]
    rates = rates.assign_coords(cell_type=("cell", names))
    tree = nc.contributions(
        net,
        stimulus,
        target=nc.targets.Surprisal.fit(rates),
        method=nc.methods.IntegratedGradients(steps=20),
        progress=False,
    )
    nodes = {"/rates": rates.to_dataset(name="firing_rate")}
    for layer in tree.children:
        modes = nc.SparseModes(expansion=10, seed=0, progress=False).fit(tree[layer])
        nodes[f"/{layer}"] = modes.loadings.to_dataset(name="loading")
    found = xr.DataTree.from_dict(nodes)
    if path is not None:
        nc.save(found, path)
    return found


def scores(loadings: xr.DataArray, rates: xr.DataArray, permutations: int) -> dict[str, Any]:
    """Agreement with the true types: of the default choice, and of others beside it."""
    types, found = rates["cell_type"], {}
    for name, (transform, standardise) in PATTERNS.items():
        corr = nc.correlate(loadings, rates, transform=transform)
        chosen = nc.cluster_cells(corr, standardise=standardise)
        true_k = nc.cluster_cells(corr, k=len(set(types.values.tolist())), standardise=standardise)
        found[name] = (
            int(chosen["n_clusters"]),
            float(nc.cluster_agreement(chosen, types)),
            float(nc.cluster_agreement(true_k, types)),
        )
    corr = nc.correlate(loadings, rates, transform="rank")
    clusters = nc.cluster_cells(corr, standardise=True, references=19)
    agreement = nc.cluster_agreement(clusters, types, permutations=permutations)
    stability = nc.cluster_stability(loadings, rates, resamples=30)
    return found | {
        "p": float(agreement["p_value"]),
        "structure": float(clusters["p_value"]),
        "stability": float(stability["stability"].mean()),
        "clusters": clusters,
    }


def report(model: str, seed: int, tree: xr.DataTree, permutations: int) -> dict[str, list[float]]:
    """Print one retina; adjusted Rand indices by transform."""
    rates = tree["rates"]["firing_rate"]
    layers = [name for name in tree.children if name != "rates"]
    results = {layer: scores(tree[layer]["loading"], rates, permutations) for layer in layers}
    for layer, found in results.items():
        cells = [f"k={found[n][0]} ARI {found[n][1]:.2f} ({found[n][2]:.2f})" for n in PATTERNS]
        print(
            f"{Path(model).name:18s} seed {seed} {layer}: " + " | ".join(cells),
            f"| p {found['p']:.3f} structure p {found['structure']:.2f}"
            f" stability {found['stability']:.2f}",
            flush=True,
        )
    both = nc.cluster_agreement(*(results[layer]["clusters"] for layer in layers[:2]))
    print(f"{'':18s} seed {seed} agreement of {' and '.join(layers[:2])}: ARI {float(both):.2f}")
    return {name: [found[name][1] for found in results.values()] for name in PATTERNS}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["simulated-retina:0"], metavar="MODEL:SEED")
    parser.add_argument("--duration", type=float, default=30.0, help="of the movie, in seconds")
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--cache", type=Path, help="folder for loadings, to run again quickly")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    if options.cache is not None:
        options.cache.mkdir(parents=True, exist_ok=True)
    print("patterns: " + ", ".join(PATTERNS) + "; k by silhouette")
    print("in brackets: ARI with the true number of clusters given")
    found: dict[str, list[list[float]]] = {name: [] for name in PATTERNS}
    for text in options.models:
        model, _, seed = text.rpartition(":")
        start = time.perf_counter()
        tree = loadings_of(model, int(seed), options.duration, options.cache)
        for name, values in report(model, int(seed), tree, options.permutations).items():
            found[name].append(values)
        print(f"{'':18s} {time.perf_counter() - start:.0f} s", flush=True)
    for name, values in found.items():
        retinas = [median(v) for v in values]
        print(
            f"{name:6s} median over {len(values)} simulated retinas: ARI {median(retinas):.2f}"
            f" (lowest {min(retinas):.2f}); by layer "
            + ", ".join(f"{median(column):.2f}" for column in zip(*values, strict=True))
        )


if __name__ == "__main__":
    main()
