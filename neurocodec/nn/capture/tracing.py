"""One small pass that finds out how a network runs before anything long is started."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from neurocodec.errors import CaptureError, InputError, NeurocodecError
from neurocodec.nn.capture.graph import Inspection, inspect
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.fast.convolution import rewritten

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

AGREEMENT = 1e-4
"""Largest difference between two ways to compute the same, relative to the largest number."""
JOINT_TOLERANCE = 1e-3
"""Largest relative difference between a sample's answer in a batch and alone."""


@dataclass(frozen=True)
class Trace:
    """What ran in one pass."""

    order: tuple[str, ...]  # aliases, as they ran
    prefix: tuple[
        tuple[nn.Module, torch.Size], ...
    ]  # leaves up to the first layer, if it is affine
    graph: Inspection  # what the autograd graph shows
    done: Pass  # of the traced samples

    @property
    def bytes_per_sample(self) -> int:
        """Size of what one sample's pass keeps: captured activations, or more for a gradient."""
        captured = sum(h[0].numel() * h.element_size() for h in self.done.hidden.values())
        return max(captured, self.graph.saved_bytes)


@dataclass
class _Log:
    capture: Capture
    ran: list[str] = field(default_factory=list)
    leaves: dict[nn.Module, torch.Size] = field(default_factory=dict)
    whole: bool = True

    def restart(self, *_: object) -> None:
        """Forget a pass that is being repeated, as after layers to protect were found."""
        self.ran, self.leaves, self.whole = [], {}, True

    def note(self, name: str, module: nn.Module, output: Any) -> None:
        self.ran.append(name)
        first = self.capture.first_seen
        reached = first is not None and self.capture.layers[first].module != name
        if reached or next(module.children(), None) is not None:
            return
        self.whole &= isinstance(output, Tensor) and module not in self.leaves
        if isinstance(output, Tensor):
            self.leaves[module] = output.shape


def trace(capture: Capture, x: Tensor) -> Trace:
    """Run a few samples through an attached capture and see what runs, in which order.

    Refuses what cannot be captured rightly: layers that never run, answers that the hooks change,
    samples whose answer depends on those beside them.
    """
    log = _Log(capture)
    with _logged(capture.module, log):
        plain = _run(capture.plain, x)
        found, alone = _run(partial(inspect, capture), x)
        done = alone if len(x) == 1 else capture.look(x)
    if not bool(done.outputs.isfinite().all()):
        raise InputError(
            came="a network that answers with NaN or infinity", expected="finite numbers"
        )
    _require_all(capture, done, log.ran)
    _require_unchanged(plain, done)
    _require_samples(x, done, alone)
    first = next(iter(done.hidden), None)
    whole = log.whole and first is not None and capture.layers[first].at == "output"
    prefix = tuple(log.leaves.items()) if whole and found.affine else ()
    return Trace(tuple(done.hidden), prefix, found, done)


def agree(a: Pass, b: Pass) -> bool:
    """Whether two passes differ by rounding alone, in outputs and in every captured layer."""
    pairs = [(a.outputs, b.outputs), *((a.hidden[k], b.hidden[k]) for k in b.hidden)]
    return all(bool((x - y).abs().max() <= AGREEMENT * y.abs().max()) for x, y in pairs)


@contextmanager
def quickened(capture: Capture, traced: Trace, x: Tensor) -> Iterator[None]:
    """Compute the convolutions in their faster form, where that agrees with what was traced."""
    captured = {layer.module for layer in capture.layers.values()}
    names = {part: name for name, part in capture.module.named_modules()}
    free = {c: n for c, n in traced.graph.normalised.items() if names[c] not in captured}
    with ExitStack() as stack:
        stack.enter_context(rewritten(capture.module, free))
        if not agree(capture.look(x), traced.done):
            logger.info("the faster form of the convolutions differs from the plain network: off")
            stack.close()
        yield


@contextmanager
def _logged(module: nn.Module, log: _Log) -> Iterator[None]:
    with ExitStack() as stack:
        if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
            stack.callback(module.register_forward_pre_hook(log.restart).remove)
        for name, part in module.named_modules():
            if name and not isinstance(part, torch.jit.ScriptModule):
                hook = part.register_forward_hook(
                    lambda part, _args, output, name=name: log.note(name, part, output)
                )
                stack.callback(hook.remove)
        yield


def _run(passing: Callable[[Tensor], Result], x: Tensor) -> Result:
    """Let samples through; what the network raises is told with its cause."""
    try:
        return passing(x)
    except NeurocodecError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise InputError(
            came=f"{len(x)} samples whose passes do not fit into memory: {error}",
            expected="memory for their activations and gradients",
            hint="device='cpu'",
        ) from error
    except Exception as error:
        kind = "" if type(error) is RuntimeError else f"{type(error).__name__}: "
        raise InputError(
            came=f"samples of shape {tuple(x.shape[1:])}, which the network refuses: {kind}{error}",
            expected="stimuli of the shape that the network was made for",
        ) from error


def _require_all(capture: Capture, done: Pass, ran: list[str]) -> None:
    for alias, layer in capture.layers.items():
        if alias in done.hidden:
            continue
        calls = ran.count(layer.module)
        if calls:
            raise CaptureError(
                came=f"call {layer.occurrence} of {layer.module!r}, which runs {calls} times",
                expected=f"an occurrence from 0 to {calls - 1}",
            )
        near = difflib.get_close_matches(layer.module, ran, n=5, cutoff=0.3) or ran[:10]
        raise CaptureError(
            came=f"layer {layer.module!r} exists but does not run in a forward pass",
            expected=f"a layer that runs, such as {', '.join(map(repr, near))}",
        )


def _require_unchanged(plain: Tensor, done: Pass) -> None:
    """Refuse a network whose answer the hooks themselves change."""
    if not agree(Pass(plain, {}), Pass(done.outputs, {})):
        raise CaptureError(
            came="a network whose answer changes when its layers are looked at",
            expected="layers whose output is not changed in place by what stands beside them",
            hint="other layers, or the same operation with inplace=False",
        )


def _require_samples(x: Tensor, together: Pass, alone: Pass) -> None:
    """Refuse activations and answers that are not one per sample, each by itself."""
    for size, done in ((len(x), together), (1, alone)):
        for alias, h in done.hidden.items():
            if h.ndim < 2 or len(h) != size:
                raise CaptureError(
                    came=f"layer {alias!r} of shape {tuple(h.shape)} for {size} samples",
                    expected="an activation with the sample axis first",
                    hint="a layer whose output is (sample, channel, ...)",
                )
    difference = (together.outputs[0] - alone.outputs[0]).abs().max()
    if not difference <= JOINT_TOLERANCE * together.outputs[0].abs().max():
        raise CaptureError(
            came=f"the answer to a sample changes by {float(difference):.3g} with its neighbours",
            expected="a network that treats the samples of a batch one by one",
            hint="module.eval(), and layers that do not normalise over the batch",
        )
