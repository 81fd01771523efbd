"""Which images a perturbation curve is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import require_dims

Concepts = Mapping[str, Sequence[str]] | xr.DataArray
"""Names of the categories of each concept, or a mask (category, concept) or (stimulus, concept)."""
OffTarget = Literal["other", "class"] | Sequence[str]
"""All others; one other category a draw; or names of categories, one a draw."""

MIXED: Final = ""
"""In place of the name of an off-target category, where images of all others are mixed."""


@dataclass(frozen=True)
class ImageGroups:
    """Images of each group, and of other categories, as positions in the stimulus."""

    target: list[NDArray[np.intp]]  # of each group (category or concept)
    off: list[list[NDArray[np.intp]]]  # of each group and draw
    off_names: NDArray[np.str_]  # (group, draw) category that was drawn, or `MIXED`

    @property
    def used(self) -> NDArray[np.intp]:
        """Every image that is shown, once, in order."""
        return np.unique(np.concatenate([*self.target, *(i for draws in self.off for i in draws)]))

    @property
    def of_target(self) -> list[list[NDArray[np.intp]]]:
        """Images of each group for each draw, the same for all."""
        return [[own] * len(off) for own, off in zip(self.target, self.off, strict=True)]

    def renumbered(self) -> ImageGroups:
        """Return the same images, by their positions among those that are used."""
        used = self.used
        target = [np.searchsorted(used, own) for own in self.target]
        off = [[np.searchsorted(used, some) for some in draws] for draws in self.off]
        return ImageGroups(target, off, self.off_names)

    def readable(
        self,
        kept: NDArray[np.bool_],  # (image,) could be read, as `renumbered` counts them
        groups: Sequence[str],  # names, for the message
    ) -> ImageGroups:
        """Return the images that could be read; refuse where none is left of a group."""
        target = [own[kept[own]] for own in self.target]
        off = [[some[kept[some]] for some in draws] for draws in self.off]
        for name, own, draws in zip(groups, target, off, strict=True):
            if not all(map(len, (own, *draws))):
                raise InputError(
                    came=f"no image that can be read, of {name!r} or beside it",
                    expected="images of every category or concept, and of others",
                )
        return ImageGroups(target, off, self.off_names)


def group_members(
    groups: Sequence[str],  # names of categories or concepts
    names: Sequence[str],  # of all categories
    concepts: Concepts | None,  # None where groups are categories
    label: NDArray[np.intp],  # category of each image
) -> NDArray[np.bool_]:
    """Categories (group, category) of each group: one for a category, several for a concept."""
    if concepts is None:
        concepts = {name: [name] for name in names}
    if isinstance(concepts, xr.DataArray):
        concepts = _table(concepts, names, label)
    member = np.zeros((len(groups), len(names)), dtype=bool)
    place = {name: i for i, name in enumerate(names)}
    for row, group in enumerate(groups):
        if group not in concepts:
            raise unknown_name("category or concept", group, concepts)
        for name in concepts[group]:
            if name not in place:
                raise unknown_name("category", name, names)
            member[row, place[name]] = True
    return member


def _table(
    mask: xr.DataArray, names: Sequence[str], label: NDArray[np.intp]
) -> dict[str, list[str]]:
    """Categories of each concept, from a mask over categories or over images."""
    along = v.CATEGORY if v.CATEGORY in mask.dims else v.STIMULUS
    rows = require_dims(mask, (along, v.CONCEPT), "concepts")
    if along == v.CATEGORY:
        of_row = np.asarray(rows[v.CATEGORY].values).astype(str).tolist()
    elif len(rows) != len(label):
        raise InputError(
            came=f"concepts of {len(rows)} images for {len(label)} images",
            expected="the same images, or concepts of categories",
        )
    else:
        of_row = [names[i] if i >= 0 else "" for i in label]
    values = np.asarray(rows.values, dtype=bool)
    return {
        str(concept): sorted({of_row[i] for i in np.flatnonzero(values[:, j])} - {""})
        for j, concept in enumerate(rows[v.CONCEPT].values.tolist())
    }


@dataclass(frozen=True)
class Sampling:
    """How images are drawn."""

    off_target: OffTarget
    n_target: int | None  # images of a group; all where None
    n_off: int | None  # off-target images of a draw; as many as target images where None
    draws: int  # of off-target images
    seed: int

    def __post_init__(self) -> None:
        arguments.whole_or_none("n_target", self.n_target)
        arguments.whole_or_none("n_off", self.n_off)

    def choose(
        self,
        groups: Sequence[str],  # names of categories or concepts
        member: NDArray[np.bool_],  # (group, category)
        label: NDArray[np.intp],  # category of each image; those without, -1, are not used
        names: Sequence[str],  # of the categories
    ) -> ImageGroups:
        """Draw the images of each group once, and off-target images several times."""
        random = np.random.default_rng([self.seed, 1])
        known = label >= 0
        target, off, off_names = [], [], []
        for row, group in enumerate(groups):
            of_group = known & member[row, label]
            own = _draw(np.flatnonzero(of_group), self.n_target, random)
            if not len(own):
                raise InputError(
                    came=f"no image of {group!r} among {len(label)}",
                    expected="images of every category or concept that has scores",
                    hint="scores.sel(category=[...]), or labels= with the network's names",
                )
            others = self._others(member[row], label, names, random)
            pools = [known & ~of_group if i is None else label == i for i in others]
            target.append(own)
            off.append([_draw(np.flatnonzero(p), self.n_off or len(own), random) for p in pools])
            off_names.append([MIXED if i is None else names[i] for i in others])
            if not off[-1] or not all(map(len, off[-1])):
                raise InputError(
                    came=f"no image outside of {group!r}, of {self.off_target!r}",
                    expected="images of other categories too",
                )
        return ImageGroups(target, off, np.array(off_names))

    def _others(
        self,
        member: NDArray[np.bool_],
        label: NDArray[np.intp],
        names: Sequence[str],
        random: np.random.Generator,
    ) -> list[int | None]:
        """Category of each draw's off-target images; None for all that are not members."""
        if self.off_target == "other":
            return [None] * self.draws
        if self.off_target == "class":
            there = np.setdiff1d(np.unique(label[label >= 0]), np.flatnonzero(member))
            rounds = -(-self.draws // max(1, len(there)))
            order = np.concatenate([random.permutation(there) for _ in range(rounds)])
            return [int(i) for i in order[: self.draws]]
        if isinstance(self.off_target, str):
            raise unknown_name("off_target", self.off_target, ("other", "class"))
        wanted = arguments.several("off_target", self.off_target, "'other', 'class' or categories")
        for name in wanted:
            if name not in names:
                raise unknown_name("category", name, names)
        outside = [i for i in map(list(names).index, wanted) if not member[i]]
        return [outside[draw % len(outside)] for draw in range(self.draws if outside else 0)]


def _draw(
    pool: NDArray[np.intp], size: int | None, random: np.random.Generator
) -> NDArray[np.intp]:
    if size is None or size >= len(pool):
        return pool
    return np.sort(random.choice(pool, size, replace=False))
