"""`nc.rankings`: scores that say which channels of a layer to perturb first, for every class.

Each function returns `channel_score` (category or concept, channel); channels with the largest
scores are perturbed first. Make scores on other images than those that `nc.perturbation_curve`
is then measured on: a ranking that has seen them is flattered. The scores remember which images
they were made from, and the curve says how many of its own are among them.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.cells.correlate import correlate
from neurocodec.errors import InputError
from neurocodec.labels import (
    labelled,
    provenance,
    require_dims,
    require_same,
    sample_dim,
    stamp,
)
from neurocodec.modes.decomposition import Decomposition
from neurocodec.rows import matrix as row
from neurocodec.rows.blocks import provenance_of
from neurocodec.rows.origin import source_of

__all__ = ["at_random", "from_contrast", "from_correlation", "from_gradient", "from_modes"]

Weights = Literal["largest", "contrast"]

SIZE: Final = 512
"""Hashes that a sketch keeps: up to as many samples the share is exact."""


def from_modes(
    modes: Decomposition,
    masks: xr.DataArray,
    *,
    loadings: xr.DataArray | None = None,
    top: int | Literal["all"] = 1,
    weights: Weights = "largest",
) -> xr.DataArray:
    """Rank channels by their weights in the modes that go best with a class (CODEC sec. 5).

    One mode is not one class: where there are many modes for each class, the best one has part
    of its class, and the order of the channels outside of it is chance. All modes together,
    ``top="all", weights="contrast"``, rank every channel.

    Parameters
    ----------
    modes
        Contribution modes or activation modes of one layer, fitted.
    masks
        `member` (stimulus, category) or (stimulus, concept).
    loadings
        (stimulus, mode) of the same images as `masks`; those of the fit where None. For images
        that the fit has not seen: ``modes.transform(rows)``.
    top
        How many of the best modes: 1 in CODEC fig. 6A-B, 2 in its example of figure 6C; or
        ``"all"``, with ``weights="contrast"``.
    weights
        ``"largest"``: of several modes the largest absolute weight of a channel, each mode divided
        by its own largest. ``"contrast"``: the sum over modes of (mean loading inside of the class
        - mean outside) x weight, in units of the rows.

    Returns
    -------
    xarray.DataArray
        `channel_score`, by the modes whose loadings have the largest Pearson correlation with the
        mask. Weights of both signs of a channel (``sign="both"``) are summed, those of inhibitory
        parts count as sizes. Coordinates `best_mode` and `best_correlation` of the best.

    Raises
    ------
    InputError
        Where masks and loadings have different images, no loading varies, or all modes are asked
        for by their largest weights, which are the same for every class.

    Examples
    --------
    >>> from neurocodec import BaselineModes
    >>> rows = xr.DataArray(np.eye(6)[:, :3] + 1.0, dims=("stimulus", "channel"))
    >>> modes = BaselineModes("pca", modes=2).fit(rows)
    >>> masks = xr.DataArray(np.eye(6)[:, :1] > 0, {"category": ["a"]}, ("stimulus", "category"))
    >>> from_modes(modes, masks).sizes
    Frozen({'category': 1, 'channel': 3})
    """
    arguments.one_of("weights", weights, get_args(Weights))
    number = _number_of(top, weights)
    found = modes.loadings if loadings is None else loadings
    masks, _ = _checked(masks)
    best = best_modes(found, masks, number)
    if weights == "contrast":
        chosen = np.take_along_axis(_contrast(found, masks), best.places, 1) * best.vary
        scores = np.einsum("gm,gmc->gc", chosen, signed_weights(modes.dictionary)[best.places])
    else:
        scores = (_weights(modes.dictionary)[best.places] * best.vary[..., None]).max(axis=1)
    facts = {"kind": type(modes).__name__, "top": top, "modes": found.sizes[v.MODE]}
    facts |= {} if weights == "largest" else {"weights": weights}
    facts |= source_of(modes.origin)
    made = _scores(scores, masks, modes.dictionary, "from_modes", **facts)
    return made.assign_coords(best.coords)


class BestModes(NamedTuple):
    """Modes that go best with each class, the best first."""

    places: NDArray[np.intp]  # (group, mode)
    vary: NDArray[np.bool_]  # (group, mode): others have no correlation
    coords: dict[str, tuple[str, NDArray[Any]]]  # the best of each class


def best_modes(loadings: xr.DataArray, masks: xr.DataArray, number: int | None) -> BestModes:
    """So many modes (all where None) with the largest correlation with each class."""
    group = group_dim(masks)
    related = correlate(loadings, masks.astype(float)).transpose(group, v.MODE)
    values = np.nan_to_num(related.values, nan=-np.inf)
    if not np.isfinite(values).any(axis=1).all():
        raise InputError(
            came="loadings that do not vary, or a mask without or with nothing but members",
            expected="images inside and outside of every category",
        )
    best = np.argsort(-values, axis=1, kind="stable")[:, :number]
    r = np.take_along_axis(values, best, 1)
    first = related[v.MODE].values[best[:, 0]]
    coords = {"best_mode": (group, first), "best_correlation": (group, r[:, 0])}
    return BestModes(best, np.isfinite(r), coords)


def _number_of(top: int | str, weights: str) -> int | None:
    """How many modes; None for all, which only contrasts tell apart."""
    if top != "all":
        return arguments.whole("top", top)
    if weights != "contrast":
        raise InputError(
            came=f"top='all' with weights={weights!r}, which rank alike for every class",
            expected="weights that depend on the class",
            hint="nc.rankings.from_modes(modes, masks, top='all', weights='contrast')",
        )
    return None


def _contrast(values: xr.DataArray, masks: xr.DataArray) -> NDArray[np.float64]:
    """Mean inside of each class minus mean outside (group, column)."""
    dim = sample_dim(values)
    require_same(values, masks, dim, "rows and masks")
    inside = np.asarray(masks.values, np.float64).T
    rows = np.asarray(values.transpose(dim, ...).values, np.float64)
    outside = 1 - inside
    if not outside.any(axis=1).all():
        raise InputError(
            came="masks that every image is a member of",
            expected="images inside and outside of every category or concept",
        )
    means = [side @ rows / side.sum(axis=1, keepdims=True) for side in (inside, outside)]
    return np.asarray(means[0] - means[1])


def signed_weights(dictionary: xr.DataArray) -> NDArray[np.float64]:
    """Weights (mode, channel), inhibitory parts turned positive, of both signs their sum."""
    rows = dictionary.transpose(v.MODE, ..., v.CHANNEL)
    values = row.matrix(rows).reshape(len(rows), -1, rows.sizes[v.CHANNEL])
    return np.asarray(values.sum(axis=1), np.float64)


def _weights(dictionary: xr.DataArray) -> NDArray[np.float64]:
    """Absolute weights (mode, channel), each mode divided by its largest."""
    rows = dictionary.transpose(v.MODE, v.CHANNEL, ...)
    sizes = np.abs(np.asarray(rows.values, np.float64)).reshape(*rows.shape[:2], -1).sum(-1)
    largest = sizes.max(axis=1, keepdims=True)
    return np.asarray(sizes / np.where(largest > 0, largest, 1.0))


def from_correlation(
    rows: row.Contributions, masks: xr.DataArray, *, sign: str = "excitatory"
) -> xr.DataArray:
    """Rank channels by the correlation of each by itself with a class.

    Parameters
    ----------
    rows
        A layer of contributions, its `contribution`, or any (stimulus, channel), such as its
        `activation`.
    masks
        `member` (stimulus, category) or (stimulus, concept), of the same images.
    sign
        Of contributions: "excitatory", "inhibitory" (their sizes) or "net".

    Returns
    -------
    xarray.DataArray
        `channel_score`: Pearson correlation; NaN for a channel that is constant.

    Examples
    --------
    >>> rows = xr.DataArray(np.eye(4)[:, :2], dims=("stimulus", "channel"))
    >>> masks = xr.DataArray(np.eye(4)[:, 1:2] > 0, {"category": ["a"]}, ("stimulus", "category"))
    >>> from_correlation(rows, masks).round(2).values.tolist()
    [[-0.33, 1.0]]
    """
    masks, group = _checked(masks)
    chosen = row.select_rows(rows, sign)
    if v.SIGN in chosen.coords and sign == v.INHIBITORY:
        chosen = abs(chosen)
    scores = correlate(chosen, masks.astype(float)).transpose(group, v.CHANNEL)
    facts = {"variable": str(chosen.name or ""), "sign": sign, **source(rows)}
    return _scores(scores.values, masks, chosen, "from_correlation", **facts)


def from_contrast(
    rows: row.Contributions, masks: xr.DataArray, *, sign: str = "excitatory"
) -> xr.DataArray:
    """Rank channels by how much more of each there is inside of a class than outside.

    Parameters
    ----------
    rows
        A layer of contributions, its `contribution`, or any (stimulus, channel), such as its
        `activation`.
    masks
        `member` (stimulus, category) or (stimulus, concept), of the same images.
    sign
        Of contributions: "excitatory", "inhibitory" (their sizes) or "net".

    Returns
    -------
    xarray.DataArray
        `channel_score`: mean over the images of the class minus mean over all others, in units of
        the rows. Unlike a correlation it weighs a channel by how much it does.

    Raises
    ------
    InputError
        Where rows and masks have different images, or a class has all of them.

    Examples
    --------
    >>> rows = xr.DataArray([[4.0, 1.0], [0.0, 1.0]], dims=("stimulus", "channel"))
    >>> masks = xr.DataArray([[True], [False]], {"category": ["a"]}, ("stimulus", "category"))
    >>> from_contrast(rows, masks).values.tolist()
    [[4.0, 0.0]]
    """
    masks, _ = _checked(masks)
    chosen = row.select_rows(rows, sign)
    if v.SIGN in chosen.coords and sign == v.INHIBITORY:
        chosen = abs(chosen)
    facts = {"variable": str(chosen.name or ""), "sign": sign, **source(rows)}
    scores = _contrast(require_dims(chosen, (sample_dim(chosen), v.CHANNEL), "rows"), masks)
    return _scores(scores, masks, chosen, "from_contrast", **facts)


def from_gradient(rows: row.Contributions, masks: xr.DataArray) -> xr.DataArray:
    """Rank channels by the size of the gradient of the answer to images of a class.

    Parameters
    ----------
    rows
        A layer of ``nc.contributions(..., method=nc.methods.Gradient())``: its `gradient`
        (stimulus, sign, channel), the parts of dy/dh above and below zero summed over positions.
    masks
        `member` (stimulus, category) or (stimulus, concept), of the same images.

    Returns
    -------
    xarray.DataArray
        `channel_score`: mean over the images of the class of the sum over positions of |dy/dh|,
        in units of the target. With ``TopK(1)`` y is the logit that the network answers with.

    Examples
    --------
    >>> rows = xr.DataArray(
    ...     [[[1.0], [-2.0]]], dims=("stimulus", "sign", "channel"), name="gradient"
    ... )
    >>> masks = xr.DataArray([[True]], {"category": ["a"]}, ("stimulus", "category"))
    >>> from_gradient(rows, masks).values.tolist()
    [[3.0]]
    """
    masks, _ = _checked(masks)
    found = rows if isinstance(rows, xr.DataArray) else rows.get("gradient")
    if not isinstance(found, xr.DataArray):
        raise InputError(
            came="rows without `gradient`",
            expected="gradients",
            hint="nc.contributions(..., method=nc.methods.Gradient())",
        )
    parts = require_dims(found, (sample_dim(found), v.SIGN, v.CHANNEL), "gradients")
    require_same(parts, masks, sample_dim(parts), "gradients and masks")
    sizes = np.abs(np.asarray(parts.values, np.float64)).sum(axis=1)
    inside = np.asarray(masks.values, np.float64)
    scores = (inside.T @ sizes) / inside.sum(axis=0)[:, None]
    return _scores(scores, masks, parts, "from_gradient", **source(rows))


def at_random(like: xr.DataArray, *, draws: int = 3, seed: int = 0) -> xr.DataArray:
    """Rank channels at random: the control of the same size.

    Parameters
    ----------
    like
        Any scores of the layer, for their labels.
    draws
        How many rankings, independent for each category.
    seed
        Of the draws.

    Returns
    -------
    xarray.DataArray
        `channel_score` (category or concept, channel, draw), uniform in [0, 1).

    Examples
    --------
    >>> like = xr.DataArray([[0.0, 1.0]], {"category": ["a"]}, ("category", "channel"))
    >>> at_random(like, draws=2).sizes
    Frozen({'category': 1, 'channel': 2, 'draw': 2})
    """
    draws = arguments.whole("draws", draws)
    group = group_dim(like)
    like = like.transpose(group, v.CHANNEL, ...)
    shape = (*like.shape[:2], draws)
    values = np.random.default_rng([seed, 4]).random(shape)
    coords = {name: like[name].variable for name in (group, v.CHANNEL) if name in like.coords}
    coords[v.DRAW] = xr.Variable(v.DRAW, np.arange(draws))
    made = labelled(values, (group, v.CHANNEL, v.DRAW), coords, name="channel_score")
    return stamp(made, "nc.rankings.at_random", seed=seed)


def source(rows: row.Contributions) -> dict[str, str]:
    """Layer and weights that rows are of, as far as they say."""
    return source_of(provenance_of(rows))


def group_dim(array: xr.DataArray) -> str:
    """Dim of the classes in masks or scores: `category` or `concept`."""
    dims = [d for d in (v.CATEGORY, v.CONCEPT) if d in getattr(array, "dims", ())]
    if len(dims) != 1:
        raise InputError(
            came=f"dims {tuple(map(str, getattr(array, 'dims', ())))}",
            expected="exactly one of 'category' and 'concept'",
            hint="nc.class_masks(labels)",
        )
    return dims[0]


def _checked(masks: xr.DataArray) -> tuple[xr.DataArray, str]:
    group = group_dim(masks)
    dim = sample_dim(masks)
    masks = require_dims(masks, (dim, group), "masks")
    inside = np.asarray(masks.values, bool).sum(axis=0)
    if not inside.all():
        empty = masks[group].values[inside == 0].tolist() if group in masks.coords else []
        raise InputError(
            came=f"masks without a member, of {str(empty[:5])[1:-1] or 'some'}",
            expected="images of every category or concept",
            hint=f"masks.isel({group}=masks.any({dim!r}).values)",
        )
    return masks, group


def _scores(
    values: Any, masks: xr.DataArray, like: xr.DataArray, function: str, **facts: Any
) -> xr.DataArray:
    group = group_dim(masks)
    coords = {group: masks[group].values, **row.coords_along(like, (v.CHANNEL,))}
    made = labelled(values, (group, v.CHANNEL), coords, name="channel_score")
    return stamp(made, f"nc.rankings.{function}", samples=sketch(masks), **facts)


def sketch(data: xr.DataArray) -> dict[str, Any]:
    """Sketch of a set of samples for provenance: the smallest hashes of their names (bottom-k)."""
    return {"count": int(data.sizes[sample_dim(data)]), "hashes": _hashes(data)[:SIZE].tolist()}


def shared_share(data: xr.DataArray, other: dict[str, Any]) -> float:
    """Part of the samples that are in a sketch as well; an estimate where it has left some out."""
    found, known = _hashes(data), np.asarray(other["hashes"], dtype=np.int64)
    if other["count"] > SIZE and len(known) == SIZE:
        # there are others behind the last; of 10,000 samples it reaches about one in twenty
        found = found[found <= known[-1]]
    return float(np.isin(found, known).mean()) if len(found) else 0.0


def seen_share(scores: xr.DataArray, used: xr.DataArray) -> float:
    """Part of the images that scores were made from; NaN where they do not say."""
    origin = provenance(scores)
    if "samples" in origin:
        return shared_share(used, origin["samples"])
    return 0.0 if origin.get("function") == "nc.rankings.at_random" else float("nan")


def _hashes(data: xr.DataArray) -> NDArray[np.int64]:
    """One number of 32 bits per sample, from its `source`, its label along the dim, or place."""
    dim = sample_dim(data)
    name = next((n for n in (v.SOURCE, dim) if n in data.coords), None)
    names = range(data.sizes[dim]) if name is None else data[name].values.tolist()
    digests = (hashlib.blake2b(str(n).encode(), digest_size=4).digest() for n in names)
    return np.array(sorted({int.from_bytes(d, "big") for d in digests}), dtype=np.int64)
