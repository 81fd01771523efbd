"""`nc.receptive_fields`: what in the stimulus drives a cell at a moment, as labelled arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurocodec import arguments
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples, positions_of
from neurocodec.errors import InputError
from neurocodec.fields.choice import Choice, Of, Which
from neurocodec.fields.plan import FieldPlan
from neurocodec.kernels.separable import require_rank
from neurocodec.labels import movie_of
from neurocodec.network import Network, require_network


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
        (time, y, x), or (time, color, y, x) of a network that takes colours.
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
        frame, the oldest first. Of a movie in colours, maps have the dim `color` before `y`: a
        component is one time course, and one map of each colour.

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
    require_network(net)
    if net.history is None:
        raise InputError(
            came=f"{net.name!r}, a network of still images",
            expected="one that sees a movie: nc.Network(..., history=40)",
        )
    batch_size = arguments.batch_size(batch_size)
    if rank is not None:
        require_rank(rank, net.history)
    names = None if cells is None else _cell_names(cells)
    plan = _plan(net.on(device), movie, times, Choice(of, names, through, layer), rank)
    with Run.opened(plan, batch_size, progress=progress, out=out) as run:
        return run.result(out).to_dataset()


def _plan(
    net: Network, movie: xr.DataArray, times: Any, choice: Choice, rank: int | None
) -> FieldPlan:
    movie = movie_of(movie)
    whole = Samples.of(net, movie)
    positions = positions_of(whole, times)
    return FieldPlan(
        net=net,
        samples=whole if times is None else whole.at(positions),
        layers=choice.checked(net).layers(net),
        movie=movie,
        whole=whole,
        positions=positions,
        choice=choice,
        rank=rank,
    )


def _cell_names(cells: Any) -> tuple[str, ...]:
    """Names as the network has them; of an array its values, not its elements as arrays."""
    values = isinstance(cells, str | xr.DataArray | np.ndarray) or not isinstance(cells, Iterable)
    names = np.atleast_1d(np.asarray(cells if values else list(cells))).ravel().tolist()
    if not names:
        raise InputError(
            came="cells=[]", expected="names of outputs", hint="cells=None for all of them"
        )
    return tuple(map(str, names))
