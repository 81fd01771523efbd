"""What torch does behind a module's hooks, off while the module is borrowed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Final

import torch
import torch.utils.checkpoint

GENERATORS: Final = (
    "_checkpoint_without_reentrant_generator",
    "_checkpoint_without_reentrant_generator_impl",
)
"""What prepares a checkpoint that is not reentrant, by the versions of torch."""

_lock = threading.Lock()
_borrowed = 0
_restore = ExitStack()


@contextmanager
def plainly() -> Iterator[None]:
    """Let modules run as they are written: no checkpoints, no compiled code; counted by thread."""
    # A checkpoint runs without gradients, or a second time in the backward pass, where a layer that
    # was replaced is no longer. Without it the numbers are the same, and take more memory.
    global _borrowed, _restore  # noqa: PLW0603
    with _lock:
        _borrowed += 1
        if _borrowed == 1:
            _restore = _without_checkpoints()
            _restore.enter_context(_without_compilation())
    try:
        yield
    finally:
        with _lock:
            _borrowed -= 1
            if not _borrowed:
                _restore.close()


def _without_checkpoints() -> ExitStack:
    module, stack = torch.utils.checkpoint, ExitStack()
    function = module.CheckpointFunction
    function.apply = staticmethod(_run)
    stack.callback(delattr, function, "apply")  # the inherited one
    for name in GENERATORS:
        if hasattr(module, name):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, _nothing_around)
    return stack


def _run(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:
    return function(*args)


def _nothing_around(*_args: Any, **_options: Any) -> Iterator[None]:
    yield


def _without_compilation() -> Any:
    # whoever compiled a module has imported the compiler, which takes a second
    return (
        torch.compiler.set_stance("force_eager")
        if "torch._dynamo" in sys.modules
        else nullcontext()
    )
