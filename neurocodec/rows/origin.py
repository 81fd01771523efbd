"""Which layer of which weights rows are of, as far as their provenance says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from neurocodec.errors import InputError

_LAYER: Final = "layer"
_WEIGHTS: Final = "weights_sha256"


def source_of(origin: Mapping[str, Any]) -> dict[str, str]:
    """Layer and weights in the provenance of rows; less where it does not say."""
    return {name: str(origin[name]) for name in (_LAYER, _WEIGHTS) if origin.get(name)}


def require_same_origin(
    came: Mapping[str, Any], fitted: Mapping[str, Any], what: str = "rows"
) -> None:
    """Refuse rows of another layer, or of other weights, than those that modes were fitted to."""
    here, there = source_of(came), source_of(fitted)
    other = {name for name in here.keys() & there.keys() if here[name] != there[name]}
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
            came=f"{what} of the layer {here[_LAYER]!r}, for modes of {layer!r}",
            expected="the layer that was fitted; an array alone, where another is meant",
            hint=f"modes.transform(tree[{layer!r}])",
        )
