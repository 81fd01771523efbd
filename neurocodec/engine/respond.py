"""`nc.respond`: what a network answers, with the labels of its samples and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.engine.accepted import require_one_step_a_frame
from neurocodec.engine.forward import first_convolution, look
from neurocodec.engine.samples import Samples, bar, batches
from neurocodec.engine.session import Session, hooked, opened
from neurocodec.engine.stored import read_coords
from neurocodec.errors import CaptureError, InputError
from neurocodec.labels import labelled, require_free_names, stamp
from neurocodec.network import CARRIED, Network, require_network
from neurocodec.nn.capture.prefix import Prefix

LONG: Final = 256
"""Responses to a movie from which on it pays to look for the short way through a network."""


def respond(
    net: Network,
    stimulus: xr.DataArray,
    *,
    batch_size: int = 64,
    device: str | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> xr.DataArray:
    """Outputs of a network: firing rates of cells, or logits of categories.

    Parameters
    ----------
    net
        The network.
    stimulus
        Movie (time, y, x) or images (stimulus, ...).
    batch_size
        Samples computed together; the numbers do not depend on it.
    device
        Where to compute; None stays where the network is.
    workers
        Processes that decode files of images; None chooses. Not used for what is in memory.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.DataArray
        (time, cell) `firing_rate` in Hz, or (stimulus, category) `response`. The first
        `history` - 1 frames of a movie have no response.

    Raises
    ------
    InputError
        Where the stimulus does not fit the network.

    Examples
    --------
    >>> from torch import nn
    >>> images = xr.DataArray(np.ones((4, 3)), dims=("stimulus", "feature"))
    >>> respond(Network(nn.Linear(3, 2), layers=[]), images).sizes
    Frozen({'stimulus': 4, 'category': 2})
    """
    batch_size = arguments.whole("batch_size", batch_size)
    placed = require_network(net).on(device)
    samples = Samples.of(net, stimulus, stream=True, carried=True)
    carried = net.state == CARRIED
    if carried:
        require_one_step_a_frame(net)
    own = {net.output_dim, *net.output_coords, response_name(net)}
    require_free_names(samples.coords, own, "the stimulus")
    rows: list[Tensor] = []
    kept: list[NDArray[np.bool_]] = []
    with _answering(placed, samples) as (session, prefix), torch.no_grad():
        whole = session.through(samples) if carried else session.one_pass(samples)
        every = list(batches(len(samples), batch_size, progress=False, what=""))
        ranges = samples.pieces if carried else every
        with (
            bar(len(samples), "responses", progress=progress) as shown,
            samples.blocks(ranges, workers, placed.device) as blocks,
        ):
            for block in blocks:
                batch = samples.place(block, block.start, block.stop, placed.device)
                if whole is None or batch.frames is None or not whole.takes(batch):
                    found = look(session.capture, prefix, batch).outputs
                else:
                    found = whole.answers(batch)
                rows.append(found.cpu()[torch.from_numpy(block.kept)])
                kept.append(block.kept)
                shown.update(len(block.kept))
        facts = session.facts
    coords = read_coords(samples.coords, samples.dim, np.concatenate(kept))
    return stamp(label_response(net, torch.cat(rows).numpy(), coords), "nc.respond", **facts)


@contextmanager
def _answering(net: Network, samples: Samples) -> Iterator[tuple[Session, Prefix | None]]:
    """Hook a network; of a long movie find the first convolution, by the layers behind it."""
    few = samples.few(net.device)
    session, prefix = None, None
    with ExitStack() as stack:
        windows = net.history is not None and net.answering is None  # those of video share more
        if windows and net.layers and len(samples) >= LONG:
            with suppress(CaptureError, InputError):  # layers that cannot be hooked are not needed
                lights = samples.lights(net.device)
                session = stack.enter_context(opened(net, net.layers, few, lights))
                prefix = first_convolution(session, samples.batch(0, 4, net.device))
        yield session or stack.enter_context(hooked(net, {}, few)), prefix


def label_response(
    net: Network, values: NDArray[Any], of_samples: Mapping[str, xr.Variable]
) -> xr.DataArray:
    """Put the labels of samples and outputs on outputs (sample, output)."""
    dim = net.output_dim
    coords = {
        **of_samples,
        dim: net.output_names(values.shape[1]),
        **{k: (dim, np.asarray(x)) for k, x in net.output_coords.items()},
    }
    return labelled(values, (net.sample_dim, dim), coords, name=response_name(net))


def response_name(net: Network) -> str:
    """Name of a network's outputs: those of cells are rates."""
    return "firing_rate" if net.output_dim == v.CELL else "response"
