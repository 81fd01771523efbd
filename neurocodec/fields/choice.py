"""What is differentiated, and through which channels: cells, modes or a target; their dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import require_one
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import fingerprint
from neurocodec.network import Network, require_layer
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import Trace
from neurocodec.nn.fields.passes import Through, Values
from neurocodec.rows.matrix import require_channel_order

Of = Target | xr.DataArray | None
Which = int | Sequence[int] | Literal["each"] | xr.DataArray | None


@dataclass(frozen=True)
class Axis:
    """A dimension of the result with its coordinates; `dim` is None where there is but one."""

    dim: str | None
    coords: dict[str, Any]
    size: int = 1


@dataclass(frozen=True)
class Choice:
    """What a user asks for, before the outputs and channels of the network are known."""

    of: Of
    cells: tuple[str, ...] | None
    through: Which
    layer: str | None

    def checked(self, net: Network) -> Choice:
        """Itself, where it can be asked of a network."""
        if isinstance(self.of, xr.DataArray) or self.through is not None:
            require_layer(net, self.layer)
        if self.of is not None and self.cells is not None:
            raise InputError(
                came="both cells= and of=",
                expected="one of them: of= says what is differentiated in place of cells",
            )
        require_one(self.of)
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """What it is in a provenance."""
        return {"of": _named(self.of), "cells": self.cells, "through": _named(self.through)}

    def layers(self, net: Network) -> dict[str, Layer]:
        """Layers that it reads or that its gradients pass."""
        named = [self.layer] if self.layer else []
        if isinstance(self.of, Target) and self.of.layer is not None:
            named.append(self.of.layer)
        return net.select_layers(dict.fromkeys(named))

    def values(
        self, net: Network, layers: Mapping[str, Layer], names: Sequence[str]
    ) -> tuple[Values, Axis]:
        """What is differentiated, and the dimension that it takes in the result."""
        if self.of is None:
            return _outputs(net, self.cells, names)
        if isinstance(self.of, xr.DataArray):
            return _modes(self.of, str(self.layer), layers[str(self.layer)])
        if not isinstance(self.of, Target):
            raise InputError(
                came=f"of={self.of!r}",
                expected="one of nc.targets, or a dictionary (mode, channel)",
                hint="of=nc.targets.Surprisal.fit(rates)",
            )
        return _target(self.of.bind(names), layers), Axis(None, {})

    def passing(self, layers: Mapping[str, Layer], traced: Trace) -> tuple[Through | None, Axis]:
        """Channels that the gradient passes, and the dimension that they take in the result."""
        if self.through is None:
            return None, Axis(None, {})
        alias = str(self.layer)
        hidden = layers[alias].channels_first(traced.done.hidden[alias])
        weights, axis = _weights(self.through, hidden.shape[1])
        _require_channels(weights, hidden, alias)
        return Through(alias, tensor_of(weights, hidden.dtype, hidden.device)), axis


def _modes(dictionary: xr.DataArray, alias: str, layer: Layer) -> tuple[Values, Axis]:
    rows, axis = _rows(dictionary, "of")

    def values(done: Pass) -> Tensor:
        h = layer.channels_first(done.hidden[alias])
        _require_channels(rows, h, alias)
        total = h.flatten(2).sum(2) if h.ndim > 2 else h
        return total @ tensor_of(rows, h.dtype, h.device).T

    return values, axis


def _require_channels(rows: NDArray[Any], hidden: Tensor, alias: str) -> None:
    """Refuse weights of another number of channels than the layer has."""
    if rows.shape[1] != hidden.shape[1]:
        raise InputError(
            came=f"weights of {rows.shape[1]} channels for layer {alias!r}",
            expected=f"one for each of its {hidden.shape[1]} channels",
            hint="layer= the layer that the modes were fitted to",
        )


def _outputs(
    net: Network, cells: tuple[str, ...] | None, names: Sequence[str]
) -> tuple[Values, Axis]:
    chosen = list(names) if cells is None else list(cells)
    for cell in chosen:
        if cell not in names:
            raise unknown_name(net.output_dim, cell, names)
    index = [list(names).index(cell) for cell in chosen]
    coords: dict[str, Any] = {net.output_dim: np.array(chosen)}
    for name, values in net.output_coords.items():
        coords[name] = (net.output_dim, np.asarray(values)[index])
    return lambda done: done.outputs[:, index], Axis(net.output_dim, coords, len(index))


def _target(target: Target, layers: Mapping[str, Layer]) -> Values:
    def values(done: Pass) -> Tensor:
        if target.layer is None:
            return target(done.outputs)[:, None]
        hidden = done.hidden[target.layer]
        return target(layers[target.layer].channels_first(hidden))[:, None]

    return values


def _weights(through: Which, channels: int) -> tuple[NDArray[Any], Axis]:
    if isinstance(through, xr.DataArray):
        return _rows(through, "through")
    if isinstance(through, str):
        if through != "each":
            raise unknown_name("value of through=", through, ("each",))
        return np.eye(channels), Axis(v.CHANNEL, {v.CHANNEL: np.arange(channels)}, channels)
    chosen = np.atleast_1d(np.asarray(through))
    if chosen.dtype.kind not in "iu" or not np.isin(chosen, np.arange(channels)).all():
        raise InputError(
            came=f"through={through!r}",
            expected=f"channels from 0 to {channels - 1}, 'each', or weights of the channels",
            hint="through='each', or through=modes.dictionary",
        )
    row = np.zeros((1, channels))
    row[0, chosen] = 1
    return row, Axis(None, {})


def _rows(weights: xr.DataArray, what: str) -> tuple[NDArray[Any], Axis]:
    dims = tuple(map(str, weights.dims))
    if set(dims) not in ({v.CHANNEL}, {v.CHANNEL, v.MODE}) or not np.isfinite(weights.values).all():
        raise InputError(
            came=f"{what}= an array with dims {dims}, or with NaN",
            expected="finite weights (channel) or (mode, channel)",
            hint=f"{what}=modes.dictionary.sel(mode=[0, 1])",
        )
    require_channel_order(weights, what)
    if len(dims) == 1:
        kept = {v.MODE: weights[v.MODE].values} if v.MODE in weights.coords else {}
        return np.asarray(weights.values)[None], Axis(None, kept)
    rows = weights.transpose(v.MODE, v.CHANNEL)
    labels = rows[v.MODE].values if v.MODE in rows.coords else np.arange(len(rows))
    return np.asarray(rows.values), Axis(v.MODE, {v.MODE: labels}, len(rows))


def _named(value: Any) -> Any:
    if isinstance(value, xr.DataArray):
        return {"dims": list(map(str, value.dims)), "sha256": fingerprint(value)}
    if isinstance(value, Target):
        return {"kind": type(value).__name__, "parameters": value}
    return value
