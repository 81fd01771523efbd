"""What contributions by each method, and activations, get right of simulated retinas.

    python benchmarks/retinas_truth.py --fit 1 2 3 4 5 6 7 8 9 10 --fit-seconds 90 --keep retinas
    python benchmarks/retinas_methods.py retinas --fit-seconds 90

Models are those that `retinas_truth.py` has fitted to ganglion cells alone and kept. Two questions
to which the simulated retina knows the answer:

- interneurons: of every recorded interneuron the unit (channel and position of either layer) is
  chosen whose contribution to the summed rate correlates best with it in the first half of a movie;
  told is the correlation in the second half, median over the interneurons,
- cell types: modes (one per channel of the second layer) of contributions to the population's
  surprisal; ganglion cells are clustered, into as many clusters as there are types, by the rank
  correlation of their rates with the loadings; told is the adjusted Rand index with the types.

Means over retinas with the 95 % interval of Student's t, and of the differences to activations.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from retinas_truth import METHODS, QUIET, interval, simulated

import neurocodec as nc

Rows = dict[str, NDArray[np.float64]]


def units(tree: xr.DataTree, name: str, layers: list[str]) -> NDArray[np.float64]:
    """All units of all layers (time, unit)."""
    rows = []
    for layer in layers:
        array = tree[layer][name]
        array = array.sum("sign") if "sign" in array.dims else array
        rows.append(np.asarray(array, dtype=float).reshape(array.sizes["time"], -1))
    return np.concatenate(rows, axis=1)


def standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of mean 0 and norm 1; zeros where one does not vary."""
    about = values - values.mean(axis=0)
    norm = np.linalg.norm(about, axis=0)
    return np.divide(about, norm, out=np.zeros_like(about), where=norm > 1e-9 * norm.max())


def found(rows: NDArray[np.float64], recorded: NDArray[np.float64]) -> float:
    """Correlation in the second half of the unit that is best in the first; median over cells."""
    half = len(rows) // 2
    first = standard(rows[:half]).T @ standard(recorded[:half])
    best = first.argmax(axis=0)
    second = (standard(rows[half:][:, best]) * standard(recorded[half:])).sum(axis=0)
    return float(np.median(second))


def types(rows: xr.DataArray | xr.DataTree, rates: xr.DataArray, seed: int) -> float:
    """Agreement of clusters with the true types."""
    signed = isinstance(rows, xr.DataArray)  # activations before the nonlinearity
    kind = {"sign": "excitatory", "nonnegative": False} if signed else {}
    loadings = nc.SparseModes(expansion=1, seed=seed, **kind, **QUIET).fit(rows).loadings
    corr = nc.correlate(loadings, rates, transform="rank")
    count = len(np.unique(rates.cell_type.values))
    chosen = nc.cluster_cells(corr, k=count, standardise=True)
    return float(nc.cluster_agreement(chosen, rates.cell_type))


def retina(net: nc.Network, seed: int, seconds: float) -> dict[str, dict[str, float]]:
    """Both figures of one retina, method by method."""
    recording = simulated(seed, coarse=True, duration=seconds)
    movie, since = recording.stimulus, net.history - 1
    recorded = np.asarray(recording.membrane_potential.transpose("time", ...), float)[since:]
    rates = nc.respond(net, movie)
    rates = rates.assign_coords(cell_type=("cell", recording.cell_type.values))
    layers, surprise = list(net.layers), nc.targets.Surprisal.fit(rates)
    results = {}
    for name, method in METHODS.items():
        call = {"method": method, **QUIET}
        sums = nc.contributions(net, movie, target=nc.targets.Sum(), reduce="none", **call)
        tree = nc.contributions(net, movie, target=surprise, layers=layers[-1:], **call)
        results[name] = {
            "interneurons": found(units(sums, "contribution", layers), recorded),
            "cell types": types(tree[layers[-1]], rates, seed),
        }
        if name == "ActGrad":
            hidden = tree[layers[-1]].activation
            as_rows = hidden.sum([d for d in hidden.dims if d not in ("time", "channel")])
            results["activation"] = {
                "interneurons": found(units(sums, "activation", layers), recorded),
                "cell types": types(as_rows.rename("activation"), rates, seed),
            }
    return results


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keep", type=Path, help="folder that retinas_truth.py has kept models in")
    parser.add_argument("--fit-seconds", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for place in sorted(options.keep.glob(f"model-*-{options.fit_seconds:g}")):
        seed, start = int(place.name.split("-")[1]), time.process_time()
        kept = options.keep / f"methods-{seed}-{options.fit_seconds:g}-{options.seconds:g}.json"
        if not kept.exists():
            rows = retina(nc.load_model(str(place)), seed, options.seconds)
            kept.write_text(json.dumps(rows), "utf-8")
            print(f"# seed {seed}: {time.process_time() - start:.0f} CPU s {rows}", flush=True)
        results.append(json.loads(kept.read_text("utf-8")))
    print(f"\n{len(results)} retinas")
    for what in ("interneurons", "cell types"):
        print(f"\n| {what} | mean | less activation |\n|---|---|---|")
        base = np.array([one["activation"][what] for one in results])
        for name in results[0]:
            values = np.array([one[name][what] for one in results])
            print(f"| {name} | {interval(values)} | {interval(values - base)} |")


if __name__ == "__main__":
    main()
