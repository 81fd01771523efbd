"""`nc.compare_rankings`: whether one ranking is better than others, on every half and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.labels import labelled, require_same, stamp

SCORES: Final = ("area", "separation")


def compare_rankings(
    curves: Sequence[xr.Dataset],
    *,
    score: str = "area",
    confidence: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Say whether the first ranking of a layer is better than the others.

    One curve is one fit of modes and one half of the images; another seed or the other half may
    say otherwise. Better is what is better on all of them, and for the classes on average.

    Parameters
    ----------
    curves
        What `nc.perturbation_curve` returned, once for each repeat (a seed of the modes, a half of
        the images for rankings and the other for curves), of the same rankings, kinds, classes.
    score
        "area", or "separation", which is bounded.
    confidence
        Of the intervals.
    bootstrap
        Resamples of the classes.
    seed
        Of the resamples.

    Returns
    -------
    xarray.Dataset
        Over `ranking` (all but the first), `kind`, `repeat`, `bound`: `ranking_difference`, the
        score of the first ranking minus that of this one, paired class by class, mean over classes
        and repeats, with its interval from resamples of the classes; `repeat_difference` of each
        repeat; `agreeing_share`, the part of the repeats whose difference has the sign of the
        mean; `better`: whether the interval is above 0 and every repeat agrees.

    Raises
    ------
    InputError
        Where curves have different rankings, kinds or classes, or there is one ranking alone.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     np.eye(2), {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> own = xr.DataArray(np.eye(2), {"category": ["a", "b"]}, ("category", "channel"))
    >>> curve = nc.perturbation_curve(
    ...     net, images, "hidden", {"own": own, "other": 1 - own}, kind="ablate", progress=False
    ... )
    >>> compare_rankings([curve, curve]).better.values.tolist()
    [[True]]
    """
    curves = arguments.several("curves", curves, "what nc.perturbation_curve returns")
    arguments.one_of("score", score, SCORES)
    bootstrap, confidence = arguments.interval(bootstrap, confidence, least=1)
    seed = arguments.whole("seed", seed, 0)
    group, name = _checked(curves, f"category_{score}"), f"category_{score}"
    scores = xr.concat([one[name] for one in curves], v.REPEAT)
    values = scores.transpose(v.REPEAT, v.RANKING, v.KIND, group).values
    beyond = values[:, :1] - values[:, 1:]
    # a class is what is drawn again: its repeats have the same images, or the same modes
    of_class, of_repeat = _means(beyond, 0), _means(beyond, 3)
    flat = np.moveaxis(of_class, -1, 0).reshape(of_class.shape[-1], -1)
    mean, low, high, _ = mean_intervals(flat, bootstrap, confidence, seed)
    mean, ends = mean.reshape(of_class.shape[:2]), np.stack([low, high], axis=-1)
    ends = ends.reshape(*of_class.shape[:2], 2)
    agreeing = (np.sign(of_repeat) == np.sign(mean)).mean(axis=0)
    coords = {
        v.RANKING: curves[0][v.RANKING].values[1:],
        v.KIND: curves[0][v.KIND].values,
        v.REPEAT: np.arange(len(curves)),
        v.BOUND: list(v.BOUNDS),
    }
    made = {
        "ranking_difference": ((v.RANKING, v.KIND), mean),
        "ranking_difference_interval": ((v.RANKING, v.KIND, v.BOUND), ends),
        "repeat_difference": ((v.REPEAT, v.RANKING, v.KIND), of_repeat),
        "agreeing_share": ((v.RANKING, v.KIND), agreeing),
        "better": ((v.RANKING, v.KIND), (ends[..., 0] > 0) & (agreeing == 1)),
    }
    found = {
        key: labelled(array, dims, {d: coords[d] for d in dims}, name=key)
        for key, (dims, array) in made.items()
    }
    first = str(curves[0][v.RANKING].values[0])
    facts = {"first": first, "score": score, "confidence": confidence, "bootstrap": bootstrap}
    return stamp(xr.Dataset(found), "nc.compare_rankings", seed=seed, **facts)


def _means(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means along an axis without NaN; NaN where there is nothing else."""
    there = np.isfinite(values)
    number = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _checked(curves: Sequence[xr.Dataset], name: str) -> str:
    """Dim of the classes; curves of other rankings, kinds or classes are refused."""
    for one in curves:
        if name not in getattr(one, "data_vars", ()):
            raise InputError(
                came=f"a {type(one).__name__} without `{name}`",
                expected="what nc.perturbation_curve returns",
                hint="nc.perturbation_curve(...)",
            )
    first = curves[0][name]
    group = v.CONCEPT if v.CONCEPT in first.dims else v.CATEGORY
    for one in curves[1:]:
        for dim in (v.RANKING, v.KIND, group):
            require_same(first, one[name], dim, "curves")
    if first.sizes[v.RANKING] < 2:
        raise InputError(
            came="curves of one ranking",
            expected="the ranking that is judged first, and others beside it",
            hint="nc.perturbation_curve(net, images, layer, {'contrast': a, 'modes': b})",
        )
    return group
