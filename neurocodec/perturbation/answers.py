"""What a network answers to images under many masks of one layer, each pair computed once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec.engine import session as engine
from neurocodec.engine.memory import Budget
from neurocodec.engine.samples import Block, Samples, bar
from neurocodec.engine.session import Session
from neurocodec.errors import CaptureError, InputError
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.device import widest
from neurocodec.nn.perturbation.replay import START, Remainder, starts

logger = logging.getLogger(__name__)

BUDGET: Final = Budget({"cpu": 2**29, "cuda": 2**34}, {"cpu": 32, "cuda": 2048})
"""Of one batch; more rows are slower on a CPU (benchmarks/perturbation.py)."""


@dataclass(frozen=True)
class Answers:
    """Category that the network answered with, for each pair of a mask and an image."""

    keys: NDArray[np.int64]  # image * masks + mask, increasing
    values: NDArray[np.int32]  # positions of categories
    masks: int  # number of different ones
    kept: NDArray[np.bool_]  # (image,) could be read; what is answered to others means nothing

    def __call__(self, mask: NDArray[np.intp], image: NDArray[np.intp]) -> NDArray[np.int32]:
        """Answers to images under masks, broadcast against each other."""
        wanted = image.astype(np.int64) * self.masks + mask
        return np.asarray(self.values[np.searchsorted(self.keys, wanted)])


@dataclass(frozen=True)
class OpenedLayer:
    """A layer that is ready to be perturbed."""

    rest: Remainder  # what comes after it
    samples: Samples  # the images
    channels: int  # how many it has
    outputs: int  # how many the network has
    batch_size: int  # rows that are computed together
    device: torch.device


@contextmanager
def opened_layer(
    net: Network, stimulus: xr.DataArray, layer: str, batch_size: int | None
) -> Iterator[OpenedLayer]:
    """Borrow the network, on its device, and find out how it runs on from the layer."""
    samples, chosen = Samples.of(net, stimulus, stream=True), net.select_layers([layer])[layer]
    few = samples.few(net.device)
    with ExitStack() as stack:
        rest, session = _resumable(net, layer, chosen, few, stack)
        size = batch_size or BUDGET.batch_size(session.bytes_per_sample, net.device.type)
        channels, outputs = session.channels(layer), session.traced.done.outputs.shape[1]
        yield OpenedLayer(rest, samples, channels, outputs, size, net.device)


def _resumable(
    net: Network, alias: str, layer: Layer, few: Tensor, outer: ExitStack
) -> tuple[Remainder, Session]:
    """Find the latest place from which the network can be resumed; else there are whole passes."""
    alone = {alias: layer}
    for layers in (alone, *({**alone, START: start} for start in starts(layer))):
        with ExitStack() as stack:
            found = _tried(net, alias, layers, few, stack)
            if found is not None and found[0].skipped is not None:
                logger.info("every replay starts at %s", layers.get(START, layer))
                outer.enter_context(stack.pop_all())
                return found
    logger.info("the answer depends on more than layer %r: every replay is a whole pass", alias)
    return _remainder(net, alias, alone, few, outer)


def _tried(
    net: Network, alias: str, layers: dict[str, Layer], few: Tensor, stack: ExitStack
) -> tuple[Remainder, Session] | None:
    """Do without a part that takes no single tensor, or runs more than once."""
    try:
        return _remainder(net, alias, layers, few, stack)
    except CaptureError:
        if START not in layers:
            raise
        return None


def _remainder(
    net: Network, alias: str, layers: dict[str, Layer], few: Tensor, stack: ExitStack
) -> tuple[Remainder, Session]:
    session = stack.enter_context(engine.opened(net, layers, few))
    return Remainder.of(session.capture, alias, few, session.traced.flow), session


def answer_pairs(
    opened: OpenedLayer,
    keep: NDArray[np.bool_],  # different masks (mask, channel), the first keeps all channels
    keys: NDArray[np.int64],  # image * masks + mask, increasing, none twice
    *,
    fill: float | tuple[float, ...],
    workers: int | None,
    progress: bool,
) -> Answers:
    """Answer every pair of an image (by its position in the samples) and a mask."""
    # Each image runs through the whole network once; what its layer answered is kept meanwhile, and
    # for every mask only what comes after the layer is computed, rows of several masks together.
    masks, size = len(keep), opened.batch_size
    values = np.full(len(keys), -1, np.int32)
    image, mask = np.divmod(keys, masks)
    flags = torch.from_numpy(keep).to(opened.device)
    run = partial(_masked, opened, keep=flags, fill=_fill(fill, opened))
    count = len(opened.samples)
    ranges = [(start, min(start + size, count)) for start in range(0, count, size)]
    kept = np.ones(count, dtype=bool)
    with (
        bar(len(keys), "perturbation", progress=progress) as shown,
        opened.samples.blocks(ranges, workers, opened.device) as blocks,
    ):
        for block in blocks:
            kept[block.start : block.stop] = block.kept
            first, last = np.searchsorted(image, [block.start, block.stop])
            rows = np.stack([image[first:last] - block.start, mask[first:last]])
            values[first:last] = run(block, rows, done=shown.update)
    return Answers(keys, values, masks, kept)


def _masked(
    opened: OpenedLayer,
    block: Block,
    rows: NDArray[np.intp],
    *,
    keep: Tensor,
    fill: Tensor | None,
    done: Callable[[int], object],
) -> NDArray[np.int32]:
    """Answers of some images, for rows (image, mask); the first mask changes nothing."""
    rest = opened.rest
    x = opened.samples.place(block, block.start, block.stop, opened.device).x
    full = rest.capture.look(x)
    image, mask = (torch.from_numpy(r).to(opened.device) for r in rows)
    found = _largest(full.outputs, block.start)[image]
    todo = mask.nonzero()[:, 0]
    done(len(mask) - len(todo))
    with rest.resumed():
        for some in torch.split(todo, opened.batch_size):
            outputs = rest.perturbed(x, full.hidden, image[some], keep[mask[some]], fill)
            found[some] = _largest(outputs, block.start)
            done(len(some))
    return found.to(torch.int32).cpu().numpy()


def label_answers(
    opened: OpenedLayer,
    *,
    gains: NDArray[np.float64],  # (gain, channel)
    label: NDArray[np.intp],  # (image,) category of each
    fill: float | tuple[float, ...],
    workers: int | None,
    progress: bool,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Output of each image's own label (gain, image), and the category that is answered with."""
    size, count = opened.batch_size, len(opened.samples)
    ranges = [(start, min(start + size, count)) for start in range(0, count, size)]
    scaled = torch.from_numpy(gains).float().to(opened.device)
    filled, rest = _fill(fill, opened), opened.rest
    value = np.zeros((len(gains), count), np.float32)
    answer = np.zeros((len(gains), count), np.int32)
    with (
        bar(value.size, "steering", progress=progress) as shown,
        opened.samples.blocks(ranges, workers, opened.device) as blocks,
    ):
        for block in blocks:
            _require_read(block)
            some = slice(block.start, block.stop)
            x = opened.samples.place(block, block.start, block.stop, opened.device).x
            own = torch.from_numpy(label[some]).to(opened.device)
            hidden, image = rest.capture.look(x).hidden, torch.arange(len(x), device=x.device)
            with rest.resumed():
                for row, one in enumerate(scaled):
                    keep = one.expand(len(x), -1)
                    outputs = rest.perturbed(x, hidden, image, keep, filled)
                    answer[row, some] = _largest(outputs, block.start).cpu().numpy()
                    value[row, some] = outputs.gather(1, own[:, None])[:, 0].cpu().numpy()
                    shown.update(len(x))
    return value, answer


def _require_read(block: Block) -> None:
    if not block.kept.all():
        place = block.start + int(np.flatnonzero(~block.kept)[0])
        raise InputError(
            came=f"image {place}, which cannot be read",
            expected="images that can be read",
            hint=f"images.drop_isel(stimulus=[{place}])",
        )


def _largest(outputs: Tensor, start: int) -> Tensor:
    if not bool(outputs.isfinite().all()):
        raise InputError(
            came=f"answers that are not finite, to images from {start} on",
            expected="finite numbers from the network, perturbed or not",
        )
    return outputs.argmax(1)


def _fill(fill: float | tuple[float, ...], opened: OpenedLayer) -> Tensor | None:
    if isinstance(fill, tuple) and len(fill) != opened.channels:
        raise InputError(
            came=f"fill of {len(fill)} numbers for a layer of {opened.channels} channels",
            expected="one number, or one for each channel",
        )
    if fill == 0:
        return None
    values = torch.tensor(fill, dtype=widest(opened.device), device=opened.device)
    return values.expand(opened.channels)
