"""The examples run as they are."""

import re
import runpy
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from places import EXAMPLES
from small_retina import few_epochs, small_recording

import neurocodec as nc


def test_own_network(monkeypatch):
    pytest.importorskip("torchvision")
    main = runpy.run_path(str(EXAMPLES / "own_network.py"))["main"]
    every_third = main.__globals__["photographs"]().isel(y=slice(None, None, 3))
    photographs = every_third.isel(x=slice(None, None, 3))
    monkeypatch.setitem(main.__globals__, "photographs", lambda: photographs)
    tree = main()
    assert list(tree.children) == ["layer2.1", "layer3.1", "layer4.1"]
    for node in tree.children.values():
        # ten steps leave little of the change of the logit unexplained
        size = np.abs(node.contribution).sum(["sign", "channel"])
        assert (np.abs(node.completeness_error) < 0.1 * size).all()
    assert tree["source"].values.tolist() == ["china", "china", "flower", "flower"]


@pytest.mark.parametrize("page", ["tension", "synthesis", "concept_vectors"])
def test_the_page_about(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it writes
    text = (EXAMPLES.parent / "docs" / f"{page}.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    with torch.random.fork_rng(devices=[]):
        exec(compile(code, f"docs/{page}.md", "exec"), {})  # noqa: S102 - ours


def test_own_recording(tmp_path):
    """With a small file; one that is simulated goes the same way in docs/retina.md."""
    parts = {f"/{name}": small_recording(400) for name in ("train", "test")}
    nc.save(xr.DataTree.from_dict(parts), tmp_path / "recording.nc")
    main = runpy.run_path(str(EXAMPLES / "own_recording.py"))["main"]
    with few_epochs():
        found = main(tmp_path / "recording.nc", epochs=2)
    assert found.rates.sizes["cell"] == 4
    assert found.recorded is not None
    assert found.dynamics is not None


@pytest.fixture
def photographs(tmp_path):
    """Parts of the two photographs of scikit-learn, and a table of what they show."""
    sklearn = pytest.importorskip("sklearn.datasets")
    rows = ["file,label"]
    for image, label in zip(sklearn.load_sample_images().images, ("palace", "daisy"), strict=True):
        for number in range(2):
            part = image[40 : 40 + 96, 200 * number : 200 * number + 96]
            Image.fromarray(part).save(tmp_path / f"{label}{number}.png")
            rows.append(f"{label}{number}.png,{label}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def _small(monkeypatch):
    """ResNet-50 sees 64 x 64 pixels, which takes a twelfth of the time."""
    pytest.importorskip("torchvision")

    def pixels(image):
        values = np.asarray(image.resize((64, 64)), "float32") / 255
        return torch.from_numpy((values - 0.45) / 0.23).permute(2, 0, 1)

    small = partial(nc.adapters.torchvision, preprocessing=pixels)
    monkeypatch.setattr(nc.adapters, "torchvision", small)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("options", [["--count", "1"], ["--v1", "--count", "2"]])
def test_resnet50_images(photographs, options):
    main = runpy.run_path(str(EXAMPLES / "resnet50_images.py"))["main"]
    out, count = photographs / "run.nc", int(options[-1])
    table = ["--labels", str(photographs / "labels.csv")]
    tree = main([str(photographs), *table, *options, "--out", str(out)])
    assert tree["label"].values.tolist() == ["daisy"] * count
    assert len(tree.children) == 16
    assert tree["layer4.2"].contribution.shape == (count, 2, 2048)
    for node in tree.children.values():  # the parts of a block add up to the change of the logit
        size = np.abs(node.contribution).sum(["sign", "channel"])
        assert (np.abs(node.completeness_error) < 0.1 * size).all()
    np.testing.assert_array_equal(nc.open(out)["layer1.0"].activation, tree["layer1.0"].activation)


@pytest.mark.usefixtures("_small")
def test_resnet50_maps(photographs, monkeypatch):
    """Random weights: maps of the one mode, drawn for one image."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    main = runpy.run_path(str(EXAMPLES / "resnet50_maps.py"))["main"]
    table = ["--labels", str(photographs / "labels.csv"), "--out", str(photographs / "maps.svg")]
    maps = main([str(photographs), *table, "--modes", "1", "--count", "1", "--layer", "layer4.2"])
    assert maps.contribution_map.dims == ("stimulus", "mode", "color", "y", "x")
    size = abs(maps.contribution_map).sum(("color", "y", "x"))
    assert (abs(maps.map_completeness_error) < 0.1 * size).all()
    assert "whole network" in (photographs / "maps.svg").read_text()
    assert (photographs / "maps-channels.svg").exists()


def test_the_original_strides_change_the_answer_and_no_weight():
    pytest.importorskip("torchvision")
    example = runpy.run_path(str(EXAMPLES / "resnet50_images.py"))
    new, original = example["network"](), example["network_v1"]()
    assert new.weights_sha256 == original.weights_sha256
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(new.module(x), original.module(x))
    for stage in (original.module.layer2, original.module.layer3, original.module.layer4):
        steps = [stage[0].conv1.stride, stage[0].conv2.stride, stage[0].downsample[0].stride]
        assert steps == [(2, 2), (1, 1), (2, 2)]


def test_cifar_resnet(tmp_path):
    example = runpy.run_path(str(EXAMPLES / "cifar_resnet.py"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = example["ResNet"](3).eval()
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    net = example["network"](str(tmp_path / "weights.pth"))
    assert net.name == "CIFAR ResNet-20"
    assert len(net.layers) == 9
    values = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    classes = np.array([[3], [0], [9], [3], [0], [1]])
    np.savez(tmp_path / "arrays.npz", x_test=values, y_test=classes)
    folder = example["write_images"](tmp_path / "arrays.npz", tmp_path / "images", limit=5)
    stimulus = nc.images(folder, net)
    order = [1, 4, 0, 3, 2]  # by class folder
    assert stimulus.source.values.tolist()[0] == "airplane/00001.png"
    assert stimulus.label.values.tolist() == ["airplane"] * 2 + ["cat"] * 2 + ["truck"]
    normalised = (values[order] / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    expected = normalised.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(stimulus.values, expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        answer = module(torch.from_numpy(expected.astype("float32")))
    np.testing.assert_allclose(nc.respond(net, stimulus), answer, rtol=1e-4, atol=1e-5)
    # the shortcut: every second pixel, zeros on both sides of the channels
    block, x = module.layer2[0], torch.from_numpy(expected[:1].astype("float32"))
    x = x.repeat(1, 6, 1, 1)[:, :16]
    for convolution in (block.conv1, block.conv2):
        convolution.weight.data.zero_()
    with torch.no_grad():
        shortcut = block(x) - block(torch.zeros_like(x))
    assert (shortcut[:, :8] == 0).all()
    assert (shortcut[:, 24:] == 0).all()
    torch.testing.assert_close(shortcut[:, 8:24], x[..., ::2, ::2].relu())
