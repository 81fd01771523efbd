"""Which channels each ranking perturbs: scores as orders of channels, orders as masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import require_dims, require_same
from neurocodec.perturbation.ablation import Kind
from neurocodec.perturbation.rankings import group_dim

DRAWS: Final = 3
"""Of off-target images, unless a ranking has more."""


def rank(scores: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """Order of channels (..., channel), the largest score first, NaN last, ties by chance."""
    values = np.where(np.isnan(scores), -np.inf, scores)
    # a mode has most channels at zero
    tie = np.random.default_rng([seed, 2]).random(values.shape)
    return np.lexsort((tie, -values), axis=-1)


def channel_counts(fractions: Sequence[float], channels: int) -> NDArray[np.intp]:
    """Channels that each fraction of a layer's channels makes: at least one, but for 0."""
    return np.array([0 if f == 0 else max(1, round(f * channels)) for f in fractions])


def keep_masks(
    order: NDArray[np.intp],  # (..., channel), as `rank` returns it
    counts: NDArray[np.intp],  # (fraction,) how many are ablated, or preserved
    *,
    ablated: bool,
) -> NDArray[np.bool_]:
    """Channels that stay (..., fraction, channel): all but the first, or these alone."""
    place = np.argsort(order, axis=-1)
    first = place[..., None, :] < counts[:, None]
    return np.asarray(~first if ablated else first)


class ByGroup(ABC):
    """Tables (group, channel, draw) by name, of the same classes and channels."""

    @property
    @abstractmethod
    def tables(self) -> Mapping[str, xr.DataArray]:
        """Each by its name."""

    @property
    def first(self) -> xr.DataArray:
        """The first of them."""
        return next(iter(self.tables.values()))

    @property
    def group(self) -> str:
        """`category` or `concept`."""
        return str(self.first.dims[0])

    @property
    def groups(self) -> list[str]:
        """Names of the categories or concepts."""
        return [str(name) for name in self.first[self.group].values.tolist()]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.first.sizes[v.CHANNEL]


@dataclass(frozen=True)
class Rankings(ByGroup):
    """Scores of one layer's channels, and what is done with them."""

    scores: Mapping[str, xr.DataArray]  # by name, each (group, channel, draw)
    kinds: tuple[Kind, ...]
    fractions: tuple[float, ...]  # of the channels
    draws: int  # of random rankings and off-target images
    seed: int  # of the order of equal scores

    @classmethod
    def of(
        cls,
        scores: xr.DataArray | Mapping[str, xr.DataArray],
        kinds: tuple[Kind, ...],
        fractions: tuple[float, ...],
        draws: int | None,
        seed: int,
    ) -> Rankings:
        """Check scores: the same classes and channels in all."""
        named = scores if isinstance(scores, Mapping) else {"scores": scores}
        if not named:
            raise InputError(came="no scores", expected="channel scores", hint="nc.rankings")
        found = {str(name): _checked(one, str(name)) for name, one in named.items()}
        first, *rest = found.values()
        for one in rest:
            for dim in first.dims[:2]:
                require_same(first, one, str(dim), "the scores of two rankings")
        most = max(one.sizes[v.DRAW] for one in found.values())
        if draws is None:
            return cls(found, kinds, fractions, max(DRAWS, most), seed)
        hint = f"draws={most}: a ranking has as many"
        return cls(found, kinds, fractions, arguments.whole("draws", draws, most, hint=hint), seed)

    @property
    def tables(self) -> Mapping[str, xr.DataArray]:
        """Scores, by name."""
        return self.scores

    @property
    def counts(self) -> NDArray[np.intp]:
        """(fraction,) number of channels."""
        return channel_counts(self.fractions, self.channels)

    def masks(self) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """All masks (mask, channel), and which of them (kind, ranking, fraction, draw, group)."""
        # each mask once; mask 0 keeps every channel
        every = np.stack([self._kept(kind) for kind in self.kinds])
        rows = np.concatenate([np.ones((1, self.channels), bool), every.reshape(-1, self.channels)])
        _, index, place = np.unique(
            np.packbits(rows, axis=1), axis=0, return_index=True, return_inverse=True
        )
        place = place.reshape(-1)
        order = np.argsort(index, kind="stable")  # in the order of the first that has each
        number = np.empty(len(order), np.intp)
        number[order] = np.arange(len(order))
        return rows[index[order]], number[place[1:]].reshape(every.shape[:-1])

    def _kept(self, kind: Kind) -> NDArray[np.bool_]:
        """(ranking, fraction, draw, group, channel)."""
        found = []
        for one in self.scores.values():
            values = np.asarray(one.values, np.float64).transpose(2, 0, 1)
            kept = keep_masks(rank(values, self.seed), self.counts, ablated=kind == "ablate")
            again = np.arange(self.draws) % len(kept)
            found.append(np.moveaxis(kept, 2, 0)[:, again])
        return np.stack(found)


def _checked(scores: xr.DataArray, name: str) -> xr.DataArray:
    group = group_dim(scores)
    if group not in scores.coords:
        raise InputError(
            came=f"scores {name!r} without names of the {group}",
            expected=f"a coordinate {group!r}",
            hint=f"scores.assign_coords({group}=[...])",
        )
    if v.DRAW not in scores.dims:
        scores = scores.expand_dims(v.DRAW, -1)
    scores = require_dims(scores, (group, v.CHANNEL, v.DRAW), f"scores {name!r}")
    if not scores.size or bool(scores.isnull().all(v.CHANNEL).any()):
        raise InputError(
            came=f"scores {name!r} that are all NaN for some {group}, or empty",
            expected="a number for some channel of every one",
        )
    return scores
