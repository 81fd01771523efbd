"""Everything that can be reached from a value: numbers, texts and code, without addresses."""

from __future__ import annotations

import array
import contextvars
import enum
import functools
import hashlib
import re
import sys
import types
import weakref
from collections import deque
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any, Final, TypeAlias

import numpy as np

from neurocodec.identity.code import (
    code_text,
    full_name,
    functions_in,
    globals_of,
    is_own,
    package_of,
    reached_by_a_pass,
)

ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
"""Places in memory in the text of an object, which are others in every process."""
_METHODS: Final = (
    functools.cached_property,
    property,
    type,
    types.FunctionType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ModuleType,
)
"""What a class holds beside attributes."""
_OPEN: Final = frozenset({"neurocodec", "types", "argparse", "collections"})
"""Modules, beside a user's own, of whose objects all attributes count."""
_LONG: Final = 64
"""Things in a container from which on they are one mark together."""
LARGE: Final = 2**20
"""Bytes from which on a tensor is taken to be the same while its version is."""
_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice)
_HELD: Final = (list, tuple, dict, set, frozenset, np.ndarray, np.generic)
_TOLD: Final = frozenset({"datetime", "decimal", "fractions", "operator", "re", "uuid", "zoneinfo"})
"""Modules of Python whose objects are what their text says."""
_HOOKS: Final = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_PASSING: Final = ("neurocodec.nn.capture", "neurocodec.nn.fast")
"""Modules whose hooks and forms of a layer are there for the length of a run."""


def without_addresses(text: str) -> str:
    """Text of an object as it is in every process."""
    return ADDRESS.sub("0x", text)


def digest(value: object) -> str:
    """SHA-256 over everything that can be reached from a value, but for code."""
    found = Walk()
    found.visit("", value)
    return summary(found.data)


def summary(marks: Mapping[str, str]) -> str:
    """SHA-256 over marks."""
    return hashlib.sha256(repr(sorted(marks.items())).encode()).hexdigest()


Tensors: TypeAlias = dict[tuple[int, int], tuple[object, str]]
"""Id and version of a large tensor -> the tensor and its mark."""


class Walk:
    """Marks of everything that can be reached from some values."""

    def __init__(
        self, known: Mapping[int, str] | None = None, tensors: Tensors | None = None
    ) -> None:
        self.data: dict[str, str] = {}
        self._code: dict[str, set[str]] = {}
        self._known = known or {}  # id of a tensor that is told elsewhere -> its name there
        self._seen: dict[int, tuple[object, str]] = {}  # objects stay alive: ids are not reused
        self._compiled_in: dict[tuple[str, int], dict[str, Any]] = {}  # globals of looked-at code
        self._reached: set[str] = set()  # names of methods that passes through the module call
        self.tensors: Tensors = {} if tensors is None else tensors

    @property
    def code(self) -> dict[str, str]:
        """Function or class -> mark of what it is compiled to."""
        return {name: _mark("".join(sorted(marks))) for name, marks in self._code.items()}

    def visit(self, path: str, value: object) -> None:  # noqa: PLR0911 - one case a line
        """Mark a value, and what it holds, below a path."""
        if isinstance(value, enum.Enum):
            return self._put(path, f"{_name(type(value))} {value.name}")
        if isinstance(value, _PLAIN) and not isinstance(value, np.generic):
            return self._put(path, f"{type(value).__name__} {without_addresses(repr(value))}")
        if is_tensor(value):
            return self._put(path, self._of_tensor(value))
        if isinstance(value, np.ndarray | np.generic):
            return self._array(path, np.asarray(value))
        if isinstance(value, PurePath):
            return self._put(path, str(value))
        if id(value) in self._seen:
            return self._put(path, f"as {self._seen[id(value)][1]}")
        self._seen[id(value)] = (value, path)
        return self._inside(path, value)

    def _put(self, path: str, *content: str | memoryview) -> None:
        self.data[path] = _mark(*content)

    def _inside(self, path: str, value: Any) -> None:  # noqa: PLR0911 - one case a line
        if isinstance(value, Mapping):
            return self._mapping(path, value)
        if isinstance(value, list | tuple | deque):
            return self._sequence(path, value)
        if isinstance(value, Set):
            return self._put(path, f"set {sorted(map(digest, value))}")
        if isinstance(value, array.array | memoryview):
            return self._array(path, np.asarray(value))
        if isinstance(value, weakref.ref):
            return self.visit(f"{path}.to", value())
        if isinstance(value, contextvars.ContextVar):
            return self.visit(f"{path}.now", value.get(None))
        if isinstance(value, types.MethodType):
            self.visit(f"{path}.method", value.__func__)
            return self.visit(f"{path}.self", value.__self__)
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, dict(value.keywords))
            return self._sequence(path, parts)
        if isinstance(value, types.FunctionType):
            return self._function(path, value)
        if isinstance(value, type):
            self._class(value, whole=True)
            return self._put(path, _name(value))
        if hasattr(value, "named_modules") and hasattr(value, "_parameters"):
            return self._module(path, value)
        return self._object(path, value)

    def _mapping(self, path: str, value: Mapping[Any, Any]) -> None:
        keys = [_key(k) for k in value]
        self._put(path, f"{type(value).__name__} {keys}")
        self._parts(path, [f"[{k}]" for k in keys], list(value.values()))

    def _sequence(self, path: str, value: Sequence[Any]) -> None:
        if all(type(x) in _PLAIN for x in value):
            return self._put(path, without_addresses(f"{type(value).__name__} {[*value]!r}"))
        self._put(path, f"{type(value).__name__} of {len(value)}")
        return self._parts(path, [f"[{i}]" for i in range(len(value))], list(value))

    def _parts(self, path: str, names: list[str], values: list[Any]) -> None:
        if len(values) <= _LONG:
            for name, value in zip(names, values, strict=True):
                self.visit(f"{path}{name}", value)
            return
        mine, self.data = self.data, {}  # one mark, so that a run's record stays small
        for name, value in zip(names, values, strict=True):
            self.visit(name, value)
        mine[f"{path}[...]"] = _mark(summary(self.data))
        self.data = mine

    def _array(self, path: str, value: np.ndarray[Any, Any]) -> None:
        if value.dtype.hasobject or value.dtype.char in "gG":  # pointers; padding of any content
            return self._put(path, f"{value.shape} {[digest(x) for x in value.ravel().tolist()]}")
        flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return self._put(path, f"{value.dtype.str}{value.shape}", flat.data)

    def _of_tensor(self, value: Any) -> str:
        if id(value) in self._known:
            return f"is {self._known[id(value)]}"
        large = value.device.type != "meta" and value.numel() * value.element_size() > LARGE
        key = (id(value), -1 if value.is_inference() else value._version)  # noqa: SLF001
        if large and key[1] >= 0 and key in self.tensors:
            return self.tensors[key][1]
        found = tensor_mark(value)
        if large:
            self.tensors[key] = (value, found)
        return found

    def _module(self, path: str, module: Any) -> None:
        """A module of torch: its class, what hangs on it, its attributes and its parts."""
        kind = type(module)
        if not self._reached:
            kinds = {type(part): None for part in module.modules()}
            self._reached = reached_by_a_pass([b for k in kinds for b in k.__mro__ if is_own(b)])
        own = {k: x for k, x in _attributes(module) if k not in _of_every_module()}
        if package_of(kind) == "torch":  # settings that no pass changes: one mark for all of them
            plain = {k: x for k, x in own.items() if type(x) in _PLAIN or _is_short(x)}
            self._put(path, without_addresses(f"{_name(kind)} {sorted(plain.items())}"))
            own = {k: x for k, x in own.items() if k not in plain}
        else:
            self._put(path, _name(kind))
            self._class(kind, whole=False)
        for name, value in own.items():
            if not is_passing(value):
                self.visit(f"{path}.{name}", value)
        for name, tensor in {**module._parameters, **module._buffers}.items():  # noqa: SLF001
            if tensor is not None and id(tensor) not in self._known:
                self.visit(f"{path}.{name}", tensor)
        for kind_of_hook in _HOOKS:
            hooks = [h for h in getattr(module, kind_of_hook, {}).values() if not is_passing(h)]
            for place, hook in enumerate(hooks):
                self.visit(f"{path}.{kind_of_hook[1:-1]}[{place}]", hook)
        for name, part in module._modules.items():  # noqa: SLF001
            self.visit(f"{path}.{name}", part)

    def _object(self, path: str, value: object) -> None:
        kind = type(value)
        text = f"{_name(kind)} {getattr(value, '__name__', '')}"
        if hasattr(value, "__wrapped__"):
            self.visit(f"{path}.function", value.__wrapped__)
        elif package_of(kind) in _TOLD or kind.__name__.lower().endswith("dtype"):
            text += without_addresses(repr(value))
        elif _is_labelled(value):
            text += repr(getattr(value, "dims", ""))
            self.visit(f"{path}.values", np.asarray(value))
        elif is_own(kind) or package_of(kind) in _OPEN:
            self._class(kind, whole=True)
            for name, part in _attributes(value):
                self.visit(f"{path}.{name}", part)
        elif package_of(kind) not in sys.stdlib_module_names:  # files, threads, locks and the like
            for name, part in _attributes(value):
                if is_tensor(part) or isinstance(part, bool | int | float | np.ndarray):
                    self.visit(f"{path}.{name}", part)
        self._put(path, text)

    def _function(self, path: str, function: types.FunctionType) -> None:
        """Code where it is the user's, and what it has of its surroundings."""
        named = function.__qualname__ if is_own(function) else full_name(function)
        if function.__name__ == "<lambda>":  # all of which have one name
            named += f" {function.__code__.co_names} {function.__code__.co_consts}"
        self._put(path, without_addresses(named))
        if package_of(function) in sys.stdlib_module_names:
            return
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        held = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
        held |= {"defaults": function.__defaults__ or (), **(function.__kwdefaults__ or {})}
        held |= vars(function)
        if not is_own(function):
            held = {k: x for k, x in held.items() if type(x) in _PLAIN or is_tensor(x)}
        for name, value in held.items():
            if name != "__wrapped__" and value != ():
                self.visit(f"{path}.{name}", value)
        self._compiled(function)

    def _compiled(self, function: types.FunctionType) -> None:
        made = function.__code__.co_filename == "<string>" and function.__name__.startswith("__")
        if not is_own(function) or made:  # as dataclasses make them
            return
        mark = _mark(code_text(function.__code__, function.__doc__))
        self._code.setdefault(function.__qualname__, set()).add(mark)
        known = function.__globals__
        if (mark, id(known)) in self._compiled_in:
            return
        self._compiled_in[mark, id(known)] = known
        # two modules may have a global of one name each: the first met is 0
        place = list({id(x): None for x in self._compiled_in.values()}).index(id(known))
        for name, value in globals_of(function):
            self.visit(f"global {name}{f' ({place})' if place else ''}", value)

    def _class(self, kind: type, *, whole: bool) -> None:
        """Methods of a user's class and its bases, and their plain attributes."""
        if id(kind) in self._seen and self._seen[id(kind)][1] == "class":
            return
        self._seen[id(kind)] = (kind, "class")
        bases = [base for base in kind.__mro__ if is_own(base)]
        held = {name: value for base in reversed(bases) for name, value in vars(base).items()}
        for name, method in held.items():
            value = getattr(method, "__func__", method)
            plain = not isinstance(value, _METHODS)
            if plain and not name.startswith(("__", "_abc_")):
                self.visit(f"class {kind.__qualname__}.{name}", value)
        names = {n for base in bases for n in vars(base)}
        if not whole:  # what names a method of any part may call it
            names &= self._reached | reached_by_a_pass(bases)
        for base in bases:
            for name in sorted(names & vars(base).keys()):
                for function in functions_in(vars(base)[name]):
                    self._function(f"class {base.__qualname__}.{name}", function)


def _mark(*content: str | memoryview) -> str:
    found = hashlib.sha256()
    for part in content:
        found.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
    return found.hexdigest()[:16]


def _name(kind: type) -> str:
    return kind.__qualname__


@functools.cache
def _of_every_module() -> frozenset[str]:
    """Torch's own attributes: parts and hooks, which are looked at, and the mode, which is not."""
    return frozenset(vars(sys.modules["torch"].nn.Module()))


def _key(key: object) -> str:
    if isinstance(key, type):  # whose own attributes may hold it as a key again
        return _name(key)
    return without_addresses(repr(key)) if _is_short(key) else digest(key)[:16]


def _is_short(value: object) -> bool:
    """Plain, or a few plain ones in a tuple or list."""
    if isinstance(value, tuple | list):
        return len(value) <= _LONG and all(type(x) in _PLAIN for x in value)
    return type(value) in _PLAIN


def is_passing(value: object) -> bool:
    """Whether a hook or a form of a layer is there for the length of a run only."""
    inner = value.func if isinstance(value, functools.partial) else value
    return str(getattr(inner, "__module__", "")).startswith(_PASSING)


def is_tensor(value: object) -> bool:
    """Whether a value is a tensor; without torch there are none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_labelled(value: object) -> bool:
    return package_of(type(value)) in {"xarray", "pandas"} and hasattr(value, "__array__")


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _attributes(value: object) -> list[tuple[str, Any]]:
    """Attributes by name, without those that are computed once from the others."""
    kind: Any = type(value)
    slots, computed = _layout(kind)
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    found |= getattr(value, "__dict__", {})
    return sorted((name, x) for name, x in found.items() if name not in computed)


@functools.lru_cache(1024)
def _layout(kind: type) -> tuple[tuple[str, ...], frozenset[str]]:
    """Slots of a class, and its attributes that are computed once."""
    slots: list[str] = []
    computed: list[str] = []
    for base in kind.__mro__:
        own = vars(base)
        named = own.get("__slots__", ())
        slots += (named,) if isinstance(named, str) else named
        computed += (n for n, x in own.items() if isinstance(x, functools.cached_property))
    return tuple({*slots} - {"__dict__", "__weakref__"}), frozenset(computed)


def tensor_mark(value: Any) -> str:
    """Mark of a tensor's values, shape and type, whatever device or layout it has."""
    torch = sys.modules["torch"]
    head = f"{value.dtype}{tuple(value.shape)}"
    if value.device.type == "meta":
        return _mark(f"{head} without values")
    plain = value.detach()
    if plain.layout is not torch.strided:
        plain = plain.to_dense()
    if plain.is_quantized:
        plain = plain.dequantize()
    flat = plain.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return _mark(head, flat.view(torch.uint8).numpy().data)
