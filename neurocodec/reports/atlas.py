"""`nc.atlas_page`: an attribution atlas to walk through in a browser, as one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, warn
from neurocodec.plotting import style
from neurocodec.plotting.atlas import colors_of, limit_of, parts_of
from neurocodec.plotting.pictures import displayed, seen
from neurocodec.reports.page import filled
from neurocodec.storage.files import existing_folder, whole_file
from neurocodec.synthesis.atlas import tensest

PAGE: Final = "atlas.html"
ICON: Final = 128
"""Pixels along the longer side of an icon, at most."""
SMALL: Final = 64
"""The same of an image."""
QUALITIES: Final = (88, 80, 65, 45)
"""Of JPEG; the next one where the page would become larger than `LARGE`."""
LARGE: Final = 15_000_000
"""Characters that a page is kept below."""
NEAR: Final = 1e-3
"""How far values of a picture may be outside of 0 to 1."""
SHADES: Final = 11
"""Of the legend."""


def atlas_page(
    found: xr.DataTree, images: xr.DataArray, folder: str | Path, *, title: str = ""
) -> Path:
    """Write an attribution atlas as a page that opens offline: one file, to zoom and to look into.

    Under the pointer, or the keyboard's focus, a place shows the images that lie there; a click
    lists all of them, and the address of the page then holds the place and the view.

    Parameters
    ----------
    found
        As `nc.attribution_atlas` returns it.
    images
        Pictures for people, between 0 (black) and 1: (stimulus, color, y, x), or (stimulus, y, x);
        those of the atlas by their labels, or all that it was made of in their order. Only those
        that are shown are read.
    folder
        Gets `atlas.html`.
    title
        Of the page.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        Where the atlas and the images do not belong together, or are no pictures.
    StorageError
        Where the page cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurocodec as nc
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 2, 3), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"hidden": "1", "pre": "2"})
    >>> draw = np.random.default_rng(0)
    >>> images = xr.DataArray(draw.uniform(size=(30, 3, 6, 6)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> unit = nc.targets.Feature("pre", [1.0, 0.0], position="center")
    >>> found = nc.attribution_atlas(net, images, "hidden", target=unit, grid=2, like=images,
    ...                              layout="pca", steps=3, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nc.atlas_page(found, images, folder).name
    'atlas.html'
    """
    data = atlas_data(found, images)
    shown = title or f"Attribution atlas: {data['words']}"
    page = filled("atlas.html.j2", data=data, title=shown, style=style)
    if len(page) > LARGE:
        warn(
            f"the atlas has {len(page) / 1e6:.0f} MB; a smaller grid= or count= of"
            " nc.attribution_atlas makes a page that opens everywhere"
        )
    with whole_file(existing_folder(folder) / PAGE) as scratch:
        scratch.write_text(page, "utf-8")
    return Path(folder) / PAGE


def atlas_data(found: xr.DataTree, images: xr.DataArray) -> dict[str, Any]:
    """Gather and pack what the page shows, as a dict that JSON can hold."""
    icons, grid = parts_of(found)
    root = found.to_dataset().load()
    pictures = _pictures(images)
    limit = limit_of(icons)
    members, shown = tensest(found, None), tensest(found)
    where = _matched(root, pictures, np.concatenate(shown))
    small = [_strip(pictures, where[some]) for some in shown]
    large = [_icon(icons.isel({v.ICON: i})) for i in range(len(members))]
    data = {
        "words": _words(found),
        "grid": grid,
        "units": str(icons[v.TARGET].attrs.get("units", "")),
        "limit": limit,
        "shades": list(colors_of(np.linspace(-limit, limit, SHADES), limit)),
        "colors": list(colors_of(icons[v.TARGET].values, limit)),
        "images": _numbers(root),
        "icons": [_place(icons.isel({v.ICON: i}), m) for i, m in enumerate(members)],
    }
    return {**data, **_packed(large, small)}


def _pictures(images: Any) -> xr.DataArray:
    """Pictures with their samples first."""
    dims = {*getattr(images, "dims", ())}
    if not isinstance(images, xr.DataArray) or dims - {v.COLOR} != {v.STIMULUS, v.Y, v.X}:
        raise InputError(
            came=f"images with the dims {tuple(getattr(images, 'dims', (type(images).__name__,)))}",
            expected="pictures (stimulus, color, y, x) or (stimulus, y, x), between 0 and 1",
        )
    return images.transpose(v.STIMULUS, v.Y, v.X, ...)


def _matched(root: xr.Dataset, images: xr.DataArray, wanted: NDArray[np.intp]) -> NDArray[np.intp]:
    """Place among the images of each that the atlas has; of those that are wanted it is known."""
    count, known = images.sizes[v.STIMULUS], root.get_index(v.STIMULUS)
    nowhere = np.full(len(known), -1)
    if v.STIMULUS in images.coords and v.STIMULUS in root.coords:
        own = images.get_index(v.STIMULUS)
        places = own.get_indexer(known) if own.is_unique else nowhere
    elif known.dtype.kind in "iu" and v.STIMULUS in root.coords:  # they had no labels
        places = np.where(known < count, known, -1)
    else:
        places = np.arange(len(known)) if len(known) == count else nowhere
    missing = wanted[places[wanted] < 0]
    if len(missing):
        raise InputError(
            came=f"{count} images without {len(missing)} that the atlas shows, as"
            f" {known[missing][:3].tolist()}",
            expected="the images that the atlas was made of, each label once",
            hint="the images that nc.attribution_atlas was given, as pictures",
        )
    return np.asarray(places, dtype=np.intp)


def _numbers(root: xr.Dataset) -> dict[str, list[Any]]:
    """What is told of every image, in the order of the atlas."""
    own = root[v.SOURCE].values if v.SOURCE in root.coords else root.get_index(v.STIMULUS)
    names = [str(name) for name in own]
    if v.LABEL in root.coords:
        classes = labels.class_names(root[v.LABEL])
        names = [f"{n} ({c})" if c else n for n, c in zip(names, classes, strict=True)]
    told = (v.EXCITATION, v.INHIBITION, v.TARGET)
    return {"label": names, **{n: [_short(x) for x in root[n].values.tolist()] for n in told}}


def _place(one: xr.Dataset, members: NDArray[np.intp]) -> dict[str, Any]:
    """What is told of a place."""
    whole = {n: int(one[n]) for n in ("row", "column", "n_images")}
    names = [n for n in (v.TARGET, "mean_target", v.STANDARD_ERROR) if n in one]
    numbers = {n: _short(float(one[n])) for n in names}
    return {**whole, **numbers, v.CONFIRMED: bool(one[v.CONFIRMED]), "images": members.tolist()}


def _short(number: float) -> float | None:
    """Number with as many digits as anybody reads; None where there is none."""
    return float(f"{number:.4g}") if np.isfinite(number) else None


def _words(found: xr.DataTree) -> str:
    """What of which network the atlas is about."""
    facts = labels.provenance(found)
    run = facts.get("tension", {})
    read = run.get("target", {}).get("parameters", {})
    vector = np.asarray(read.get("vector") or [], dtype=float)
    one = int(vector.argmax()) if np.count_nonzero(vector) == 1 and vector.max() > 0 else None
    what = "a direction" if one is None else f"channel {one}"
    layer = next(iter(run.get("layers", {})), "a layer")
    return f"{what} of {read.get('name', 'the target')} by {layer}, {run.get('model', '')}"


def _icon(one: xr.Dataset) -> Image.Image:
    """Icon, faded where nothing depends on it."""
    return _fitted(seen(one[v.IMAGE], one[v.OPACITY]), ICON)


def _strip(images: xr.DataArray, chosen: NDArray[np.intp]) -> Image.Image:
    """Some images side by side, each in the middle of a square."""
    some = images.isel({v.STIMULUS: np.sort(chosen)}).load()
    values = np.asarray(some, dtype=np.float64)
    if not np.isfinite(values).all() or values.min() < -NEAR or values.max() > 1 + NEAR:
        low, high = float(values.min()), float(values.max())
        raise InputError(
            came=f"pictures with values from {low:.3g} to {high:.3g}",
            expected="values between 0 (black) and 1: without the network's normalisation",
            hint="images / 255" if low >= 0 and high > 2 else "images * deviation + mean",
        )
    back = np.argsort(np.argsort(chosen))
    shown = [_fitted(displayed(some.isel({v.STIMULUS: int(i)})), SMALL) for i in back]
    side = max(max(one.size) for one in shown)
    strip = Image.new("RGB", (side * len(shown), side), "white")
    for i, one in enumerate(shown):
        strip.paste(one, (i * side + (side - one.width) // 2, (side - one.height) // 2))
    return strip


def _fitted(picture: NDArray[np.float64], side: int) -> Image.Image:
    """Picture with at most so many pixels along its longer side."""
    made = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
    times = side // max(made.size)
    if times > 1:  # JPEG would blur the colours of single pixels
        return made.resize((made.width * times, made.height * times), Image.Resampling.NEAREST)
    made.thumbnail((side, side), Image.Resampling.LANCZOS)
    return made


class _Sheets(NamedTuple):
    """Pictures as addresses."""

    pictures: list[str]
    strips: list[str]


def _packed(large: Sequence[Image.Image], small: Sequence[Image.Image]) -> Mapping[str, list[str]]:
    """Pictures in the best quality with which the page stays small."""
    found = _Sheets([], [])
    for quality in QUALITIES:
        found = _Sheets(*([_address(x, quality) for x in many] for many in (large, small)))
        if sum(map(len, (*found.pictures, *found.strips))) < 0.9 * LARGE:  # numbers beside
            break
    return found._asdict()


def _address(picture: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
