"""Weights from local files: read without running anything, loaded whole or not at all."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from neurocodec import arguments
from neurocodec.adapters.networks.torch_files import load_torch_file
from neurocodec.errors import InputError, StorageError
from neurocodec.nn.checkpoint import COUNTER, unwrapped_names

State: TypeAlias = dict[str, Tensor]

ENDINGS: Final = (".safetensors", ".pth", ".pt", ".bin", ".tar")
WRAPPERS: Final = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which training scripts save the state dict."""
EXTRA_STATE: Final = "_extra_state"
"""End of the names of what modules save besides tensors; it is not read."""
VERSIONS: Final = "_metadata"
"""Attribute of a state dict in which torch keeps the version of each submodule."""
OLD_DENSENET: Final = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
"""Names in torchvision's DenseNet files, "norm.1", which are "norm1" in its networks."""


def is_weight_file(weights: object) -> bool:
    """Whether weights are meant as a file: a path, or text that looks like one."""
    if isinstance(weights, PathLike):
        return True
    return isinstance(weights, str) and (
        weights.endswith(ENDINGS) or "/" in weights or Path(weights).is_file()
    )


def read_weights(path: str | PathLike[str]) -> State:
    """Name -> tensor of a ".safetensors" file, or of one that `torch.save` wrote."""
    # A state dict under "state_dict", "model" and the like is found.
    file = arguments.path("weights", path).expanduser()
    loaded = _safetensors(file) if file.suffix == ".safetensors" else load_torch_file(file)
    state = _unwrapped(loaded)
    if not state:
        raise StorageError(
            came=f"{file} holds {_described(loaded)}",
            expected="a state dict: names and tensors",
            hint="torch.save(module.state_dict(), path)",
        )
    return state


def _safetensors(file: Path) -> State:
    try:
        return load_file(file)
    except (OSError, safetensors.SafetensorError) as error:
        raise StorageError(
            came=f"{file} cannot be read: {error}",
            expected="a whole .safetensors file",
            hint="copy or download the file again",
        ) from error


def _unwrapped(loaded: Any) -> State:
    if not isinstance(loaded, Mapping):
        return {}
    for key in WRAPPERS:
        if isinstance(loaded.get(key), Mapping):
            return _unwrapped(loaded[key])
    state = {str(name): x for name, x in loaded.items() if not str(name).endswith(EXTRA_STATE)}
    if not all(isinstance(x, Tensor) for x in state.values()):
        return {}
    return {n: x if x.layout == torch.strided else x.to_dense() for n, x in state.items()}


def _described(loaded: Any) -> str:
    if isinstance(loaded, Mapping):
        return f"a dict with the keys {[*map(str, loaded)][:8]}"
    return f"an object of type {type(loaded).__name__}"


def load_weights(
    module: nn.Module,
    path: str | PathLike[str],
    what: str,
    convert: Callable[[State, nn.Module], State] | None = None,
) -> None:
    """Load the weights of a file into a network; nothing is loaded where any does not fit."""
    # `convert` makes the network's names of older ones, where names do not fit; `what` is for
    # messages.
    state = unwrapped_names(_renamed(read_weights(path)), module.state_dict())
    differences = _differences(state, module)
    if differences and convert is not None:
        state = convert(state, module)
        differences = _differences(state, module)
    if differences:
        raise InputError(
            came=f"{path}, which does not hold the weights of {what!r}: {'; '.join(differences)}",
            expected=f"the {len(module.state_dict())} weights of {type(module).__name__}"
            f" {what!r}, each of its shape",
            hint="the name of the network that the weights are of, num_classes=... for another"
            " number of outputs, or weights=None",
        )
    module.load_state_dict(_versioned(state, module), strict=False)


def _versioned(state: State, module: nn.Module) -> State:
    """State with the versions of the module's own parts, without which MNASNet does not load."""
    versioned = OrderedDict(state)
    setattr(versioned, VERSIONS, getattr(module.state_dict(), VERSIONS))
    return versioned


def _renamed(state: State) -> State:
    return {OLD_DENSENET.sub(r"\1\2.", name): tensor for name, tensor in state.items()}


def _differences(state: State, module: nn.Module) -> list[str]:
    wanted = {n: x for n, x in module.state_dict().items() if not n.endswith(EXTRA_STATE)}
    counters = {name for name in wanted if name.endswith(COUNTER)}
    found = {
        "missing": [n for n in wanted if n not in state and n not in counters],
        "unexpected": [n for n in state if n not in wanted],
        "of another shape": [
            f"{n} {tuple(state[n].shape)} for {tuple(x.shape)}"
            for n, x in wanted.items()
            if n in state and state[n].shape != x.shape
        ],
        "of another kind": [
            f"{n} {x.dtype}, {x.device}"
            for n, x in state.items()
            if x.is_meta or x.is_quantized or x.is_complex() > wanted.get(n, x).is_complex()
        ],
    }
    return [f"{len(names)} {how} ({_few(names)})" for how, names in found.items() if names]


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
