"""Settings of the whole process and of a thread: borrowed, and given back as they were."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final, Generic, TypeVar

import numpy as np
import torch

T = TypeVar("T")


class Shared:
    """A context of the whole process, entered by the first thread that needs it, left by the last.

    If each left what it entered, the one that came second and left last would leave for good what
    the first had set.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make, self._lock, self._holders = make, threading.Lock(), 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be in that context for the length of a ``with`` block."""
        with self._lock:
            if not self._holders:
                self._entered = self._make()
                self._entered.__enter__()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._entered.__exit__(None, None, None)


class Setting(Shared, Generic[T]):
    """A value that the process shares; `by_thread` where a thread takes it over when it starts."""

    def __init__(
        self, read: Callable[[], T], write: Callable[[T], object], *, by_thread: bool = False
    ) -> None:
        super().__init__(self._given_back)
        self._read, self._write, self._by_thread = read, write, by_thread

    @contextmanager
    def _given_back(self) -> Iterator[None]:
        self._before = self._read()
        yield
        self._write(self._before)

    @contextmanager
    def put(self, value: T) -> Iterator[None]:
        """Set it for the length of a ``with`` block."""
        with self.held():
            before = self._before
            try:
                self._write(value)
                yield
            finally:
                if self._by_thread:  # each has its own, which no other can give back
                    self._write(before)


def random_state() -> tuple[Any, ...]:
    """Global random states: of torch, of Python, of NumPy."""
    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    on_devices = torch.cuda.get_rng_state_all() if begun else []
    return (
        torch.get_rng_state(),
        on_devices,
        random.getstate(),
        np.random.get_state(legacy=False),  # noqa: NPY002 - nothing is drawn from it here
    )


def set_random_state(state: tuple[Any, ...]) -> None:
    """Go back to what `random_state` gave."""
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
    random.setstate(state[2])
    np.random.set_state(state[3])  # noqa: NPY002


def _precisions() -> list[Any]:
    """Places of torch's newer settings of the digits of float32; none before torch 2.9."""
    known = (torch.backends.cudnn, torch.backends.mkldnn)
    if not hasattr(torch.backends.mkldnn, "matmul"):
        return []
    inner = [getattr(place, name) for place in known for name in ("conv", "rnn")]
    return [*inner, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]


def _digits() -> tuple[bool | None, str | None, list[str]]:
    """How torch computes with float32; None where older and newer settings contradict."""
    found: list[Any] = []
    for read in (lambda: torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision):
        try:
            found.append(read())
        except RuntimeError:
            found.append(None)
    return found[0], found[1], [place.fp32_precision for place in _precisions()]


def _set_digits(wanted: tuple[bool | None, str | None, list[str]]) -> None:
    convolutions, products, newer = wanted
    if convolutions is not None:
        torch.backends.cudnn.allow_tf32 = convolutions
    if products is not None:
        torch.set_float32_matmul_precision(products)
    for place, value in zip(_precisions(), newer, strict=True):
        place.fp32_precision = value


RANDOM = Setting(random_state, set_random_state)
DIGITS = Setting(_digits, _set_digits)
FUSED_ATTENTION = Setting(
    torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled
)
THREADS = Setting(torch.get_num_threads, torch.set_num_threads, by_thread=True)
_DTYPE = Setting(torch.get_default_dtype, torch.set_default_dtype)

one_at_a_time: Final = threading.RLock()
"""Held where warnings are caught, or torch's own random state is seeded: each thread by itself."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Let torch use all digits of float32; with TF32 three of them are right, of bfloat16 two."""
    with DIGITS.put((False, "highest", ["ieee"] * len(_precisions()))):
        yield


@contextmanager
def usual(device: str | torch.device = "cpu") -> Iterator[None]:
    """Let torch compute, in this thread, as if no mode and no default device had been set."""
    # The default type is not one of these: it is set for all threads at once.
    place = torch.device(device)
    without = not (torch.is_grad_enabled() or torch.is_inference_mode_enabled())
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))  # which turns gradients on
        if without:
            stack.enter_context(torch.no_grad())
        for kind in sorted({"cpu", place.type} - {"meta"}):
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type not in ("cpu", place.type):
            stack.enter_context(place)
        yield


@contextmanager
def building(seed: int | None = None) -> Iterator[None]:
    """Build modules in float32 on the CPU whatever the defaults, their numbers by a seed."""
    with one_at_a_time, torch.random.fork_rng(devices=[]), ExitStack() as stack:
        stack.enter_context(usual())
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(_DTYPE.put(torch.float32))
        if seed is not None:
            # not torch.manual_seed, which seeds every other device as well
            torch.default_generator.manual_seed(seed)
        yield
