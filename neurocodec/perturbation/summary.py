"""Answers to perturbed networks as accuracies, curves over classes, and areas between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    separation_index,
    wilson_interval,
)
from neurocodec.labels import labelled
from neurocodec.perturbation.ablation import Kind
from neurocodec.perturbation.answers import Answers

Match = Literal["member", "exact"]

TARGET_GROUP: Final = "target"
OFF_GROUP: Final = "off_target"
GROUPS: Final = (TARGET_GROUP, OFF_GROUP)
Score = Callable[..., NDArray[np.float64]]
SCORES: Final[dict[str, Score]] = {"area": separation_area, "separation": separation_index}
"""By how much the curves of target and other classes are apart."""


@dataclass(frozen=True)
class Judge:
    """Which answers are right."""

    label: NDArray[np.intp]  # category of each image
    member: NDArray[np.bool_]  # (group, category)
    match: Match  # right for target images: any member of their group, or their own category

    def __call__(
        self, answer: NDArray[np.integer], image: NDArray[np.intp], group: int, where: str
    ) -> NDArray[np.bool_]:
        """Whether each answer (..., image) to images of one group is right."""
        if where == TARGET_GROUP and self.match == "member":
            return np.asarray(self.member[group][answer])
        return np.asarray(answer == self.label[image])  # for off-target images in either case


@dataclass(frozen=True)
class Tally:
    """Right answers of one group, target or off-target, image by image."""

    right: NDArray[np.bool_]  # (kind, ranking, fraction, draw, image); false for others than shown
    plain: NDArray[np.bool_]  # (draw, image), of the unperturbed network
    shown: NDArray[np.bool_]  # (draw, image), whether the draw has the image

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(kind, ranking, fraction, draw)."""
        return np.asarray(self.right.sum(-1) / self.shown.sum(-1))

    @property
    def baseline(self) -> float:
        """Accuracy of the unperturbed network, mean over draws."""
        return float((self.plain.sum(-1) / self.shown.sum(-1)).mean())

    def resampled(
        self, resamples: int, random: np.random.Generator, orders: tuple[int, ...] = ()
    ) -> NDArray[np.float64]:
        """Normalised accuracy (kind, ranking, fraction, resample) of images drawn again."""
        weights = resample_weights(self.shown.shape[1], resamples, random)
        shown = self.shown.sum(0)
        plain = resampled_proportions(self.plain.sum(0), shown, weights)
        right = resampled_proportions(self.right.sum(3), shown, weights)
        for i, count in enumerate(orders):
            if count > 1:
                right[:, i] = self._of_orders(i, count, weights, random)
        return _ratio(right, plain)

    def _of_orders(
        self, ranking: int, orders: int, weights: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.float64]:
        """Accuracy (kind, fraction, resample) with the random orders drawn again, too."""
        each = [
            resampled_proportions(self.right[:, ranking, :, i], shown, weights)
            for i, shown in enumerate(self.shown)
        ]
        # one less than there are, so that they vary as much as they do (Rao and Wu 1988)
        picked = random.multinomial(orders - 1, np.full(orders, 1 / orders), size=len(weights))
        picked = picked[:, np.arange(len(each)) % orders]
        return np.asarray(np.einsum("dkfr,rd->kfr", each, picked / picked.sum(1, keepdims=True)))


def tally(
    answers: Answers,
    judge: Judge,
    images: list[NDArray[np.intp]],  # of each draw
    mask: NDArray[np.intp],  # (kind, ranking, fraction, draw); 0 is the unperturbed network
    *,
    group: int,
    where: str,  # one of `GROUPS`
) -> Tally:
    """Compare the answers to one group's images with what is right."""
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
    """Everything that the tallies say."""

    tallies: Sequence[Sequence[Tally]]  # of target and of off-target images, for each category
    kinds: tuple[Kind, ...]
    share: NDArray[np.float64]  # (fraction,) part of the channels
    confidence: float  # of all intervals
    resamples: int  # of images and of categories
    seed: int
    orders: tuple[int, ...] = ()  # of each ranking: how many random ones; one where not told

    def variables(self) -> dict[str, tuple[str, NDArray[Any]]]:
        """Return every variable of the result: its dims in one text, and its values."""
        draws = self._every("accuracy")
        accuracy, baseline = draws.mean(3), self._every("baseline")
        count = np.stack([[t.shown.shape[1] for t in some] for some in self.tallies], axis=-1)
        spread, freedom = self._of_orders(draws)
        ends = wilson_interval(accuracy, count, self.confidence, spread=spread, freedom=freedom)
        relative = _ratio(accuracy, np.broadcast_to(baseline, accuracy.shape))
        usual = "kind ranking fraction category group"
        found = {
            "accuracy": (usual, accuracy),
            "accuracy_interval": (f"{usual} bound", np.stack(ends, axis=-1)),
            "accuracy_draw": ("kind ranking fraction draw category group", draws),
            "baseline_accuracy": ("category group", baseline),
            "n": ("category group", count),
            "normalized_accuracy": (usual, relative),
        }
        curves = np.moveaxis(relative, 2, -2)
        for name, score in SCORES.items():
            found[f"category_{name}"] = ("kind ranking category", self._scored(curves, score))
        return found | self._over_categories(relative)

    def _of_orders(
        self, draws: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variance of mean accuracies that random orders make, and its degrees of freedom."""
        images = np.stack([[t.shown.sum(1).mean() for t in s] for s in self.tallies], axis=-1)
        mean = draws.mean(3)
        spread, freedom = np.zeros(mean.shape), np.ones((draws.shape[1], 1, 1, 1))
        for i, orders in enumerate(self.orders):
            if orders > 1:
                found = draws[:, i, :, :orders].var(axis=2, ddof=1)
                # a draw varies by its images, too, which the interval has already
                found = found - mean[:, i] * (1 - mean[:, i]) / images
                spread[:, i], freedom[i] = np.maximum(found, 0) / orders, orders - 1
        return spread, freedom

    def _every(self, name: str) -> NDArray[np.float64]:
        """(..., category, group) of an attribute of the tallies."""
        return np.stack(
            [np.stack([getattr(t, name) for t in some], axis=-1) for some in self.tallies], axis=-1
        )

    def _over_categories(
        self, relative: NDArray[np.float64]
    ) -> dict[str, tuple[str, NDArray[Any]]]:
        """Means over categories and areas between them; categories and images drawn again."""
        there = np.isfinite(relative)
        mean = _ratio(np.where(there, relative, 0).sum(3), there.sum(3))
        again = np.stack([*self._resampled_means()], axis=-1)
        usual = "kind ranking fraction group"
        found: dict[str, tuple[str, NDArray[Any]]] = {
            "mean_normalized_accuracy": (usual, mean),
            "mean_normalized_accuracy_interval": (f"{usual} bound", self._ends(again, 3)),
            "n_categories": ("group", there[0, 0, 0].sum(0)),
        }
        for name, score in SCORES.items():
            one, draws = self._scored(mean, score), self._scored(np.moveaxis(again, 3, 2), score)
            beyond, drawn = one - one[:, :1], draws - draws[:, :1]
            found[name] = ("kind ranking", one)
            found[f"{name}_interval"] = ("kind ranking bound", self._ends(draws, 2))
            found[f"{name}_difference"] = ("kind ranking", beyond)
            found[f"{name}_difference_interval"] = ("kind ranking bound", self._ends(drawn, 2))
        return found

    def _resampled_means(self) -> Iterator[NDArray[np.float64]]:
        """(kind, ranking, fraction, resample) for target, then for off-target images."""
        random = np.random.default_rng([self.seed, 3])
        # random orders differ from category to category: where there are several, these tell
        orders = self.orders if len(self.tallies[0]) == 1 else ()
        weights = resample_weights(len(self.tallies[0]), self.resamples, random)
        for some in self.tallies:
            total, number = np.zeros(()), np.zeros(())
            for category, one in enumerate(some):
                values = one.resampled(self.resamples, random, orders)
                there = np.isfinite(values)
                total = total + np.where(there, values, 0) * weights[:, category]
                number = number + there * weights[:, category]
            yield _ratio(total, number)

    def _scored(self, curves: NDArray[np.float64], score: Score) -> NDArray[np.float64]:
        """Scores (kind, ...) of curves (kind, ..., fraction, group)."""
        areas = [
            score(of[..., 0], of[..., 1], self.share, ablated=kind == "ablate")
            for kind, of in zip(self.kinds, curves, strict=True)
        ]
        return np.stack(areas)

    def _ends(self, draws: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        """Percentiles over the resamples along an axis, as (..., bound)."""
        some = [tally.shown.shape[1] for tallies in self.tallies for tally in tallies]
        size = min(some) if len(self.tallies[0]) == 1 else len(self.tallies[0])
        return np.moveaxis(interval(np.moveaxis(draws, axis, 0), self.confidence, size), 0, -1)


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """Quotient; NaN where nothing is below."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.asarray(np.divide(above, below, out=np.full(shape, np.nan), where=below > 0))


def dataset(summary: Summary, coords: Mapping[str, Any], *, group_dim: str) -> xr.Dataset:
    """Label what the tallies say, with the labels of every dim."""
    made = {}
    for name, (text, values) in summary.variables().items():
        dims = [group_dim if dim == v.CATEGORY else dim for dim in text.split()]
        along = {dim: coords[dim] for dim in dims if dim in coords}
        usual = (v.RANKING, v.KIND, group_dim, v.FRACTION, v.GROUP, v.DRAW)
        array = labelled(values, dims, along, name=name)
        made[name] = array.transpose(*(d for d in usual if d in dims), ...)
    return xr.Dataset(made)
