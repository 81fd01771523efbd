"""Whether modes of contributions, by each method, are the pathways that a network was built of.

    OMP_NUM_THREADS=1 python benchmarks/planted_pathways.py --seeds 0 1 2 3 4 5 6 7 8 9

A retina has no planted modes; these small networks have. A pathway is a group of channels that one
feature of the stimulus drives (weights a) and that feed one subunit of the answer together (weights
b): the subunit is silent below a threshold that one channel alone seldom reaches. Answers of three
cells saturate. Six pathways feed the answer and share channels; three more are driven alike, on
channels of their own, and feed nothing. Every frame of the movie has each feature with probability
0.2, and noise in all pixels. Everything is drawn anew with the seed.

Modes (one per channel) are fitted to contributions to the summed answer by each method, and to
activations. A pathway comes back where a mode has a cosine of at least 0.9 with its planted vector:
a b for contributions (what passes through each channel to the answer), a for activations (how the
feature drives each). Chance is the same for planted vectors whose channels were permuted, mean of
20 permutations. Means over draws with the 95 % interval of Student's t.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from retinas_truth import METHODS, QUIET, interval
from torch import nn

import neurocodec as nc
from neurocodec.kernels.matching import match_modes

Matrix = NDArray[np.float64]

FED, IDLE, GROUP = 6, 3, 4
CHANNELS = (18, 9)
"""Of the pathways that feed the answer, and of those that feed nothing."""
SIDE, CELLS = 6, 3
FOUND, PERMUTATIONS = 0.9, 20
REFERENCE = "integrated gradients, input path"
"""The method that others are compared with."""


@dataclass(frozen=True)
class Planted:
    """One network and what was planted in it; idle pathways come last."""

    net: nc.Network
    features: Matrix  # (pathway, pixel), orthonormal
    drive: Matrix  # a (pathway, channel)
    read: Matrix  # b (pathway, channel), 0 of idle pathways

    def movie(self, frames: int, noise: float, random: np.random.Generator) -> xr.DataArray:
        """Features at random, with noise (time, y, x)."""
        shape = (frames, len(self.features))
        strength = (random.random(shape) < 0.2) * (0.3 + random.gamma(4.0, 0.25, shape))
        pixels = strength @ self.features
        pixels += noise * random.standard_normal(pixels.shape)
        values = pixels.reshape(frames, SIDE, SIDE).astype("float32")
        coords = {"time": ("time", np.arange(frames) / 100, {"units": "s"})}
        return xr.DataArray(values, coords, ("time", "y", "x"))


def groups(count: int, channels: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Channels of each group (group, channel), drawn without replacement."""
    order = [random.permutation(channels)[:GROUP] for _ in range(count)]
    return np.stack([np.isin(np.arange(channels), one) for one in order])


def planted(seed: int, *, threshold: float = 0.1, bar: float = 0.5) -> Planted:
    """Draw a network; `threshold` of its channels, `bar` of its subunits."""
    random = np.random.default_rng([seed, 0])
    fed, idle = (groups(n, c, random) for n, c in zip((FED, IDLE), CHANNELS, strict=True))
    member = np.block(
        [
            [fed, np.zeros((FED, CHANNELS[1]), bool)],
            [np.zeros((IDLE, CHANNELS[0]), bool), idle],
        ]
    )
    drive = member * (0.3 + random.exponential(0.7, member.shape))
    read = member * (0.3 + random.exponential(0.7, member.shape))
    # the subunit of a pathway gets 1 where its feature is 1
    read[:FED] /= (drive * read)[:FED].sum(axis=1, keepdims=True)
    read[FED:] = 0
    features = np.linalg.qr(random.standard_normal((SIDE**2, FED + IDLE)))[0].T
    heard = random.random((CELLS, FED)) < 0.5
    heard[random.integers(CELLS, size=FED), np.arange(FED)] = True  # no pathway is without a cell
    layers = [
        linear(drive.T @ features, -threshold),
        linear(read[:FED], -bar),
        linear(heard.astype(float), 0.0),
    ]
    module = nn.Sequential(
        nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2], nn.Tanh()
    )
    shape = (SIDE, SIDE)
    net = nc.Network(module, {"channels": "2"}, history=1, input_shape=shape, name="pathways")
    return Planted(net, features, drive, read)


def linear(weight: Matrix, bias: float) -> nn.Linear:
    """A layer of given weights (output, input)."""
    made = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(weight))
        made.bias.fill_(bias)
    return made


def back(truth: Matrix, modes: Matrix, random: np.random.Generator | None = None) -> float:
    """Number of planted vectors that are among the modes; of permuted ones where it is random."""
    if random is None:
        return float((match_modes(truth, modes)[1] >= FOUND).sum())
    every = [random.permuted(truth, axis=1) for _ in range(PERMUTATIONS)]
    return float(np.mean([back(one, modes) for one in every]))


def scores(truth: Matrix, idle: Matrix, rows: xr.DataArray, seed: int) -> dict[str, float]:
    """What of the planted is among the modes of rows."""
    modes = nc.SparseModes(expansion=1, seed=seed, **QUIET).fit(rows).dictionary.values
    random = np.random.default_rng([seed, 2])
    return {
        "pathways": back(truth, modes),
        "by chance": back(truth, modes, random),
        "cosine": float(match_modes(truth, modes)[1].mean()),
        "idle": back(idle, modes),
    }


def draw(seed: int, frames: int, noise: float) -> dict[str, dict[str, float]]:
    """All figures of one network, by method."""
    made = planted(seed)
    movie = made.movie(frames, noise, np.random.default_rng([seed, 1]))
    through, idle = (made.drive * made.read)[:FED], made.drive[FED:]
    found: dict[str, dict[str, float]] = {}
    hidden: Any = None
    for name, method in METHODS.items():
        call = {"target": nc.targets.Sum(), "method": method, **QUIET}
        layer = nc.contributions(made.net, movie, **call)["channels"]
        found[name] = scores(through, idle, layer.contribution, seed)
        hidden = layer.activation
    found["activation"] = scores(made.drive[:FED], idle, hidden, seed)
    found["activation, against a b"] = scores(through, idle, hidden, seed)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(10)])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--noise", type=float, default=0.1, help="of a pixel; a feature is about 1")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, results = time.process_time(), []
    for seed in options.seeds:
        results.append(draw(seed, options.frames, options.noise))
        print(f"# seed {seed}: {results[-1]}", flush=True)
    print(f"\n{len(results)} networks, {time.process_time() - start:.0f} CPU s")
    keys = [*results[0]["activation"]]
    print(f"\n| | {' | '.join(keys)} | {REFERENCE} find more |\n|---{'|---' * (len(keys) + 1)}|")
    for name in results[0]:
        columns = {k: np.array([one[name][k] for one in results]) for k in keys}
        more = [one[REFERENCE]["pathways"] for one in results] - columns["pathways"]
        print(f"| {name} | {' | '.join(map(interval, columns.values()))} | {interval(more)} |")


if __name__ == "__main__":
    main()
