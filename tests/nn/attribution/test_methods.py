"""All methods against hand arithmetic, against each other, and against Captum."""

import captum.attr
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    Tokens,
    convolutional,
    images,
    linear,
    movie,
    net_contribution,
    retina_network,
    seeded,
    two_layers,
    vectors,
)
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.nn.attribution import methods, targets

ALL = [
    methods.ActGrad(),
    methods.InputGrad(),
    methods.IntegratedGradients(steps=4),
    methods.IntegratedGradients(steps=4, rule="right"),
    methods.IntegratedGradients(steps=4, path="hidden"),
    methods.SmoothGrad(sigma=0.01, samples=2),
    methods.NormGrad(),
]


def run(net, stimulus, method, target=None, **options):
    target = target or targets.Output(0)
    return nc.contributions(net, stimulus, target=target, method=method, progress=False, **options)


def test_hand_arithmetic_of_a_two_layer_network():
    net = nc.Network(two_layers(), layers={"pre": "0", "relu": "1"})
    stimulus = vectors([[2, 1], [1, 2]])
    tree = run(net, stimulus, methods.ActGrad())
    np.testing.assert_array_equal(tree.target, [23, 10])
    np.testing.assert_array_equal(net_contribution(tree, "relu"), [[3, 20], [0, 10]])
    np.testing.assert_array_equal(net_contribution(tree, "pre"), [[3, 20], [0, 10]])
    np.testing.assert_array_equal(tree["relu"].completeness_error, [0, 0])
    np.testing.assert_array_equal(tree["pre"].activation, [[1, 4], [-1, 2]])
    tree = run(net, stimulus, methods.Gradient())
    np.testing.assert_array_equal(tree["pre"].gradient.sum("sign"), [[3, 5], [0, 5]])
    tree = run(net, stimulus, methods.NormGrad())
    np.testing.assert_allclose(
        net_contribution(tree, "relu"), np.array([[3, 20], [0, 10]]) / np.sqrt(34), rtol=1e-6
    )


def test_hand_arithmetic_of_both_rules():
    """y = relu(x - 1) at x = 3, four steps: h = -1, -1/4, 1/2, 5/4, 2, dy/dh = 0, 0, 1, 1, 1."""
    net = nc.Network(nn.Sequential(linear([[1]], [-1]), nn.ReLU()), layers={"pre": "0"})
    stimulus = vectors([[3]])
    for rule, expected in (("trapezoid", 1.875), ("right", 2.25)):
        tree = run(net, stimulus, methods.IntegratedGradients(steps=4, rule=rule))
        assert net_contribution(tree, "pre").item() == pytest.approx(expected)
        assert tree["pre"].completeness_error.item() == pytest.approx(expected - 2)


def test_input_path_and_hidden_path_differ_where_they_should():
    """y = h1 h2 with h1 = relu(x), h2 = relu(x - 1): along the input path h2 starts late."""

    class Product(nn.Module):
        def forward(self, h):
            return h[:, :1] * h[:, 1:]

    module = nn.Sequential(linear([[1], [1]], [0, -1]), nn.ReLU(), Product())
    net = nc.Network(module, layers={"h": "1"})
    stimulus = vectors([[3]])
    # input path: dh1 h2 over h1 = 1..3 is int (s - 1) ds = 2; h1 dh2 is int s ds over 1..3 = 4
    curved = run(net, stimulus, methods.IntegratedGradients(steps=3000))
    np.testing.assert_allclose(net_contribution(curved, "h"), [[2, 4]], rtol=1e-3)
    # hidden path: both grow together, so each gets half of 6
    straight = run(net, stimulus, methods.IntegratedGradients(steps=10, path="hidden"))
    np.testing.assert_allclose(net_contribution(straight, "h"), [[3, 3]], rtol=1e-5)


@pytest.mark.parametrize("method", ALL[:5], ids=str)
def test_all_methods_are_equal_and_one_step_is_exact_in_a_linear_network(method):
    module = seeded(lambda: nn.Sequential(nn.Linear(4, 3, False), nn.Linear(3, 2, False)))
    net = nc.Network(module, layers={"hidden": "0"})
    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 4)))
    tree = run(net, stimulus, method)
    w1, w2 = (m.weight.detach().numpy() for m in module)
    expected = (stimulus.values @ w1.T) * w2[0]
    np.testing.assert_allclose(net_contribution(tree, "hidden"), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tree["hidden"].completeness_error, 0, atol=1e-6)


def test_smooth_grad_is_the_mean_over_the_same_noise():
    """In y = sum x^2 the product h dy/dh is 2 x^2; its mean over noise is 2 x^2 + 2 sigma^2."""

    class Square(nn.Module):
        def forward(self, x):
            return x**2

    net = nc.Network(nn.Sequential(nn.Identity(), Square()), layers={"h": "0"})
    stimulus = vectors([[1.0], [2.0]])
    tree = run(net, stimulus, methods.SmoothGrad(sigma=0.5, samples=4000))
    np.testing.assert_allclose(net_contribution(tree, "h"), [[2.5], [8.5]], rtol=0.05)
    tree = run(net, stimulus, methods.SmoothGrad(sigma=0.5, samples=40))
    again = run(net, stimulus, methods.SmoothGrad(sigma=0.5, samples=40), batch_size=1)
    np.testing.assert_allclose(net_contribution(again, "h"), net_contribution(tree, "h"), rtol=1e-5)


@pytest.fixture(scope="module")
def network():
    return nc.Network(convolutional(), layers={"conv": "0", "norm": "1", "relu": "2", "conv2": "3"})


def captum_layers(module):
    return {"conv": module[0], "norm": module[1], "relu": module[2], "conv2": module[3]}


def plain(module):
    """The same network without in-place operations."""
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return module


def positions_summed(values):
    return values.detach().flatten(2).sum(2).numpy()


@pytest.mark.filterwarnings("ignore:Setting:UserWarning", "ignore:.*backward hook:UserWarning")
def test_act_grad_is_captums(network):
    stimulus = images()
    tree = run(network, stimulus, methods.ActGrad(), targets.Output(2))
    module = plain(convolutional())
    for alias, layer in captum_layers(module).items():
        reference = captum.attr.LayerGradientXActivation(module, layer)
        expected = reference.attribute(torch.from_numpy(stimulus.values), target=2)
        np.testing.assert_allclose(
            net_contribution(tree, alias), positions_summed(expected), rtol=1e-4, atol=1e-5
        )


def test_hidden_path_is_captums_layer_integrated_gradients(network):
    stimulus = images()
    method = methods.IntegratedGradients(steps=20, path="hidden", rule="right")
    tree = run(network, stimulus, method, targets.Output(2))
    module = plain(convolutional())
    for alias, layer in captum_layers(module).items():
        reference = captum.attr.LayerIntegratedGradients(module, layer)
        expected = reference.attribute(
            torch.from_numpy(stimulus.values), target=2, n_steps=20, method="riemann_right"
        )
        scale = np.abs(positions_summed(expected)).max()
        np.testing.assert_allclose(
            net_contribution(tree, alias), positions_summed(expected), atol=1e-4 * scale
        )


def test_input_path_tends_to_captums_conductance():
    """In the many-step limit; smooth units, so that both sums converge quickly to it."""
    module = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 6), nn.Flatten())
    )
    net = nc.Network(module, layers={"tanh": "1"})
    stimulus = images()
    tree = run(net, stimulus, methods.IntegratedGradients(steps=400))
    reference = captum.attr.LayerConductance(module, module[1])
    expected = reference.attribute(
        torch.from_numpy(stimulus.values), target=0, n_steps=400, method="riemann_trapezoid"
    )
    expected = positions_summed(expected)
    error = np.abs(net_contribution(tree, "tanh") - expected).max()
    assert error <= 1e-4 * np.abs(expected).max()


def test_input_grad_is_a_finite_difference(network):
    stimulus = images().astype("float64")
    module = convolutional().double()
    net = nc.Network(module, layers=network.layers)
    tree = run(net, stimulus, methods.InputGrad())
    gradient = run(net, stimulus, methods.Gradient(), reduce="none")
    step = 1e-6
    near = run(net, stimulus * (1 - step), methods.Activation(), reduce="none")
    here = run(net, stimulus, methods.Activation(), reduce="none")
    for alias in network.layers:
        change = (here[alias].activation - near[alias].activation) / step
        expected = (change * gradient[alias].gradient).sum(["y", "x"])
        np.testing.assert_allclose(net_contribution(tree, alias), expected, rtol=1e-4, atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), target=st.integers(0, 5))
def test_integrated_gradients_are_complete(seed, target):
    """With smooth units, whose path integrals a hundred steps get right to rounding."""
    module = convolutional(seed)
    module[2], module[4] = nn.Softplus(), nn.Softplus()
    net = nc.Network(module, layers=["0", "1", "3"])
    tree = run(net, images(2, seed), methods.IntegratedGradients(steps=100), targets.Output(target))
    for alias in ("0", "1", "3"):
        size = np.abs(tree[alias].contribution).sum(["sign", "channel"])
        assert (np.abs(tree[alias].completeness_error) <= 1e-4 * size + 1e-6).all()


def test_completeness_error_is_sum_minus_change_of_the_target(network):
    stimulus = images()
    tree = run(network, stimulus, methods.IntegratedGradients(steps=3), targets.Sum())
    y = nc.respond(network, stimulus).sum("category")
    y0 = nc.respond(network, xr.zeros_like(stimulus)).sum("category")
    expected = tree["conv2"].contribution.sum(["sign", "channel"]) - (y - y0)
    np.testing.assert_allclose(tree["conv2"].completeness_error, expected, atol=1e-4)


@pytest.mark.parametrize("method", ALL, ids=str)
def test_same_numbers_for_any_batch_size_and_any_subset_of_layers(network, method):
    stimulus = images(7)
    whole = run(network, stimulus, method)
    parts = run(network, stimulus, method, batch_size=3, layers=["conv2"])
    a, b = whole["conv2"].contribution, parts["conv2"].contribution
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.abs(a).max()))
    np.testing.assert_allclose(whole.target, parts.target, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ALL, ids=str)
def test_in_place_or_not_is_the_same(network, method):
    stimulus = images()
    a = run(network, stimulus, method)
    b = run(nc.Network(plain(convolutional()), layers=network.layers), stimulus, method)
    for alias in network.layers:
        np.testing.assert_allclose(
            a[alias].contribution, b[alias].contribution, rtol=1e-5, atol=1e-6
        )


def test_permuting_channels_permutes_contributions(network):
    order = [2, 0, 3, 1]
    module = convolutional()
    module[0].weight.data = module[0].weight.data[order]
    module[0].bias.data = module[0].bias.data[order]
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(module[1], name).data = getattr(module[1], name).data[order]
    module[3].weight.data = module[3].weight.data[:, order]
    a = run(network, images(), methods.IntegratedGradients(steps=5))
    b = run(nc.Network(module, layers=network.layers), images(), methods.IntegratedGradients(5))
    np.testing.assert_allclose(
        a["relu"].contribution[..., order], b["relu"].contribution, rtol=1e-4, atol=1e-6
    )


def test_split_after_the_sum_and_maps(network):
    stimulus = images()
    maps = run(network, stimulus, methods.ActGrad(), reduce="none")["conv"].contribution
    assert maps.dims == ("stimulus", "channel", "y", "x")
    before = run(network, stimulus, methods.ActGrad())["conv"].contribution
    after = run(network, stimulus, methods.ActGrad(), split="after")["conv"].contribution
    np.testing.assert_allclose(
        before.sel(sign="excitatory"), maps.clip(min=0).sum(["y", "x"]), rtol=1e-5
    )
    np.testing.assert_allclose(
        after.sel(sign="inhibitory"), maps.sum(["y", "x"]).clip(max=0), rtol=1e-4, atol=1e-6
    )
    assert (before.sel(sign="excitatory") >= 0).all()
    assert (before.sel(sign="inhibitory") <= 0).all()


def test_baseline_shifts_paths_and_activations():
    net = nc.Network(two_layers(), layers={"relu": "1"})
    stimulus = vectors([[2, 1]])
    tree = run(net, stimulus, methods.ActGrad(), baseline=np.array([1.0, 0.0]))
    np.testing.assert_array_equal(net_contribution(tree, "relu"), [[0, 10]])
    np.testing.assert_array_equal(tree["relu"].completeness_error, [0])
    path = methods.IntegratedGradients(steps=2)
    tree = run(net, vectors([[2, 1], [0, 1]]), path, baseline="mean")
    # paths start at the mean sample a = b = 1, where h = (0, 2), and end at h = (1, 4) and (0, 0)
    np.testing.assert_allclose(net_contribution(tree, "relu"), [[3, 10], [0, -10]])
    np.testing.assert_allclose(tree["relu"].completeness_error, [0, 0])


def test_automatic_steps_refine_only_what_misses_and_flag_what_still_does():
    module = nn.Sequential(linear([[1]], [-1]), nn.ReLU(), linear([[1]]))
    net = nc.Network(module, layers={"pre": "0"})
    stimulus = vectors([[-1.0], [3.1], [np.pi]])
    method = methods.IntegratedGradients(steps="auto", tolerance=1e-2, max_steps=512)
    tree = run(net, stimulus, method)
    assert tree.steps.values[0] == 8
    assert tree.steps.values[1] > 8
    assert bool(tree.converged.all())
    change = np.maximum(stimulus.values[:, 0] - 1, 0)
    assert (np.abs(tree["pre"].completeness_error) <= 1e-2 * change + 1e-6).all()
    strict = methods.IntegratedGradients(steps="auto", tolerance=1e-6, max_steps=16)
    tree = run(net, stimulus, strict)
    assert tree.converged.values.tolist() == [True, False, False]
    assert tree.steps.values.tolist() == [8, 16, 16]


def test_held_classes_keep_the_path_complete():
    """With a baseline whose best class is another, only hold=True explains the class at x."""
    module = nn.Sequential(linear([[1, 0], [0, 1]], [5, 0]), nn.Identity())
    net = nc.Network(module, layers={"logits": "0"})
    stimulus = vectors([[0.0, 9.0], [1.0, 0.0]])
    method = methods.IntegratedGradients(steps=4)
    tree = run(net, stimulus, method, targets.TopK(1, hold=True))
    np.testing.assert_allclose(net_contribution(tree, "logits"), [[0, 9], [1, 0]])
    np.testing.assert_allclose(tree["logits"].completeness_error, 0, atol=1e-6)


def test_feature_of_a_hidden_layer_is_a_target(network):
    stimulus = images()
    target = targets.Feature("conv2", (1.0, 0.0, 0.0, 0.0, 0.0))
    tree = run(network, stimulus, methods.ActGrad(), target, layers=["relu", "conv2"])
    expected = run(network, stimulus, methods.Activation())["conv2"].activation[:, 0]
    np.testing.assert_allclose(tree.target, expected, rtol=1e-4)
    np.testing.assert_allclose(net_contribution(tree, "conv2")[:, 0], expected, rtol=1e-4)
    assert "conv2" not in run(network, stimulus, methods.ActGrad(), target, layers=["relu"])


def test_token_layers_are_summed_over_tokens_or_read_at_one():
    module = seeded(Tokens).eval()
    layers = {"all": "mlp", "class token": nc.Layer("mlp", token=0)}
    net = nc.Network(module, layers=layers)
    tree = run(net, images(), methods.ActGrad())
    # only the class token is read out, so the other tokens' contributions vanish
    np.testing.assert_allclose(
        tree["all"].contribution, tree["class token"].contribution, rtol=1e-5
    )
    a, b = tree["all"].activation, tree["class token"].activation
    assert np.abs(a - b).max() > 0.1
    maps = run(net, images(), methods.ActGrad(), reduce="none")
    assert maps["all"].contribution.dims == ("stimulus", "channel", "token")


def test_movie_windows_affine_prefix_and_plain_passes_agree():
    net = retina_network()
    stimulus = movie(30)
    rates = nc.respond(net, stimulus)
    target = targets.Surprisal.fit(rates)
    method = methods.IntegratedGradients(steps=6)
    fast = run(net, stimulus, method, target)
    windows = np.stack([stimulus.values[i : i + 6] for i in range(25)])
    as_images = xr.DataArray(windows, dims=("stimulus", "lag", "y", "x"))
    wrapped = nn.Sequential(_Wobble(), *net.module)
    slow_net = nc.Network(wrapped, layers={"layer1": "1", "layer2": "6"}, outputs=rates.cell.values)
    slow = run(slow_net, as_images, method, target)
    for alias in ("layer1", "layer2"):
        a, b = fast[alias].contribution, slow[alias].contribution
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * float(np.abs(b).max()))


def test_settings_are_whole_numbers_of_any_kind_and_names_that_exist():
    assert methods.IntegratedGradients(np.int64(4)) == methods.IntegratedGradients(4)
    assert isinstance(methods.IntegratedGradients(max_steps=np.int64(4)).max_steps, int)
    assert methods.SmoothGrad(samples=np.int32(2), seed=np.int64(1)) == methods.SmoothGrad(
        0.1, 2, 1
    )
    for settings_, message in (
        ({"steps": True}, "steps=True\n.*a whole number, at least 1\n.*steps='auto'"),
        ({"steps": 0}, "steps=0"),
        ({"steps": "many"}, "steps='many'"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"tolerance": 0.0}, "tolerance=0.0\n.*a number above 0"),
        ({"path": "layer"}, "no path 'layer'\n.*'input', 'hidden'"),
        ({"rule": "left"}, "no rule 'left'\n.*'trapezoid', 'right'"),
    ):
        with pytest.raises(InputError, match=message):
            methods.IntegratedGradients(**settings_)
    for settings_, message in (
        ({"samples": 0}, "samples=0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**23}, "a seed from 0 to 8388607"),
        ({"sigma": -1.0}, "sigma of at least 0"),
        ({"sigma": float("nan")}, "sigma of at least 0"),
    ):
        with pytest.raises(InputError, match=message):
            methods.SmoothGrad(**settings_)


class _Wobble(nn.Module):
    """Identity that no analysis of module types can see through."""

    def forward(self, x):
        return x + 0.0
