"""Checkpoints: one safetensors file, replaced whole, with JSON beside the tensors."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neurocodec.errors import StorageError
from neurocodec.nn.arrays import numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch.optim import Optimizer

WRAPPERS: Final = re.compile(
    r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
"""What torch.compile and torch's other wrappers put into names, wherever they wrap."""
PREFIXES: Final = ("module.", "model.", "net.", "network.")
"""What parallel and averaged training, and training loops, put before names."""
AVERAGED: Final = "n_averaged"
"""What torch.optim.swa_utils.AveragedModel counts."""
COUNTER: Final = "num_batches_tracked"
"""What batch norms count in training; older files do not have it."""
Value = TypeVar("Value")

FACTS = "neurocodec"
"""Key of the metadata under which the JSON is kept."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts to one file; a reader finds the old file whole, or the new."""
    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = save(whole, metadata={FACTS: json.dumps(facts, sort_keys=True)})
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StorageError(came=f"{path} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: tensors on the CPU, and facts; StorageError if damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if FACTS in metadata:
            return tensors, dict(json.loads(metadata[FACTS]))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise StorageError(
            came=f"{path}: {type(error).__name__}: {error}",
            expected="a whole safetensors file that neurocodec wrote",
        ) from error
    raise StorageError(
        came=f"{path}, safetensors of another library with {[*tensors][:4]}",
        expected="a safetensors file that neurocodec wrote, with the facts of its model",
        hint="safetensors.torch.load_model(module, path), then"
        " nc.Network(module, layers=['name'], history=40)",
    )


def unwrapped_names(state: Mapping[str, Value], known: Iterable[str]) -> dict[str, Value]:
    """Names of a state dict as a module knows them, without what wrappers put before them."""
    own = {WRAPPERS.sub("", name): name for name in known}
    named = {WRAPPERS.sub("", name): value for name, value in state.items()}
    while prefix := next((p for p in PREFIXES if _wraps(p, named, own)), ""):
        named = unprefixed(prefix, named)
    return {own.get(name, name): value for name, value in named.items()}


def _wraps(prefix: str, named: Iterable[str], own: Iterable[str]) -> bool:
    """Whether a prefix is that of a wrapper: all names have it, or all that are wanted."""
    wanted = {name for name in own if not name.endswith(COUNTER)}
    if wanted <= {*named}:
        return False
    inner = {name.removeprefix(prefix) for name in named if name.startswith(prefix)}
    whole = len(inner) == len({*named} - {AVERAGED})
    foreign = not any(name.startswith(prefix) for name in wanted)
    if not inner or wanted <= inner:
        return bool(inner)
    return foreign and (whole or any(_wraps(deeper, inner, own) for deeper in PREFIXES))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a prefix before every name."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def unprefixed(prefix: str, tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Take the tensors with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Lay out an optimizer's state as tensors named "parameter.quantity"."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value for i, values in state.items() for key, value in values.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer of the same parameters the state that `optimizer_tensors` laid out."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", maxsplit=1)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def digest(*tensors: Tensor) -> str:
    """SHA-256 over values, shapes and dtypes."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(np.ascontiguousarray(numbers_of(tensor)).data.cast("B"))
    return total.hexdigest()
