"""`nc.ablate` and `nc.preserve`: the network without some of its channels, or with these alone."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import InputError
from neurocodec.labels import fingerprint
from neurocodec.network import Network, require_network
from neurocodec.nn.perturbation.ablation import ChannelMask, masked
from neurocodec.rows.matrix import require_channel_order

Kind = Literal["ablate", "preserve"]
Fill = float | ArrayLike | xr.DataArray

_LONGEST = 32
"""Numbers that are written out in the text that tells a perturbed network from others."""


@contextmanager
def ablate(
    net: Network,
    layer: str,
    channels: Sequence[int] | NDArray[np.integer] | xr.DataArray,
    *,
    tokens: Sequence[int] | None = None,
    fill: Fill = 0.0,
) -> Iterator[Network]:
    """Replace channels of a layer by a constant (CODEC sec. 5, "ablation").

    The network that came stays as it is, also inside of the ``with`` block, where both can be run
    and compared. Nothing is written in place, and gradients flow through the other channels, so
    `nc.contributions` of the perturbed network are possible: with ``fill=0`` those of an ablated
    channel are zero.

    Parameters
    ----------
    net
        The network; its weights are shared, not copied.
    layer
        Alias of one of its layers.
    channels
        Positions of the channels, from 0 (heads, of a layer of heads).
    tokens
        Positions of the tokens at which it is done; all where None.
    fill
        What the channels are replaced by at every position: a number, or one for each channel of
        the layer (such as its mean activation per position).

    Yields
    ------
    Network
        With the text of the perturbation appended to `perturbation`, so that `nc.respond`,
        `nc.contributions` and the files that they write tell it from the intact network. It may
        be perturbed again, and goes on to be valid after the block.

    Raises
    ------
    UnknownNameError
        Where the network has no such layer; near names are listed.
    InputError
        No channels, one twice, or one that the layer does not have (which is seen when the
        network is first run); tokens of a layer that has none; a fill that is not finite.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), layers={"hidden": "0"})
    >>> images = xr.DataArray([[2.0, 3.0]], dims=("stimulus", "feature"))
    >>> with nc.ablate(net, "hidden", [0]) as ablated:
    ...     nc.respond(ablated, images).values.tolist(), nc.respond(net, images).values.tolist()
    ([[0.0, 3.0]], [[2.0, 3.0]])
    """
    yield perturbed(net, "ablate", layer, channels, tokens=tokens, fill=fill)


@contextmanager
def preserve(
    net: Network,
    layer: str,
    channels: Sequence[int] | NDArray[np.integer] | xr.DataArray,
    *,
    tokens: Sequence[int] | None = None,
    fill: Fill = 0.0,
) -> Iterator[Network]:
    """Replace all channels of a layer but these by a constant (CODEC sec. 5, "preservation").

    Parameters
    ----------
    net, layer, channels, tokens, fill
        As `nc.ablate` takes them; `channels` are those that stay.

    Yields
    ------
    Network
        As `nc.ablate` does.

    Raises
    ------
    InputError
        As `nc.ablate` does.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), layers={"hidden": "0"})
    >>> images = xr.DataArray([[2.0, 3.0]], dims=("stimulus", "feature"))
    >>> with nc.preserve(net, "hidden", [0], fill=7.0) as preserved:
    ...     nc.respond(preserved, images).values.tolist()
    [[2.0, 7.0]]
    """
    yield perturbed(net, "preserve", layer, channels, tokens=tokens, fill=fill)


def perturbed(
    net: Network,
    kind: Kind,
    layer: str,
    channels: Sequence[int] | NDArray[np.integer] | xr.DataArray,
    *,
    tokens: Sequence[int] | None = None,
    fill: Fill = 0.0,
) -> Network:
    """Make the network that `nc.ablate` and `nc.preserve` yield."""
    mask = ChannelMask(
        layer=require_network(net).select_layers([layer])[layer],
        channels=positions("channels", channels, least=0),
        kept=kind == "preserve",
        tokens=None if tokens is None else positions("tokens", tokens),
        fill=finite_fill(fill),
    )
    text = f"{kind}({layer!r}, channels={_short(mask.channels)}"
    text += "" if mask.tokens is None else f", tokens={_short(mask.tokens)}"
    text += f", fill={_short(mask.fill)})"
    return replace(net, module=masked(net.module, mask), perturbation=(*net.perturbation, text))


def positions(what: str, values: Any, least: int | None = None) -> tuple[int, ...]:
    """Check positions of channels or tokens: whole numbers, at least one, none twice; sorted."""
    array = np.asarray(values)
    if array.dtype == bool:
        raise InputError(
            came=f"{what} as a mask of {array.size} truth values",
            expected="positions",
            hint=f"{what}=np.flatnonzero(mask)",
        )
    try:
        found = sorted(operator.index(value) for value in array.ravel().tolist())
    except TypeError as error:
        raise InputError(
            came=f"{what}={values!r}", expected="whole numbers", hint=f"{what}=[0, 1]"
        ) from error
    if not found or len(set(found)) < len(found) or (least is not None and found[0] < least):
        raise InputError(
            came=f"{what}={found if len(found) < _LONGEST else f'{len(found)} numbers'}",
            expected="at least one position, none twice"
            + ("" if least is None else f", each from {least} on"),
            hint=f"{what}=[0, 1]",
        )
    return tuple(found)


def finite_fill(fill: Fill) -> float | tuple[float, ...]:
    """Check what channels are replaced by: one number, or one for each channel."""
    if isinstance(fill, xr.DataArray):
        require_channel_order(fill, "fill")
    try:
        values = np.asarray(fill, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim > 1 or not values.size or not np.isfinite(values).all():
        raise InputError(
            came=f"fill of shape {np.shape(fill)}, or not finite",
            expected="a number, or one for each channel of the layer",
            hint="fill=0.0",
        )
    return float(values) if not values.ndim else tuple(values.tolist())


def _short(values: float | Sequence[float]) -> str:
    if not isinstance(values, Sequence):
        return repr(values)
    if len(values) <= _LONGEST:
        return str(list(values))
    return f"<{len(values)} numbers, sha256 {fingerprint(np.asarray(values))[:16]}>"
