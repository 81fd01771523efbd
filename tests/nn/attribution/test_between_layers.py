from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from networks import Tokens, images, movie, retina_network, seeded
from residual import Residual, residual, residual_network

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError

IG = nc.methods.IntegratedGradients
VECTORS = np.random.default_rng(2).normal(size=(3, 4))
FEATURES = nc.targets.Features("pre", VECTORS, position="center")


def pictures(n=3, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def contributions(module, shown, target, method, layers=("one",), **options):
    options = {"reduce": "none", "progress": False, **options}
    net = residual_network(module)
    return nc.contributions(net, shown, target=target, method=method, layers=layers, **options)


def slope(module, h, vector):
    """One autograd pass for one feature: value and gradient, without the toolkit."""
    h = h.detach().clone().requires_grad_()
    pre = module.two.before_relu(h)[:, :, 3, 3]
    value = pre @ torch.as_tensor(vector)
    return value.detach(), torch.autograd.grad(value.sum(), h)[0]


@pytest.mark.parametrize("functional_relu", [False, True])
def test_many_features_are_one_autograd_pass_for_each(functional_relu):
    module = residual(functional_relu=functional_relu)
    tree = contributions(module, pictures(), FEATURES, nc.methods.ActGrad())
    h = module.first(torch.from_numpy(pictures().values)).detach()
    for place, vector in enumerate(VECTORS):
        value, gradient = slope(module, h, vector)
        np.testing.assert_allclose(tree.target[:, place], value, rtol=1e-9)
        found = tree["one/contribution"][:, place]
        np.testing.assert_allclose(found, gradient * h, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tree["one/activation"], h, rtol=1e-9, atol=1e-12)
    assert tree["one/activation"].dims == ("stimulus", "channel", "y", "x")


@pytest.mark.parametrize("functional_relu", [False, True])
@pytest.mark.parametrize("rule", ["trapezoid", "right"])
def test_the_line_in_a_layer_is_a_sum_of_such_passes(functional_relu, rule):
    module = residual(functional_relu=functional_relu)
    tree = contributions(module, pictures(), FEATURES, IG(steps=4, path="hidden", rule=rule))
    x = torch.from_numpy(pictures().values)
    h, h0 = (module.first(v).detach() for v in (x, torch.zeros_like(x)))
    weights = [0.5, 1, 1, 1, 0.5] if rule == "trapezoid" else [0, 1, 1, 1, 1]
    for place, vector in enumerate(VECTORS):
        at = [slope(module, h0 + k / 4 * (h - h0), vector) for k in range(5)]
        gradient = sum(w / 4 * g for w, (_, g) in zip(weights, at, strict=True))
        found = tree["one/contribution"][:, place]
        np.testing.assert_allclose(found, gradient * (h - h0), rtol=1e-9, atol=1e-12)
        error = found.sum(["channel", "y", "x"]) - (at[-1][0] - at[0][0]).numpy()
        np.testing.assert_allclose(tree["one/completeness_error"][:, place], error, atol=1e-12)


class Counted(torch.nn.Conv2d):
    """A convolution that says when it runs; a replay that leaves it out replaces its forward."""

    ran: ClassVar[Counter] = Counter()

    def forward(self, x):
        self.ran.update([self.tag])
        return super().forward(x)


def calls_in(module, method, target=FEATURES) -> Counter:
    """How often each convolution runs."""
    Counted.ran.clear()
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Conv2d):
            part.__class__, part.tag = Counted, name
    contributions(module, pictures(), target, method)
    return Counter(Counted.ran)


@pytest.mark.parametrize("target", [FEATURES, nc.targets.Output(1)])
def test_only_the_part_between_the_layers_runs_at_every_step(target):
    few, many = (calls_in(residual(), IG(steps=s, path="hidden"), target) for s in (2, 12))
    more = many - few
    assert {*more} == {"two.conv1", "two.conv2"}
    assert {*more.values()} == {10}


@pytest.mark.parametrize("steps", [5, "auto"])
def test_features_do_not_depend_on_batches_nor_on_each_other(steps):
    module, method = residual(), IG(steps=steps, path="hidden", max_steps=32)
    whole = contributions(module, pictures(5), FEATURES, method)
    by_one = contributions(module, pictures(5), FEATURES, method, batch_size=1)
    xr.testing.assert_allclose(whole.to_dataset(), by_one.to_dataset(), rtol=1e-9)
    xr.testing.assert_allclose(whole["one"].to_dataset(), by_one["one"].to_dataset(), rtol=1e-9)
    for place, vector in enumerate(VECTORS):
        target = nc.targets.Feature("pre", vector, "center")
        alone = contributions(module, pictures(5), target, method)
        xr.testing.assert_allclose(
            whole["one"].to_dataset().isel(feature=place, drop=True), alone["one"].to_dataset()
        )
        if steps == "auto":
            assert whole.steps[:, place].values.tolist() == alone.steps.values.tolist()


@pytest.mark.parametrize(
    "method",
    [
        nc.methods.InputGrad(),
        nc.methods.NormGrad(),
        nc.methods.Activation(),
        IG(steps=2),
        IG(steps=2, path="hidden"),
    ],
)
def test_every_method_takes_many_features_wherever_they_are_strongest(method):
    module, position = residual(), "strongest"
    many = nc.targets.Features("pre", VECTORS[:2], position=position)
    tree = contributions(module, pictures(), many, method, reduce="channel")
    for place, vector in enumerate(VECTORS[:2]):
        target = nc.targets.Feature("pre", vector, position)
        alone = contributions(module, pictures(), target, method, reduce="channel")
        found = tree["one"].to_dataset()
        found = found.isel(feature=place, drop=True) if "feature" in found.dims else found
        xr.testing.assert_allclose(found, alone["one"].to_dataset(), rtol=1e-9)


def test_a_method_of_ones_own_is_asked_for_every_feature():
    class Doubled(nc.methods.ActGrad):
        def attribute(self, passes, batch):
            found = super().attribute(passes, batch)
            return nc.methods.Attribution(
                {a: 2 * x for a, x in found.values.items()}, found.activation, found.target, {}
            )

    plain, doubled = (
        contributions(residual(), pictures(), FEATURES, method)["one/contribution"]
        for method in (nc.methods.ActGrad(), Doubled())
    )
    np.testing.assert_allclose(doubled, 2 * plain)


def test_a_network_that_chooses_its_way_runs_whole():
    class Choosing(Residual):
        def forward(self, x):
            return super().forward(x if bool((x > -99).all()) else x + 0.1)

    module = residual()
    module.__class__ = Choosing
    method = IG(steps=3, path="hidden")
    found = contributions(module, pictures(), FEATURES, method)
    xr.testing.assert_allclose(
        found["one"].to_dataset().drop_vars("bypass"),
        contributions(residual(), pictures(), FEATURES, method)["one"].to_dataset(),
    )
    few, many = (calls_in(module, IG(steps=s, path="hidden")) for s in (2, 12))
    assert (many - few)["stem"] == 10


def test_tokens_and_vectors_are_layers_too():
    module = seeded(Tokens).double().eval()
    net = nc.Network(module, layers={"tokens": "mlp", "logits": "head"})
    target = nc.targets.Features("logits", channels=[2, 0])
    x = images().astype("float64")
    tree = nc.contributions(
        net, x, target=target, method=nc.methods.ActGrad(), layers=["tokens"], progress=False
    )
    for place, output in enumerate((2, 0)):
        alone = nc.contributions(
            net,
            x,
            target=nc.targets.Output(output),
            method=nc.methods.ActGrad(),
            layers=["tokens"],
            progress=False,
        )
        np.testing.assert_allclose(
            tree["tokens/contribution"][:, place], alone["tokens/contribution"]
        )


def test_a_layer_behind_the_features_is_refused():
    for method in (nc.methods.ActGrad(), IG(steps=2, path="hidden")):
        with pytest.raises(CaptureError, match="the target does not depend on layer 'two'"):
            contributions(residual(), pictures(), FEATURES, method, ["two"])


def test_features_that_do_not_fit_are_refused_before_anything_runs():
    net = residual_network(residual())
    for target in (
        nc.targets.Features("pre", np.ones((2, 5))),
        nc.targets.Features("pre", channels=[4]),
        nc.targets.Features("pre", channels=[1], position=(6, 0)),
    ):
        with pytest.raises(InputError):
            nc.contributions(net, pictures(), target=target, progress=False)


def test_one_number_is_wanted_elsewhere():
    with pytest.raises(InputError, match="a target of one number per sample"):
        nc.contribution_maps(residual_network(residual()), pictures(), "one", target=FEATURES)
    of = nc.targets.Features("layer2", channels=[0, 1])
    with pytest.raises(InputError, match="a target of one number per sample"):
        nc.receptive_fields(retina_network(), movie(8), of=of)


def test_names_and_places_of_results_are_the_features_alone():
    net = nc.Network(residual(), layers={"feature": "one", "pre": "two.total"})
    with pytest.raises(InputError, match="layer 'feature' beside many features"):
        nc.contributions(net, pictures(), target=FEATURES, layers=["feature"])
    net = nc.Network(seeded(Tokens), layers={"heads": nc.Layer("mlp", heads=2), "logits": "head"})
    target = nc.targets.Features("logits", channels=[2, 0])
    with pytest.raises(InputError, match="maps of the heads of layer 'heads'"):
        nc.contributions(net, images(), target=target, layers=["heads"], reduce="none")
