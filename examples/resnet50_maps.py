"""Through a mode of ResNet-50 into photographs: CODEC figure 7.

    python examples/resnet50_maps.py photographs --labels table.csv --weights FILE --v1 \
        --contributions contributions.nc --layer layer3.5 --out maps.png

`contributions.nc` is what `neurocodec images` has written about the photographs; without it they
are computed. Modes of one layer are fitted to half of the images; of the other half those with the
largest loadings of one mode are drawn: what of them acts through the whole network, through the
mode, and, of the first image, through single channels.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from resnet50_images import network, network_v1

import neurocodec as nc

log = logging.getLogger("resnet50_maps")

METHOD = nc.methods.IntegratedGradients(steps=10)


def main(arguments: Sequence[str] | None = None) -> xr.Dataset:
    """Fit modes, map one of them, draw the maps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="folder")
    parser.add_argument("--labels", help="CSV with the columns file and label or class_index")
    parser.add_argument("--weights", help="DEFAULT or a file; random without")
    parser.add_argument("--v1", action="store_true", help="strides of the original ResNet-50")
    parser.add_argument("--contributions", help="of these images, as neurocodec images writes it")
    parser.add_argument("--layer", default="layer3.5")
    parser.add_argument("--modes", type=int, default=50, help="fitted (NMF, which is quick)")
    parser.add_argument("--mode", type=int, help="without: the one with the largest loading")
    parser.add_argument("--count", type=int, default=3, help="images that are drawn")
    parser.add_argument("--out", type=Path, default=Path("maps.png"))
    options = parser.parse_args(arguments)

    net = (network_v1 if options.v1 else network)(options.weights)
    images = nc.images(options.images, net, labels=options.labels)
    target = nc.targets.TopK(1, hold=True)
    if options.contributions:
        tree = nc.open(options.contributions, lazy=True)
    else:
        tree = nc.contributions(net, images, target=target, method=METHOD, layers=[options.layer])
    rows = tree[options.layer]["contribution"].load()

    modes = nc.BaselineModes("nmf", modes=options.modes, validation=0)
    modes.fit(rows.isel(stimulus=slice(0, None, 2)))
    loadings = modes.transform(rows.isel(stimulus=slice(1, None, 2)))
    held = np.arange(1, rows.sizes["stimulus"], 2)
    mode = int(loadings.max("stimulus").argmax("mode")) if options.mode is None else options.mode
    best = held[np.argsort(-loadings.sel(mode=mode).values)[: options.count]]
    log.info("mode %d of %s, images %s", mode, options.layer, images.label.values[best].tolist())

    chosen, given = images.isel(stimulus=best).load(), {"target": target, "method": METHOD}
    row = modes.dictionary.sel(mode=[mode])
    through = nc.contribution_maps(net, chosen, options.layer, modes=row, sign="net", **given)
    whole = nc.contribution_maps(net, chosen, **given)
    figure = nc.plot.maps(
        [whole, through], chosen, preprocessing=net.preprocessing, title=f"{options.layer}"
    )
    figure.savefig(options.out, dpi=110)
    channels = np.argsort(-row.values[0])[:5]
    single = nc.contribution_maps(
        net, chosen[:1], options.layer, channels=channels, sign="net", **given
    )
    figure = nc.plot.maps(single, chosen[:1], preprocessing=net.preprocessing, columns="channel")
    figure.savefig(options.out.with_stem(f"{options.out.stem}-channels"), dpi=110)
    return through


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
