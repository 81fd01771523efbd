"""A page that needs no other file: what all pages say, figures, and how it gets into a folder."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import ImageAnalysis
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.attribution.completeness import share_around
from neurocodec.modes.decomposition import Decomposition
from neurocodec.reports.description import method_name
from neurocodec.storage.files import existing_folder, whole_file

Analysis = RetinaAnalysis | ImageAnalysis
Part = dict[str, Any]
"""What a template says in one place."""

REPORT: Final = "report.html"
FIGURES: Final = "figures"
DPI: Final = 144


@dataclass(frozen=True)
class Drawing:
    """A figure as it stands on the page."""

    png: bytes
    alt: str  # what it shows, for those who cannot see it

    @property
    def uri(self) -> str:
        """The image itself as an address, so that the page needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def write_page(
    folder: str | Path,
    figures: Iterable[tuple[str, Figure, str]],
    render: Callable[[dict[str, Drawing]], str],
) -> Path:
    """Write the figures to the folder `figures`, and beside it the page that is made of them."""
    folder = existing_folder(folder)  # refused before anything is drawn
    pictures = existing_folder(folder / FIGURES)
    drawn = drawings(figures)
    page = render(drawn)
    for name, drawing in drawn.items():
        with whole_file(pictures / f"{name}.png") as scratch:
            scratch.write_bytes(drawing.png)
    with whole_file(folder / REPORT) as scratch:
        scratch.write_text(page, "utf-8")
    return folder / REPORT


def drawings(figures: Iterable[tuple[str, Figure, str]]) -> dict[str, Drawing]:
    """Draw figures (name, figure, what it shows), each let go before the next one is made."""
    return {name: _drawing(figure, alt) for name, figure, alt in figures}


def _drawing(figure: Figure, alt: str) -> Drawing:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return Drawing(buffer.getvalue(), alt)


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
