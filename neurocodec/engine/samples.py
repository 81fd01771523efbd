"""Stimuli as a network takes them: where DataArray and Tensor meet."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from neurocodec import arguments, clock
from neurocodec import vocabulary as v
from neurocodec.engine.accepted import checked_dims, require_windows
from neurocodec.engine.read_ahead import Range, automatic_workers, read_ahead
from neurocodec.engine.stored import StoredSamples, checked, is_stored, skips_broken
from neurocodec.errors import InputError, unknown_name
from neurocodec.identity.walk import Walk
from neurocodec.labels import fingerprint, in_order_of, lag_coordinate, movie_of
from neurocodec.network import Network
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.fast.movie import windows
from neurocodec.storage.encoding import storable_coords

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
MEAN_ROWS = 64
"""Rows of a stored stimulus that are read together for its mean."""


@dataclass(frozen=True)
class Block:
    """Consecutive samples in memory, before they are computed."""

    start: int
    values: Tensor  # images, windows, or the frames that windows are cut from
    kept: NDArray[np.bool_]  # those that were read; in place of others stand copies of one that was
    overlap: int = 0  # frames beyond its own that the last window needs

    @property
    def stop(self) -> int:
        """Position after the last sample."""
        return self.start + len(self.kept)


@dataclass(frozen=True)
class Samples:
    """Stimuli as a network takes them: batches of tensors and the labels of the samples."""

    values: Tensor  # images or frames; of a stored stimulus shape and type, on the meta device
    coords: dict[str, xr.Variable]  # along the sample dim
    dim: str
    history: int | None  # frames in a window; None for images
    dims: tuple[str, ...] = ()  # of one image or frame
    pixels: dict[str, xr.Variable] = field(default_factory=dict)  # coordinates along these
    stored: StoredSamples | None = None  # where the numbers are, if not in `values`
    kept: NDArray[np.bool_] | None = None  # which could be read; None: all, or not known yet
    chosen: NDArray[np.intp] | None = None  # places of the windows in the movie; None: all
    own: int = 0  # frame that a window's answer is for; 0 is its newest

    @classmethod
    def of(
        cls, net: Network, stimulus: xr.DataArray, *, stream: bool = False, carried: bool = False
    ) -> Self:
        """Check a stimulus and make its samples; `stream` leaves one that is stored where it is.

        `carried` are those of a network whose state may go from window to window.
        """
        if not carried:
            require_windows(net)
        stimulus = stimulus if net.history is None else movie_of(stimulus)
        dims = checked_dims(net, stimulus)
        skipped, chosen = 0, None
        if net.history is not None:
            stimulus = clock.in_seconds(stimulus)
            skipped, chosen = net.history - 1, _places(net, stimulus)
        answer = net.settled([stimulus.sizes[d] for d in dims[1:]])
        own = 0 if answer is None else answer.frame
        places = np.arange(stimulus.sizes[dims[0]] - skipped) if chosen is None else chosen
        ends = places + skipped + own
        along = stimulus.isel({net.sample_dim: ends})
        # as variables: a scalar coordinate of the movie would ride along with each of them
        coords = storable_coords(along, dims[:1])
        pixels = storable_coords(stimulus, dims[1:])
        common = (coords, net.sample_dim, net.history, dims[1:], pixels)
        where: dict[str, Any] = {"chosen": chosen, "own": own}
        if stream and is_stored(stimulus):
            kind = str(net.dtype).removeprefix("torch.")
            stored = replace(StoredSamples.of(stimulus, dims, kind, skipped), places=chosen)
            shape = torch.empty(stored.shape, dtype=net.dtype, device="meta")
            return cls(shape, *common, stored=stored, **where)
        raw = stimulus.transpose(*dims).values
        kept = checked(raw, dims, 0, skips=skips_broken(stimulus))
        values = _mended(tensor_of(raw, net.dtype, CPU), kept)
        return cls(values, *common, kept=None if kept.all() else kept, **where)

    def at(self, places: NDArray[np.intp], *, labels: bool = True) -> Self:
        """Some of the samples, by their places among all; without labels they may repeat."""
        coords = {n: c.isel({self.dim: places}) for n, c in self.coords.items()} if labels else {}
        if self.history is None:
            return self._images_at(places, coords)
        places = self.ends[places] - self._overlap
        if self.stored is not None:
            stored = replace(self.stored, places=places)
            return replace(self, coords=coords, chosen=places, stored=stored)
        if (np.diff(places) == 1).all():
            frames = self.values[places[0] : places[-1] + 1 + self._overlap]
            return replace(self, values=frames, coords=coords, chosen=None)
        return replace(self, coords=coords, chosen=places)

    def _images_at(self, places: NDArray[np.intp], coords: dict[str, xr.Variable]) -> Self:
        stored, kept = self.stored, None if self.kept is None else self.kept[places]
        if stored is not None:
            variable = stored.variable.isel({stored.dims[0]: places})
            stored = replace(stored, variable=variable)
        values = self.values[torch.from_numpy(places)]
        return replace(self, values=values, coords=coords, stored=stored, kept=kept)

    @property
    def ends(self) -> NDArray[np.intp]:
        """Place of the last frame of every window in the movie, or of every image."""
        places = np.arange(len(self)) if self.chosen is None else self.chosen
        return np.asarray(places + self._overlap)

    @property
    def frames(self) -> NDArray[np.intp]:
        """Place of the frame in the movie that each window's answer is for, or of every image."""
        return self.ends + self.own

    def __len__(self) -> int:
        return len(self.values) - self._overlap if self.chosen is None else len(self.chosen)

    @property
    def _overlap(self) -> int:
        return 0 if self.history is None else self.history - 1

    @property
    def skips(self) -> bool:
        """Whether there may be samples that could not be read."""
        return self.kept is not None or (self.stored is not None and self.stored.skips)

    def batch(self, start: int, stop: int, device: torch.device) -> Batch:
        """Samples from `start` to `stop` on a device."""
        return self.place(self.block(start, stop), start, stop, device)

    def block(self, start: int, stop: int) -> Block:
        """Samples from `start` to `stop`, read where they are stored."""
        if self.stored is not None:
            return self._mended(start, *self.stored.read(start, stop))
        if self.chosen is not None:
            return self._chosen(start, self.chosen[start:stop])
        kept = np.ones(stop - start, bool) if self.kept is None else self.kept[start:stop]
        return Block(start, self.values[start : stop + self._overlap], kept, self._overlap)

    def _chosen(self, start: int, places: NDArray[np.intp]) -> Block:
        """Windows at some places; of consecutive ones their frames, which they share."""
        kept = np.ones(len(places), bool)
        if (np.diff(places) == 1).all():
            frames = self.values[places[0] : places[-1] + 1 + self._overlap]
            return Block(start, frames, kept, self._overlap)
        whole = windows(self.values, self.history or 1, axis=0)
        return Block(start, whole[torch.from_numpy(places)], kept)

    @property
    def pieces(self) -> list[Range]:
        """Ranges of windows that follow each other frame by frame."""
        edges = np.flatnonzero(np.diff(self.ends) != 1) + 1
        return list(itertools.pairwise([0, *edges.tolist(), len(self)]))

    def place(self, block: Block, start: int, stop: int, device: torch.device) -> Batch:
        """Some consecutive samples of a block, on a device."""
        first, last = start - block.start, stop - block.start
        values = block.values[first : last + block.overlap].to(device)
        cut = block.values.ndim == self.values.ndim  # frames, not windows
        if self.history is None or not cut:
            return Batch(values, first=start)
        return Batch(windows(values, self.history, axis=0), values, start)

    @contextmanager
    def blocks(
        self, ranges: Sequence[Range], workers: int | None, device: torch.device
    ) -> Iterator[Iterator[Block]]:
        """Ranges of samples in order; those of a stored stimulus are read ahead."""
        workers = arguments.workers(workers)
        if self.stored is None:
            yield (self.block(*r) for r in ranges)
            return
        count = automatic_workers(device.type) if workers is None else workers
        with read_ahead(self.stored, ranges, count) as read:
            yield (self._mended(start, *block) for (start, _), block in read)

    def few(self, device: torch.device) -> Tensor:
        """Copies of the first, a middle and the last sample, to trace a network with."""
        if self.history is None:
            return self._few_images.to(device, copy=True)
        return torch.cat([self.batch(i, i + 1, device).x for i in self.few_places])

    @property
    def few_places(self) -> list[int]:
        """Which samples `few` are."""
        return sorted({0, len(self) // 2, len(self) - 1})

    @cached_property
    def _few_images(self) -> Tensor:
        return torch.cat([self._near(i) for i in self.few_places])

    def lights(self, device: torch.device) -> Tensor | None:
        """The darkest and the brightest sample of a stimulus in memory."""
        if self.stored is not None or len(self) < 2:
            return None
        light = self.values.flatten(1).sum(1).numpy()[self.ends]
        places = (int(light.argmin()), int(light.argmax()))
        return torch.cat([self.batch(i, i + 1, device).x for i in places])

    def _mended(self, start: int, values: NDArray[Any], kept: NDArray[np.bool_]) -> Block:
        found = torch.from_numpy(values)
        whole = _mended(found, kept) if kept.any() else self._near(start).expand_as(found)
        cut = whole.ndim == self.values.ndim  # frames, not windows
        return Block(start, whole, kept, self._overlap if cut else 0)

    def _near(self, place: int) -> Tensor:
        """Image at a place, or the nearest after it (from the end on: the first) that was read."""
        for step in range(len(self)):
            i = (place + step) % len(self)
            if self.stored is None:
                return self.values[i : i + 1]
            values, kept = self.stored.read(i, i + 1)
            if kept.all():
                return torch.from_numpy(values)
        raise InputError(
            came=f"{len(self)} samples, none of which could be read",
            expected="at least one image that can be read",
        )

    @cached_property
    def sha256(self) -> str:
        """Fingerprint: of all numbers, or of what is stored where, its labels and a few samples."""
        labels = [np.asarray(c.values) for _, c in sorted(self.coords.items())]
        if self.chosen is not None and self.stored is None:
            seen = np.unique(self.chosen[:, None] + np.arange(self.history or 1))
            frames = self.values[torch.from_numpy(seen)].numpy()
            return fingerprint(frames, np.searchsorted(seen, self.chosen), *labels)
        if self.stored is None:
            return fingerprint(self.values.numpy(), *labels)
        return fingerprint(self.stored.sha256, self.few(CPU).numpy(), *labels)

    def mark(self, walk: Walk, workers: int | None = None) -> None:
        """Mark what tells the samples from others beside `sha256`; read, where no file is known."""
        walk.visit("stimulus", {name: (c.dims, c.attrs) for name, c in self.coords.items()})
        if self.stored is not None:
            walk.visit("stimulus.preprocessing", self.stored.preprocessing)
            content = self.stored.content or self._read_sha256(workers)
            walk.visit("stimulus.content", content)

    def _read_sha256(self, workers: int | None) -> str:
        """Fingerprint of all numbers, which are read once for it."""
        logger.info("reading the stimulus once, to know it again when this run goes on")
        digest = hashlib.sha256()
        for block in self._rows(workers):
            digest.update(fingerprint(*(x.numpy() for x in block.values), block.kept).encode())
        return digest.hexdigest()

    def baseline(self, wanted: Any) -> Tensor:
        """Where paths start, of shape (1, ...): zeros, the mean, a number, or a given sample."""
        one = self.few(CPU)[:1]
        if wanted is None or (isinstance(wanted, str) and wanted == "zeros"):
            return torch.zeros_like(one)
        if isinstance(wanted, str):
            if wanted != "mean":
                raise unknown_name("baseline", wanted, ("mean", "zeros"))
            return self.mean()
        if isinstance(wanted, xr.DataArray):
            wanted = self._in_order(wanted)
        try:
            values = tensor_of(np.asarray(wanted, dtype=float), one.dtype, CPU)
            values = values.expand_as(one).contiguous()
        except (RuntimeError, TypeError, ValueError):
            values = one * torch.nan
        if not bool(values.isfinite().all()):
            raise InputError(
                came=f"a baseline of shape {np.shape(wanted)}, or with NaN",
                expected=f"'zeros', 'mean', a number, or a sample of shape {tuple(one.shape[1:])}",
            )
        return values

    def _in_order(self, baseline: xr.DataArray) -> xr.DataArray:
        """Baseline whose axes go as those of the samples: by name, and by label where both have."""
        for dim in (d for d in baseline.dims if d in baseline.coords):
            if dim in (v.LAG, v.TIME):
                baseline = baseline.sortby(dim)  # of a window the oldest frame first
            elif dim in self.pixels:
                wanted = self.pixels[str(dim)].values
                baseline = in_order_of(baseline, wanted, str(dim), "the baseline")
        return baseline.transpose(..., *(d for d in self.dims if d in baseline.dims))

    @property
    def window_shape(self) -> tuple[int, ...]:
        """Shape of one sample, as the network takes it."""
        return (*(() if self.history is None else (self.history,)), *self.values.shape[1:])

    def lags(self, steps: int, frame_rate: float | None) -> xr.Variable:
        """Lags of so many steps, the last of which is at the newest frame of a window."""
        time = {v.TIME: self.coords[v.TIME]} if v.TIME in self.coords else {}
        ends = xr.DataArray(self.ends, time, dims=v.TIME)
        return lag_coordinate(steps, ends, frame_rate, self.own)

    def mean(self) -> Tensor:
        """Mean sample, of shape (1, ...): mean image, or a window of the mean frame."""
        mean = self._mean() if self.stored is None else self._stored_mean()
        return (
            mean
            if self.history is None
            else mean.repeat(self.history, *[1] * (mean.ndim - 1))[None]
        )

    def _mean(self) -> Tensor:
        values = self.values if self.kept is None else self.values[torch.from_numpy(self.kept)]
        return values.mean(0, keepdim=True)

    def _rows(self, workers: int | None = None) -> Iterator[Block]:
        """All images of what is stored, or frames once each, in blocks."""
        stored = None if self.stored is None else replace(self.stored, overlap=0, places=None)
        rows = replace(self, history=None, stored=stored, chosen=None)
        ranges = [(i, min(i + MEAN_ROWS, len(rows))) for i in range(0, len(rows), MEAN_ROWS)]
        with rows.blocks(ranges, workers, CPU) as blocks:
            yield from blocks

    def _stored_mean(self) -> Tensor:
        """Sums in double precision, over rows in blocks; the frames of a movie once each."""
        total = torch.zeros_like(self.values[:1], dtype=torch.float64, device=CPU)
        count = 0
        for block in self._rows():
            total += block.values[torch.from_numpy(block.kept)].double().sum(0)
            count += int(block.kept.sum())
        return (total / count).to(self.values.dtype)


def batches(size: int, batch_size: int, *, progress: bool, what: str) -> Iterator[tuple[int, int]]:
    """Ranges of samples, behind a progress bar with the title `what`."""
    with bar(size, what, progress=progress) as shown:
        for start in range(0, size, batch_size):
            stop = min(start + batch_size, size)
            yield start, stop
            shown.update(stop - start)


def bar(size: int, what: str, *, progress: bool, done: int = 0) -> tqdm[NoReturn]:
    """Progress bar over samples, of which an earlier call has computed some."""
    return tqdm(total=size, desc=what, unit="sample", initial=done, disable=not progress)


def _mended(values: Tensor, kept: NDArray[np.bool_]) -> Tensor:
    """Put a copy of one that could be read in the place of those that could not."""
    if kept.all() or not kept.any():
        return values
    place = np.where(kept, np.arange(len(kept)), np.flatnonzero(kept)[0])
    return values[torch.from_numpy(place)]


def _places(net: Network, movie: xr.DataArray) -> NDArray[np.intp] | None:
    """Places of the windows that reach over no border of a segment and no gap; None for all."""
    history = net.history or 1
    parts = clock.pieces(movie, net.frame_rate)
    clock.require_windows(parts, history)
    if len(parts) == 1 or history == 1:
        return None
    ends = clock.window_ends(parts, history)
    logger.info(
        "a movie in %d pieces: %d windows over their borders are left out",
        len(parts),
        movie.sizes[v.TIME] - history + 1 - len(ends),
    )
    return np.asarray(ends - history + 1)


def samples_at(net: Network, stimulus: xr.DataArray, times: Any) -> Samples:
    """Samples of a stimulus; of a movie those at chosen times, as `positions_of` takes them."""
    if times is None:
        return Samples.of(net, stimulus, stream=True)
    if net.history is None:
        raise InputError(
            came=f"times= for {net.name!r}, a network of still images",
            expected="images that are chosen before",
            hint="images.isel(stimulus=[0, 1])",
        )
    whole = Samples.of(net, stimulus)
    places = positions_of(whole, times)
    chosen = whole.at(places)
    # frames without labels are told apart by their numbers, as they were chosen
    numbers = xr.Variable(v.TIME, whole.frames[places])
    return replace(chosen, coords={v.TIME: numbers, **chosen.coords})


TIME_TOLERANCE = 1e-6
"""Part of a frame by which a given time may miss its label: the rounding of decimal fractions."""


def positions_of(samples: Samples, times: Any) -> NDArray[np.intp]:
    """Places of wanted times among the windows; the nearest is not taken for a missing one."""
    if times is None:
        return np.arange(len(samples))
    known, since = samples.frames.astype(float), None
    if v.TIME in samples.coords:
        known = np.asarray(samples.coords[v.TIME].values, float)
        since = samples.coords[v.TIME].attrs.get(clock.SINCE)
    index = xr.DataArray(np.arange(known.size), {v.TIME: known}, dims=v.TIME)
    if isinstance(times, slice):
        first, last = (
            None if t is None else clock.plain_seconds(t, since).item()
            for t in (times.start, times.stop)
        )
        part = index.sel({v.TIME: slice(first, last, times.step)})
        found = np.asarray(part.values, np.intp)
        wanted: NDArray[Any] = np.asarray([])
    else:
        wanted = clock.plain_seconds(times, since)
        found = _nearest(known, wanted)
        _require_exact(known, known[found], wanted)
    if not found.size:
        raise InputError(
            came=f"no response at times {times!r}", expected=f"times {known[0]:g} to {known[-1]:g}"
        )
    return found


def _nearest(known: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.intp]:
    after = np.searchsorted(known, wanted).clip(0, known.size - 1)
    before = (after - 1).clip(min=0)
    closer = np.abs(known[before] - wanted) < np.abs(known[after] - wanted)
    return np.where(closer, before, after)


def _require_exact(known: NDArray[Any], found: NDArray[Any], wanted: NDArray[Any]) -> None:
    frame = float(np.diff(known).min()) if known.size > 1 else 1.0
    missed = ~(np.abs(found - wanted) <= TIME_TOLERANCE * frame)
    if missed.any():
        nearest = float(found[missed][0])
        raise InputError(
            came=f"time {float(wanted[missed][0])!r}, at which there is no response",
            expected=f"times from {known[0]:g} to {known[-1]:g}, one per frame",
            hint=f"times={nearest!r}",
        )
