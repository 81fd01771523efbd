"""Stimuli as a network takes them, and its responses: where DataArray and Tensor meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from tqdm.auto import tqdm

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import labelled, require_finite, stamp
from neurocodec.network import Network
from neurocodec.nn.capture import Capture
from neurocodec.nn.movie import windows
from neurocodec.nn.passes import Batch
from neurocodec.nn.tracing import trace

IMAGE_DIMS = (v.COLOR, v.Y, v.X)


@dataclass(frozen=True)
class Samples:
    """Stimuli as a network takes them: batches of tensors and the labels of the samples.

    Parameters
    ----------
    values
        Images (stimulus, ...) or frames (time, y, x).
    coords
        Coordinates along the sample dim.
    dim
        `time` or `stimulus`.
    history
        Frames in a window; None for images.
    """

    values: Tensor
    coords: dict[str, xr.Variable]
    dim: str
    history: int | None
    dims: tuple[str, ...] = ()

    @classmethod
    def of(cls, net: Network, stimulus: xr.DataArray) -> Self:
        """Check a stimulus against a network and make its samples.

        Raises
        ------
        InputError
            Wrong dims, shape or frame rate, NaN, or a movie shorter than the history.
        """
        stimulus = _checked(net, stimulus)
        skipped = 0 if net.history is None else net.history - 1
        along = stimulus.isel({net.sample_dim: slice(skipped, None)})
        # as variables: a scalar coordinate of the movie would ride along with each of them
        coords = {
            str(name): c.variable for name, c in along.coords.items() if c.dims == (net.sample_dim,)
        }
        values = torch.tensor(stimulus.values, dtype=net.dtype)
        dims = tuple(map(str, stimulus.dims[1:]))
        return cls(values, coords, net.sample_dim, net.history, dims)

    def __len__(self) -> int:
        return len(self.values) - (0 if self.history is None else self.history - 1)

    def batch(self, start: int, stop: int, device: torch.device) -> Batch:
        """Samples from `start` to `stop` on a device."""
        if self.history is None:
            return Batch(self.values[start:stop].to(device), first=start)
        frames = self.values[start : stop + self.history - 1].to(device)
        return Batch(windows(frames, self.history), frames, start)

    def few(self, device: torch.device) -> Tensor:
        """Copies of the first, a middle and the last sample, to trace a network with."""
        places = sorted({0, len(self) // 2, len(self) - 1})
        return torch.cat([self.batch(i, i + 1, device).x for i in places])

    def baseline(self, wanted: Any) -> Tensor:
        """Where paths start, of shape (1, ...): zeros, the mean, a number, or a given sample.

        Raises
        ------
        InputError
            Where it does not have the shape of a sample (or of a frame), or is not finite.
        """
        one = self.batch(0, 1, torch.device("cpu")).x
        if wanted is None or (isinstance(wanted, str) and wanted == "zeros"):
            return torch.zeros_like(one)
        if isinstance(wanted, str):
            if wanted != "mean":
                raise unknown_name("baseline", wanted, ("mean", "zeros"))
            return self.mean()
        if isinstance(wanted, xr.DataArray):
            wanted = wanted.transpose(*(d for d in self.dims if d in wanted.dims), ...)
        values = torch.tensor(np.asarray(wanted), dtype=one.dtype)
        try:
            values = values.expand_as(one).contiguous()
        except RuntimeError:
            values = one * torch.nan
        if not bool(values.isfinite().all()):
            raise InputError(
                came=f"a baseline of shape {np.shape(wanted)}, or with NaN",
                expected=f"'zeros', 'mean', a number, or a sample of shape {tuple(one.shape[1:])}",
            )
        return values

    def mean(self) -> Tensor:
        """Mean sample, of shape (1, ...): mean image, or a window of the mean frame."""
        mean = self.values.mean(0, keepdim=True)
        return mean if self.history is None else mean.repeat(self.history, 1, 1)[None]


def _checked(net: Network, stimulus: xr.DataArray) -> xr.DataArray:
    dim = net.sample_dim
    if not isinstance(stimulus, xr.DataArray) or dim not in stimulus.dims:
        kind = "a movie with dims ('time', 'y', 'x')" if net.history else "images with 'stimulus'"
        found = getattr(stimulus, "dims", type(stimulus).__name__)
        raise InputError(
            came=f"a stimulus with dims {found}",
            expected=f"{kind}, as {net.name!r} takes them",
            hint="xr.DataArray(values, dims=('time', 'y', 'x'))",
        )
    rest = [str(d) for d in stimulus.dims if d != dim]
    if set(rest) <= set(IMAGE_DIMS):
        rest = [d for d in IMAGE_DIMS if d in rest]
    stimulus = stimulus.transpose(dim, *rest)
    _check_shape(net, stimulus)
    if stimulus.dtype.kind not in "fiub" or not stimulus.size:
        raise InputError(
            came=f"a stimulus of {stimulus.dtype} with {dict(stimulus.sizes)}",
            expected="real numbers, at least one sample",
        )
    require_finite(stimulus, "the stimulus")
    return stimulus


def _check_shape(net: Network, stimulus: xr.DataArray) -> None:
    if net.input_shape is not None and stimulus.shape[1:] != net.input_shape:
        raise InputError(
            came=f"a stimulus of {dict(stimulus.sizes)}",
            expected=f"samples of shape {net.input_shape}, as {net.name!r} takes them",
        )
    if net.history is None:
        return
    if stimulus.ndim != 3:
        raise InputError(
            came=f"a movie with dims {tuple(map(str, stimulus.dims))}",
            expected="dims ('time', 'y', 'x')",
        )
    if stimulus.sizes[v.TIME] < net.history:
        raise InputError(
            came=f"a movie of {stimulus.sizes[v.TIME]} frames",
            expected=f"at least {net.history}, the history that {net.name!r} sees",
        )
    _check_rate(net, stimulus)


def _check_rate(net: Network, stimulus: xr.DataArray) -> None:
    if net.frame_rate is None or v.TIME not in stimulus.coords or stimulus.sizes[v.TIME] < 2:
        return
    steps = np.diff(stimulus[v.TIME].values)
    if not np.allclose(steps, 1 / net.frame_rate, rtol=1e-3):
        raise InputError(
            came=f"a movie with frames {steps.min():.6g} to {steps.max():.6g} s apart",
            expected=f"{net.frame_rate:g} frames per second, as {net.name!r} takes them",
            hint=f"nc.stimuli.resample(recording, {net.frame_rate:g})",
        )


def batches(size: int, batch_size: int, *, progress: bool, what: str) -> Iterator[tuple[int, int]]:
    """Ranges of samples, behind a progress bar.

    Parameters
    ----------
    size
        Number of samples.
    batch_size
        Largest range.
    progress
        Whether to show the bar.
    what
        Its title.

    Examples
    --------
    >>> list(batches(5, 2, progress=False, what="rows"))
    [(0, 2), (2, 4), (4, 5)]
    """
    with bar(size, what, progress=progress) as shown:
        for start in range(0, size, batch_size):
            stop = min(start + batch_size, size)
            yield start, stop
            shown.update(stop - start)


def require_batch_size(batch_size: int | None) -> None:
    """Refuse a batch size that is no whole number of at least 1.

    Examples
    --------
    >>> require_batch_size(16)
    """
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise InputError(came=f"batch_size={batch_size!r}", expected="a whole number, at least 1")


def bar(size: int, what: str, *, progress: bool, done: int = 0) -> tqdm[NoReturn]:
    """Progress bar over samples.

    Parameters
    ----------
    size
        Number of samples.
    what
        Its title.
    progress
        Whether to show it.
    done
        Samples that an earlier call has computed.
    """
    return tqdm(total=size, desc=what, unit="sample", initial=done, disable=not progress)


def respond(
    net: Network,
    stimulus: xr.DataArray,
    *,
    batch_size: int = 64,
    device: str | None = None,
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
    require_batch_size(batch_size)
    placed = net.on(device)
    samples = Samples.of(net, stimulus)
    rows: list[Tensor] = []
    with Capture(placed.module, {}, net.select).attached() as capture, torch.no_grad():
        trace(capture, samples.few(placed.device))
        for start, stop in batches(len(samples), batch_size, progress=progress, what="responses"):
            batch = samples.batch(start, stop, placed.device)
            rows.append(capture.run(batch.x).outputs.cpu())
    return _label_response(net, torch.cat(rows).numpy(), samples)


def _label_response(net: Network, values: Any, samples: Samples) -> xr.DataArray:
    dim = net.output_dim
    coords = {
        **samples.coords,
        dim: net.output_names(values.shape[1]),
        **{k: (dim, np.asarray(x)) for k, x in net.output_coords.items()},
    }
    name = "firing_rate" if dim == v.CELL else "response"
    response = labelled(values, (samples.dim, dim), coords, name=name)
    return stamp(response, "nc.respond", model=net.name, weights_sha256=net.weights_sha256)
