"""The real photographs that scikit-learn and matplotlib ship, as linear light.

The 8-bit values are decoded to linear light (IEC 61966-2-1), weighted to luminance and divided by
the photograph's mean, as a retina does that is adapted to the scene.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from neurocodec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCES: Final = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
"""Package and path inside it; the packages are found, not imported."""

LUMINANCE: Final = np.array([0.2126, 0.7152, 0.0722])
"""Weights of linear red, green and blue in luminance (ITU-R BT.709)."""


def photographs() -> list[NDArray[np.float32]]:
    """Light intensity (y, x) of each photograph, relative to its mean, float32."""
    return [_relative_luminance(_find(package, path)) for package, path in SOURCES]


def _find(package: str, path: str) -> Path:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    found = [p for p in (Path(folder) / path for folder in folders) if p.is_file()]
    if not found:
        raise InputError(
            came=f"no photograph {path} in the package {package!r}",
            expected="the sample images that the package ships",
            hint="pip install --force-reinstall scikit-learn matplotlib",
        )
    return found[0]


def _relative_luminance(path: Path) -> NDArray[np.float32]:
    with Image.open(path) as image:
        encoded = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    luminance = linear @ LUMINANCE
    return np.asarray(luminance / luminance.mean(), dtype=np.float32)
