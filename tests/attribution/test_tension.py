import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from networks import movie, retina_network
from residual import residual, residual_network

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError

VECTORS = np.random.default_rng(2).normal(size=(3, 4))
FEATURES = nc.targets.Features("pre", VECTORS, position="center")
ACT_GRAD = nc.methods.ActGrad()


def pictures(n=4, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def tension(module, layer="one", target=FEATURES, shown=None, **options):
    net = residual_network(module) if isinstance(module, torch.nn.Module) else module
    shown = pictures() if shown is None else shown
    return nc.tension(net, shown, layer, target=target, progress=False, **options)


def slope(module, h, vector):
    """One autograd pass for one feature: value and gradient, without the toolkit."""
    h = h.detach().clone().requires_grad_()
    value = module.two.before_relu(h)[:, :, 3, 3] @ torch.as_tensor(vector)
    return value.detach(), torch.autograd.grad(value.sum(), h)[0]


@pytest.mark.parametrize("functional_relu", [False, True])
def test_sums_and_maps_are_those_of_the_definition(functional_relu):
    module = residual(functional_relu=functional_relu)
    found = tension(module, method=ACT_GRAD, maps=True)
    h = module.first(torch.from_numpy(pictures().values)).detach()
    for place, vector in enumerate(VECTORS):
        value, gradient = slope(module, h, vector)
        s = (gradient * h).numpy()
        one = found.isel(feature=place)
        close = {"rtol": 1e-9, "atol": 1e-12}
        np.testing.assert_allclose(one.target, value, **close)
        np.testing.assert_allclose(one.excitation, (s * (s > 0)).sum((1, 2, 3)), **close)
        np.testing.assert_allclose(one.inhibition, -(s * (s < 0)).sum((1, 2, 3)), **close)
        np.testing.assert_allclose(one.norm.sel(order=1), abs(s).sum((1, 2, 3)), **close)
        np.testing.assert_allclose(one.norm.sel(order=2), (s**2).sum((1, 2, 3)) ** 0.5, **close)
        np.testing.assert_allclose(one.excitation_map, (s * (s > 0)).sum(1), **close)
        np.testing.assert_allclose(one.inhibition_map, -(s * (s < 0)).sum(1), **close)
        error = s.sum((1, 2, 3)) - (value - slope(module, 0 * h, vector)[0]).numpy()
        np.testing.assert_allclose(one.completeness_error, error, **close)
    assert found.excitation.dims == ("stimulus", "feature")
    assert found.excitation_map.dims == ("stimulus", "feature", "y", "x")


def test_the_line_from_zero_is_complete():
    module = residual()
    found = tension(module)
    h = module.first(torch.from_numpy(pictures().values)).detach()
    change = torch.stack(
        [slope(module, h, w)[0] - slope(module, 0 * h, w)[0] for w in VECTORS], 1
    ).numpy()
    explained = found.excitation - found.inhibition
    assert bool(found.converged.all())
    assert (abs(explained - change) <= 0.0101 * abs(change)).all()
    np.testing.assert_allclose(found.completeness_error, explained - change, atol=1e-12)


def test_a_baseline_starts_the_line_at_its_activation():
    found = tension(residual(), baseline="zeros")
    method = nc.methods.IntegratedGradients("auto", path="hidden", tolerance=0.01, max_steps=128)
    tree = nc.contributions(
        residual_network(residual()),
        pictures(),
        target=FEATURES,
        method=method,
        layers=["one"],
        progress=False,
    )
    by_sign = tree["one/contribution"].sum("channel")
    np.testing.assert_allclose(found.excitation, by_sign.sel(sign="excitatory"), rtol=1e-9)
    np.testing.assert_allclose(found.inhibition, -by_sign.sel(sign="inhibitory"), rtol=1e-9)


def test_single_targets_and_single_batches_are_the_same():
    whole = tension(residual())
    xr.testing.assert_allclose(whole, tension(residual(), batch_size=1), rtol=1e-9)
    alone = tension(residual(), target=nc.targets.Feature("pre", VECTORS[1], "center"))
    assert alone.excitation.dims == ("stimulus",)
    xr.testing.assert_allclose(whole.isel(feature=1, drop=True), alone, rtol=1e-9)


def test_several_layers_are_nodes_of_one_tree():
    layers = {"one": "one", "inside": "two.norm1", "pre": "two.total"}
    net = nc.Network(residual(), layers=layers)
    with pytest.warns(NeurocodecWarning, match="something goes around layer 'inside'"):
        tree = tension(net, ["one", "inside"], method=ACT_GRAD)
    xr.testing.assert_identical(
        tree["one"].to_dataset().excitation, tension(residual(), method=ACT_GRAD).excitation
    )
    assert tree.target.dims == ("stimulus", "feature")
    assert tree["inside"].excitation.shape == (4, 3)


def test_with_a_way_around_the_line_explains_what_passes_the_layer():
    module = residual()
    net = nc.Network(module, layers={"inside": "two.conv2", "pre": "two.total"})
    with pytest.warns(NeurocodecWarning, match="something goes around"):
        found = tension(net, "inside")
    x = torch.from_numpy(pictures().values)
    h = module.first(x).detach()
    without = module.two.norm2(torch.zeros(4, 4, 6, 6, dtype=torch.float64)) + h
    change = (
        (module.two.before_relu(h) - without)[:, :, 3, 3] @ torch.as_tensor(VECTORS.T)
    ).detach()
    np.testing.assert_allclose(found.excitation - found.inhibition, change, rtol=0.011)


def test_a_run_into_a_file_is_that_in_memory_and_goes_on(tmp_path):
    path = tmp_path / "tension.zarr"
    found = tension(residual(), method=ACT_GRAD, maps=True)
    xr.testing.assert_allclose(
        found, tension(residual(), method=ACT_GRAD, maps=True, out=path, batch_size=2).load()
    )
    xr.testing.assert_allclose(found, nc.open(path).to_dataset())
    with pytest.raises(nc.errors.StorageError):
        tension(residual(), method=ACT_GRAD, out=path)


def test_targets_after_their_relu_are_warned_of():
    target = nc.targets.Features("two", channels=[0, 1, 2], position="center")
    with pytest.warns(NeurocodecWarning, match=r"no attribution.*net.pre_activation\('two'\)"):
        tension(residual(), target=target, method=ACT_GRAD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tension(residual(), method=ACT_GRAD)


def test_what_no_sample_moves_and_what_no_line_explains_is_warned_of():
    module = residual()
    with torch.no_grad():
        module.two.conv2.weight[1] = 0
    vectors = np.eye(4)[:3]
    net = nc.Network(module, layers={"inside": "two.norm1", "pre": "two.norm2"})
    target = nc.targets.Features("pre", vectors, position="center")
    with pytest.warns(NeurocodecWarning, match="1 features have no attribution .* as 1"):
        tension(net, "inside", target=target, method=ACT_GRAD)
    method = nc.methods.IntegratedGradients("auto", path="hidden", tolerance=1e-6, max_steps=9)
    with pytest.warns(NeurocodecWarning, match="not explained to the method's tolerance"):
        found = tension(residual(), method=method)
    assert not found.converged.all()


def test_the_same_layer_twice_is_one():
    found = tension(residual(), ["one", "one"], method=ACT_GRAD)
    xr.testing.assert_identical(found, tension(residual(), method=ACT_GRAD))


def test_a_movie_has_cells_and_times():
    net = retina_network()
    target = nc.targets.Features("layer2", np.eye(2), position="center")
    shape = nc.tension(net, movie(8), "layer1", target=target, progress=False).excitation
    assert shape.dims == ("time", "feature")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer": "two"}, nc.errors.CaptureError, "does not depend on layer 'two'"),
        ({"layer": "pre"}, InputError, "which the target itself reads"),
        ({"layer": "on"}, UnknownNameError, "no layer 'on'"),
        ({"layer": []}, InputError, "no layer"),
        ({"layer": 3}, InputError, "an alias, or several"),
        ({"method": nc.methods.Gradient()}, InputError, "whose numbers are gradients"),
        ({"method": "actgrad"}, InputError, "method='actgrad'"),
        ({"target": "pre"}, InputError, "target='pre'"),
        ({"target": nc.targets.Features("pre", np.eye(5))}, InputError, "each of its 4 channels"),
        ({"target": nc.targets.Features("up", np.eye(4))}, UnknownNameError, "no layer 'up'"),
        (
            {"target": nc.targets.Features("pre", channels=[0], position=(6, 0))},
            InputError,
            "a position inside of",
        ),
        ({"maps": "yes"}, InputError, "True or False"),
        ({"batch_size": 0}, InputError, "batch_size=0"),
        ({"shown": pictures().isel(y=0)}, InputError, "which the network refuses"),
        ({"shown": pictures() * np.nan}, InputError, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        tension(residual(), **options)


def test_the_strongest_position_is_each_samples_own_and_is_kept():
    module, shown = residual(), pictures()
    target = nc.targets.Features("pre", VECTORS, position="strongest")
    found = tension(module, target=target, method=ACT_GRAD)
    line = tension(module, target=target)
    h = module.first(torch.from_numpy(shown.values)).detach()
    for place, vector in enumerate(torch.as_tensor(VECTORS)):
        leaf = h.clone().requires_grad_()
        here, at_zero = (
            torch.einsum("bcyx,c->byx", module.two.before_relu(x), vector).flatten(1)
            for x in (leaf, torch.zeros_like(h))
        )
        own = here.argmax(1, keepdim=True)
        assert len({*own.flatten().tolist()}) > 1
        value = here.gather(1, own)[:, 0]
        s = (torch.autograd.grad(value.sum(), leaf)[0] * h).flatten(1)
        change = (value - at_zero.gather(1, own)[:, 0]).detach()
        np.testing.assert_allclose(found.target[:, place], value.detach(), rtol=1e-9)
        np.testing.assert_allclose(found.excitation[:, place], s.clamp(min=0).sum(1), rtol=1e-9)
        error = (s.sum(1) - change).numpy()
        np.testing.assert_allclose(found.completeness_error[:, place], error, atol=1e-12)
        explained = (line.excitation - line.inhibition)[:, place]
        np.testing.assert_allclose(explained, change, rtol=0.011)


def features(**options):
    return nc.targets.Features(**{"name": "pre", "vectors": VECTORS, **options})


def ranked(by="tension", **options):
    rows = {name: (("stimulus", "feature"), np.ones((3, 2))) for name in ("excitation", "target")}
    rows["inhibition"] = rows["excitation"]
    return nc.rank_stimuli(xr.Dataset({**rows, **options.pop("more", {})}), by, **options)


NAN = (("stimulus", "feature"), np.full((3, 2), np.nan))
MALFORMED = {
    "a layer that is None": (lambda: tension(residual(), layer=None), "an alias, or several"),
    "a layer of a list in a list": (lambda: tension(residual(), layer=[["one"]]), "no layer"),
    "no network": (lambda: nc.tension(residual(), pictures(), "one", target=FEATURES), "Network"),
    "no images": (lambda: tension(residual(), shown=pictures(0)), "at least one sample"),
    "plain numbers": (lambda: tension(residual(), shown=pictures().values), "DataArray"),
    "images without a sample dim": (lambda: tension(residual(), shown=pictures()[0]), "stimulus"),
    "one color too many": (
        lambda: tension(residual(), shown=pictures().isel(color=[0, 1, 2, 0])),
        "refuses",
    ),
    "an infinite pixel": (lambda: tension(residual(), shown=pictures() / 0.0), "infinite"),
    "words for pixels": (lambda: tension(residual(), shown=pictures().astype(str)), "real"),
    "a target of a class": (lambda: tension(residual(), target=nc.targets.Features), "target="),
    "vectors of zeros": (lambda: features(vectors=np.zeros((1, 4))), "not all of them zero"),
    "vectors of NaN": (lambda: features(vectors=VECTORS * np.nan), "finite"),
    "vectors in words": (lambda: features(vectors=[["a"]]), "finite number per channel"),
    "vectors and channels": (lambda: features(channels=[1]), "both vectors and channels"),
    "one vector for many": (lambda: features(vectors=VECTORS[0]), "vector"),
    "a negative position": (lambda: features(position=(-1, -1)), "from 0"),
    "a position far outside": (lambda: features(position=(-20, 0)), "from 0"),
    "half a position": (lambda: features(position=(0.5, 1)), "whole numbers"),
    "a misspelt position": (lambda: features(position="centre"), "'center'"),
    "too few coordinates": (lambda: tension(residual(), target=features(position=3)), "inside of"),
    "labels twice": (lambda: features(labels=["a", "a", "b"]), "no two the same"),
    "a channel that is not there": (
        lambda: tension(residual(), target=features(vectors=None, channels=[4])),
        "from 0 to 3",
    ),
    "a baseline of another shape": (
        lambda: tension(residual(), baseline=np.ones((2, 2))),
        "baseline",
    ),
    "a baseline in words": (lambda: tension(residual(), baseline="black"), "baseline"),
    "a method of a class": (lambda: tension(residual(), method=nc.methods.ActGrad), "method="),
    "no steps": (lambda: nc.methods.IntegratedGradients(0, path="hidden"), "steps=0"),
    "an unknown path": (lambda: nc.methods.IntegratedGradients(path="middle"), "path"),
    "a size of batches": (lambda: tension(residual(), batch_size=-3), "batch_size=-3"),
    "a device": (lambda: tension(residual(), device="tpu"), "tpu"),
    "a file that is a number": (lambda: tension(residual(), out=3), "out=3"),
    "another rule": (lambda: ranked("tense"), "'tense'"),
    "more than there are": (lambda: ranked(count=4), "count=4 of 3"),
    "none of them": (lambda: ranked(count=0), "count=0"),
    "rules of maps without maps": (lambda: ranked("apart", count=1), "maps=True"),
    "a constant target": (lambda: ranked("paper", count=1), "never change"),
    "excitation of NaN": (lambda: ranked(count=1, more={"excitation": NAN}), "finite"),
    "a tree": (lambda: nc.rank_stimuli(xr.DataTree(), count=1), "Dataset of one layer"),
    "uniqueness of one feature": (
        lambda: nc.statistics.uniqueness(ranked(count=1)[:1], stimuli=3),
        "two",
    ),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_input_is_named(what):
    call, message = MALFORMED[what]
    with pytest.raises(nc.errors.NeurocodecError, match=message):
        call()


def test_time_and_size_are_told_before():
    net = residual_network(residual())
    told = nc.estimate_tension(net, pictures(), "one", target=FEATURES, batch_size=2)
    assert told.samples == 4
    found = tension(residual())
    size = sum(one.nbytes for one in found.data_vars.values())
    assert told.output_bytes == size
