"""Statistics of contributions and activations by layer (CODEC sec. 3, fig. 3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels import sparsity
from neurocodec.kernels.intervals import draw_counts, interval, mean_intervals
from neurocodec.kernels.signs import WeightedParts, row_correlation
from neurocodec.rows.layers import KINDS, SPLIT, LayerRows, finish, layers_of, require_part, stacked
from neurocodec.rows.tables import layer_dataset, require_options, stamped
from neurocodec.statistics.dimensions import dimensionality

__all__ = ["dimensionality", "hoyer", "sign_correlation"]

Over = Literal["channel", "stimulus", "average"]

_DRAWS: Final = 256
"""Draws for which all rows are read once."""
_OVER: Final = {
    "channel": "mean over samples of the correlation over channels",
    "stimulus": "mean over channels of the correlation over samples",
    "average": "correlation over channels of sizes averaged over samples",
}


def hoyer(
    tree: xr.DataTree,
    *,
    sign: str = "net",
    layers: Sequence[str] | None = None,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Hoyer sparsity over channels of contributions and of activations, by layer (fig. 3B).

    Of each sample's vector of C channels, (sqrt(C) - |c|_1 / |c|_2) / (sqrt(C) - 1): 0 where all
    channels have the same size, 1 where a single one is not zero (Hoyer 2004). Then the mean over
    samples. A vector of zeros has no sparsity and is left out.

    Parameters
    ----------
    tree
        As `nc.contributions` returns it, reduced to channels. A file opened with ``lazy=True`` is
        read in blocks; Dask arrays stay plans until the result is computed.
    sign
        Of contributions: "net" (sum of both signs, whose size counts, as in the paper),
        "excitatory", "inhibitory", or "both" (the two side by side, 2 C entries).
    layers
        Their names; all where None.
    bootstrap
        Number of times that samples are drawn again, the same ones for all layers; of a movie,
        blocks of frames are drawn.
    confidence
        Of the intervals (percentiles of the means of resampled values).
    seed
        Of the draws.

    Returns
    -------
    xarray.Dataset
        By layer: `hoyer` and `hoyer_interval` (kind, bound), `n` samples that count; and of the
        paired difference contribution - activation, `difference` and `difference_interval`.

    Raises
    ------
    InputError
        Where layers have no contributions or activations by channel, or hold NaN.

    Examples
    --------
    >>> node = xr.Dataset({"contribution": (("stimulus", "channel"), [[0.0, 2.0], [3.0, 0.0]]),
    ...                    "activation": (("stimulus", "channel"), [[1.0, 1.0], [2.0, 2.0]])})
    >>> found = hoyer(xr.DataTree.from_dict({"/conv1": node}))
    >>> found.hoyer.values.round(6).tolist(), found.difference.values.round(6).tolist()
    ([[1.0, 0.0]], [1.0])
    """
    facts = {"bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    require_options(bootstrap, confidence)
    rows = layers_of(tree, layers, KINDS, require_part(sign))
    columns = [one.each(_hoyer) for both in rows.values() for one in both]
    first = next(iter(rows.values()))[0]
    found = finish(
        _sparsity,
        columns,
        shape=(4, len(rows), 3),
        draws=bootstrap,
        confidence=confidence,
        seed=seed,
        series=first.dim == v.TIME,
    )
    by_kind, names = (v.LAYER, v.KIND), [*rows]
    result = layer_dataset(
        {
            "hoyer": (by_kind, found[0, :, :2]),
            "hoyer_interval": ((v.BOUND, *by_kind), found[1:3, :, :2]),
            "n": (by_kind, found[3, :, :2]),
            "difference": ((v.LAYER,), found[0, :, 2]),
            "difference_interval": ((v.BOUND, v.LAYER), found[1:3, :, 2]),
        },
        {v.LAYER: names, v.KIND: list(KINDS)},
    )
    result["hoyer"].attrs["long_name"] = "mean over samples of the Hoyer sparsity over channels"
    return stamped(result, "nc.statistics.hoyer", tree, sign=sign, **facts)


def _hoyer(rows: NDArray[Any]) -> NDArray[np.float64]:
    return sparsity.hoyer(rows, axis=1)


def _sparsity(columns: list[NDArray[Any]], **options: Any) -> NDArray[np.float64]:
    """Mean, interval and number (4, layers, contribution | activation | difference)."""
    x = np.stack(columns, axis=1).reshape(len(columns[0]), -1, 2)
    x = np.concatenate([x, x[..., :1] - x[..., 1:]], axis=2)
    return mean_intervals(x.reshape(len(x), -1), **options).reshape(4, -1, 3)


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
        Intervals over samples that are drawn again, as in `hoyer`.

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
    if over not in _OVER:
        raise unknown_name("way to correlate, over=", over, _OVER)
    require_options(bootstrap, confidence)
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
    return finish(
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
            found.append(finish(_channelwise, state, shape=(len(weights), 2), over=over))
    made = [finish(_with_interval, found, shape=(4,), confidence=confidence) for found in values]
    return stacked(made, axis=1)


def _draws(size: int, draws: int, seed: int, *, series: bool) -> Iterator[NDArray[np.float64]]:
    for part in draw_counts(size, draws, seed, series=series):
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


def _with_interval(found: list[NDArray[np.float64]], *, confidence: float) -> NDArray[np.float64]:
    """Value, interval and number, of which the first weighting has the value."""
    values, number = np.concatenate(found).T
    return np.array([values[0], *interval(values[1:], confidence), number[0]])
