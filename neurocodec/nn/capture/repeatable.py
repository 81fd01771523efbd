"""Whether a network answers the same samples with the same numbers, and changes no weight."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.borrowing import copied
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import answer
from neurocodec.nn.settings import random_state, set_random_state

ROUNDINGS = {"cpu": 64}
"""Units of the last digit, of the largest number, by which two equal passes may differ."""
MOST_ROUNDINGS = 1024
"""On other devices, whose threads add up in no fixed order."""
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def require_repeatable(
    capture: Capture, x: Tensor, plain: Tensor, fresh: nn.Module | None = None
) -> None:
    """Refuse noise, and state carried from pass to pass; `plain` is what a first one gave."""
    if capture.lent is None or not plain.is_floating_point() or not bool(plain.isfinite().all()):
        return
    if _same(plain, _answer(capture, x, fresh, before=x[-1:] / 2)):
        return
    start = random_state()
    first, second = _answer(capture, x), _answer(capture, x)
    set_random_state(start)
    random_ones = not _same(first, second) or _has_generators(capture.lent)
    if random_ones and _same(first, _answer(capture, x)):
        raise CaptureError(
            came="a random network: each pass answers the same samples with other numbers",
            expected="the same answer to the same samples: no dropout and no noise",
            hint="torch.nn.functional.dropout(x, training=self.training) in its forward",
        )
    what = "random or stateful" if random_ones else "stateful"
    raise CaptureError(
        came=f"a {what} network: its answer to the same samples changes with the passes before",
        expected="a forward pass that carries nothing over to the next one",
        hint="self.state = None (or whatever it starts from) as the first line of its forward",
    )


def _answer(
    capture: Capture,
    x: Tensor,
    fresh: nn.Module | None = None,
    before: Tensor | None = None,
) -> Tensor:
    """Answer of a fresh copy without hooks, perhaps to other samples first."""
    fresh = copied(capture.lent or capture.module) if fresh is None else fresh
    with torch.no_grad():
        if before is not None:
            with suppress(Exception):  # samples that are not the user's: it may refuse them
                fresh(before.clone())
        return answer(fresh(x.clone()), capture.select, len(x))


def _same(a: Tensor, b: Tensor) -> bool:
    units = ROUNDINGS.get(a.device.type, MOST_ROUNDINGS) * torch.finfo(a.dtype).eps
    return a.shape == b.shape and bool(((a - b).abs() <= units * a.abs().max()).all())


def _has_generators(module: nn.Module) -> bool:
    return any(isinstance(x, GENERATORS) for part in module.modules() for x in vars(part).values())


@contextmanager
def reading_only(module: nn.Module) -> Iterator[None]:
    """Refuse a pass that writes into a parameter, before it does: the user's module shares them."""
    with _ReadingOnly({p.untyped_storage().data_ptr() for p in module.parameters()}):
        yield


class _ReadingOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, shared: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shared = shared - {0}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare the seconds that torch takes to load its compiler, which it would keep out."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        for place, argument in enumerate(func._schema.arguments):  # noqa: SLF001
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            value = args[place] if place < len(args) else options.get(argument.name)
            if isinstance(value, Tensor) and value.untyped_storage().data_ptr() in self.shared:
                raise CaptureError(
                    came="a network that changes its parameters when it runs",
                    expected="weights that stay as they are in evaluation mode",
                    hint="if self.training: before what changes them, or a buffer in their place",
                )
        return func(*args, **options)
