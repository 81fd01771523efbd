"""`nc.attribution_atlas`: all the ways in which images excite and inhibit a feature, as one map."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.attribution.contributions import contributions
from neurocodec.attribution.plan import require_one
from neurocodec.attribution.tension import LINE, tension
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError
from neurocodec.labels import labelled, provenance, stamp
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.layer import Layer
from neurocodec.storage.files import existing_folder
from neurocodec.synthesis.gathering import Keep, kept_array
from neurocodec.synthesis.invert import ATTRIBUTION, BOTH, Asked, inverted
from neurocodec.synthesis.like import like as pictures_like
from neurocodec.synthesis.making import Options, studio

Layout: TypeAlias = Literal["tsne", "pca", "umap"]
LAYOUTS: Final = ("tsne", "pca", "umap")
LEAST: Final = 4
"""Images of which a map can be made."""
OWN: Final = ("atlas_x", "atlas_y", "icon_of_image")
PERPLEXITY: Final = 30.0
SHOWN: Final = 9
"""Images of a place that are looked at."""
BLOCK: Final = 64
"""Images whose attributions are in memory at once."""


def attribution_atlas(
    net: Network,
    images: xr.DataArray,
    layer: str,
    *,
    target: Target,
    count: int = 10_000,
    grid: int = 20,
    least: int = 5,
    layout: Layout = "tsne",
    method: Method | None = None,
    like: xr.DataArray | None = None,
    steps: int = 64,
    seed: int = 0,
    batch_size: int = 16,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Map of the images by how they excite and inhibit a feature, with a picture for each place.

    Of all images those with the largest attribution (Euclidean norm) are laid out by the cosine of
    their attributions, summed over positions; a grid is put over the map, and the attributions of
    the images in one place are averaged, excitation and inhibition apart, as their mean would
    cancel. Every place gets an icon: a picture made as by `nc.invert`, in which the layer
    contributes what it does on average in these images, both signs together. The icon
    runs through the network once more: the target of the icon is what colours its border (Hamblin
    et al., Understanding Inhibition Through Maximally Tense Images, sec. 5).

    Parameters
    ----------
    net
        The network.
    images
        Images (stimulus, ...), in memory or in files.
    layer
        Alias of the layer that excites and inhibits.
    target
        One feature of a later layer, before its ReLU: `nc.targets.Feature`.
    count
        Images in the map.
    grid
        Places along each side of the map.
    least
        Images that a place needs for an icon.
    layout
        ``"tsne"`` (scikit-learn's, which sets out from principal components), ``"pca"``, or
        ``"umap"`` where umap-learn is installed. The same seed gives the same map.
    method
        As of `nc.tension`.
    like, steps, seed, batch_size
        Of the icons, as for `nc.invert`.
    device, workers, progress
        As for `nc.contributions`.
    out
        A folder: passes over the images, and icons as they are made, are kept in it. A call that
        was stopped goes on there when it is made again, to the same numbers.

    Returns
    -------
    xarray.DataTree
        The root has, by image of the map: `excitation`, `inhibition`, `target`, `atlas_x`,
        `atlas_y` (from 0 to 1), and `icon_of_image` (the number of its icon, -1 for none). The
        node `icons` has, by `icon`: `image`, `opacity`, `target` of the icon, `mean_target` of its
        images with its `standard_error`, `n_images`, `row` and `column` in the grid, and
        `confirmed`: whether both targets have the same sign. Where `mean_target` is within two
        standard errors of 0, the images of the place do not agree on one.

    Raises
    ------
    InputError
        Where fewer than 4 images have an attribution, or no place has enough images.

    Examples
    --------
    >>> import neurocodec as nc
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 2, 3), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"hidden": "1", "pre": "2"})
    >>> draw = np.random.default_rng(0)
    >>> images = xr.DataArray(draw.normal(size=(30, 3, 6, 6)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> unit = nc.targets.Feature("pre", [1.0, 0.0], position="center")
    >>> found = nc.attribution_atlas(net, images, "hidden", target=unit, grid=2, like=images,
    ...                              layout="pca", steps=3, progress=False)
    >>> found["icons/image"].dims, found.atlas_x.dims
    (('icon', 'color', 'y', 'x'), ('stimulus',))
    """
    placed = require_network(net).on(device)
    require_one(target)
    asked = _Asked(
        most=arguments.whole("count", count, LEAST),
        grid=arguments.whole("grid", grid),
        least=arguments.whole("least", least),
        layout=arguments.one_of("layout", layout, LAYOUTS),
        seed=arguments.whole("seed", seed, 0),
    )
    options = Options.checked(placed, steps=steps, seed=asked.seed)
    size, layers = arguments.whole("batch_size", batch_size), _one(placed, layer)
    _require_images(placed, images, like, layout)
    folder = None if out is None else existing_folder(arguments.path("out", out))
    call: dict[str, Any] = {
        "target": target,
        "method": method or LINE,
        "workers": workers,
        "progress": progress,
    }
    whole: Any = tension(placed, images, layer, out=_file(folder, "tension"), **call)
    every = kept(images, whole)
    chosen = _largest(whole, asked.most)
    whole = _named(whole).isel({v.STIMULUS: chosen})
    shown = every.isel({v.STIMULUS: chosen})
    rows = contributions(placed, shown, layers=[layer], out=_file(folder, "channels"), **call)
    where = _places(_sums(rows[layer].to_dataset()[v.CONTRIBUTION]), asked)
    icons = _icons(where, asked)
    keep = None if folder is None else Keep(folder / "means.zarr", _facts(whole, asked))
    call["progress"] = False
    means = kept_array(keep, len(icons.row), lambda: _means(placed, shown, layer, icons, call))
    shaped = Asked(layer, means, target, [BOTH], 2.0, ATTRIBUTION)
    with studio(placed, every if like is None else like, target, layers, options) as place:
        pictures = inverted(
            place, shaped, "noise", size, out=_file(folder, "icons"), progress=progress
        )
    return _labelled(whole, where, icons, pictures, asked)


def kept(images: xr.DataArray, found: xr.Dataset) -> xr.DataArray:
    """Images that results have, in their order: without those that were broken in their files."""
    if images.sizes[v.STIMULUS] == found.sizes[v.STIMULUS]:
        return images
    return images.sel({v.STIMULUS: found[v.STIMULUS].values})


def _one(net: Network, layer: Any) -> dict[str, Layer]:
    if not isinstance(layer, str):
        raise InputError(
            came=f"layer={layer!r}", expected="the alias of one layer", hint="layer='layer1'"
        )
    return net.select_layers([layer])


def _require_images(
    net: Network, images: xr.DataArray, like: xr.DataArray | None, layout: str
) -> None:
    """Refuse before the long passes what icons could not be made of at their end."""
    if net.history is not None:
        raise InputError(
            came=f"an atlas of {net.name!r}, which sees a movie", expected="a network of images"
        )
    labels.require_free_names(getattr(images, "coords", ()), OWN, "the images")
    own = Samples.of(net, images, stream=True).window_shape
    shape = pictures_like(net, images if like is None else like).samples.window_shape
    if shape != own:
        raise InputError(
            came=f"like= with samples of shape {shape}", expected=f"the shape of the images, {own}"
        )
    if layout == "umap" and find_spec("umap") is None:
        raise InputError(
            came="layout='umap' without umap-learn",
            expected="umap-learn, or another layout",
            hint="pip install umap-learn, or layout='tsne'",
        )


class _Asked(NamedTuple):
    """How the map is made."""

    most: int
    grid: int
    least: int
    layout: str
    seed: int


def _file(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / f"{name}.zarr"


def _facts(found: xr.Dataset, asked: _Asked) -> dict[str, Any]:
    """What the mean attributions of places depend on."""
    known = provenance(found)
    return {"tension": {k: known[k] for k in known if k != "versions"}, "atlas": asked._asdict()}


def _largest(found: xr.Dataset, count: int) -> NDArray[np.intp]:
    """Places of the images with the largest Euclidean norm, in their own order."""
    norm = np.asarray(found[v.NORM].sel({v.ORDER: 2}))
    order = np.argsort(-norm, kind="stable")[:count]
    kept = np.sort(order[norm[order] > 0])
    if len(kept) < LEAST:
        raise InputError(
            came=f"{len(kept)} images with an attribution",
            expected=f"at least {LEAST}",
            hint="a target before its ReLU: net.pre_activation(...)",
        )
    return kept


def _named(found: xr.Dataset) -> xr.Dataset:
    """With places as labels of images that have none: a part of them is known by nothing else."""
    every = np.arange(found.sizes[v.STIMULUS])
    return found if v.STIMULUS in found.coords else found.assign_coords({v.STIMULUS: every})


def _sums(contribution: xr.DataArray) -> NDArray[np.float64]:
    """Attribution of every channel, summed over positions, of length 1."""
    net_sums = contribution.sum(v.SIGN) if v.SIGN in contribution.dims else contribution
    rows = np.asarray(net_sums, dtype=np.float64).reshape(contribution.sizes[v.STIMULUS], -1)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float64] = np.divide(rows, size, out=np.zeros_like(rows), where=size > 0)
    return found


def _places(rows: NDArray[np.float64], asked: _Asked) -> NDArray[np.float64]:
    """(image, 2) between 0 and 1."""
    if asked.layout == "pca":
        flat = PCA(2, svd_solver="full").fit_transform(rows)
    elif asked.layout == "tsne":
        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        plan = TSNE(perplexity=perplexity, init="pca", random_state=asked.seed, metric="cosine")
        flat = plan.fit_transform(rows.astype(np.float32))
    else:
        flat = _umap(rows, asked.seed)
    low, high = flat.min(0), flat.max(0)
    return np.asarray((flat - low) / np.where(high > low, high - low, 1), dtype=np.float64)


def _umap(rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    import umap  # noqa: PLC0415 - an extra, which takes seconds, and numba

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its seed, which takes one thread
        found = umap.UMAP(n_neighbors=10, metric="cosine", random_state=seed).fit_transform(rows)
    return np.asarray(found, dtype=np.float64)


def tensest(found: xr.DataTree, count: int | None = SHOWN) -> list[NDArray[np.intp]]:
    """Images of each icon of an atlas, the most tense first, so many of each (None: all)."""
    tension = np.asarray(found[v.EXCITATION] + found[v.INHIBITION], dtype=np.float64)
    order, of = np.argsort(-tension, kind="stable"), np.asarray(found["icon_of_image"])
    return [order[of[order] == i][:count] for i in range(found["icons"].sizes[v.ICON])]


class _Icons(NamedTuple):
    """Places of the grid that have an icon."""

    of_image: NDArray[np.intp]  # (image): its icon, -1 for none
    row: NDArray[np.intp]
    column: NDArray[np.intp]
    images: NDArray[np.intp]  # how many each has


def _icons(where: NDArray[np.float64], asked: _Asked) -> _Icons:
    side = asked.grid
    steps = np.minimum((where * side).astype(np.intp), side - 1)
    flat = steps[:, 1] * side + steps[:, 0]
    places, inverse, counts = np.unique(flat, return_inverse=True, return_counts=True)
    kept = counts >= asked.least
    if not kept.any():
        raise InputError(
            came=f"at most {counts.max()} images in a place of a grid of {side} x {side}",
            expected=f"a place with at least {asked.least}",
            hint=f"grid={max(1, int(np.sqrt(len(where) / asked.least / 2)))}",
        )
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    row, column = np.divmod(places[kept], side)
    return _Icons(number[inverse].astype(np.intp), row, column, counts[kept])


def _means(
    net: Network, images: xr.DataArray, layer: str, icons: _Icons, call: dict[str, Any]
) -> xr.DataArray:
    """Mean over the images of an icon of the size of their attributions, S+ and S- apart."""
    total: NDArray[np.float64] | None = None
    dims: tuple[Any, ...] = ()
    for first in range(0, len(icons.of_image), BLOCK):
        own = icons.of_image[first : first + BLOCK]
        if (own < 0).all():
            continue
        some = images.isel({v.STIMULUS: slice(first, first + BLOCK)})
        tree = contributions(net, some, layers=[layer], reduce="none", **call)
        array = tree[layer].to_dataset()[v.CONTRIBUTION]
        values, dims = np.asarray(array, dtype=np.float64), array.dims
        if total is None:
            total = np.zeros((len(icons.row), 2, *values.shape[1:]))
        used = own >= 0
        np.add.at(total[:, 0], own[used], values[used].clip(min=0))
        np.add.at(total[:, 1], own[used], (-values[used]).clip(min=0))
    sums = np.zeros((0, 2)) if total is None else total
    means = sums / icons.images.reshape(-1, *(1,) * (sums.ndim - 1))
    return xr.DataArray(means, {v.SIGN: [*v.SIGNS]}, (dims[0], v.SIGN, *dims[1:]))


def _labelled(
    found: xr.Dataset,
    where: NDArray[np.float64],
    icons: _Icons,
    pictures: xr.Dataset,
    asked: _Asked,
) -> xr.DataTree:
    target = np.asarray(found[v.TARGET], dtype=np.float64)
    every = range(len(icons.row))
    mean = np.array([target[icons.of_image == i].mean() for i in every])
    spread = np.array(
        [target[icons.of_image == i].std(ddof=int(n > 1)) for i, n in enumerate(icons.images)]
    )
    made = pictures.isel({v.SIGN: 0}, drop=True).rename({v.STIMULUS: v.ICON})
    units = found[v.TARGET].attrs.get("units", "")
    numbers = {
        "mean_target": (mean, units),
        v.STANDARD_ERROR: (spread / np.sqrt(icons.images), units),
        "n_images": (icons.images, None),
        "row": (icons.row, None),
        "column": (icons.column, None),
        v.CONFIRMED: (np.sign(mean) == np.sign(np.asarray(made[v.TARGET])), None),
    }
    dims = {v.ICON: np.arange(len(icons.row))}
    own = {n: labelled(x, (v.ICON,), dims, name=n, units=u) for n, (x, u) in numbers.items()}
    images = {n: found[n] for n in (v.EXCITATION, v.INHIBITION, v.TARGET)}
    for name, values in zip(("atlas_x", "atlas_y"), where.T, strict=True):
        images[name] = labelled(values, (v.STIMULUS,), name=name)
    images["icon_of_image"] = labelled(icons.of_image, (v.STIMULUS,), name="icon_of_image")
    nodes = {
        "/": xr.Dataset(images),
        "/icons": made.drop_vars(v.CONFIRMED).assign(own).assign_coords(dims),
    }
    facts = {"atlas": asked._asdict(), "tension": provenance(found), "icons": provenance(pictures)}
    return stamp(xr.DataTree.from_dict(nodes), "nc.attribution_atlas", **facts)
