"""Sparse modes measured: planted modes, the bundled retina, CIFAR ResNet-56, and time.

    python benchmarks/modes.py planted --seeds 0 1 2 --threads 1
    python benchmarks/modes.py retina --cache DIR
    python benchmarks/modes.py cifar --cache DIR
    python benchmarks/modes.py time --cache DIR --threads 2
    python benchmarks/modes.py time --device cuda

Each prints a markdown table of figures measured in that run, and `--out FILE.json` writes them.
`SparseModes` is fitted with its defaults but for the number of modes and what `--preset` and
`--set l2_loading=0.5 epochs=10` change. *authors' recipe* is the
autoencoder of the CODEC authors, see `authors_recipe.py`; it is run here, not quoted. Rows of
networks are kept in `--cache`.

- R2: per feature, on rows that no fit has seen; L0: active modes of such a row.
- alive: part of the modes that are active on some row.
- recovered: part of the planted modes that are found at cosine >= 0.9, matched by the Hungarian
  method; replicated: the same for the alive modes of one seed in another, over all pairs.
- `time`: ours is fitted whole, with more and more epochs, and timed whole (scores included), until
  both R2 (per feature, pooled) are at least the recipe's at its end. The recipe's own threshold of
  0.9 is reached by no unit at the start on 16 channels, so that nothing is learned; the same recipe
  with a threshold of 0.6 is run beside it.
- distinct: part of the modes that is left where of modes within cosine 0.99 one is kept.
- in shuffled: part of the modes of a fit that a fit to the same rows has too, with each channel
  shuffled over the rows, which keeps what each channel does and breaks the combinations.
- class r: per alive mode the largest correlation of its loading with a class indicator on held-out
  rows, median over modes; on or off: of whether it is active.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import authors_recipe
import numpy as np
import torch
from authors_recipe import RESNET50, RETINA, Recipe
from mode_baselines import BASELINES
from mode_rows import Split, cifar_rows, excitatory, retina_tree
from mode_scores import (
    REPLICATED,
    Decomposition,
    Matrix,
    Ours,
    Row,
    alive_modes,
    averaged,
    class_correlation,
    machine,
    quality,
    replication,
    say,
    table,
    timed,
)
from mode_time import duration

from neurocodec.errors import NeurocodecWarning
from neurocodec.kernels.matching import distinct_modes, match_modes
from neurocodec.kernels.splits import held_out
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.simulation.planted import planted_rows

Fit = Callable[[Matrix, int], Decomposition]
"""Rows and a seed -> a decomposition."""


OURS = "SparseModes"


class Case(NamedTuple):
    """A competitor on one set of rows."""

    name: str
    fit: Fit
    split: Split


def planted(options: argparse.Namespace) -> list[Row]:
    """Planted modes: how many come back."""
    count, channels = options.rows or 5000, options.channels or 64
    fits: dict[str, Fit] = {OURS: _ours("stimulus", options, options.modes / channels)}
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
        say(rows[-1])
    return rows


def _wanted(fits: dict[str, Fit], options: argparse.Namespace) -> dict[str, Fit]:
    return {name: fit for name, fit in fits.items() if not options.only or name in options.only}


def _recovery(fit: Fit, split: Split, truth: Matrix, seed: int) -> Row:
    fitted, held = split.parts
    model, seconds = timed(partial(fit, fitted, seed))
    cosine = match_modes(truth, model.dictionary)[1]
    recovered = float((cosine >= REPLICATED).mean())
    figures = quality(model, fitted, held)
    dead = 1 - float(alive_modes(model, fitted).mean())
    return {"recovered": recovered, "dead": dead, **figures, "seconds": seconds}


def _ours(dim: str, options: argparse.Namespace, expansion: float | None = None) -> Fit:
    """`SparseModes` with its defaults, but for the number of modes and what `--set` changes."""
    changes = dict(options.set)
    if expansion is not None:
        changes.setdefault("expansion", expansion)
    config = asdict(SparseConfig.preset(options.preset, **changes))
    return lambda rows, seed: Ours(rows, dim, device=options.device, **{**config, "seed": seed})


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a value as JSON has it, or text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _baseline(make: Callable[[Matrix, int, int], Decomposition], modes: int) -> Fit:
    return lambda rows, seed: make(rows, modes, seed)


def retina(options: argparse.Namespace) -> list[Row]:
    """Contributions of the bundled retina model, both layers."""
    tree = retina_tree(options.cache, options.duration)
    layers = {str(name): excitatory(node) for name, node in tree.children.items()}
    splits = [_blocks_out(name, x) for name, x in layers.items()]
    splits += [Split(f"{name}, last tenth", x, round(0.9 * len(x))) for name, x in layers.items()]
    fits: dict[str, Fit] = {
        OURS: _ours("time", options),
        "authors' recipe": _authors(RETINA, options),
    }
    return _over_seeds(fits, splits, options)


def _blocks_out(name: str, rows: Matrix) -> Split:
    """A tenth of a movie held out in blocks, put last."""
    held = held_out(len(rows), 0.1, seed=0, series=True)
    return Split(f"{name}, blocks", np.concatenate([rows[~held], rows[held]]), int((~held).sum()))


def cifar(options: argparse.Namespace) -> list[Row]:
    """Contributions and activations of ResNet-56 on CIFAR-10 test images."""
    splits = cifar_rows(options.cache, images=options.images, fitted=round(0.8 * options.images))
    if splits is None:
        print("skipped: the weights of ResNet-56 are not there, see mode_rows.SHARED")
        return []
    fits: dict[str, Fit] = {
        OURS: _ours("stimulus", options, 3),
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
            say(rows[-1])
    return rows


def _replicated(case: Case, seeds: Sequence[int]) -> Row:
    """Figures of one competitor, means over its fits, and how alike its fits are."""
    split = case.split
    fitted, held = split.parts
    figures, dictionaries = list[Row](), list[Matrix]()
    for seed in seeds:
        model, seconds = timed(partial(case.fit, fitted, seed))
        alive = alive_modes(model, split.rows)
        dictionaries.append(model.dictionary[alive])
        distinct = distinct_modes(dictionaries[-1]).mean() if alive.any() else math.nan
        row = {**quality(model, fitted, held), "distinct": float(distinct)}
        figures.append({**row, **_classes(model, split, alive), "seconds": seconds})
    again = replication(dictionaries) if len(seeds) > 1 else {}
    if case.name == OURS:
        again["in shuffled"] = _in_shuffled(case, dictionaries[0], seeds[0])
    return {"rows": split.name, "": case.name, "seeds": len(seeds), **averaged(figures), **again}


def _in_shuffled(case: Case, modes: Matrix, seed: int) -> float:
    """Part of the modes that a fit to rows has whose channels were shuffled one by one."""
    random, rows = np.random.default_rng(0), case.split.parts[0]
    shuffled = np.stack([random.permutation(column) for column in rows.T], axis=1)
    model = case.fit(shuffled, seed)
    found = model.dictionary[alive_modes(model, shuffled)]
    return float((match_modes(modes, found)[1] >= REPLICATED).mean())


def _classes(model: Decomposition, split: Split, alive: Matrix) -> Row:
    """Correlations of the alive modes with classes, where the rows have them."""
    if split.classes is None or not alive.any():
        return {}
    loadings = model.loadings(split.rows)[:, alive]
    held = slice(split.fitted, None)
    classes = split.classes[held]
    return {
        "class r": class_correlation(loadings[held], classes),
        "class r, on or off": class_correlation((loadings[held] > 0).astype(float), classes),
    }


def _authors(recipe: Recipe, options: argparse.Namespace) -> Fit:
    epochs = options.epochs or recipe.epochs
    return lambda rows, seed: authors_recipe.fit(
        rows, replace(recipe, seed=seed, epochs=epochs), device=options.device
    )


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
    add("--preset", default="sparse_coding", help="of SparseModes (%(default)s)")
    add("--set", type=_setting, nargs="+", default=[], metavar="NAME=VALUE", help="its settings")
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
