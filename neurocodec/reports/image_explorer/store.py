"""Files of an explorer: numbers as scripts that a page loads when it needs them, and pictures."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurocodec.storage.files import existing_folder, whole_file

THUMB: Final = 128
"""Pixels along the longer side of a picture, at most."""
MASK: Final = 56
"""The same of a mask."""
FOLDER: Final = 1000
"""Pictures in one folder, at most."""


@dataclass
class Store:
    """A folder that is written to, file by file."""

    folder: Path
    made: set[str] = field(default_factory=set)  # folders that are there

    def script(self, name: str, data: Any) -> None:
        """Numbers as a script: a page that was opened from a disk may load no other file."""
        text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        self._folder("data")
        with whole_file(self.folder / "data" / f"{name}.js") as scratch:
            scratch.write_text(f"explorer.take({json.dumps(name)},{text});\n", "utf-8")

    def picture(self, number: int, picture: NDArray[np.floating[Any]]) -> None:
        """An image (color, y, x) between 0 and 1, small."""
        place = f"images/{number // FOLDER}"
        self._folder(place)
        made = Image.fromarray(np.rint(np.moveaxis(picture, 0, -1) * 255).astype(np.uint8))
        made.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
        with whole_file(self.folder / place / f"{number}.jpg") as scratch:
            made.save(scratch, "JPEG", quality=90, subsampling=0)

    def page(self, text: str) -> Path:
        """Write the page that shows it all."""
        with whole_file(self.folder / "index.html") as scratch:
            scratch.write_text(text, "utf-8")
        return self.folder / "index.html"

    def _folder(self, place: str) -> None:
        if place not in self.made:
            existing_folder(self.folder / place)
            self.made.add(place)


def mask_address(mask: NDArray[np.floating[Any]]) -> str:
    """A mask (y, x) between 0 and 1 as an address."""
    made = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
    made.thumbnail((MASK, MASK), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    made.save(buffer, "JPEG", quality=75, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
