"""Forward passes without gradients, the first convolution of a movie over all windows at once."""

from __future__ import annotations

import torch

from neurocodec.engine.session import Session
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.prefix import Batch, Prefix
from neurocodec.nn.capture.tracing import agree


def first_convolution(session: Session, batch: Batch) -> Prefix | None:
    """What precedes the first layer, where it is one convolution whose short way agrees."""
    capture, found = session.capture, Prefix.of(session.capture, session.traced)
    if found is None or found.convolution is None:
        return None
    try:
        quick = look(capture, found, batch)
    except RuntimeError:
        return None
    return found if agree(quick, capture.look(batch.x)) else None


def look(capture: Capture, prefix: Prefix | None, batch: Batch) -> Pass:
    """Run one forward pass, its first convolution by Fourier transform where that is possible."""
    with torch.no_grad():
        first = None if prefix is None else prefix.convolve(batch)
        if prefix is None or first is None:
            return capture.run(batch.x)
        with prefix.skipped():
            return capture.run(batch.x, {prefix.layer: first})
