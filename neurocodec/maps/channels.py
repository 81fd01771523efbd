"""Which channels of a layer maps pass: one by one, or together as modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, provenance
from neurocodec.modes.decomposition import Decomposition, dictionary_of
from neurocodec.rows.matrix import require_channel_order

Channels: TypeAlias = (
    int | Sequence[int] | NDArray[np.integer[Any]] | xr.DataArray | Literal["each"] | None
)
Modes: TypeAlias = Decomposition | xr.DataArray
Weights: TypeAlias = Literal["equal", "dictionary"]

TOP: Final = 10
"""Channels of a mode, where they count the same."""


@dataclass(frozen=True)
class Chosen:
    """Channels by weight, one row for each map."""

    weights: NDArray[np.float64]  # (map, 2, channel): of positive contributions, and of negative
    dim: str | None  # of the maps, `channel` or `mode`; None where there is one map
    coords: dict[str, Any]  # its labels


@dataclass(frozen=True)
class ChannelChoice:
    """What a user asks for, before the number of channels is known."""

    layer: str
    channels: Channels = None  # these or modes; with neither all channels together
    modes: Modes | None = None
    weights: Weights = "equal"  # of the channels of a mode
    top: int = TOP  # channels of a mode, with equal weights

    def __post_init__(self) -> None:
        arguments.one_of("value of weights=", self.weights, get_args(Weights))
        arguments.whole("top", self.top)
        if self.channels is not None and self.modes is not None:
            raise InputError(
                came="both channels= and modes=",
                expected="one of them",
                hint="channels=[0, 1], or modes=modes.dictionary.sel(mode=[0, 1])",
            )
        if self.modes is not None:
            _require_layer(self.modes, self.layer)

    @property
    def facts(self) -> dict[str, Any]:
        """What it is in a provenance."""
        if self.modes is None:
            named = self.channels is None or isinstance(self.channels, str)
            return {"channels": self.channels if named else _positions(self.channels).tolist()}
        rows = dictionary_of(self.modes)
        facts = {"modes_sha256": fingerprint(rows), "weights": self.weights}
        return {**facts, "top": int(self.top)} if self.weights == "equal" else facts

    def among(self, count: int) -> Chosen:
        """Weights of the channels of a layer that has so many; refuses others than it has."""
        if self.modes is not None:
            return self._modes(dictionary_of(self.modes), count)
        if self.channels is None:
            return Chosen(np.ones((1, 2, count)), None, {})
        chosen = np.arange(count) if _is_each(self.channels) else _positions(self.channels)
        _require_channels(self.channels, chosen, count)
        rows = np.eye(count)[np.atleast_1d(chosen)]
        dim = v.CHANNEL if chosen.ndim else None
        return Chosen(np.stack([rows, rows], 1), dim, {v.CHANNEL: chosen})

    def alone(self, count: int) -> Chosen:
        """The same of a later layer of a chain, which all maps pass: one set of channels."""
        if self.channels is not None and not _is_each(self.channels):
            several = np.atleast_1d(_positions(self.channels))
            _require_channels(self.channels, several, count)
            rows = np.isin(np.arange(count), several).astype(float)
            return Chosen(np.stack([rows, rows])[None], None, {})
        found = self.among(count)
        if len(found.weights) == 1:
            return found
        raise InputError(
            came=f"{len(found.weights)} {found.dim}s of layer {self.layer!r}, behind another",
            expected="one mode, or some channels together, of every layer but the first",
            hint=f"modes={{..., {self.layer!r}: modes.dictionary.sel(mode=0)}}",
        )

    def _modes(self, dictionary: xr.DataArray, count: int) -> Chosen:
        rows = _signed_rows(dictionary)
        if rows.shape[2] != count:
            raise InputError(
                came=f"modes of {rows.shape[2]} channels for layer {self.layer!r}",
                expected=f"modes of its {count} channels",
                hint="layer= the layer that the modes were fitted to",
            )
        weights = rows if self.weights == "dictionary" else _largest(rows, self.top, dictionary)
        if v.MODE not in dictionary.dims:
            kept = {v.MODE: dictionary[v.MODE].values} if v.MODE in dictionary.coords else {}
            return Chosen(weights, None, kept)
        known = dictionary[v.MODE].values if v.MODE in dictionary.coords else np.arange(len(rows))
        return Chosen(weights, v.MODE, {v.MODE: known})


def _is_each(channels: Channels) -> bool:
    return isinstance(channels, str) and channels == "each"


def _positions(channels: Channels) -> NDArray[Any]:
    """Channels as an array; of objects, which is refused later, where they are none."""
    try:
        return np.asarray(channels)
    except ValueError:  # lists of different lengths
        return np.asarray(None)


def _require_channels(given: Channels, chosen: NDArray[Any], count: int) -> None:
    known = chosen.dtype.kind in "iu" and chosen.ndim < 2 and chosen.size
    if known and np.isin(chosen, np.arange(count)).all():
        if np.unique(chosen).size == chosen.size:
            return
        raise InputError(came=f"channels={given!r}", expected="each channel once")
    raise InputError(
        came=f"channels={given!r}",
        expected=f"channels from 0 to {count - 1} of the layer, or 'each'",
        hint="channels=[0, 1]",
    )


def _require_layer(modes: Modes, layer: str) -> None:
    """Refuse modes that say that they were fitted to another layer."""
    if not isinstance(modes, Decomposition | xr.DataArray):
        raise InputError(
            came=f"modes of type {type(modes).__name__}",
            expected="fitted modes, or rows of their dictionary",
            hint="modes=modes.dictionary.sel(mode=[0, 1])",
        )
    rows = dictionary_of(modes)
    dims = set(map(str, rows.dims))
    if v.CHANNEL not in dims or not dims <= {v.MODE, v.SIGN, v.CHANNEL}:
        raise InputError(
            came=f"modes with dims {tuple(map(str, rows.dims))}",
            expected="(mode, channel), (channel), or with the dim 'sign' before the channels",
            hint="modes=modes.dictionary.sel(mode=[0, 1])",
        )
    fitted = provenance(rows).get("contributions", {}).get("layer")
    if fitted not in (None, layer):
        raise InputError(
            came=f"modes of layer {fitted!r} for layer {layer!r}",
            expected="modes that were fitted to the layer that is mapped",
            hint=f"layer={fitted!r}",
        )


def _signed_rows(dictionary: xr.DataArray) -> NDArray[np.float64]:
    """Weights (mode, 2, channel) as a dictionary has them; those of inhibitory parts positive."""
    rows = dictionary if v.MODE in dictionary.dims else dictionary.expand_dims(v.MODE)
    require_channel_order(rows, "modes")
    if v.SIGN in rows.dims:
        _require_signs(rows)
        rows = rows.transpose(v.MODE, v.SIGN, v.CHANNEL).sel({v.SIGN: list(v.SIGNS)})
        values = np.asarray(rows.values, float) * np.array([1.0, -1.0])[:, None]
    else:
        one = np.asarray(rows.transpose(v.MODE, v.CHANNEL).values, float)
        inhibitory = v.SIGN in rows.coords and str(rows[v.SIGN].item()) == v.INHIBITORY
        one = -one if inhibitory else one
        values = np.stack([one, one], 1)
    if not values.size:
        raise InputError(came="no modes", expected="at least one", hint="modes=modes.dictionary")
    if not np.isfinite(values).all():
        raise InputError(came="modes with NaN or infinity", expected="finite weights")
    return np.asarray(values)


def _require_signs(rows: xr.DataArray) -> None:
    """Refuse a dim of signs that has not both of them."""
    known = rows[v.SIGN].values.tolist()
    if sorted(known) != sorted(v.SIGNS):
        raise InputError(
            came=f"modes with the signs {known}",
            expected=f"both of {', '.join(v.SIGNS)} along the dim 'sign', or no such dim",
            hint="rows.sel(sign='excitatory')",
        )


def _largest(rows: NDArray[np.float64], top: int, dictionary: xr.DataArray) -> NDArray[np.float64]:
    """1 for the channels of largest weight (-1 where it is negative), 0 for all others."""
    signed = v.SIGN in dictionary.dims
    flat = rows.reshape(len(rows), -1) if signed else rows[:, 0]
    order = np.argsort(-np.abs(flat), axis=1, kind="stable")[:, :top]
    found = np.zeros_like(flat)
    np.put_along_axis(found, order, np.sign(np.take_along_axis(flat, order, 1)), 1)
    return found.reshape(rows.shape) if signed else np.stack([found, found], 1)
