"""How excitatory and inhibitory contributions go together in each layer (CODEC fig. 3C-D)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import (
    draw_counts,
    interval,
    jackknife_interval,
    mean_intervals,
    without_stretches,
)
from neurocodec.kernels.signs import WeightedParts, row_correlation
from neurocodec.rows import lazy
from neurocodec.rows.layers import SPLIT, LayerRows, layers_of
from neurocodec.rows.tables import layer_dataset, stamped

Over = Literal["channel", "stimulus", "average"]

_DRAWS: Final = 256
"""Draws for which all rows are read once."""
_OVER: Final = {
    "channel": "mean over samples of the correlation over channels",
    "stimulus": "mean over channels of the correlation over samples",
    "average": "correlation over channels of sizes averaged over samples",
}


def sign_correlation(
    tree: xr.DataTree,
    *,
    over: Over = "channel",
    layers: Sequence[str] | None = None,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Pearson correlation of excitatory with inhibitory contributions, by layer (fig. 3C-D).

    Sizes go together: with E_c >= 0 the excitatory sum of channel c and I_c <= 0 the inhibitory
    one, E is correlated with |I|, so that channels in which the two balance give +1, and
    channels that have one or the other a negative number.

    Parameters
    ----------
    tree
        As `nc.contributions` returns it, with the signs split before the spatial sum
        (``split="before"``, the default); after it, a channel has one sign only and the result
        says nothing.
    over
        "channel": for each sample the correlation over channels; the mean over samples.
        "stimulus": for each channel the correlation over samples; the mean over channels.
        "average": E and |I| averaged over samples, then one correlation over channels.
        The result says which (attribute `long_name`).
    layers
        Their names; all where None.
    bootstrap, confidence, seed
        Intervals over samples that are drawn again, as in `nc.statistics.hoyer`.

    Returns
    -------
    xarray.Dataset
        By layer: `sign_correlation`, `sign_correlation_interval` (bound), and `n`: samples (for
        "stimulus" and "average" channels) that count, where neither part is constant.

    Raises
    ------
    InputError
        Where contributions have not the two signs, or hold NaN.

    Examples
    --------
    >>> parts = np.array([[[1.0, 2.0, 3.0], [-2.0, -4.0, -6.0]]])
    >>> node = xr.Dataset({"contribution": (("stimulus", "sign", "channel"), parts)},
    ...                   {"sign": ["excitatory", "inhibitory"]})
    >>> tree = xr.DataTree.from_dict({"/conv1": node})
    >>> sign_correlation(tree).sign_correlation.values.round(6).tolist()
    [1.0]
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    arguments.one_of("way to correlate, over=", over, _OVER)
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    rows = [one for (one,) in layers_of(tree, layers, [v.CONTRIBUTION], SPLIT).values()]
    for one in rows:
        if v.SIGN not in one.array.dims:
            raise InputError(
                came=f"contributions of layer {one.layer!r} with dims {one.array.dims}",
                expected="the dim 'sign', with both signs",
                hint="nc.contributions(...), without selecting a sign",
            )
    if over == "channel":
        found = _by_sample(rows, bootstrap, confidence, seed)
    else:
        found = _by_channel(rows, over, bootstrap, confidence, seed)
    result = layer_dataset(
        {
            "sign_correlation": ((v.LAYER,), found[0]),
            "sign_correlation_interval": ((v.BOUND, v.LAYER), found[1:3]),
            "n": ((v.LAYER,), found[3]),
        },
        {v.LAYER: [one.layer for one in rows]},
    )
    result["sign_correlation"].attrs["long_name"] = _OVER[over]
    facts = {"over": over, "bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    return stamped(result, "nc.statistics.sign_correlation", tree, **facts)


def _by_sample(rows: list[LayerRows], bootstrap: int, confidence: float, seed: int) -> Any:
    columns = [one.each(row_correlation) for one in rows]
    return lazy.apply(
        _means,
        columns,
        shape=(4, len(rows)),
        draws=bootstrap,
        confidence=confidence,
        seed=seed,
        series=rows[0].dim == v.TIME,
    )


def _means(columns: list[NDArray[Any]], **options: Any) -> NDArray[np.float64]:
    return mean_intervals(np.stack(columns, axis=1), **options)


def _by_channel(
    rows: list[LayerRows], over: str, bootstrap: int, confidence: float, seed: int
) -> Any:
    """As for samples, from correlations that are computed again with each draw of samples."""
    size, series = len(rows[0].array), rows[0].dim == v.TIME
    values: list[list[Any]] = [[] for _ in rows]
    drawn = _draws(size, bootstrap, seed, series=series)
    for weights in itertools.chain([np.ones((1, size))], drawn):
        for found, one in zip(values, rows, strict=True):
            state = one.reduce(_Weighted(weights), WeightedParts.merge)
            found.append(lazy.apply(_channelwise, state, shape=(len(weights), 2), over=over))
    how = {"confidence": confidence, "size": None if series else size}
    made = [lazy.apply(_with_interval, found, shape=(4,), **how) for found in values]
    return lazy.stack(made, axis=1)


def _draws(size: int, draws: int, seed: int, *, series: bool) -> Iterator[NDArray[np.float64]]:
    if series:
        yield from [without_stretches(size)] if draws else []
        return
    for part in draw_counts(size, draws, seed):
        for i in range(0, len(part), _DRAWS):
            yield part[i : i + _DRAWS]


class _Weighted:
    """Sums over a block of rows with its part of the weights."""

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.weights = weights

    def __call__(self, start: int, parts: NDArray[Any]) -> WeightedParts:
        return WeightedParts.of(parts, self.weights[:, start : start + len(parts)])


def _channelwise(state: WeightedParts, *, over: str) -> NDArray[np.float64]:
    """Value and number of channels of each weighting (weightings, 2)."""
    if over == "stimulus":
        r = state.correlation
        there = np.isfinite(r)
        number = there.sum(axis=1)
        values = np.where(there, r, 0.0).sum(axis=1) / np.where(number > 0, number, np.nan)
    else:
        values = row_correlation(state.means)
        number = np.full(len(values), state.means.shape[2])
    return np.stack([values, number], axis=1)


def _with_interval(
    found: list[NDArray[np.float64]], *, confidence: float, size: int | None
) -> NDArray[np.float64]:
    """Value, interval and number, of which the first weighting has the value; no size: a series."""
    values, number = np.concatenate(found).T
    if size is None:
        ends = jackknife_interval(values[0], values[1:], confidence)
    else:
        ends = interval(values[1:], confidence, size, value=values[0])
    return np.array([values[0], *ends, number[0]])
