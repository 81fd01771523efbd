"""On a device without float64 nothing is computed in it: the CPU stands for such a device.

What has left the device by ``.cpu()`` is marked, and may have as many digits as it likes.
"""

import pytest
import torch
from networks import Tokens, convolutional, images, seeded
from torch.overrides import TorchFunctionMode

import neurocodec as nc
from neurocodec.nn import device


class Here(torch.Tensor):
    """A tensor that has left the device."""


class WithoutDoubles(TorchFunctionMode):
    """Refuses a tensor of doubles that was made of none that has left the device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        given = kwargs or {}
        found = func(*args, **given)
        left = any(issubclass(kind, Here) for kind in types)
        made = isinstance(found, torch.Tensor) and found.dtype == torch.float64
        elsewhere = str(given.get("device", "")) == "cpu" and func == torch.zeros_like
        if made and not left and not elsewhere:
            raise TypeError(f"the device has no float64: {func}")
        if func is torch.Tensor.cpu:
            return found.as_subclass(Here)
        return found


@pytest.fixture
def _without_doubles(monkeypatch):
    monkeypatch.setattr(device, "WITHOUT_DOUBLES", {"cpu"})
    with WithoutDoubles():
        yield


def test_the_fake_refuses_what_such_a_device_refuses():
    with WithoutDoubles():
        x = torch.ones(3)
        with pytest.raises(TypeError, match="no float64"):
            x.double()
        with pytest.raises(TypeError, match="no float64"):
            x.sum(dtype=torch.float64)
        assert x.cpu().double().dtype == torch.float64


def net():
    return nc.Network(convolutional(), {"hidden": "2"}, outputs=tuple("abcdef"))


def calls():
    options = {"target": nc.targets.TopK(1), "progress": False}
    methods = [nc.methods.ActGrad(), nc.methods.IntegratedGradients(steps=2)]
    masks = nc.class_masks(images(8).assign_coords(label=("stimulus", list("abcdabcd"))), [*"abcd"])
    scores = nc.rankings.at_random(
        nc.rankings.from_contrast(nc.contributions(net(), images(8), **options)["hidden"], masks)
    )
    labelled = images(8).assign_coords(label=("stimulus", list("abcdabcd")))
    return {
        "contributions": lambda: [
            nc.contributions(net(), images(3), method=m, **options) for m in methods
        ],
        "maps": lambda: nc.contribution_maps(
            net(), images(2), layer="hidden", method=nc.methods.InputGrad(), **options
        ),
        "tension": lambda: nc.tension(
            net(),
            images(2),
            target=nc.targets.Output("a"),
            layer="hidden",
            method=nc.methods.ActGrad(),
            progress=False,
        ),
        "responses": lambda: nc.respond(net(), images(3)),
        "tokens": lambda: nc.contributions(
            nc.Network(seeded(Tokens).eval(), ["mlp"]), images(3), **options
        ),
        "perturbation": lambda: nc.perturbation_curve(
            net(), labelled, "hidden", scores, fill=1.0, progress=False
        ),
    }


@pytest.mark.parametrize(
    "name", ["contributions", "maps", "tension", "responses", "tokens", "perturbation"]
)
def test_nothing_is_computed_in_doubles(name, request):
    call = calls()[name]
    request.getfixturevalue("_without_doubles")
    assert call() is not None


def test_sums_have_the_digits_that_there_are():
    assert device.widest(torch.device("cpu")) == torch.float64
    assert device.widest(torch.device("mps")) == torch.float32
