"""How sparse contributions and activations are in each layer (CODEC sec. 3, fig. 3B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.kernels import sparsity
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.rows import lazy
from neurocodec.rows.layers import KINDS, layers_of
from neurocodec.rows.matrix import PARTS
from neurocodec.rows.tables import layer_dataset, stamped


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
        Number of times that images are drawn again, the same ones for all layers; 0 for no
        intervals. Of a movie, whose frames go together with their neighbours, five stretches are
        left out one by one instead (jackknife).
    confidence
        Of the intervals: percentiles of the means of images drawn again, corrected for bias,
        skewness and few images (BCa, expanded).
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
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    facts = {"bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    rows = layers_of(tree, layers, KINDS, arguments.one_of("sign", sign, PARTS))
    columns = [one.each(_hoyer) for both in rows.values() for one in both]
    first = next(iter(rows.values()))[0]
    found = lazy.apply(
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
