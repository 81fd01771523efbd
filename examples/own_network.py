"""Your own network: which channels of a ResNet-18 make its answer to three photographs.

    pip install neurocodec && python examples/own_network.py

The weights are random here, as torchvision downloads its own; pass `weights="IMAGENET1K_V1"` to
`resnet18` for a trained one. Everything else stays the same.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
import xarray as xr
from sklearn.datasets import load_sample_images
from torchvision.models import resnet18

import neurocodec as nc

log = logging.getLogger("own_network")


def photographs() -> xr.DataArray:
    """Crops of two photographs that scikit-learn ships, labelled."""
    whole = [np.asarray(image, "float32") / 255 for image in load_sample_images().images]
    crops = [image[y : y + 224, x : x + 224] for image in whole for y, x in ((0, 0), (100, 300))]
    return xr.DataArray(
        (np.stack(crops) - 0.45) / 0.23,
        dims=("stimulus", "y", "x", "color"),
        coords={"stimulus": np.arange(4), "source": ("stimulus", ["china"] * 2 + ["flower"] * 2)},
        name="stimulus",
    )


def main() -> xr.DataTree:
    """Compute contributions to the largest logit in three blocks, in one pass."""
    torch.manual_seed(0)
    net = nc.Network(resnet18(), layers=["layer2.1", "layer3.1", "layer4.1"], name="resnet18")
    tree = nc.contributions(
        net,
        photographs(),
        target=nc.targets.TopK(1, hold=True),
        method=nc.methods.IntegratedGradients(steps=10),
    )
    for layer in net.layers:
        net_effect = tree[layer].contribution.sum("sign")
        best = net_effect.mean("stimulus").argmax("channel")
        log.info("%s: channel %d contributes most on average", layer, int(best))
    return tree


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
