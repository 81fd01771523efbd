"""What a check on the first samples alone would miss: the structure decides, not the samples."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional, images, movie, net_contribution, seeded, vectors
from torch import nn
from torch.nn import functional

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError
from neurocodec.nn.attribution import methods, targets
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import trace


def run(net, stimulus, method=None, **options):
    options = {"target": targets.Output(0), "progress": False, **options}
    return nc.contributions(net, stimulus, method=method or methods.ActGrad(), **options)


def of_module(forward, **parts):
    """Make a module with a forward function."""

    class Made(nn.Module):
        def __init__(self):
            super().__init__()
            for name, make in parts.items():
                setattr(self, name, make())

    Made.forward = forward
    return seeded(Made).eval()


def plain_outputs(module, stimulus):
    with torch.no_grad():
        return module(torch.from_numpy(stimulus.values))[:, 0].numpy()


def test_a_functional_nonlinearity_before_the_first_layer_is_seen_though_the_start_is_blank():
    net = nc.Network(
        of_module(
            lambda self, x: self.end(functional.relu(self.first(functional.relu(x - 0.5)))),
            first=lambda: nn.Conv2d(6, 3, 5),
            end=lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)),
        ),
        {"first": "first"},
        history=6,
    )
    stimulus = movie(30)
    stimulus[:20] = 0
    tree = run(net, stimulus, methods.IntegratedGradients(steps=20))
    windows = np.stack([stimulus.values[i : i + 6] for i in range(25)])
    with torch.no_grad():
        expected = net.module(torch.from_numpy(windows))[:, 0]
    np.testing.assert_allclose(tree.target, expected, rtol=1e-4, atol=1e-5)


def test_results_do_not_depend_on_the_order_of_the_samples():
    module = of_module(
        lambda self, x: self.end(functional.relu(self.first(functional.relu(x - 0.5)))),
        first=lambda: nn.Linear(4, 3),
        end=lambda: nn.Linear(3, 2),
    )
    net = nc.Network(module, ["first"])
    values = np.random.default_rng(0).normal(size=(12, 4))
    values[:6] *= 0.1  # so small that what precedes the layer answers nothing to them
    method = methods.IntegratedGradients(steps=20)
    a = net_contribution(run(net, vectors(values), method), "first")
    b = net_contribution(run(net, vectors(values[::-1]), method), "first")[::-1]
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_way_around_the_layer_that_is_silent_on_the_first_samples_is_seen():
    def forward(self, x):
        beside = 1 + functional.relu(x - 0.5).sum(1, keepdim=True)
        return self.end(functional.relu(self.first(x))) * beside

    module = of_module(forward, first=lambda: nn.Linear(4, 3), end=lambda: nn.Linear(3, 2))
    net = nc.Network(module, ["first"])
    values = np.random.default_rng(0).normal(size=(12, 4))
    values[:6] *= 0.1
    method = methods.IntegratedGradients(steps=20)
    a = net_contribution(run(net, vectors(values), method), "first")
    b = net_contribution(run(net, vectors(values[::-1]), method), "first")[::-1]
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_branch_that_is_silent_on_the_first_samples_keeps_the_norm_unfolded():
    def forward(self, x):
        h = self.convolution(x)
        return self.end(self.norm(h) + functional.relu(h - 1))

    module = of_module(
        forward,
        convolution=lambda: nn.Conv2d(3, 3, 1, bias=False),
        norm=lambda: nn.BatchNorm2d(3),
        end=lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2)),
    )
    module.norm.running_var[:] = 0.1
    stimulus = images(9) * 3
    stimulus[[0, 4, 8]] = 0
    tree = run(nc.Network(module, ["end.0"]), stimulus)
    np.testing.assert_allclose(tree.target, plain_outputs(module, stimulus), rtol=1e-4, atol=1e-5)


def test_a_module_that_returns_its_input_does_not_depend_on_what_else_is_captured():
    def forward(self, x):
        h = self.first(x)
        return self.f(self.same(h)) + self.g(h)  # the layer, and a way around it

    module = of_module(
        forward,
        first=lambda: nn.Linear(4, 3),
        same=nn.Dropout,
        f=lambda: nn.Linear(3, 2),
        g=lambda: nn.Linear(3, 2),
    )
    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 4)))
    net = nc.Network(module, ["first", "same"])
    alone = net_contribution(run(net, stimulus, layers=["same"]), "same")
    beside = net_contribution(run(net, stimulus), "same")
    np.testing.assert_allclose(alone, beside, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        h = module.first(torch.from_numpy(stimulus.values))
    np.testing.assert_allclose(alone, h * module.f.weight[0].detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", [methods.ActGrad(), methods.IntegratedGradients(steps=3)])
def test_the_stimulus_is_not_changed_by_a_network_that_works_in_place_on_it(method):
    module = seeded(lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3), nn.Linear(3, 1)))
    net = nc.Network(module, ["1"])
    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 4)))
    before = stimulus.copy(deep=True)
    nc.respond(net, stimulus)
    tree = run(net, stimulus, method)
    xr.testing.assert_identical(stimulus, before)
    expected = plain_outputs(module, before.copy(deep=True))
    np.testing.assert_allclose(tree.target, expected, rtol=1e-5, atol=1e-6)


def test_a_network_that_the_hooks_would_change_is_refused():
    def forward(self, x):
        h = self.first(x)
        same = self.same(h)
        h.relu_()
        return self.end(torch.cat([h, same], 1))

    module = of_module(
        forward, first=lambda: nn.Linear(4, 3), same=nn.Identity, end=lambda: nn.Linear(6, 1)
    )
    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 4)))
    with pytest.raises(CaptureError, match="in place"):
        run(nc.Network(module, ["same"]), stimulus)


def test_activations_without_a_sample_axis_are_refused():
    module = of_module(
        lambda self, x: self.end(x + self.position(x[:1] * 0 + 1)),
        position=lambda: nn.Linear(4, 4),
        end=lambda: nn.Linear(4, 1),
    )
    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 4)))
    with pytest.raises(CaptureError, match="sample axis first"):
        run(nc.Network(module, ["position"]), stimulus)


def test_one_dimensional_convolutions_have_channels_first():
    module = seeded(lambda: nn.Sequential(nn.Conv1d(2, 5, 3), nn.Flatten(), nn.Linear(30, 1)))
    values = np.random.default_rng(0).normal(size=(4, 2, 8)).astype("float32")
    stimulus = xr.DataArray(values, dims=("stimulus", "channel", "position"))
    tree = run(nc.Network(module, ["0"]), stimulus)
    assert tree["0"].sizes["channel"] == 5


def test_instance_norm_is_no_batch_statistic():
    module = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Flatten()))
    tree = run(nc.Network(module, ["0"]), images(3))
    assert tree.target.shape == (3,)


def test_hidden_path_reports_what_passes_around_the_layer():
    module = of_module(
        lambda self, x: self.end(torch.relu(self.first(x)) + x),
        first=lambda: nn.Linear(3, 3),
        end=lambda: nn.Linear(3, 1, bias=False),
    )
    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 3)))
    tree = run(nc.Network(module, ["first"]), stimulus, methods.IntegratedGradients(500, "hidden"))
    around = stimulus.values @ module.end.weight.detach().numpy()[0]
    np.testing.assert_allclose(tree["first"].completeness_error, -around, rtol=2e-2, atol=1e-2)


def test_automatic_steps_of_a_layer_do_not_depend_on_the_others():
    net = nc.Network(convolutional(), ["0", "3"])
    method = methods.IntegratedGradients(steps="auto", tolerance=1e-2, max_steps=64)
    alone = run(net, images(4), method, layers=["3"])
    beside = run(net, images(4), method)
    np.testing.assert_allclose(
        alone["3"].contribution, beside["3"].contribution, rtol=1e-4, atol=1e-6
    )


def test_runs_of_other_functions_with_the_same_weights_are_told_apart(tmp_path):
    def net(nonlinearity, **options):
        parts = seeded(lambda: (nn.Linear(4, 3), nn.Linear(3, 2)))
        return nc.Network(nn.Sequential(parts[0], nonlinearity, parts[1]), ["0"], **options)

    stimulus = vectors(np.random.default_rng(0).normal(size=(5, 4)))
    run(net(nn.ReLU()), stimulus, out=tmp_path / "run.nc").close()
    with pytest.raises(nc.errors.StorageError, match="module_sha256"):
        run(net(nn.Tanh()), stimulus, out=tmp_path / "run.nc")
    with pytest.raises(nc.errors.StorageError, match="outputs"):
        run(net(nn.ReLU(), outputs=["a", "b"]), stimulus, out=tmp_path / "run.nc")


def test_a_damaged_file_in_the_way_is_said_to_be_damaged(tmp_path):
    (tmp_path / "run.nc").write_bytes(b"no such thing")
    net = nc.Network(convolutional(), ["0"])
    with pytest.raises(nc.errors.StorageError, match="cannot be read"):
        run(net, images(2), out=tmp_path / "run.nc")


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_batch_sizes_that_are_none_are_refused(size):
    net = nc.Network(convolutional(), ["0"])
    with pytest.raises(InputError, match="batch_size"):
        run(net, images(2), batch_size=size)
    with pytest.raises(InputError, match="batch_size"):
        nc.respond(net, images(2), batch_size=size)


def test_labelled_baselines_are_matched_by_name_and_must_be_finite():
    net = nc.Network(convolutional(), ["0"])
    baseline = images(1, seed=3)[0]
    a = run(net, images(3), baseline=baseline)
    b = run(net, images(3), baseline=baseline.transpose("x", "color", "y"))
    np.testing.assert_array_equal(a["0"].contribution, b["0"].contribution)
    with pytest.raises(InputError, match="NaN"):
        run(net, images(3), baseline=baseline * np.nan)


def test_targets_that_are_not_finite_are_refused_with_the_sample():
    module = of_module(lambda self, x: torch.log(self.first(x)), first=lambda: nn.Linear(1, 1))
    module.first.weight.data[:], module.first.bias.data[:] = 1, 0
    net = nc.Network(module, ["first"])
    with pytest.raises(InputError, match="first for sample 1"):
        run(net, vectors([[1], [-1], [2], [3], [1]]), batch_size=1)
    with pytest.raises(InputError, match="NaN or infinity"):
        run(net, vectors([[1], [2], [2], [3], [-1]]))


def test_entropy_of_certain_probabilities_has_a_gradient():
    p = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    nc.targets.Entropy("probability")(p).sum().backward()
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("options", [{"at": "inputs"}, {"layout": "map"}])
def test_typing_errors_in_a_layer_are_refused(options):
    with pytest.raises(InputError, match="Layer"):
        nc.Layer("0", **options)


def test_aliases_devices_and_precisions_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="layer alias 'target'"):
        nc.Network(convolutional(), {"target": "0"})
    with pytest.raises(InputError, match="device='gpu'"):
        run(nc.Network(convolutional(), ["0"]), images(2), device="gpu")
    with pytest.raises(InputError, match="bfloat16"):
        run(nc.Network(convolutional().bfloat16(), ["0"]), images(2))
    with pytest.raises(InputError, match="output_coords"):
        nc.respond(
            nc.Network(convolutional(), ["0"], output_coords={"cell_type": ["ON"]}), images(2)
        )


def test_covariances_of_very_different_cells_are_not_singular():
    target = nc.targets.Surprisal(mean=[0.0, 0.0], covariance=np.diag([1e-8, 2500.0]))
    assert torch.isfinite(target(torch.zeros(1, 2)))
    with pytest.raises(InputError, match="finite"):
        nc.targets.Surprisal(mean=[np.nan], covariance=[[1.0]])


def test_a_single_image_before_a_batch_norm():
    """Batch norm's backward pass is wrong where a copy of one image has other strides (torch 2.15).

    Channels last, batch of one: a view that is made anew may change the stride of an axis of
    length 1, which nothing should depend on.
    """

    def build():
        norm = nn.BatchNorm2d(5)
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        first = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
        return nn.Sequential(nn.Identity(), first, norm, nn.Flatten(), nn.Linear(180, 2))

    module = seeded(build).eval().to(memory_format=torch.channels_last)
    values = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype("float32")
    stimulus = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    net = nc.Network(module, {"input": "0", "first": "1"})
    found = [
        nc.contributions(
            net,
            stimulus,
            target=nc.targets.TopK(1),
            method=nc.methods.ActGrad(),
            batch_size=size,
            progress=False,
        )
        for size in (3, 1)
    ]
    for layer in net.layers:
        together, alone = (tree[layer].contribution.values for tree in found)
        np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-6)


def flow_of(forward, x=None, layers=("first",), **parts):
    """Flow of one pass of a module, with layers captured by their names."""
    module = of_module(forward, **{"first": lambda: nn.Linear(4, 4), **parts})
    with Capture(module, {name: Layer(name) for name in layers}).attached() as capture:
        return trace(capture, torch.ones(1, 4) if x is None else x).flow


@pytest.mark.parametrize(
    ("before", "affine"),
    [
        (lambda x: 2 * x + 1, True),
        (lambda x: torch.cat([x[:, 2:], -x[:, :2]], 1), True),
        (lambda x: x.detach() - 1, True),
        (lambda x: x.masked_fill(torch.tensor([True, False, False, True]), 3.0), True),
        (lambda x: x * x, False),
        (lambda x: 1 / (x + 2), False),
        (lambda x: x * (x < 0.5), False),
        (lambda x: x * x.detach(), False),
        (lambda x: x.to(torch.int32).float(), False),
        (lambda x: x.round(), False),
        (lambda x: torch.where(x > 0, x, 2 * x), False),
        (lambda x: x.clone().clamp_(max=2), False),
        (lambda x: x / float(x.detach().sum()), False),
        (lambda x: torch.from_numpy(x.detach().numpy() + 0), False),
        (lambda x: x[:, x[0].argsort()], False),
    ],
)
def test_what_is_affine_in_front_of_a_layer(before, affine):
    flow = flow_of(lambda self, x: self.first(before(x)))
    assert flow.is_affine("first") is affine
    assert flow.goes_round("first") is (not flow.proves)


@pytest.mark.parametrize(
    "answer",
    [
        lambda h, x: h * (x.amax(1, keepdim=True) > 0.5),
        lambda h, x: h.masked_fill(x < 0, 1.0),
        lambda h, x: h / (1 + x.detach().abs().sum()),
        lambda h, x: h * float(x.detach().sum()),
        lambda h, x: h + x.argmax(1, keepdim=True),
        lambda h, x: h[:, torch.as_tensor(x.detach().numpy())[0].argsort()],
        lambda h, x: h if x.sum() > 0 else -h,
        lambda h, x: torch.empty_like(h).copy_(x) + h,
    ],
)
def test_what_goes_round_a_layer_is_seen_whatever_it_is(answer):
    assert flow_of(lambda self, x: answer(self.first(x), x)).goes_round("first")


def test_what_is_read_again_after_a_layer_is_not_finished_before_it():
    def again(self, x):
        return self.first(self.scale(x)) + self.scale(torch.ones(len(x), 4))

    def once(self, x):
        return self.first(self.scale(x))

    for forward, among in ((again, {"first"}), (once, {"scale", "first"})):
        flow = flow_of(forward, scale=lambda: nn.Linear(4, 4))
        assert {*flow.finished({"first"}, {"scale", "first"})} == among


def test_constants_of_a_module_that_are_used_later_keep_it_running():
    class Grid(nn.Module):
        def forward(self, x):
            self.kept = torch.arange(4.0) + 1
            return x * 2

    def forward(self, x):
        return self.first(self.grid(x)) * self.grid.kept

    assert {*flow_of(forward, grid=Grid).finished({"first"}, {"first", "grid"})} == {"first"}


def test_layout_that_is_asked_for_is_noted():
    assert not flow_of(lambda self, x: self.first(x)).layout
    assert flow_of(lambda self, x: self.first(x).as_strided((1, 4), (4, 1))).layout
    assert flow_of(
        lambda self, x: self.first(x) * self.first.weight.is_contiguous() + x.stride(0)
    ).layout
