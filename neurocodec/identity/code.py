"""What code does, and what it reads of its surroundings; whose it is."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator, Sequence
from typing import Any, Final

_RUN_BY_TORCH: Final = ("forward", "__call__", "__getattr__", "__getattribute__")


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
    known = function.__globals__
    for code in _nested(function.__code__):
        module: Any = None
        for step in dis.get_instructions(code):
            if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"} and step.argval in known:
                value = known[step.argval]
                module = value if isinstance(value, types.ModuleType) else None
                if module is None and not _is_library(value):
                    yield step.argval, value
            elif step.opname in {"LOAD_ATTR", "LOAD_METHOD"} and module is not None:
                inner = getattr(module, step.argval, None)
                if not _is_installed(module.__name__.partition(".")[0]) and not _is_library(inner):
                    yield f"{module.__name__}.{step.argval}", inner
                module = None
            else:
                module = None


def _is_library(value: object) -> bool:
    """Whether it is a module, or a function or class of a library."""
    if isinstance(value, types.ModuleType):
        return True
    named = isinstance(value, type | types.FunctionType | types.BuiltinFunctionType)
    return named and not is_own(value)


def reached_by_a_pass(bases: Sequence[type]) -> set[str]:
    """Names of methods that a pass through a module can reach."""
    found: set[str] = set()
    new = {*_RUN_BY_TORCH}
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
    return found


def functions_in(value: Any) -> list[types.FunctionType]:
    """Functions behind a method, property or the like."""
    if isinstance(value, property):
        inner = [value.fget, value.fset]
    elif isinstance(value, functools.cached_property):
        inner = [value.func]
    else:
        inner = [inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value]
        inner = [getattr(x, "__func__", x) for x in inner]
    return [x for x in inner if isinstance(x, types.FunctionType)]


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
