"""How well simulated interneurons are found among the channels and modes of retina models.

    python benchmarks/retinas_interneurons.py simulated-retina models/retina-1 ... --seconds 120

Each model was trained on the spikes of ganglion cells of one simulated retina (its seed is the
number at the end of its name, 0 where there is none) and never saw an interneuron. It is shown
natural scenes that it was not trained on; the voltages of the retina's bipolar and amacrine cells
are compared with its units. All correlations are on held-out time; one table a retina, one column
an interneuron type (mean of its cells) and the median of all 28, and the median over all retinas.

    python benchmarks/retinas_interneurons.py simulated-retina --seconds 30 --truth

How many of the 28 could exceed all three nulls: the true circuit's own cells (all bipolar and
amacrine cells of the lattice) are searched in the place of the model's units, against the nulls of
the model; and the same without the cells at the places that were recorded, the nearest of which is
then two pixels away.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.network import Network
from neurocodec.simulation.retina import draw_retina
from neurocodec.simulation.silencing import recorded_places

SETTINGS = {
    "single units": {"pooling": (0,), "rectified": False},
    "+ rectified": {"pooling": (0,)},
    "+ pooled": {},
}
"""What is searched beside the units of each layer as captured."""


def seed_of(name: str) -> int:
    """Seed of the retina that a model was trained on."""
    found = re.search(r"-(\d+)$", Path(name).name)
    return int(found[1]) if found else 0


def types(found: xr.DataTree) -> dict[str, float]:
    """Mean correlation of each interneuron type, and the median of all interneurons."""
    by_type = found["correlation"].groupby("interneuron_cell_type").mean()
    means = dict(zip(by_type.interneuron_cell_type.values.tolist(), by_type.values, strict=True))
    return {**means, "median": float(found["correlation"].median())}


def modes_of(net: Network, movie: xr.Dataset) -> dict[str, float]:
    """Held-out correlation with mode loadings, best layer of each interneuron."""
    target = nc.targets.Surprisal.fit(nc.respond(net, movie.stimulus))
    tree = nc.contributions(net, movie.stimulus, target=target, progress=False)
    fitted = {layer: nc.SparseModes(progress=False).fit(tree[layer]) for layer in net.layers}
    loadings = {layer: modes.loadings for layer, modes in fitted.items()}
    found = nc.compare_interneurons(net, movie, modes=loadings, chance=0, progress=False)
    nodes = [found["modes"][layer] for layer in net.layers]
    selected = np.stack([node["correlation_selected"].values for node in nodes])
    held_out = np.stack([node["correlation"].values for node in nodes])
    best = np.take_along_axis(held_out, selected.argmax(axis=0)[None], axis=0)[0]
    return types(xr.DataTree(xr.Dataset({"correlation": found["correlation"].copy(data=best)})))


def rows(model: str, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, float], str]]:
    """Name of what was searched, figures, and remarks."""
    net, seed = nc.load_model(model), seed_of(model)
    movie = nc.simulate_retina(seed, duration=options.seconds, repeats=1)
    for name, settings in SETTINGS.items():
        start = time.perf_counter()
        chance = options.chance if not settings else 0
        found = nc.compare_interneurons(net, movie, chance=chance, progress=False, **settings)
        remarks = f"selected {float(found.correlation_selected.median()):.3f}"
        remarks += f", {time.perf_counter() - start:.0f} s"
        if chance:
            level, largest = float(found.chance_correlation.median()), float(found.p_value.max())
            remarks += f", chance (95 %) {level:.3f}, largest p {largest:.3f}"
        yield name, types(found), remarks
        if not settings:
            y = found.unit_y_center - found.interneuron_y_center
            x = found.unit_x_center - found.interneuron_x_center
            yield "  distance (pixels)", {"median": float(np.hypot(y, x).median())}, ""
    if options.modes:
        yield "modes", modes_of(net, movie), ""


def circuit_cells(movie: xr.Dataset, seed: int, *, recorded: bool) -> xr.DataArray:
    """Voltages of all interneurons of the true circuit, or of those at no recorded place."""
    circuit = draw_retina(seed).circuit
    answers = circuit.respond(movie.stimulus.values)
    kept = np.ones(len(circuit.lattice), bool)
    kept[recorded_places(circuit)] = recorded
    rows = [x[:, kept] for x in (*answers.bipolar.values(), *answers.amacrine.values())]
    coords = {"time": movie.time}
    return xr.DataArray(np.concatenate(rows, axis=1), coords, ("time", "mode"), name="loading")


def truth(net: Network, seed: int, seconds: float) -> None:
    """Print how many interneurons exceed each null, by the model and by the true circuit."""
    movie = nc.simulate_retina(seed, duration=seconds, repeats=1)
    first, second = net.layers  # names only: cells of the circuit take the place of their modes
    nodes = {"model": "/", "true": f"modes/{first}", "true, other places": f"modes/{second}"}
    since = net.history - 1
    cells = {
        first: circuit_cells(movie, seed, recorded=True)[since:],
        second: circuit_cells(movie, seed, recorded=False)[since:],
    }
    found = nc.compare_interneurons(net, movie, modes=cells, progress=False)
    ends = found.control_interval.isel(bound=-1).transpose("control", "interneuron").values
    groups = found.interneuron_cell_type.str.contains("bipolar").values
    for name, node in nodes.items():
        above = found[node].correlation.values > ends
        each = dict(zip(found.control.values.tolist(), above.sum(axis=1).tolist(), strict=True))
        every = above.all(axis=0)
        print(f"  {name:20s} {each}, all {every.sum()} of {every.size}", end="")
        print(f" ({every[groups].sum()} of {groups.sum()} bipolar cells)", flush=True)
    linear = found.control_correlation.sel(control="linear").values[groups]
    print(f"  linear filter of bipolar cells {linear.min():.2f} to {linear.max():.2f}")


def main(arguments: list[str]) -> None:
    """Print one table for each model, and the median over all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["simulated-retina"])
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the movie")
    parser.add_argument("--chance", type=int, default=0, help="circular shifts")
    parser.add_argument("--modes", action="store_true", help="also fit modes")
    parser.add_argument("--truth", action="store_true", help="only how many could exceed the nulls")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    medians: dict[str, list[float]] = {}
    for model in options.models:
        print(f"{model}, {options.seconds:g} s of natural scenes, simulated")
        if options.truth:
            truth(nc.load_model(model), seed_of(model), options.seconds)
            continue
        for name, figures, remarks in rows(model, options):
            texts = (f"{kind.replace(' bipolar', '')} {x:.2f}" for kind, x in figures.items())
            print(f"  {name:20s}", " | ".join(texts), "|", remarks, flush=True)
            medians.setdefault(name, []).append(figures["median"])
    for name, values in medians.items():
        each = " ".join(f"{x:.3f}" for x in values)
        print(f"{name:22s} median over {len(values)} retinas {np.median(values):.3f}: {each}")


if __name__ == "__main__":
    main(sys.argv[1:])
