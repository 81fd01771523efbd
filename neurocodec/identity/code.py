"""What code does, and what it reads of its surroundings; whose it is."""

from __future__ import annotations

import dis
import functools
import sys
import sysconfig
import types
from collections.abc import Iterator, Sequence
from typing import Any, Final

_RUN_BY_TORCH: Final = ("forward",)
_NOT_RUN: Final = {"__init__", "__new__", "__repr__", "__str__", "__getstate__", "__setstate__"}
"""Of the methods that Python itself calls, those that no pass needs."""


def full_name(thing: Any) -> str:
    """Where a function is defined."""
    return f"{thing.__module__}.{thing.__qualname__}"


def code_text(code: types.CodeType, doc: str | None = None) -> str:
    """What code does: not where it is written, nor what is said of it."""
    held = [c for c in code.co_consts if doc is None or c != doc]
    constants = [_constant(c) for c in held]
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return repr((code.co_code, code.co_names, code.co_freevars, counts, constants))


def _constant(value: object) -> str:
    if isinstance(value, types.CodeType):
        return code_text(value)
    if isinstance(value, tuple | frozenset):
        inner = [_constant(x) for x in value]
        return f"{type(value).__name__} {sorted(inner) if isinstance(value, frozenset) else inner}"
    return f"{type(value).__name__} {value!r}"


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function reads of its module, and of the user's own modules that it names there."""
    for code in _nested(function.__code__):
        named: Any = None  # what the step before has loaded
        for step in dis.get_instructions(code):
            before, inner = named, _loaded(step, function.__globals__, named)
            if step.opname not in _OF_MODULE and isinstance(named, types.ModuleType):
                yield from _settings(named)  # handed on whole, such as to getattr
            named = inner
            if inner is not None and not isinstance(inner, types.ModuleType):
                if not _is_library(inner):
                    of = before.__name__ + "." if isinstance(before, types.ModuleType) else ""
                    yield f"{of}{step.argval}", inner
                named = None


_GLOBAL: Final = {"LOAD_GLOBAL", "LOAD_NAME"}
_OF_MODULE: Final = {"LOAD_ATTR", "LOAD_METHOD"}


def _loaded(step: dis.Instruction, known: dict[str, Any], before: Any) -> Any:
    """What a step loads of a function's globals, or of a user's own module; None: neither."""
    if step.opname in _GLOBAL:
        found = known.get(step.argval)
    elif step.opname == "IMPORT_NAME":
        found = sys.modules.get(step.argval)
    elif step.opname in _OF_MODULE and isinstance(before, types.ModuleType):
        found = getattr(before, step.argval, None)
    else:
        return None
    return None if isinstance(found, types.ModuleType) and not _is_own_module(found) else found


def _is_own_module(module: types.ModuleType) -> bool:
    return not _is_installed(module.__name__.partition(".")[0])


def _settings(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """Plain globals of a user's module."""
    for name, value in sorted(vars(module).items()):
        if not name.startswith("__") and isinstance(value, _SETTINGS):
            yield f"{module.__name__}.{name}", value


_SETTINGS: Final = (bool, int, float, complex, str, tuple, list, dict, set)


def _is_library(value: object) -> bool:
    """Whether it is a module, or a function or class of a library."""
    if isinstance(value, types.ModuleType):
        return True
    named = isinstance(value, type | types.FunctionType | types.BuiltinFunctionType)
    return named and not is_own(value)


def reached_by_a_pass(bases: Sequence[type]) -> set[str]:
    """Names of methods that a pass through a module can reach."""
    found: set[str] = set()
    held = {name for base in bases for name in vars(base)}
    special = {n for n in held if n.startswith("__") and n.endswith("__")}
    new = {*_RUN_BY_TORCH, *special} - _NOT_RUN
    while new:
        found |= new
        codes = (
            code
            for base in bases
            for name in new & vars(base).keys()
            for function in functions_in(vars(base)[name])
            for code in _nested(function.__code__)
        )
        new = {name for code in codes for name in code.co_names} - found
    return held if "getattr" in found else found  # by a name that is made up


def functions_in(value: Any) -> list[types.FunctionType]:
    """Functions behind a method, property or the like."""
    if isinstance(value, property):
        inner = [value.fget, value.fset]
    elif isinstance(value, functools.cached_property):
        inner = [value.func]
    else:
        inner = [getattr(value, "__func__", value)]
    return [x for one in inner for x in _unwrapped(one) if isinstance(x, types.FunctionType)]


def _unwrapped(value: Any) -> Iterator[Any]:
    """A function, and those that it wraps."""
    seen: list[Any] = []
    while value is not None and not any(value is x for x in seen):
        seen.append(value)
        yield value
        value = getattr(value, "__wrapped__", None)


def package_of(thing: Any) -> str:
    """Package that a class or function is part of."""
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]


@functools.cache
def _is_installed(module: str) -> bool:
    """Whether a module is a library's: what its code is, is said by its version."""
    if module in sys.stdlib_module_names or module in {"neurocodec", "builtins"}:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return any(file.startswith(path) for path in paths) or "site-packages" in file


def is_own(thing: Any) -> bool:
    """Whether a class or function is the user's."""
    return thing is not object and not _is_installed(package_of(thing))
