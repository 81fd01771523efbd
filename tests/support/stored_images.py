"""Image files and a lazily decoded stimulus of them, for the tests of streaming."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image
from xarray.backends import BackendArray
from xarray.core import indexing

SIZE = 8


class DecodedFiles(BackendArray):
    """Images that are decoded when they are asked for; a broken one is NaN throughout.

    Every file that is read leaves a line in `log`, with the process that read it. The `deadly` one
    kills any process but the one that made this object.
    """

    def __init__(
        self,
        files: list[Path],
        log: Path | None = None,
        pause: float = 0.0,
        deadly: str | None = None,
    ) -> None:
        self.files, self.log, self.pause, self.deadly = files, log, pause, deadly
        self.home = os.getpid()
        self.shape = (len(files), 3, SIZE, SIZE)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read
        )

    def _read(self, key: tuple) -> np.ndarray:
        first, *rest = key
        places = np.atleast_1d(np.arange(len(self.files))[first])
        images = np.stack([self._decode(self.files[i]) for i in places])
        taken = images[(slice(None), *rest)]
        return taken[0] if isinstance(first, int | np.integer) else taken

    def _decode(self, file: Path) -> np.ndarray:
        time.sleep(self.pause)
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{os.getpid()} {file.name}\n")
        if file.name == self.deadly and os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            with Image.open(file) as image:
                return np.asarray(image, np.float32).transpose(2, 0, 1) / 255 - 0.5
        except OSError:
            return np.full(self.shape[1:], np.nan, np.float32)


def write_images(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Random images as PNG files, which are read back as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    files = [folder / f"image{i:03}.png" for i in range(count)]
    for file, value in zip(files, values, strict=True):
        Image.fromarray(value).save(file)
    return files


def stored_images(files: list[Path], broken: str = "raise", **options: object) -> xr.DataArray:
    """Stimulus as `nc.images` makes it."""
    variable = xr.Variable(
        ("stimulus", "color", "y", "x"),
        indexing.LazilyIndexedArray(DecodedFiles(files, **options)),
        {"neurocodec": json.dumps({"function": "nc.images", "broken": broken})},
    )
    coords = {
        "stimulus": np.arange(len(files)),
        "source": ("stimulus", [f.name for f in files]),
        "label": ("stimulus", [f"label of {f.stem}" for f in files]),
    }
    return xr.DataArray(variable, coords, name="stimulus")
