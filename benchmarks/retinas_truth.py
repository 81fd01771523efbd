"""What silencing a type of cell does to a retina, and who knows it beforehand.

    python benchmarks/retinas_truth.py simulated-retina:0 --seconds 10
    python benchmarks/retinas_truth.py --fit 1 2 3 --seconds 10 --keep retinas

No recording has the answer: the simulated retina sees the same movie again while one type of its
bipolar or amacrine cells transmits nothing, and the change of every ganglion cell's rate is the
truth. A model of the intact retina, which never saw an interneuron, says it by ablating a channel
(at every position, to what it is at a grey screen). First table, correlation over time of both
changes, mean over the cells that change: for the channel that correlates best with the recorded
cells of the type ("matched"), for channels at random (mean over all), for the channel that moves
most, for the mean change of all ablations, and for the best of all channels, which needs the truth.
Second table: correlation over time of the matched channel's contribution to the summed rate, by
each method, with the loss of that rate. Intervals are Student's t, also of the
difference to channels at random in the first table. Types that excite ganglion cells directly stand
apart from those that act through amacrine cells.

The matched mode is the one (of one mode per channel, fitted to the contributions by integrated
gradients) whose loading correlates best with the cells of the type; its channels of at least half
of the largest weight are ablated together.

`--fit` fits models of further retinas first, on movies at half the resolution (25 x 25 pixels).
With `--keep` the models and the results of every retina stay in a folder: a run goes on where an
earlier one stopped, and the tables are of all retinas in it that have the same lengths of movies,
so that ten can be done one after another.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import t as student

import neurocodec as nc
from neurocodec.network import Network
from neurocodec.simulation.circuit import AMACRINES, BIPOLARS, GANGLIONS

METHODS = {
    "integrated gradients, input path": nc.methods.IntegratedGradients(steps=20),
    "integrated gradients, hidden path": nc.methods.IntegratedGradients(steps=20, path="hidden"),
    "ActGrad": nc.methods.ActGrad(),
    "InputGrad": nc.methods.InputGrad(),
    "SmoothGrad": nc.methods.SmoothGrad(samples=8),
}
QUIET = {"progress": False}
Changes = dict[tuple[str, int], NDArray[np.float64]]


def simulated(seed: int, *, coarse: bool, **options: object) -> xr.Dataset:
    """A recording, at half the resolution where that is wanted."""
    data = nc.simulate_retina(seed, repeats=1, **options)
    if not coarse:
        return data
    small = data.stimulus.coarsen(y=2, x=2).mean()
    return data.drop_vars(["stimulus", "y", "x"]).assign(stimulus=small.drop_vars(["y", "x"]))


def fitted(seed: int, seconds: float, keep: Path | None) -> Network:
    """A model of the retina of a seed, fitted to its rates, or kept from an earlier run."""
    place = None if keep is None else keep / f"model-{seed}-{seconds:g}"
    if place is not None and (place / "fit.nc").exists():
        return nc.load_model(str(place))
    parts = {
        "train": simulated(seed, coarse=True, split="train", duration=seconds)[
            ["stimulus", "firing_rate"]
        ],
        "test": simulated(seed, coarse=True, duration=5.0)[["stimulus", "firing_rate"]],
    }
    tree = xr.DataTree.from_dict(parts)
    options = {"channels": (8, 8), "epochs": 15, "segments": "all", "seed": seed, "out": place}
    fit = nc.fit_retina(tree, **options, **QUIET)
    print(f"# seed {seed}: held-out r {float(fit.scores.correlation.median()):.2f}", flush=True)
    return fit.network


def at_grey(net: Network, layer: str) -> tuple[float, ...]:
    """What every channel is at a grey screen, mean over positions."""
    seen: list[torch.Tensor] = []
    hook = net.module.get_submodule(net.layers[layer].module).register_forward_hook(
        lambda _module, _args, output: seen.append(output)
    )
    with torch.no_grad():
        net.module(torch.zeros(1, net.history, *net.input_shape))
    hook.remove()
    return tuple(seen[0][0].flatten(1).mean(dim=1).tolist())


def ablations(net: Network, movie: xr.DataArray, rates: NDArray[np.float64]) -> Changes:
    """Change (time, cell) of the rates where a channel of a layer stays as at a grey screen."""
    found = {}
    for layer in net.layers:
        grey = at_grey(net, layer)
        for channel in range(len(grey)):
            with nc.ablate(net, layer, [channel], fill=grey) as without:
                found[layer, channel] = nc.respond(without, movie, **QUIET).values - rates
    return found


def matched(
    net: Network, recording: xr.Dataset, kind: str, modes: dict[str, nc.SparseModes]
) -> tuple[tuple[str, int], tuple[str, int]]:
    """Channel, and mode, that correlate best with the cells of a type, mean over the cells."""
    cells = recording.isel(interneuron=recording.interneuron_cell_type.values == kind)
    options = {"chance": 0, "controls": (), "rectified": False, "block": 2.5}
    loadings = {layer: fit.loadings for layer, fit in modes.items()}
    found = nc.compare_interneurons(net, cells, None, loadings, **options, **QUIET)
    best = {
        (layer, channel): float(value)
        for layer in net.layers
        for channel, value in enumerate(
            found[layer].correlation_map.max(["y", "x"]).mean("interneuron").values
        )
    }
    of_modes = {
        (layer, mode): float(value)
        for layer in loadings
        for mode, value in enumerate(
            found[f"modes/{layer}"].mode_correlation.mean("interneuron").fillna(-1).values
        )
    }
    return max(best, key=best.__getitem__), max(of_modes, key=of_modes.__getitem__)


def silenced_mode(
    net: Network, movie: xr.DataArray, modes: nc.SparseModes, layer: str, mode: int
) -> NDArray[np.float64]:
    """Rates (time, cell) where the channels of a mode stay as at a grey screen."""
    weights = np.abs(modes.dictionary.isel(mode=mode).values)
    channels = np.flatnonzero(weights >= weights.max() / 2).tolist()
    with nc.ablate(net, layer, channels, fill=at_grey(net, layer)) as without:
        return np.asarray(nc.respond(without, movie, **QUIET).values)


def alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation over time, mean over the cells that change; 0 where the other does not."""
    a, b = (x - x.mean(axis=0) for x in (one, other))
    power = (b**2).sum(axis=0)
    used = power > 1e-6 * max(power.max(), 1e-12)
    norm = np.sqrt((a**2).sum(axis=0) * power)
    r = np.divide((a * b).sum(axis=0), norm, out=np.zeros_like(norm), where=norm > 0)
    return float(r[used].mean())


def retina(
    net: Network, seed: int, seconds: float, *, coarse: bool
) -> Iterator[tuple[str, dict[str, float], dict[str, float]]]:
    """Each type, what ablations say of its silence, and what contributions say."""
    options = {"seed": seed, "coarse": coarse, "duration": seconds}
    recording = simulated(**options)
    movie, since = recording.stimulus, net.history - 1
    rates = nc.respond(net, movie, **QUIET).values
    changes = ablations(net, movie, rates)
    trees = {
        name: nc.contributions(net, movie, target=nc.targets.Sum(), method=method, **QUIET)
        for name, method in METHODS.items()
    }
    whole = trees["integrated gradients, input path"]
    modes = {k: nc.SparseModes(expansion=1, seed=seed, **QUIET).fit(whole[k]) for k in net.layers}
    moved = {}
    for layer, channel in changes:
        h = trees["ActGrad"][layer].activation.isel(channel=channel)
        moved[layer, channel] = float(h.std())
    for kind in (*BIPOLARS, *AMACRINES):
        silent = simulated(**options, silence=kind)
        true = (silent.firing_rate - recording.firing_rate).values[since:].astype(float)
        found, (behind, mode) = matched(net, recording, kind, modes)
        without = silenced_mode(net, movie, modes[behind], behind, mode) - rates
        every = {key: alike(x, true) for key, x in changes.items()}
        ablated = {
            "matched": every[found],
            "matched mode": alike(without, true),
            "at random": float(np.mean([*every.values()])),
            "moves most": every[max(moved, key=lambda key: moved[key])],
            "mean change": alike(np.mean([*changes.values()], axis=0), true),
            "best (needs the truth)": max(every.values()),
        }
        loss, (layer, channel) = -true.sum(axis=1, keepdims=True), found
        said = {
            name: alike(_rows(tree[layer].contribution, channel), loss)
            for name, tree in trees.items()
        }
        said["activation"] = alike(_rows(trees["ActGrad"][layer].activation, channel), loss)
        loading = modes[behind].loadings.isel(mode=mode).values[:, None]
        said["loading of the matched mode"] = alike(loading.astype(float), loss)
        said["ablation"] = alike(-changes[found].sum(axis=1, keepdims=True), loss)
        yield kind, ablated, said


def _rows(array: xr.DataArray, channel: int) -> NDArray[np.float64]:
    rows = array.isel(channel=channel)
    rows = rows.sum("sign") if "sign" in rows.dims else rows
    return np.asarray(rows.values, dtype=float).reshape(len(rows), -1).sum(axis=1, keepdims=True)


def interval(values: NDArray[np.float64]) -> str:
    """Mean with the 95 % interval of Student's t."""
    reach = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.2f} ({values.mean() - reach:.2f} to {values.mean() + reach:.2f})"


def found(
    name: str, seed: int, options: argparse.Namespace, *, coarse: bool
) -> list[dict[str, Any]]:
    """Rows of one retina, a type each; read where they are kept."""
    keep, lengths = options.keep, f"{options.fit_seconds:g}-{options.seconds:g}"
    own = f"retina-{Path(name).name or 'fitted'}-{seed}-{lengths}.json"
    if keep is not None and (keep / own).exists():
        return json.loads((keep / own).read_text("utf-8"))
    start = time.process_time()
    net = fitted(seed, options.fit_seconds, keep) if coarse else nc.load_model(name)
    rows = []
    for kind, one, other in retina(net, seed, options.seconds, coarse=coarse):
        print(f"# seed {seed} {kind}: " + ", ".join(f"{k} {x:.2f}" for k, x in one.items()))
        print("#    " + ", ".join(f"{k} {x:.2f}" for k, x in other.items()), flush=True)
        rows.append({"kind": kind, "ablated": one, "said": other})
    print(f"# seed {seed}: {time.process_time() - start:.0f} CPU s", flush=True)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / own).write_text(json.dumps(rows), "utf-8")
    return rows


def main(arguments: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL:SEED")
    parser.add_argument("--fit", type=int, nargs="*", default=[], metavar="SEED")
    parser.add_argument("--fit-seconds", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--keep", type=Path, help="folder of models and results to go on with")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    work = [(name.rpartition(":"), False) for name in options.models]
    work += [(("", "", str(seed)), True) for seed in options.fit]
    results = {}
    for (name, _, seed), coarse in work:
        results[f"{name or 'fitted'}-{seed}"] = found(name, int(seed), options, coarse=coarse)
    if options.keep is not None:  # all that there is, also of earlier runs
        lengths = f"{options.fit_seconds:g}-{options.seconds:g}"
        kept = sorted(options.keep.glob(f"retina-*-{lengths}.json"))
        results = {path.stem: json.loads(path.read_text("utf-8")) for path in kept}
    rows = [row for one in results.values() for row in one]
    whose = np.repeat(np.arange(len(results)), [len(one) for one in results.values()])
    kinds, ablated, said = ([row[k] for row in rows] for k in ("kind", "ablated", "said"))
    print(f"\n{len(results)} retinas, {len(ablated)} types")
    direct = {name for cell in GANGLIONS.values() for name in cell.excitation}
    excite = np.array([kind in direct for kind in kinds])
    for title, chosen in (("all types", excite | True), ("exciting", excite), ("others", ~excite)):
        print(f"\n{title}: {chosen.sum()}")
        table("channel that is ablated, r with the true change", ablated, chosen, whose)
        table("matched channel, r with the loss of the summed rate", said, chosen, whose)


def table(
    title: str, rows: list[dict[str, float]], chosen: NDArray[np.bool_], whose: NDArray[np.intp]
) -> None:
    """Print means over some of the types, and of the differences to one of the rows."""
    base = next(name for name in ("at random", "activation") if name in rows[0])
    print(f"\n| {title} | mean | less {base} |\n|---|---|---|")
    columns = {name: np.array([row[name] for row in rows])[chosen] for name in rows[0]}
    whose = whose[chosen]
    if len({*whose}) >= 3:
        columns = {
            name: np.array([values[whose == one].mean() for one in np.unique(whose)])
            for name, values in columns.items()
        }
    for name, values in columns.items():
        print(f"| {name} | {interval(values)} | {interval(values - columns[base])} |")


if __name__ == "__main__":
    main(sys.argv[1:])
