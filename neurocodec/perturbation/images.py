"""Which images a perturbation curve is measured on, and which channels each ranking perturbs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import require_dims

logger = logging.getLogger(__name__)

Positions = NDArray[np.intp]
Flags = NDArray[np.bool_]
Concepts = Mapping[str, Sequence[str]] | xr.DataArray
OffTarget = Literal["other", "class"] | Sequence[str]

MIXED: Final = ""
"""In place of the name of an off-target category, where images of all others are mixed."""


@dataclass(frozen=True)
class Images:
    """Images of each group, and of other categories, as positions in the stimulus.

    Parameters
    ----------
    target
        For each group (category or concept).
    off
        For each group and draw.
    off_names
        (group, draw) category that was drawn; "" where all others are mixed.
    """

    target: list[Positions]
    off: list[list[Positions]]
    off_names: NDArray[np.str_]

    @property
    def used(self) -> Positions:
        """Every image that is shown, once, in order."""
        return np.unique(np.concatenate([*self.target, *(i for draws in self.off for i in draws)]))

    @property
    def of_target(self) -> list[list[Positions]]:
        """Images of each group for each draw, the same for all."""
        return [[own] * len(off) for own, off in zip(self.target, self.off, strict=True)]

    def renumbered(self) -> Images:
        """Return the same images, by their positions among those that are used."""
        used = self.used
        target = [np.searchsorted(used, own) for own in self.target]
        off = [[np.searchsorted(used, some) for some in draws] for draws in self.off]
        return Images(target, off, self.off_names)

    def readable(self, kept: Flags, groups: Sequence[str]) -> Images:
        """Return the images that could be read.

        Parameters
        ----------
        kept
            (image,) whether it could, by the numbers that `renumbered` gives.
        groups
            Names, for the error.

        Raises
        ------
        InputError
            Where none is left of a group.
        """
        target = [own[kept[own]] for own in self.target]
        off = [[some[kept[some]] for some in draws] for draws in self.off]
        for name, own, draws in zip(groups, target, off, strict=True):
            if not all(map(len, (own, *draws))):
                raise InputError(
                    came=f"no image that can be read, of {name!r} or beside it",
                    expected="images of every category or concept, and of others",
                )
        return Images(target, off, self.off_names)


def category_positions(found: xr.DataArray | Sequence[Any], names: Sequence[str]) -> Positions:
    """Positions of labels among the categories; -1 where a label is none of them.

    Parameters
    ----------
    found
        A name or position of a category for each image.
    names
        Of the categories.

    Examples
    --------
    >>> category_positions(["cat", "dog", "table"], ["dog", "cat"]).tolist()
    [1, 0, -1]
    """
    values = np.asarray(found)
    if values.dtype.kind in "iu":
        return np.where((values >= 0) & (values < len(names)), values, -1).astype(np.intp)
    place = {name: i for i, name in enumerate(names)}
    return np.array([place.get(str(label), -1) for label in values.tolist()], dtype=np.intp)


def group_members(
    groups: Sequence[str],
    names: Sequence[str],
    concepts: Concepts | None,
    label: Positions,
) -> Flags:
    """Categories that belong to each group: one for a category, several for a concept.

    Parameters
    ----------
    groups
        Names of categories or concepts.
    names
        Of all categories.
    concepts
        Concept -> names of its categories, or a mask `member` (category, concept), or (stimulus,
        concept): then the categories of its images. None where groups are categories.
    label
        Category of each image.

    Returns
    -------
    numpy.ndarray
        bool (group, category).

    Raises
    ------
    UnknownNameError
        Where a category or concept does not exist.

    Examples
    --------
    >>> group_members(["pet"], ["dog", "car"], {"pet": ["dog"]}, np.array([0])).tolist()
    [[True, False]]
    """
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


def _table(mask: xr.DataArray, names: Sequence[str], label: Positions) -> dict[str, list[str]]:
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
class Drawing:
    """How images are drawn.

    Parameters
    ----------
    off_target
        "other": images of all categories outside of the group; "class": of one such category
        per draw; or names of categories, one per draw.
    n_target, n_off
        How many; all of the group where None, and as many off-target ones.
    draws
        Of off-target images.
    seed
        Of the draws.
    """

    off_target: OffTarget
    n_target: int | None
    n_off: int | None
    draws: int
    seed: int

    def __post_init__(self) -> None:
        for name, count in (("n_target", self.n_target), ("n_off", self.n_off)):
            if count is not None and (not isinstance(count, int) or count < 1):
                raise InputError(came=f"{name}={count!r}", expected="a whole number, at least 1")

    def choose(
        self, groups: Sequence[str], member: Flags, label: Positions, names: Sequence[str]
    ) -> Images:
        """Draw the images of each group, and off-target images, several times.

        Parameters
        ----------
        groups
            Names of categories or concepts.
        member
            (group, category).
        label
            Category of each image, -1 where it has none (such an image is not used).
        names
            Of the categories.

        Raises
        ------
        InputError
            Where a group has no images, or there are no others.
        """
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
        return Images(target, off, np.array(off_names))

    def _others(
        self,
        member: Flags,
        label: Positions,
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
        for name in self.off_target:
            if name not in names:
                raise unknown_name("category", name, names)
        outside = [i for i in map(list(names).index, self.off_target) if not member[i]]
        return [outside[draw % len(outside)] for draw in range(self.draws if outside else 0)]


def _draw(pool: Positions, size: int | None, random: np.random.Generator) -> Positions:
    if size is None or size >= len(pool):
        return pool
    return np.sort(random.choice(pool, size, replace=False))
