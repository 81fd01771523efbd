"""How many dimensions contributions and activations have in each layer (CODEC fig. 3E-F)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, warn
from neurocodec.kernels import dimensionality as kernel
from neurocodec.kernels.class_means import ClassMeans, draw_within
from neurocodec.kernels.correlation import Comoments
from neurocodec.kernels.intervals import centred_interval, jackknife_interval
from neurocodec.labels import class_names
from neurocodec.rows import lazy
from neurocodec.rows.layers import KINDS, LayerRows, layers_of
from neurocodec.rows.matrix import BOTH, PARTS
from neurocodec.rows.tables import layer_dataset, stamped

Scaling = Literal["none", "channel"]

CLASS_MEAN: Final = "class_mean"
SAMPLE: Final = "sample"
_GROUPS: Final = 10
_FEW: Final = 10
"""Images of a class below which noise of single images stays in its mean."""
_MEMORY: Final = 2**27


def dimensionality(
    tree: xr.DataTree,
    *,
    classes: str | None = "label",
    share: float = 0.95,
    scaling: Scaling = "none",
    sign: str = "net",
    layers: Sequence[str] | None = None,
    bootstrap: int = 100,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Dimensionality of contributions and of activations, by layer (fig. 3E-F).

    Principal components of points in the space of the channels. The points are the means of the
    classes ("class-averaged channel weightings" in the paper), and beside them all samples. Two
    measures of the variances l along the components: the number of components that together have
    `share` of the variance, and the participation ratio (sum l)^2 / sum l^2.

    Class means of few images each hold the noise of these images, which has many dimensions of
    its own: compare `images_per_class`, and mind that there can be no more components than one
    less than the classes.

    Parameters
    ----------
    tree
        As `nc.contributions` returns it, reduced to channels. A file opened with ``lazy=True`` is
        read in blocks; Dask arrays stay plans until the result is computed.
    classes
        Name of the coordinate along the samples that has the class of each; samples where it is
        empty belong to none. None: only all samples are points.
    share
        Of the variance that the components are to have.
    scaling
        "none": channels as they are, so that large ones count most (as in the paper). "channel":
        each channel is divided by its standard deviation over samples.
    sign
        Of contributions: "net", "excitatory", "inhibitory" or "both" (side by side).
    layers
        Their names; all where None.
    bootstrap
        Number of times that samples are drawn again within their class; 0 for no intervals.
    confidence
        Of the intervals.
    seed
        Of the draws.

    Returns
    -------
    xarray.Dataset
        By layer, kind and points ("class_mean", "sample"): `components` and
        `participation_ratio` with their intervals (bound). For class means these are percentiles
        of the resampled values, moved by `bootstrap_bias` (mean of the resampled values minus the
        value, by measure), because noise that drawing again adds has dimensions too. For samples
        they come from leaving out a tenth of them at a time (delete-a-group jackknife). Ends for
        a number of components are whole numbers around it. Further
        `cumulative_variance` (component) of the first kind of points, `n` points, and
        `images_per_class` (category).

    Raises
    ------
    InputError
        Where there is no such coordinate, or fewer than two classes.

    Warns
    -----
    NeurocodecWarning
        Where half of the classes have fewer than 10 images.

    Examples
    --------
    >>> rows = np.repeat(np.eye(3), 10, axis=0) + 5.0
    >>> node = xr.Dataset({"activation": (("stimulus", "channel"), rows),
    ...                    "contribution": (("stimulus", "channel"), rows)})
    >>> root = xr.Dataset(coords={"label": ("stimulus", np.repeat(["a", "b", "c"], 10))})
    >>> found = dimensionality(xr.DataTree.from_dict({"/": root, "/conv1": node}))
    >>> found.components.sel(points="class_mean", kind="activation").values.tolist()
    [2.0]
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    arguments.one_of("scaling", scaling, get_args(Scaling))
    share = arguments.number("share", share, "a part of the variance", hint="share=0.95")
    if not 0 < share <= 1:
        raise InputError(came=f"share={share!r}", expected="a part of the variance", hint="0.95")
    rows = layers_of(tree, layers, KINDS, arguments.one_of("sign", sign, PARTS))
    names, codes = _codes(tree, next(iter(rows.values()))[0], classes)
    points = [SAMPLE] if classes is None else [CLASS_MEAN, SAMPLE]
    found, curves = [], []
    for one in (one for both in rows.values() for one in both):
        groups = one.reduce(_Groups(len(one.array), seed, series=one.dim == v.TIME), _merge_groups)
        facts = {"share": share, "scaling": scaling}
        options = {"confidence": confidence, "intervals": bootstrap > 0}
        made = [lazy.apply(_of_samples, groups, shape=(4, 2), **options, **facts)]
        plain = _class_means(one, codes, len(names), range(1), seed) if names else None
        if plain is not None:
            values = [lazy.apply(_described, plain, groups, shape=(1, 2), **facts)]
            for draws in _some_draws(one, codes, len(names), bootstrap):
                state = _class_means(one, codes, len(names), draws, seed)
                values.append(lazy.apply(_described, state, groups, shape=(len(draws), 2), **facts))
            made.insert(0, lazy.apply(_of_classes, values, shape=(4, 2), confidence=confidence))
        found.append(made)
        width = _width(one, len(names))
        curves.append(lazy.apply(_curve, plain, groups, shape=(width,), scaling=scaling))
    result = _labelled(found, curves, [*rows], points)
    result = result.assign(_counts(names, codes, points))
    return stamped(
        result,
        "nc.statistics.dimensionality",
        tree,
        classes=classes,
        share=share,
        scaling=scaling,
        sign=sign,
        bootstrap=bootstrap,
        confidence=confidence,
        seed=seed,
    )


def _codes(
    tree: xr.DataTree, rows: LayerRows, classes: str | None
) -> tuple[list[str], NDArray[np.intp]]:
    """Names of the classes, and the number of each sample's class, -1 where it has none."""
    if classes is None:
        return [], np.full(len(rows.array), -1)
    coords = {**tree.coords, **rows.array.coords}
    if classes not in coords or coords[classes].dims != (rows.dim,):
        known = [str(k) for k, c in coords.items() if c.dims == (rows.dim,)]
        raise InputError(
            came=f"no coordinate {classes!r} along {rows.dim!r} (there are {known})",
            expected="the class of each sample",
            hint=f"tree.coords[{classes!r}] = ({rows.dim!r}, names), or classes=None",
        )
    texts = class_names(coords[classes])
    names, codes = np.unique(texts, return_inverse=True)
    if len(names) and names[0] == "":
        names, codes = names[1:], codes - 1
    if len(names) < 2:
        raise InputError(
            came=f"{len(names)} class in the coordinate {classes!r}",
            expected="two or more",
            hint="classes=None",
        )
    _warn_of_few(codes)
    return names.tolist(), codes.astype(np.intp)


def _warn_of_few(codes: NDArray[Any]) -> None:
    sizes = np.bincount(codes[codes >= 0])
    if np.median(sizes) < _FEW:
        warn(
            f"half of the {len(sizes)} classes have {np.median(sizes):g} images or fewer, and "
            f"{(sizes == 1).sum()} a single one: their means hold the noise of single images, "
            "which adds dimensions, and the intervals miss the noise of single images"
        )


class _Groups:
    """Sums of each group of the samples, of which one at a time is left out later."""

    def __init__(self, size: int, seed: int, *, series: bool) -> None:
        """Stretches of a movie; of images, which may be in any order, random ones."""
        place = np.arange(size) if series else np.random.default_rng(seed).permutation(size)
        self.count = min(_GROUPS, size)
        self.group = place * self.count // size

    def __call__(self, start: int, rows: NDArray[Any]) -> list[Comoments]:
        group = self.group[start : start + len(rows)]
        return [Comoments.of(rows[group == g]) for g in range(self.count)]


def _merge_groups(first: list[Comoments], second: list[Comoments]) -> list[Comoments]:
    return [a.merge(b) for a, b in zip(first, second, strict=True)]


def _merged(groups: Sequence[Comoments]) -> Comoments:
    whole = groups[0]
    for one in groups[1:]:
        whole = whole.merge(one)
    return whole


def _of_samples(
    groups: list[Comoments], *, share: float, confidence: float, scaling: str, intervals: bool
) -> NDArray[np.float64]:
    """Value, interval and bias (4, 2 measures)."""
    whole = _merged(groups)
    value = kernel.describe(_sample_variances(whole, scaling), share)
    without = [
        kernel.describe(_sample_variances(whole.without(group), scaling), share)
        for group in (groups if len(groups) == _GROUPS and intervals else ())
    ]
    ends = jackknife_interval(value, np.reshape(without, (-1, 2)), confidence)
    return np.stack([value, *_whole(value, ends), np.full(2, np.nan)])


def _whole(value: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ends of intervals, those of the number of components as whole numbers around it."""
    number = np.clip(ends[:, 0].round(), [1, value[0]], [value[0], np.inf])
    return np.stack([number, ends[:, 1]], axis=1)


def _sample_variances(whole: Comoments, scaling: str) -> NDArray[np.float64]:
    scale = _scale(whole, scaling)
    return kernel.eigenvalues(whole.products / scale[:, None] / scale)


def _scale(whole: Comoments, scaling: str) -> NDArray[np.float64]:
    """What each channel is divided by; a constant one stays as it is."""
    if scaling == "none":
        return np.ones(len(whole.products))
    return np.where(whole.deviations > 0, whole.deviations, 1.0)


def _some_draws(
    rows: LayerRows, codes: NDArray[np.intp], classes: int, bootstrap: int
) -> Iterator[range]:
    """Numbers of the draws, from 1, as many at a time as memory allows."""
    width = int(np.prod(rows.array.shape[1:]))
    step = max(1, _MEMORY // (8 * max(classes * width, len(codes))))
    for first in range(1, bootstrap + 1, step):
        yield range(first, min(first + step, bootstrap + 1))


def _class_means(
    rows: LayerRows, codes: NDArray[np.intp], classes: int, draws: range, seed: int
) -> Any:
    """Class means of some draws; draw 0 has the samples as they are."""
    weights = draw_within(codes, len(draws), seed, draws.start)
    return rows.reduce(_Classwise(codes, weights, classes), ClassMeans.merge)


class _Classwise:
    """Class means of a block of rows with its part of the weights."""

    def __init__(self, codes: NDArray[np.intp], weights: NDArray[np.float64], classes: int) -> None:
        self.codes, self.weights, self.classes = codes, weights, classes

    def __call__(self, start: int, rows: NDArray[Any]) -> ClassMeans:
        part = slice(start, start + len(rows))
        return ClassMeans.of(rows, self.codes[part], self.weights[:, part], self.classes)


def _described(
    state: ClassMeans, groups: list[Comoments], *, share: float, scaling: str
) -> NDArray[np.float64]:
    """Both measures of some draws (draws, 2): the class means themselves are not kept."""
    scale = _scale(_merged(groups), scaling)
    return kernel.describe(kernel.variances(state.mean / scale), share)


def _of_classes(values: list[NDArray[np.float64]], *, confidence: float) -> NDArray[np.float64]:
    """Value, interval and bias (4, 2 measures), of which the first weighting has the value."""
    draws = np.concatenate(values)
    low, high, bias = centred_interval(draws[0], draws[1:], confidence)
    return np.stack([draws[0], *_whole(draws[0], np.stack([low, high])), bias])


def _curve(
    state: ClassMeans | None, groups: list[Comoments], *, scaling: str
) -> NDArray[np.float64]:
    """Cumulative share of the variance."""
    if state is not None:
        values = kernel.variances(state.mean[0] / _scale(_merged(groups), scaling))
    else:
        values = _sample_variances(_merged(groups), scaling)
    total = values.sum()
    return np.cumsum(values) / (total if total > 0 else np.nan)


def _width(rows: LayerRows, classes: int) -> int:
    """Number of variances that there are."""
    channels = rows.array.sizes[v.CHANNEL] * (2 if rows.part == BOTH and rows.signed else 1)
    return min(channels, classes) if classes else channels


def _labelled(
    found: list[list[Any]], curves: list[Any], layers: list[str], points: list[str]
) -> xr.Dataset:
    """Dims (layer, kind, points) of what was found in their order."""
    array = lazy.stack([lazy.stack(made) for made in found])
    array = array.reshape(len(layers), len(KINDS), len(points), 4, 2)
    dims = (v.LAYER, v.KIND, v.POINTS)
    values: dict[str, tuple[tuple[str, ...], Any]] = {}
    for place, name in enumerate(("components", "participation_ratio")):
        values[name] = (dims, array[..., 0, place])
        values[f"{name}_interval"] = ((*dims, v.BOUND), array[..., 1:3, place])
    values["bootstrap_bias"] = ((*dims, "measure"), array[..., 3, :])
    longest = max(len(curve) for curve in curves)
    padded = lazy.stack([_padded(curve, longest) for curve in curves])
    shape = (len(layers), len(KINDS), longest)
    values["cumulative_variance"] = ((*dims[:2], v.COMPONENT), padded.reshape(*shape))
    coords = {v.LAYER: layers, v.KIND: list(KINDS), v.POINTS: points}
    measures = {"measure": ["components", "participation_ratio"]}
    number = {v.COMPONENT: list(range(1, longest + 1))}
    return layer_dataset(values, {**coords, **measures, **number})


def _padded(curve: Any, size: int) -> Any:
    return np.pad(curve, (0, size - len(curve)), constant_values=np.nan)


def _counts(
    names: list[str], codes: NDArray[np.intp], points: list[str]
) -> dict[str, xr.DataArray]:
    sizes = {CLASS_MEAN: len(names), SAMPLE: len(codes)}
    number = np.array([sizes[p] for p in points])
    found = layer_dataset({"n": ((v.POINTS,), number)}, {v.POINTS: points})
    if names:
        each = np.bincount(codes[codes >= 0], minlength=len(names))
        found = found.assign(
            layer_dataset({"images_per_class": ((v.CATEGORY,), each)}, {v.CATEGORY: names})
        )
    return {str(k): found[k] for k in found.data_vars}
