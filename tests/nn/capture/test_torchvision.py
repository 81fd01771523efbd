"""Stock torchvision networks, whose ReLUs work in place, against plain backward passes.

In double precision: in single precision a unit within rounding of zero may open in one of two ways
to compute the same convolution and not in the other, and its gradient then differs wholly.
"""

import copy
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from networks import net_contribution, seeded
from torch import nn

import neurocodec as nc

models = pytest.importorskip("torchvision.models")

CASES = {
    "resnet18": ["bn1", "layer1.0.bn1", "layer2.0", "layer3.1.conv2", "layer4.1.bn2"],
    "vgg11": ["features.0", "features.3", "features.8", "classifier.0"],
    "mobilenet_v2": ["features.0.1", "features.3.conv.0.1", "features.18"],
    "densenet121": ["features.norm0", "features.denseblock1", "features.transition1.norm"],
    "resnext50_32x4d": ["layer1.0.conv2", "layer2.1", "layer4.2"],  # grouped convolutions
    "mobilenet_v3_small": ["features.1", "features.1.block.1", "features.4.block.2", "features.9"],
    "efficientnet_b0": ["features.2.0.block.2", "features.3.1", "features.6.3"],  # squeeze-excite
    "regnet_y_400mf": ["trunk_output.block1", "trunk_output.block2.block2-1.f.se"],
    "convnext_tiny": ["features.0.1", "features.1.0", "features.3.1.block.2", "features.5.8"],
    "shufflenet_v2_x0_5": ["stage2.1", "stage3.0.branch2.3", "conv5"],
}

LARGE = {"densenet121", "resnext50_32x4d", "efficientnet_b0", "convnext_tiny"}
CHANNELS_LAST = {"features.3.1.block.2"}  # a layer norm between two permutations


def photographs(n=2, size=48):
    values = np.random.default_rng(0).normal(size=(n, 3, size, size)).astype("float32")
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def reference(module, layers, x):
    """Activation times gradient of the largest logit, by `.backward()`, without in-place ReLUs."""
    kept = {}
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False

    def keep(name):
        def hook(_module, _args, output):
            output.retain_grad()
            kept[name] = output
            return output.clone()  # a residual block adds its input to this in place

        return hook

    parts = dict(module.named_modules())
    hooks = [parts[name].register_forward_hook(keep(name)) for name in layers]
    module(x).max(1).values.sum().backward()
    for hook in hooks:
        hook.remove()
    return {name: (h * h.grad).detach() for name, h in kept.items()}


def narrow(features):
    """VGG with fewer hidden units, whose 120 million weights take most of the time."""
    classifier = nn.Sequential(nn.Linear(512, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 10))
    with torch.device("meta"):
        vgg = models.vgg11()
    vgg.features, vgg.avgpool, vgg.classifier = features, nn.AdaptiveAvgPool2d(1), classifier
    return vgg


def build(name):
    if name == "vgg11":
        return narrow(models.vgg.make_layers(models.vgg.cfgs["A"]))
    return getattr(models, name)()


@pytest.mark.parametrize(
    "name", [pytest.param(c, marks=pytest.mark.slow if c in LARGE else ()) for c in CASES]
)
def test_act_grad_of_stock_networks(name):
    module = seeded(partial(build, name)).double().eval()
    net = nc.Network(copy.deepcopy(module), layers=CASES[name])
    stimulus = photographs().astype("float64")
    target = nc.targets.TopK(1)
    tree = nc.contributions(
        net, stimulus, target=target, method=nc.methods.ActGrad(), progress=False
    )
    expected = reference(module, CASES[name], torch.from_numpy(stimulus.values))
    for layer in CASES[name]:
        product = expected[layer]
        if layer in CHANNELS_LAST:
            product = product.movedim(-1, 1)
        assert_close(tree, layer, product.flatten(2).sum(2) if product.ndim > 2 else product)


def assert_close(tree, layer, expected):
    scale = float(expected.abs().max())
    np.testing.assert_allclose(
        net_contribution(tree, layer), expected, rtol=1e-4, atol=1e-9 * scale
    )


def test_relu_that_runs_twice_is_told_apart():
    net = seeded(models.resnet18).eval()
    with pytest.raises(nc.errors.CaptureError, match="occurrence"):
        nc.contributions(
            nc.Network(net, ["layer1.0.relu"]), photographs(1), target=nc.targets.TopK(1)
        )
    layers = {"inner": nc.Layer("layer1.0.relu", occurrence=0), "block": "layer1.0"}
    layers["outer"] = nc.Layer("layer1.0.relu", occurrence=1)
    tree = nc.contributions(
        nc.Network(net, layers), photographs(2), target=nc.targets.TopK(1), progress=False
    )
    np.testing.assert_array_equal(tree["outer"].contribution, tree["block"].contribution)
    assert np.abs(tree["outer"].contribution - tree["inner"].contribution).max() > 0


@pytest.mark.parametrize("fused", [True, False])
def test_attention_with_and_without_the_fused_kernel(fused):
    timm = pytest.importorskip("timm")

    def build():
        size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
        module = timm.create_model("vit_tiny_patch16_224", num_classes=5, **size).double().eval()
        for block in module.blocks:
            block.attn.fused_attn = fused
        return module

    layers = [
        "blocks.0",
        "blocks.0.attn.qkv",
        "blocks.1.attn",
        "blocks.1.mlp.act",
        "blocks.1.norm2",
    ]
    stimulus = photographs(3, 32).astype("float64")
    tree = nc.contributions(
        nc.Network(seeded(build), layers=layers),
        stimulus,
        target=nc.targets.TopK(1),
        method=nc.methods.ActGrad(),
        progress=False,
    )
    expected = reference(seeded(build), layers, torch.from_numpy(stimulus.values))
    for layer in layers:
        assert_close(tree, layer, expected[layer].sum(1))


def test_vision_transformer_tokens():
    build = (
        seeded(lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5)).double().eval()
    )
    nn.init.normal_(build.heads.head.weight, generator=torch.Generator().manual_seed(0))
    layers = {
        "block": "encoder.layers.encoder_layer_0",
        "mlp": "encoder.layers.encoder_layer_1.mlp.1",
    }
    layers["class token"] = nc.Layer("encoder.ln", token=0)
    stimulus = photographs(3, 32).astype("float64")
    net = nc.Network(build, layers=layers)
    tree = nc.contributions(
        net,
        stimulus,
        target=nc.targets.TopK(1),
        method=nc.methods.ActGrad(),
        progress=False,
    )
    names = [layer.module for layer in net.layers.values()]
    expected = reference(build, names, torch.from_numpy(stimulus.values))
    assert_close(tree, "mlp", expected[net.layers["mlp"].module].sum(1))
    assert_close(tree, "block", expected[net.layers["block"].module].sum(1))
    assert_close(tree, "class token", expected["encoder.ln"][:, 0])
