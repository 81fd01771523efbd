"""`nc.receptive_fields`: what in the stimulus drives a cell at a moment, as labelled arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurocodec import storage
from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples, bar, batches, positions_of, require_batch_size
from neurocodec.errors import InputError
from neurocodec.fields.passes import FieldRun, Rows, prepared, require_memory
from neurocodec.fields.plan import Of, Request, Which
from neurocodec.fields.spike_triggered import spike_triggered_average
from neurocodec.kernels.separable import require_rank
from neurocodec.labels import labelled, lag_coordinate, stamp
from neurocodec.network import Network
from neurocodec.nn.attribution.target import Target

__all__ = ["receptive_fields", "spike_triggered_average"]


def receptive_fields(
    net: Network,
    movie: xr.DataArray,
    cells: str | Iterable[str] | None = None,
    times: Any = None,
    rank: int | None = None,
    *,
    of: Of = None,
    through: Which = None,
    layer: str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Instantaneous receptive fields: gradients of responses with respect to the stimulus.

    The field of a cell at time t is dr(t)/ds, r being its response and s the window of `history`
    frames that ends at t (CODEC sec. 7, fig. 8). It is what light at a pixel and lag would add to
    the response at that moment, per unit of the stimulus.

    Parameters
    ----------
    net
        A network that sees a movie.
    movie
        (time, y, x).
    cells
        Names of outputs, or an array of them such as ``rates.cell[:3]``; all where None.
    times
        Values of the time coordinate of the responses, or a slice of them; all where None. A
        time between two frames is refused. Of a movie without times, numbers of frames.
    rank
        None for the whole fields; a number for that many separable components each. One takes
        2,540 numbers in place of 100,000 for 40 lags of 50 by 50 pixels.
    of
        What is differentiated in place of cells: one of `nc.targets`, or rows of a dictionary
        (mode, channel) of `layer`, whose value is the weighted activation summed over positions.
    through
        Only the part of the field that passes these channels of `layer`: a channel, several
        (their sum), ``"each"``, or weights (channel) or (mode, channel) that multiply the
        gradient at the layer. Over all channels the parts sum to the field, where every way from
        stimulus to response passes the layer.
    layer
        Alias of the layer that `of` and `through` speak of.
    batch_size
        Times computed together; the numbers do not depend on it.
    device
        ``"cpu"``, ``"cuda"``, ...; None stays where the network is.
    out
        A `.nc` or `.zarr` path: fields are written as they come; an interrupted run goes on where
        it stopped when the same call is made again.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        With ``rank=None``: `irf` (time, cell, lag, y, x), in units of the response per unit of
        the stimulus. With a rank: `temporal` (time, cell, component, lag) of norm 1, `spatial`
        (time, cell, component, y, x) with the amplitude, and `energy_share` (time, cell,
        component), the part of the field's squared norm; the field is the sum over components of
        temporal times spatial. A time course is positive in its recent phase (the newest lag at
        which it reaches half of its maximum), so that the map has the sign of the polarity.
        `through` adds the dim `channel` or `mode` after `cell`. `lag` is in seconds, 0 the newest
        frame, the oldest first.

    Raises
    ------
    InputError
        Where names, times, rank or channels do not fit, or where the result is larger than the
        memory that is free.
    StorageError
        Where `out` holds another run.

    Examples
    --------
    >>> import neurocodec as nc, torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(2, 1, 3), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"layer1": "0"}, history=2, frame_rate=100)
    >>> movie = xr.DataArray(np.ones((4, 3, 3), "float32"), dims=("time", "y", "x"))
    >>> fields = nc.receptive_fields(net, movie, progress=False)
    >>> fields.irf.dims, bool(np.allclose(fields.irf[0, 0], module[0].weight.detach()[0]))
    (('time', 'cell', 'lag', 'y', 'x'), True)
    """
    require_batch_size(batch_size)
    request = _request(
        net.on(device),
        movie,
        cells=cells,
        times=times,
        rank=rank,
        of=of,
        through=through,
        layer=layer,
    )
    with prepared(request, batch_size) as run:
        if out is not None:
            return _streamed(run, movie, Path(out), progress=progress)
        require_memory(run)
        return _in_memory(run, movie, progress=progress)


def _request(
    net: Network,
    movie: xr.DataArray,
    *,
    cells: str | Iterable[str] | None,
    times: Any,
    rank: int | None,
    of: Of,
    through: Which,
    layer: str | None,
) -> Request:
    if net.history is None:
        raise InputError(
            came=f"{net.name!r}, a network of still images",
            expected="one that sees a movie: nc.Network(..., history=40)",
        )
    if rank is not None:
        require_rank(rank, net.history)
    samples = Samples.of(net, movie)
    names = None if cells is None else _cell_names(cells)
    return Request(net, samples, positions_of(samples, times), of, names, through, layer, rank)


def _cell_names(cells: Any) -> tuple[str, ...]:
    """Names as the network has them; of an array its values, not its elements as arrays."""
    values = isinstance(cells, str | xr.DataArray | np.ndarray) or not isinstance(cells, Iterable)
    names = np.atleast_1d(np.asarray(cells if values else list(cells))).ravel().tolist()
    if not names:
        raise InputError(
            came="cells=[]", expected="names of outputs", hint="cells=None for all of them"
        )
    return tuple(map(str, names))


def _in_memory(run: FieldRun, movie: xr.DataArray, *, progress: bool) -> xr.Dataset:
    arrays = run.empty()
    total = run.request.positions.size
    for start, stop in batches(total, run.batch_size, progress=progress, what="receptive fields"):
        for name, rows in run.compute(start, stop, arrays).items():
            if not np.shares_memory(arrays[name], rows):
                arrays[name][start:stop] = rows
    return _label(run, movie, arrays)


def _streamed(run: FieldRun, movie: xr.DataArray, out: Path, *, progress: bool) -> xr.Dataset:
    """Write fields as they come; go on where an earlier call with the same facts stopped."""
    total = run.request.positions.size
    with storage.RunWriter(out, facts=run.request.facts, size=total) as writer:
        missing = writer.missing(run.batch_size)
        done = total - sum(rows.stop - rows.start for rows in missing)
        with bar(total, "receptive fields", progress=progress, done=done) as shown:
            for rows in missing:
                writer.write(rows.start, run.compute(rows.start, rows.stop))
                shown.update(rows.stop - rows.start)
        return writer.finish(xr.DataTree(_label(run, movie, run.template()))).to_dataset()


_DIMS = {
    v.IRF: (v.LAG, v.Y, v.X),
    v.TEMPORAL: (v.COMPONENT, v.LAG),
    v.SPATIAL: (v.COMPONENT, v.Y, v.X),
    v.ENERGY_SHARE: (v.COMPONENT,),
}


def _label(run: FieldRun, movie: xr.DataArray, arrays: Rows) -> xr.Dataset:
    """Put dims, coordinates, units and provenance on the fields."""
    axes = [a for a in (run.values, run.parts) if a.dim is not None]
    dims = (v.TIME, *(str(a.dim) for a in axes))
    units = f"{_units(run.request)} per unit of stimulus"
    variables = {
        name: labelled(
            values,
            dims + _DIMS[name],
            name=name,
            units=units if name in (v.IRF, v.SPATIAL) else None,
        )
        for name, values in arrays.items()
    }
    result = xr.Dataset(variables).assign_coords(_coords(run, movie))
    return stamp(result, "nc.receptive_fields", **run.request.facts)


def _units(request: Request) -> str:
    if isinstance(request.of, Target):
        return request.of.units or "target"
    if request.of is not None:
        return "activation"
    return v.HERTZ if request.net.output_dim == v.CELL else "response"


def _coords(run: FieldRun, movie: xr.DataArray) -> dict[str, Any]:
    samples = run.request.samples
    coords: dict[str, Any] = {**run.values.coords, **run.parts.coords}
    coords |= {k: c.isel({v.TIME: run.request.positions}) for k, c in samples.coords.items()}
    coords |= {d: movie[d].variable for d in (v.Y, v.X) if d in movie.coords}
    coords[v.LAG] = lag_coordinate(samples.history or 1, movie, run.request.net.frame_rate)
    if run.request.rank is not None:
        coords[v.COMPONENT] = np.arange(run.request.rank)
    return coords
