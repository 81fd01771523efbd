"""Networks that the command line names: torchvision:NAME, timm:NAME, or a function in a file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from neurocodec import adapters
from neurocodec.errors import InputError, unknown_name
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer

REGISTRIES: Final = ("torchvision", "timm")
FORMS: Final = "torchvision:NAME, timm:NAME, or FILE.py:FUNCTION that returns a nc.Network"


def load_network(
    text: str,
    *,
    weights: str | None = None,
    layers: Sequence[str] | None = None,
    kind: str = "block",
) -> Network:
    """Network that a text names: "torchvision:resnet50", "timm:...", or "mine.py:network"."""
    # A function in a file is called with `weights` where they are given and chooses its own layers;
    # it may import what lies beside it, and change a network (`adjust=`;
    # examples/resnet50_images.py).
    place, colon, name = text.rpartition(":")
    if not colon or not name or not (place in REGISTRIES or place.endswith(".py")):
        hint = f"{text}:network" if text.endswith(".py") else f"torchvision:{_near(name)}"
        raise InputError(came=f"the network {text!r}", expected=FORMS, hint=hint)
    if place in REGISTRIES:
        adapter: Callable[..., Network] = getattr(adapters, place)
        return adapter(name, weights=weights, layers=layers, kind=kind)
    if kind != "block":
        raise InputError(
            came=f"--kind {kind} for {text}, a function that chooses its layers itself",
            expected="a kind for networks of torchvision and timm",
            hint=f"nc.adapters.timm(..., kind={kind!r}) in the function, or --layers NAME ...",
        )
    path = Path(place).expanduser()
    with _beside(path):
        net = _call(_function(path, name), text, weights)
    return net if layers is None else _with_layers(net, layers)


def _near(name: str) -> str:
    """Torchvision's network of this name, or the nearest."""
    known = importlib.import_module("torchvision.models").list_models()
    return name if name in known else next(iter(get_close_matches(name, known, 1)), "resnet50")


def _function(path: Path, name: str) -> Callable[..., Any]:
    module = _module(path)
    if not callable(getattr(module, name, None)):
        known = [k for k, x in vars(module).items() if inspect.isfunction(x)]
        raise unknown_name(f"function in {path}", name, known)
    function: Callable[..., Any] = getattr(module, name)
    return function


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let a file import what lies beside it, for the length of a block, as Python lets a script."""
    folder = str(path.parent.absolute())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _module(path: Path) -> ModuleType:
    """Run a Python file, as a module that nothing else can import: workers get it by value."""
    spec = importlib.util.spec_from_file_location(f"{path.stem} (network file)", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(came=f"{str(path)!r}, which is no file", expected=FORMS)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop(spec.name, None)
    return module


def _call(function: Callable[..., Any], text: str, weights: str | None) -> Network:
    arguments = () if weights is None else (weights,)
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments)
    except TypeError as error:
        given = "without weights" if weights is None else "with weights"
        raise InputError(
            came=f"{text} {given}, whose function is {function.__name__}{signature}: {error}",
            expected="a function that takes the path of the weights where there are any",
            hint="--weights FILE" if weights is None else "def network(weights=None): ...",
        ) from error
    net = function(*arguments)
    if not isinstance(net, Network):
        raise InputError(
            came=f"a {type(net).__name__} from {text}",
            expected="a nc.Network",
            hint="return nc.Network(module, layers=[...], outputs=[...], preprocessing=...)",
        )
    return net


def _with_layers(net: Network, layers: Sequence[str]) -> Network:
    """Narrow the layers to some of the network's own, or look at other modules of it."""
    modules = [name for name, _ in net.module.named_modules() if name]
    for name in layers:
        if name not in net.layers and name not in modules:
            raise unknown_name("layer", name, [*net.layers, *modules])
    chosen = {name: net.layers.get(name) or Layer(name) for name in layers}
    return replace(net, layers=chosen)
