"""Networks that the command line names: torchvision:NAME, timm:NAME, or a function in a file."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from neurocodec import adapters
from neurocodec.errors import InputError, unknown_name
from neurocodec.network import Network

REGISTRIES: Final = ("torchvision", "timm")
FORMS: Final = "torchvision:NAME, timm:NAME, or FILE.py:FUNCTION that returns a nc.Network"


def load_network(
    text: str,
    *,
    weights: str | None = None,
    layers: Sequence[str] | None = None,
    kind: str = "block",
) -> Network:
    """Network that a text names.

    Parameters
    ----------
    text
        ``"torchvision:resnet50"``, ``"timm:vit_base_patch16_224"``, or ``"mine.py:network"``: a
        function that returns a `nc.Network`, called with `weights` where they are given.
    weights
        What the adapters of torchvision and timm take, or a file for the function.
    layers
        Names of modules; those of `kind` where None.
    kind
        Of the layers, for torchvision and timm.

    Returns
    -------
    Network
        With the layers that were asked for.

    Raises
    ------
    InputError
        Where there is no such network, file or function, or it returns something else.

    Examples
    --------
    >>> load_network("resnet50")
    Traceback (most recent call last):
    ...
    neurocodec.errors.InputError: the network 'resnet50'
      expected: torchvision:NAME, timm:NAME, or FILE.py:FUNCTION that returns a nc.Network
      try: torchvision:resnet50
    """
    place, colon, name = text.rpartition(":")
    if not colon or not name or not (place in REGISTRIES or place.endswith(".py")):
        raise InputError(came=f"the network {text!r}", expected=FORMS, hint=f"torchvision:{name}")
    if place in REGISTRIES:
        adapter: Callable[..., Network] = getattr(adapters, place)
        return adapter(name, weights=weights, layers=layers, kind=kind)
    net = _call(_function(Path(place), name), text, weights)
    return net if layers is None else _with_layers(net, layers)


def _function(path: Path, name: str) -> Callable[..., Any]:
    module = _module(path)
    if not hasattr(module, name):
        known = [k for k, x in vars(module).items() if inspect.isfunction(x)]
        raise unknown_name(f"function in {path}", name, known)
    function: Callable[..., Any] = getattr(module, name)
    return function


def _module(path: Path) -> ModuleType:
    """Run a Python file, as a module that nothing else can import."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(came=f"{str(path)!r}, which is no file", expected=FORMS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _call(function: Callable[..., Any], text: str, weights: str | None) -> Network:
    if weights is not None and not inspect.signature(function).parameters:
        raise InputError(
            came=f"weights for {text}, which takes no argument",
            expected="a function that takes the path of the weights",
            hint="def network(weights): ...",
        )
    net = function() if weights is None else function(weights)
    if not isinstance(net, Network):
        raise InputError(
            came=f"a {type(net).__name__} from {text}",
            expected="a nc.Network",
            hint="return nc.Network(module, layers=[...], outputs=[...], preprocessing=...)",
        )
    return net


def _with_layers(net: Network, layers: Sequence[str]) -> Network:
    """Narrow the layers to some of the network's own, or look at other modules of it."""
    chosen = {name: net.layers.get(name, name) for name in layers}
    fields = {k: x for k, x in vars(net).items() if k not in ("module", "layers")}
    return Network(net.module, chosen, **fields)
