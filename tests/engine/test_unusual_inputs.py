"""Arrays, outputs, modules and numbers out of the ordinary: each is right, or refused by name."""

import copy
import dataclasses
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecError
from neurocodec.perturbation.ablation import perturbed

VALUES = np.random.default_rng(0).random((5, 1, 3, 3)).astype("float32")
TARGET = nc.targets.Output("1")


def images(values=VALUES):
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


class Net(nn.Module):
    """A convolution and a readout, whose answer is handed to a function."""

    def __init__(self, function=lambda x: x):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv2d(1, 2, 2), nn.Linear(8, 2)
        self.function, self.passes = function, 0

    def forward(self, x):
        self.passes += len(x)
        return self.function(self.out(self.conv(x).relu().flatten(1)))


def contributions(module, stimulus, **options):
    select = options.pop("select", None)
    net = nc.Network(module, ["conv"], select=select)
    method = nc.methods.IntegratedGradients(steps=2)
    tree = nc.contributions(net, stimulus, target=TARGET, method=method, progress=False, **options)
    return tree["conv"].contribution.values


@pytest.fixture(scope="module")
def expected():
    """Contributions by a plain loop: the trapezoid over three points of the path from zero."""
    x, module = torch.from_numpy(VALUES), Net()
    hidden, gradients = [], []
    for alpha in (0.0, 0.5, 1.0):
        h = module.conv(alpha * x).detach().requires_grad_()
        module.out(h.relu().flatten(1))[:, 1].sum().backward()
        hidden.append(h.detach()), gradients.append(h.grad)
    whole = sum(
        (hidden[i + 1] - hidden[i]) * (gradients[i] + gradients[i + 1]) / 2 for i in range(2)
    ).flatten(2)
    return torch.stack([whole.clamp(min=0).sum(2), whole.clamp(max=0).sum(2)], 1).numpy()


ARRAYS = {
    "flipped": VALUES[:, :, ::-1].copy()[:, :, ::-1],
    "flipped samples": VALUES[::-1].copy()[::-1],
    "big-endian": VALUES.astype(">f4"),
    "big-endian doubles": VALUES.astype(">f8"),
    "long doubles": VALUES.astype(np.longdouble),
    "by columns": np.asfortranarray(VALUES),
    "read-only": np.frombuffer(VALUES.tobytes(), np.float32).reshape(VALUES.shape),
    "strided": np.repeat(VALUES, 2, 0)[::2],
}


@pytest.mark.parametrize("values", ARRAYS.values(), ids=ARRAYS)
def test_arrays_of_any_kind_are_taken_as_they_read(values, expected):
    np.testing.assert_allclose(contributions(Net(), images(values)), expected, atol=1e-6)


@pytest.mark.parametrize("values", ARRAYS.values(), ids=ARRAYS)
def test_baselines_of_any_kind_are_taken_as_they_read(values):
    plain = contributions(Net(), images(), baseline=VALUES[0])
    found = contributions(Net(), images(), baseline=np.asarray(values)[0])
    np.testing.assert_allclose(found, plain, atol=1e-6)


@pytest.mark.parametrize("kind", [np.complex64, object, "U3", "M8[ns]", "m8[s]"])
def test_what_is_no_number_is_refused(kind):
    module = Net()
    with pytest.raises(NeurocodecError, match="real numbers"):
        contributions(module, images(VALUES.astype(int).astype(kind)))
    assert not module.passes


@dataclasses.dataclass
class Answer:
    logits: torch.Tensor
    loss: object = None


Pair = namedtuple("Pair", "loss logits")


@dataclasses.dataclass
class ModelOutput(OrderedDict):
    """As those of Hugging Face: a dataclass that is a dict of what there is, too."""

    loss: object = None
    logits: object = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                super().__setitem__(field.name, value)

    def __getitem__(self, key):
        return dict(self.items())[key] if isinstance(key, str) else [*self.values()][key]


class Bag:
    def __init__(self, logits):
        self.logits = logits


RIGHT = {
    "dataclass": (Answer, "logits"),
    "dataclass by place": (Answer, 0),
    "named tuple": (lambda x: Pair(None, x), "logits"),
    "named tuple by place": (lambda x: Pair(None, x), 1),
    "named tuple from the end": (lambda x: Pair(None, x), -1),
    "model output": (lambda x: ModelOutput(logits=x), "logits"),
    "model output by place": (lambda x: ModelOutput(logits=x), 0),
    "object": (Bag, "logits"),
    "list": (lambda x: [x], 0),
    "numpy's place": (lambda x: (x,), np.int64(0)),
    "torch's place": (lambda x: (x,), torch.tensor(0)),
    "dict": (lambda x: {"a": x}, "a"),
    "numbers as keys": (lambda x: {7: x}, 7),
}


@pytest.mark.parametrize(("function", "select"), RIGHT.values(), ids=RIGHT)
def test_answers_are_taken_out_of_what_a_network_returns(function, select, expected):
    found = contributions(Net(function), images(), select=select)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_number_a_sample_is_one_output():
    for function in (lambda x: x[:, 1], lambda x: x[:, 1:].squeeze()):
        found = nc.respond(nc.Network(Net(function), []), images(), batch_size=2)
        whole = nc.respond(nc.Network(Net(), []), images())
        np.testing.assert_allclose(found, whole[:, 1:], rtol=1e-6)


WRONG = {
    "dataclass": (Answer, None),
    "wrong name": (Answer, "logit"),
    "wrong place": (lambda x: (x,), 3),
    "name of a tuple": (lambda x: (x,), "0"),
    "item of a tensor": (lambda x: x, 0),
    "name of a tensor": (lambda x: x, "logits"),
    "half a place": (lambda x: (x,), 0.5),
    "true": (lambda x: (x,), True),
    "nested": (lambda x: ((x,),), 0),
    "none": (lambda _: None, None),
    "array": (lambda x: x.detach().numpy(), None),
    "truth": (lambda x: x > 0, None),
    "complex": (lambda x: x + 1j, None),
    "sparse": (lambda x: x.to_sparse(), None),
    "no output": (lambda x: x[:, :0], None),
    "three axes": (lambda x: x[:, :, None], None),
    "a number": (lambda x: x.sum(), None),
    "mean over samples": (lambda x: x.mean(0), None),
    "squeezed": (lambda x: x.squeeze(), None),
    "transposed": (lambda x: x.T, None),
    "whole number": (lambda x: x.argmax(1, keepdim=True).expand(-1, 2), None),
    "NaN": (lambda x: x * torch.nan, None),
}


@pytest.mark.parametrize(("function", "select"), WRONG.values(), ids=WRONG)
def test_other_answers_are_refused_before_the_passes(function, select):
    module = Net(function)
    with pytest.raises(NeurocodecError):
        contributions(module, images(np.repeat(VALUES, 40, 0)), select=select)
    assert module.passes < 60


ERRORS = (ValueError, IndexError, AssertionError, KeyError, TypeError, AttributeError, OSError)


@pytest.mark.parametrize("kind", [*ERRORS, ZeroDivisionError, StopIteration, RuntimeError])
def test_what_a_network_raises_is_told_with_its_cause(kind):
    def boom(_):
        raise kind("boom")

    with pytest.raises(InputError, match=r"(?s)the network refuses: .*boom") as found:
        nc.respond(nc.Network(Net(boom), []), images())
    assert type(found.value.__cause__) is kind


def test_what_is_raised_with_gradients_alone_is_told_as_well():
    with pytest.raises(InputError, match="requires grad"):
        contributions(Net(lambda x: x + torch.from_numpy(x.numpy())), images())


def test_too_little_memory_is_told():
    def short(_):
        raise torch.OutOfMemoryError("no more")

    with pytest.raises(InputError, match="do not fit into memory"):
        nc.respond(nc.Network(Net(short), []), images())


class Extra(Net):
    """A module that keeps something besides tensors."""

    def __init__(self, extra):
        super().__init__()
        self.extra = extra

    def get_extra_state(self):
        return self.extra


@pytest.mark.parametrize("extra", [{"a": 1}, {"a": [torch.ones(1), None]}, b"x", None, 3.0])
def test_a_network_with_extra_state_is_identified(extra, expected):
    np.testing.assert_allclose(contributions(Extra(extra), images()), expected, atol=1e-6)
    assert nc.Network(Extra(extra), []).weights_sha256 != nc.Network(Net(), []).weights_sha256


BUFFERS = {
    "bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "float8": torch.ones(3).to(torch.float8_e4m3fn),
    "sparse": torch.eye(3).to_sparse(),
    "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
    "negative": torch._neg_view(torch.ones(2)),
    "one number": torch.tensor(3),
    "none at all": torch.ones(0),
    "expanded": torch.ones(1).expand(5),
}


@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
def test_a_network_with_a_buffer_of_any_type_is_identified(buffer, expected):
    module, other = Net(), Net()
    module.register_buffer("kept", buffer)
    other.register_buffer("kept", torch.zeros_like(buffer))
    np.testing.assert_allclose(contributions(module, images()), expected, atol=1e-6)
    if buffer.numel():
        assert nc.Network(module, []).weights_sha256 != nc.Network(other, []).weights_sha256


MODULES = {
    "meta": (lambda: copy.deepcopy(Net()).to("meta"), "on device meta"),
    "partly meta": (lambda: nn.Sequential(Net(), nn.Linear(2, 2, device="meta")), "meta"),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(2, 2), nn.Flatten()), "not made yet"),
    "function": (lambda: torch.relu, "expected: a torch.nn.Module"),
    "class": (lambda: Net, "expected: a torch.nn.Module"),
    "bfloat16": (lambda: Net().bfloat16(), "a network of torch.bfloat16"),
    "half": (lambda: Net().half(), "a network of torch.float16"),
    "two types": (lambda: nn.Sequential(Net(), nn.Linear(2, 2).double()), "the network refuses"),
    "own statistics": (lambda: nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)), "over"),
}


@pytest.mark.parametrize(("make", "message"), MODULES.values(), ids=MODULES)
def test_modules_that_cannot_be_computed_with_are_refused(make, message):
    with pytest.raises(NeurocodecError, match=message):
        nc.respond(nc.Network(make(), []), images())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_layers_in_torchscript_are_refused_and_named():
    parts = OrderedDict(conv=nn.Conv2d(1, 2, 2), flat=nn.Flatten())
    module = nn.Sequential(torch.jit.script(nn.Sequential(parts)), nn.Linear(8, 2))
    with pytest.raises(NeurocodecError, match="in TorchScript"):
        nc.contributions(nc.Network(module, ["0.conv"]), images(), target=TARGET)
    with pytest.raises(NeurocodecError, match="in TorchScript"):
        perturbed(nc.Network(module, ["1"]), "ablate", "1", [0])


WHOLE = [int, np.int64, np.uint8, torch.tensor, np.array]


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers_are_those_of_numpy_and_torch_as_well(kind, expected):
    layer = nc.Layer("conv", occurrence=kind(0))
    shape = [kind(n) for n in VALUES.shape[1:]]
    net = nc.Network(Net(), {"conv": layer}, input_shape=shape)
    assert type(net.layers["conv"].occurrence) is int
    assert net.input_shape == VALUES.shape[1:]
    tree = nc.contributions(
        net,
        images(),
        target=nc.targets.Output(kind(1)),
        method=nc.methods.IntegratedGradients(steps=kind(2), max_steps=kind(4)),
        batch_size=kind(2),
        workers=kind(0),
        progress=False,
    )
    np.testing.assert_allclose(tree["conv"].contribution.values, expected, atol=1e-6)
    assert type(nc.SparseModes(seed=kind(0), epochs=kind(2)).config.seed) is int


@pytest.mark.parametrize("value", [1.0, "1", True, torch.tensor(1.0), torch.tensor(True), [1]])
def test_what_is_no_whole_number_is_refused(value):
    for make in (
        lambda: nc.Layer("conv", token=value),
        lambda: nc.Layer("conv", heads=value),
        lambda: nc.Network(Net(), [], history=value),
        lambda: nc.targets.TopK(value),
        lambda: nc.methods.SmoothGrad(seed=value),
    ):
        with pytest.raises(InputError, match="a whole number"):
            make()
