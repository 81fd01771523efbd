"""`nc.concept_page`: graphs of concept vectors to walk through in a browser, as one file."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from PIL import Image

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.concepts.analyse import ConceptAnalysis
from neurocodec.concept_graphs.examples import require_different
from neurocodec.concept_graphs.exports import export_graph
from neurocodec.concept_graphs.tables import ALL, CONCEPT, FROM, TO, require_graph
from neurocodec.errors import InputError, warn
from neurocodec.plotting import style
from neurocodec.reports.page import filled
from neurocodec.storage.files import existing_folder, whole_file

PAGE: Final = "concepts.html"
LARGE: Final = 15_000_000
"""Characters that a page is kept below."""
QUALITIES: Final = (85, 70, 50)
"""Of JPEG; the next one where the page would become larger than `LARGE`."""
SHADES: Final = 21
SIDE: Final = 224
"""Pixels along the longer side of an image, at most."""

Data = dict[str, Any]


def concept_page(
    found: xr.DataTree | Mapping[str, xr.DataTree],
    folder: str | Path,
    *,
    cards: xr.DataTree | None = None,
    images: xr.DataArray | None = None,
    title: str = "",
) -> Path:
    """Write graphs of concept vectors as a page that opens offline: one file, to walk through.

    Layers are rows, the answers at the top. A click on a node, or Enter, shows its card and its
    edges; the address of the page holds the choice.

    Parameters
    ----------
    found
        As `nc.concept_graph` returns it; or several by the name of their data set.
    folder
        Gets `concepts.html`.
    cards
        What the nodes stand for, as `nc.concept_examples` returns it.
    images
        Pictures for people, between 0 (black) and 1: (stimulus, color, y, x), of some of the
        images of the graph by their labels. The page shows the graph of each.
    title
        Of the page.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        Where it is no graph, or the images are not among its own.
    StorageError
        Where the page cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import neurocodec as nc
    >>> nodes = xr.Dataset({"contribution": (("category", "node"), [[2.0, 2.0]])},
    ...                    {"category": ["cat"], "node": ["late:3", "cat"],
    ...                     "layer": ("node", ["late", "answer"]), "mode": ("node", [3, 0]),
    ...                     "kind": ("node", ["concept", "answer"])})
    >>> edges = xr.Dataset({"edge_contribution": (("category", "edge"), [[2.0]])},
    ...                    {"category": ["cat"], "edge": ["late:3 -> cat"],
    ...                     "from_node": ("edge", ["late:3"]), "to_node": ("edge", ["cat"])})
    >>> found = xr.DataTree.from_dict({"nodes": nodes, "edges": edges})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nc.concept_page(found, folder).name
    'concepts.html'
    """
    several = isinstance(found, Mapping) and not isinstance(found, xr.DataTree)  # which is one too
    named: dict[str, Any] = dict(found) if several else {"": found}
    if not named:
        raise InputError(came="no graph", expected="at least one", hint="{'photographs': graph}")
    shown = title or "Concept vectors and what they make"
    return _written(named, folder, cards=cards, images=images, title=shown, facts={})


def _written(
    named: Mapping[str, xr.DataTree],
    folder: str | Path,
    *,
    cards: xr.DataTree | None,
    images: xr.DataArray | None,
    title: str,
    facts: Mapping[str, str],
    tables: Mapping[str, Data] | None = None,  # of changes predicted and measured, of controls
) -> Path:
    """Write the page in the best quality with which it stays small."""
    page = ""
    for quality in QUALITIES:
        data = page_data(named, cards, images, quality)
        page = filled(
            "concepts.html.j2",
            data=data,
            title=title,
            style=style,
            facts=facts,
            tables=tables or {},
        )
        if len(page) <= LARGE:
            break
    else:
        warn(
            f"the page has {len(page) / 1e6:.0f} MB; fewer layers, categories or images=, or a"
            " smaller top= of nc.concept_graph make a page that opens everywhere"
        )
    with whole_file(existing_folder(folder) / PAGE) as scratch:
        scratch.write_text(page, "utf-8")
    return Path(folder) / PAGE


def write_concept_report(
    analysis: ConceptAnalysis, folder: str | Path, *, settings: Mapping[str, Any] | None = None
) -> Path:
    """Write the page of an analysis, and its graph for other programs."""
    run = labels.provenance(analysis.graph)
    facts = {
        "network": analysis.model,
        "weights (SHA-256)": str(run.get("weights_sha256", "")),
        "concept vectors": ", ".join(
            f"{name} {own.dictionary.sizes[v.MODE]:,}" for name, own in analysis.vectors.items()
        ),
        "images are of a category by": str(run.get("images_by", "")),
        **(settings or {}),
    }
    nodes, _ = require_graph(analysis.graph)
    known = nodes[v.CATEGORY].values.astype(str).tolist()
    place = Path(folder) / "graph"
    export_graph(analysis.graph, place)
    for i, category in enumerate(known[1:], start=1):
        # a name may hold what no folder's may, and two be the same without it
        plain = re.sub(r"\W+", "-", category)
        own = place / f"{i}-{plain}"
        export_graph(analysis.graph, own, category=category)
    names = [name for name in known if name != ALL]
    title = f"Concept vectors of {analysis.model}: {', '.join(names[:4])}"
    cards, images = analysis.cards, analysis.pictures
    named = {"": analysis.graph}
    tables = {"truth": _truth(analysis.interventions), "controls": _controls(analysis.controls)}
    return _written(
        named, folder, cards=cards, images=images, title=title, facts=facts, tables=tables
    )


def _controls(found: xr.Dataset) -> Data:
    """What codes leave of rows, as the rows of a table."""
    values = found["relative_l2"]
    heads = [KINDS.get(str(x), str(x)) for x in found[v.KIND].values]
    rows = [
        [str(layer), *(f"{x:.2f}" for x in own)]
        for layer, own in zip(found[v.LAYER].values, values.values, strict=True)
    ]
    return {"heads": heads, "rows": rows}


KINDS: Final = {
    "bisecting": "concept vectors",
    "exemplars": "rows drawn at random",
    "random": "random directions",
}


def _truth(found: xr.Dataset | None) -> Data:
    """Correlations of predicted with measured changes, as the rows of a table."""
    if found is None:
        return {}
    name = v.MEDIAN_CORRELATION
    columns = [(g, f) for f in found[v.FRACTION].values for g in found[v.GRAPH].values]
    rows = []
    for layer in found[v.LAYER].values:
        at = found.sel({v.LAYER: layer})
        cells = [
            _with_ends(float(one[name]), one[f"{name}_interval"].values)
            for one in (at.sel({v.GRAPH: g, v.FRACTION: f}) for g, f in columns)
        ]
        rows.append([f"{layer} to {at['to_layer'].item()}", *cells])
    told = {0.0: "one alone", 0.5: "half of them"}
    heads = [f"{GRAPHS.get(str(g), g)}, {told.get(float(f), f'{f:.0%}')}" for g, f in columns]
    return {"heads": heads, "rows": rows, "images": int(found["n_images"])}


GRAPHS: Final = {"gig": "contributions", "actgrad": "ActGrad", "random": "random graph"}


def _with_ends(middle: float, ends: NDArray[Any]) -> str:
    """A number and its interval, where there are any."""
    if not np.isfinite(middle):
        return "too few changes"
    low, high = (f"{end:z.2f}" for end in ends)
    return f"{middle:z.2f}" + (f" [{low}, {high}]" if np.isfinite(ends).all() else "")


def page_data(
    graphs: Mapping[str, xr.DataTree],
    cards: xr.DataTree | None,
    images: xr.DataArray | None,
    quality: int = QUALITIES[0],
) -> Data:
    """What the page shows, as a dict that JSON can hold."""
    colors = mpl.colormaps[style.CONTRIBUTIONS](np.linspace(0, 1, SHADES))
    return {
        "shades": [to_hex(c) for c in colors],
        "sets": [_set(name, tree, images, quality) for name, tree in graphs.items()],
        "cards": {} if cards is None else _cards(graphs, cards, quality),
    }


def _set(name: str, tree: xr.DataTree, images: xr.DataArray | None, quality: int) -> Data:
    """One graph: what its nodes and edges are, and the numbers of each choice."""
    nodes, edges = require_graph(tree)
    names = nodes[v.NODE].values.astype(str).tolist()
    place = {node: i for i, node in enumerate(names)}
    ends = (edges[end].values.astype(str).tolist() for end in (FROM, TO))
    layers = list(dict.fromkeys(nodes[v.LAYER].values.astype(str).tolist()))
    parts = [nodes, edges]
    if "layers" in tree.children:
        parts.append(tree["layers"].to_dataset())
    entries = [
        _entry(f"class:{c}", str(c), *(part.sel({v.CATEGORY: c}) for part in parts))
        for c in nodes[v.CATEGORY].values.tolist()
    ]
    own = [] if images is None else _images(tree, images, quality)
    return {
        "name": name,
        "layers": layers,
        "nodes": {
            "name": names,
            "layer": [layers.index(x) for x in nodes[v.LAYER].values.astype(str).tolist()],
            "mode": nodes[v.MODE].values.tolist(),
            "kind": nodes[v.KIND].values.astype(str).tolist(),
            "shared": _flags(nodes, "shared"),
        },
        "edges": [[place[a] for a in end] for end in ends],
        "entries": entries,
        "images": own,
    }


_SHORT: Final = {
    v.CONTRIBUTION: "c",
    v.INFLUENCE: "i",
    "active_images": "active",
    "edge_contribution": "e",
    "edge_share": "share",
    "edge_influence": "flow",
    "through_concepts": "through",
    "followed_share": "followed",
    "shown_share": "drawn",
    "replacement": "replacement",
}
"""Variable -> name in the page."""


def _entry(key: str, name: str, *tables: xr.Dataset) -> Data:
    """Numbers of one choice."""
    found: Data = {"key": key, "name": name}
    for table in tables:
        for variable, short in _SHORT.items():
            if variable in table and short not in found:
                found[short] = _numbers(table[variable].values)
            ends = f"{variable}_interval"
            if ends in table:
                found[f"{short}_range"] = _numbers(table[ends].values)
        if "shown" in table:
            found["shown"] = _flags(table, "shown")
        if "n_images" in table.coords:
            found["n"] = int(table["n_images"])
    return found


def _flags(table: xr.Dataset, name: str) -> list[int]:
    given = table[name].values if name in table else np.ones(table.sizes[v.NODE])
    return [int(x) for x in given]


def _numbers(values: Any) -> Any:
    """Numbers with as many digits as those of the file have, so that they are the same."""
    single = np.asarray(values, dtype=np.float32)
    texts = [float(str(x)) if np.isfinite(x) else None for x in single.ravel()]
    if single.ndim < 2:
        return texts if single.ndim else texts[0]
    size = single.shape[-1]
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def _images(tree: xr.DataTree, images: xr.DataArray, quality: int) -> list[Data]:
    """The graph of each image that has a picture."""
    dims = {*getattr(images, "dims", ())}
    if not isinstance(images, xr.DataArray) or dims - {v.COLOR} != {v.STIMULUS, v.Y, v.X}:
        raise InputError(
            came=f"images with the dims {tuple(getattr(images, 'dims', (type(images).__name__,)))}",
            expected="pictures (stimulus, color, y, x) or (stimulus, y, x), between 0 and 1",
        )
    if "images" not in tree.children:
        raise InputError(came="a graph without its images", expected="nc.concept_graph's result")
    table = tree["images"].to_dataset()
    where = require_different(table).get_indexer(require_different(images))
    if (where < 0).any():
        return []  # of another data set
    rows = images.transpose(v.STIMULUS, v.Y, v.X, ...)
    found = list[Data]()
    for i, place in enumerate(where.tolist()):
        one = table.isel({v.STIMULUS: place})
        told = one[v.SOURCE] if v.SOURCE in one.coords else one[v.STIMULUS]
        own = _entry(f"image:{one[v.STIMULUS].item()}", str(told.item()), one.load())
        own["category"] = str(one[v.CATEGORY].item())
        own["picture"] = _address(_picture(rows[i].values, SIDE), quality)
        found.append(own)
    return found


def _cards(graphs: Mapping[str, xr.DataTree], cards: xr.DataTree, quality: int) -> Data:
    """Card of each node, by its name."""
    found: Data = {}
    for tree in graphs.values():
        nodes, _ = require_graph(tree)
        for i in np.flatnonzero(nodes[v.KIND].values.astype(str) == CONCEPT):
            layer, mode = str(nodes[v.LAYER].values[i]), int(nodes[v.MODE].values[i])
            own = cards.children[layer].to_dataset() if layer in cards.children else None
            if own is not None and mode in own.get_index(v.MODE):
                own = own.sel({v.MODE: mode})
                found[str(nodes[v.NODE].values[i])] = _card(own, quality)
    return found


SCORES: Final = ("stability", "chance", "control_rank", "n_controls", "active_share")
"""What is known of concept vectors, beside their pictures."""


def _card(own: xr.Dataset, quality: int) -> Data:
    """Pictures, their captions, numbers, and where it is in images."""
    found: Data = {n: _numbers(own[n].values) for n in SCORES if n in own}
    if "example_picture" in own:
        rows = own["example_picture"].transpose(v.RANK, "picture_y", "picture_x", ...).values
        found["fields"] = _address(_strip([_picture(row) for row in rows]), quality)
        found["cosine"] = _numbers(own["cosine"].values)
        if v.SOURCE in own.coords:
            found["from"] = own[v.SOURCE].values.astype(str).tolist()
    if "concept_map" in own:
        maps = own["concept_map"].transpose(v.STIMULUS, ...)
        keys = [f"image:{x}" for x in maps[v.STIMULUS].values.tolist()]
        found["maps"] = {
            k: _map(x) for k, x in zip(keys, maps.values, strict=True) if np.nanmax(x) > 0
        }
    return found


def _map(values: NDArray[Any]) -> str:
    """A map as a grey PNG: 255 is its largest, 0 what is not above 0."""
    size = np.nan_to_num(np.maximum(values, 0.0))
    grey = np.rint(255 * size / size.max()).astype(np.uint8)
    return _address(Image.fromarray(grey), 0)


def _picture(values: NDArray[Any], side: int | None = None) -> Image.Image:
    """Picture between 0 and 1, or of bytes, with at most so many pixels along a side."""
    shown = np.asarray(values)
    if shown.dtype != np.uint8:
        shown = np.rint(255 * np.clip(np.nan_to_num(shown.astype(np.float64)), 0, 1))
    shown = shown.astype(np.uint8)
    if shown.ndim == 3 and shown.shape[2] == 1:
        shown = shown[:, :, 0]
    made = Image.fromarray(shown).convert("RGB")
    if side is not None:
        made.thumbnail((side, side), Image.Resampling.LANCZOS)
    return made


def _strip(pictures: list[Image.Image]) -> Image.Image:
    """Pictures side by side."""
    side = max(max(one.size) for one in pictures)
    strip = Image.new("RGB", (side * len(pictures), side), "white")
    for i, one in enumerate(pictures):
        strip.paste(one, (i * side, 0))
    return strip


def _address(picture: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    kind = "jpeg" if quality else "png"
    options: Data = {"quality": quality, "optimize": True} if quality else {"optimize": True}
    picture.save(buffer, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
