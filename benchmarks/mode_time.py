"""Seconds of a fit against those of the authors' recipe."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import authors_recipe
from authors_recipe import RESNET50, RETINA, Recipe
from mode_rows import Split, retina_rows
from mode_scores import Ours, Row, quality, rebuilt, say, timed

from neurocodec.kernels.scores import r2, r2_pooled
from neurocodec.simulation.planted import planted_rows

EPOCHS = (5, 10, 20, 80)
"""Of ours; the last is the default."""


def duration(options: argparse.Namespace) -> list[Row]:
    """Seconds to the R2 of the authors' recipe, at more than one threshold."""
    wide = options.device.startswith("cuda") or options.channels is not None
    split = _wide_rows(options) if wide else retina_rows(options.cache, options.rows or 6000)
    recipe, thresholds = (RESNET50, (0.8,)) if wide else (RETINA, (0.9, 0.6))
    recipe = replace(recipe, epochs=options.epochs or recipe.epochs, seed=options.seeds[0])
    recipe = replace(recipe, expansion=options.expansion or recipe.expansion)
    dim = "stimulus" if wide else "time"
    ladder = [_rung(split, recipe, dim, n, options) for n in EPOCHS]
    rows = [*ladder]
    for threshold in options.thresholds or thresholds:
        known = replace(recipe, threshold=threshold)
        rows.append(_recipe_row(split, known, options.device, ladder))
        say(rows[-1])
    return rows


def _rung(split: Split, recipe: Recipe, dim: str, epochs: int, options: argparse.Namespace) -> Row:
    """One whole fit of ours."""
    settings = {"expansion": recipe.expansion, "epochs": epochs}
    make = partial(Ours, dim=dim, seed=recipe.seed, device=options.device, **settings)
    ours, seconds = timed(partial(make, split.parts[0]))
    row: Row = {"rows": split.name, "": f"SparseModes, {epochs} epochs"}
    row |= {**quality(ours, *split.parts), "seconds": seconds}
    say(row)
    return row


def _recipe_row(split: Split, recipe: Recipe, device: str, ladder: Sequence[Row]) -> Row:
    """Figures of the recipe, and its seconds as multiples of ours to the same R2."""
    found, course = _watched(split, recipe, device)
    last = course[-1]
    first = next(c.seconds for c in course if c.r2 >= last.r2)
    enough = [
        float(r["seconds"])
        for r in ladder
        if float(r["R2"]) >= last.r2 and float(r["R2 pooled"]) >= last.r2_pooled
    ]
    ours = min(enough, default=math.nan)
    return {
        "rows": split.name,
        "": f"authors' recipe, threshold {recipe.threshold:g}, {recipe.epochs} epochs",
        **quality(found, *split.parts),
        "seconds": last.seconds,
        "seconds to its R2": first,
        "ours to its R2": ours,
        "times shorter": first / ours,
        "of its whole run": last.seconds / ours,
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
