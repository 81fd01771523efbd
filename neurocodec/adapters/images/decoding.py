"""Image files as RGB images: every common mode, and whether a file is whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from neurocodec.errors import InputError

ENDINGS: Final = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".ppm",
    ".pgm",
    ".tif",
    ".tiff",
)
"""Files that are looked at as images, in lower or upper case."""

DAMAGED: Final = (
    OSError,
    SyntaxError,  # what PIL raises of a damaged PNG
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What PIL raises of files that are cut off, garbled or no images."""

THREADS: Final = 16
TAIL: Final = 64
SIXTEEN_BIT: Final = 65535


def decode(path: Path) -> Image.Image:
    """Read an image file as RGB with 8 bits, of an animation the first frame."""
    # Transparency is dropped, as torchvision and timm do; CMYK is converted by PIL.
    try:
        with Image.open(path) as image:
            return as_rgb(image)
    except DAMAGED as error:
        raise InputError(
            came=f"{str(path)!r}, which cannot be decoded: {reason(error)}",
            expected="a whole image file",
            hint="nc.images(..., broken='skip') to leave out what is broken",
        ) from error


def reason(error: BaseException) -> str:
    """Say in one line why a file could not be read."""
    text = str(error).partition("\n")[0]
    if "cannot identify image file" in text:
        return "no image format that is known"
    return text or type(error).__name__


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB with 8 bits; 16-bit values by share of their range."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > SIXTEEN_BIT:
            raise ValueError("integers beyond 16 bits, whose range is not known")
        image = Image.fromarray(np.round(values / 257).astype(np.uint8))
    if "transparency" in image.info or image.mode == "PA":
        image = image.convert("RGBA")
    return image.convert("RGB")


def find_broken(files: Sequence[Path]) -> dict[int, str]:
    """Place in the list -> what is wrong with a file that cannot be read or is cut off."""
    # Headers are read, and the ends of JPEG, PNG and WebP files, which a cut-off file does not
    # have; files with another end are decoded whole. What is garbled inside shows only when it is
    # decoded.
    with ThreadPoolExecutor(THREADS) as pool:
        problems = pool.map(_problem, files)
        return {i: problem for i, problem in enumerate(problems) if problem}


def _problem(path: Path) -> str:
    try:
        with path.open("rb") as file, Image.open(file) as image:
            if not _ends(image.format or "", file_end(path), path.stat().st_size):
                as_rgb(image)
    except DAMAGED as error:
        return reason(error)
    return ""


def file_end(path: Path) -> bytes:
    """First and last bytes of a file, which tell whether it is whole."""
    with path.open("rb") as file:
        first = file.read(TAIL)
        file.seek(max(0, path.stat().st_size - TAIL))
        return first + file.read()


def _ends(kind: str, ends: bytes, size: int) -> bool:
    """Whether a file has the end of its format; False where that does not say it."""
    if kind == "JPEG":
        return ends.rstrip(b"\0").endswith(b"\xff\xd9")
    if kind == "PNG":
        return ends.endswith(b"IEND\xaeB`\x82")
    return kind == "WEBP" and int.from_bytes(ends[4:8], "little") + 8 <= size
