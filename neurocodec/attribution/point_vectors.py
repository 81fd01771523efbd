"""Hidden vectors at single positions of images, and features that are clusters of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.plan import position_dims
from neurocodec.engine.samples import Samples, bar, batches
from neurocodec.engine.session import hooked
from neurocodec.engine.stored import read_coords
from neurocodec.errors import InputError, warn
from neurocodec.kernels.spherical import spherical_kmeans, unit_rows
from neurocodec.labels import labelled, provenance, stamp
from neurocodec.network import Network, require_network

BATCH = 64
"""Images computed together."""


def point_vectors(
    net: Network,
    stimulus: xr.DataArray,
    layer: str,
    *,
    per_image: int = 1,
    seed: int = 0,
    device: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> xr.DataArray:
    """Take the activation of all channels of a layer at random positions of every image.

    Parameters
    ----------
    net
        The network.
    stimulus
        Images (stimulus, ...) or a movie (time, y, x).
    layer
        Alias of a layer of maps or tokens.
    per_image
        Positions of each image, all different.
    seed
        Of the positions; those of an image do not depend on the images beside it.
    device, workers, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.DataArray
        `activation` (vector, channel), with the labels of the image and the position (y, x) of
        each vector.

    Raises
    ------
    InputError
        Where the layer has no positions, or fewer than are asked for.

    Examples
    --------
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten())
    >>> net = Network(module, layers={"maps": "0"})
    >>> images = xr.DataArray(np.ones((4, 1, 5, 5), "float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> dict(point_vectors(net, images, "maps", per_image=3, progress=False).sizes)
    {'vector': 12, 'channel': 2}
    """
    per_image = arguments.whole("per_image", per_image, hint="per_image=1")
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    placed = require_network(net).on(device)
    samples = Samples.of(net, stimulus, stream=True)
    chosen = net.select_layers([layer])
    rows, places, kept = list[Tensor](), list[NDArray[np.intp]](), list[NDArray[np.bool_]]()
    with hooked(placed, chosen, samples.few(placed.device)) as session, torch.no_grad():
        hidden = session.capture.layers[layer]
        few = hidden.channels_first(session.traced.done.hidden[layer])
        sizes = _sizes(few, layer, per_image)
        ranges = list(batches(len(samples), BATCH, progress=False, what=""))
        with (
            bar(len(samples), "vectors", progress=progress) as shown,
            samples.blocks(ranges, workers, placed.device) as blocks,
        ):
            for block in blocks:
                batch = samples.place(block, block.start, block.stop, placed.device)
                maps = hidden.channels_first(session.capture.run(batch.x).hidden[layer]).flatten(2)
                own = _drawn(range(block.start, block.stop), maps.shape[2], per_image, seed)
                index = torch.from_numpy(own).to(maps.device)[:, None].expand(-1, maps.shape[1], -1)
                rows.append(maps.gather(2, index).cpu()[torch.from_numpy(block.kept)])
                places.append(own[block.kept])
                kept.append(block.kept)
                shown.update(len(block.kept))
        facts = {**session.facts, "layer": layer, "per_image": per_image, "seed": seed}
    dims = position_dims(hidden, len(sizes))
    where = np.unravel_index(np.concatenate(places).ravel(), sizes)
    coords: dict[str, Any] = {d: (v.VECTOR, i) for d, i in zip(dims, where, strict=True)}
    for name, labels in read_coords(samples.coords, samples.dim, np.concatenate(kept)).items():
        if labels.dims == (samples.dim,):
            coords[str(name)] = (v.VECTOR, np.repeat(labels.values, per_image))
    values = torch.cat(rows).movedim(1, 2).flatten(0, 1).numpy()
    found = labelled(values, (v.VECTOR, v.CHANNEL), coords, name=v.ACTIVATION)
    return stamp(found, "nc.point_vectors", **facts)


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


def _sizes(maps: Tensor, layer: str, per_image: int) -> tuple[int, ...]:
    sizes = tuple(maps.shape[2:])
    count = int(np.prod(sizes)) if sizes else 0
    if per_image > count:
        raise InputError(
            came=f"per_image={per_image} of layer {layer!r}, which has {count or 'no'} positions",
            expected="a layer of maps or tokens, and no more positions than it has",
            hint=f"per_image={count}" if count else "a layer before the pooling",
        )
    return sizes


def _drawn(samples: Iterable[int], of: int, count: int, seed: int) -> NDArray[np.intp]:
    """Places (sample, point), each image's from its own number."""
    return np.stack(
        [np.random.default_rng([seed, i]).permutation(of)[:count] for i in samples]
    ).astype(np.intp)


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
