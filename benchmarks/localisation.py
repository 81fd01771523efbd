"""Do maps of modes keep to the object that is asked about? Mosaics of CIFAR-10, ResNet-56.

    python benchmarks/localisation.py [--mosaics 48] [--layers layer2.8 layer3.4] [--out FOLDER]

Four test images of different classes in a 2x2 grid (64x64 pixels; the network averages over
positions before its last layer and takes any size); the target is the logit of one tile's class,
the mask that tile (grid pointing game, Böhle et al. 2021). Images are those that the network
classifies rightly with a probability above 0.99. Modes are fitted to contributions of other test
images, one at a time (`--contributions`: a file of them, of the first test images; those of the
mosaics are the last of each class); of each class the two whose loadings correlate most with it
are mapped.

Prints localisation (energy inside over area; 1 is chance, 4 the largest possible), the pointing
game (0.25 is chance), and for single images the areas under deletion and insertion curves of the
probability of their class.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.special import softmax

import neurocodec as nc
from neurocodec.kernels.intervals import mean_intervals

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT / "examples"))

from cifar_resnet import CLASSES, network  # noqa: E402 - an example, found by its place


def chosen_images(
    net: nc.Network, folder: str, per_class: int
) -> tuple[xr.DataArray, xr.DataArray]:
    """Images that the network is right and sure about, and others to fit modes to."""
    images = nc.images(folder, net)
    label = images.label.values
    places = np.concatenate([np.flatnonzero(label == c)[-4 * per_class :] for c in CLASSES])
    some = images.isel(stimulus=places).load()
    responses = nc.respond(net, some)
    probability = softmax(responses.values, axis=1)
    own = np.array([CLASSES.index(name) for name in some.label.values])
    sure = np.flatnonzero(probability[np.arange(len(own)), own] > 0.99)
    kept = np.concatenate([sure[own[sure] == c][:per_class] for c in range(len(CLASSES))])
    rest = np.setdiff1d(np.arange(len(own)), kept)
    return some.isel(stimulus=kept), some.isel(stimulus=rest)


def fitted_modes(
    net: nc.Network, images: xr.DataArray, layer: str, source: str
) -> tuple[xr.DataArray, dict[str, int]]:
    """Two modes of each class whose loadings correlate most with it, and the best one of each."""
    if source:
        tree = nc.open(source)
        labels = tree.label
    else:
        tree = nc.contributions(
            net,
            images,
            target=nc.targets.TopK(1, hold=True),
            method=nc.methods.IntegratedGradients(steps=10),
            layers=[layer],
            progress=False,
        )
        labels = images.label
    modes = nc.SparseModes(progress=False).fit(tree, layer=layer)
    correlation = nc.correlate(modes.loadings, nc.class_masks(labels))
    dim = next(d for d in correlation.dims if d != "mode")
    best = np.argsort(-np.nan_to_num(correlation.transpose("mode", dim).values), axis=0)[:2]
    known = modes.dictionary["mode"].values
    of_class = {
        str(c): int(known[i]) for c, i in zip(correlation[dim].values, best[0], strict=True)
    }
    return modes.dictionary.isel(mode=np.unique(best)), of_class


def print_class_modes(found: xr.Dataset, of_class: dict[str, int]) -> None:
    """In each mosaic the mode of the class that is asked about, minus others' maps."""
    mode = xr.DataArray([of_class[c] for c in found.label.values], dims="stimulus")
    own = found.mode_localisation.sel(mode=mode).values
    controls = ("random sets", "whole layer", "whole network")
    columns = [own, *(own - found.localisation.sel(map=name).values for name in controls)]
    mean, low, high, count = mean_intervals(np.stack(columns, 1), 2000, 0.95, 0)
    print(
        f"mode of the class: {mean[0]:.3f} [{low[0]:.3f}, {high[0]:.3f}] ({count[0]:.0f} mosaics)"
    )
    for i, name in enumerate(controls, 1):
        print(f"mode of the class - {name}: {mean[i]:+.3f} [{low[i]:+.3f}, {high[i]:+.3f}]")


def table(found: xr.Dataset) -> None:
    """Means over mosaics with 95 % intervals, and paired differences."""
    print("map                    localisation          pointing")
    for name in found["map"].values:
        one = found.sel(map=name)
        cells = []
        for score in ("localisation", "pointing"):
            low, high = one[f"mean_{score}_interval"].values
            cells.append(f"{one[f'mean_{score}'].item():.3f} [{low:.3f}, {high:.3f}]")
        print(f"{name:22} {cells[0]:21} {cells[1]}")
    pairs = (
        ("modes", "random sets"),
        ("modes", "whole network"),
        ("strongest mode", "strongest random set"),
        ("strongest mode", "whole network"),
        ("whole layer", "whole network"),
    )
    for name, against in pairs:
        one = found.sel(map=name, against=against)
        low, high = one["localisation_difference_interval"].values
        value = one["localisation_difference"].item()
        print(f"{name} - {against}: {value:+.3f} [{low:+.3f}, {high:+.3f}]")
    ends = found.mode_difference_interval.sel(control="random sets")
    better, worse = (ends.sel(bound="low") > 0).sum(), (ends.sel(bound="high") < 0).sum()
    print(f"of {found.sizes['mode']} modes, above random sets: {int(better)}, below: {int(worse)}")


def curves(
    net: nc.Network, images: xr.DataArray, layer: str, rows: xr.DataArray, method: nc.methods.Method
) -> dict[str, xr.Dataset]:
    """Single images, deletion and insertion: the strongest mode's map, the network's, at random."""
    options = {"target": nc.targets.TopK(1, hold=True), "method": method, "progress": False}
    whole = nc.contribution_maps(net, images, **options)
    parts = nc.contribution_maps(net, images, layer, modes=rows, sign="excitatory", **options)
    strongest = parts.isel(mode=parts.contribution.argmax("mode"))
    pair = [one.contribution_map.drop_vars("mode", errors="ignore") for one in (whole, strongest)]
    both = xr.concat(
        pair, xr.Variable("map", ["whole network", "strongest mode"]), coords="minimal"
    )
    target = nc.targets.TopK(1, of="probability", hold=True)
    return {
        kind: nc.deletion_curve(
            net, images, both, target=target, kind=kind, steps=16, draws=5, progress=False
        )
        for kind in ("deletion", "insertion")
    }


def print_areas(kind: str, curve: xr.Dataset) -> None:
    """Areas under the curves, and paired differences with 95 % intervals over images."""
    mode, network = (curve.curve_area.sel(map=n).values for n in curve["map"].values[::-1])
    drawn = curve.random_curve_area.mean("draw").values
    columns = np.stack([mode, network, drawn, mode - network, mode - drawn, network - drawn], 1)
    mean, low, high, _ = mean_intervals(columns, 2000, 0.95, 0)
    names = ("strongest mode", "whole network", "random order")
    print(f"{kind} area: " + ", ".join(f"{n} {m:.3f}" for n, m in zip(names, mean, strict=False)))
    pairs = ("mode - network", "mode - random", "network - random")
    ends = zip(pairs, mean[3:], low[3:], high[3:], strict=True)
    print("  " + ", ".join(f"{n} {m:+.3f} [{a:+.3f}, {b:+.3f}]" for n, m, a, b in ends))


def main() -> None:
    """Run all layers, print tables, draw figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=SHARED / "data/cifar10-resnets/cifar10_resnet56.pth")
    parser.add_argument("--images", default="/tmp/nets/cifar10-test", help="folder of classes")  # noqa: S108
    parser.add_argument("--contributions", default="", help="of these networks; computed without")
    parser.add_argument("--layers", nargs="+", default=["layer2.8", "layer3.4"])
    parser.add_argument("--mosaics", type=int, default=48)
    parser.add_argument("--of", default="absolute", help="absolute or positive")
    parser.add_argument("--curves", type=int, default=40, help="images for deletion, insertion")
    parser.add_argument("--steps", type=int, help="of integrated gradients; InputGrad without")
    parser.add_argument("--out", help="folder for figures and results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = network(str(options.weights))
    kept, rest = chosen_images(net, options.images, -(-4 * options.mosaics // len(CLASSES)))
    any_size = dataclasses.replace(net, input_shape=None)
    pictures, masks = nc.mosaics(kept, grid=2, count=options.mosaics)
    steps = options.steps
    method = nc.methods.IntegratedGradients(steps) if steps else nc.methods.InputGrad()
    print(f"{len(pictures)} mosaics of {len(kept)} images; energy: {options.of}; {method}")
    for layer in options.layers:
        rows, of_class = fitted_modes(net, rest, layer, options.contributions)
        start = time.perf_counter()
        found = nc.compare_localisation(
            any_size,
            pictures,
            masks,
            layer,
            rows,
            target="label",
            method=method,
            of=options.of,
            draws=rows.sizes["mode"],
            progress=False,
        )
        seconds = time.perf_counter() - start
        print(f"\n{layer}: {rows.sizes['mode']} modes of 10 channels, {seconds:.0f} s")
        table(found)
        print_class_modes(found, of_class)
        singles = kept.isel(stimulus=slice(None, None, max(1, len(kept) // options.curves)))
        by_kind = curves(net, singles, layer, rows, method)
        for kind, curve in by_kind.items():
            print_areas(kind, curve)
        if options.out:
            save(Path(options.out), layer, found, by_kind)


def save(folder: Path, layer: str, found: xr.Dataset, by_kind: dict[str, xr.Dataset]) -> None:
    """Results as files, and their figures."""
    folder.mkdir(parents=True, exist_ok=True)
    nc.save(found, folder / f"{layer}.nc")
    for kind, curve in by_kind.items():
        nc.save(curve, folder / f"{layer}-{kind}.nc")
    nc.plotting.plot_localisation(found, note=f", {layer}").savefig(
        folder / f"{layer}.png", dpi=150
    )
    figure = nc.plotting.plot_pixel_curves(by_kind, note=f", {layer}")
    figure.savefig(folder / f"{layer}-curves.png", dpi=150)


if __name__ == "__main__":
    main()
