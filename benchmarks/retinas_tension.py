"""Whether a model's excitation and inhibition of ganglion cells are those of the true circuit.

    python benchmarks/retinas_tension.py simulated-retina:0 circuit:0 --seconds 10

No recording has the answer: the simulated retina has currents, from its bipolar cells and from its
amacrine cells, of which the model, fitted to spikes, has seen none. E+ and E- of every cell, before
its last nonlinearity, by the first layer after its rectification, over a movie; correlation over
time with the true currents, and the share of the moments with the largest tension, min(E+, E-),
whose true currents are both above their medians (by chance: what the currents themselves have).

`circuit:SEED` is no model but the circuit itself, as a network from what bipolar cells release on.
What is found there is what the method can tell; what a fitted model lacks of it, the model lacks.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

import neurocodec as nc
from neurocodec.simulation.circuit import AMACRINE, GAIN_POOL, POOLING
from neurocodec.simulation.filters import gamma, pool
from neurocodec.simulation.retina import draw_retina

WAYS = {
    "ActGrad from 0": (nc.methods.ActGrad(), None),
    "ActGrad from grey": (nc.methods.ActGrad(), "zeros"),
}
"""Method, and where it starts."""
TIMES = 250
"""About so many at most."""
TENSE = 0.05
"""Share of the moments that are called tense."""


def measured(name: str, seed: int, seconds: float) -> None:
    """One retina and its model."""
    net = nc.load_model(name)
    net = nc.Network(
        net.module,
        {"bipolar": "layer1.rectification", "sum": nc.Layer("readout.nonlinearity", at="input")},
        history=net.history,
        frame_rate=net.frame_rate,
    )
    movie = nc.simulate_retina(seed, repeats=1, duration=seconds).stimulus
    true = draw_retina(seed).circuit.respond(movie.values)
    if net.module.config.size[0] < movie.sizes["y"]:  # one of `retinas_truth.py --fit`
        movie = movie.coarsen(y=2, x=2).mean()
    places = np.arange(net.history - 1, movie.sizes["time"])
    told(name, net, movie, true, places[:: max(1, len(places) // TIMES)])


def told(name: str, net: nc.Network, movie: xr.DataArray, true: Any, last: np.ndarray) -> None:
    """Print what is found of a network whose samples stand at these places of the movie."""
    cells = true.drive.shape[1]
    target = nc.targets.Features("sum", channels=list(range(cells)))
    for way, (method, baseline) in WAYS.items():
        call = {"target": target, "method": method, "baseline": baseline, "progress": False}
        if net.history is not None:
            call["times"] = movie["time"].values[last]
        found = nc.tension(net, movie, "bipolar", **call)
        plus, minus = true.excitation[last], true.inhibition[last]
        rows = np.array(
            [scores(found.isel(feature=c), plus[:, c], minus[:, c]) for c in range(cells)]
        )
        mid = np.nanmedian(rows, 0)
        print(
            f"{name}, {way}: r E+ {mid[0]:.2f}, E- {mid[1]:.2f}; with the other current"
            f" {mid[2]:.2f}, {mid[3]:.2f}; tense moments with both above the median"
            f" {mid[4]:.2f}, by chance {mid[5]:.2f}; f with the true drive"
            f" {mid[6]:.2f} (medians over {cells} cells)"
        )


class Circuit(nn.Module):
    """The simulated circuit from what its bipolar cells release to the drive of ganglion cells."""

    # of windows (sample, lag * type * place), the newest lag last

    def __init__(self, circuit: Any) -> None:
        super().__init__()
        self.circuit, self.types = circuit, [*circuit.bipolars]
        self.bipolar, self.sum = nn.ReLU(), nn.Identity()  # what they release is not below 0
        kinds = [circuit.ganglions[name] for name in circuit.cell_type]
        rows = [*zip(kinds, circuit.positions, strict=True)]
        near = [pooled(circuit, at[None], k.pooling, k.excitation, self.types) for k, at in rows]
        around = [
            pooled(circuit, at[None], k.lateral, k.inhibition, circuit.amacrines) for k, at in rows
        ]
        self.plus, self.minus = torch.stack(near), torch.stack(around)  # (cell, type, place)

    def forward(self, x: Tensor) -> Tensor:
        """Drive (sample, cell)."""
        release = self.bipolar(x).reshape(len(x), AMACRINE, len(self.types), -1)
        amacrine = torch.stack([self.heard(release, name) for name in self.circuit.amacrines], 1)
        gain = amacrine[:, [*self.circuit.amacrines].index(GAIN_POOL), None]
        now = release[:, -1] / (1 + self.circuit.gain_control * gain)
        return self.sum(
            torch.einsum("sbp,cbp->sc", now, self.plus)
            - torch.einsum("sap,cap->sc", amacrine, self.minus)
        )

    def heard(self, release: Tensor, name: str) -> Tensor:
        """Activity (sample, place) of an amacrine type."""
        cell, places = self.circuit.amacrines[name], self.circuit.lattice
        weights = torch.tensor([cell.inputs.get(n, 0.0) for n in self.types])
        pool_of = pool(places.astype(float), places, cell.pooling, POOLING)
        kernel = gamma(AMACRINE, cell.delay, order=1)[::-1].copy()
        total = torch.einsum("slbp,b->slp", release, weights) @ torch.from_numpy(pool_of)
        return torch.einsum("slp,l->sp", total, torch.from_numpy(kernel).float())


def pooled(circuit: Any, at: np.ndarray, sigma: float, weights: dict, names: Any) -> Tensor:
    """(type, place) by which a ganglion cell hears others."""
    one = torch.from_numpy(pool(circuit.lattice.astype(float), at, sigma, POOLING)[:, 0])
    return torch.stack([weights.get(name, 0.0) * one for name in names])


def constructed(seed: int, seconds: float) -> None:
    """One circuit, at some times; its drive has to be what the circuit's is."""
    circuit = draw_retina(seed).circuit
    movie = nc.simulate_retina(seed, repeats=1, duration=seconds).stimulus
    true = circuit.respond(movie.values)
    release = [np.maximum(x - circuit.bipolars[n].threshold, 0) for n, x in true.bipolar.items()]
    windows = np.lib.stride_tricks.sliding_window_view(np.stack(release, 1), AMACRINE, axis=0)
    places = np.arange(0, len(windows), max(1, len(windows) // TIMES))
    shown = np.moveaxis(windows[places], -1, 1).reshape(len(places), -1)
    stimulus = xr.DataArray(shown.astype("float32"), dims=("stimulus", "feature"))
    last = places + AMACRINE - 1
    net = nc.Network(Circuit(circuit).eval(), {"bipolar": "bipolar", "sum": "sum"})
    drive = nc.respond(net, stimulus, progress=False)
    error = float(np.abs(drive.values - true.drive[last]).max())
    told(f"circuit:{seed} (drive to {error:.0e})", net, stimulus, true, last)


def scores(found: xr.Dataset, plus: np.ndarray, minus: np.ndarray) -> tuple[float, ...]:
    """Correlations with the true currents, and the share of tense moments that are."""
    e, i = found.excitation.values, found.inhibition.values
    both = (plus > np.median(plus)) & (minus > np.median(minus))
    order = np.argsort(np.minimum(e, i))[-max(1, round(TENSE * len(e))) :]
    r = np.corrcoef([e, i, plus, minus])
    drive = np.corrcoef(found.target.values, plus - minus)[0, 1]
    return r[0, 2], r[1, 3], r[0, 3], r[1, 2], both[order].mean(), both.mean(), drive


def main() -> None:
    """Measure models, each of a retina of known seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL:SEED", help="or circuit:SEED")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    for text in options.models:
        name, _, seed = text.rpartition(":")
        if name == "circuit":
            constructed(int(seed), options.seconds)
        else:
            measured(name, int(seed), options.seconds)


if __name__ == "__main__":
    main()
