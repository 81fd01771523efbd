"""What a mode is strongest on: images, and the part of them that acts through it, with controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.categories.top_samples import HELD_OUT, top_samples
from neurocodec.errors import InputError
from neurocodec.maps.contribution_maps import contribution_maps
from neurocodec.maps.examples import top_channels
from neurocodec.modes.decomposition import Decomposition
from neurocodec.network import Network, Preprocessing
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import InputGrad
from neurocodec.nn.attribution.target import Target
from neurocodec.plotting.maps import captions, panels
from neurocodec.plotting.maps.displayable import displayable, require_images
from neurocodec.plotting.maps.grid import MOST_PANELS, head, panel_grid, side
from neurocodec.plotting.maps.panels import Look

WORDS: Final = {"top": "strongest", "median": "median", "random": "random"}
_PLACE: Final = (v.KIND, v.RANK)
_RANKED: Final = (v.MODE, *_PLACE)
_SAID: Final = (
    "Of each mode the images with the largest loadings, those next to the median of its loadings "
    "above 0, and random ones, the same for all modes."
)


def plot_gallery(
    modes: Decomposition | xr.DataArray | xr.Dataset,
    images: xr.DataArray,
    *,
    maps: bool | xr.Dataset = False,
    net: Network | None = None,
    target: Target | None = None,
    method: Method | None = None,
    show: Sequence[Any] | None = None,
    k: int = 4,
    seed: int = 0,
    filter: int | None = None,  # noqa: A002 - what the option does
    contrast: float = 0.7,
    quantile: float = 0.99,
    preprocessing: Preprocessing | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    r"""Draw the images that modes are strongest on; a median and a random row are the controls.

    Parameters
    ----------
    modes
        Fitted modes, loadings (stimulus, mode), or what `nc.top_samples` returns.
    images
        The images (stimulus, color, y, x) that the loadings are of, as the network takes them or
        as they can be looked at; only those that are shown are read.
    maps
        Whether each image stands beside the part of it that acts through the mode at excitatory
        positions; these are made here, of the images that are shown alone. Or maps of these images
        and modes, as `nc.contribution_maps` returns them.
    net, target, method
        Of maps that are made here, as `nc.contribution_maps` takes them; modes are then fitted ones
        of a layer of `net`; all maps of a mode have one scale.
    show
        Names of the modes to draw, in this order; the first ones that fit where None.
    k, seed
        Images of each kind, and of the random ones, where `modes` are not those of
        `nc.top_samples`.
    filter, contrast, quantile, preprocessing
        As `nc.plot.maps` takes them.
    title, note
        Written above, and first in the caption.

    Returns
    -------
    matplotlib.figure.Figure
        Three rows for each mode, with class and loading above each image; "held out" where the
        mode was not fitted to it.

    Raises
    ------
    InputError
        Where images and loadings do not fit each other, or maps are wanted of what says no layer.

    Examples
    --------
    >>> loadings = xr.DataArray([[0.0], [3.0], [1.0]], dims=("stimulus", "mode"))
    >>> images = xr.DataArray(np.ones((3, 3, 8, 8)), dims=("stimulus", "color", "y", "x"))
    >>> figure = plot_gallery(loadings, images, k=2)
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['image 1\nloading 3.00', 'image 2\nloading 1.00']
    """
    found = top_samples(modes, k, seed=seed) if not isinstance(modes, xr.Dataset) else modes
    wanted = not isinstance(maps, bool | np.bool_) or bool(maps)
    found = _shown(_ranked(found), show, 2 if wanted else 1)
    places, used = _places(found, images)
    images = images.isel({v.STIMULUS: used}).load()
    masks = None
    if isinstance(maps, bool | np.bool_):
        asked = _Asked(net, target, method)
        masks = _made(modes, asked, found, images, places) if maps else None
    else:
        masks = _taken(maps, found, images, places)
    preprocessing = preprocessing or (None if net is None else net.preprocessing)
    pictures, how = displayable(images, preprocessing)
    look = panels.look_of(
        [pictures if masks is None else masks],
        kind="masked",
        filter=filter,
        contrast=contrast,
        quantile=quantile,
        shared=False,
    )
    figure = _drawn(found, pictures.values[np.maximum(places, 0)], masks, look)
    shared = [] if masks is None else [replace(look.shared([masks]), sharing="the maps of a mode")]
    parts = [note, _SAID, *(one.caption() for one in shared), how]
    return captions.captioned(figure, *parts, title=title)


class _Asked(NamedTuple):
    """What maps are made with."""

    net: Network | None
    target: Target | None
    method: Method | None


def _ranked(found: xr.Dataset) -> xr.Dataset:
    if not {"loading", v.RANKED_POSITION} <= {*found} or {*found["loading"].dims} != {*_RANKED}:
        raise InputError(
            came=f"a Dataset with {sorted(map(str, found))} over {tuple(map(str, found.dims))}",
            expected="what nc.top_samples returns, fitted modes, or loadings",
            hint="nc.plot.gallery(nc.top_samples(modes), images)",
        )
    return found.transpose(*_RANKED)


def _shown(found: xr.Dataset, show: Sequence[Any] | None, wide: int) -> xr.Dataset:
    """Modes that are drawn: those that are wanted, or the first that fit into a figure."""
    most = max(1, MOST_PANELS // (found.sizes[v.KIND] * found.sizes[v.RANK] * wide))
    if show is None:
        return found.isel({v.MODE: slice(most)})
    known = found[v.MODE].values.tolist()
    for name in show:
        arguments.one_of("mode", name, known)
    return found.sel({v.MODE: list(show)})


def _places(found: xr.Dataset, images: xr.DataArray) -> tuple[NDArray[Any], NDArray[Any]]:
    """Place of each among the images that are used (-1 for none), and which those are."""
    require_images(images)
    if v.STIMULUS not in images.dims:
        raise InputError(
            came=f"images over {tuple(map(str, images.dims))}",
            expected="images over stimulus, of which the modes say which are the strongest",
        )
    own = found[v.RANKED_POSITION].values
    there, count = own >= 0, images.sizes[v.STIMULUS]
    if v.STIMULUS in images.coords and v.STIMULUS in found.coords:
        index = images.get_index(v.STIMULUS)
        names = xr.DataArray(found[v.STIMULUS].values.ravel(), dims=v.STIMULUS).to_index()
        own = np.where(there, index.get_indexer(names).reshape(own.shape), -1)
    missing = there & ((own < 0) | (own >= count))
    if missing.any():
        raise InputError(
            came=f"{count} images without {int(missing.sum())} of those that are the strongest",
            expected="the images that the loadings are of",
            hint="nc.plot.gallery(modes.transform(rows), images) with the rows of these images",
        )
    used, places = np.unique(own[there], return_inverse=True)
    filled = np.full(own.shape, -1)
    filled[there] = places
    return filled, used


def _made(
    modes: Any, asked: _Asked, found: xr.Dataset, images: xr.DataArray, places: NDArray[Any]
) -> xr.DataArray:
    """Maps (mode, kind, rank, color, y, x) of the images that each mode is shown with; else NaN."""
    net, target, layer = asked.net, asked.target, _layer(modes)
    if net is None or target is None or layer is None:
        told = {"net=": net, "target=": target, "modes that say their layer": layer}
        raise InputError(
            came=f"maps=True without {', '.join(k for k, x in told.items() if x is None)}",
            expected="what maps are made with, or the maps",
            hint="nc.plot.gallery(modes, images, maps=True, net=net, target=target) with modes"
            " fitted to tree['layer']",
        )
    rows = []
    for row, mode in zip(places, found[v.MODE].values, strict=True):
        used = np.unique(row[row >= 0])
        one = contribution_maps(
            net,
            images.isel({v.STIMULUS: used}),
            layer,
            modes=modes.dictionary.sel({v.MODE: [mode]}),
            target=target,
            method=asked.method or InputGrad(),
            sign=v.EXCITATORY,
            top=top_channels(modes.dictionary.sizes[v.CHANNEL]),
            progress=False,
        )
        array = panels.map_array(one.isel({v.MODE: 0}, drop=True))
        rows.append(array.isel({v.STIMULUS: xr.DataArray(np.searchsorted(used, row), dims=_PLACE)}))
    return xr.concat(rows, v.MODE, coords="minimal", compat="override", join="override")


def _layer(modes: Any) -> str | None:
    """Layer that modes were fitted to, where they say so."""
    if not isinstance(modes, Decomposition):
        return None
    origin = labels.provenance(modes.dictionary).get("contributions") or {}
    return str(origin["layer"]) if "layer" in origin else None


def _taken(
    maps: xr.Dataset, found: xr.Dataset, images: xr.DataArray, places: NDArray[Any]
) -> xr.DataArray:
    """The same of maps that came, by the names of images and modes."""
    array = panels.map_array(maps)
    if v.SIGN in array.dims:
        array = array.sel({v.SIGN: v.EXCITATORY})
    if {*array.dims} - {*panels.SPACE} != {v.STIMULUS, v.MODE}:
        raise InputError(
            came=f"maps over {tuple(map(str, array.dims))}",
            expected="maps over stimulus, mode, color, y and x",
            hint="nc.contribution_maps(net, images, layer, modes=modes, target=target)",
        )
    for dim, wanted in ((v.MODE, found[v.MODE].values), (v.STIMULUS, _names(images))):
        known = array.get_index(dim) if dim in array.coords else np.arange(array.sizes[dim])
        absent = [name for name in wanted.tolist() if name not in {*known.tolist()}]
        if absent:
            raise InputError(
                came=f"maps without the {dim} {absent[0]!r}, which is shown",
                expected="maps of all images and modes that are shown, or maps=True",
            )
        array = array.isel({dim: [known.tolist().index(name) for name in wanted.tolist()]})
    inside = xr.DataArray(np.maximum(places, 0), dims=(v.MODE, *_PLACE))
    return array.isel(
        {v.STIMULUS: inside, v.MODE: xr.DataArray(np.arange(len(places)), dims=v.MODE)}
    )


def _names(images: xr.DataArray) -> NDArray[Any]:
    known = v.STIMULUS in images.coords
    return images[v.STIMULUS].values if known else np.arange(images.sizes[v.STIMULUS])


def _drawn(
    found: xr.Dataset,
    pictures: NDArray[Any],  # (mode, kind, rank, color, y, x)
    masks: xr.DataArray | None,
    look: Look,
) -> Figure:
    modes, kinds, ranks = (found.sizes[d] for d in _RANKED)
    wide = 1 if masks is None else 2
    aspect = pictures.shape[-2] / pictures.shape[-1]
    texts = [[_text(found, i, j, n) for n in range(ranks)] for i, j in np.ndindex(modes, kinds)]
    lines = sum(max(text.count("\n") + 1 for text in row) for row in texts)
    looks = [
        look if masks is None else look.shared([masks.isel({v.MODE: i})]) for i in range(modes)
    ]
    figure, axes = panel_grid(modes * kinds, ranks * wide, aspect, lines=lines, groups=ranks)
    there = found[v.RANKED_POSITION].values >= 0
    for row, (i, j) in enumerate(np.ndindex(modes, kinds)):
        for n in range(ranks):
            own = axes[row, n * wide : (n + 1) * wide]
            if not there[i, j, n]:
                panels.empty_all(own)
                continue
            panels.draw_image(own[0], pictures[i, j, n])
            head(own[0], texts[row][n])
            if masks is not None:
                values = masks.isel({v.MODE: i, v.KIND: j, v.RANK: n}).transpose(*panels.SPACE)
                panels.draw_map(own[1], values.values, pictures[i, j, n], "masked", looks[i])
        kind = str(found[v.KIND].values[j])
        name = f"mode {found[v.MODE].values[i]}\n" if j == 0 else ""
        side(axes[row, 0], name + WORDS.get(kind, kind))
    return figure


def _text(found: xr.Dataset, *place: int) -> str:
    """Class, loading and whether the mode was fitted to one image."""
    one = found.isel(dict(zip(_RANKED, place, strict=True)))
    if int(one[v.RANKED_POSITION]) < 0:
        return ""
    held = HELD_OUT in one and bool(one[HELD_OUT])
    if v.STIMULUS not in one.coords:
        one = one.assign_coords({v.STIMULUS: int(one[v.RANKED_POSITION])})
    return captions.rank_text(one) + "\nheld out" * held
