"""The five figures of the gallery in docs/synthesis.md.

    python benchmarks/gallery.py --weights NETWORKS --photos PHOTOGRAPHS --out docs/figures

The networks and photographs are those of `shared/weights-and-images.md`: photographs give natural
spectra, attributions and means; what is drawn of them is synthetic. The pictures that are drawn
beside inversions are crops of the two photographs that come with scikit-learn. Figures that are in
the folder are left.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import xarray as xr
from matplotlib.figure import Figure
from pictures import pairs
from sklearn.datasets import load_sample_images
from tension import ACT_GRAD, photographs, resnet18

import neurocodec as nc

QUIET = {"progress": False}
MEAN = xr.DataArray([0.485, 0.456, 0.406], dims="color")
SCALE = xr.DataArray([0.229, 0.224, 0.225], dims="color")


def retina() -> tuple[nc.Network, xr.DataArray]:
    """The bundled model, and natural scenes."""
    movie = nc.simulate_retina(0, duration=10.0, repeats=1).stimulus
    return nc.load_model("simulated-retina"), movie


def cells(options: argparse.Namespace) -> Figure:
    """Most exciting movies of three cells."""
    del options
    net, movie = retina()
    names = net.outputs or ()
    made = [
        nc.visualise(net, nc.targets.Output(names[i]), like=movie, **QUIET).isel(draw=0)
        for i in (0, 7, 14)
    ]
    found = xr.concat(made, xr.Variable("feature", [names[i] for i in (0, 7, 14)]))
    return nc.plot.pictures(found, title="What three ganglion cells look for (bundled model)")


def apart(options: argparse.Namespace) -> Figure:
    """What drives one cell and not another."""
    del options
    net, movie = retina()
    names = net.outputs or ()
    target = nc.targets.Difference(names[7], [names[0], names[14]])
    found = nc.visualise(net, target, like=movie, draws=2, **QUIET)
    return nc.plot.pictures(found, title=f"What drives {names[7]}, and not two others")


def units(options: argparse.Namespace) -> Figure:
    """Units of four stages of ResNet-18."""
    module, shown = resnet18(options.weights), photographs(options.photos, 32)
    rows = []
    for stage in ("layer1.1", "layer2.1", "layer3.1", "layer4.1"):
        known = nc.Network(module, layers={"late": stage})
        net = nc.Network(module, layers={"pre": known.pre_activation("late")})
        target = nc.targets.Features("pre", channels=[3, 17, 40, 58], position="center")
        rows.append(nc.visualise(net, target, like=shown, **QUIET).isel(draw=0))
    found = xr.concat(rows, xr.Variable("stage", ["layer1", "layer2", "layer3", "layer4"]))
    return nc.plot.pictures(found, title="Channels 3, 17, 40, 58 of four stages of ResNet-18")


def crops() -> xr.DataArray:
    """Crops of the two photographs of scikit-learn, as the network takes them."""
    found = []
    for image in load_sample_images().images:
        for y, x in ((0, 0), (200, 300)):
            x_ = torch.from_numpy(image[y : y + 224, x : x + 224].copy()).permute(2, 0, 1) / 255
            found.append(xr.DataArray(x_.numpy(), dims=("color", "y", "x")))
    return (xr.concat(found, "stimulus") - MEAN) / SCALE


def inversions(options: argparse.Namespace) -> Figure:
    """What in four pictures excites a unit, and what inhibits it."""
    net, shown = pairs(options.weights)["layer3.1"], photographs(options.photos, 32)
    images = crops().transpose("stimulus", "color", "y", "x").astype("float32")
    vector = [float(i == 5) for i in range(256)]
    unit = nc.targets.Feature("pre", vector, "center")
    call = {"target": unit, "method": ACT_GRAD, "layers": ["early"], "reduce": "none"}
    tree = nc.contributions(net, images, **call, **QUIET)
    call = {"target": unit, "like": shown, **QUIET}
    attribution = tree["early/contribution"]
    return nc.plot.inversions(
        nc.invert(net, "early", attribution, **call),
        nc.invert(net, "early", attribution, start=images, **call),
        nc.visualise(net, unit, like=shown, **QUIET),
        (images * SCALE + MEAN).transpose("stimulus", "color", "y", "x"),
        title="Channel 5 of ResNet-18's layer3.1, by layer3.0",
    )


def atlas(options: argparse.Namespace) -> Figure:
    """Attribution atlas of a unit."""
    net, shown = pairs(options.weights)["layer3.1"], photographs(options.photos, 400)
    unit = nc.targets.Feature("pre", [float(i == 5) for i in range(256)], "center")
    call = {"grid": 6, "method": ACT_GRAD, "like": shown[:32], "steps": 64}
    found = nc.attribution_atlas(net, shown, "early", target=unit, **call, **QUIET)
    return nc.plot.atlas(found, title="Attribution atlas of channel 5 of layer3.1, 400 photographs")


FIGURES: dict[str, Callable[[argparse.Namespace], Figure]] = {
    "gallery-cells": cells,
    "gallery-apart": apart,
    "gallery-units": units,
    "gallery-inversions": inversions,
    "gallery-atlas": atlas,
}


def main() -> None:
    """Draw what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for name, draw in FIGURES.items():
        path = options.out / f"{name}.jpg"
        if not path.exists():
            draw(options).savefig(path, dpi=90, pil_kwargs={"quality": 82})


if __name__ == "__main__":
    main()
