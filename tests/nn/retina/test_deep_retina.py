"""Checkpoints of torch-deep-retina, against models that are written here from what is known.

The reference models below store weights as torch-deep-retina does and compute in double
precision; what is loaded computes in single precision from collapsed weights.
"""

from __future__ import annotations

import copy
import os
import pickle
import warnings
from itertools import pairwise, product

import numpy as np
import pytest
import torch
import xarray as xr
from networks import net_contribution, seeded
from torch import nn
from torch.nn import functional

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, StorageError
from neurocodec.nn.attribution import methods, targets
from neurocodec.nn.capture.prefix import Prefix
from neurocodec.nn.retina.deep_retina import DeepRetinaConfig, build_deep_retina, unit_positions

STATS = {"mean": np.float32(51.3), "std": np.float32(52.1)}
SMALL = {"img_shape": (5, 17, 19), "ksizes": [5, 5, 3], "chans": [3, 4], "n_units": 3}
CENTERS = [[8, 9], [2, 3], [15, 17]]
WHOLE = {"img_shape": (40, 50, 50), "ksizes": [15, 11, 11], "chans": [8, 8], "n_units": 4}


class Noise(nn.Module):
    def __init__(self):
        super().__init__()
        self.sigma = nn.Parameter(torch.full((1,), 0.05), requires_grad=False)

    def forward(self, x):
        return x + self.sigma * torch.randn_like(x) if self.training else x


class AbsNorm(nn.Module):
    """Batch norm whose statistics are parameters and whose scale counts by its absolute value."""

    def __init__(self, units, eps=1e-3):
        super().__init__()
        self.eps = eps
        for name in ("running_mean", "running_var", "scale", "shift"):
            setattr(self, name, nn.Parameter(torch.ones(units)))

    def forward(self, x):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var, scale, shift = (
            p.reshape(shape) for p in (self.running_mean, self.running_var, self.scale, self.shift)
        )
        return (x - mean) / (var + self.eps) ** 0.5 * scale.abs() + shift


class Stack(nn.Module):
    """A kernel of side `kernel` out of kernels of side `small`, and one of what remains."""

    def __init__(
        self, before, after, kernel, *, small=3, inner=None, drop=0.0, pad=0, norm=False, bias=True
    ):
        super().__init__()
        sides = [small] * ((kernel - 1) // (small - 1))
        rest = kernel - 1 - len(sides) * (small - 1)
        sides += [rest + 1] if rest else []
        channels = [before, *[inner or after] * (len(sides) - 1), after]
        modules = []
        for i, (side, (c0, c1)) in enumerate(zip(sides, pairwise(channels), strict=True)):
            last = i == len(sides) - 1
            here = pad if last else min(small // 2, pad)
            pad -= here
            modules.append(nn.Conv2d(c0, c1, side, bias=bias and last, padding=here))
            if not last:
                modules += [AbsNorm(c1, 1e-5)] if norm else []
                modules += [nn.Dropout(drop)] if drop else []
        self.convs = nn.Sequential(*modules)

    def forward(self, x):
        return self.convs(x)


class OneToOne(nn.Module):
    def __init__(self, before, after, kernel, pad=0):
        super().__init__()
        self.pad = pad
        self.first_conv = nn.Conv2d(before, after, 3, bias=False)
        depth = (kernel - 1) // 2 - 1
        self.seqs = nn.ModuleList(
            nn.Sequential(*[nn.Conv2d(1, 1, 3, bias=i == depth - 1) for i in range(depth)])
            for _ in range(after)
        )

    def forward(self, x):
        x = self.first_conv(functional.pad(x, (self.pad,) * 4))
        return torch.cat([s(x[:, i : i + 1]) for i, s in enumerate(self.seqs)], 1)


class Pick(nn.Module):
    """Unit (row, column) of the map of each cell, by torch's own indexing."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = torch.tensor(rows), torch.tensor(columns)

    def forward(self, x):
        return x[:, torch.arange(len(self.rows)), self.rows, self.columns]


class Exp(nn.Module):
    def forward(self, x):
        return x if self.training else x.exp()


def first_rule(centers, k, image):
    half = (k[0] - 1) + (k[1] - 1) + (k[2] // 2 - 1) + 1
    return tuple(
        [min(max(0, c[axis] - half), image[axis + 1] - 2 * (half - 1)) for c in centers]
        for axis in (0, 1)
    )


def convolution(kind, hyps, before, i):
    after, side, pad = hyps["chans"][i], hyps["ksizes"][i], hyps.get("paddings", [0] * 9)[i]
    groups = hyps.get("groups", 1) if i else 1
    if kind == "BNCNN" or not hyps.get("stackconvs", True):
        return nn.Conv2d(before, after, side, groups=groups, padding=pad)
    if hyps.get("one2one"):
        return OneToOne(before, after, side, pad)
    return Stack(
        before,
        after,
        side,
        small=hyps.get("stack_ksizes", 3),
        inner=hyps.get("stack_chans"),
        drop=hyps.get("drop_p", 0.0),
        pad=pad,
        norm=hyps.get("inner_norm", False),
    )


def hidden_layer(kind, hyps, i, shape):
    conv = convolution(kind, hyps, shape[0], i)
    shape = tuple(conv(torch.zeros(1, *shape)).shape[1:])
    each = hyps.get("bnorm_d", 1) == 1
    units = int(np.prod(shape)) if each else shape[0]
    plain = nn.BatchNorm1d if each else nn.BatchNorm2d
    norm = [plain(units, eps=1e-3) if kind == "BNCNN" else AbsNorm(units)]
    norm = [nn.Flatten(), *norm, nn.Unflatten(1, shape)] if each else norm
    rest = [Noise(), getattr(nn, hyps.get("activ_fxn", "ReLU"))()]
    return [conv, *(rest + norm if hyps.get("bnaftrelu") else norm + rest)], shape


def reference(kind, hyps):
    """A model of theirs in evaluation, in double precision, with random weights."""
    shape, modules = hyps["img_shape"], []
    hidden = hyps.get("n_layers", 3) - 1
    for i in range(hidden):
        added, shape = hidden_layer(kind, hyps, i, shape)
        modules += added
    cells, bias = hyps["n_units"], hyps.get("gc_bias", False)
    if hyps.get("convgc"):
        side = hyps["ksizes"][hidden]
        stacked = hyps.get("finalstack")
        make = Stack if stacked else nn.Conv2d
        modules.append(make(shape[0], cells, side, bias=bias))
        k = hyps["ksizes"][: hidden + 1]
        modules.append(Pick(*first_rule(hyps["centers"], k, hyps["img_shape"])))
    else:
        modules += [nn.Flatten(), nn.Linear(int(np.prod(shape)), cells, bias=bias)]
    modules.append(nn.BatchNorm1d(cells, eps=1e-3) if kind == "BNCNN" else AbsNorm(cells))
    modules.append(nn.Softplus() if hyps.get("softplus", True) else Exp())
    modules += [Exp()] if hyps.get("inference_exp") else []
    model = nn.Module()
    model.sequential = nn.Sequential(*modules)
    return calibrated(randomised(model).double().eval(), hyps)


def randomised(model):
    """Random kernels and shifts, scales of both signs."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            deviation = 0.5 if tensor.ndim == 1 else tensor[0].numel() ** -0.5
            tensor.normal_(0, deviation, generator=generator)
            if tensor.ndim == 1:  # not near zero
                tensor.add_(0.5 * tensor.sign())
            if name.endswith("running_var"):
                tensor.abs_()
    return model


@torch.no_grad()
def calibrated(model, hyps):
    """Give batch norms the statistics of what comes in, as training does."""
    x = standardised(frames(hyps), hyps)
    for part in model.sequential:
        if hasattr(part, "running_mean"):
            dims = [0] if x.ndim == 2 else [0, 2, 3]
            part.running_mean.copy_(x.mean(dims))
            part.running_var.copy_(x.var(dims).clamp_min(1e-4))
        x = part(x)
    return model


def checkpoint(kind, hyps, model, **more):
    facts = {"model_type": kind, "hyps": hyps, "norm_stats": STATS, "cells": range(99), "epoch": 3}
    facts["cells"] = list(range(10, 10 + hyps["n_units"]))
    facts |= {"dataset": "15-10-07", "stim_type": "naturalscene"}
    facts["model_state_dict"] = {k: v.float() for k, v in model.state_dict().items()}
    return {k: v for k, v in (facts | more).items() if v is not None}


def written(path, kind, hyps, **more):
    """Write a checkpoint of a random model; return its file and the model."""
    model = seeded(lambda: reference(kind, hyps)).float().double()  # as rounded in the file
    torch.save(checkpoint(kind, hyps, model, **more), path / "model.pt")
    return path / "model.pt", model


def frames(hyps, count=None):
    history, height, width = hyps["img_shape"]
    count = count or (12 if history < 40 else 4)
    noise = np.random.default_rng(1).normal(51, 52, (count + history - 1, height, width))
    return noise.clip(0, 255).astype(np.uint8)


def windows(movie, history):
    return np.stack([movie[i : i + history] for i in range(len(movie) - history + 1)])


def standardised(movie, hyps):
    stimulus = torch.from_numpy(windows(movie, hyps["img_shape"][0])).double()
    return (stimulus - float(STATS["mean"])) / float(STATS["std"])


def expected_rates(model, hyps, movie):
    with torch.no_grad():
        return model.sequential(standardised(movie, hyps)).numpy()


def assert_same_outputs(path, kind, hyps, **more):
    file, model = written(path, kind, hyps, **more)
    rule = {"unit_rule": "first"} if hyps.get("convgc") else {}
    net = nc.adapters.deep_retina(file, **rule)
    movie = frames(hyps)
    expected = expected_rates(model, hyps, movie)
    scale = np.abs(expected).max(0)
    assert (expected.std(0) > 0.02 * scale).all()  # every cell answers
    stimulus = torch.from_numpy(windows(movie, net.history)).float()
    with torch.no_grad():
        found = net.module(stimulus).numpy()
        exact = copy.deepcopy(net.module).double()(stimulus.double()).numpy()
    assert found.dtype == np.float32
    assert (np.abs(exact - expected) < 1e-5 * scale).all()
    assert (np.abs(found - expected) < SINGLE * scale).all()
    return net, model


SINGLE = 5e-5
"""Rounding of sums of 9,000 products in float32, which differs from processor to processor."""
KINDS = ("BNCNN", "LinearStackedBNCNN", "VaryModel")
GRID = list(product(KINDS, (False, True), (1, 2), (False, True), (False, True)))


@pytest.mark.parametrize("case", GRID, ids=str)
def test_same_outputs(tmp_path, case):
    kind, convgc, bnorm_d, bnaftrelu, softplus = case
    hyps = SMALL | {"convgc": convgc, "centers": CENTERS if convgc else None, "bnorm_d": bnorm_d}
    hyps |= {"bnaftrelu": bnaftrelu, "softplus": softplus, "gc_bias": bnaftrelu}
    assert_same_outputs(tmp_path, kind, hyps)


@pytest.mark.parametrize("kind", KINDS)
def test_same_outputs_at_full_size(tmp_path, kind):
    net, _ = assert_same_outputs(tmp_path, kind, WHOLE | {"drop_p": 0.05})
    assert [net.module.layer1.convolution.kernel_size, net.module.layer2.convolution.kernel_size]
    assert net.module.layer1.convolution.weight.shape == (8, 40, 15, 15)
    assert net.input_shape == (50, 50)


@pytest.mark.parametrize(
    "more",
    [
        {"drop_p": 0.3},
        {"one2one": True, "chans": [3, 3]},
        {"one2one": True, "paddings": [1, 2, 0]},
        {"finalstack": True, "convgc": True, "centers": CENTERS},
        {"inner_norm": True, "drop_p": 0.1},
        {"stack_ksizes": 5, "ksizes": [7, 9, 3]},
        {"stack_chans": 6},
        {"paddings": [1, 1, 0]},
        {"paddings": [2, 1, 0]},
        {"paddings": [2, 2, 0], "inner_norm": True},
        {"stackconvs": False, "groups": 2, "chans": [4, 6]},
        {"n_layers": 2},
        {"n_layers": 4, "ksizes": [3, 5, 5, 3], "chans": [3, 4, 2]},
        {"activ_fxn": "Tanh"},
        {"inference_exp": True, "softplus": False},
        {"inference_exp": True},
    ],
    ids=str,
)
def test_same_outputs_of_rarer_arguments(tmp_path, more):
    net, _ = assert_same_outputs(tmp_path, "VaryModel", SMALL | more)
    assert list(net.layers) == [f"layer{i + 1}" for i in range(more.get("n_layers", 3) - 1)]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("place", ["hyps", "model_hyps", "top"])
def test_wherever_the_arguments_are_and_in_older_files(tmp_path, place, old):
    model = seeded(lambda: reference("VaryModel", SMALL))
    facts = checkpoint("VaryModel", SMALL, model)
    del facts["hyps"]
    facts |= SMALL if place == "top" else {place: SMALL}
    torch.save(facts, tmp_path / "x.pt", _use_new_zipfile_serialization=not old)
    net = nc.adapters.deep_retina(tmp_path / "x.pt")
    assert (net.history, net.input_shape, net.outputs) == (5, (17, 19), ("10", "11", "12"))


def test_numbers_of_older_numpy_and_places_of_older_models(tmp_path):
    file, model = written(tmp_path, "VaryModel", SMALL)
    facts = checkpoint("VaryModel", SMALL, model)
    state = facts.pop("model_state_dict")
    places = {name: name.split(".", 2) for name in state}  # theirs had other modules in between
    facts["model_state_dict"] = {
        f"sequential.{2 * int(p) + 1}.{n}": state[k] for k, (_, p, n) in places.items()
    }
    facts["hyps"] = SMALL | {"centers": np.array(CENTERS)}
    torch.save(facts, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "old.pt").read_bytes()
    assert b"numpy._core" in content
    (tmp_path / "old.pt").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    now, before = (nc.adapters.deep_retina(path).module for path in (file, tmp_path / "old.pt"))
    for a, b in zip(now.state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_hidden_layers_are_the_convolutions_before_batch_norm(tmp_path):
    hyps = SMALL | {"drop_p": 0.2}
    file, model = written(tmp_path, "LinearStackedBNCNN", hyps)
    net, movie = nc.adapters.deep_retina(file), frames(hyps, 6)
    stimulus = torch.from_numpy(windows(movie, 5))
    with torch.no_grad():
        expected = model.sequential[0](standardised(movie, hyps))
        found = net.module.layer1.convolution(net.module.standardisation(stimulus.float()))
    assert type(net.module.get_submodule(net.layers["layer1"].module)) is nn.Conv2d
    np.testing.assert_allclose(found, expected, rtol=0, atol=SINGLE * float(expected.abs().max()))


def test_rates_are_labelled_with_the_cells_of_the_file(tmp_path):
    hyps = WHOLE | {"convgc": True, "centers": np.array([[21, 18], [24, 20], [22, 18], [27, 18]])}
    file, model = written(tmp_path, "VaryModel", hyps, cells=[0, 1, 2, 4])
    net = nc.adapters.deep_retina(file, unit_rule="first")
    movie = frames(hyps, 5)
    rates = nc.respond(net, xr.DataArray(movie, dims=("time", "y", "x")), progress=False)
    assert (net.name, net.frame_rate) == ("VaryModel 15-10-07 naturalscene", 100.0)
    assert rates.dims == ("time", "cell")
    assert rates.cell.values.tolist() == ["0", "1", "2", "4"]
    assert rates.y_center.values.tolist() == [21, 24, 22, 27]
    expected = expected_rates(model, hyps, movie)
    np.testing.assert_allclose(rates, expected, rtol=0, atol=SINGLE * expected.max())


def test_contributions_see_through_the_standardisation(tmp_path, monkeypatch):
    file, _ = written(tmp_path, "VaryModel", SMALL)
    net = nc.adapters.deep_retina(file)
    movie = xr.DataArray(frames(SMALL, 20), dims=("time", "y", "x"))
    prefixes = []

    def analyse(find):
        def found(_, *seen):
            prefixes.append(find(*seen))
            return prefixes[-1]

        monkeypatch.setattr(Prefix, "of", classmethod(found))
        method = methods.IntegratedGradients(steps=10)
        target = targets.Output("11")
        return nc.contributions(net, movie, target=target, method=method, progress=False)

    quick, plain = analyse(Prefix.of), analyse(lambda *_: None)
    convolution, standardisation = prefixes[0].convolution, prefixes[0].standardisation
    assert torch.equal(convolution.weight, net.module.layer1.convolution.weight)
    assert torch.equal(standardisation.mean, net.module.standardisation.mean)
    for layer in ("layer1", "layer2"):
        expected = net_contribution(plain, layer)
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(net_contribution(quick, layer), expected, atol=1e-4 * scale)
        assert scale > 0


def test_cells_of_several_shapes(tmp_path):
    def names(**more):
        return nc.adapters.deep_retina(written(tmp_path, "BNCNN", SMALL, **more)[0]).outputs

    assert names(cells={"15-10-07": [1, 3], "15-11-21a": [6]}) == (
        "15-10-07 1",
        "15-10-07 3",
        "15-11-21a 6",
    )
    assert names(cells=np.array([4, 5, 6])) == ("4", "5", "6")
    assert names(cells="all", dataset="mine") == ("0", "1", "2")
    assert names(cells=None) == ("0", "1", "2")
    file, _ = written(tmp_path, "BNCNN", SMALL | {"n_units": 4}, cells="all", dataset="15-11-21a")
    assert nc.adapters.deep_retina(file).outputs == ("6", "10", "12", "13")
    named = nc.adapters.deep_retina(file, outputs=["a", "b", "c", "d"], name="mine", frame_rate=60)
    assert (named.outputs, named.name, named.frame_rate) == (("a", "b", "c", "d"), "mine", 60)


def test_nothing_random_is_drawn_and_the_parameters_may_be_trained_on(tmp_path):
    file, _ = written(tmp_path, "VaryModel", SMALL | {"convgc": True, "centers": CENTERS})
    before = torch.get_rng_state()
    net = nc.adapters.deep_retina(file, unit_rule="first")
    assert torch.equal(torch.get_rng_state(), before)
    assert not net.module.training
    assert all(p.requires_grad and p.dtype == torch.float32 for p in net.module.parameters())


def test_tensors_are_a_model_of_named_layers():
    norm = ("weight", "bias", "running_mean", "running_var")
    state = {"sequential.0.weight": torch.ones(1, 2, 3, 3), "sequential.2.sigma": torch.ones(1)}
    state |= {f"sequential.1.{name}": torch.ones(1) for name in norm}
    state |= {"sequential.5.weight": torch.ones(1, 4)}
    state |= {f"sequential.6.{name}": torch.ones(1) for name in norm}
    module = build_deep_retina(state, DeepRetinaConfig(history=2, size=(4, 4)))
    assert [name for name, _ in module.named_children()] == ["layer1", "readout"]
    assert module(torch.ones(5, 2, 4, 4)).shape == (5, 1)


# Which unit of the map is a cell's. The released model of the retina 15-11-21b (17 cells, kernels
# 15, 11, 11 on 50x50) prints these units when it is loaded and printed by torch-deep-retina:
# figs/model_architecture.ipynb of giovanni-gatti/torch-deep-retina; the centres are in datas.py.
RELEASED_CENTERS = (
    "16,13 20,12 19,7 19,3 21,7 22,6 21,7 25,3 23,6 26,4 24,6 26,7 27,9 26,9 27,11 26,13 24,10"
)
RELEASED_ROWS = [0, 2, 1, 1, 3, 4, 3, 7, 5, 8, 6, 8, 9, 8, 9, 8, 6]


def test_units_of_a_released_model():
    centers = [tuple(map(int, pair.split(","))) for pair in RELEASED_CENTERS.split()]
    found = unit_positions(centers, [15, 11, 11], (50, 50), (16, 16))
    assert found == [(row, 0) for row in RELEASED_ROWS]


def test_the_first_rule_counts_from_the_end_of_the_map():
    assert (
        unit_positions([(21, 18), (0, 49)], [15, 11, 11], (50, 50), (16, 16), "first")
        == [
            (10, 10)  # -6: every cell has the same place
        ]
        * 2
    )
    with pytest.raises(InputError, match="no rule for units 'last'"):
        unit_positions([], [3], (5, 5), (3, 3), "last")
    with pytest.raises(InputError, match="unit -16 of a map of 6"):
        unit_positions([(20, 20)], [15, 11, 11], (40, 40), (6, 6), "first")


def test_units_of_three_cells_by_either_rule():
    kernels, size, maps = [15, 11, 11], (50, 50), (16, 16)
    found = unit_positions([(27, 9), (20, 12), (41, 2)], kernels, size, maps)
    assert found == [(9, 0), (2, 0), (15, 0)]
    found = unit_positions([(27, 9), (20, 12)], kernels, size, maps, "first")
    assert found == [(10, 10), (10, 10)]


def test_the_unit_is_where_the_rule_says(tmp_path):
    hyps = SMALL | {"convgc": True, "centers": CENTERS}
    file, model = written(tmp_path, "BNCNN", hyps)
    picked = next(m for m in model.sequential if isinstance(m, Pick))
    picked.rows, picked.columns = torch.tensor([2, 0, 6]), torch.tensor([3, 0, 8])  # centre - 6
    movie = frames(hyps, 5)
    expected = expected_rates(model, hyps, movie)
    stimulus = torch.from_numpy(windows(movie, 5)).float()
    with pytest.warns(NeurocodecWarning, match="unit_rule='first'"):
        guessed = nc.adapters.deep_retina(file)
    said = nc.adapters.deep_retina(file, unit_rule="current")
    for net in (guessed, said):
        with torch.no_grad():
            np.testing.assert_allclose(net.module(stimulus), expected, rtol=1e-4, atol=1e-5)


# Files that are not what they should be.


class Harmful:
    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("how", ["torch", "old torch", "pickle 2", "pickle 5"])
@pytest.mark.parametrize(("function", "name"), [(os.system, "system"), (eval, "eval")])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, how, function, name):
    trace, file = tmp_path / "it-ran", tmp_path / "x.pt"
    command = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w').close()"
    facts = {"model_type": "VaryModel", "hyps": Harmful(function, command)}
    if "torch" in how:
        torch.save(facts, file, _use_new_zipfile_serialization=how == "torch")
    else:
        file.write_bytes(pickle.dumps(facts, protocol=int(how[-1])))
    with pytest.raises(StorageError, match=rf"wants to import \S*{name}; nothing of it was run"):
        nc.adapters.deep_retina(file)
    assert not trace.exists()
    Harmful(function, command).call[0](command)
    assert trace.exists()  # it would have


def test_arrays_of_objects_are_refused(tmp_path):
    torch.save({"cells": np.array([{}], dtype=object)}, tmp_path / "x.pt")
    with pytest.raises(StorageError, match="ObjectDType"):
        nc.adapters.deep_retina(tmp_path / "x.pt")


@pytest.mark.parametrize("old", [False, True])
def test_damaged_files_are_refused(tmp_path, old):
    model = seeded(lambda: reference("BNCNN", SMALL))
    file = tmp_path / "x.pt"
    torch.save(checkpoint("BNCNN", SMALL, model), file, _use_new_zipfile_serialization=not old)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for size in (0, 1, 10, 100, *rng.integers(0, len(whole), 12)):
        file.write_bytes(whole[:size])
        with pytest.raises(StorageError, match=r"cut off, damaged|wants to import"):
            nc.adapters.deep_retina(file)
    for text in (b"hello world", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, b"PK\x03\x04", b"{}"):
        file.write_bytes(text)
        with pytest.raises(StorageError, match="not a checkpoint"):
            nc.adapters.deep_retina(file)


def test_bytes_that_are_changed_are_refused_or_load(tmp_path):
    """A changed byte of a weight is a weight; anywhere else it must be an error of ours."""
    model = seeded(lambda: reference("BNCNN", SMALL | {"bnorm_d": 2, "convgc": False}))
    file = tmp_path / "x.pt"
    rng = np.random.default_rng(0)
    for old in (False, True):
        torch.save(checkpoint("BNCNN", SMALL, model), file, _use_new_zipfile_serialization=not old)
        whole = np.frombuffer(file.read_bytes(), np.uint8)
        for _ in range(25):
            changed = whole.copy()
            changed[rng.integers(0, min(len(whole), 3000), 3)] = rng.integers(0, 256, 3)
            file.write_bytes(changed.tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NeurocodecWarning)
                try:
                    nc.adapters.deep_retina(file)
                except (StorageError, InputError):
                    continue


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(StorageError, match="cannot be opened"):
            nc.adapters.deep_retina(path)


WRONG = {
    "unknown type": (
        {"model_type": "SkipAmacRNN"},
        InputError,
        "'BNCNN', 'LinearStackedBNCNN', 'VaryModel'",
    ),
    "no type": ({"model_type": None}, StorageError, "without 'model_type'; it has .*hyps"),
    "no weights": ({"model_state_dict": None}, StorageError, "last epoch"),
    "weights of another kind": ({"model_state_dict": 3}, InputError, "'model_state_dict' = 3"),
    "no layers": ({"model_state_dict": {}}, StorageError, "no tensors"),
    "other names": (
        {"model_state_dict": {"bipolar1.weight": torch.ones(1)}},
        StorageError,
        "'bipolar1.weight'",
    ),
    "hyps are no dictionary": ({"hyps": [1]}, InputError, "'hyps' = "),
    "stats of every pixel": (
        {"norm_stats": {"mean": np.zeros((17, 19)), "std": np.ones((17, 19))}},
        InputError,
        r"array of shape \(17, 19\)",
    ),
    "half of the stats": ({"norm_stats": {"mean": 3.0}}, InputError, "'norm_stats'"),
    "no deviation": ({"norm_stats": [3.0, 0.0]}, InputError, "above 0"),
    "too few cells": ({"cells": [1]}, InputError, r"1 'cells' in the checkpoint, \['1'\]"),
    "other frames": ({"hyps": SMALL | {"img_shape": (5, 18, 19)}}, InputError, "batch norm"),
    "frames too small": ({"hyps": SMALL | {"img_shape": (5, 4, 4)}}, InputError, "larger than"),
    "other history": ({"hyps": SMALL | {"img_shape": (6, 17, 19)}}, InputError, "6 channels"),
    "img_shape of two": ({"hyps": SMALL | {"img_shape": (17, 19)}}, InputError, "img_shape"),
    "other kernels": ({"hyps": SMALL | {"ksizes": [5, 7, 3]}}, InputError, "ksizes=.5, 7, 3."),
    "other channels": ({"hyps": SMALL | {"chans": [3, 5]}}, InputError, "chans=.3, 5."),
    "one layer less": ({"hyps": SMALL | {"n_layers": 2}}, InputError, r"chans=\[3\]"),
    "activation": ({"hyps": SMALL | {"activ_fxn": "Relu6"}}, InputError, "activ_fxn 'Relu6'"),
    "centers": ({"hyps": SMALL | {"centers": [[1, 2]]}}, InputError, "1 centers for 3 cells"),
    "centers of one": ({"hyps": SMALL | {"centers": [1, 2, 3]}}, InputError, "'centers'"),
    "centers that fit no array": (
        {"hyps": SMALL | {"centers": [1, [2, 3]]}},
        InputError,
        "'centers'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(tmp_path, case):
    change, error, message = WRONG[case]
    file, _ = (
        written(tmp_path, "VaryModel", SMALL, **change)
        if "hyps" not in change
        else (written_with_other_hyps(tmp_path, change["hyps"]))
    )
    with pytest.raises(error, match=message):
        nc.adapters.deep_retina(file)


def written_with_other_hyps(path, hyps):
    model = seeded(lambda: reference("VaryModel", SMALL))
    torch.save(checkpoint("VaryModel", SMALL, model) | {"hyps": hyps}, path / "model.pt")
    return path / "model.pt", model


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("sequential.2.running_var", None, "without the tensor 'sequential.2.running_var'"),
        ("sequential.0.convs.0.weight", None, "has the tensors"),
        ("sequential.0.convs.1.weight", torch.full((3, 3, 3, 3), torch.nan), "NaN or infinity"),
        ("sequential.2.shift", torch.ones(5), "batch norm sequential.2"),
        ("sequential.13.weight", torch.ones(3, 7), r"dense readout of weight \(3, 7\)"),
        ("sequential.0.convs.1.weight", torch.ones(3, 4, 3, 3), "for 3 channels"),
        ("sequential.1.proj.weight", torch.ones(3, 4), "no attention"),
        ("sequential.4.sigma", None, "after the stack sequential.0"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, name, tensor, message):
    model = seeded(lambda: reference("VaryModel", SMALL))
    facts = checkpoint("VaryModel", SMALL, model)
    state = facts["model_state_dict"]
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    torch.save(facts, tmp_path / "x.pt")
    with pytest.raises((StorageError, InputError), match=message):
        nc.adapters.deep_retina(tmp_path / "x.pt")


def test_a_file_that_is_no_dictionary(tmp_path):
    torch.save(torch.ones(2, 3), tmp_path / "x.pt")
    with pytest.raises(StorageError, match=r"holds Tensor of shape \(2, 3\)"):
        nc.adapters.deep_retina(tmp_path / "x.pt")


def test_without_norm_stats_the_network_takes_a_standardised_stimulus(tmp_path):
    file, model = written(tmp_path, "BNCNN", SMALL, norm_stats=None)
    with pytest.warns(NeurocodecWarning, match="norm_stats"):
        net = nc.adapters.deep_retina(file)
    x = torch.randn(4, 5, 17, 19, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net.module(x), model.sequential(x.double()).float())


def test_saving_it_in_our_format_says_what_to_do(tmp_path):
    file, _ = written(tmp_path, "BNCNN", SMALL)
    with pytest.raises(InputError, match="safetensors.torch.save_model"):
        nc.save_model(nc.adapters.deep_retina(file), tmp_path / "y.safetensors")
