"""Networks that the command line names."""

import sys

import pytest
import torch

from neurocodec.cli.networks import load_network
from neurocodec.errors import InputError

OWN = """
import torch
from torch import nn
import neurocodec as nc

def network(weights=None):
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    module(torch.zeros(1, 3, 8, 8))
    if weights is not None:
        module.load_state_dict(torch.load(weights, weights_only=True))
    return nc.Network(
        module, layers={"conv": "0"}, outputs=["cat", "dog"], name="own", input_shape=(3, 8, 8)
    )

def without_weights():
    return network()

def module():
    return nn.ReLU()
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_function_in_a_file(own, tmp_path):
    net = load_network(f"{own}:network")
    assert (net.name, net.outputs, list(net.layers)) == ("own", ("cat", "dog"), ["conv"])
    torch.save({k: torch.zeros_like(x) for k, x in net.module.state_dict().items()}, tmp_path / "w")
    zero = load_network(f"{own}:network", weights=str(tmp_path / "w"))
    assert all(not bool(p.any()) for p in zero.module.parameters())


def test_other_layers_of_it_keep_everything_else(own):
    net = load_network(f"{own}:network", layers=["1", "conv"])
    assert {alias: layer.module for alias, layer in net.layers.items()} == {"1": "1", "conv": "0"}
    assert net.outputs == ("cat", "dog")
    assert net.input_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet50", "torchvision:resnet50"),
        ("huggingface:resnet50", "torchvision:NAME, timm:NAME"),
        ("torchvision:", "FILE.py:FUNCTION"),
        ("{own}:netwrok", "network"),
        ("{folder}/missing.py:network", "which is no file"),
        ("{own}:module", "a nc.Network"),
    ],
)
def test_what_is_no_network(own, text, message):
    with pytest.raises(InputError, match=message):
        load_network(text.format(own=own, folder=own.parent))


def test_a_name_alone_is_told_the_forms_that_there_are():
    with pytest.raises(InputError) as found:
        load_network("resnet50")
    assert str(found.value).splitlines() == [
        "the network 'resnet50'",
        "  expected: torchvision:NAME, timm:NAME, or FILE.py:FUNCTION that returns a nc.Network",
        "  try: torchvision:resnet50",
    ]


def test_weights_that_a_function_does_not_take(own):
    with pytest.raises(InputError, match="too many positional"):
        load_network(f"{own}:without_weights", weights="weights.pth")


def test_unknown_layers_of_it(own):
    with pytest.raises(InputError, match="layer"):
        load_network(f"{own}:network", layers=["conb"])


def test_a_file_may_import_what_lies_beside_it_and_define_dataclasses(tmp_path):
    (tmp_path / "parts_beside.py").write_text("from torch import nn\nlayer = nn.Linear\n")
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "import neurocodec as nc\n"
        "@dataclass\n"
        "class Size:\n"
        "    width: int = 3\n"
        "def network():\n"
        "    import parts_beside\n"
        "    return nc.Network(parts_beside.layer(Size().width, 2), [])\n"
    )
    path, modules = list(sys.path), set(sys.modules)
    assert load_network(f"{tmp_path}/own.py:network").module.in_features == 3
    assert sys.path == path
    assert set(sys.modules) - modules == {"parts_beside"}
    del sys.modules["parts_beside"]


def test_weights_that_a_function_needs(own):
    own.write_text(OWN + "\ndef trained(weights):\n    return network(weights)\nnumber = 3\n")
    with pytest.raises(InputError, match=r"trained\(weights\).*\n.*\n.*--weights FILE"):
        load_network(f"{own}:trained")
    with pytest.raises(InputError, match="there is no function"):
        load_network(f"{own}:number")


def test_a_kind_of_layers_is_for_registries(own):
    with pytest.raises(InputError, match="chooses its layers itself"):
        load_network(f"{own}:network", kind="heads")
    with pytest.raises(InputError, match=f"{own}:network"):
        load_network(str(own))
