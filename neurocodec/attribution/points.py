"""One call of `nc.point_vectors`, checked: positions of each sample, drawn, and their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import (
    by_layers,
    passes_for,
    position_dims,
    require_finite_target,
    require_finite_values,
    require_kinds,
    require_no_such_layer,
    with_layer_of,
)
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.session import Session
from neurocodec.errors import InputError
from neurocodec.labels import labelled, plain, stamp
from neurocodec.nn.attribution.methods import ActGrad
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import TopK
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.fields.sharing import Sharing

Draw: TypeAlias = Literal["contribution", "sharing", "uniform"]
PLACE: Final = "place"
_SMALLEST: Final = 1e-300
"""Weight of positions that have none: they come after all others."""


@dataclass(frozen=True)
class PointPlan(Plan):
    """One call of `nc.point_vectors`, checked."""

    what: ClassVar[str] = "vectors"

    draw: Draw
    target: Target
    per_image: int
    seed: int

    def __post_init__(self) -> None:
        require_kinds(self.target, ActGrad())
        require_no_such_layer(self.target, self.layers)
        super().__post_init__()
        if self.draw == "sharing" and self.target != TopK(1):
            raise InputError(
                came=f"draw='sharing' with target={self.target!r}",
                expected="the top logit, whose shares are known",
                hint="draw='contribution'",
            )

    @property
    def rows_of_sample(self) -> int:
        """Vectors of an image."""
        return self.per_image

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples: variables, dims, nodes."""
        own = {v.ACTIVATION, v.DRAW_PROBABILITY, v.VECTOR, v.CHANNEL}
        return {*own, v.LAG, v.Y, v.X, v.TOKEN, v.FEATURE, *self.layers}

    def captured(self) -> dict[str, Layer]:
        """Layers to hook: those that are asked for, and the one that the target reads."""
        if self.draw != "contribution":
            return self.layers
        return with_layer_of(self.target, self.layers, self.net)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        target = {"kind": type(self.target).__name__, "parameters": self.target}
        facts = {
            **self.of_network,
            "layers": self.layers,
            "draw": self.draw,
            "target": target if self.draw == "contribution" else None,
            "per_image": self.per_image,
            "seed": self.seed,
            "data_sha256": self.samples.sha256,
        }
        return plain(facts)

    @property
    def asked(self) -> Mapping[str, Any]:
        """The target, which may be of a user's own."""
        return {"target": self.target} if self.draw == "contribution" else {}

    def bound(self, session: Session) -> Points:
        """Bind the target to the network's outputs, and see how many positions layers have."""
        sizes = {alias: _sizes(session, alias, self.per_image) for alias in self.layers}
        passes, sharing, size = None, None, session.bytes_per_sample
        if self.draw == "contribution":
            start = self.samples.baseline(None)
            passes = passes_for(session, self.target, start, self.samples, given=False)
            passes, size = by_layers(passes, session, self, ActGrad())
        elif self.draw == "sharing":
            few = session.few[:2]
            sharing = Sharing.of(session.capture, session.traced.flow, None, few)
        return Points(self.told(session), size, session.capture, sizes, passes, sharing)


@dataclass(frozen=True)
class Points(Bound):
    """A plan of vectors with the network that it runs on."""

    plan: PointPlan
    capture: Capture
    sizes: Mapping[str, tuple[int, ...]]  # positions of each layer
    passes: Passes | None  # to the target
    sharing: Sharing | None

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Compute one batch; the vectors that were drawn alone leave the device."""
        del into
        hidden, weights = self._weighed(batch)
        seeds = _seeds(batch.x, self.plan.seed)
        rows = Arrays()
        for alias in self.plan.layers:
            maps = self.capture.layers[alias].channels_first(hidden[alias]).flatten(2)
            place, share = drawn(weights.get(alias), maps.shape[2], self.plan.per_image, seeds)
            index = torch.from_numpy(place).to(maps.device)[:, None].expand(-1, maps.shape[1], -1)
            vectors = maps.gather(2, index).movedim(1, 2).flatten(0, 1)
            require_finite_values(vectors, alias, batch.first)
            where = np.unravel_index(place.ravel(), self.sizes[alias])
            dims = position_dims(self.capture.layers[alias], len(where))
            rows[f"{alias}/{v.ACTIVATION}"] = vectors.cpu().numpy()
            rows[f"{alias}/{v.DRAW_PROBABILITY}"] = share.ravel()
            rows |= {f"{alias}/{d}": i.astype(np.int64) for d, i in zip(dims, where, strict=True)}
        return rows

    def _weighed(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, NDArray[np.float64]]]:
        """Layers of a batch, and how much each of their positions weighs; nothing where alike."""
        if self.passes is None:
            with torch.no_grad():
                hidden = self.capture.reach(batch.x, self.plan.layers)
            shares = {} if self.sharing is None else self.sharing.shares(batch.x)
            return hidden, {alias: _weights(found) for alias, found in shares.items()}
        found = ActGrad().attribute(self.passes.of(batch), batch)
        require_finite_target(found.target, batch.first)
        weights = {}
        for alias in self.plan.layers:
            values = found.whole(alias)
            require_finite_values(values, alias, batch.first)
            weights[alias] = _weights(self.capture.layers[alias].channels_first(values).sum(1))
        return found.activation, weights

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates and provenance on the vectors of a run."""
        of, facts = self.plan.per_image, self.plan.facts
        along = {
            name: xr.Variable(v.VECTOR, np.repeat(c.values, of), c.attrs)
            for name, c in coords.items()
            if c.dims == (self.plan.samples.dim,)
        }
        nodes = dict[str, xr.Dataset]()
        for alias in self.plan.layers:
            own = {n.partition("/")[2]: a for n, a in arrays.items() if n.startswith(f"{alias}/")}
            values = own.pop(v.ACTIVATION)
            places = {**along, **{n: (v.VECTOR, x) for n, x in own.items()}}
            found = labelled(values, (v.VECTOR, v.CHANNEL), places, name=v.ACTIVATION)
            nodes[f"/{alias}"] = stamp(
                found, "nc.point_vectors", **{**facts, "layer": alias}
            ).to_dataset()
        return stamp(xr.DataTree.from_dict(nodes), "nc.point_vectors", **facts)


def drawn(
    weights: NDArray[np.float64] | None,  # (sample, position); None: all alike
    positions: int,
    count: int,
    seeds: list[list[int]],  # of each sample
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Different positions (sample, point) of each sample, and the probability of each.

    The first of those that arrive, each at a rate of its own, are a draw without replacement; and
    a weight that rounding has moved moves no other position.
    """
    wait = np.stack([np.random.default_rng(seed).exponential(size=positions) for seed in seeds])
    if weights is None:
        weights = np.ones_like(wait)
    total = weights.sum(1, keepdims=True)
    shares = np.divide(weights, total, out=np.full_like(wait, 1 / positions), where=total > 0)
    place = np.argsort(wait / np.maximum(shares, _SMALLEST), axis=1, kind="stable")[:, :count]
    return place, np.take_along_axis(shares, place, 1)


def _weights(summed: Tensor) -> NDArray[np.float64]:
    """Size of what each position (sample, positions...) gives."""
    return np.asarray(summed.flatten(1).abs().double().cpu().numpy())


def _seeds(x: Tensor, seed: int) -> list[list[int]]:
    """Seeds of each sample's own, which follow from its pixels and the seed alone."""
    values = x.detach().cpu().contiguous().numpy()
    marks = (blake2b(one.tobytes(), digest_size=16).digest() for one in values)
    return [[seed, int.from_bytes(mark)] for mark in marks]


def _sizes(session: Session, alias: str, per_image: int) -> tuple[int, ...]:
    maps = session.capture.layers[alias].channels_first(session.traced.done.hidden[alias])
    sizes = tuple(maps.shape[2:])
    count = int(np.prod(sizes)) if sizes else 0
    if per_image > count:
        raise InputError(
            came=f"per_image={per_image} of layer {alias!r}, which has {count or 'no'} positions",
            expected="a layer of maps or tokens, and no more positions than it has",
            hint=f"per_image={count}" if count else "a layer before the pooling",
        )
    return sizes
