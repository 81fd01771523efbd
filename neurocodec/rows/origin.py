"""Which layer of which weights rows are of, as far as their provenance says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from neurocodec.errors import InputError
from neurocodec.network import Network

_LAYER: Final = "layer"
_PLACE: Final = "place"
_WEIGHTS: Final = "weights_sha256"
_WHERE: Final = ("module", "at", "occurrence", "item", "token", "heads")
"""Of a layer: what its rows depend on beside the weights."""


def source_of(origin: Mapping[str, Any]) -> dict[str, str]:
    """Layer, its place and weights in the provenance of rows; less where it does not say."""
    found = {name: str(origin[name]) for name in (_LAYER, _WEIGHTS) if origin.get(name)}
    layers = origin.get("layers")
    known = layers.get(origin.get(_LAYER)) if isinstance(layers, Mapping) else None
    place = origin.get(_PLACE) or (_place_of(known) if isinstance(known, Mapping) else "")
    return {**found, **({_PLACE: str(place)} if place else {})}


def _place_of(layer: Mapping[str, Any]) -> str:
    """Where a layer is, as text: its module, and what is not as usual."""
    usual = {"at": "output"}
    given = [(k, layer.get(k)) for k in _WHERE if layer.get(k) not in (None, usual.get(k))]
    return ", ".join(str(x) if k == "module" else f"{k}={x}" for k, x in given)


def origin_in(net: Network, layer: str) -> dict[str, Any]:
    """What rows of a layer of a network would say of themselves."""
    layers = {layer: asdict(net.select_layers([layer])[layer])}
    return {_LAYER: layer, "layers": layers, _WEIGHTS: net.weights_sha256}


def require_layer(origin: Mapping[str, Any], net: Network, layer: str, what: str) -> None:
    """Refuse what was made of another layer, or of other weights, where it says so."""
    if not source_of(origin):
        return
    here, there = source_of(origin), source_of(origin_in(net, layer))
    other = _other(here, there)
    if _WEIGHTS in other:
        raise InputError(
            came=f"{what} of a network with the weights {here[_WEIGHTS][:12]}, for one with "
            f"{there[_WEIGHTS][:12]}",
            expected=f"{what} of the same network; an array without attributes, where they are "
            "meant",
            hint=f"tree = nc.contributions(net, ..., layers=[{layer!r}])",
        )
    if _LAYER in other:
        raise InputError(
            came=f"{what} of the layer {_named(here)}, for the layer {_named(there)}",
            expected=f"{what} of the same layer; an array without attributes, where they are meant",
            hint=f"tree[{layer!r}]",
        )


def _named(source: Mapping[str, str]) -> str:
    """Name of a layer, with its place where another layer may have the name."""
    name, place = source.get(_LAYER, ""), source.get(_PLACE, "")
    return repr(name) if place in ("", name) else f"{name!r} ({place})"


def _other(here: Mapping[str, str], there: Mapping[str, str]) -> set[str]:
    """Which of layer and weights two sources say differently; an alias may be another name."""
    other = {name for name in here.keys() & there.keys() if here[name] != there[name]}
    if _PLACE in here and _PLACE in there:
        other -= {_LAYER}
        other |= {_LAYER} if _PLACE in other else set()
    return other - {_PLACE}


def require_same_origin(
    came: Mapping[str, Any], fitted: Mapping[str, Any], what: str = "rows"
) -> None:
    """Refuse rows of another layer, or of other weights, than those that modes were fitted to."""
    here, there = source_of(came), source_of(fitted)
    other = _other(here, there)
    layer = there.get(_LAYER, "layer")
    if _WEIGHTS in other:
        raise InputError(
            came=f"{what} of a network with the weights {here[_WEIGHTS][:12]}, for modes that were "
            f"fitted to {there[_WEIGHTS][:12]}",
            expected=f"{what} of the network that was fitted; an array alone, where another is "
            "meant",
            hint=f"modes.transform(tree[{layer!r}].contribution)",
        )
    if _LAYER in other:
        raise InputError(
            came=f"{what} of the layer {_named(here)}, for modes of {_named(there)}",
            expected="the layer that was fitted; an array alone, where another is meant",
            hint=f"modes.transform(tree[{layer!r}])",
        )
