"""Answers to perturbed networks as accuracies, curves over classes, and areas between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.kernels.intervals import interval
from neurocodec.kernels.proportions import (
    resample_weights,
    resampled_proportions,
    separation_area,
    wilson_interval,
)
from neurocodec.labels import labelled
from neurocodec.perturbation.answers import Answers
from neurocodec.perturbation.images import Flags, Positions
from neurocodec.perturbation.masks import ABLATE

Match = Literal["member", "exact"]
Numbers = NDArray[Any]

TARGET_GROUP: Final = "target"
OFF_GROUP: Final = "off_target"
GROUPS: Final = (TARGET_GROUP, OFF_GROUP)


@dataclass(frozen=True)
class Judge:
    """Which answers are right.

    Parameters
    ----------
    label
        Category of each image.
    member
        (group, category).
    match
        Whether any member of its group is a right answer to a target image, or its own category
        alone; to an off-target image it is always its own.
    """

    label: Positions
    member: Flags
    match: Match

    def __call__(self, answer: Numbers, image: Positions, group: int, where: str) -> Flags:
        """Whether each answer (..., image) to images of one group is right."""
        if where == TARGET_GROUP and self.match == "member":
            return np.asarray(self.member[group][answer])
        return np.asarray(answer == self.label[image])


@dataclass(frozen=True)
class Tally:
    """Right answers of one group, target or off-target, image by image.

    Parameters
    ----------
    right
        (kind, ranking, fraction, draw, image), false where the draw does not have the image.
    plain
        (draw, image), of the unperturbed network.
    shown
        (draw, image), whether the draw has the image.
    """

    right: Flags
    plain: Flags
    shown: Flags

    @property
    def accuracy(self) -> Numbers:
        """(kind, ranking, fraction, draw)."""
        return np.asarray(self.right.sum(-1) / self.shown.sum(-1))

    @property
    def baseline(self) -> float:
        """Accuracy of the unperturbed network, mean over draws."""
        return float((self.plain.sum(-1) / self.shown.sum(-1)).mean())

    def resampled(self, resamples: int, random: np.random.Generator) -> Numbers:
        """Accuracy over that of the unperturbed network, images drawn again.

        Returns (kind, ranking, fraction, resample); NaN where the latter is zero.
        """
        weights = resample_weights(self.shown.shape[1], resamples, random)
        shown = self.shown.sum(0)
        plain = resampled_proportions(self.plain.sum(0), shown, weights)
        right = resampled_proportions(self.right.sum(3), shown, weights)
        return _ratio(right, plain)


def tally(
    answers: Answers,
    judge: Judge,
    images: list[Positions],
    mask: Positions,
    *,
    group: int,
    where: str,
) -> Tally:
    """Compare the answers to one group's images with what is right.

    Parameters
    ----------
    answers
        Of the network, under every mask.
    judge
        Which are right.
    images
        For each draw.
    mask
        (kind, ranking, fraction, draw): which mask; 0 is the unperturbed network.
    group
        Position of the group.
    where
        "target" or "off_target".
    """
    every = np.unique(np.concatenate(images))
    shown = np.stack([np.isin(every, drawn) for drawn in images])
    right = np.zeros((*mask.shape, len(every)), dtype=bool)
    plain = np.zeros(shown.shape, dtype=bool)
    for draw, there in enumerate(shown):
        some = every[there]
        found = answers(mask[..., draw, None], some)
        right[..., draw, there] = judge(found, some, group, where)
        plain[draw, there] = judge(answers(np.zeros(1, np.intp), some), some, group, where)
    return Tally(right, plain, shown)


@dataclass(frozen=True)
class Summary:
    """Everything that the tallies say.

    Parameters
    ----------
    tallies
        Of target and of off-target images, for each category.
    kinds
        "ablate", "preserve".
    share
        (fraction,) part of the channels.
    confidence
        Of all intervals.
    resamples
        Of images and of categories.
    seed
        Of the resampling.
    """

    tallies: Sequence[Sequence[Tally]]
    kinds: tuple[str, ...]
    share: NDArray[np.float64]
    confidence: float
    resamples: int
    seed: int

    def variables(self) -> dict[str, tuple[str, Numbers]]:
        """Return every variable of the result: its dims in one text, and its values."""
        draws = self._every("accuracy")
        accuracy, baseline = draws.mean(3), self._every("baseline")
        count = np.stack([[t.shown.shape[1] for t in some] for some in self.tallies], axis=-1)
        ends = wilson_interval(accuracy, count, self.confidence)
        relative = _ratio(accuracy, np.broadcast_to(baseline, accuracy.shape))
        usual = "kind ranking fraction category group"
        found = {
            "accuracy": (usual, accuracy),
            "accuracy_interval": (f"{usual} bound", np.stack(ends, axis=-1)),
            "accuracy_draw": ("kind ranking fraction draw category group", draws),
            "baseline_accuracy": ("category group", baseline),
            "n": ("category group", count),
            "normalized_accuracy": (usual, relative),
            "category_area": ("kind ranking category", self._area(np.moveaxis(relative, 2, -2))),
        }
        return found | self._over_categories(relative)

    def _every(self, name: str) -> Numbers:
        """(..., category, group) of an attribute of the tallies."""
        return np.stack(
            [np.stack([getattr(t, name) for t in some], axis=-1) for some in self.tallies], axis=-1
        )

    def _over_categories(self, relative: Numbers) -> dict[str, tuple[str, Numbers]]:
        """Means over categories and areas between them; categories and images drawn again."""
        there = np.isfinite(relative)
        mean = _ratio(np.where(there, relative, 0).sum(3), there.sum(3))
        again = np.stack([*self._resampled_means()], axis=-1)
        area, areas = self._area(mean), self._area(np.moveaxis(again, 3, 2))
        usual = "kind ranking fraction group"
        return {
            "mean_normalized_accuracy": (usual, mean),
            "mean_normalized_accuracy_interval": (f"{usual} bound", self._ends(again, 3)),
            "n_categories": ("group", there[0, 0, 0].sum(0)),
            "area": ("kind ranking", area),
            "area_interval": ("kind ranking bound", self._ends(areas, 2)),
            "area_difference": ("kind ranking", area - area[:, :1]),
            "area_difference_interval": (
                "kind ranking bound",
                self._ends(areas - areas[:, :1], 2),
            ),
        }

    def _resampled_means(self) -> Iterator[Numbers]:
        """(kind, ranking, fraction, resample) for target, then for off-target images."""
        random = np.random.default_rng([self.seed, 3])
        weights = resample_weights(len(self.tallies[0]), self.resamples, random)
        for some in self.tallies:
            total, number = np.zeros(()), np.zeros(())
            for category, one in enumerate(some):
                values = one.resampled(self.resamples, random)
                there = np.isfinite(values)
                total = total + np.where(there, values, 0) * weights[:, category]
                number = number + there * weights[:, category]
            yield _ratio(total, number)

    def _area(self, curves: Numbers) -> Numbers:
        """Areas (kind, ...) between curves (kind, ..., fraction, group)."""
        areas = [
            separation_area(of[..., 0], of[..., 1], self.share, ablated=kind == ABLATE)
            for kind, of in zip(self.kinds, curves, strict=True)
        ]
        return np.stack(areas)

    def _ends(self, draws: Numbers, axis: int) -> Numbers:
        """Percentiles over the resamples along an axis, as (..., bound)."""
        return np.moveaxis(interval(np.moveaxis(draws, axis, 0), self.confidence), 0, -1)


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    """Quotient; NaN where nothing is below."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.asarray(np.divide(above, below, out=np.full(shape, np.nan), where=below > 0))


def dataset(summary: Summary, coords: Mapping[str, Any], *, group_dim: str) -> xr.Dataset:
    """Label what the tallies say.

    Parameters
    ----------
    summary
        The tallies.
    coords
        Labels of every dim.
    group_dim
        "category" or "concept".
    """
    made = {}
    for name, (text, values) in summary.variables().items():
        dims = [group_dim if dim == v.CATEGORY else dim for dim in text.split()]
        along = {dim: coords[dim] for dim in dims if dim in coords}
        usual = (v.RANKING, v.KIND, group_dim, v.FRACTION, v.GROUP, v.DRAW)
        array = labelled(values, dims, along, name=name)
        made[name] = array.transpose(*(d for d in usual if d in dims), ...)
    return xr.Dataset(made)
