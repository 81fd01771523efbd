"""When a cell is silent: as nothing drives it, or as inhibition cancels what does."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.attribution.tension import tension
from neurocodec.errors import InputError, NeurocodecError, collected
from neurocodec.kernels.splits import liveliest
from neurocodec.network import Network
from neurocodec.nn.attribution import pre_activation
from neurocodec.nn.attribution.features import Features
from neurocodec.nn.attribution.methods import ActGrad
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.retina.model import RetinaCNN

logger = logging.getLogger(__name__)

SECONDS: Final = 6.0
"""Length of the part of the movie, that in which the target varies most."""
TIMES: Final = 150
"""Most times in it, as each is a pass back for every cell."""
SILENT: Final = 1.0
"""Hz below which a cell is silent."""
FEWEST: Final = 10
"""Times at which a cell fires, and at which it does not, to say what it fires at."""
WEAK: Final = 0.1
"""Quantile of the excitation of a cell that fires, below which nothing drives it."""
STRONG: Final = 0.5
"""Quantile from which on the excitation is that of a cell that fires."""
SHIFTS: Final = 99
"""Times that inhibition is shifted for the control: the smallest p-value is 2/100."""
CAUSES: Final = ("not driven", "in between", "cancelled")

EARLY: Final = "first layer, rectified"
SUMS: Final = "sum of each cell"
"""Aliases of the layer, and of what the cells' nonlinearity reads."""


def cell_tension(
    net: Network, stimulus: xr.DataArray, rates: xr.DataArray, target: xr.DataArray, **where: Any
) -> tuple[xr.Dataset | None, str]:
    """Excitation and inhibition of every cell by the first layer, or why there is none."""
    # Beyond what the layer does at the baseline: from 0 on, what it does at a grey screen would be
    # told as excitation and inhibition that are always there.
    # `excitation`, `inhibition`, `target` (time, cell); `silent` (cause, time, cell);
    # `silent_count`, `chance_silent_count` (cause, cell); `p_value` (cell) of what is cancelled
    try:
        reading = _reading(net)
        features = Features(SUMS, channels=range(rates.sizes[v.CELL]))  # type: ignore[arg-type]
        call: dict[str, Any] = {"target": features, "method": ActGrad(), **where}
        with collected() as doubts:  # of a target before its nonlinearity: nothing to change
            found = tension(reading, stimulus, EARLY, times=_times(target), **call)
        for doubt in doubts:
            logger.info("tension of the cells: %s", doubt)
        found = _of_cells(cast("xr.Dataset", found), rates)  # of one layer
    except NeurocodecError as error:  # another kind of model; all else is still worth having
        logger.warning("no tension of the cells: %s", error.came)
        return None, error.came
    return found, ""


def _reading(net: Network) -> Network:
    """The network with its first layer, rectified, and what the cells' nonlinearity reads."""
    rectified = [n for n, part in net.module.named_modules() if isinstance(part, nn.ReLU)]
    kinds = pre_activation.MODULES
    last = [n for n, part in net.module.named_modules() if isinstance(part, kinds)][-1:]
    if isinstance(net.module, RetinaCNN):
        last = ["readout.nonlinearity"]
    if not rectified or last[0] in rectified:
        raise InputError(
            came="a network without a rectified layer and a nonlinearity of its cells",
            expected="modules of torch.nn for both",
        )
    return replace(net, layers={EARLY: Layer(rectified[0]), SUMS: Layer(last[0], at="input")})


def _times(target: xr.DataArray) -> NDArray[Any]:
    """Times of the liveliest part, at most `TIMES` of them."""
    times = np.asarray(target[v.TIME].values)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    count = min(len(times), max(2, round(SECONDS / step)))
    first = liveliest(np.asarray(target, np.float64), count)
    return np.asarray(times[first : first + count : -(-count // TIMES)])


def _of_cells(found: xr.Dataset, rates: xr.DataArray) -> xr.Dataset:
    """Name the features as cells, and say when and why each is silent."""
    found = found.rename({v.FEATURE: v.CELL}).drop_vars([v.NORM, v.ORDER])
    rates = rates.sel({v.TIME: found[v.TIME].values}).transpose(v.TIME, v.CELL)
    found = found.assign_coords({v.CELL: rates[v.CELL].values})
    for quantity in found.data_vars.values():  # of what a nonlinearity reads, scaled as it likes
        quantity.attrs["units"] = quantity.attrs.get("units") or v.ARBITRARY
    sums, rate = np.asarray(found[v.TARGET], np.float64), np.asarray(rates, np.float64)
    _require_same_order(sums, rate)
    plus, minus = (np.asarray(found[n], np.float64) for n in (v.EXCITATION, v.INHIBITION))
    silent, chance, p_value = causes(plus, minus, sums, rate < SILENT)
    dims, coords = (v.CAUSE, v.CELL), {v.CAUSE: [*CAUSES], v.CELL: rates[v.CELL].values}
    every = (v.CAUSE, v.TIME, v.CELL)
    data = {
        "silent": labels.labelled(silent, every, coords, name="silent"),
        "silent_count": labels.labelled(silent.sum(1), dims, coords, name="silent_count"),
        "chance_silent_count": labels.labelled(chance, dims, coords, name="chance_silent_count"),
        "p_value": labels.labelled(p_value, (v.CELL,), name="p_value"),
        "firing_rate": rates.drop_vars([v.TIME]).assign_coords({v.TIME: found[v.TIME]}),
    }
    return found.assign(data).assign_attrs(found.attrs)


def _require_same_order(sums: NDArray[np.float64], rate: NDArray[np.float64]) -> None:
    """Refuse sums that do not rise with the rates: something else makes these of them."""
    for one, answer in zip(sums.T, rate.T, strict=True):
        if np.ptp(one) and np.ptp(answer) and not spearmanr(one, answer).statistic > 0.99:
            raise InputError(
                came="cells whose rates do not follow what the last nonlinearity reads",
                expected="one number for each cell, and a nonlinearity that rises",
            )


def causes(
    excitation: NDArray[np.float64],
    inhibition: NDArray[np.float64],
    sums: NDArray[np.float64],
    silent: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """(cause, time, cell), counts by chance (cause, cell), and two-sided p of what is cancelled.

    By chance is with each cell's inhibition turned in a circle over the time.
    """
    size, cells = silent.shape
    found = np.zeros((len(CAUSES), size, cells), np.bool_)
    chance, p_value = np.full((len(CAUSES), cells), np.nan), np.full(cells, np.nan)
    shifts = np.unique(np.linspace(size / 10, size * 9 / 10, SHIFTS).astype(int))
    for cell in range(cells):
        still, plus, minus = silent[:, cell], excitation[:, cell], inhibition[:, cell]
        if min(still.sum(), (~still).sum()) < FEWEST:
            continue
        ends = np.quantile(plus[~still], (WEAK, STRONG))
        found[..., cell] = _causes(plus, ends, still)
        most = sums[still, cell].max()
        again = sums[:, cell] + minus - np.stack([np.roll(minus, n) for n in shifts])
        counts = np.stack([_causes(plus, ends, one <= most).sum(1) for one in again])
        chance[:, cell] = counts.mean(0)
        own = found[-1, :, cell].sum()
        rare = min((counts[:, -1] >= own).sum(), (counts[:, -1] <= own).sum())
        p_value[cell] = min(1.0, 2 * (1 + rare) / (1 + len(shifts)))
    return found, chance, p_value


def _causes(
    plus: NDArray[np.float64], ends: NDArray[np.float64], silent: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(cause, time) of one cell."""
    kind = np.digitize(plus, ends)
    return np.stack([silent & (kind == place) for place in range(len(CAUSES))])
