"""Networks of torchvision: layers, values at them, preprocessing, categories and weights."""

import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from networks import net_contribution, seeded
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import neurocodec as nc
from neurocodec.adapters.networks.weights import load_weights, read_weights
from neurocodec.nn.capture.attention import ExplicitAttention

models = pytest.importorskip("torchvision.models")

LAYERS = {
    "alexnet": (5, "features.1", "features.11"),
    "convnext_tiny": (18, "features.1.0", "features.7.2"),
    "densenet121": (4, "features.denseblock1", "features.denseblock4"),
    "efficientnet_b0": (16, "features.1.0", "features.7.0"),
    "mobilenet_v2": (17, "features.1", "features.17"),
    "mobilenet_v3_small": (11, "features.1", "features.11"),
    "regnet_y_400mf": (16, "trunk_output.block1.block1-0", "trunk_output.block4.block4-5"),
    "resnet50": (16, "layer1.0", "layer4.2"),
    "resnext50_32x4d": (16, "layer1.0", "layer4.2"),
    "squeezenet1_1": (8, "features.3", "features.12"),
    "swin_t": (12, "features.1.0", "features.7.1"),
    "vgg11_bn": (8, "features.2", "features.27"),
}


def inputs(n=2, size=64):
    values = np.random.default_rng(0).normal(size=(n, 3, size, size))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def photograph():
    values = np.random.default_rng(0).integers(0, 255, (280, 330, 3), np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("name", LAYERS)
def test_blocks(name):
    layers = list(nc.adapters.torchvision(name).layers)
    assert (len(layers), layers[0], layers[-1]) == LAYERS[name]


def act_grad(net, x):
    """Activation times gradient of the largest logit at every layer, by `.backward()`."""
    kept, hooks = {}, []
    for part in net.module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False

    def keep(alias):
        def hook(_module, _args, output):
            output.retain_grad()
            kept[alias] = output
            return output.clone()  # a residual block adds its input to this in place

        return hook

    parts = dict(net.module.named_modules())
    for alias, layer in net.layers.items():
        hooks.append(parts[layer.module].register_forward_hook(keep(alias)))
    net.module(x).max(1).values.sum().backward()
    for hook in hooks:
        hook.remove()
    return {alias: (h * h.grad).detach() for alias, h in kept.items()}


def ran(net, stimulus):
    return nc.contributions(
        net, stimulus, target=nc.targets.TopK(1), method=nc.methods.ActGrad(), progress=False
    )


def assert_close(found, expected):
    expected = np.asarray(expected)
    scale = float(np.abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8 * scale)


@pytest.mark.parametrize(
    ("name", "layers"),
    {
        "mobilenet_v3_small": None,  # squeeze-excite, hard swish in place
        "swin_t": ["features.1.1", "features.5.1"],  # channels last
    }.items(),
)
def test_values_are_those_of_the_plain_network(name, layers):
    net = nc.adapters.torchvision(name, layers=layers)
    net.module.double()
    tree = ran(net, inputs())
    expected = act_grad(net, torch.from_numpy(inputs().values))
    positions = (1, 2) if name == "swin_t" else (2, 3)
    for alias in net.layers:
        assert_close(net_contribution(tree, alias), expected[alias].sum(positions).numpy())


class Small(models.VisionTransformer):
    """A vision transformer of 2 blocks, 4 heads and 17 tokens, in double precision."""

    def __init__(self):
        super().__init__(32, 8, 2, 4, 16, 32, num_classes=5)
        nn.init.normal_(self.heads.head.weight)
        for block in self.encoder.layers:
            nn.init.normal_(block.self_attention.in_proj_bias)


def small():
    return seeded(Small).double().eval()


@pytest.fixture
def small_vit(monkeypatch):
    """Torchvision's builder of vit_b_16, but of a small one."""
    get_model = models.get_model
    monkeypatch.setattr(
        models,
        "get_model",
        lambda name, **options: (
            Small().double() if name == "vit_b_16" else get_model(name, **options)
        ),
    )


@pytest.mark.usefixtures("small_vit")
def test_heads_are_the_parts_of_the_output_projections_input():
    net = nc.adapters.torchvision("vit_b_16", kind="heads")
    assert list(net.layers) == [f"encoder.layers.encoder_layer_{i}.heads" for i in range(2)]
    assert net.input_shape == (3, 32, 32)
    stimulus = inputs(size=32)
    plain = small()
    assert_close(nc.respond(net, stimulus), plain(torch.from_numpy(stimulus.values)).detach())
    tree = ran(net, stimulus)
    # by hand: the values that each head mixes, from the attention weights that torch returns
    block = plain.encoder.layers[0]
    x = plain._process_input(torch.from_numpy(stimulus.values))
    x = torch.cat([plain.class_token.expand(2, -1, -1), x], 1) + plain.encoder.pos_embedding
    attention, y = block.self_attention, block.ln_1(x)
    weights = attention(y, y, y, average_attn_weights=False)[1]
    v = nn.functional.linear(y, attention.in_proj_weight[32:], attention.in_proj_bias[32:])
    mixed = weights @ v.reshape(2, 17, 4, 4).transpose(1, 2)  # sample, head, token, dim
    name = "encoder.layers.encoder_layer_0.heads"
    assert_close(tree[name].activation, mixed.detach().sum((2, 3)).numpy())
    mixed = mixed.detach().requires_grad_()
    z = x + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    z = z + block.mlp(block.ln_2(z))
    z = plain.encoder.ln(plain.encoder.layers[1](z))[:, 0]
    plain.heads(z).max(1).values.sum().backward()
    assert_close(net_contribution(tree, name), (mixed * mixed.grad).detach().sum((2, 3)).numpy())
    token = nc.adapters.torchvision("vit_b_16", kind="heads", token=0)
    of_token = (mixed * mixed.grad).detach()[:, :, 0].sum(2).numpy()
    assert_close(net_contribution(ran(token, stimulus), name), of_token)


@pytest.mark.usefixtures("small_vit")
def test_attention_and_mlp_of_a_vision_transformer():
    plain, kept = small(), {}
    for name, part in plain.named_modules():
        part.register_forward_hook(lambda _m, _a, out, name=name: kept.update({name: out}))
    plain(torch.from_numpy(inputs(size=32).values))
    name = "encoder.layers.encoder_layer_1"
    for kind, expected in (
        ("mlp", kept[f"{name}.mlp.1"]),
        ("attention", kept[f"{name}.self_attention"][0]),
        ("block", kept[name]),
    ):
        net = nc.adapters.torchvision("vit_b_16", kind=kind)
        alias = name if kind == "block" else f"{name}.{kind}"
        tree = ran(net, inputs(size=32))
        assert_close(tree[alias].activation, expected.detach().sum(1).numpy())


def test_explicit_attention_is_torchs():
    original = seeded(lambda: nn.MultiheadAttention(12, 3, batch_first=True)).double()
    explicit = ExplicitAttention(original)
    assert explicit.state_dict().keys() == original.state_dict().keys()
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(2, 5, 12, dtype=torch.float64, generator=generator) for _ in range(3)]
    found, expected = (m(*x, need_weights=False)[0] for m in (explicit, original))
    torch.testing.assert_close(found, expected)
    others = [{}, {"kdim": 3, "batch_first": True}, {"add_zero_attn": True, "batch_first": True}]
    for made in (nn.MultiheadAttention(4, 2, **options) for options in others):
        with pytest.raises(nc.errors.CaptureError, match="batch_first"):
            ExplicitAttention(made)


def test_heads_and_tokens_of_a_layer_are_views():
    tokens = torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    layer = nc.Layer("m", heads=2)
    assert layer.channels_first(tokens)[1, 1, 2].tolist() == tokens[1, 2, 4:].tolist()
    one = nc.Layer("m", heads=2, token=-1)
    one.channels_first(tokens)[:, 0] = 0  # as a mask is made
    assert (tokens == 0).sum() == 2 * 4 + 1
    for wrong, shape in (
        (nc.Layer("m", heads=3), (2, 3, 8)),
        (nc.Layer("m", heads=2), (2, 8)),
        (nc.Layer("m", token=3), (2, 3, 8)),
        (nc.Layer("m", token=0), (2, 3, 8, 8)),
    ):
        with pytest.raises(nc.errors.CaptureError):
            wrong.channels_first(torch.zeros(shape))
    with pytest.raises(nc.errors.NeurocodecError, match="heads"):
        nc.Layer("m", heads=0)


def test_preprocessing_is_torchvisions(photograph, tmp_path):
    entry = models.ResNet50_Weights.IMAGENET1K_V1
    net = nc.adapters.torchvision("resnet50")
    expected = entry.transforms()(photograph)
    assert torch.equal(net.preprocessing(photograph), expected)
    photograph.save(tmp_path / "1.png")
    np.testing.assert_array_equal(nc.images(tmp_path, net)[0], expected)
    newer = nc.adapters.torchvision("resnet50", preprocessing="IMAGENET1K_V2").preprocessing
    assert torch.equal(newer(photograph), models.ResNet50_Weights.DEFAULT.transforms()(photograph))
    assert not torch.equal(newer(photograph), expected)
    own = nc.adapters.torchvision("squeezenet1_1", preprocessing=np.asarray)
    assert own.preprocessing is np.asarray
    with pytest.raises(nc.errors.UnknownNameError, match="IMAGENET1K_V1"):
        nc.adapters.torchvision("squeezenet1_1", preprocessing="IMAGENET1K_V3")


@pytest.mark.usefixtures("small_vit")
def test_preprocessing_fits_the_size_of_a_transformer(photograph):
    net = nc.adapters.torchvision("vit_b_16")
    assert net.preprocessing(photograph).shape == net.input_shape == (3, 32, 32)


def test_categories_are_unique_and_have_wordnet_ids():
    net = nc.adapters.torchvision("squeezenet1_1")
    assert len(set(net.outputs)) == 1000
    entry = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    assert list(net.outputs) == entry.meta["categories"]
    pytest.importorskip("timm")
    ids = dict(zip(net.outputs, net.output_coords["wordnet_id"], strict=True))
    known = {"tabby": "n02123045", "goldfish": "n01443537", "toilet tissue": "n15075141"}
    assert {name: ids[name] for name in known} == known
    assert nc.adapters.torchvision("squeezenet1_1", num_classes=3).outputs is None
    named = nc.adapters.torchvision("squeezenet1_1", num_classes=2, outputs=["a", "b"])
    assert named.outputs == ("a", "b")


def test_random_weights_are_seeded_and_leave_the_random_state():
    before = torch.random.get_rng_state()
    a, b, c = (nc.adapters.torchvision("squeezenet1_1", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert a.weights_sha256 == b.weights_sha256 != c.weights_sha256
    assert a.name == "squeezenet1_1 (random weights, seed 0)"


SHAPES = ("plain.pth", "wrapped.pt", "plain.safetensors")


@pytest.fixture(scope="module")
def squeezenet():
    return seeded(models.squeezenet1_1, seed=7)


@pytest.mark.parametrize("name", SHAPES)
def test_local_weights(tmp_path, squeezenet, name):
    path, state = tmp_path / name, squeezenet.state_dict()
    if name == "plain.safetensors":
        save_file(state, path)
    elif name == "wrapped.pt":
        state = {f"module.{key}": tensor for key, tensor in state.items()}
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        torch.save(state, path)
    net = nc.adapters.torchvision("squeezenet1_1", path)
    x = inputs(1).astype("float32")
    with torch.no_grad():
        expected = squeezenet.eval()(torch.from_numpy(x.values))
    np.testing.assert_allclose(nc.respond(net, x), expected, rtol=1e-5, atol=1e-6)
    assert net.name == f"squeezenet1_1 ({name})"


def test_adjust_is_called_before_weights_are_loaded(tmp_path, squeezenet):
    torch.save(squeezenet.state_dict(), tmp_path / "x.pth")
    seen = []

    def strided(module):
        seen.append(torch.equal(module.features[0].weight, squeezenet.features[0].weight))
        module.features[0].stride = (4, 4)

    net = nc.adapters.torchvision("squeezenet1_1", tmp_path / "x.pth", adjust=strided)
    assert seen == [False]
    assert net.module.features[0].stride == (4, 4)


def test_weights_of_another_architecture_are_refused_whole(tmp_path, squeezenet):
    path = tmp_path / "squeezenet.pth"
    torch.save(squeezenet.state_dict(), path)
    with pytest.raises(nc.errors.InputError) as caught:
        nc.adapters.torchvision("squeezenet1_1", path, num_classes=10)
    shapes = "2 of another shape (classifier.1.weight (1000, 512, 1, 1) for (10, 512, 1, 1)"
    assert shapes in str(caught.value)
    module = seeded(models.resnet18)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = {**before, "fc.bias": torch.zeros(3), "conv1.weight": torch.zeros(64, 3, 7, 7)}
    torch.save(state | squeezenet.state_dict(), tmp_path / "mixed.pth")
    with pytest.raises(nc.errors.InputError, match="52 unexpected .*; 1 of another shape .fc.bias"):
        load_weights(module, tmp_path / "mixed.pth", "resnet18")
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    with pytest.raises(nc.errors.InputError, match=r"102 missing .conv1.weight"):
        nc.adapters.torchvision("resnet18", path)


def test_files_that_hold_no_weights(tmp_path):
    for name, content in (("list.pth", [1]), ("dict.pth", {"epoch": 3, "loss": 0.1})):
        torch.save(content, tmp_path / name)
        with pytest.raises(nc.errors.StorageError, match="a state dict"):
            read_weights(tmp_path / name)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0")
    for name in ("cut.safetensors", "missing.safetensors", "missing.pth"):
        with pytest.raises(nc.errors.StorageError, match=name):
            nc.adapters.torchvision("squeezenet1_1", tmp_path / name)
    torch.save({"model": ExplicitAttention}, tmp_path / "code.pt")
    with pytest.raises(nc.errors.StorageError, match="ExplicitAttention; nothing of it was run"):
        read_weights(tmp_path / "code.pt")


def test_old_names_of_densenet_files(tmp_path):
    module = seeded(models.densenet121)
    state = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for name, tensor in module.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "densenet121.pth")
    other = seeded(models.densenet121, seed=1)
    load_weights(other, tmp_path / "densenet121.pth", "densenet121")
    assert torch.equal(other.features.conv0.weight, module.features.conv0.weight)


def test_weights_of_the_hub_come_from_its_cache_or_say_where_it_is(
    tmp_path, squeezenet, monkeypatch, photograph
):
    def offline(*_args, **_options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    entry = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    with pytest.raises(nc.errors.StorageError) as caught:
        nc.adapters.torchvision("squeezenet1_1", "DEFAULT")
    for text in (entry.url, str(tmp_path / "hub" / "checkpoints"), "weights='path/of/a/local"):
        assert text in str(caught.value)
    cached = tmp_path / "hub" / "checkpoints" / Path(entry.url).name
    torch.save(squeezenet.state_dict(), cached)
    for weights in ("DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", entry):
        net = nc.adapters.torchvision("squeezenet1_1", weights)
        assert torch.equal(net.module.features[0].weight, squeezenet.features[0].weight)
        assert net.name == "squeezenet1_1 (IMAGENET1K_V1)"
    assert torch.equal(net.preprocessing(photograph), entry.transforms()(photograph))


def test_near_names_are_offered():
    for call, name in (
        (lambda: nc.adapters.torchvision("resnet5"), "'resnet50'"),
        (lambda: nc.adapters.torchvision("squeezenet1_1", "IMAGENET1K"), "'IMAGENET1K_V1'"),
        (lambda: nc.adapters.torchvision("squeezenet1_1", kind="blocks"), "'block'"),
        (lambda: nc.adapters.torchvision("squeezenet1_1", layers=["feature.3"]), "'features.3'"),
    ):
        with pytest.raises(nc.errors.UnknownNameError, match=name):
            call()
    with pytest.raises(nc.errors.InputError, match="kind='mlp' of 'squeezenet1_1'.*none is found"):
        nc.adapters.torchvision("squeezenet1_1", kind="mlp")


def test_layers_may_be_named():
    own = nc.Layer("features.4", at="input")
    net = nc.adapters.torchvision("squeezenet1_1", layers=["features.3", "features.0"])
    assert list(net.layers) == ["features.3", "features.0"]
    net = nc.adapters.torchvision("squeezenet1_1", layers={"fire": "features.3", "its_input": own})
    assert net.layers["its_input"] == own
    assert net.layers["fire"].module == "features.3"


def test_torchvision_may_be_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(nc.errors.InputError, match=r'pip install "neurocodec\[images\]"'):
        nc.adapters.torchvision("resnet18")


def test_files_of_networks_that_keep_versions(tmp_path):
    """MNASNet reads the version of its weights, which a safetensors file does not hold."""
    module = seeded(models.mnasnet0_5)
    save_file(module.state_dict(), tmp_path / "x.safetensors")
    net = nc.adapters.torchvision("mnasnet0_5", tmp_path / "x.safetensors", seed=1)
    assert torch.equal(net.module.layers[0].weight, module.layers[0].weight)


def test_googlenet_from_a_file_rescales_its_input_as_with_torchvisions_weights(tmp_path):
    module = seeded(lambda: models.googlenet(init_weights=False))
    save_file(module.state_dict(), tmp_path / "x.safetensors")
    net = nc.adapters.torchvision("googlenet", tmp_path / "x.safetensors", init_weights=False)
    assert net.module.transform_input
    x = inputs(1).astype("float32")
    red, green, blue = (x.values[:, i] for i in range(3))
    # from the mean and deviation of ImageNet's channels to (v - 0.5) / 0.5
    rescaled = [
        (c * s + m - 0.5) / 0.5
        for c, s, m in ((red, 0.229, 0.485), (green, 0.224, 0.456), (blue, 0.225, 0.406))
    ]
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(np.stack(rescaled, 1).astype("float32")))
    np.testing.assert_allclose(nc.respond(net, x), expected, rtol=1e-4, atol=1e-5)
    own = {"transform_input": False, "init_weights": False}
    plain = nc.adapters.torchvision("googlenet", tmp_path / "x.safetensors", **own)
    assert not plain.module.transform_input
