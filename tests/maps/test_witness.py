"""`nc.contribution_maps` against one backward pass for every hidden unit, Captum, and other views.

The reference (position_by_position.py) is autograd written from the paper's appendix, in float64.
"""

import runpy

import captum.attr
import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional, images, movie, retina, retina_network, seeded
from PIL import Image
from places import DATA, ROOT
from position_by_position import Part, Units, Way, maps, whole
from torch import Tensor, nn

import neurocodec as nc

RESNET20 = DATA / "cifar10-resnets/cifar10_resnet20.pth"
PHOTOGRAPHS = DATA / "photos-ccby"
SIGNS = ["excitatory", "inhibitory"]
STEPS = 4
WAYS = {
    "input-grad": (nc.methods.InputGrad(), Way()),
    "act-grad": (nc.methods.ActGrad(), Way("ActGrad", STEPS)),
    "trapezoid": (
        nc.methods.IntegratedGradients(steps=STEPS),
        Way("IntegratedGradients", STEPS),
    ),
    "right": (
        nc.methods.IntegratedGradients(steps=STEPS, rule="right"),
        Way("IntegratedGradients", STEPS, "right"),
    ),
    "hidden": (
        nc.methods.IntegratedGradients(steps=STEPS, path="hidden"),
        Way("IntegratedGradients", STEPS, path="hidden"),
    ),
    "hidden-right": (
        nc.methods.IntegratedGradients(steps=STEPS, path="hidden", rule="right"),
        Way("IntegratedGradients", STEPS, "right", "hidden"),
    ),
}


class Residual(nn.Module):
    """Strided stem with max pool, two residual blocks with in-place ReLUs, global pool."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.block1 = Block(4)
        self.block2 = Block(4)
        self.head = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.block1(self.pool(self.relu(self.bn(self.stem(x))))))
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    """relu(x + bn(conv(relu(bn(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels + 1, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels + 1)
        self.conv2 = nn.Conv2d(channels + 1, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class Gated(nn.Module):
    """Grouped and depthwise convolutions, squeeze and excite, smooth units."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 6, 1)
        self.grouped = nn.Conv2d(6, 6, 3, stride=2, groups=3)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.squeeze, self.excite = nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)
        self.norm = nn.GroupNorm(2, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.grouped(nn.functional.hardswish(self.expand(x))))
        x = self.depthwise(x)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.head(nn.functional.gelu(self.norm(x * gate)).amax((2, 3)))


def normalised(make, seed: int = 0) -> nn.Module:
    """Seeded weights, and batch norms with statistics and scales of their own."""
    module = seeded(make, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                n = part.num_features
                part.running_mean.copy_(0.3 * torch.randn(n, generator=generator))
                part.running_var.copy_(0.5 + torch.rand(n, generator=generator))
                part.weight.copy_(0.5 + torch.rand(n, generator=generator))
                part.bias.copy_(0.3 * torch.randn(n, generator=generator))
    return module.eval()


RESIDUAL = {
    "stem": "stem",
    "relu": "relu",
    "pool": "pool",
    "block1": "block1",
    "branch": "block1.conv1",
    "branch end": "block2.bn2",
}


@pytest.fixture(scope="module")
def residual() -> nc.Network:
    return nc.Network(normalised(Residual), layers=RESIDUAL)


def run(net: nc.Network, stimuli: xr.DataArray, layer: str | None = None, **options) -> xr.Dataset:
    options = {"target": nc.targets.Output(2), "steps": STEPS, "progress": False} | options
    return nc.contribution_maps(net, stimuli, layer, **options)


def output(which: int):
    return lambda outputs: outputs[:, which]


def near(found, expected, tolerance: float = 1e-4) -> None:
    """Within `tolerance` of the largest value."""
    found, expected = np.asarray(found, "float64"), np.asarray(expected, "float64")
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 0
    assert np.abs(found - expected).max() <= tolerance * scale


def tensors(stimuli: xr.DataArray) -> Tensor:
    return torch.from_numpy(stimuli.values)


def compare(found: xr.Dataset, part: Part, inputs: Tensor, way: Way, **options) -> None:
    """Every map and contribution of every sample, each to its own largest value."""
    assert list(found["sign"].values) == SIGNS
    values = found.contribution_map.transpose(..., "channel", "sign", *found_pixels(found))
    sums = found.contribution.transpose(..., "channel", "sign")
    for i, x in enumerate(inputs):
        expected = maps(part, x, way, **options)
        near(values[i], expected.map)
        near(sums[i], expected.contribution)
        near(found.target[i], expected.value)


def found_pixels(found: xr.Dataset) -> tuple[str, ...]:
    first = "color" if "color" in found.contribution_map.dims else "lag"
    return (first, "y", "x")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layer", RESIDUAL)
def test_residual_network_unit_by_unit(residual, layer, way) -> None:
    stimuli = images(2 if way == "input-grad" else 1)
    method, how = WAYS[way]
    found = run(residual, stimuli, layer, channels="each", method=method)
    part = Part.of(residual.module, RESIDUAL[layer], output(2))
    compare(found, part, tensors(stimuli), how)


@pytest.mark.skipif(
    not (RESNET20.exists() and PHOTOGRAPHS.exists()),
    reason=f"no {RESNET20} or {PHOTOGRAPHS}; set NEUROCODEC_TEST_DATA",
)
def test_trained_network_on_a_photograph() -> None:
    """A channel of ResNet-20, all 256 positions, in float32 against float64."""
    layer, channel = "layer2.1", 20
    example = runpy.run_path(str(ROOT / "examples" / "cifar_resnet.py"))
    net = example["network"](str(RESNET20))
    with Image.open(sorted(PHOTOGRAPHS.glob("*.jpg"))[3]) as photograph:
        pixels = example["normalised"](photograph.resize((32, 32))).numpy()[None]
    stimuli = xr.DataArray(pixels, dims=("stimulus", "color", "y", "x"))
    found = run(net, stimuli, layer, channels=[channel], target=nc.targets.TopK(1))
    part = Part.of(net.module, layer, lambda outputs: outputs.max(1).values)
    compare(found, part, tensors(stimuli), Way(), channels=[channel])


@pytest.mark.parametrize("way", WAYS)
def test_residual_network_from_a_baseline(residual, way) -> None:
    stimuli, start = images(2), images(1, seed=9)[0].values
    method, how = WAYS[way]
    found = run(residual, stimuli, "block1", channels=[3, 1], method=method, baseline=start)
    part = Part.of(residual.module, "block1", output(2))
    compare(found, part, tensors(stimuli), how, channels=[3, 1], baseline=start)


@pytest.mark.parametrize("layer", ["grouped", "depthwise", "norm", "squeeze"])
@pytest.mark.parametrize("way", WAYS)
def test_grouped_convolutions_and_squeeze_excite(layer, way) -> None:
    module = stirred(normalised(Gated))
    net = nc.Network(module, layers=[layer])
    stimuli = images(2 if way == "input-grad" else 1)
    method, how = WAYS[way]
    target = nc.targets.Output(1)
    found = run(net, stimuli, layer, channels="each", method=method, target=target)
    compare(found, Part.of(module, layer, output(1)), tensors(stimuli), how)


@pytest.mark.parametrize("kind", ["torchvision", "timm"])
@pytest.mark.parametrize("way", ["input-grad", "trapezoid"])
@pytest.mark.parametrize("where", ["tokens", "class token", "mlp"])
def test_transformers(kind, way, where) -> None:
    """Fused attention has no forward mode; the maps are the same."""
    module, block = transformer(kind)
    name = f"{block}.mlp.{'0' if kind == 'torchvision' else 'fc1'}" if where == "mlp" else block
    token = 0 if where == "class token" else None
    net = nc.Network(module, layers={"tokens": nc.Layer(name, layout="tokens", token=token)})
    stimuli = images(1)
    method, how = WAYS[way]
    channels = [0, 5]
    target = nc.targets.Output(1)
    found = run(net, stimuli, "tokens", channels=channels, method=method, target=target)
    part = Part.of(module, name, output(1), tokens=True)
    if token is None:
        compare(found, part, tensors(stimuli), how, channels=channels)
        return
    units = Units(part, tensors(stimuli)[0], how)
    for i, c in enumerate(channels):
        near(found.contribution_map[0, i].sum("sign"), units.map(c, 0))
        near(found.contribution[0, i].sum("sign"), units.contribution(c, 0))


def transformer(kind: str) -> tuple[nn.Module, str]:
    """Two blocks, four patches and a class token, eight features in two heads."""
    if kind == "timm":
        timm = pytest.importorskip("timm")
        module = seeded(
            lambda: timm.models.VisionTransformer(
                img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, num_classes=4
            )
        )
        return stirred(module), "blocks.0"
    models = pytest.importorskip("torchvision.models")
    module = seeded(
        lambda: models.VisionTransformer(
            image_size=8,
            patch_size=4,
            num_layers=2,
            num_heads=2,
            hidden_dim=8,
            mlp_dim=16,
            num_classes=4,
        )
    )
    return stirred(module), "encoder.layers.encoder_layer_0"


def stirred(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter some size: heads and biases start at zero there."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def surprisal(mean: np.ndarray, covariance: np.ndarray):
    """((r - mu)' S^-1 (r - mu) + log det(2 pi S)) / (2 ln 2), by an explicit inverse."""
    mu, inverse = torch.from_numpy(mean), torch.from_numpy(np.linalg.inv(covariance))
    constant = np.linalg.slogdet(2 * np.pi * covariance)[1]
    scale = 2 * np.log(2)
    return lambda r: ((((d := r.double() - mu) @ inverse) * d).sum(-1) + constant) / scale


def windows(stimulus: xr.DataArray, history: int, times: list[int]) -> Tensor:
    """Frames that responses depend on, the oldest first; time t is that of the newest frame."""
    return torch.stack([tensors(stimulus)[t - history + 1 : t + 1] for t in times])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layer", ["layer1", "layer2"])
@pytest.mark.parametrize("of", ["output", "surprisal"])
def test_retina_unit_by_unit(layer, way, of) -> None:
    net, stimulus = retina_network(), movie()
    frames = [5, 11, 19] if way == "input-grad" else [5, 19]
    rng = np.random.default_rng(1)
    mean, root = rng.normal(size=4), rng.normal(size=(4, 4))
    covariance = root @ root.T + np.eye(4)
    target, value = {
        "output": (nc.targets.Output(3), output(3)),
        "surprisal": (
            nc.targets.Surprisal(mean=mean, covariance=covariance),
            surprisal(mean, covariance),
        ),
    }[of]
    method, how = WAYS[way]
    found = run(
        net,
        stimulus,
        layer,
        channels="each",
        method=method,
        target=target,
        times=stimulus.time.values[frames],
    )
    assert found.contribution_map.dims == ("time", "channel", "sign", "lag", "y", "x")
    part = Part.of(net.module, {"layer1": "0", "layer2": "5"}[layer], value)
    compare(found, part, windows(stimulus, 6, frames), how)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "channel", "of"), [("layer1", 2, "output"), ("layer2", 5, "surprisal")]
)
def test_bundled_retina_unit_by_unit(layer, channel, of) -> None:
    """One of the eight channels, all of its 1,296 or 676 positions.

    Their thousands of backward passes are in float32, which is five times as fast here.
    """
    net = nc.load_model("simulated-retina")
    data = nc.load_dataset("simulated-retina", seed=0).isel(time=slice(0, 600))
    frames = [500] if of == "output" else [211]
    rates = nc.respond(net, data.stimulus)
    target = nc.targets.Surprisal.fit(rates) if of == "surprisal" else nc.targets.Output(3)
    value = output(3)
    if of == "surprisal":
        value = surprisal(*(np.asarray(v, "float64") for v in (target.mean, target.covariance)))
    times = data.time.values[frames]
    found = run(net, data.stimulus, layer, channels=[channel], target=target, times=times)
    part = Part.of(net.module, f"{layer}.convolution", value, dtype=torch.float32)
    compare(found, part, windows(data.stimulus, 40, frames), Way(), channels=[channel])


def test_input_grad_of_a_cell_is_its_field_through_the_channel_times_the_window() -> None:
    net, stimulus = retina_network(), movie()
    start = np.random.default_rng(2).normal(size=(12, 12)).astype("float32")
    for baseline in (None, start):
        for layer in ("layer1", "layer2"):
            fields = nc.receptive_fields(
                net, stimulus, ["1"], through="each", layer=layer, progress=False
            ).irf.isel(cell=0)
            seen = windows(stimulus, 6, list(range(5, 20))).numpy()
            expected = fields * (seen - (0 if baseline is None else baseline))[:, None]
            found = run(
                net,
                stimulus,
                layer,
                channels="each",
                sign="net",
                target=nc.targets.Output(1),
                baseline=baseline,
            ).contribution_map
            assert found.dims == expected.dims
            xr.align(found, expected, join="exact")
            near(found, expected)


def plain(module: nn.Module) -> nn.Module:
    """The same network without in-place operations, which Captum does not survive."""
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return module


CAPTUM = pytest.mark.filterwarnings(
    "ignore:Setting:UserWarning",
    "ignore:.*backward hook:UserWarning",
    "ignore:.*required_grads:UserWarning",
)


@CAPTUM
@pytest.mark.parametrize(("alias", "channel", "size"), [("2", 1, 6), ("3", 3, 4)])
def test_captums_neuron_gradient_and_conductance_over_all_positions(alias, channel, size) -> None:
    """Captum's trapezoid weights of n points sum to (n - 1) / n, not to 1."""
    module = plain(convolutional())
    net = nc.Network(module, layers=[alias])
    stimuli = images(1)
    x = tensors(stimuli)
    layer = module.get_submodule(alias)
    where = [(channel, y, x) for y in range(size) for x in range(size)]
    gradient = captum.attr.NeuronGradient(module, layer)
    outer = nc.contributions(
        net, stimuli, target=nc.targets.Output(2), method=nc.methods.Gradient(), reduce="none",
        progress=False,
    )[alias].gradient[0]  # fmt: skip
    expected = sum(outer.values[at] * gradient.attribute(x, at) * x for at in where)
    found = run(net, stimuli, alias, channels=channel, sign="net")
    near(found.contribution_map, expected.detach())
    for rule, points, scale in (("right", 8, 1), ("trapezoid", 9, 9 / 8)):
        conductance = captum.attr.NeuronConductance(module, layer)
        expected = sum(
            scale * conductance.attribute(x, at, target=2, n_steps=points, method=f"riemann_{rule}")
            for at in where
        )
        method = nc.methods.IntegratedGradients(steps=8, rule=rule)
        found = run(net, stimuli, alias, channels=channel, sign="net", method=method)
        near(found.contribution_map, expected.detach())


@CAPTUM
def test_captums_conductance_of_single_units() -> None:
    """A hidden vector, whose channels are units."""
    module = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5), nn.Tanh(),
            nn.Linear(5, 3),
        )
    )  # fmt: skip
    net = nc.Network(module, layers={"units": "4"})
    stimuli = images(3)
    x = tensors(stimuli)
    method = nc.methods.IntegratedGradients(steps=10, rule="right")
    found = run(net, stimuli, "units", channels="each", sign="net", method=method)
    conductance = captum.attr.NeuronConductance(module, module[4])
    for unit in range(5):
        expected = conductance.attribute(x, unit, target=2, n_steps=10, method="riemann_right")
        near(found.contribution_map.sel(channel=unit), expected.detach())


@CAPTUM
@pytest.mark.parametrize("start", [None, 9])
def test_captums_maps_of_the_whole_network(start) -> None:
    module = plain(convolutional())
    net = nc.Network(module, layers=["0"])
    stimuli = images(3)
    x = tensors(stimuli)
    baseline = None if start is None else images(1, seed=start)[0].values
    zero = torch.zeros_like(x[:1]) if start is None else torch.from_numpy(baseline)[None]
    saliency = captum.attr.Saliency(module).attribute(x.requires_grad_(), target=2, abs=False)
    expected = {nc.methods.InputGrad(): saliency * (x - zero).detach()}
    ig = captum.attr.IntegratedGradients(module)
    for rule, points, scale in (("right", 8, 1), ("trapezoid", 9, 9 / 8)):
        method = nc.methods.IntegratedGradients(steps=8, rule=rule)
        expected[method] = scale * ig.attribute(
            x, zero, target=2, n_steps=points, method=f"riemann_{rule}"
        )
    if start is None:
        same = captum.attr.InputXGradient(module).attribute(x, target=2)
        near(expected[nc.methods.InputGrad()].detach(), same.detach())
    for method, theirs in expected.items():
        found = run(net, stimuli, method=method, baseline=baseline)
        assert found.contribution_map.dims == ("stimulus", "color", "y", "x")
        near(found.contribution_map, theirs.detach())


@pytest.mark.parametrize("way", ["input-grad", "trapezoid", "right"])
def test_all_channels_together_are_the_map_of_the_network(residual, way) -> None:
    """In layers that every way passes; eq. 6 and 11."""
    stimuli = images(3)
    method, how = WAYS[way]
    part = Part.of(residual.module, "stem", output(2))
    expected = np.stack([whole(part, x, how) for x in tensors(stimuli)])
    near(run(residual, stimuli, method=method).contribution_map, expected)
    for layer in ("stem", "relu", "pool", "block1"):
        each = run(residual, stimuli, layer, channels="each", sign="net", method=method)
        near(each.contribution_map.sum("channel"), expected)
        both = run(residual, stimuli, layer, channels="each", method=method)
        near(both.contribution_map.sum(["channel", "sign"]), expected)
    branch = run(residual, stimuli, "branch", channels="each", sign="net", method=method)
    assert np.abs(branch.contribution_map.sum("channel") - expected).max() > 0.01


@pytest.mark.parametrize("way", ["input-grad", "trapezoid", "right"])
def test_retina_channels_together_are_the_map_of_the_network(way) -> None:
    net, stimulus = retina_network(), movie()
    method, how = WAYS[way]
    part = Part.of(retina(), "0", output(2))
    expected = np.stack([whole(part, x, how) for x in windows(stimulus, 6, list(range(5, 20)))])
    near(run(net, stimulus, method=method).contribution_map, expected)
    for layer in ("layer1", "layer2"):
        each = run(net, stimulus, layer, channels="each", method=method)
        near(each.contribution_map.sum(["channel", "sign"]), expected)
