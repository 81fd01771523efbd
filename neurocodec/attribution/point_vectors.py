"""Hidden vectors at single positions of images, and features that are clusters of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.points import Draw, PointPlan
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError, warn
from neurocodec.kernels.spherical import spherical_kmeans, unit_rows
from neurocodec.labels import labelled, provenance, stamp
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import TopK


def point_vectors(
    net: Network,
    stimulus: xr.DataArray,
    layers: str | Iterable[str],
    *,
    draw: Draw = "contribution",
    target: Target | None = None,
    per_image: int = 1,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.DataArray | xr.DataTree:
    """Take the activation of all channels of layers at a few positions of every image.

    Parameters
    ----------
    net
        The network.
    stimulus
        Images (stimulus, ...) or a movie (time, y, x).
    layers
        Alias of a layer of maps or tokens, or several; for a block the sum before its last
        nonlinearity, `net.pre_activation`.
    draw
        Which positions. ``"contribution"``: a position is the more likely the larger the size of
        its contribution (activation times gradient, summed over channels) to the target;
        ``"sharing"``: the larger its share by sharing-ratio decomposition in the top logit;
        ``"uniform"``: all alike, with no gradient.
    target
        What positions contribute to; the largest output of each image where None.
    per_image
        Positions of each image, all different.
    seed
        Of the draw, which follows from it and the image's own pixels: it does not depend on the
        images beside it, their order or the size of batches.
    batch_size, device, workers, out, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.DataArray
        `activation` (vector, channel), with the labels of the image (its place where it has none),
        the position (y, x) of each vector and its `draw_probability`, which is that of the first
        position that is drawn. Of several layers, or a list, an xarray.DataTree with a node for
        each.

    Raises
    ------
    InputError
        Where a layer has no positions, or fewer than are asked for.
    CaptureError
        Where the target does not depend on a layer, or shares are not known of what runs.

    Warns
    -----
    NeurocodecWarning
        Where images have fewer positions that contribute than are drawn.

    Notes
    -----
    Where nothing in a layer contributes to an image's target, all positions are alike.

    Examples
    --------
    >>> from torch import nn
    >>> pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    >>> module = nn.Sequential(nn.Conv2d(1, 2, 3), *pooled)
    >>> net = Network(module, layers={"maps": "0"})
    >>> images = xr.DataArray(np.ones((4, 1, 5, 5), "float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> dict(point_vectors(net, images, "maps", per_image=3, progress=False).sizes)
    {'vector': 12, 'channel': 2}
    """
    hint = "layers=['layer3.1']"
    names = arguments.several("layers", layers, "an alias, or several", hint=hint)
    if not names:
        raise InputError(came="no layer", expected="an alias, or several", hint=hint)
    kind: Draw = arguments.one_of("draw", draw, get_args(Draw))
    if target is not None and kind != "contribution":
        raise InputError(
            came=f"draw={kind!r} with target={target!r}",
            expected="a target where positions are drawn by their contribution to it",
            hint="draw='contribution'",
        )
    placed = require_network(net).on(device)
    plan = PointPlan(
        net=placed,
        samples=_numbered(Samples.of(net, stimulus, stream=True)),
        layers=placed.select_layers(names),
        draw=kind,
        target=TopK(1) if target is None else target,
        per_image=arguments.whole("per_image", per_image, hint="per_image=1"),
        seed=arguments.whole("seed", seed, 0, hint="seed=0"),
    )
    size, workers = arguments.batch_size(batch_size), arguments.workers(workers)
    with Run.opened(plan, size, workers, progress=progress, out=out) as run:
        tree = run.result(out)
    _tell_still(tree, plan.layers)
    if not isinstance(layers, str):
        return tree
    return tree[layers].to_dataset()[v.ACTIVATION]


def _tell_still(tree: xr.DataTree, layers: Iterable[str]) -> None:
    """Say it where positions had to be drawn that have no part in what they are drawn by."""
    for alias in layers:
        share = tree[alias].coords[v.DRAW_PROBABILITY].values
        still = int((share == 0).sum())
        if still:
            warn(
                f"{still} of {share.size} vectors of {alias!r} are of positions that contribute"
                " nothing (draw_probability 0): images have fewer others than per_image"
            )


def _numbered(samples: Samples) -> Samples:
    """Samples with labels, their places where they had none: vectors say whose they are."""
    if samples.dim in samples.coords:
        return samples
    place = xr.Variable(samples.dim, np.arange(len(samples)))
    return replace(samples, coords={**samples.coords, samples.dim: place})


def cluster_vectors(
    vectors: xr.DataArray, *, clusters: int = 1000, count: int | None = 20, seed: int = 0
) -> xr.DataArray:
    """Cluster vectors by their cosine; centres are features, as `nc.targets.Features` takes them.

    Spherical k-means from a k-means++ start. The paper's k-means features are 20 of 1,000 (Tense
    Images sec. 6).

    Parameters
    ----------
    vectors
        (vector, channel), as `point_vectors` returns it.
    clusters
        How many.
    count
        Of these, so many are kept, drawn at random; all where None.
    seed
        Of the start, and of the draw.

    Returns
    -------
    xarray.DataArray
        (feature, channel) of length 1, with `size`, the vectors of each cluster, and `cosine`,
        their mean cosine with the centre.

    Raises
    ------
    InputError
        Where there are fewer different vectors than clusters.

    Warns
    -----
    NeurocodecWarning
        Where vectors are 0, which have no direction; they are left out.

    Examples
    --------
    >>> rows = xr.DataArray([[1.0, 0.0], [2.0, 0.1], [0.0, 3.0]], dims=("vector", "channel"))
    >>> found = cluster_vectors(rows, clusters=2, count=None)
    >>> sorted(found["size"].values.tolist())
    [1, 2]
    """
    clusters = arguments.whole("clusters", clusters, hint="clusters=1000")
    count = clusters if count is None else arguments.whole("count", count, hint="count=20")
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    if count > clusters:
        raise InputError(
            came=f"count={count} of {clusters} clusters",
            expected="no more than there are",
            hint=f"count={clusters}",
        )
    rows = _directions(vectors, clusters)
    found = spherical_kmeans(rows, clusters, seed=seed)
    kept = np.sort(np.random.default_rng(seed).permutation(clusters)[:count])
    sizes = np.bincount(found.nearest, minlength=clusters)
    cosines = np.bincount(found.nearest, found.cosine, clusters) / np.maximum(sizes, 1)
    coords = {
        v.FEATURE: kept,
        "size": (v.FEATURE, sizes[kept]),
        "cosine": (v.FEATURE, cosines[kept]),
    }
    centers = labelled(found.centers[kept], (v.FEATURE, v.CHANNEL), coords, name=v.DIRECTION)
    facts = {"clusters": clusters, "count": count, "seed": seed, "vectors": provenance(vectors)}
    return stamp(centers, "nc.cluster_vectors", **facts)


def _directions(vectors: xr.DataArray, clusters: int) -> NDArray[np.float64]:
    """Unit rows, at least as many different ones as clusters."""
    if not isinstance(vectors, xr.DataArray) or vectors.dims != (v.VECTOR, v.CHANNEL):
        raise InputError(
            came=f"vectors with dims {getattr(vectors, 'dims', type(vectors).__name__)}",
            expected="(vector, channel), as nc.point_vectors returns them",
            hint="vectors.transpose('vector', 'channel')",
        )
    rows = np.asarray(vectors.values, np.float64)
    if not np.isfinite(rows).all():
        raise InputError(came="vectors with NaN or infinity", expected="finite numbers")
    alive = rows.any(1)
    if not alive.all():
        warn(f"{int((~alive).sum())} of {len(rows)} vectors are 0 and have no direction: left out")
    rows = np.asarray(unit_rows(rows[alive]), np.float64)
    different = len(np.unique(rows.round(12), axis=0)) if len(rows) else 0
    if different < clusters:
        raise InputError(
            came=f"clusters={clusters} of {different} different directions",
            expected="no more clusters than there are",
            hint=f"clusters={max(1, different)}, or more per_image",
        )
    return rows
