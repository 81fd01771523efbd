"""Whether a model's excitation and inhibition of ganglion cells are those of the true circuit.

    python benchmarks/retinas_tension.py simulated-retina:0 --seconds 10

No recording has the answer: the simulated retina has currents, from its bipolar cells and from its
amacrine cells, of which the model, fitted to spikes, has seen none. E+ and E- of every cell, before
its last nonlinearity, by the first layer after its rectification, over a movie; correlation over
time with the true currents, and the share of the moments with the largest tension, min(E+, E-),
whose true currents are both above their medians (by chance: what the currents themselves have).
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.simulation.retina import draw_retina

WAYS = {
    "ActGrad": nc.methods.ActGrad(),
    "line, 8 steps": nc.methods.IntegratedGradients(8, path="hidden"),
}
TENSE = 0.05
"""Share of the moments that are called tense."""


def last_sum(net: nc.Network) -> str:
    """Name of the module before the last nonlinearity."""
    names = [n for n, part in net.module.named_modules() if n and not [*part.children()]]
    kinds = (nn.Softplus, nn.Identity, nn.Dropout)
    known = dict(net.module.named_modules())
    while isinstance(known[names[-1]], kinds) or "gain" in names[-1] or "nonlin" in names[-1]:
        names.pop()
    return names[-1]


def measured(name: str, seed: int, seconds: float) -> None:
    """One retina and its model."""
    net = nc.load_model(name)
    rectified = next(n for n, part in net.module.named_modules() if isinstance(part, nn.ReLU))
    net = nc.Network(
        net.module,
        {"bipolar": rectified, "sum": last_sum(net)},
        history=net.history,
        frame_rate=net.frame_rate,
    )
    movie = nc.simulate_retina(seed, repeats=1, duration=seconds).stimulus
    true = draw_retina(seed).circuit.respond(movie.values)
    cells = true.drive.shape[1]
    target = nc.targets.Features("sum", channels=list(range(cells)))
    for way, method in WAYS.items():
        found = nc.tension(net, movie, "bipolar", target=target, method=method, progress=False)
        last = slice(movie.sizes["time"] - found.sizes["time"], None)
        plus, minus = true.excitation[last], true.inhibition[last]
        rows = np.array(
            [scores(found.isel(feature=c), plus[:, c], minus[:, c]) for c in range(cells)]
        )
        told = np.median(rows, 0)
        print(
            f"{name}, {way}: r E+ {told[0]:.2f}, E- {told[1]:.2f}; with the other current"
            f" {told[2]:.2f}, {told[3]:.2f}; tense moments with both above the median"
            f" {told[4]:.2f}, by chance {told[5]:.2f} (medians over {cells} cells)"
        )


def scores(found: xr.Dataset, plus: np.ndarray, minus: np.ndarray) -> tuple[float, ...]:
    """Correlations with the true currents, and the share of tense moments that are."""
    e, i = found.excitation.values, found.inhibition.values
    both = (plus > np.median(plus)) & (minus > np.median(minus))
    order = np.argsort(np.minimum(e, i))[-max(1, round(TENSE * len(e))) :]
    r = np.corrcoef([e, i, plus, minus])
    return r[0, 2], r[1, 3], r[0, 3], r[1, 2], both[order].mean(), both.mean()


def main() -> None:
    """Measure models, each of a retina of known seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL:SEED")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    for text in options.models:
        name, _, seed = text.rpartition(":")
        measured(name, int(seed), options.seconds)


if __name__ == "__main__":
    main()
