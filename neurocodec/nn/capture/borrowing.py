"""A module borrowed: what is done to it is done to a copy, and the module itself stays as it is.

A lock for each module would not do. A user's own call of the module, in another thread, takes no
lock, and would run with our hooks, through layers that a replay lets return zeros; a stimulus whose
blocks are computed by the same network in Dask's threads would wait for ever; and each buffer,
counter and cache would have to be given back one by one, past whatever fails meanwhile. A copy
shares the numbers of all parameters and costs some milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.switches import plainly
from neurocodec.nn.capture.twins import twin
from neurocodec.nn.settings import FUSED_ATTENTION, RANDOM, full_precision, usual


@contextmanager
def borrowed(module: nn.Module) -> Iterator[nn.Module]:
    """Copy a module, in evaluation mode and frozen; the module and all global state stay as is.

    Parameters are shared, all else is copied: buffers, attributes, hooks. The fused attention path,
    which skips submodules, is off meanwhile, and so is what a user has set for torch's threads.
    """
    _refuse_batch_statistics(module)
    _refuse_unfinished(module)
    with ExitStack() as stack:
        stack.enter_context(usual(_device(module)))
        stack.enter_context(RANDOM.held())
        stack.enter_context(FUSED_ATTENTION.put(False))  # noqa: FBT003 - the value that is set
        stack.enter_context(full_precision())
        stack.enter_context(plainly())
        yield copied(module)


@torch.no_grad()
def copied(module: nn.Module) -> nn.Module:
    """Copy a module, in evaluation mode and frozen; it shares the numbers of all parameters."""
    own = twin(module, ((p, _frozen(p)) for p in module.parameters()))
    with suppress(NotImplementedError):  # of torch.export, whose graphs have one mode
        own.eval()
    for parameter in own.parameters():  # of what was copied whole
        parameter.requires_grad = False
    return own


def _frozen(parameter: nn.Parameter) -> Tensor:
    numbers = parameter.detach()
    # one made in inference mode cannot be in a graph, nor can a view of it
    numbers = numbers.clone() if parameter.is_inference() else numbers
    new = numbers.as_subclass(type(parameter))
    vars(new).update(vars(parameter))
    return new


def _device(module: nn.Module) -> torch.device:
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _refuse_batch_statistics(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:  # noqa: SLF001
            raise CaptureError(
                came=f"{type(part).__name__} {name!r}, which normalises over the batch",
                expected="samples that do not depend on each other",
                hint="track_running_stats=True, and a forward pass in training mode over your data",
            )


def _refuse_unfinished(module: nn.Module) -> None:
    for name, part in module.named_modules():
        tensors = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        if any(map(is_lazy, tensors)):
            raise CaptureError(
                came=f"{type(part).__name__} {name!r}, which has no numbers before it first runs",
                expected="a module whose weights are there",
                hint="module(one_batch), once, before nc.Network(module, ...)",
            )
