"""Sparse modes measured: planted modes, the bundled retina, CIFAR ResNet-56, and time.

    python benchmarks/modes.py planted --seeds 0 1 2 --threads 1
    python benchmarks/modes.py retina --cache DIR
    python benchmarks/modes.py cifar --cache DIR
    python benchmarks/modes.py time --cache DIR --threads 2
    python benchmarks/modes.py time --device cuda

Each prints a markdown table of figures measured in that run, and `--out FILE.json` writes them.
`SparseModes` is fitted with its defaults but for the number of modes. *authors' recipe* is the
autoencoder of the CODEC authors, see `authors_recipe.py`; it is run here, not quoted. Rows of
networks are kept in `--cache`.

- R2: per feature, on rows that no fit has seen; L0: active modes of such a row.
- alive: part of the modes that are active on some row.
- recovered: part of the planted modes that are found at cosine >= 0.9, matched by the Hungarian
  method; replicated: the same for the alive modes of one seed in another, over all pairs.
- `time`: seconds of a whole fit of ours bound the time to any R2 below its own. The recipe's own
  threshold of 0.9 is reached by no unit at the start on 16 channels, so that nothing is learned;
  the same recipe with a threshold of 0.6 is run beside it.
- class r: per alive mode the largest correlation with a class indicator, median over modes; on
  held-out rows and on all rows.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import authors_recipe
import torch
from authors_recipe import RESNET50, RETINA, Recipe
from mode_baselines import BASELINES
from mode_rows import Split, cifar_rows, excitatory, retina_rows, retina_tree
from mode_scores import (
    REPLICATED,
    Decomposition,
    Matrix,
    Ours,
    Row,
    alive_modes,
    as_text,
    averaged,
    class_correlation,
    machine,
    quality,
    rebuilt,
    replication,
    table,
)

from neurocodec.errors import NeurocodecWarning
from neurocodec.kernels.matching import match_modes
from neurocodec.kernels.scores import r2, r2_pooled
from neurocodec.simulation.planted import planted_rows

Fit = Callable[[Matrix, int], Decomposition]
"""Rows and a seed -> a decomposition."""


class Case(NamedTuple):
    """A competitor on one set of rows."""

    name: str
    fit: Fit
    split: Split


def planted(options: argparse.Namespace) -> list[Row]:
    """Planted modes: how many come back."""
    count, channels = options.rows or 5000, options.channels or 64
    fits: dict[str, Fit] = {"SparseModes": _ours("stimulus", options, options.modes / channels)}
    fits |= {name: _baseline(make, options.modes) for name, make in BASELINES.items()}
    rows = list[Row]()
    for name, fit in _wanted(fits, options).items():
        found = list[Row]()
        for seed in options.seeds:
            x, truth = planted_rows(
                count * 6 // 5, channels, options.modes, active=5, noise=0.1, seed=seed
            )
            found.append(_recovery(fit, Split(f"planted {seed}", x, count), truth, seed))
        rows.append({"": name, "seeds": len(found), **averaged(found)})
        _say(rows[-1])
    return rows


def _wanted(fits: dict[str, Fit], options: argparse.Namespace) -> dict[str, Fit]:
    return {name: fit for name, fit in fits.items() if not options.only or name in options.only}


def _recovery(fit: Fit, split: Split, truth: Matrix, seed: int) -> Row:
    fitted, held = split.parts
    model, seconds = _timed(partial(fit, fitted, seed))
    cosine = match_modes(truth, model.dictionary)[1]
    recovered = float((cosine >= REPLICATED).mean())
    figures = quality(model, fitted, held)
    dead = 1 - float(alive_modes(model, fitted).mean())
    return {"recovered": recovered, "dead": dead, **figures, "seconds": seconds}


def _ours(dim: str, options: argparse.Namespace, expansion: float | None = None) -> Fit:
    """`SparseModes` with its defaults, but for the number of modes where one is given."""
    settings = {} if expansion is None else {"expansion": expansion}
    return lambda rows, seed: Ours(rows, dim, seed=seed, device=options.device, **settings)


def _baseline(make: Callable[[Matrix, int, int], Decomposition], modes: int) -> Fit:
    return lambda rows, seed: make(rows, modes, seed)


def retina(options: argparse.Namespace) -> list[Row]:
    """Contributions of the bundled retina model, both layers."""
    tree = retina_tree(options.cache, options.duration)
    layers = {str(name): excitatory(node) for name, node in tree.children.items()}
    splits = [Split(name, x, round(0.9 * len(x))) for name, x in layers.items()]
    fits: dict[str, Fit] = {
        "SparseModes": _ours("time", options),
        "authors' recipe": _authors(RETINA, options),
    }
    return _over_seeds(fits, splits, options)


def cifar(options: argparse.Namespace) -> list[Row]:
    """Contributions and activations of ResNet-56 on CIFAR-10 test images."""
    splits = cifar_rows(options.cache, images=options.images, fitted=round(0.8 * options.images))
    if splits is None:
        print("skipped: the weights of ResNet-56 are not there, see mode_rows.SHARED")
        return []
    fits: dict[str, Fit] = {
        "SparseModes": _ours("stimulus", options, 3),
        "authors' recipe": _authors(RESNET50, options),
    }
    return _over_seeds(fits, splits, options)


def _over_seeds(
    fits: dict[str, Fit], splits: Sequence[Split], options: argparse.Namespace
) -> list[Row]:
    """Every fit on every set of rows, over all seeds."""
    rows = list[Row]()
    for split in splits:
        for name, fit in _wanted(fits, options).items():
            rows.append(_replicated(Case(name, fit, split), options.seeds))
            _say(rows[-1])
    return rows


def _replicated(case: Case, seeds: Sequence[int]) -> Row:
    """Figures of one competitor, means over its fits, and how alike its fits are."""
    split = case.split
    fitted, held = split.parts
    figures, dictionaries = list[Row](), list[Matrix]()
    for seed in seeds:
        model, seconds = _timed(partial(case.fit, fitted, seed))
        alive = alive_modes(model, split.rows)
        dictionaries.append(model.dictionary[alive])
        classes = _classes(model, split, alive)
        figures.append({**quality(model, fitted, held), **classes, "seconds": seconds})
    again = replication(dictionaries) if len(seeds) > 1 else {}
    return {"rows": split.name, "": case.name, "seeds": len(seeds), **averaged(figures), **again}


def _classes(model: Decomposition, split: Split, alive: Matrix) -> Row:
    """Correlations of the alive modes with classes, where the rows have them."""
    if split.classes is None or not alive.any():
        return {}
    loadings = model.loadings(split.rows)[:, alive]
    held = slice(split.fitted, None)
    return {
        "class r held out": class_correlation(loadings[held], split.classes[held]),
        "class r all": class_correlation(loadings, split.classes),
    }


def _authors(recipe: Recipe, options: argparse.Namespace) -> Fit:
    epochs = options.epochs or recipe.epochs
    return lambda rows, seed: authors_recipe.fit(
        rows, replace(recipe, seed=seed, epochs=epochs), device=options.device
    )


def duration(options: argparse.Namespace) -> list[Row]:
    """Seconds of a whole fit against those of the authors' recipe, at more than one threshold."""
    wide = options.device.startswith("cuda") or options.channels is not None
    split = _wide_rows(options) if wide else retina_rows(options.cache, options.rows or 6000)
    recipe, thresholds = (RESNET50, (0.8,)) if wide else (RETINA, (0.9, 0.6))
    recipe = replace(recipe, epochs=options.epochs or recipe.epochs, seed=options.seeds[0])
    recipe = replace(recipe, expansion=options.expansion or recipe.expansion)
    fit = _ours("stimulus" if wide else "time", options, recipe.expansion)
    fitted, held = split.parts
    ours, seconds = _timed(partial(fit, fitted, recipe.seed))
    figures = quality(ours, fitted, held)
    rows: list[Row] = [
        {"rows": split.name, "": "SparseModes, whole fit", **figures, "seconds": seconds}
    ]
    _say(rows[-1])
    for threshold in options.thresholds or thresholds:
        rows.append(
            _recipe_row(split, replace(recipe, threshold=threshold), options.device, rows[0])
        )
        _say(rows[-1])
    return rows


def _recipe_row(split: Split, recipe: Recipe, device: str, ours: Row) -> Row:
    """Figures of the recipe, and its seconds as multiples of those of the whole fit of ours."""
    found, course = _watched(split, recipe, device)
    last, seconds = course[-1], float(ours["seconds"])
    first = next(c.seconds for c in course if c.r2 >= last.r2)
    reached = float(ours["R2"]) >= last.r2 and float(ours["R2 pooled"]) >= last.r2_pooled
    return {
        "rows": split.name,
        "": f"authors' recipe, threshold {recipe.threshold:g}, {recipe.epochs} epochs",
        **quality(found, *split.parts),
        "seconds": last.seconds,
        "seconds to its R2": first,
        "ours reaches its R2": "yes" if reached else "no",
        "seconds / ours": last.seconds / seconds,
        "seconds to its R2 / ours": first / seconds,
    }


class Moment(NamedTuple):
    """Seconds of training so far, and the R2 of held-out rows then, per feature and pooled."""

    seconds: float
    r2: float
    r2_pooled: float


def _wide_rows(options: argparse.Namespace) -> Split:
    """Simulated rows for a GPU: as many planted modes as channels, a tenth of the rows held out."""
    count, channels = options.rows or 50_000, options.channels or 2048
    active = min(32, channels)
    x, _ = planted_rows(
        count * 10 // 9, channels, channels, active=active, noise=0.1, seed=options.seeds[0]
    )
    return Split(f"simulated, {count} x {channels}", x.astype("float32"), count)


def _watched(
    split: Split, recipe: Recipe, device: str
) -> tuple[authors_recipe.Fitted, list[Moment]]:
    """Run the recipe and follow its R2."""
    fitted, held = split.parts
    course = list[Moment]()

    def watch(model: authors_recipe.Fitted, _epoch: int) -> None:
        made = rebuilt(model, held)
        course.append(Moment(model.seconds, r2(held, made), r2_pooled(held, made)))

    return authors_recipe.fit(fitted, recipe, device=device, watch=watch), course


def _timed(make: Callable[[], Decomposition]) -> tuple[Decomposition, float]:
    start = time.perf_counter()
    made = make()
    return made, time.perf_counter() - start


def _say(row: Row) -> None:
    """Show a line as soon as it is measured; the table is printed at the end."""
    print("  ".join(f"{k} {as_text(x)}" for k, x in row.items()), file=sys.stderr, flush=True)


@contextmanager
def _few_warnings() -> Iterator[None]:
    """Leave out what a benchmark knows: too few passes of a baseline, fewer rows than modes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurocodecWarning)
        warnings.filterwarnings("ignore", module="sklearn")
        yield


COMMANDS = {"planted": planted, "retina": retina, "cifar": cifar, "time": duration}


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("command", choices=COMMANDS)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--only", nargs="+", metavar="NAME", help="competitors, by their names in the table")
    add("--epochs", type=int, help="of the authors' recipe (its own number)")
    add("--rows", type=int, help="rows that are simulated, or taken of the retina's")
    add("--channels", type=int, help="of simulated rows (planted: 64, time on a GPU: 2048)")
    add("--modes", type=int, default=96, help="of planted rows (%(default)s)")
    add("--thresholds", type=float, nargs="+", help="time: of the authors' recipe")
    add("--expansion", type=float, help="time: modes per channel (the recipe's)")
    add("--duration", type=float, help="retina: seconds of the movie (all)")
    add("--images", type=int, default=10_000, help="cifar: test images, of which 4/5 are fitted")
    add("--device", default="cpu")
    add("--threads", type=int, help="of torch (all cores)")
    add("--cache", type=Path, default=Path(tempfile.gettempdir()) / "neurocodec-benchmarks")
    add("--out", type=Path, help="JSON file")
    return made


def _known(value: str | float) -> str | float | None:
    """NaN is not JSON."""
    return None if isinstance(value, float) and math.isnan(value) else value


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    options = parser().parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.cache.mkdir(parents=True, exist_ok=True)
    where = machine(options.device)
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    with _few_warnings():
        rows = COMMANDS[options.command](options)
    if rows:
        print("\n" + table(rows))
    if options.out:
        settings = {k: str(value) for k, value in vars(options).items()}
        known = [{k: _known(x) for k, x in row.items()} for row in rows]
        found = {"machine": where, "settings": settings, "rows": known}
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
