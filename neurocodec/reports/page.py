"""A page that needs no other file: what all pages say, figures, and how it gets into a folder."""

from __future__ import annotations

import base64
import io
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import ImageAnalysis
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.attribution.completeness import share_around
from neurocodec.modes.decomposition import Decomposition
from neurocodec.nn.beside import beside, cores
from neurocodec.reports.description import method_name
from neurocodec.reports.numbers import numbers
from neurocodec.storage.files import existing_folder, whole_file

Analysis = RetinaAnalysis | ImageAnalysis
Part = dict[str, Any]
"""What a template says in one place."""

REPORT: Final = "report.html"
FIGURES: Final = "figures"
DPI: Final = 144
COPIES: Final = 4
"""Figures that are drawn at a time, at most: each copy takes memory."""
VECTORS: Final[Mapping[str, tuple[type[FigureCanvasBase], dict[str, None]]]] = {
    "svg": (FigureCanvasSVG, {"Date": None}),
    "pdf": (FigureCanvasPdf, {"CreationDate": None}),
}
"""Drawings that can be enlarged and edited, by ending, and what makes them the same every time."""
LOOK: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neurocodec",
    "pdf.fonttype": 3,
    "ps.fonttype": 3,
}
"""Text stays text in SVG; fonts of type 42 make PDFs take three times as long.

matplotlib splits the text of a PDF by `ps.fonttype`, which other libraries set as they are imported
(open-retina does): a PDF of the other type could not be written.
"""


@dataclass(frozen=True)
class Drawing:
    """A figure as it stands on the page."""

    png: bytes
    alt: str  # what it shows, for those who cannot see it
    others: Mapping[str, bytes] = field(default_factory=dict)  # by ending: drawings, numbers (csv)

    @property
    def uri(self) -> str:
        """The image itself as an address, so that the page needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def write_page(
    folder: str | Path,
    figures: Iterable[tuple[str, Figure, str]],
    render: Callable[[dict[str, Drawing]], str],
    *,
    others: bool = False,  # also as SVG and PDF, and their numbers as CSV
) -> Path:
    """Write the figures to the folder `figures`, and beside it the page that is made of them."""
    folder = existing_folder(folder)  # refused before anything is drawn
    pictures = existing_folder(folder / FIGURES)
    drawn = drawings(figures, others=others)
    page = render(drawn)
    for name, drawing in drawn.items():
        for ending, content in {"png": drawing.png, **drawing.others}.items():
            with whole_file(pictures / f"{name}.{ending}") as scratch:
                scratch.write_bytes(content)
    with whole_file(folder / REPORT) as scratch:
        scratch.write_text(page, "utf-8")
    return folder / REPORT


def drawings(
    figures: Iterable[tuple[str, Figure, str]], *, others: bool = False
) -> dict[str, Drawing]:
    """Draw figures (name, figure, what it shows), each let go before the next one is made.

    Copies of this process draw, while the next figure is made in this one.
    """
    found, under_way = dict[str, Drawing](), deque[tuple[str, Callable[[], Drawing]]]()
    for name, figure, alt in figures:
        if len(under_way) >= min(cores(), COPIES):
            done, drawing = under_way.popleft()
            found[done] = drawing()
        under_way.append((name, beside(partial(_drawing, figure, alt, others=others))))
    return found | {name: drawing() for name, drawing in under_way}


def _drawing(figure: Figure, alt: str, *, others: bool) -> Drawing:
    """Lay a figure out once, and draw it: everything stays where this put it."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)  # alone: `draw_without_rendering` goes through all artists once more
    figure.set_layout_engine("none")
    png = _drawn(canvas.print_png)
    return Drawing(png, alt, _others(figure) if others else {})


def _others(figure: Figure) -> dict[str, bytes]:
    """What is the same as a picture that was drawn: drawings of lines, and the numbers."""
    found = {}
    with rc_context(LOOK):
        for ending, (canvas, metadata) in VECTORS.items():
            figure.set_dpi(DPI)  # of pictures in it
            # `savefig` would draw it once more before, to lay it out
            found[ending] = _drawn(getattr(canvas(figure), f"print_{ending}"), metadata=metadata)
    table = numbers(figure)  # of photographs alone there are none
    return {**found, "csv": table.encode()} if table.count("\n") > 1 else found


def _drawn(write: Callable[..., Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    write(buffer, **options)
    return buffer.getvalue()


def filled(template: str, **context: Any) -> str:
    """Fill a template of the package; every text is escaped."""
    return _templates().get_template(template).render(**context)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("neurocodec.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def run_facts(
    analysis: Analysis,
    model: str,
    *,
    layers: Iterable[str],
    data: tuple[str, str],  # what they are called, and what they are
    fingerprint: str,  # what that of the data is called
    target: str,
) -> list[tuple[str, str]]:
    """First lines of the table of what was run: name and value."""
    run = labels.provenance(analysis.tree)
    return [
        (model, analysis.model),
        ("weights (SHA-256)", run["weights_sha256"]),
        ("layers", ", ".join(layers)),
        data,
        (fingerprint, run["data_sha256"]),
        ("target", target),
        ("method", method_name(run["method"])),
    ]


def completeness_rows(analysis: Analysis) -> list[Part]:
    """Relative completeness error of every layer that has one."""
    names = ("median", "most", "worst")
    return [
        {
            "layer": str(row[v.LAYER].item()),
            **dict(zip(names, row.values.tolist(), strict=True)),
            "around": share_around(analysis.tree.children[str(row[v.LAYER].item())]),
        }
        for row in analysis.completeness
    ]


def mode_row(layer: str, modes: Decomposition) -> Part:
    """How many modes a layer has, how many are used, and how much they explain."""
    count = modes.dictionary.sizes[v.MODE]
    return {
        "layer": layer,
        "count": count,
        "alive": round(modes.alive * count),
        "l0": modes.l0,
        "r2": modes.r2,
        "r2_pooled": modes.r2_pooled,
        "r2_train": modes.r2_train,
    }


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: bool = False
) -> Part:
    """Table whose first column is the layer; numbers stand at the right unless it is `text`."""
    return {"title": title, "columns": ["layer", *columns], "rows": rows, "text": text}
