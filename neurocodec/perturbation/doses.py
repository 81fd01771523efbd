"""`nc.steering_curve`: what becomes of a class, and of all others, as its share is scaled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import bootstrap_means, interval, mean_intervals
from neurocodec.labels import labelled, provenance, require_dims, require_same, stamp
from neurocodec.network import Network
from neurocodec.perturbation import rankings
from neurocodec.perturbation.ablation import Fill, finite_fill
from neurocodec.perturbation.answers import OpenedLayer, label_answers, opened_layer
from neurocodec.perturbation.curve import category_names, label_positions, require_classifier
from neurocodec.perturbation.images import Concepts, group_members
from neurocodec.perturbation.masks import ByGroup
from neurocodec.perturbation.summary import GROUPS
from neurocodec.rows.origin import require_layer

FACTORS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def steering_curve(
    net: Network,
    stimulus: xr.DataArray,
    layer: str,
    shares: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    labels: xr.DataArray | Sequence[Any] | None = None,
    concepts: Concepts | None = None,
    factors: Sequence[float] = FACTORS,
    fill: Fill = 0.0,
    confidence: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Dose and response: a class is steered, and all images are classified.

    For each class and each kind of share, channels are multiplied by 1 + share (factor - 1), as
    `nc.steer` does it, and every image is run. Images of the class are the target; all others tell
    what else is changed. Each image is run up to the layer once.

    Parameters
    ----------
    net
        A classifier of still images.
    stimulus
        Images (stimulus, ...), in memory or lazily read.
    layer
        Alias of the layer.
    shares
        `carried_share` (category or concept, channel[, draw]) of `nc.steering`, or several by
        name, such as the modes and their controls. All have the same categories.
    labels
        Category (name or position) of each image; the coordinate `label` where None. Images
        whose label is none of the network's categories are left out.
    concepts
        Of shares with the dim `concept`: concept -> its categories, as `nc.perturbation_curve`
        takes them.
    factors
        Increasing; 1 is the network as it is and is added where it is not there.
    fill
        What a channel is whose contribution is taken away: a number, or one per channel.
    confidence
        Of all intervals.
    bootstrap
        Resamples of the categories.
    seed
        Of the resamples.
    batch_size, workers, device, progress
        As `nc.perturbation_curve` takes them.

    Returns
    -------
    xarray.Dataset
        Over `ranking` (the names of the shares), `category` (or `concept`), `factor`, `group`
        ("target", "off_target"), `bound`:

        - `label_change`: how much the output of an image's own label changes, mean over images (and
          draws), and `accuracy`;
        - `mean_label_change`, `mean_accuracy` over the categories, with intervals from resamples
          of the categories;
        - `off_target_ratio` (ranking, factor): size of the change of off-target images over that
          of target images, both means over categories, with its interval on the same resamples;
        - `monotonic_share` (ranking): part of the categories whose target images change upwards
          with every factor.
        - `n`: images of each group; `shared_images`: part of them that the shares were made from.

    Raises
    ------
    InputError
        Shares of another layer, categories without images, or labels that are missing.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     [[2.0, 1.0], [1.0, 2.0]], {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> shares = xr.DataArray(
    ...     [[1.0, 0.0], [0.0, 1.0]], {"category": ["a", "b"]}, ("category", "channel")
    ... )
    >>> found = steering_curve(net, images, "hidden", shares, factors=[0, 1, 2], progress=False)
    >>> found.label_change.sel(group="target", category="a").values.ravel().tolist()
    [-2.0, 0.0, 2.0]
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    batch_size = arguments.batch_size(batch_size)
    require_classifier(net, stimulus)
    bootstrap, confidence = arguments.interval(bootstrap, confidence, least=1)
    doses = Doses.of(shares, factors)
    for name, one in doses.shares.items():
        require_layer(provenance(one), net, layer, f"shares {name!r}")
    placed, filled = net.on(device), finite_fill(fill)
    names = category_names(placed, stimulus)
    label = label_positions(stimulus, labels, names)
    chosen = np.flatnonzero(label >= 0)
    used, label = stimulus.isel({v.STIMULUS: chosen}), label[chosen]
    member = group_members(doses.groups, names, concepts, label)[:, label]
    _require_both(member, doses.groups)
    with opened_layer(placed, used, layer, batch_size) as opened:
        _require_channels(opened, doses, layer)
        run = partial(label_answers, opened, label=label, fill=filled, workers=workers)
        value, answer = run(gains=doses.gains, progress=progress)
    summary = _Summary(doses, member, value, answer == label, (confidence, bootstrap, seed))
    made = _labelled(summary, used)
    facts = {
        **net.facts,
        "layer": layer,
        "confidence": confidence,
        "bootstrap": bootstrap,
        "seed": seed,
        "shares": {name: provenance(one) for name, one in doses.shares.items()},
    }
    return stamp(made, "nc.steering_curve", **facts)


@dataclass(frozen=True)
class Doses(ByGroup):
    """Shares of the channels, and by how much they are scaled."""

    shares: Mapping[str, xr.DataArray]  # by name, each (group, channel, draw)
    factors: tuple[float, ...]

    @classmethod
    def of(
        cls, shares: xr.DataArray | Mapping[str, xr.DataArray], factors: Sequence[float]
    ) -> Doses:
        """Check shares: the same classes and channels in all, from 0 to 1."""
        named = shares if isinstance(shares, Mapping) else {"shares": shares}
        if not named:
            raise InputError(came="no shares", expected="shares of classes", hint="nc.steering")
        found = {str(name): _checked(one, str(name)) for name, one in named.items()}
        first, *rest = found.values()
        for one in rest:
            for dim in first.dims[:2]:
                require_same(first, one, str(dim), "the shares of two kinds")
        return cls(found, _factors(factors))

    @property
    def tables(self) -> Mapping[str, xr.DataArray]:
        """Shares, by name."""
        return self.shares

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """First row of each kind in `gains`, and its number of draws."""
        counts = [one.sizes[v.DRAW] for one in self.shares.values()]
        rows = [n * len(self.groups) * len(self.factors) for n in counts]
        return list(zip(np.cumsum([0, *rows[:-1]]).tolist(), counts, strict=True))

    @property
    def gains(self) -> NDArray[np.float64]:
        """Gains (row, channel) of every kind, group, draw and factor, in this order."""
        beyond = np.array(self.factors)[:, None] - 1
        found = []
        for one in self.shares.values():
            parts = np.moveaxis(np.asarray(one.values, np.float64), 1, 2)  # (group, draw, channel)
            found.append((1 + parts[:, :, None] * beyond).reshape(-1, self.channels))
        return np.concatenate(found)


def _factors(factors: Sequence[float]) -> tuple[float, ...]:
    try:
        found = np.asarray(factors, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    fine = found.ndim == 1 and found.size > 0 and np.isfinite(found).all()
    if not fine or bool((np.diff(found) <= 0).any()):
        raise InputError(
            came=f"factors={factors!r}",
            expected="increasing finite numbers",
            hint="factors=(0, 0.5, 1, 2)",
        )
    return tuple(np.union1d(found, [1.0]).tolist())


def _checked(shares: xr.DataArray, name: str) -> xr.DataArray:
    group = rankings.group_dim(shares)
    if v.DRAW not in shares.dims:
        shares = shares.expand_dims(v.DRAW, -1)
    shares = require_dims(shares, (group, v.CHANNEL, v.DRAW), f"shares {name!r}")
    values = np.asarray(shares.values)
    if group not in shares.coords or not values.size or not ((values >= 0) & (values <= 1)).all():
        raise InputError(
            came=f"shares {name!r} without names of the {group}, or outside of 0 to 1",
            expected=f"a coordinate {group!r}, and parts of channels",
            hint="nc.steering.from_modes(modes, rows, masks)",
        )
    return shares


def _require_both(member: NDArray[np.bool_], groups: Sequence[str]) -> None:
    for name, inside in zip(groups, member, strict=True):
        if not inside.any() or inside.all():
            raise InputError(
                came=f"{int(inside.sum())} of {len(inside)} images of {name!r}",
                expected="images of every category or concept, and of others",
            )


def _require_channels(opened: OpenedLayer, doses: Doses, layer: str) -> None:
    if opened.channels != doses.channels:
        raise InputError(
            came=f"shares of {doses.channels} channels for layer {layer!r}",
            expected=f"one for each of its {opened.channels} channels",
        )


@dataclass(frozen=True)
class _Summary:
    """What the outputs of all images say."""

    doses: Doses
    member: NDArray[np.bool_]  # (group, image)
    value: NDArray[np.float32]  # (row of gains, image), output of the own label
    right: NDArray[np.bool_]  # (row of gains, image)
    asked: tuple[float, int, int]  # confidence, resamples, seed

    def of_groups(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Means (kind, group, factor, target or not) over draws and images."""
        groups, factors = self.member.shape[0], len(self.doses.factors)
        found = []
        for start, draws in self.doses.sizes:
            rows = values[start : start + groups * draws * factors]
            rows = rows.reshape(groups, draws, factors, -1).mean(axis=1)
            weights = np.stack([self.member, ~self.member], axis=1).astype(np.float64)
            weights /= weights.sum(axis=2, keepdims=True)
            found.append(np.einsum("gfi,gti->gft", rows, weights))
        return np.stack(found)

    def variables(self) -> Iterator[tuple[str, tuple[str, ...], NDArray[Any]]]:
        """Name, dims and values of everything."""
        usual = (v.RANKING, v.CATEGORY, v.FACTOR, v.GROUP)
        plain = self.doses.factors.index(1.0)
        value, accuracy = self.of_groups(self.value), self.of_groups(self.right)
        change = value - value[:, :, plain : plain + 1]
        yield "label_change", usual, change
        yield "accuracy", usual, accuracy
        yield (
            "n",
            (v.CATEGORY, v.GROUP),
            np.stack([self.member.sum(1), (~self.member).sum(1)], axis=1),
        )
        for name, values in (("mean_label_change", change), ("mean_accuracy", accuracy)):
            flat = np.moveaxis(values, 1, 0)
            confidence, draws, seed = self.asked
            found = mean_intervals(flat.reshape(len(flat), -1), draws, confidence, seed)
            mean, low, high, _ = found.reshape(4, *flat.shape[1:])
            yield name, (v.RANKING, v.FACTOR, v.GROUP), mean
            ends = np.stack([low, high], axis=-1)
            yield f"{name}_interval", (v.RANKING, v.FACTOR, v.GROUP, v.BOUND), ends
        yield from self._ratios(change)
        rising = (np.diff(change[..., 0], axis=2) > 0).all(axis=2)
        yield "monotonic_share", (v.RANKING,), rising.mean(axis=1)

    def _ratios(
        self, change: NDArray[np.float64]
    ) -> Iterator[tuple[str, tuple[str, ...], NDArray[Any]]]:
        confidence, resamples, seed = self.asked
        flat = np.moveaxis(change, 1, 0)
        again = bootstrap_means(flat.reshape(len(flat), -1), resamples, seed)
        draws = again.reshape(-1, *flat.shape[1:])
        ratio, drawn = (_ratio(x[..., 1], x[..., 0]) for x in (flat.mean(axis=0), draws))
        ends = np.moveaxis(interval(drawn, confidence, len(flat)), 0, -1)
        yield "off_target_ratio", (v.RANKING, v.FACTOR), ratio
        yield "off_target_ratio_interval", (v.RANKING, v.FACTOR, v.BOUND), ends


def _ratio(off: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Size of one change over that of another; NaN where nothing changes, as at a factor of 1."""
    size = np.abs(own)
    ratio: NDArray[np.float64] = np.full(own.shape, np.nan)
    return np.divide(np.abs(off), size, out=ratio, where=size > 0)


def _labelled(summary: _Summary, used: xr.DataArray) -> xr.Dataset:
    doses = summary.doses
    coords: dict[str, Any] = {
        v.RANKING: list(doses.shares),
        doses.group: doses.groups,
        v.FACTOR: np.array(doses.factors),
        v.GROUP: list(GROUPS),
        v.BOUND: list(v.BOUNDS),
    }
    made = {}
    for name, dims, values in summary.variables():
        named = tuple(doses.group if d == v.CATEGORY else d for d in dims)
        made[name] = labelled(values, named, {d: coords[d] for d in named}, name=name)
    shared = [rankings.seen_share(one, used) for one in doses.shares.values()]
    known = {v.RANKING: coords[v.RANKING]}
    made["shared_images"] = labelled(shared, (v.RANKING,), known, name="shared_images")
    return xr.Dataset(made)
