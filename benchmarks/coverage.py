"""Whether intervals hold what they say, and whether noise is told from noise: simulations.

    python benchmarks/coverage.py
    python benchmarks/coverage.py --only hoyer area --sizes 20 --repeats 2000
    python benchmarks/coverage.py --only above_chance

Prints three markdown tables: how often a 95 % interval holds the true value, how often a p-value of
0.05 or a chance level is reached where there is nothing, and which part of the modes of
`nc.mode_stability` is above chance, of independent channels and of planted modes. Rows of data are
drawn from distributions whose value is known by hand, or from 400,000 rows. With `--repeats 400` a
figure of 0.95 has a standard error of 0.011.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from mode_scores import Row, say, table
from numpy.typing import NDArray
from scipy.signal import lfilter

import neurocodec as nc
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.kernels.lagged import (
    Choice,
    LaggedSums,
    circular_shifts,
    exceedance,
    interleaved_halves,
)
from neurocodec.perturbation.summary import Summary, Tally
from neurocodec.simulation.planted import planted_rows

Array = NDArray[np.float64]
Random = np.random.Generator

MANY = 400_000
"""Rows from which a true value is taken where there is no formula."""
CATEGORIES = 10
FRACTIONS = np.array([0.0, 0.1, 0.3, 0.6, 1.0])
CHANNELS = 8
LEAST = 40
"""Responses that 19 circular shifts need."""


class Case(NamedTuple):
    """A statistic of one kind of data."""

    name: str
    data: str
    found: Callable[[int, int, Random], Array]  # (n, repeats, random) -> whether it held (repeats,)


def inside(ends: Any, true: float) -> Array:
    """Whether intervals (2, repeats) hold the true value."""
    low, high = np.asarray(ends)
    return np.asarray((low <= true) & (true <= high), dtype=float)


# means

KINDS: dict[str, tuple[Callable[[Random, tuple[int, int]], Array], float]] = {
    "normal": (lambda r, shape: r.standard_normal(shape), 0.0),
    "uniform": (lambda r, shape: r.random(shape), 0.5),
    "exponential": (lambda r, shape: r.exponential(size=shape), 1.0),
    "log-normal": (lambda r, shape: np.exp(r.standard_normal(shape)), float(np.exp(0.5))),
    "exponential, 0 in half": (lambda r, s: r.exponential(size=s) * (r.random(s) < 0.5), 0.5),
}


def slow(random: Random, shape: tuple[int, int], keep: float) -> Array:
    """Columns of mean 0 whose neighbours correlate by `keep`."""
    noise = random.standard_normal((shape[0] + 200, shape[1]))
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=0)[200:])


def of_mean(kind: str, n: int, repeats: int, random: Random) -> Array:
    """`nc.statistics.hoyer`, `nc.compare_localisation`: means over images."""
    draw, true = KINDS[kind]
    return inside(mean_intervals(draw(random, (n, repeats)), 1000, 0.95, 0)[1:3], true)


def of_movie(keep: float, n: int, repeats: int, random: Random) -> Array:
    """The same of frames."""
    rows = slow(random, (n, repeats), keep)
    return inside(mean_intervals(rows, 1000, 0.95, 0, series=True)[1:3], 0.0)


# statistics over layers: every layer is a repeat


def trees(layers: dict[str, dict[str, Any]], coords: dict[str, Any] | None = None) -> xr.DataTree:
    """Layers as results of `nc.contributions` hold them."""
    root = xr.Dataset(coords=coords or {})
    return xr.DataTree.from_dict({"/": root} | {n: xr.Dataset(x) for n, x in layers.items()})


def weights(random: Random, size: int) -> Array:
    """Contributions (image, channel) that are sparser in some images than in others."""
    power = 1.0 + 2.0 * random.random((size, 1))
    return (
        random.choice([-1.0, 1.0], (size, CHANNELS))
        * random.exponential(size=(size, CHANNELS)) ** power
    )


def plain_hoyer(x: Array) -> Array:
    """As Hoyer writes it."""
    root = np.sqrt(x.shape[1])
    return np.asarray((root - abs(x).sum(1) / np.sqrt((x**2).sum(1))) / (root - 1))


def of_hoyer(n: int, repeats: int, random: Random) -> Array:
    """`nc.statistics.hoyer`, difference of contributions and activations."""
    dims = ("stimulus", "channel")
    layers = {
        f"/layer{i}": {
            "contribution": (dims, weights(random, n)),
            "activation": (dims, random.exponential(size=(n, CHANNELS))),
        }
        for i in range(repeats)
    }
    found = nc.statistics.hoyer(trees(layers))
    many = weights(random, MANY), random.exponential(size=(MANY, CHANNELS))
    true = plain_hoyer(many[0]).mean() - plain_hoyer(many[1]).mean()
    return inside(found["difference_interval"].transpose("bound", "layer"), true)


def both_signs(random: Random, size: int) -> Array:
    """Sizes (image, sign, channel) that go together over images, and over channels."""
    shared = random.exponential(size=(size, 1, CHANNELS))
    channel = np.random.default_rng(1).gamma(4.0, 0.25, (2, CHANNELS))
    return np.asarray(channel * (shared + random.exponential(size=(size, 2, CHANNELS))))


def of_signs(over: str, n: int, repeats: int, random: Random) -> Array:
    """`nc.statistics.sign_correlation`."""
    flip, dims = np.array([[1.0], [-1.0]]), ("stimulus", "sign", "channel")
    layers = {
        f"/layer{i}": {
            "contribution": (dims, flip * both_signs(random, n), {}),
            "sign": ("sign", ["excitatory", "inhibitory"]),
        }
        for i in range(repeats)
    }
    found = nc.statistics.sign_correlation(trees(layers), over=over)  # type: ignore[arg-type]
    return inside(
        found["sign_correlation_interval"].transpose("bound", "layer"), true_signs(over, random)
    )


def true_signs(over: str, random: Random) -> float:
    """Of very many images."""
    x = both_signs(random, MANY)
    if over == "stimulus":
        return float(np.mean([np.corrcoef(x[:, 0, c], x[:, 1, c])[0, 1] for c in range(CHANNELS)]))
    rows = x if over == "channel" else x.mean(axis=0, keepdims=True)
    rows = rows - rows.mean(axis=2, keepdims=True)
    norm = np.sqrt((rows**2).sum(axis=2)).prod(axis=1)
    return float(((rows[:, 0] * rows[:, 1]).sum(axis=1) / norm).mean())


def ratio(x: Array) -> float:
    """Participation ratio of rows."""
    values = np.linalg.eigvalsh(np.cov(x.T))
    return float(values.sum() ** 2 / (values**2).sum())


def of_dimensions(n: int, repeats: int, random: Random) -> Array:
    """`nc.statistics.dimensionality` of samples: the value that n samples have on average."""
    scale = np.linspace(0.3, 2.0, CHANNELS)
    draw = lambda: scale * random.standard_normal((n, CHANNELS))  # noqa: E731
    dims = ("stimulus", "channel")
    layers = {f"/layer{i}": {k: (dims, draw()) for k in BOTH} for i in range(repeats)}
    found = nc.statistics.dimensionality(trees(layers), classes=None)
    true = np.mean([ratio(draw()) for _ in range(20_000)])
    ends = found["participation_ratio_interval"].sel(kind="activation", points="sample")
    return inside(ends.transpose("bound", "layer"), float(true))


BOTH = ("contribution", "activation")


def of_class_means(n: int, repeats: int, random: Random) -> Array:
    """The same of the means of ten classes of n samples each, over samples of these classes."""
    centre = 2.0 * np.random.default_rng(5).standard_normal((CATEGORIES, 1, CHANNELS))
    draw = lambda: centre + random.standard_normal((CATEGORIES, n, CHANNELS))  # noqa: E731
    dims = ("stimulus", "channel")
    layers = {
        f"/layer{i}": {k: (dims, draw().reshape(-1, CHANNELS)) for k in BOTH}
        for i in range(repeats)
    }
    names = np.repeat([f"class {i}" for i in range(CATEGORIES)], n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = nc.statistics.dimensionality(trees(layers, {"label": ("stimulus", names)}))
    true = np.mean([ratio(draw().mean(axis=1)) for _ in range(5000)])
    ends = found["participation_ratio_interval"].sel(kind="activation", points="class_mean")
    return inside(ends.transpose("bound", "layer"), float(true))


# concepts


def of_median(n: int, repeats: int, random: Random) -> Array:
    """`nc.concept_scores`: median over n units of their correlation with a class."""
    rows, held = 200, np.zeros(repeats)
    member = np.arange(rows) < rows // 2
    masks = xr.DataArray(member[:, None], {"category": ["a"]}, ("stimulus", "category"))
    for i in range(repeats):
        strength = random.exponential(size=n)
        x = member[:, None] * strength + random.standard_normal((rows, n))
        dims = ("stimulus", "channel")
        tree = trees({"/layer": dict.fromkeys(BOTH, (dims, x))})
        found = nc.concept_scores(tree, masks, permutations=0, sign="net", seed=i)
        ends = found["summary/median_interval"].sel(kind="activation_channel").values.ravel()
        # r of a unit of strength s: s / sqrt(s^2 + 4), and of the median strength log 2
        true = np.log(2) / np.sqrt(np.log(2) ** 2 + 4)
        held[i] = inside(ends[:, None], float(true))[0]
    return held


def of_concepts(what: str, n: int, repeats: int, random: Random) -> Array:
    """`nc.concept_scores` where no unit has anything to do with a class."""
    held = np.zeros(repeats)
    masks = random.random((n, 5)) < 0.3
    masks[:2] = [[True], [False]]
    named = xr.DataArray(masks, {"category": [*"abcde"]}, ("stimulus", "category"))
    for i in range(repeats):
        x, dims = random.exponential(size=(n, CHANNELS)), ("stimulus", "channel")
        tree = trees({"/layer": dict.fromkeys(BOTH, (dims, x))})
        found = nc.concept_scores(tree, named, bootstrap=0, seed=i)
        node = found["layer/activation_channel"]
        if what == "p_value":
            held[i] = (node["p_value"] <= 0.05).any()
        else:
            level = found["summary/chance_maximum"].sel(kind="activation_channel")
            held[i] = (node["max_correlation"] > float(level.item())).any()
    return held


# perturbation


def answers(random: Random, n: int, categories: int = CATEGORIES) -> list[list[Tally]]:
    """Of a ranking, and of a random one with three orders: target and off-target images."""
    found = []
    for fall in (3.0, 1.0):
        some = []
        for _ in range(categories):
            right = 0.6 + 0.4 * random.random()
            steep = np.stack(
                [np.full(3, fall) * random.gamma(4.0, 0.25), random.gamma(4.0, 0.375, 3)]
            )
            stays = np.exp(-FRACTIONS[:, None] * steep[:, None])  # (ranking, fraction, draw)
            plain = random.random(n) < right
            luck = random.random((2, 1, 3, n))
            luck[0] = luck[0, :, :1]  # one order is one perturbation
            kept = plain & (luck < stays[..., None])
            some.append(Tally(kept[None], np.tile(plain, (3, 1)), np.ones((3, n), bool)))
        found.append(some)
    return found


def truth() -> tuple[Array, float]:
    """Mean curves (ranking, fraction, group) and difference of areas, by the gamma law."""
    fall = lambda scale: (1 + FRACTIONS * scale) ** -4.0  # noqa: E731
    curves = np.array([[fall(0.75), fall(0.25)], [fall(0.375), fall(0.375)]]).swapaxes(1, 2)
    below = np.trapezoid(curves, FRACTIONS, axis=1)
    area = (below[:, 1] - below[:, 0]) / below[:, 1]
    return curves, float(area[1] - area[0])


def of_curves(what: str, n: int, repeats: int, random: Random) -> Array:
    """`nc.perturbation_curve`: n images of each of ten categories."""
    held, (curves, difference) = np.zeros(repeats), truth()
    for i in range(repeats):
        summary = Summary(answers(random, n), ("ablate",), FRACTIONS, 0.95, 400, i, (1, 3))
        found = summary.variables()
        if what == "area_difference":
            held[i] = inside(found["area_difference_interval"][1][0, 1][:, None], difference)[0]
        else:
            ends = found["mean_normalized_accuracy_interval"][1][0, :, 2]
            held[i] = inside(ends[int(what), 0][:, None], curves[int(what), 2, 0])[0]
    return held


def of_accuracy(ranking: int, n: int, repeats: int, random: Random) -> Array:
    """Accuracy of one category under a ranking, and over all orders under a random one."""
    held = np.zeros(repeats)
    right, steep, orders = 0.8, 1.5, 1 if ranking == 0 else 3
    for i in range(repeats):
        steeps = np.full(3, steep) if ranking == 0 else random.gamma(4.0, 0.375, 3)
        plain = random.random(n) < right
        luck = random.random((1, 1, 1, 3, n))
        luck = luck[..., :1, :] if ranking == 0 else luck
        kept = plain & (luck < np.exp(-0.6 * steeps)[:, None])
        tally = Tally(kept, np.tile(plain, (3, 1)), np.ones((3, n), bool))
        pair = [[tally], [tally]]
        found = Summary(pair, ("ablate",), FRACTIONS[:1], 0.95, 1, i, (orders,)).variables()
        stays = np.exp(-0.6 * steep) if ranking == 0 else (1 + 0.6 * 0.375) ** -4.0
        held[i] = inside(found["accuracy_interval"][1].ravel()[:2][:, None], right * stays)[0]
    return held


# cells and time


def of_clusters(kind: str, n: int, repeats: int, random: Random) -> Array:
    """`nc.cluster_cells` of n cells of one type."""
    held = np.zeros(repeats)
    mixed = np.random.default_rng(3).standard_normal((3, 3))
    for i in range(repeats):
        if kind == "normal":
            x = random.standard_normal((3, n))
        else:
            x = np.tanh(mixed @ random.exponential(size=(3, n)))
        patterns = xr.DataArray(x, dims=("mode", "cell"))
        found = nc.cluster_cells(patterns, k_max=4, references=19, seed=i)
        held[i] = float(found["p_value"]) <= 0.05
    return held


def of_agreement(n: int, repeats: int, random: Random) -> Array:
    """`nc.cluster_agreement` of labels that have nothing in common."""
    held = np.zeros(repeats)
    for i in range(repeats):
        one, other = (xr.DataArray(random.integers(4, size=n), dims="cell") for _ in range(2))
        found = nc.cluster_agreement(one, other, permutations=99, seed=i)
        held[i] = float(found["p_value"]) <= 0.05
    return held


def of_fields(keep: float, n: int, repeats: int, random: Random) -> Array:
    """`nc.field_variance` of fields that have nothing to do with the loadings."""
    space = slow(random, (n, repeats * 4), keep).reshape(n, repeats, 1, 2, 2)
    fields = xr.DataArray(space, dims=("time", "cell", "lag", "y", "x"))
    loadings = xr.DataArray(slow(random, (n, 3), keep), dims=("time", "mode"))
    found = nc.field_variance(fields, loadings, regressor="loading", shuffles=39)
    return np.asarray(found["p_value"].values <= 0.05, dtype=float)


def of_interneurons(keep: float, n: int, repeats: int, random: Random) -> Array:
    """`nc.compare_interneurons`: best of 50 units of which none has to do with the cell."""
    held = np.full(repeats, np.nan)
    for i in range(repeats if n >= LEAST else 0):
        trace, units = slow(random, (n, 1), keep), slow(random, (n, 50), keep)
        halves = interleaved_halves(n, n // 8, 1, margin=1)
        shifts = np.concatenate([[0], circular_shifts(n, 19, 2, i)])
        sums = LaggedSums(trace, halves, np.array([0, 1]), shifts, 50)
        sums.add(0, units)
        mean = Choice.of(sums).held_out.mean(axis=0)
        held[i] = exceedance(mean[0], mean[1:])[0] <= 0.05
    return held


# modes

ROWS: dict[str, Callable[[Random, tuple[int, int]], Array]] = {
    "uniform": lambda r, shape: r.random(shape),
    "normal": lambda r, shape: r.standard_normal(shape),
    "exponential": lambda r, shape: r.exponential(size=shape),
    "sparse": lambda r, shape: r.exponential(size=shape) * (r.random(shape) < 0.2),
}


def of_modes(kind: str, n: int, datasets: int, random: Random) -> float:
    """Modes above chance, of all modes of some data sets of independent channels."""
    signed = kind == "normal"
    found = [
        stable(ROWS[kind](random, (n, CHANNELS)), nc.SparseModes(nonnegative=not signed))
        for _ in range(datasets)
    ]
    return float(np.concatenate(found).mean())


def of_planted_modes(n: int, datasets: int, random: Random) -> float:
    """The same of 48 planted modes of 32 channels, 5 active in a row."""
    found = []
    for _ in range(datasets):
        seed = int(random.integers(1000))
        rows, _ = planted_rows(n, 32, 48, active=5, noise=0.1, seed=seed)
        found.append(stable(rows, nc.SparseModes(expansion=1.5)))
    return float(np.concatenate(found).mean())


def stable(rows: Array, modes: nc.SparseModes) -> Array:
    """Whether each mode is above chance."""
    named = xr.DataArray(rows, dims=("stimulus", "channel"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = nc.mode_stability(named, modes, seeds=3, progress=False)
    return np.asarray(found["above_chance"].values, dtype=float)


def modes_above_chance(datasets: int, sizes: Sequence[int]) -> list[Row]:
    """Lines of the table of modes."""
    cases = {f"independent, {kind}, 8 channels": partial(of_modes, kind) for kind in ROWS}
    rows = list[Row]()
    for name, found in {**cases, "planted, 48 modes, 32 channels": of_planted_modes}.items():
        row: Row = {"above_chance, part of the modes": name}
        for n in sizes:
            row[f"n = {n}"] = found(n, datasets, np.random.default_rng([n, 11]))
        say(row)
        rows.append(row)
    return rows


def cases() -> Iterator[tuple[str, Case]]:
    """All, with the table in which they stand."""
    ci, p = "interval", "p"
    for kind in KINDS:
        yield ci, Case("mean", kind, partial(of_mean, kind))
    for keep in (0.0, 0.5, 0.8):
        yield ci, Case("mean over frames", f"neighbours r = {keep}", partial(of_movie, keep))
    yield ci, Case("hoyer, difference", "sparser in some images", of_hoyer)
    for over in ("channel", "stimulus", "average"):
        yield ci, Case(f"sign_correlation, {over}", "exponential", partial(of_signs, over))
    yield ci, Case("dimensionality, samples", "normal", of_dimensions)
    yield ci, Case("dimensionality, class means", "10 classes of n", of_class_means)
    yield ci, Case("concept_scores, median", "n units", of_median)
    for i, name in enumerate(("a ranking", "3 random orders")):
        yield ci, Case("accuracy", name, partial(of_accuracy, i))
        yield ci, Case("mean_normalized_accuracy", name, partial(of_curves, str(i)))
    yield ci, Case("area_difference", "random - ranking", partial(of_curves, "area_difference"))
    yield p, Case("concept_scores, p_value", "any of 8 units", partial(of_concepts, "p_value"))
    yield p, Case("concept_scores, chance_maximum", "any of 8 units", partial(of_concepts, "max"))
    yield p, Case("cluster_cells", "normal", partial(of_clusters, "normal"))
    yield p, Case("cluster_cells", "skewed", partial(of_clusters, "skewed"))
    yield p, Case("cluster_agreement", "4 labels", of_agreement)
    for keep in (0.0, 0.8):
        text = f"neighbours r = {keep}"
        yield p, Case("field_variance", text, partial(of_fields, keep))
        yield p, Case("compare_interneurons", text, partial(of_interneurons, keep))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--sizes", nargs="*", type=int, default=[20, 40, 200])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--datasets", type=int, default=3, help="of modes above chance")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for kind, title in (("interval", "held by 95 % intervals"), ("p", "false alarms at 5 %")):
        rows = list[Row]()
        for place, case in cases():
            if place != kind or (options.only and not any(o in case.name for o in options.only)):
                continue
            row: Row = {title: case.name, "data": case.data}
            for n in options.sizes:
                random = np.random.default_rng([n, 7])
                row[f"n = {n}"] = float(np.mean(case.found(n, options.repeats, random)))
            rows.append(row)
            say(row)
        if rows:
            print(table(rows))
    if not options.only or "above_chance" in options.only:
        print(table(modes_above_chance(options.datasets, (100, 300, 1000, 5000))))


if __name__ == "__main__":
    main()
