"""Weights from local files."""

import pytest
import torch
from torch import nn

from neurocodec.adapters.networks.weights import is_weight_file, load_weights, read_weights
from neurocodec.errors import InputError, NeurocodecError


def test_a_file_is_told_from_a_name():
    assert is_weight_file("resnet50.safetensors")
    assert not is_weight_file("IMAGENET1K_V1")


def test_a_state_dict_is_found_under_its_key(tmp_path):
    torch.save({"state_dict": {"weight": torch.ones(1)}}, tmp_path / "x.pt")
    assert read_weights(tmp_path / "x.pt") == {"weight": torch.ones(1)}


def written_names(prefix, state):
    """Files of training, of a network in which a part was compiled."""
    return {f"{prefix}{name}".replace("1.", "1._orig_mod."): x for name, x in state.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "_orig_mod.", "model.", "net.", "network.", "module._orig_mod."),
        *("_orig_mod.module.", "model.net.", "model.model."),
    ],
)
@pytest.mark.parametrize(
    "further",
    [{}, {"criterion.weight": torch.ones(2)}, {"n_averaged": torch.tensor(2)}, {"_extra_state": 3}],
)
def test_names_of_wrapped_networks_are_found(tmp_path, prefix, further):
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {name: torch.rand(x.shape) for name, x in module.state_dict().items()}
    torch.save(written_names(prefix, state) | further, tmp_path / "x.pt")
    if prefix in ("", "_orig_mod.") and {"criterion.weight", "n_averaged"} & further.keys():
        with pytest.raises(InputError, match="1 unexpected"):
            load_weights(module, tmp_path / "x.pt", "tiny")
        return
    load_weights(module, tmp_path / "x.pt", "tiny")
    assert all(torch.equal(x, state[n].to(x.dtype)) for n, x in module.state_dict().items())


def test_weights_go_into_a_compiled_network(tmp_path):
    torch.save({"weight": torch.ones(1, 2)}, tmp_path / "x.pt")
    module = nn.Linear(2, 1, bias=False)
    load_weights(torch.compile(module, backend="eager"), tmp_path / "x.pt", "tiny")
    assert torch.equal(module.weight, torch.ones(1, 2))


def test_a_part_that_is_called_as_a_wrapper_calls_it_is_kept(tmp_path):
    module = nn.Sequential()
    module.add_module("model", nn.Linear(2, 1, bias=False))
    for prefix in ("", "model.", "module."):
        torch.save({f"{prefix}model.weight": torch.full((1, 2), 3.0)}, tmp_path / "x.pt")
        load_weights(module, tmp_path / "x.pt", "tiny")
        assert module.model.weight.tolist() == [[3, 3]]
        module.model.weight.data.zero_()


@pytest.mark.parametrize(
    ("change", "right"),
    [
        (lambda x: x.bfloat16(), True),
        (lambda x: x.to_sparse(), True),
        (lambda x: x.double(), True),
        (lambda x: x.to(torch.complex64), False),
        (lambda x: x.to("meta"), False),
        (lambda x: x[0], False),
        (lambda x: x.numpy(), False),
    ],
)
def test_weights_of_other_types_are_loaded_or_refused(tmp_path, change, right):
    torch.save({"weight": change(torch.ones(1, 2))}, tmp_path / "x.pt")
    module = nn.Linear(2, 1, bias=False)
    if right:
        load_weights(module, tmp_path / "x.pt", "tiny")
        assert module.weight.tolist() == [[1, 1]]
        return
    with pytest.raises(NeurocodecError, match="does not hold|a state dict"):
        load_weights(module, tmp_path / "x.pt", "tiny")


def test_weights_are_loaded(tmp_path):
    torch.save({"weight": torch.ones(1, 2)}, tmp_path / "x.pt")
    module = nn.Linear(2, 1, bias=False)
    load_weights(module, tmp_path / "x.pt", "tiny")
    assert torch.equal(module.weight, torch.ones(1, 2))
