"""A module copied, but not its numbers: what is hooked, counted or kept in the copy stays there."""

from __future__ import annotations

import copy
import functools
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, CellType, FunctionType, MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn

_PLAIN: Final[tuple[type, ...]] = (
    *(str, bytes, int, float, complex, type, BuiltinFunctionType),
    *(torch.Size, torch.dtype, torch.device, torch.fx.Graph),
)
"""What does not change, or is not used when a module runs."""
_UNCOPIED: Final = ("_compiled_call_impl", "dynamo_ctx")
"""Attributes of compiled modules: a copy is run as it was written."""


def twin(module: nn.Module, tensors: Iterable[tuple[Tensor, Tensor]] | None = None) -> nn.Module:
    """Copy a module and what hangs on it; `tensors` are pairs (old, new); all shared where None."""
    # Not by copy.deepcopy: that fails where one attribute cannot be copied (a lock, a tensor in the
    # middle of a graph), copies every number, loses the hooks of a torch.fx.GraphModule, and leaves
    # in a function that stands in for `forward` the module that it was made for.
    if tensors is None:
        plain = (x for part in module.modules() for x in vars(part).values())
        kept = (x for x in plain if isinstance(x, Tensor))
        tensors = ((x, x) for x in (*kept, *module.parameters(), *module.buffers()))
    copied: nn.Module = _Copies({id(old): new for old, new in tensors}).of(module)
    return copied


class _Copies:
    """Copies of what was seen, by the identity of the original, as copy.deepcopy keeps them."""

    def __init__(self, known: Mapping[int, Any]) -> None:
        self.known: dict[int, Any] = dict(known)

    def of(self, value: Any) -> Any:
        """Copy of a value; itself where nobody changes it, or where it cannot be copied."""
        if value is None or isinstance(value, _PLAIN):
            return value
        if id(value) not in self.known:
            self.known[id(value)] = self._made(value)
        return self.known[id(value)]

    def _made(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Tensor):
            return value.detach().clone()
        if type(value) in (dict, OrderedDict):
            new = self.known[id(value)] = type(value)()
            new.update((key, self.of(inner)) for key, inner in list(value.items()))
            return new
        if type(value) is list:
            several = self.known[id(value)] = []
            several.extend(map(self.of, list(value)))
            return several
        if type(value) is tuple:
            return tuple(map(self.of, value))
        return self._called(value) if callable(value) else self._other(value)

    def _module(self, whole: nn.Module) -> nn.Module:
        """First a body for every part, then what hangs on them: it may lead to any part."""
        new: list[tuple[nn.Module, nn.Module]] = []
        script: set[nn.Module] = set()
        for part in whole.modules():
            if id(part) in self.known or part in script:
                continue
            if isinstance(part, torch.jit.ScriptModule):
                self.known[id(part)] = copy.deepcopy(part)
                script |= {*part.modules()}
                continue
            self.known[id(part)] = object.__new__(type(part))
            new.append((part, self.known[id(part)]))
        for part, body in new:
            kept = {k: x for k, x in vars(part).items() if k not in _UNCOPIED}
            vars(body).update({name: self.of(value) for name, value in kept.items()})
            if "dynamo_ctx" in vars(part):  # made by torch.compile
                vars(body)["forward"] = self.of(part._orig_mod)  # noqa: SLF001
        copied: nn.Module = self.known[id(whole)]
        return copied

    def _called(self, value: Any) -> Any:
        if isinstance(value, MethodType):
            return MethodType(value.__func__, self.of(value.__self__))
        if type(value) is weakref.ref:
            there = self.known.get(id(value()))
            return value if there is None else weakref.ref(there)
        if type(value) is functools.partial:
            inner = {name: self.of(x) for name, x in value.keywords.items()}
            return functools.partial(self.of(value.func), *map(self.of, value.args), **inner)
        return self._function(value) if type(value) is FunctionType else self._other(value)

    def _function(self, value: FunctionType) -> FunctionType:
        """Itself, unless it keeps hold of a part: as one that calls the `forward` it replaced."""
        cells, defaults = value.__closure__ or (), value.__defaults__ or ()
        moved = [self._leads_to_a_part(cell, {id(value)}) for cell in cells]
        given = [self._leads_to_a_part(x, {id(value)}) for x in defaults]
        if not any([*moved, *given]):
            return value
        own = [CellType() if m else c for c, m in zip(cells, moved, strict=True)]
        new = FunctionType(
            value.__code__,
            value.__globals__,
            value.__name__,
            tuple(self.of(x) if m else x for x, m in zip(defaults, given, strict=True)),
            tuple(own),
        )
        self.known[id(value)] = new
        new.__kwdefaults__ = value.__kwdefaults__
        vars(new).update(vars(value))
        for cell, old, m in zip(own, cells, moved, strict=True):
            if m:
                cell.cell_contents = self.of(old.cell_contents)
        return new

    def _leads_to_a_part(self, value: Any, seen: set[int]) -> bool:
        if isinstance(value, CellType):
            try:
                value = value.cell_contents
            except ValueError:  # nothing in it
                return False
        if id(value) in seen:
            return False
        if isinstance(value, MethodType):
            return self._leads_to_a_part(value.__self__, seen)
        if type(value) is functools.partial:
            inner = (value.func, *value.args, *value.keywords.values())
            return any(self._leads_to_a_part(x, seen) for x in inner)
        if type(value) is FunctionType:
            inner = (*(value.__closure__ or ()), *(value.__defaults__ or ()))
            return any(self._leads_to_a_part(x, {*seen, id(value)}) for x in inner)
        return isinstance(value, nn.Module) and id(value) in self.known

    def _other(self, value: Any) -> Any:
        trial = dict(self.known)  # what a copy that fails has begun is not for others
        try:
            new = copy.deepcopy(value, trial)
        except Exception:  # noqa: BLE001 - whatever an object says that cannot be copied: a lock, a file
            return value
        self.known.update(trial)
        return new
