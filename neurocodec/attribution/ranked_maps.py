"""Maps of the stimuli that rules rank first, each of its own feature: a second, short pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, cast

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.between_layers import MAPS, TensionPlan, Tensions
from neurocodec.attribution.plan import feature_dim, position_dims, require_places
from neurocodec.attribution.ranking import RULES_OF_MAPS, By, rank_stimuli
from neurocodec.engine.plan import Arrays
from neurocodec.engine.run import Run
from neurocodec.engine.session import Session
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, labelled, plain, require_free_names
from neurocodec.nn.attribution.features import Features
from neurocodec.nn.attribution.method import each
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch

DIMS: Final = (v.FEATURE, v.RANKING, v.RANK)
"""Of places and maps of what was ranked."""
OWN: Final = (v.RANKING, v.RANK, v.RANKED_POSITION, v.RANK_SCORE)
"""What no coordinate of the stimuli may be called."""


class Best(NamedTuple):
    """How many stimuli of each feature have their maps kept, by which rules."""

    keep: int
    rules: tuple[By, ...]

    @classmethod
    def of(cls, keep: int | None, by: By | Iterable[By] | None, *, maps: bool) -> Best | None:
        """Check what is asked for, without the stimuli."""
        if keep is None:
            if by is not None:
                raise InputError(
                    came=f"by={by!r} without keep=",
                    expected="how many stimuli of each feature have their maps kept",
                    hint="nc.tension(..., maps=True, keep=10)",
                )
            return None
        count = arguments.whole("keep", keep, hint="keep=10")
        if not arguments.flag("maps", maps):
            raise InputError(
                came=f"keep={keep} without maps",
                expected="maps, of which those of the first stimuli are kept",
                hint=f"nc.tension(..., maps=True, keep={keep})",
            )
        rules = arguments.several("by", "tension" if by is None else by, "a rule, or several")
        for rule in rules:
            _require_streams(rule)
        return cls(count, tuple(dict.fromkeys(rules)))

    def require(self, plan: TensionPlan) -> None:
        """Refuse what stimuli and target cannot give, before anything is computed."""
        require_places(plan.target, plan.layers, "maps=False")
        require_free_names(plan.samples.coords, OWN, "the stimulus")
        if self.keep > len(plan.samples):
            raise InputError(
                came=f"keep={self.keep} of {len(plan.samples)} stimuli",
                expected=f"at most {len(plan.samples)}",
                hint=f"keep={len(plan.samples)}",
            )
        if "specific" in self.rules and len(feature_dim(plan.target).get(v.FEATURE, [0])) < 2:
            raise InputError(
                came="by='specific' of one feature",
                expected="two or more, whose mean a stimulus is compared with",
                hint="by='tension'",
            )


def _require_streams(rule: By) -> None:
    """Refuse a rule that there is not, and one that compares the maps of all stimuli."""
    known = [name for name, maps in RULES_OF_MAPS.items() if not maps]
    if rule not in RULES_OF_MAPS or rule in known:
        arguments.one_of("by", rule, known)
        return
    raise InputError(
        came=f"by={rule!r} with keep=",
        expected=f"one of {known}: this rule compares the maps of all stimuli, which are not kept",
        hint=f"nc.rank_stimuli(nc.tension(..., maps=True), {rule!r})",
    )


@dataclass(frozen=True)
class RankedPlan(TensionPlan):
    """Maps of one layer: every sample is a stimulus that was ranked, with its feature."""

    what: ClassVar[str] = "maps"

    of: NDArray[np.intp]  # place of the feature of each sample
    found: NDArray[np.intp]  # places of the samples among all

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run: what the whole one was told, and what was ranked."""
        ranked = fingerprint(self.of, self.found)
        return plain({**super().facts, "ranked_sha256": ranked})

    def bound(self, session: Session) -> RankedMaps:
        """Bind the target; what goes around the layer was said before."""
        passes, size = self.passes(session)
        return RankedMaps(self.told(session), size, passes, session.traced.done)


@dataclass(frozen=True)
class RankedMaps(Tensions):
    """A plan of maps with the network that it runs on."""

    plan: RankedPlan

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Maps of one batch, one feature after the other, as its samples are in their order."""
        del into
        of = self.plan.of[batch.first : batch.first + len(batch.x)]
        rows = [self._maps(batch.take(torch.from_numpy(of == f)), f) for f in np.unique(of)]
        return {name: np.concatenate([one[name] for one in rows]) for name in MAPS}

    def _maps(self, batch: Batch, feature: int) -> Arrays:
        passes = self.passes
        if isinstance(passes.target, Features):
            passes = passes.toward(passes.target.some(slice(feature, feature + 1)))
        (found,) = each(self.plan.method, passes, batch)
        rows = self._rows(found, batch.first)
        return {name: rows[name] for name in MAPS}

    def _labelled(self, layer: Layer, name: str, values: NDArray[Any]) -> xr.DataArray:
        places = position_dims(layer, values.ndim - 1)
        known = {d: np.arange(n) for d, n in zip(places, values.shape[1:], strict=True)}
        dims, units = (self.plan.samples.dim, *places), self.plan.target.units
        return labelled(values, dims, known, name=name, units=units)


class Settings(NamedTuple):
    """How the second pass runs."""

    batch_size: int | None
    workers: int | None
    progress: bool
    out: str | Path | None


def add_ranked(tree: xr.DataTree, plan: TensionPlan, best: Best, how: Settings) -> None:
    """Put what each rule ranks first, and the maps of it, beside the numbers of all stimuli."""
    root, several = tree.to_dataset(), len(plan.layers) > 1
    for alias, layer in plan.layers.items():
        node = cast("xr.DataTree", tree[alias]) if several else tree
        found = node.to_dataset(inherit=False)
        whole = found.merge(root) if several else found
        ranked = [rank_stimuli(whole, rule, count=best.keep) for rule in best.rules]
        places = np.stack([np.atleast_2d(np.asarray(one)) for one in ranked], 1)
        scores = np.stack([np.atleast_2d(one[v.RANK_SCORE].values) for one in ranked], 1)
        out = None if how.out is None else beside(how.out, best.keep, alias if several else "")
        maps = _second_pass(plan, {alias: layer}, places, whole, how._replace(out=out))
        data = {v.RANKED_POSITION: (places, DIMS), v.RANK_SCORE: (scores, DIMS), **maps}
        one = v.FEATURE not in whole.dims
        known = {v.RANKING: [*best.rules], v.RANK: np.arange(best.keep)}
        named = {
            name: labelled(
                values[0] if one else values,
                dims[1:] if one else dims,
                name=name,
                units=plan.target.units if name in MAPS else None,
            )
            for name, (values, dims) in data.items()
        }
        node.dataset = found.assign(named).assign_coords(known)


def beside(out: str | Path, keep: int, alias: str = "") -> Path:
    """File of the maps beside that of the numbers; of several layers one for each."""
    path = Path(out)
    return path.with_name(f"{path.stem}-best{keep}{alias and '-'}{alias}{path.suffix}")


def _second_pass(
    plan: TensionPlan,
    layer: dict[str, Layer],
    places: NDArray[np.intp],
    found: xr.Dataset,
    how: Settings,
) -> dict[str, tuple[NDArray[Any], tuple[str, ...]]]:
    """Maps (feature, ranking, rank, positions...) of what was ranked, NaN where nothing was."""
    there, total = places >= 0, len(plan.samples)
    if not there.any():
        return {}
    among = places_of(found, plan.samples.coords, plan.samples.dim, total)
    every = among[np.maximum(places, 0)]
    feature = np.indices(places.shape)[0]
    pairs, where = np.unique((feature * total + every)[there], return_inverse=True)
    of, chosen = np.divmod(pairs, total)
    samples = plan.samples.at(chosen, labels=False)
    names = ("net", "target", "method", "baseline", "given")
    common: dict[str, Any] = {name: getattr(plan, name) for name in names}
    second = RankedPlan(samples=samples, layers=layer, maps=True, of=of, found=chosen, **common)
    with Run.opened(second, how.batch_size, how.workers, progress=how.progress, out=how.out) as run:
        rows = run.result(how.out).to_dataset().load()
    if rows.sizes[samples.dim] != len(pairs):
        raise InputError(
            came="images that could be read once, and not again",
            expected="files that stay as they are while they are computed",
        )
    maps = {}
    for name in MAPS:
        values = np.full((*places.shape, *rows[name].shape[1:]), np.nan, rows[name].dtype)
        values[there] = rows[name].values[where.reshape(-1)]
        maps[name] = (values, (*DIMS, *map(str, rows[name].dims[1:])))
    return maps


def places_of(
    found: xr.Dataset, known: Mapping[str, xr.Variable], dim: str, total: int
) -> NDArray[np.intp]:
    """Places of a result's stimuli among those given, by labels; some may be left out."""
    size = found.sizes[dim]
    if size == total:
        return np.arange(size)
    for name, labels in known.items():
        places = {str(label): place for place, label in enumerate(labels.values)}
        if len(places) == total and name in found.coords:
            return np.array([places[str(label)] for label in found[name].values])
    raise InputError(
        came=f"{total - size} images that could not be read, and no label that tells all images"
        " apart",
        expected="a coordinate along the images without repeats",
        hint="images.assign_coords(stimulus=range(images.sizes['stimulus']))",
    )
