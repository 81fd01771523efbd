"""A page that needs no other file: its figures, its template, and how it gets into a folder."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from neurocodec.storage.files import existing_folder, whole_file

REPORT: Final = "report.html"
FIGURES: Final = "figures"
DPI: Final = 144


@dataclass(frozen=True)
class Drawing:
    """A figure as it stands on the page.

    Parameters
    ----------
    png
        Its bytes.
    alt
        What it shows, for those who cannot see it.
    """

    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The image itself as an address, so that the page needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def drawings(figures: Iterable[tuple[str, Figure, str]]) -> dict[str, Drawing]:
    """Draw figures, each of which is let go before the next one is made.

    Parameters
    ----------
    figures
        Name, figure and what it shows.

    Examples
    --------
    >>> drawings([("empty", Figure(figsize=(1, 1)), "nothing")])["empty"].png[1:4]
    b'PNG'
    """
    return {name: _drawing(figure, alt) for name, figure, alt in figures}


def _drawing(figure: Figure, alt: str) -> Drawing:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return Drawing(buffer.getvalue(), alt)


def filled(template: str, **context: Any) -> str:
    """Fill a template of the package; every text is escaped.

    Parameters
    ----------
    template
        Its file name.
    **context
        What it speaks of.
    """
    environment = Environment(
        loader=PackageLoader("neurocodec.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**context)


def write_page(folder: str | Path, drawn: Mapping[str, Drawing], page: str) -> Path:
    """Write a page, and its figures to the folder `figures` beside it.

    Parameters
    ----------
    folder
        Made where it does not exist.
    drawn
        The figures by name.
    page
        The whole text.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    StorageError
        Where the folder cannot be written to.
    """
    folder = existing_folder(folder)
    pictures = existing_folder(folder / FIGURES)
    for name, drawing in drawn.items():
        with whole_file(pictures / f"{name}.png") as scratch:
            scratch.write_bytes(drawing.png)
    with whole_file(folder / REPORT) as scratch:
        scratch.write_text(page, "utf-8")
    return folder / REPORT
