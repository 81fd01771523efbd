"""Networks of timm: layers, values with and without the fused kernel, preprocessing, weights."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import net_contribution, seeded
from PIL import Image
from safetensors.torch import save_file

import neurocodec as nc

timm = pytest.importorskip("timm")

VIT = {"img_size": 32, "depth": 2, "num_classes": 5}
LAYERS = {
    "convnext_atto": (12, "stages.0.blocks.0", "stages.3.blocks.1"),
    "densenet121": (4, "features.denseblock1", "features.denseblock4"),
    "mixer_s32_224": (8, "blocks.0", "blocks.7"),
    "mobilenetv3_small_050": (12, "blocks.0.0", "blocks.5.0"),
    "regnety_002": (13, "s1.b1", "s4.b7"),
    "resnet26": (8, "layer1.0", "layer4.1"),
    "tf_efficientnet_lite0": (16, "blocks.0.0", "blocks.6.0"),
    "vit_tiny_patch16_224": (12, "blocks.0", "blocks.11"),
}


def inputs(n=2, size=32):
    values = np.random.default_rng(0).normal(size=(n, 3, size, size))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def vit(kind="block", **options):
    net = nc.adapters.timm("vit_tiny_patch16_224", kind=kind, **VIT, **options)
    net.module.double()
    torch.nn.init.normal_(net.module.head.weight, generator=torch.Generator().manual_seed(0))
    return net


def ran(net, stimulus):
    return nc.contributions(
        net, stimulus, target=nc.targets.TopK(1), method=nc.methods.ActGrad(), progress=False
    )


@pytest.mark.parametrize("name", LAYERS)
def test_blocks(name):
    layers = list(nc.adapters.timm(name).layers)
    assert (len(layers), layers[0], layers[-1]) == LAYERS[name]


@pytest.mark.parametrize("kind", ["block", "mlp", "attention", "heads"])
def test_fused_and_plain_attention_agree_with_backward(kind):
    fused, plain = vit(kind), vit(kind)
    for block in plain.module.blocks:
        assert block.attn.fused_attn
        block.attn.fused_attn = False
    a, b = ran(fused, inputs()), ran(plain, inputs())
    where = {"block": "blocks.1", "mlp": "blocks.1.mlp.fc2", "attention": "blocks.1.attn"}
    part = dict(fused.module.named_modules())[where.get(kind, "blocks.1.attn.proj")]
    kept = []

    def keep(tensor):
        tensor.retain_grad()
        kept.append(tensor)

    if kind in ("mlp", "heads"):
        hook = part.register_forward_pre_hook(lambda _m, args: keep(args[0]))
    else:
        hook = part.register_forward_hook(lambda _m, _a, output: keep(output))
    fused.module(torch.from_numpy(inputs().values)).max(1).values.sum().backward()
    hook.remove()
    expected = (kept[0] * kept[0].grad).detach()
    if kind == "heads":
        expected = expected.reshape(2, 5, 3, 64).sum(-1)
    alias = "blocks.1" if kind == "block" else f"blocks.1.{kind}"
    expected = expected.sum(1).numpy()
    for tree in (a, b):
        np.testing.assert_allclose(
            net_contribution(tree, alias), expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max()
        )


def test_the_class_token_alone():
    tree = ran(vit("block", token=0), inputs())
    whole = ran(vit("block"), inputs())
    # only the class token goes on to the answer from the last block
    np.testing.assert_allclose(
        net_contribution(tree, "blocks.1"), net_contribution(whole, "blocks.1"), atol=1e-12
    )
    assert (
        np.abs(net_contribution(tree, "blocks.0") - net_contribution(whole, "blocks.0")).max() > 0
    )


def test_gated_and_windowed_layers():
    eva = nc.adapters.timm("eva02_tiny_patch14_224", kind="mlp", depth=1)
    layer = eva.layers["blocks.0.mlp"]
    assert (layer.module, layer.at) == ("blocks.0.mlp.fc2", "input")  # after the gate
    swin = {
        "depths": (1, 1),
        "num_heads": (3, 6),
        "embed_dim": 12,
        "img_size": 56,
        "num_classes": 4,
    }
    heads = nc.adapters.timm("swin_tiny_patch4_window7_224", kind="heads", **swin)
    assert [(x.windows, x.heads) for x in heads.layers.values()] == [(True, 3), (True, 6)]
    net = nc.adapters.timm("swin_tiny_patch4_window7_224", kind="attention", **swin)
    kept = []
    with torch.no_grad():
        block = net.module.layers[0].blocks[0]
        hook = block.norm2.register_forward_pre_hook(lambda _m, args: kept.append(args[0]))
        entry = block.register_forward_pre_hook(lambda _m, args: kept.append(args[0]))
        net.module(torch.from_numpy(inputs(2, 56).values).float())
    hook.remove()
    entry.remove()
    into, summed = (tensor.reshape(2, -1, 12).sum(1) for tensor in kept)
    tree = ran(net, inputs(2, 56).astype("float32"))
    found = tree["layers.0.blocks.0.attention"].activation
    np.testing.assert_allclose(found, summed - into, rtol=1e-3, atol=1e-4)


def test_preprocessing_is_timms(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (280, 330, 3), np.uint8)
    photograph = Image.fromarray(values)
    photograph.save(tmp_path / "1.png")
    for name in ("resnet26", "mobilenetv3_small_050"):
        net = nc.adapters.timm(name)
        config = timm.data.resolve_model_data_config(timm.create_model(name))
        expected = timm.data.create_transform(**config, is_training=False)(photograph)
        np.testing.assert_array_equal(nc.images(tmp_path, net)[0], expected)
    assert nc.adapters.timm("resnet26", preprocessing=np.asarray).preprocessing is np.asarray
    small = vit()
    assert small.preprocessing(photograph).shape == small.input_shape == (3, 32, 32)


def test_categories():
    info = timm.data.ImageNetInfo()
    net = nc.adapters.timm("mobilenetv3_small_050")
    assert len(set(net.outputs)) == 1000
    assert net.output_coords["wordnet_id"] == info.label_names()
    for place in (0, 281, 999):  # the lemmas of WordNet hold torchvision's name
        assert net.outputs[place] in info.index_to_description(place)
    larger = nc.adapters.timm("mobilenetv3_small_050", num_classes=21843)
    assert len(set(larger.outputs)) == len(larger.output_coords["wordnet_id"]) == 21843
    assert vit().outputs is None


def test_local_weights(tmp_path):
    module = seeded(lambda: timm.create_model("mobilenetv3_small_050"), seed=3)
    save_file(module.state_dict(), tmp_path / "x.safetensors")
    net = nc.adapters.timm("mobilenetv3_small_050", tmp_path / "x.safetensors")
    assert all(
        torch.equal(net.module.state_dict()[name], tensor)
        for name, tensor in module.state_dict().items()
    )
    assert net.name == "mobilenetv3_small_050 (x.safetensors)"
    with pytest.raises(nc.errors.InputError, match="missing"):
        nc.adapters.timm("resnet26", tmp_path / "x.safetensors")


def test_weights_that_timm_converts(tmp_path):
    """Its converter takes a fine-tuned transformer of another image size."""
    module = seeded(lambda: timm.create_model("vit_tiny_patch16_224", **{**VIT, "img_size": 48}))
    torch.save({"model": module.state_dict()}, tmp_path / "x.pth")
    net = nc.adapters.timm("vit_tiny_patch16_224", tmp_path / "x.pth", **VIT)
    assert net.module.pos_embed.shape == (1, 5, 192)
    weights = (m.blocks[1].mlp.fc1.weight for m in (net.module, module))
    assert torch.equal(*weights)


def test_random_weights_are_seeded():
    before = torch.random.get_rng_state()
    a, b, c = (nc.adapters.timm("mobilenetv3_small_050", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert a.weights_sha256 == b.weights_sha256 != c.weights_sha256


def test_weights_of_the_hub_without_internet(monkeypatch):
    create = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise FileNotFoundError("we cannot find the requested files in the local cache")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    for name, weights in (("resnet26", "DEFAULT"), ("resnet26", "bt_in1k")):
        with pytest.raises(nc.errors.StorageError, match="(?s)'resnet26.*HF_HOME.*path/of/a/local"):
            nc.adapters.timm(name, weights)


def test_near_names_are_offered():
    for call, name in (
        (lambda: nc.adapters.timm("resnet5"), "'resnet50'"),
        (lambda: nc.adapters.timm("resnet26", "bt_in1"), "'bt_in1k'"),
        (lambda: nc.adapters.timm("resnet26", layers=["layer1.9"]), "'layer1.0'"),
    ):
        with pytest.raises(nc.errors.UnknownNameError, match=name):
            call()


def test_timm_may_be_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(nc.errors.InputError, match=r'pip install "neurocodec\[images\]"'):
        nc.adapters.timm("resnet26")


@pytest.mark.parametrize(
    ("name", "size", "channels"), [("tiny_vit_5m_224", 224, 320), ("gcvit_xxtiny", 224, 512)]
)
def test_blocks_that_return_channels_last(name, size, channels):
    net = nc.adapters.timm(name, num_classes=2)
    last = list(net.layers)[-1]
    tree = nc.contributions(
        net,
        inputs(1, size).astype("float32"),
        target=nc.targets.TopK(1),
        method=nc.methods.ActGrad(),
        layers=[last],
        progress=False,
    )
    assert tree[last].sizes["channel"] == channels == net.module.num_features


def test_attention_is_what_has_heads():
    """Squeeze-excite, and the identity in its place, are called `attn` in blocks of timm too."""
    with pytest.raises(nc.errors.InputError, match="none is found"):
        nc.adapters.timm("gernet_s", kind="attention", num_classes=2)
    with pytest.raises(nc.errors.InputError, match="none is found"):
        nc.adapters.timm("resnet26", kind="attention", num_classes=2)
    gmlp = nc.adapters.timm("gmlp_ti16_224", kind="mlp", num_classes=2)
    assert gmlp.layers["blocks.0.mlp"].at == "input"  # after the gate


@pytest.mark.parametrize("name", ["res2net50_14w_8s", "skresnet18", "resnetv2_18"])
def test_blocks_of_further_residual_networks(name):
    layers = nc.adapters.timm(name, num_classes=2).layers
    assert len(layers) == (16 if name == "res2net50_14w_8s" else 8)
