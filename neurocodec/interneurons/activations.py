"""Activations of hidden units, batch by batch: nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurocodec.engine.forward import first_convolution, look
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import opened
from neurocodec.network import Network
from neurocodec.nn.capture.borrowing import borrowed
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch

Read = Callable[[Batch], dict[str, NDArray[np.float32]]]
"""Samples -> alias -> activations (sample, channel, positions...)."""

RECTIFIERS: Final = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Softplus, nn.GELU, nn.SiLU, nn.ELU)
RECTIFIED: Final = "_rectified"
"""Added to the alias of a layer for the rectifier that follows it."""
MIXING: Final = (nn.modules.conv._ConvNd, nn.Linear)  # noqa: SLF001
"""Modules after which another layer begins."""


@contextmanager
def activations(net: Network, samples: Samples, layers: Mapping[str, Layer]) -> Iterator[Read]:
    """Read the activations of layers, by alias, for batches of samples."""
    device = net.device
    with opened(net, layers, samples.few(device)) as session:
        capture = session.capture
        prefix = first_convolution(session, samples.batch(0, min(4, len(samples)), device))
        whole = session.one_pass(samples)

        def read(batch: Batch) -> dict[str, NDArray[np.float32]]:
            found = None if whole is None else whole.seen(batch)
            hidden = (look(capture, prefix, batch) if found is None else found).hidden
            return {a: _rows(capture.layers[a], hidden[a]) for a in layers}

        yield read


def _rows(layer: Layer, hidden: Tensor) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = layer.channels_first(hidden).cpu().numpy()
    return np.asarray(rows, dtype=np.float32)


def rectified_layers(
    net: Network, samples: Samples, layers: Mapping[str, Layer]
) -> dict[str, Layer]:
    """Rectifier that each layer's units are heard through, as "<alias>_rectified", if there is."""
    ran = _leaves(net, samples.few(net.device))
    names = [name for name, _, _ in ran]
    found = {}
    for alias, layer in layers.items():
        once = layer.at == "output" and names.count(layer.module) == 1 and layer.item is None
        name = _rectifier(ran, names.index(layer.module)) if once else None
        if name is not None and names.count(name) == 1:
            found[f"{alias}{RECTIFIED}"] = replace(layer, module=name)
    return found


def _leaves(net: Network, x: Tensor) -> list[tuple[str, nn.Module, int]]:
    """Leaf modules in the order in which they ran, and the number of dims of their output."""
    ran: list[tuple[str, nn.Module, int]] = []
    with ExitStack() as stack:
        module = stack.enter_context(borrowed(net.module))
        for name, part in module.named_modules():
            script = isinstance(part, torch.jit.ScriptModule)  # which takes no hooks
            if next(part.children(), None) is None and not script:

                def note(part: nn.Module, _args: Any, output: Any, name: str = name) -> None:
                    ran.append((name, part, getattr(output, "ndim", 0)))

                stack.callback(part.register_forward_hook(note).remove)
        with torch.no_grad():
            module(x.clone())
    return ran


def _rectifier(ran: list[tuple[str, nn.Module, int]], start: int) -> str | None:
    """Name of the first rectifier after a layer, of outputs of the same dims."""
    for name, part, dims in ran[start + 1 :]:
        if isinstance(part, MIXING):
            return None
        if isinstance(part, RECTIFIERS):
            return name if dims == ran[start][2] else None
    return None
