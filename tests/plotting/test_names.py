"""Names of users are drawn as they are: through one place, also where matplotlib would compute."""

import ast
import doctest
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

import neurocodec as nc
from neurocodec.plotting import style

ODD = "$a_b^c$ 50% \\d $"
"""Mathematics between dollars, one more dollar, a percent sign alone, a backslash."""
OWN = {"sign", "cause", "kind", "group", "bound", "points", "map", "against", "control", "measure"}
"""Coordinates whose names are the package's, not the user's."""
NAMED = ("cell", "interneuron", "category", "concept")
"""Dims along which users have names."""
PLOTS = [name for name in nc.plotting.__all__ if name.startswith("plot_")]
PLOTS.remove("plot_overview")  # of parts of the others, and slow
NAMELESS = {
    *("plot_field", "plot_localisation", "plot_modes", "plot_movie_maps"),
    *("plot_mode_images", "plot_pixel_curves", "plot_silhouette", "plot_stability"),
    *("plot_stimulus", "plot_sweep", "plot_tension", "plot_tension_maps", "plot_toys"),
    *("plot_atlas", "plot_inversions", "plot_pictures"),
}
"""Figures that say nothing of what a user has named."""
FIRST = {"set_title", "set_xlabel", "set_ylabel", "suptitle", "supxlabel", "supylabel", "set_label"}
TICKS = {"set_xticks": 1, "set_yticks": 1, "set_xticklabels": 0, "set_yticklabels": 0}
POSITION = {**dict.fromkeys(FIRST, 0), **TICKS, "text": 2, "annotate": 0, "figtext": 2}
"""Methods of matplotlib that take text, and where."""
FILES = [
    path
    for room in ("plotting", "reports")
    for path in (Path(nc.__file__).parent / room).rglob("*.py")
    if path.name != "style.py"
]


@pytest.mark.parametrize("text", [ODD, "$", "a$b", "$$", "\\$5 and \\$6", "_x", "50%", "{a}^{b}"])
def test_plain_text_is_drawn_as_it_is(text):
    assert drawn(Text(text=style.plain(text))) == text


def drawn(text: Text) -> str:
    """What is drawn of a text; refuses mathematics that are no numbers of an axis."""
    shown, is_math = text._preprocess_math(text.get_text())
    assert not is_math or "mathdefault" in shown, shown
    return shown.removeprefix(style.ZERO_WIDTH)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_text_goes_through_one_place(path):
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(call, ast.Call):
            for text in texts_of(call):
                assert is_plain(text), f"line {text.lineno}: style.plain(...)"


def texts_of(call: ast.Call):
    """Arguments of a call that matplotlib draws as text."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    place = POSITION.get(name, len(call.args))
    starred = any(isinstance(a, ast.Starred) for a in call.args)
    yield from () if starred else call.args[place : place + 1]
    yield from (k.value for k in call.keywords if k.arg == "label" and name != "add_axes")
    yield from (k.value for k in call.keywords if k.arg == "title" and name == "legend")


def is_plain(text: ast.expr) -> bool:
    if isinstance(text, ast.IfExp):
        return is_plain(text.body) and is_plain(text.orelse)
    if isinstance(text, ast.Constant):
        return "$" not in str(text.value) and not str(text.value).startswith("_")
    if isinstance(text, ast.List | ast.Tuple):
        return all(map(is_plain, text.elts))
    return ast.unparse(text).startswith(("style.plain(", "style.plain_all("))


def example(name):
    """What the example of a figure is drawn of: its arguments."""
    plot = getattr(nc.plotting, name)
    module = sys.modules[inspect.unwrap(plot).__module__]
    given = []

    def note(*args, **options):
        given.append((args, options))
        return plot(*args, **options)

    names = {**vars(module), name: note, "nc": nc, "xr": xr, "np": np}
    for one in doctest.DocTestParser().get_examples(inspect.getdoc(plot)):
        exec(compile(one.source, name, "single"), names)  # noqa: S102
        if given:
            return given[-1]
    raise AssertionError(name)


def odd(value, names):
    """Copy of labelled data in which all names of users are odd; `names` has those that were."""
    if isinstance(value, str):
        return value + ODD if value in names else value
    if isinstance(value, list | tuple):
        return [odd(x, names) for x in value]
    if isinstance(value, dict):
        return {odd_key(k, names): odd(x, names) for k, x in value.items()}
    if isinstance(value, xr.DataTree):
        nodes = {}
        for node in value.subtree:
            path = "/".join(odd_key(p, names) for p in node.path.split("/"))
            nodes[path or "/"] = odd(node.to_dataset(inherit=False), names)
        return xr.DataTree.from_dict(nodes)
    if isinstance(value, xr.DataArray | xr.Dataset):
        bare = [d for d in NAMED if d in value.dims and d not in value.coords]
        value = value.assign_coords({d: [f"{i}" for i in range(value.sizes[d])] for d in bare})
        if "stimulus" in value.dims and "label" not in value.coords:
            value = value.assign_coords(label=("stimulus", ["class"] * value.sizes["stimulus"]))
        return value.assign_coords(
            {
                k: (c.dims, [f"{x}{ODD}" for x in c.values.tolist()])
                for k, c in value.coords.items()
                if k not in OWN and c.ndim == 1 and c.dtype.kind in "OU"
            }
        )
    return value


def odd_key(key, names):
    return key + ODD if key in names else key


def names_in(value) -> set[str]:
    if isinstance(value, list | tuple):
        return {n for x in value for n in names_in(x)}
    if isinstance(value, dict):
        return {*value, *(n for x in value.values() for n in names_in(x))}
    if isinstance(value, xr.DataTree):
        parts = {p for node in value.subtree for p in node.path.split("/")}
        return {p for p in parts if p.startswith(("layer", "conv"))}.union(
            *(names_in(node.to_dataset(inherit=False)) for node in value.subtree)
        )
    if isinstance(value, xr.DataArray | xr.Dataset):
        coords = [c for k, c in value.coords.items() if k not in OWN and c.dtype.kind in "OU"]
        return {str(x) for c in coords if c.ndim == 1 for x in c.values.tolist()}
    return set()


@pytest.mark.parametrize("name", PLOTS)
def test_odd_names_are_drawn_as_they_are(name):
    args, options = example(name)
    names = {n for x in (*args, *options.values()) for n in names_in(x)}
    changed = [odd(x, names) for x in args], {k: odd(x, names) for k, x in options.items()}
    found = getattr(nc.plotting, name)(*changed[0], **changed[1])
    figure = getattr(found, "figure", found)
    figure.draw_without_rendering()
    texts = [drawn(t) for t in figure.findobj(Text)]
    told = [t for t in texts if "$" in t and "mathdefault" not in t]
    assert bool(told) == (name not in NAMELESS), told
