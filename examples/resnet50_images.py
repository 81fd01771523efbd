"""A classifier of photographs: which channels of ResNet-50 make its answers, layer by layer.

    python examples/resnet50_images.py photographs --weights DEFAULT --out resnet50

`photographs` is a folder with one folder per class, or a flat one with `--labels table.csv`.
Weights are torchvision's own ("DEFAULT"), or a file of them; `--v1` is for weights of the original
ResNet-50 (He et al. 2015), which steps by two pixels in the first convolution of a stage instead
of the second.

The same from the shell, without this file:

    neurocodec images --network torchvision:resnet50 --weights DEFAULT --images photographs

A network that has to be changed before its weights fit or its answers are right is given to the
command as a function that says so with `adjust=`, such as `network_v1` below:

    neurocodec images --network examples/resnet50_images.py:network_v1 --weights FILE \
        --images photographs --labels table.csv
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

import xarray as xr
from torch import nn

import neurocodec as nc

log = logging.getLogger("resnet50_images")


def network(weights: str | None = None) -> nc.Network:
    """ResNet-50 as torchvision has it, all 16 blocks."""
    return nc.adapters.torchvision("resnet50", weights=weights)


def original_strides(module: nn.Module) -> None:
    """Step by two pixels in the first convolution of a stage, in place."""
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


def network_v1(weights: str | None = None) -> nc.Network:
    """ResNet-50 with the strides of the original."""
    return nc.adapters.torchvision("resnet50", weights=weights, adjust=original_strides)


def main(arguments: Sequence[str] | None = None) -> xr.DataTree:
    """Contributions to the largest logit, their sparsity and signs, block by block."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="folder")
    parser.add_argument("--labels", help="CSV with the columns file and label or class_index")
    parser.add_argument("--weights", help="DEFAULT or a file; random without")
    parser.add_argument("--v1", action="store_true", help="strides of the original ResNet-50")
    parser.add_argument("--count", type=int, help="only so many images")
    parser.add_argument("--out", help="a .nc or .zarr file; in memory without")
    options = parser.parse_args(arguments)

    net = (network_v1 if options.v1 else network)(options.weights)
    images = nc.images(options.images, net, labels=options.labels, broken="skip")
    tree = nc.contributions(
        net,
        images.isel(stimulus=slice(options.count)),
        target=nc.targets.TopK(1, hold=True),
        method=nc.methods.IntegratedGradients(steps=10),
        out=options.out,
    )
    sparsity = nc.statistics.hoyer(tree)
    signs = nc.statistics.sign_correlation(tree)
    log.info("%s\n%s", sparsity, signs)
    return tree


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
