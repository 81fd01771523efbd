"""`nc.contribution_maps`: completeness, quadrature, modes, invariances, and what is given back."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import convolutional, images, movie, retina_network, seeded, vectors
from torch import Tensor, nn

import neurocodec as nc

METHODS = {
    "input-grad": nc.methods.InputGrad(),
    "act-grad": nc.methods.ActGrad(),
    "trapezoid": nc.methods.IntegratedGradients(steps=5),
    "right": nc.methods.IntegratedGradients(steps=5, rule="right"),
    "hidden": nc.methods.IntegratedGradients(steps=5, path="hidden"),
}
PIXELS = ["color", "y", "x"]
LAYERS = {"conv": "0", "norm": "1", "relu": "2", "conv2": "3"}


@pytest.fixture(scope="module")
def network() -> nc.Network:
    return nc.Network(convolutional(), layers=LAYERS)


def run(net: nc.Network, stimuli: xr.DataArray, layer: str | None = None, **options) -> xr.Dataset:
    options = {"target": nc.targets.Output(2), "progress": False} | options
    return nc.contribution_maps(net, stimuli, layer, **options)


def contribution(net: nc.Network, stimuli: xr.DataArray, layer: str, **options) -> xr.DataArray:
    options = {"target": nc.targets.Output(2), "progress": False} | options
    return nc.contributions(net, stimuli, layers=[layer], **options)[layer].contribution


def near(found, expected, tolerance: float = 1e-4) -> None:
    """Within `tolerance` of the largest value; of labelled arrays with the same labels."""
    if isinstance(found, xr.DataArray) and isinstance(expected, xr.DataArray):
        expected = expected.transpose(*found.dims)
        xr.align(found, expected, join="exact")
    found, expected = np.asarray(found, "float64"), np.asarray(expected, "float64")
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 0
    assert np.abs(found - expected).max() <= tolerance * scale


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method", METHODS)
def test_contributions_are_those_of_the_other_function(network, layer, method) -> None:
    stimuli = images(3)  # zeros by name, as ActGrad takes h' = 0 in the other one without
    options = {"method": METHODS[method], "baseline": "zeros"}
    found = run(network, stimuli, layer, channels="each", **options)
    near(found.contribution, contribution(network, stimuli, layer, **options))
    near(
        found.contribution_map.sum(PIXELS) - found.map_completeness_error, found.contribution, 1e-4
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_input_grad_maps_sum_to_the_contribution(network, layer) -> None:
    stimuli, start = images(3), images(1, seed=4)[0].values
    for baseline in (None, start):
        options = {"method": nc.methods.InputGrad(), "baseline": baseline}
        found = run(network, stimuli, layer, channels="each", **options)
        near(found.contribution_map.sum(PIXELS), contribution(network, stimuli, layer, **options))
        assert abs(found.map_completeness_error).max() <= 1e-4 * abs(found.contribution).max()


def smooth() -> nn.Module:
    """No kinks, so that a trapezoid sum converges with the square of the steps; float64."""
    module = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 3, 3), nn.Softplus(), nn.Flatten(),
            nn.Linear(48, 3), nn.Tanh(),
        )
    )  # fmt: skip
    return module.double().eval()


@pytest.mark.parametrize("layer", ["1", "3"])
@pytest.mark.parametrize(
    ("path", "rule", "order"),
    [("input", "trapezoid", 2), ("input", "right", 1), ("hidden", "trapezoid", 2)],
)
def test_completeness_error_falls_with_the_steps(layer, path, rule, order) -> None:
    """As 1/M^2, or 1/M for right sums: four times the steps, a sixteenth or a quarter of it."""
    net, stimuli = nc.Network(smooth(), layers=["1", "3"]), 2 * images(3).astype("float64")
    errors = []
    for steps in (8, 32, 128):
        method = nc.methods.IntegratedGradients(steps=steps, path=path, rule=rule)
        found = run(net, stimuli, layer, channels="each", sign="net", method=method)
        error = found.contribution_map.sum(PIXELS) - found.contribution
        near(found.map_completeness_error, error, 1e-3)
        errors.append(float(np.abs(error).max() / np.abs(found.contribution).max()))
    ratios = np.array(errors[:-1]) / errors[1:]
    assert errors[-1] < (1e-4 if order == 2 else 2e-2)
    assert np.all((ratios > 0.6 * 4**order) & (ratios < 1.6 * 4**order)), (errors, ratios)


def test_act_grad_is_complete_from_a_baseline() -> None:
    net, stimuli = nc.Network(smooth(), layers=["1", "3"]), images(3).astype("float64")
    start = images(1, seed=4)[0].values.astype("float64")
    for layer in ("1", "3"):
        found = run(
            net, stimuli, layer, channels="each", method=nc.methods.ActGrad(), baseline=start
        )
        assert abs(found.map_completeness_error).max() <= 5e-3 * abs(found.contribution).max()


def _linear() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 2, 6, bias=False))


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_are_the_analytic_map_of_a_linear_network(method) -> None:
    """(CODEC after eq. 23: the three are the same for a linear network.)"""
    module = seeded(_linear)
    net = nc.Network(nn.Sequential(*module, nn.Flatten()), layers={"hidden": "0"})
    stimuli = images(2)
    found = run(
        net, stimuli, "hidden", channels="each", method=METHODS[method],
        target=nc.targets.Output(1),
    )  # fmt: skip
    inner, outer = (m.weight.detach().double().numpy() for m in module)
    rows = np.zeros((4, 6, 6, 3, 8, 8))
    for y in range(6):
        for x in range(6):
            rows[:, y, x, :, y : y + 3, x : x + 3] = inner * outer[1, :, y, x, None, None, None]
    units = rows * stimuli.values[:, None, None, None]
    own = units.sum((-3, -2, -1), keepdims=True)
    expected = [(units * (s * own > 0)).sum((2, 3)) for s in (1, -1)]
    near(found.contribution_map.transpose("sign", ...), np.stack(expected))
    assert abs(found.map_completeness_error).max() <= 1e-4 * abs(found.contribution).max()


@pytest.mark.parametrize("method", METHODS)
def test_the_signs_add_up_and_are_chosen(network, method) -> None:
    stimuli, options = images(2), {"channels": "each", "method": METHODS[method]}
    both = run(network, stimuli, "relu", **options)
    net = run(network, stimuli, "relu", sign="net", **options)
    assert "sign" not in net.coords
    for name in ("contribution_map", "contribution", "map_completeness_error"):
        assert both[name].dims == (*net[name].dims[:2], "sign", *net[name].dims[2:])
    near(both.contribution_map.sum("sign"), net.contribution_map)
    near(both.contribution.sum("sign"), net.contribution)
    for sign in ("excitatory", "inhibitory"):
        one = run(network, stimuli, "relu", sign=sign, **options)
        assert one["sign"].item() == sign
        near(one.contribution_map, both.contribution_map.sel(sign=sign))
    assert (both.contribution.sel(sign="excitatory") >= 0).all()
    assert (both.contribution.sel(sign="inhibitory") <= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_negated_answer_swaps_the_signs(method) -> None:
    start = images(1, seed=4)[0].values  # without one, ActGrad of a silent unit has no sign
    stimuli = images(2)
    options = {"channels": "each", "method": METHODS[method], "baseline": start}
    plain, negated = convolutional(), convolutional()
    with torch.no_grad():
        negated[-1].weight.neg_()
        negated[-1].bias.neg_()
    maps = [
        run(nc.Network(m, layers={"h": "2"}), stimuli, "h", **options).contribution_map
        for m in (plain, negated)
    ]
    near(maps[1].transpose("sign", ...).values[::-1], -maps[0].transpose("sign", ...))


@pytest.mark.parametrize("method", [m for m in METHODS if m != "act-grad"])
def test_a_stimulus_like_its_baseline_has_no_map(network, method) -> None:
    stimuli = images(3)
    found = run(
        network, stimuli, "relu", channels="each", method=METHODS[method],
        baseline=stimuli[1].values,
    )  # fmt: skip
    largest = abs(found.contribution_map).max(["channel", "sign", *PIXELS])
    assert largest[1] == 0
    assert largest[0] > 0
    assert largest[2] > 0


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_channels_do_not_depend_on_each_other(data, network) -> None:
    """Nor on their order, the batch they are in, the images beside theirs."""
    method = data.draw(st.sampled_from(sorted(METHODS)))
    layer, count = data.draw(st.sampled_from([("relu", 4), ("conv2", 5)]))
    channels = data.draw(
        st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True)
    )
    picked = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True))
    size = data.draw(st.integers(1, 5))
    options = {"method": METHODS[method]}
    whole = run(network, images(5), layer, channels="each", **options)
    some = run(network, images(5)[picked], layer, channels=channels, batch_size=size, **options)
    assert some.channel.values.tolist() == channels
    expected = whole.sel(channel=channels).isel(stimulus=picked)
    for name in ("contribution_map", "contribution"):
        xr.align(some[name], expected[name], join="exact")
        scale = abs(whole[name]).max()
        assert abs(some[name] - expected[name]).max() <= 1e-5 * scale
    assert some.label.values.tolist() == [f"class {i}" for i in picked]


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_alone_is_all_of_its_channels_together(network, method) -> None:
    stimuli = images(2)
    layer = run(network, stimuli, "relu", method=METHODS[method])
    each = run(network, stimuli, "relu", channels="each", method=METHODS[method])
    for name in ("contribution_map", "contribution", "map_completeness_error"):
        assert "channel" not in layer[name].coords
        size = abs(each["contribution" if name == "map_completeness_error" else name]).max()
        assert abs(layer[name] - each[name].sum("channel")).max() <= 1e-4 * size


def test_one_channel_has_no_dim(network) -> None:
    stimuli = images(2)
    one = run(network, stimuli, "relu", channels=3)
    assert one.contribution_map.dims == ("stimulus", "sign", "color", "y", "x")
    assert one.channel.item() == 3
    each = run(network, stimuli, "relu", channels="each")
    assert each.contribution_map.dims == ("stimulus", "channel", "sign", "color", "y", "x")
    near(one.contribution_map, each.contribution_map.sel(channel=3))


def dictionary(rows: int, channels: int, seed: int = 0) -> xr.DataArray:
    values = np.random.default_rng(seed).gamma(1.0, size=(rows, channels)).astype("float32")
    return xr.DataArray(
        values,
        {"mode": 2 * np.arange(rows) + 3, "channel": np.arange(channels)},
        ("mode", "channel"),
    )


@settings(max_examples=12, deadline=None)
@given(
    method=st.sampled_from(sorted(METHODS)),
    seed=st.integers(0, 1000),
    rows=st.integers(1, 4),
    top=st.integers(1, 7),
)
def test_modes_are_sums_of_their_channels(network, method, seed, rows, top) -> None:
    stimuli, modes = images(2), dictionary(rows, 5, seed)
    sign = ["both", "net", "excitatory", "inhibitory"][seed % 4]
    options = {"method": METHODS[method], "sign": sign}
    each = run(network, stimuli, "conv2", channels="each", **options)
    weighted = run(network, stimuli, "conv2", modes=modes, weights="dictionary", **options)
    equal = run(network, stimuli, "conv2", modes=modes, weights="equal", top=top, **options)
    ranks = (-modes).argsort(1).argsort(1)
    ones = modes.copy(data=(ranks.values < top).astype("float32"))
    for name in ("contribution_map", "contribution"):
        for found, factors in ((weighted, modes), (equal, ones)):
            expected = xr.dot(factors, each[name], dim="channel")
            xr.align(found[name], expected, join="exact")
            assert abs(found[name] - expected).max() <= 1e-4 * abs(each[name]).max()
    assert weighted.contribution_map.dims[:2] == ("stimulus", "mode")


def test_modes_by_the_ten_largest_channels_is_the_default() -> None:
    module = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 14, 3), nn.ReLU(), nn.Flatten(), nn.Linear(14 * 36, 3))
    )
    net = nc.Network(module, layers={"h": "1"})
    stimuli, modes = images(2), dictionary(2, 14)
    found = run(net, stimuli, "h", modes=modes)
    each = run(net, stimuli, "h", channels="each")
    for mode in modes:
        largest = np.argsort(-mode.values)[:10]
        expected = each.contribution_map.sel(channel=largest).sum("channel")
        near(found.contribution_map.sel(mode=mode.mode), expected)


def test_one_mode_and_fitted_modes(network) -> None:
    stimuli = images(5)
    tree = nc.contributions(
        network, images(60), target=nc.targets.Output(2), method=nc.methods.InputGrad(),
        layers=["conv2"], progress=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few rows and epochs fit badly, and it says so
        modes = nc.SparseModes(expansion=2, epochs=2, seed=0, progress=False).fit(tree["conv2"])
    found = run(network, stimuli, "conv2", modes=modes, weights="dictionary")
    rows = run(network, stimuli, "conv2", modes=modes.dictionary, weights="dictionary")
    assert found.mode.values.tolist() == modes.dictionary.mode.values.tolist()
    np.testing.assert_array_equal(found.contribution_map, rows.contribution_map)
    one = run(network, stimuli, "conv2", modes=modes.dictionary.sel(mode=1), weights="dictionary")
    assert one.contribution_map.dims == ("stimulus", "sign", "color", "y", "x")
    expected = found.contribution_map.sel(mode=1)
    scale = float(abs(found.contribution_map).max())
    assert float(abs(one.contribution_map - expected).max()) <= 1e-5 * scale


def test_times_of_a_movie_are_chosen_as_for_receptive_fields() -> None:
    net, stimulus = retina_network(), movie()
    whole = run(net, stimulus, "layer1", channels="each")
    fields = nc.receptive_fields(net, stimulus, progress=False)
    np.testing.assert_array_equal(whole.time, fields.time)
    np.testing.assert_array_equal(whole.lag, fields.lag)
    some = run(net, stimulus, "layer1", channels=[2, 0], times=[0.07, 0.15], batch_size=1)
    expected = whole.sel(time=[0.07, 0.15], channel=[2, 0])
    near(some.contribution_map, expected.contribution_map)
    near(some.target, expected.target)
    sliced = run(net, stimulus, "layer1", channels=1, times=slice(0.06, 0.09))
    near(sliced.contribution_map, whole.contribution_map.sel(time=slice(0.06, 0.09), channel=1))


def test_a_region_that_the_channel_does_not_see_has_no_map() -> None:
    """The readout sees one position of a 3x3 convolution: nine pixels, exact zeros elsewhere."""

    class Corner(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            return h[:, :, 2, 4]

    module = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), Corner()))
    found = run(nc.Network(module, layers={"h": "1"}), images(2), "h", channels=2).contribution_map
    seen = np.zeros((8, 8), bool)
    seen[2:5, 4:7] = True
    assert (found.values[..., ~seen] == 0).all()
    assert (np.abs(found.sum("sign")).values[..., seen] > 0).all()


def state(module: nn.Module) -> tuple:
    """What a run has to leave as it was."""
    parts = list(module.modules())
    return (
        [m.training for m in parts],
        [(p.requires_grad, p.grad) for p in module.parameters()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in parts],
        [len(m._backward_hooks) + len(m._backward_pre_hooks) for m in parts],
        [p.detach().numpy().tobytes() for p in module.state_dict().values()],
        torch.get_rng_state().numpy().tobytes(),
        torch.is_grad_enabled(),
    )


@dataclass(frozen=True)
class Fails(nc.targets.Target):
    """Sum of the outputs; raises once it was called a number of times."""

    times: int
    calls: list[int] = field(default_factory=list)

    def __call__(self, outputs: Tensor) -> Tensor:
        self.calls.append(1)
        if len(self.calls) > self.times:
            raise ZeroDivisionError
        return outputs.sum(-1)


@pytest.mark.parametrize("method", METHODS)
def test_the_module_is_given_back_as_it_was(method) -> None:
    module = convolutional()
    module[0].bias.requires_grad_(requires_grad=False)
    module[-1].weight.grad = torch.ones_like(module[-1].weight)
    module[2].train()
    before = state(module)
    net = nc.Network(module, layers=LAYERS)
    run(net, images(3), "relu", channels="each", method=METHODS[method])
    run(net, images(3), method=METHODS["input-grad"])
    assert str(state(module)) == str(before)
    raised = 0
    for at in range(8):
        try:
            run(net, images(3), "relu", channels="each", method=METHODS[method], target=Fails(at))
        except ZeroDivisionError:
            raised += 1
        assert str(state(module)) == str(before)
    assert raised > 0


def test_the_stimulus_is_not_written_to(network) -> None:
    stimuli = images(3)
    kept = stimuli.copy(deep=True)
    for method in METHODS.values():
        run(network, stimuli, "conv", channels="each", method=method)
    xr.testing.assert_identical(stimuli, kept)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"layer": "relu", "channels": 4}, "4"),
        ({"layer": "relu", "channels": [0, -5]}, "-5"),
        ({"layer": "relu", "channels": []}, "channel"),
        ({"layer": "relu", "channels": "all"}, "each"),
        ({"layer": "rleu", "channels": 0}, "relu"),
        ({"channels": 0}, "layer"),
        ({"layer": "relu", "channels": 0, "modes": dictionary(2, 4)}, "modes"),
        ({"layer": "relu", "modes": dictionary(2, 5)}, "channel"),
        ({"layer": "relu", "modes": dictionary(2, 4), "top": 0}, "top"),
        ({"layer": "relu", "modes": dictionary(2, 4), "weights": "even"}, "equal"),
        ({"layer": "relu", "channels": 0, "sign": "positive"}, "excitatory"),
        ({"layer": "relu", "channels": 0, "method": nc.methods.NormGrad()}, "NormGrad"),
        ({"layer": "relu", "channels": 0, "times": [0.1]}, "times"),
        ({"layer": "relu", "channels": 0, "batch_size": 0}, "batch_size"),
    ],
)
def test_bad_requests_say_what_came(network, options, word) -> None:
    with pytest.raises(nc.errors.NeurocodecError, match=word):
        run(network, images(2), **options)


def test_inputs_without_space_are_refused() -> None:
    net = nc.Network(
        seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))), ["1"]
    )
    with pytest.raises(nc.errors.InputError, match="feature"):
        run(net, vectors(np.ones((2, 4))), "1", channels=0)


def test_a_target_before_the_mapped_layer_is_refused(network) -> None:
    """Of `conv` it is a function of the layer; of `conv2` nothing in the layer acts on it."""
    target = nc.targets.Feature("conv", (1.0,) * 4)
    stimuli = images(2)
    with pytest.raises(nc.errors.CaptureError, match="conv2"):
        run(network, stimuli, "conv2", channels=0, target=target)
    later = nc.targets.Feature("conv2", (1.0,) * 5)
    assert abs(run(network, stimuli, "conv", target=later).contribution_map).max() > 0


class Shared(nn.Module):
    """One rectifier that runs twice, and a tuple on the way; maps last in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.pair = Pair()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.second(self.relu(self.first(x))))
        kept, other = self.pair(h)
        return self.head((kept * other.movedim(-1, 1)).mean((2, 3)))


class Pair(nn.Module):
    """The same twice; channels last the second time."""

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(h), torch.sigmoid(h).movedim(1, -1)


@pytest.mark.parametrize("method", ["input-grad", "act-grad", "right"])
def test_the_ways_to_name_a_layer(method) -> None:
    """A second call, an input, an item of a tuple, tokens in rows and columns."""
    module, stimuli = seeded(Shared).eval(), images(2)
    layers = {
        "second call": nc.Layer("relu", occurrence=1),
        "input": nc.Layer("pair", at="input"),
        "item": nc.Layer("pair", item=1, layout="tokens"),
        "other": nc.Layer("pair", item=0),
    }
    net = nc.Network(module, layers=layers)
    options = {"channels": "each", "sign": "net", "method": METHODS[method]}
    options |= {"baseline": images(1, seed=4)[0].values}
    found = {a: run(net, stimuli, a, **options).contribution_map for a in layers}
    near(found["input"], found["second call"])
    if method != "act-grad":  # whose parts follow the gradient after them, not the path
        near(found["item"] + found["other"], found["input"])
    assert abs(found["item"]).max() > 0.01 * abs(found["input"]).max()


def test_heads_are_channels() -> None:
    """Of tokens whose features are three heads side by side."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(6, 3)
            self.tokens = nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.tokens(self.embed(x).flatten(2).mT)).prod(1)

    layers = {
        "features": nc.Layer("tokens"),
        "heads": nc.Layer("tokens", heads=3),
        "one": nc.Layer("tokens", token=2),
    }
    net, stimuli = nc.Network(seeded(Tokens).eval(), layers=layers), images(2)
    found = {a: run(net, stimuli, a, channels="each").contribution_map for a in layers}
    features = found["features"].values.reshape(2, 3, 2, 2, 3, 8, 8)
    near(found["heads"].sum("sign"), features.sum((2, 3)))  # a head's own sign is that of the sum
    patch = np.zeros((8, 8), bool)
    patch[4:, :4] = True
    assert (found["one"].values[..., ~patch] == 0).all()
    near(found["one"].values[..., patch], found["features"].values[..., patch])


def test_steps_are_refined_until_the_maps_add_up() -> None:
    net, stimuli = nc.Network(smooth(), layers=["3"]), 3 * images(3).astype("float64")
    method = nc.methods.IntegratedGradients(steps="auto", tolerance=1e-4, max_steps=512)
    found = run(net, stimuli, "3", channels="each", method=method)
    sizes = abs(found.contribution).max(["channel", "sign"])
    assert (abs(found.map_completeness_error).max(["channel", "sign"]) <= 2e-4 * sizes).all()
    assert found.converged.all()
    for i, steps in enumerate(found.steps.values):
        fixed = nc.methods.IntegratedGradients(steps=int(steps))
        alone = run(net, stimuli[[i]], "3", channels="each", method=fixed).contribution_map
        near(found.contribution_map[[i]], alone, 1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few = nc.methods.IntegratedGradients(steps="auto", tolerance=1e-7, max_steps=4)
        missed = run(net, stimuli, "3", channels="each", method=few)
    assert not missed.converged.any()


@pytest.mark.parametrize("path", ["input", "hidden"])
def test_refined_steps_of_an_image_do_not_depend_on_its_neighbours(path) -> None:
    net = nc.Network(convolutional().double(), layers=LAYERS)
    stimuli = images(4).astype("float64")  # 16 to 64 steps for their contributions
    method = nc.methods.IntegratedGradients(steps="auto", tolerance=3e-2, path=path)
    together, alone = (
        run(net, stimuli, "conv", channels="each", method=method, batch_size=n) for n in (4, 1)
    )
    assert np.unique(alone.steps).size > 1
    np.testing.assert_array_equal(together.steps, alone.steps)
    near(together.contribution_map, alone.contribution_map, 1e-9)
    near(together.contribution, alone.contribution, 1e-9)


def test_a_held_class_is_that_of_the_sample(network) -> None:
    stimuli = images(4)
    target = nc.targets.TopK(1, hold=True)
    found = run(network, stimuli, "relu", channels="each", method=METHODS["right"], target=target)
    answers = nc.respond(network, stimuli, progress=False).argmax("category")
    for i, best in enumerate(answers.values):
        alone = run(
            network, stimuli[[i]], "relu", channels="each", method=METHODS["right"],
            target=nc.targets.Output(int(best)),
        )  # fmt: skip
        near(found.contribution_map[[i]], alone.contribution_map)


def test_negative_weights_and_dictionaries_with_signs(network) -> None:
    rng, stimuli = np.random.default_rng(3), images(2)
    each = run(network, stimuli, "conv2", channels="each").contribution_map
    rows = dictionary(2, 5).copy(data=rng.normal(size=(2, 5)))
    found = run(network, stimuli, "conv2", modes=rows, weights="dictionary").contribution_map
    near(found, xr.dot(rows, each, dim="channel"))
    largest = rows.copy(data=np.sign(rows) * (abs(rows) >= np.sort(abs(rows))[:, [-2]]))
    found = run(network, stimuli, "conv2", modes=rows, top=2).contribution_map
    near(found, xr.dot(largest, each, dim="channel"))
    both = xr.concat([dictionary(2, 5, 7), -dictionary(2, 5, 8)], "sign")
    both = both.assign_coords(sign=["excitatory", "inhibitory"]).transpose("mode", ...)
    found = run(network, stimuli, "conv2", modes=both, weights="dictionary").contribution_map
    near(found, xr.dot(abs(both), each, dim="channel"))


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_file_holds_what_memory_does(network, tmp_path, suffix) -> None:
    if suffix == "zarr":
        pytest.importorskip("zarr")
    stimuli, modes = images(5), dictionary(3, 5)
    options = {"modes": modes, "method": METHODS["act-grad"], "batch_size": 2}
    kept = run(network, stimuli, "conv2", **options)
    with run(network, stimuli, "conv2", out=tmp_path / f"maps.{suffix}", **options) as stored:
        xr.testing.assert_allclose(stored.load(), kept, rtol=1e-6, atol=1e-9)
        assert list(stored.data_vars) == list(kept.data_vars)
    with (
        pytest.raises(nc.errors.StorageError),
        run(network, stimuli, "conv2", out=tmp_path / f"maps.{suffix}", **options | {"top": 3}),
    ):
        pass
    nc.save(kept, tmp_path / "again.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "again.nc").load(), kept)


def test_layouts_in_memory_do_not_matter(network) -> None:
    """Channels last, and stimuli in Fortran order."""
    stimuli, module = images(2), convolutional()
    options = {"channels": "each"}
    expected = run(network, stimuli, "relu", **options).contribution_map
    last = nc.Network(module.to(memory_format=torch.channels_last), layers=LAYERS)
    near(run(last, stimuli, "relu", **options).contribution_map, expected)
    turned = stimuli.copy(data=np.asfortranarray(stimuli.values))
    near(run(network, turned, "relu", **options).contribution_map, expected)
    shuffled = stimuli.transpose("x", "stimulus", "color", "y")
    near(run(network, shuffled, "relu", **options).contribution_map, expected)


class OwnBackward(torch.autograd.Function):
    """x^2 with a backward pass of its own and no forward mode."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Square(nn.Module):
    def __init__(self, own: bool) -> None:
        super().__init__()
        self.own = own

    def forward(self, x: Tensor) -> Tensor:
        return OwnBackward.apply(x) if self.own else x**2


def test_an_operator_without_forward_mode(caplog) -> None:
    """It is named, and the maps are those by two backward passes."""

    def make(own: bool) -> nc.Network:
        module = seeded(
            lambda: nn.Sequential(
                nn.Conv2d(3, 4, 3), Square(own), nn.Conv2d(4, 3, 3), nn.Tanh(), nn.Flatten(),
                nn.Linear(48, 3),
            )
        )  # fmt: skip
        return nc.Network(module.eval(), layers={"h": "3"})

    found = [run(make(own), images(2), "h", channels="each") for own in (True, False)]
    near(found[0].contribution_map, found[1].contribution_map)
    near(found[0].contribution, found[1].contribution)
    assert "OwnBackward" in caplog.text
