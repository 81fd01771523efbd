"""Devices by name: those that there are, and why not the others."""

import pytest
import torch

from neurocodec.errors import InputError
from neurocodec.nn.device import device_named, fitting_device


@pytest.fixture
def cuda(monkeypatch):
    """Say whether there is a usable CUDA device."""
    return lambda usable: monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "meta", torch.device("cpu")])
def test_a_device_that_is_there_is_taken(name):
    assert device_named(name) == torch.device(name)


@pytest.mark.parametrize("name", ["gpu", "", "hpu", None, 1.5])
def test_a_device_that_is_not_there_is_told(name):
    with pytest.raises(InputError) as told:
        device_named(name)
    assert told.value.came == f"device={str(name)!r}, which this machine does not have"
    assert told.value.expected == "a device that torch can use here"
    assert told.value.hint == "device='cpu'"
    assert told.value.__cause__ is not None


@pytest.mark.parametrize("name", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_without_a_usable_device_is_told_as_such(name, cuda):
    cuda(usable=False)
    with pytest.raises(InputError, match="on a machine without a usable CUDA device") as told:
        device_named(name, hint="device=None")
    assert told.value.came.startswith(f"device={str(name)!r}")
    assert told.value.hint == "device=None"


def test_a_cuda_device_too_many_is_told(monkeypatch, cuda):
    cuda(usable=True)

    def empty(*_, device):
        raise RuntimeError(f"CUDA error: invalid device ordinal {device.index}")

    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(InputError, match="device='cuda:99', which this machine does not have"):
        device_named("cuda:99")


def test_fits_run_on_cuda_where_it_is(cuda):
    for usable, kind in ((True, "cuda"), (False, "cpu")):
        cuda(usable=usable)
        assert fitting_device(None) == torch.device(kind)


def test_fits_run_on_the_device_that_is_named(cuda):
    cuda(usable=True)
    assert fitting_device("cpu") == torch.device("cpu")
    assert fitting_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["meta", torch.device("meta")])
def test_nothing_is_fitted_on_a_device_that_computes_nothing(name):
    with pytest.raises(InputError, match="device='meta', which computes nothing"):
        fitting_device(name)


def test_a_fit_on_no_device_is_refused():
    with pytest.raises(InputError, match="device='gpu', which this machine does not have"):
        fitting_device("gpu")


@pytest.mark.gpu
def test_the_first_cuda_device_is_there():
    assert device_named("cuda:0") == fitting_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InputError, match="which this machine does not have"):
        device_named("cuda:99")
