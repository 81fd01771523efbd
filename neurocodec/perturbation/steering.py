"""`nc.steering`: which part of each channel of a layer a mode, or a class, carries; `nc.steer`.

Each function returns `carried_share` (category or concept, channel), from 0 to 1: the part of a
channel's contribution that is scaled where the class is steered. Make shares on other images than
those that `nc.steering_curve` is then measured on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import (
    fingerprint,
    labelled,
    provenance,
    require_dims,
    require_same,
    sample_dim,
    stamp,
)
from neurocodec.modes.decomposition import Decomposition
from neurocodec.network import Network, require_network
from neurocodec.nn.perturbation.ablation import ChannelGain, masked
from neurocodec.perturbation import rankings
from neurocodec.perturbation.ablation import Fill, finite_fill
from neurocodec.rows import matrix as row
from neurocodec.rows.origin import source_of

__all__ = ["at_random", "from_contrast", "from_modes", "from_scores", "shares"]


@contextmanager
def steer(
    net: Network,
    layer: str,
    factors: Mapping[int, float],
    *,
    modes: Decomposition,
    rows: row.Contributions,
    fill: Fill = 0.0,
) -> Iterator[Network]:
    """Scale modes of a layer in the activations that carry their contributions.

    A channel of which a mode carries the share s is multiplied by 1 + s (factor - 1): what other
    modes carry, and what no mode explains, stays. Where the share is 1, a factor of 0 is what
    `nc.ablate` does. Shares are means over `rows`, the same for every stimulus, so that no
    stimulus is told by its own contributions which mode it has.

    Parameters
    ----------
    net
        The network; its weights are shared, not copied, and it stays as it is.
    layer
        Alias of one of its layers.
    factors
        Mode -> factor: 0 takes it away, 1 changes nothing, 2 doubles it. The shares of several
        modes add up; factors of at least 0 never turn a channel around.
    modes
        Fitted to contributions (or activations) of the layer.
    rows
        Contributions of the layer, of which the shares are made; see `nc.steering.shares`.
    fill
        What a channel is whose contribution is taken away: a number, or one for each channel.

    Yields
    ------
    Network
        As `nc.ablate` does; gradients flow through it, and it goes on to be valid after the block.

    Raises
    ------
    UnknownNameError
        Where the network has no such layer, or there is no such mode.
    InputError
        Rows or modes of another layer or network, factors that are not finite.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), layers={"hidden": "0"})
    >>> images = xr.DataArray([[2.0, 3.0]], dims=("stimulus", "feature"))
    >>> rows = xr.DataArray(np.eye(6)[:, :2] + 0.1, dims=("stimulus", "channel"))
    >>> modes = nc.BaselineModes("pca", modes=2).fit(rows)
    >>> with nc.steer(net, "hidden", {0: 1.0}, modes=modes, rows=rows) as steered:
    ...     nc.respond(steered, images).values.tolist()
    [[2.0, 3.0]]
    """
    yield steered(net, layer, factors, modes=modes, rows=rows, fill=fill)


def steered(
    net: Network,
    layer: str,
    factors: Mapping[int, float],
    *,
    modes: Decomposition,
    rows: row.Contributions,
    fill: Fill = 0.0,
) -> Network:
    """Make the network that `nc.steer` yields."""
    place = require_network(net).select_layers([layer])[layer]
    known = _checked_factors(factors, modes)
    carried = shares(modes, rows, layer=layer, net=net)
    row.require_channel_order(carried, "modes")
    gains = gains_of(carried.sel({v.MODE: [*known]}).values, np.array([*known.values()]))
    told = ", ".join(f"{mode}: {factor:g}" for mode, factor in known.items())
    filled = finite_fill(fill)
    text = f"steer({layer!r}, {{{told}}}, gains sha256 {fingerprint(gains)[:16]}"
    text += f", fill sha256 {fingerprint(np.asarray(filled))[:16]})"
    made = masked(net.module, ChannelGain(place, tuple(gains.tolist()), filled))
    return replace(net, module=made, perturbation=(*net.perturbation, text))


def gains_of(carried: NDArray[Any], factors: NDArray[Any]) -> NDArray[np.float64]:
    """Gain of each channel (channel,) for shares (mode, channel) and factors (mode,)."""
    gains = 1 + (factors - 1) @ np.asarray(carried, np.float64)
    return np.asarray(np.maximum(gains, 0.0) if (factors >= 0).all() else gains)


def _checked_factors(factors: Any, modes: Decomposition) -> dict[int, float]:
    if not isinstance(factors, Mapping) or not factors:
        raise InputError(
            came=f"factors={factors!r}", expected="a factor for each mode", hint="{0: 2.0}"
        )
    known = modes.dictionary[v.MODE].values.tolist()
    for mode in factors:
        if mode not in known:
            raise unknown_name("mode", mode, known)
    expected = "a finite factor for each mode"
    return {m: arguments.number("factor", f, expected) for m, f in factors.items()}


def shares(
    modes: Decomposition,
    rows: row.Contributions,
    *,
    layer: str | None = None,
    net: Network | None = None,
) -> xr.DataArray:
    """Which part of each channel's contribution each mode carries.

    Parameters
    ----------
    modes
        Fitted to contributions (or activations) of a layer.
    rows
        Contributions of the layer, those that were fitted or others.
    layer, net
        The layer and the network that they are to be of; rows that say otherwise are refused.

    Returns
    -------
    xarray.DataArray
        `carried_share` (mode, channel), from 0 to 1: sum over rows of z^2 D / sum of z r, for
        loadings z, weights D and rows r. It is the part of a channel that the mode makes where it
        is active; what modes leave unexplained is part of r, so that it stays. Both signs of a
        channel (``sign="both"``) are summed, inhibitory parts as sizes.

    Raises
    ------
    InputError
        Where the rows are not of the layer and the network that the modes were fitted to.

    Examples
    --------
    >>> import neurocodec as nc
    >>> rows = xr.DataArray(np.eye(6)[:, :2] + 0.1, dims=("stimulus", "channel"))
    >>> modes = nc.BaselineModes("nmf", modes=2).fit(rows)
    >>> shares(modes, rows).round(1).max("channel").values.tolist()
    [1.0, 1.0]
    """
    if net is not None and layer is not None:
        modes.require_layer(net, layer)
    loadings = modes.transform(rows)
    z, _ = row.require_loadings(loadings)
    found = row.select_rows(rows, modes.sign)
    channels = found.sizes[v.CHANNEL]
    r = row.matrix(found).reshape(len(z), -1, channels).sum(axis=1, dtype=np.float64)
    weights = rankings.signed_weights(modes.dictionary)
    whole = z.T @ r
    made = (z**2).sum(axis=0)[:, None] * weights
    part = np.divide(made, whole, out=np.zeros_like(made), where=whole != 0)
    coords = {v.MODE: modes.dictionary[v.MODE].values, **row.coords_along(found, (v.CHANNEL,))}
    coords.pop(v.SIGN, None)
    made = labelled(np.clip(part, 0, 1), (v.MODE, v.CHANNEL), coords, name="carried_share")
    facts = {"modes": fingerprint(modes.dictionary), **source_of(modes.origin)}
    return stamp(made, "nc.steering.shares", **facts)


def from_modes(
    modes: Decomposition, rows: row.Contributions, masks: xr.DataArray, *, top: int = 1
) -> xr.DataArray:
    """Part of each channel that the modes of a class carry.

    Parameters
    ----------
    modes
        Fitted to contributions (or activations) of a layer.
    rows
        Contributions of the layer, of the same images as `masks`.
    masks
        `member` (stimulus, category) or (stimulus, concept).
    top
        How many of the modes that go best with the class; their shares are summed, up to 1.

    Returns
    -------
    xarray.DataArray
        `carried_share` (category or concept, channel), with `best_mode` and `best_correlation`.

    Examples
    --------
    >>> import neurocodec as nc
    >>> rows = xr.DataArray(np.eye(6)[:, :2] + 0.1, dims=("stimulus", "channel"))
    >>> modes = nc.BaselineModes("nmf", modes=2).fit(rows)
    >>> masks = xr.DataArray(np.eye(6)[:, :1] > 0, {"category": ["a"]}, ("stimulus", "category"))
    >>> from_modes(modes, rows, masks).round(1).values.tolist()
    [[1.0, 0.0]]
    """
    carried = shares(modes, rows)
    best = rankings.best_modes(modes.transform(rows), masks, arguments.whole("top", top))
    values = np.minimum(carried.values[best.places].sum(axis=1), 1.0)
    made = _of_classes(values, masks, carried, "from_modes", top=top, **source_of(modes.origin))
    return made.assign_coords(best.coords)


def from_contrast(
    rows: row.Contributions, masks: xr.DataArray, *, sign: str = "excitatory"
) -> xr.DataArray:
    """Part of each channel that a class has beyond what all others have.

    Parameters
    ----------
    rows
        A layer of contributions, its `contribution`, or any (stimulus, channel).
    masks
        `member` (stimulus, category) or (stimulus, concept), of the same images.
    sign
        Of contributions: "excitatory", "inhibitory" (their sizes) or "net".

    Returns
    -------
    xarray.DataArray
        `carried_share`: (mean inside of the class - mean outside) / mean inside, 0 where that is
        below 0.

    Examples
    --------
    >>> rows = xr.DataArray([[4.0, 1.0], [1.0, 1.0]], dims=("stimulus", "channel"))
    >>> masks = xr.DataArray([[True], [False]], {"category": ["a"]}, ("stimulus", "category"))
    >>> from_contrast(rows, masks).values.tolist()
    [[0.75, 0.0]]
    """
    contrast = rankings.from_contrast(rows, masks, sign=sign)
    chosen = row.select_rows(rows, sign)
    dim = sample_dim(chosen)
    inside = require_dims(masks, (dim, rankings.group_dim(masks)), "masks").values.astype(float)
    size = abs(chosen) if sign == v.INHIBITORY else chosen
    mean = inside.T @ np.asarray(size.transpose(dim, v.CHANNEL).values, np.float64)
    mean = mean / inside.sum(axis=0)[:, None]
    part = np.divide(contrast.values, mean, out=np.zeros_like(mean), where=mean > 0)
    facts = {"sign": sign, **rankings.source(rows)}
    return _of_classes(np.clip(part, 0, 1), masks, contrast, "from_contrast", **facts)


def from_scores(scores: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Whole channels in the order of a ranking, as many as other shares sum up to: a control.

    Parameters
    ----------
    scores
        `channel_score` of `nc.rankings`, such as `nc.rankings.from_correlation`.
    like
        `carried_share` of the same classes and channels.

    Returns
    -------
    xarray.DataArray
        `carried_share` that is 1 for the first channels and a part for the last, with the sums of
        `like`.

    Examples
    --------
    >>> dims, coords = ("category", "channel"), {"category": ["a"]}
    >>> like = xr.DataArray([[0.5, 0.5, 0.25]], coords, dims)
    >>> from_scores(xr.DataArray([[1.0, 9.0, 2.0]], coords, dims), like).values.tolist()
    [[0.0, 1.0, 0.25]]
    """
    group = rankings.group_dim(like)
    scores, like = (require_dims(a, (group, v.CHANNEL), "shares") for a in (scores, like))
    for dim in (group, v.CHANNEL):
        require_same(scores, like, dim, "scores and shares")
    order = np.argsort(-np.nan_to_num(scores.values, nan=-np.inf), axis=1, kind="stable")
    left = like.values.sum(axis=1, keepdims=True) - np.arange(order.shape[1])
    values = np.zeros(order.shape)
    np.put_along_axis(values, order, np.clip(left, 0, 1), axis=1)
    return _like(values, like, (group, v.CHANNEL), "from_scores")


def at_random(like: xr.DataArray, *, draws: int = 3, seed: int = 0) -> xr.DataArray:
    """Shares of other channels: a mode of the same size that stands for nothing.

    Parameters
    ----------
    like
        `carried_share` of the classes.
    draws
        How many, independent for each class.
    seed
        Of the draws.

    Returns
    -------
    xarray.DataArray
        `carried_share` (category or concept, channel, draw): the shares of each class, of channels
        in a random order.

    Examples
    --------
    >>> like = xr.DataArray([[0.0, 1.0]], {"category": ["a"]}, ("category", "channel"))
    >>> at_random(like, draws=2).sum("channel").values.tolist()
    [[1.0, 1.0]]
    """
    draws = arguments.whole("draws", draws)
    group = rankings.group_dim(like)
    like = require_dims(like, (group, v.CHANNEL), "shares")
    random = np.random.default_rng([arguments.whole("seed", seed, 0), 6])
    repeated = np.repeat(like.values[..., None], draws, axis=2)
    values = random.permuted(repeated, axis=1)
    return _like(values, like, (group, v.CHANNEL, v.DRAW), "at_random", seed=seed)


def _like(
    values: NDArray[Any], like: xr.DataArray, dims: tuple[str, ...], function: str, **facts: Any
) -> xr.DataArray:
    coords: dict[str, Any] = {str(d): like[d].variable for d in like.dims if d in like.coords}
    coords |= {v.DRAW: np.arange(values.shape[2])} if v.DRAW in dims else {}
    made = labelled(values, dims, coords, name="carried_share")
    origin = provenance(like)
    seen = {"samples": origin["samples"]} if "samples" in origin else {}
    return stamp(made, f"nc.steering.{function}", **seen, **source_of(origin), **facts)


def _of_classes(
    values: NDArray[Any], masks: xr.DataArray, like: xr.DataArray, function: str, **facts: Any
) -> xr.DataArray:
    group = rankings.group_dim(masks)
    coords = {group: masks[group].values, **row.coords_along(like, (v.CHANNEL,))}
    coords = {name: c for name, c in coords.items() if name in (group, v.CHANNEL)}
    made = labelled(values, (group, v.CHANNEL), coords, name="carried_share")
    seen = rankings.sketch(masks)
    return stamp(made, f"nc.steering.{function}", samples=seen, **facts)
