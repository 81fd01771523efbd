"""The page of an attribution atlas of 400 places and 10,000 images: its size, and until it is open.

    python benchmarks/atlas_page.py --photos PHOTOGRAPHS

Icons and images are photographs (those of `shared/weights-and-images.md`), which compress less than
pictures by ascent; numbers and places are drawn. Needs playwright and Chromium, offline.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

import neurocodec as nc

GRID, COUNT, SIDE, ICON = 20, 10_000, 128, 224
DIMS = ("color", "y", "x")


def atlas_of(photos: np.ndarray, draw: np.random.Generator) -> xr.DataTree:
    """As `nc.attribution_atlas` returns it, every place with an icon."""
    where = draw.uniform(size=(COUNT, 2))
    steps = np.minimum((where * GRID).astype(int), GRID - 1)
    of_image = steps[:, 1] * GRID + steps[:, 0]
    numbers = {n: draw.gamma(2, 3, COUNT) for n in ("excitation", "inhibition")}
    numbers |= {"target": draw.normal(size=COUNT), "icon_of_image": of_image}
    numbers |= {"atlas_x": where[:, 0], "atlas_y": where[:, 1]}
    chosen = photos[draw.integers(0, len(photos), GRID**2)].transpose(0, 3, 1, 2)
    doubled = np.repeat(np.repeat(chosen, 2, 2), 2, 3)[..., :ICON, :ICON] / np.float32(255)
    row, column = np.divmod(np.arange(GRID**2), GRID)
    target = draw.normal(size=GRID**2)
    icons = {
        "image": (("icon", *DIMS), doubled, {"darkest": [0.0] * 3, "brightest": [1.0] * 3}),
        "opacity": (("icon", "y", "x"), np.ones((GRID**2, ICON, ICON), "float32")),
        "n_images": ("icon", np.bincount(of_image, minlength=GRID**2)),
        "confirmed": ("icon", draw.random(GRID**2) > 0.1),
        **dict.fromkeys(("target", "mean_target"), ("icon", target)),
        **{n: ("icon", x) for n, x in (("row", row), ("column", column))},
    }
    names = [f"n01440764/ILSVRC2012_val_{i:08d}.JPEG" for i in range(COUNT)]
    root = xr.Dataset({n: ("stimulus", x) for n, x in numbers.items()}, {"stimulus": names})
    nodes = {"/": root, "/icons": xr.Dataset(icons, {"icon": range(GRID**2)})}
    return nc.labels.stamp(
        xr.DataTree.from_dict(nodes), "nc.attribution_atlas", atlas={"grid": GRID}
    )


def opened(page: Path, times: int) -> list[float]:
    """Seconds from the address to a map that answers."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - for this alone

    found = []
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(times):
            context = browser.new_context(offline=True)
            view = context.new_page()
            start = time.monotonic()
            view.goto(page.as_uri())
            view.wait_for_selector(".atlas[data-ready]", state="attached")
            found.append(time.monotonic() - start)
            context.close()
        browser.close()
    return found


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photos", type=Path, required=True)
    options.add_argument("--times", type=int, default=5)
    given = options.parse_args()
    draw = np.random.default_rng(0)
    files = sorted(given.photos.rglob("*.jpg"))
    photos = np.stack(
        [np.asarray(Image.open(f).convert("RGB").resize((SIDE, SIDE))) for f in files]
    )
    tree = atlas_of(photos, draw)
    chosen = photos[draw.integers(0, len(photos), COUNT)].transpose(0, 3, 1, 2)
    shown = chosen.astype("float32") / 255
    images = xr.DataArray(shown, {"stimulus": tree.stimulus.values}, ("stimulus", *DIMS))
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        page = nc.atlas_page(tree, images, folder)
        print(f"{time.process_time() - start:.1f} CPU s to write")
        print(f"{page.stat().st_size / 1e6:.1f} MB")
        seconds = opened(page, given.times)
        print(f"open after {', '.join(f'{s:.2f}' for s in seconds)} s")


if __name__ == "__main__":
    main()
