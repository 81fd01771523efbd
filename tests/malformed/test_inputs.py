"""Inputs that cannot be right, at every public entry: refused in words, before any long work."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.errors import NeurocodecError

SAMPLES = 12
TRACED = 12
"""Passes that a call may make before it refuses: those of the trace, none of a batch."""
QUIET: dict[str, Any] = {"progress": False}
ONE_BY_ONE: dict[str, Any] = {"batch_size": 1, **QUIET}


def make_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 2 * 2, 2)
        ).eval()


def make_world() -> SimpleNamespace:
    """Inputs that are right, one of each kind."""
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * (SAMPLES // 2)
    along = {"stimulus": np.arange(SAMPLES), "label": ("stimulus", labels)}
    images = xr.DataArray(
        rng.normal(size=(SAMPLES, 2, 4, 4)).astype("float32"),
        {**along, "y": np.arange(4), "x": np.arange(4)},
        ("stimulus", "color", "y", "x"),
    )
    movie = xr.DataArray(
        rng.normal(size=(SAMPLES, 4, 4)).astype("float32"),
        {"time": np.arange(SAMPLES) / 100},
        ("time", "y", "x"),
    )
    net = nc.Network(make_network(), {"conv": "1"}, outputs=["a", "b"])
    film = nc.Network(make_network(), {"conv": "1"}, history=2, frame_rate=100.0)
    rows = xr.DataArray(
        np.abs(rng.normal(size=(SAMPLES, 3))), along, ("stimulus", "channel"), name="contribution"
    )
    node = xr.Dataset({"contribution": rows, "activation": rows})
    tree = xr.DataTree.from_dict({"/": xr.Dataset(coords=along), "/conv": node})
    times = {"time": np.arange(40) / 10}
    return SimpleNamespace(
        net=net,
        film=film,
        images=images,
        movie=movie,
        target=nc.targets.TopK(1),
        rows=rows,
        tree=tree,
        classes=nc.class_masks(images),
        modes=xr.DataArray(np.eye(3)[:2], {"mode": [0, 1]}, ("mode", "channel")),
        masks=xr.DataArray(np.eye(4, dtype=bool), dims=("y", "x")),
        scores=xr.DataArray(np.eye(3)[:2], {"category": ["a", "b"]}, ("category", "channel")),
        loadings=xr.DataArray(rng.random((40, 3)), times, ("time", "mode")),
        rates=xr.DataArray(
            rng.random((40, 6)), {**times, "cell": [*"uvwxyz"]}, ("time", "cell"), name="rate"
        ),
        corr=xr.DataArray(rng.normal(size=(3, 8)), dims=("mode", "cell")),
        maps=xr.DataArray(rng.random((SAMPLES, 4, 4)), along, ("stimulus", "y", "x")),
        fields=xr.DataArray(rng.normal(size=(3, 4, 4)), dims=("lag", "y", "x")),
    )


def along(w, **coords):
    return w.images.assign_coords({k: ("stimulus", x) for k, x in coords.items()})


def contributions(w, images=None, **options):
    given = {"target": w.target, "method": nc.methods.ActGrad(), **ONE_BY_ONE}
    return nc.contributions(w.net, w.images if images is None else images, **given | options)


def maps(w, *args, **options):
    given = {"target": w.target, **ONE_BY_ONE}
    return nc.contribution_maps(w.net, w.images, *args, **given | options)


def fields(w, **options):
    return nc.receptive_fields(w.film, w.movie, **ONE_BY_ONE | options)


def compared(w, images=None, masks=None, modes=None, **options):
    given = {"target": w.target, "top": 1, "draws": 2, "bootstrap": 5, **QUIET}
    images, masks = (w.images if images is None else images), (w.masks if masks is None else masks)
    modes = w.modes if modes is None else modes
    return nc.compare_localisation(w.net, images, masks, "conv", modes, **given | options)


def deleted(w, found=None, **options):
    given = {"target": w.target, **ONE_BY_ONE}
    found = w.maps if found is None else found
    return nc.deletion_curve(w.net, w.images, found, **given | options)


def perturbed(w, layer="conv", scores=None, **options):
    scores = w.scores if scores is None else scores
    return nc.perturbation_curve(w.net, w.images, layer, scores, **ONE_BY_ONE | options)


def answered(w, **options):
    with nc.ablate(w.net, **{"layer": "conv", "channels": [0], **options}) as net:
        return nc.respond(net, w.images, batch_size=1)


def network(layers=("1",), **options):
    return nc.Network(make_network(), layers, **options)


MIXED = np.array(["a", 1, *"cdefghijkl"], dtype=object)
SOME = pd.array([1, None, *range(10)], dtype="Int64")
ZONED = pd.date_range("2020", periods=SAMPLES, tz="UTC")
PARTS = [1, 2] * (SAMPLES // 2)
NOT_FINITE = np.full((2, 4, 4), np.nan)

NETWORKS = {
    "module": lambda w: nc.Network(3, []),
    "layers": lambda w: network(3),
    "layer that is no name": lambda w: network([3]),
    "unknown layer": lambda w: network(["9"]),
    "alias with a slash": lambda w: network({"a/b": "1"}),
    "empty alias": lambda w: network({"": "1"}),
    "alias that is a number": lambda w: network({1: "1"}),
    "alias of the root": lambda w: network({"target": "1"}),
    "two outputs of one name": lambda w: network(outputs=["a", "a"]),
    "outputs": lambda w: network(outputs=3),
    "output without a name": lambda w: network(outputs=["a", None]),
    "output_coords": lambda w: network(output_coords=3),
    "output coordinate of the samples": lambda w: network(output_coords={"stimulus": [1, 2]}),
    "mixed output coordinate": lambda w: network(output_coords={"type": ["a", 1.5, None]}),
    "history 0": lambda w: network(history=0),
    "history": lambda w: network(history="x"),
    "device": lambda w: nc.respond(w.net, w.images, device="no such"),
    "network": lambda w: nc.respond(3, w.images),
    "network that is a module": lambda w: nc.respond(w.net.module, w.images),
}

STIMULI = {
    "an array": lambda w: contributions(w, w.images.values),
    "a number": lambda w: contributions(w, 3),
    "other dims": lambda w: contributions(w, w.images.rename(stimulus="sample")),
    "text": lambda w: contributions(w, w.images.astype(str)),
    "complex": lambda w: contributions(w, w.images.astype(complex)),
    "NaN": lambda w: contributions(w, w.images.where(w.images.stimulus < 11)),
    "no samples": lambda w: contributions(w, w.images[:0]),
    "other channels": lambda w: contributions(w, w.images[:, :1]),
    "a movie for images": lambda w: contributions(w, w.movie),
    "images for a movie": lambda w: nc.respond(w.film, w.images),
    "a short movie": lambda w: nc.respond(w.film, w.movie[:1]),
    "target": lambda w: contributions(w, along(w, target=PARTS)),
    "steps": lambda w: contributions(w, along(w, steps=PARTS)),
    "converged": lambda w: contributions(w, along(w, converged=PARTS)),
    "contribution": lambda w: contributions(w, along(w, contribution=PARTS)),
    "a layer": lambda w: contributions(w, along(w, conv=PARTS)),
    "contribution_map": lambda w: nc.contribution_maps(
        w.net, along(w, contribution_map=PARTS), "conv", target=w.target, **ONE_BY_ONE
    ),
    "response": lambda w: nc.respond(w.net, along(w, response=PARTS), batch_size=1),
    "category": lambda w: nc.respond(w.net, along(w, category=PARTS), batch_size=1),
    "irf": lambda w: nc.receptive_fields(
        w.film, w.movie.assign_coords(irf=("time", PARTS)), **ONE_BY_ONE
    ),
    "cell": lambda w: nc.respond(w.film, w.movie.assign_coords(cell=("time", PARTS)), batch_size=1),
    "n_images": lambda w: compared(w, along(w, n_images=PARTS)),
    "curve_area": lambda w: deleted(w, w.maps.assign_coords(curve_area=("stimulus", PARTS))),
    "a name with a space": lambda w: contributions(w, along(w, **{"my label": PARTS})),
    "mixed": lambda w: contributions(w, along(w, kind=MIXED)),
    "missing whole numbers": lambda w: contributions(w, along(w, kind=SOME)),
    "a time zone": lambda w: contributions(w, along(w, when=ZONED)),
    "a MultiIndex": lambda w: contributions(
        w,
        along(w, s=PARTS, t=[*range(SAMPLES)]).drop_vars("stimulus").set_index(stimulus=["s", "t"]),
    ),
    "bytes": lambda w: nc.respond(w.net, along(w, kind=np.array([b"a"] * SAMPLES)), batch_size=1),
}

OPTIONS = {
    "network": lambda w: nc.contributions(3, w.images, target=w.target),
    "target": lambda w: contributions(w, target=3),
    "target text": lambda w: contributions(w, target="a"),
    "target class": lambda w: contributions(w, target=nc.targets.Sum),
    "unknown output": lambda w: contributions(w, target=nc.targets.Output("c")),
    "output beyond": lambda w: contributions(w, target=nc.targets.Output(2)),
    "feature of a wrong size": lambda w: contributions(
        w, target=nc.targets.Feature("conv", (1.0,))
    ),
    "method": lambda w: contributions(w, method="ig"),
    "method class": lambda w: contributions(w, method=nc.methods.ActGrad),
    "layers": lambda w: contributions(w, layers=3),
    "unknown layer": lambda w: contributions(w, layers=["cnv"]),
    "layers that are no names": lambda w: contributions(w, layers=[3]),
    "no layers": lambda w: contributions(w, layers=[]),
    "reduce": lambda w: contributions(w, reduce=3),
    "split": lambda w: contributions(w, split="x"),
    "baseline": lambda w: contributions(w, baseline="x"),
    "baseline object": lambda w: contributions(w, baseline=object()),
    "baseline of another shape": lambda w: contributions(w, baseline=np.zeros((3, 3))),
    "baseline NaN": lambda w: contributions(w, baseline=NOT_FINITE),
    "baseline of other pixels": lambda w: contributions(
        w, baseline=w.images[0].assign_coords(y=w.images.y + 9)
    ),
    "batch_size 0": lambda w: contributions(w, batch_size=0),
    "batch_size": lambda w: contributions(w, batch_size="x"),
    "workers": lambda w: contributions(w, workers=-1),
    "device": lambda w: contributions(w, device=3.5),
    "client": lambda w: contributions(w, client=3, out="x.zarr"),
    "out": lambda w: contributions(w, out=3),
    "out of another kind": lambda w: contributions(w, out="x.txt"),
    "out in no folder": lambda w: contributions(w, out="no/such/folder/x.nc"),
    "estimate": lambda w: nc.estimate(w.net, w.images, target=3),
    "respond batch_size": lambda w: nc.respond(w.net, w.images, batch_size=None),
}

FIELDS = {
    "network": lambda w: nc.receptive_fields(3, w.movie),
    "of images": lambda w: nc.receptive_fields(w.net, w.images),
    "times": lambda w: fields(w, times="x"),
    "times beyond": lambda w: fields(w, times=[99.0]),
    "no times": lambda w: fields(w, times=[]),
    "times object": lambda w: fields(w, times=object()),
    "rank": lambda w: fields(w, rank="x"),
    "rank 0": lambda w: fields(w, rank=0),
    "cells": lambda w: fields(w, cells=["z"]),
    "of": lambda w: fields(w, of=3),
    "through": lambda w: fields(w, through="x", layer="conv"),
    "through channels beyond": lambda w: fields(w, through=[9], layer="conv"),
    "through without a layer": lambda w: fields(w, through=[0]),
    "layer": lambda w: fields(w, through=[0], layer=3),
    "out": lambda w: fields(w, out=3),
    "spike_triggered_average": lambda w: nc.spike_triggered_average(3, w.rates),
    "history": lambda w: nc.spike_triggered_average(w.movie, w.rates, history="x"),
    "describe_fields": lambda w: nc.describe_fields(3),
    "field_variance": lambda w: nc.field_variance(3, w.loadings),
}

MAPS = {
    "network": lambda w: nc.contribution_maps(3, w.images, target=w.target),
    "layer": lambda w: maps(w, 3),
    "unknown layer": lambda w: maps(w, "cnv"),
    "channels": lambda w: maps(w, "conv", channels="x"),
    "channels beyond": lambda w: maps(w, "conv", channels=[9]),
    "modes": lambda w: maps(w, "conv", modes=3),
    "modes of other channels": lambda w: maps(w, "conv", modes=w.modes[:, :2]),
    "channels and modes": lambda w: maps(w, "conv", channels=[0], modes=w.modes),
    "weights": lambda w: maps(w, "conv", modes=w.modes, weights="x"),
    "top": lambda w: maps(w, "conv", modes=w.modes, top=0),
    "sign": lambda w: maps(w, "conv", sign="x"),
    "steps": lambda w: maps(w, "conv", steps=0),
    "method": lambda w: maps(w, "conv", method=nc.methods.Gradient()),
    "times of images": lambda w: maps(w, "conv", times=[0.0]),
    "out": lambda w: maps(w, "conv", out=3),
    "masks": lambda w: compared(w, masks=3),
    "masks of other pixels": lambda w: compared(w, masks=w.masks[:3]),
    "full masks": lambda w: compared(w, masks=w.masks | True),
    "label that is no output": lambda w: compared(
        w, along(w, label=["a"] * 11 + ["c"]), target="label"
    ),
    "no label at all": lambda w: compared(w, along(w, label=[None] * SAMPLES), target="label"),
    "draws": lambda w: compared(w, draws=0),
    "bootstrap": lambda w: compared(w, bootstrap=-1),
    "confidence": lambda w: compared(w, confidence=2),
    "localisation": lambda w: nc.localisation(3, w.masks),
    "localisation of": lambda w: nc.localisation(w.maps, w.masks, of="x"),
    "kind": lambda w: deleted(w, kind="x"),
    "fill": lambda w: deleted(w, fill="x"),
    "maps of other images": lambda w: deleted(w, w.maps[:3]),
    "some without a label": lambda w: nc.deletion_curve(
        w.net, along(w, label=["a"] * 11 + [None]), w.maps, target="label", **ONE_BY_ONE
    ),
    "box_masks": lambda w: nc.box_masks(3, w.images),
    "mosaics": lambda w: nc.mosaics(w.images, grid=1),
}

PERTURBED = {
    "network": lambda w: answered(SimpleNamespace(net=3, images=w.images)),
    "layer": lambda w: answered(w, layer=3),
    "unknown layer": lambda w: answered(w, layer="cnv"),
    "channels": lambda w: answered(w, channels=["a"]),
    "no channels": lambda w: answered(w, channels=[]),
    "channels beyond": lambda w: answered(w, channels=[9]),
    "fill": lambda w: answered(w, fill="x"),
    "curve of no network": lambda w: nc.perturbation_curve(3, w.images, "conv", w.scores),
    "scores": lambda w: perturbed(w, scores=3),
    "scores of other channels": lambda w: perturbed(w, scores=w.scores[:, :2]),
    "layer of a curve": lambda w: perturbed(w, layer=3),
    "labels": lambda w: perturbed(w, labels=3),
    "labels with another index": lambda w: perturbed(
        w, labels=pd.Series(w.images.label.values, index=range(5, 5 + SAMPLES))
    ),
    "labels of nothing": lambda w: perturbed(w, labels=[None] * SAMPLES),
    "kind": lambda w: perturbed(w, kind="x"),
    "kind that is no text": lambda w: perturbed(w, kind=3),
    "fractions": lambda w: perturbed(w, fractions="x"),
    "fractions beyond": lambda w: perturbed(w, fractions=[0, 2]),
    "off_target": lambda w: perturbed(w, off_target=3),
    "n_target": lambda w: perturbed(w, n_target=0),
    "draws": lambda w: perturbed(w, draws="x"),
    "match": lambda w: perturbed(w, match=3),
    "rankings": lambda w: nc.rankings.from_correlation(3, w.classes),
    "masks": lambda w: nc.rankings.from_correlation(w.rows, 3),
    "draws of chance": lambda w: nc.rankings.at_random(w.scores, draws="x"),
}

MODES = {
    "rows": lambda w: nc.SparseModes(**QUIET).fit(3),
    "NaN": lambda w: nc.SparseModes(**QUIET).fit(w.rows.where(w.rows.stimulus > 0)),
    "epochs": lambda w: nc.SparseModes(epochs=0),
    "expansion": lambda w: nc.SparseModes(expansion="x"),
    "unknown layer": lambda w: nc.SparseModes(**QUIET).fit(w.tree, layer="cnv"),
    "layer": lambda w: nc.SparseModes(**QUIET).fit(w.tree, layer=3),
    "baseline": lambda w: nc.BaselineModes("x"),
    "number": lambda w: nc.BaselineModes("pca", modes=0).fit(w.rows),
    "fit_modes": lambda w: nc.fit_modes(3),
    "fit_modes layers": lambda w: nc.fit_modes(w.tree, layers=3, **QUIET),
    "fit_modes modes": lambda w: nc.fit_modes(w.rows, 3, **QUIET),
    "merge_modes": lambda w: nc.merge_modes(3, w.modes),
    "cosine": lambda w: nc.merge_modes(w.loadings, w.modes, cosine="x"),
    "stability": lambda w: nc.mode_stability(3),
    "seeds": lambda w: nc.mode_stability(w.rows, seeds="x", **QUIET),
    "shuffles": lambda w: nc.mode_stability(w.rows, shuffles="x", **QUIET),
    "sweep": lambda w: nc.sweep(w.rows, nosuch=[1], **QUIET),
    "sweep of one": lambda w: nc.sweep(w.rows, expansion=3, **QUIET),
    "sweep out": lambda w: nc.sweep(w.rows, expansion=[1.0], out=3, **QUIET),
}

STATISTICS = {
    "tree": lambda w: nc.statistics.hoyer(3),
    "layers": lambda w: nc.statistics.hoyer(w.tree, layers=3),
    "unknown layers": lambda w: nc.statistics.sign_correlation(w.tree, layers=["cnv"]),
    "classes": lambda w: nc.statistics.dimensionality(w.tree, classes="x"),
    "share": lambda w: nc.statistics.dimensionality(w.tree, share="x"),
    "bootstrap": lambda w: nc.statistics.dimensionality(w.tree, bootstrap=-1),
    "scaling": lambda w: nc.statistics.dimensionality(w.tree, scaling=3),
    "class_masks": lambda w: nc.class_masks(3),
    "no labels": lambda w: nc.class_masks(w.rows.drop_vars("label")),
    "missing labels": lambda w: nc.class_masks(along(w, label=[np.nan] * SAMPLES)),
    "categories": lambda w: nc.class_masks(w.images, categories=3),
    "hierarchy": lambda w: nc.concept_masks(w.images, 3),
    "min_members": lambda w: nc.concept_masks(w.images, {"a": ["x"], "b": ["x"]}, min_members="x"),
    "describe_modes": lambda w: nc.describe_modes(3),
    "describe_modes best": lambda w: nc.describe_modes(w.scores, best=0),
    "concept tree": lambda w: nc.concept_scores(3, w.classes),
    "concept masks": lambda w: nc.concept_scores(w.tree, 3),
    "permutations": lambda w: nc.concept_scores(w.tree, w.classes, permutations="x"),
    "permutations below 0": lambda w: nc.concept_scores(w.tree, w.classes, permutations=-1),
    "best": lambda w: nc.concept_scores(w.tree, w.classes, best="x"),
    "threshold": lambda w: nc.concept_scores(w.tree, w.classes, threshold="x"),
    "concept modes": lambda w: nc.concept_scores(w.tree, w.classes, modes=3),
    "samples": lambda w: nc.concept_scores(w.tree, w.classes, samples=3),
}

CELLS = {
    "as_cells": lambda w: nc.as_cells(3),
    "as_cells layers": lambda w: nc.as_cells(w.tree, layers=3),
    "correlate": lambda w: nc.correlate(3, w.rates),
    "correlate with": lambda w: nc.correlate(w.loadings, 3),
    "transform": lambda w: nc.correlate(w.loadings, w.rates, transform="x"),
    "other times": lambda w: nc.correlate(w.loadings[1:], w.rates),
    "cluster_cells": lambda w: nc.cluster_cells(3),
    "k": lambda w: nc.cluster_cells(w.corr, "x"),
    "k of 1": lambda w: nc.cluster_cells(w.corr, 1),
    "k_max": lambda w: nc.cluster_cells(w.corr, k_max="x"),
    "method": lambda w: nc.cluster_cells(w.corr, method="x"),
    "references": lambda w: nc.cluster_cells(w.corr, references="x"),
    "references below 0": lambda w: nc.cluster_cells(w.corr, references=-1),
    "agreement": lambda w: nc.cluster_agreement(3, 3),
    "permutations": lambda w: nc.cluster_agreement(
        xr.DataArray([0, 1], dims="cell"), xr.DataArray([0, 1], dims="cell"), permutations="x"
    ),
    "resamples": lambda w: nc.cluster_stability(w.loadings, w.rates, resamples="x"),
    "block": lambda w: nc.cluster_stability(w.loadings, w.rates, block="x"),
    "label_cells": lambda w: nc.label_cells(w.rates, 3),
    "combinations": lambda w: nc.mode_combinations(3),
    "max_active": lambda w: nc.mode_combinations(w.loadings, max_active=None),
    "max_active text": lambda w: nc.mode_combinations(w.loadings, max_active="x"),
    "threshold": lambda w: nc.mode_combinations(w.loadings, threshold="x"),
    "min_rate": lambda w: nc.mode_combinations(w.loadings, w.rates, min_rate="x"),
    "times": lambda w: nc.combination_times(w.loadings, w.rates, count="x"),
    "recording": lambda w: nc.compare_interneurons(w.film, 3),
    "recording without": lambda w: nc.compare_interneurons(w.film, xr.Dataset()),
    "interneurons of no network": lambda w: nc.compare_interneurons(3, xr.Dataset()),
    "chance": lambda w: nc.compare_interneurons(w.film, xr.Dataset(), chance="x"),
    "quantile": lambda w: nc.compare_interneurons(w.film, xr.Dataset(), quantile=2),
    "fit_retina": lambda w: nc.fit_retina(3),
    "fit_retina epochs": lambda w: nc.fit_retina(xr.Dataset(), epochs="x"),
}

SOURCES = {
    "images": lambda w: nc.images("no such folder"),
    "images of a number": lambda w: nc.images(3),
    "recording": lambda w: nc.read_recording("no such file.h5"),
    "recording of a number": lambda w: nc.read_recording(3),
    "deep_retina": lambda w: nc.adapters.deep_retina("no such file.pt"),
    "deep_retina of a number": lambda w: nc.adapters.deep_retina(3),
    "model": lambda w: nc.load_model("no such model"),
    "model of a number": lambda w: nc.load_model(3),
    "data set": lambda w: nc.load_dataset("no such data"),
    "open": lambda w: nc.open(3),
    "open nothing": lambda w: nc.open("no such file.nc"),
    "save": lambda w: nc.save(3, "x.nc"),
    "save to a number": lambda w: nc.save(w.images, 3),
    "resample": lambda w: nc.stimuli.resample(w.movie, "x"),
    "pad": lambda w: nc.stimuli.pad(3, (9, 9)),
    "pad size": lambda w: nc.stimuli.pad(w.movie, "x"),
}

TABLES = {
    "networks": NETWORKS,
    "stimuli": STIMULI,
    "options": OPTIONS,
    "fields": FIELDS,
    "maps": MAPS,
    "perturbation": PERTURBED,
    "modes": MODES,
    "statistics": STATISTICS,
    "cells": CELLS,
    "sources": SOURCES,
}
CASES = {f"{table}: {name}": case for table, rows in TABLES.items() for name, case in rows.items()}


@pytest.fixture(scope="module")
def world():
    """Inputs that are right, with the passes that their networks make."""
    found = make_world()
    found.passes = []
    for net in (found.net, found.film):
        net.module.register_forward_hook(lambda *_: found.passes.append(1))
    return found


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_right_is_refused_before_the_passes(world, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    world.passes.clear()
    with pytest.raises(NeurocodecError) as error:
        CASES[case](world)
    assert len(world.passes) <= TRACED
    assert error.value.expected or error.value.hint, "what to do"


@pytest.mark.parametrize("run", [contributions, maps, fields, deleted, perturbed, answered])
def test_the_inputs_themselves_are_right(world, run):
    world.passes.clear()
    run(world, "conv") if run is maps else run(world)
    assert len(world.passes) > TRACED
