"""One small pass that finds out how a network runs before anything long is started."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from neurocodec.errors import CaptureError, InputError, NeurocodecError
from neurocodec.nn.capture.flow import Flow, Recorder, recorded
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.repeatable import reading_only, require_repeatable
from neurocodec.nn.capture.shortcuts import foldable, with_own_kernels
from neurocodec.nn.fast.convolution import is_rewritable, rewritten

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

AGREEMENT = {torch.float64: 1e-9}
"""Largest difference between two ways to compute the same, relative to the largest number."""
SINGLE = 1e-4
"""The same of numbers that are not double precision."""
SLOPES = {torch.float64: 1e-6}
"""Largest difference of a sample's gradients, of their norm, in the median over samples."""
SINGLE_SLOPES = 1e-2
"""The same of single precision, in which rounding alone takes some units over a kink."""
JOINT_TOLERANCE = 1e-3
"""Largest relative difference between a sample's answer in a batch and alone."""


@dataclass(frozen=True)
class Differentiated:
    """One pass, and the gradients of one number made of all outputs."""

    done: Pass
    gradients: dict[str, Tensor]  # at the captured layers, and at the input by the name ""


@dataclass
class Proof:
    """What a first look proves of a network in one state, for all samples of one shape."""

    flow: Flow  # of one sample
    saved_bytes: int  # what a backward pass of one sample to the input keeps
    layers: Mapping[str, Layer]  # with the layouts that were found
    protected: frozenset[str]  # aliases of what is changed in place further on
    changes_input: bool
    faster: bool | None = None  # whether the faster form agreed, in answers and gradients


@dataclass(frozen=True)
class Trace:
    """What ran in one pass."""

    proof: Proof
    done: Pass  # of the traced samples
    alone: Differentiated | None = None  # one sample; None where an earlier proof holds

    @property
    def flow(self) -> Flow:
        """The flow of data."""
        return self.proof.flow

    @property
    def order(self) -> tuple[str, ...]:
        """Aliases, as they ran."""
        return tuple(self.done.hidden)

    @property
    def bytes_per_sample(self) -> int:
        """Size of what one sample's pass keeps: captured activations, or more for a gradient."""
        captured = sum(h[0].numel() * h.element_size() for h in self.done.hidden.values())
        return max(captured, self.proof.saved_bytes)


def trace(capture: Capture, x: Tensor, fresh: nn.Module | None = None) -> Trace:
    """Run a few samples through an attached capture and see what runs, in which order.

    Refuses what cannot be captured rightly: layers that never run, answers that the hooks change,
    samples whose answer depends on those beside them. `fresh` is a copy to pass them through.
    """
    with _ran(capture.module) as ran:
        with reading_only(capture.module):
            plain = _run(capture.plain, x)
        require_repeatable(capture, x, plain, fresh)
        flow, saved, alone = _run(partial(inspect, capture), x)
        done = alone.done if len(x) == 1 else capture.look(x)
    _require_finite(done)
    _require_all(capture, done, ran)
    _require_unchanged(plain, done)
    _require_samples(x, done, alone.done)
    protected = frozenset(capture.protected)
    return Trace(Proof(flow, saved, capture.layers, protected, capture.changes_input), done, alone)


def trace_again(capture: Capture, x: Tensor, proof: Proof) -> Trace:
    """Run a few samples through a network of which everything else is proved."""
    capture.recall(proof.layers, proof.protected, changes_input=proof.changes_input)
    done = _run(capture.look, x)
    _require_finite(done)
    return Trace(proof, done)


def inspect(capture: Capture, x: Tensor) -> tuple[Flow, int, Differentiated]:
    """Run one sample down to the input: the flow of data, bytes that are kept, and the pass."""
    recorder, saved_bytes = Recorder(), 0

    def pack(saved: Tensor) -> Tensor:
        nonlocal saved_bytes
        if saved.ndim and len(saved) == 1:
            saved_bytes += saved.numel() * saved.element_size()
        return saved.detach()  # an operation that keeps its own result would never be freed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        found = differentiated(capture, x[:1], recorder)
    return recorder.flow, saved_bytes, found


def differentiated(capture: Capture, x: Tensor, recorder: Recorder | None = None) -> Differentiated:
    """Run samples forward, and back to the layers and to the input."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        with nullcontext() if recorder is None else recorded(recorder, capture):
            done = capture.run(leaf)
        weights = torch.arange(1, 1 + done.outputs.shape[1], device=x.device).to(x).cos()
        total = (done.outputs * weights).sum()
        gradients = dict[str, Tensor]()
        for ends in ({"": leaf, **done.hidden}, done.hidden):
            # a network that works in place may have no gradients down to the input
            with suppress(RuntimeError):
                gradients = _gradients(total, ends)
                break
    return Differentiated(Pass(done.outputs.detach(), done.detached()), gradients)


def _gradients(total: Tensor, ends: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not total.requires_grad or not ends:
        return {}
    found = torch.autograd.grad(total, [*ends.values()], retain_graph=True, allow_unused=True)
    return {a: g for a, g in zip(ends, found, strict=True) if g is not None}


def agree(a: Pass, b: Pass) -> bool:
    """Whether two passes differ by rounding alone, in outputs and in every captured layer."""
    pairs = [(a.outputs, b.outputs), *((a.hidden[k], b.hidden[k]) for k in b.hidden)]
    return all(close(x, y) for x, y in pairs)


def close(x: Tensor, y: Tensor) -> bool:
    """Whether numbers differ by rounding alone."""
    return bool((x - y).abs().max() <= AGREEMENT.get(y.dtype, SINGLE) * y.abs().max())


def same_slopes(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether gradients of most samples differ by rounding, and units that it takes over a kink."""
    return a.keys() == b.keys() and all(_same_slope(a[alias], b[alias]) for alias in a)


def _same_slope(x: Tensor, y: Tensor) -> bool:
    size = y.flatten(1).norm(dim=1)
    difference = (x - y).flatten(1).norm(dim=1)
    return bool((difference - SLOPES.get(y.dtype, SINGLE_SLOPES) * size).median() <= 0)


@contextmanager
def quickened(capture: Capture, traced: Trace, few: Tensor, several: Tensor) -> Iterator[None]:
    """Compute the convolutions in their faster form, where that is proved, and agrees.

    The first time gradients are compared too, of the first of the traced samples and of several;
    where an earlier proof holds, the answers alone.
    """
    flow, proof = traced.flow, traced.proof
    possible = flow.proves and not flow.layout and proof.faster is not False
    if not possible or not any(map(is_rewritable, capture.module.modules())):
        yield
        return
    plain = list[tuple[Tensor, Differentiated]]()
    if proof.faster is None:
        plain.append((few[:1], traced.alone or differentiated(capture, few[:1])))
        if len(several) > 1:
            plain.append((several, differentiated(capture, several)))
    with ExitStack() as stack:
        safe = with_own_kernels(flow, capture.module)
        stack.enter_context(rewritten(capture.module, foldable(flow, capture), safe))
        proof.faster = all(_agrees(capture, *pair) for pair in plain) and (
            bool(plain) or agree(capture.look(few[:1]), traced.done.first)
        )
        if not proof.faster:
            logger.info("the faster form of the convolutions differs from the plain network: off")
            stack.close()
        yield


def _agrees(capture: Capture, x: Tensor, plain: Differentiated) -> bool:
    """Whether a network that computes otherwise gives the same answers and the same gradients."""
    try:
        found = differentiated(capture, x)
    except Exception:  # noqa: BLE001 - of whatever kind, what computes otherwise is given up
        return False
    return agree(found.done, plain.done) and same_slopes(found.gradients, plain.gradients)


@contextmanager
def _ran(module: nn.Module) -> Iterator[list[str]]:
    """Names of modules in the order in which they ran in the last pass."""
    ran: list[str] = []
    with ExitStack() as stack:
        if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
            stack.callback(module.register_forward_pre_hook(lambda *_: ran.clear()).remove)
        for name, part in module.named_modules():
            if name and not isinstance(part, torch.jit.ScriptModule):
                hook = part.register_forward_hook(lambda *_, name=name: ran.append(name))
                stack.callback(hook.remove)
        yield ran


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


def _require_finite(done: Pass) -> None:
    if not bool(done.outputs.isfinite().all()):
        raise InputError(
            came="a network that answers with NaN or infinity", expected="finite numbers"
        )


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
