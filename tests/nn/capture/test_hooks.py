import pytest
import torch
from module_state import assert_same, state
from networks import convolutional, two_layers
from torch import nn

from neurocodec.errors import CaptureError, UnknownNameError
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import trace


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu, self.idle = nn.ReLU(), nn.Linear(2, 2)

    def forward(self, x):
        return self.relu(self.relu(x) - 1)


class Structured(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair, self.named = _Pair(), _Named()

    def forward(self, x):
        return {"answer": self.pair(x)[0] + self.named(x)["a"], "other": x}


class _Pair(nn.Module):
    def forward(self, x):
        return x * 2, x * 3


class _Named(nn.Module):
    def forward(self, x):
        return {"a": x * 5}


def test_module_is_given_back_as_it_was_even_after_an_exception():
    module = convolutional().train()
    module[0].weight.requires_grad_(False)
    module[3].eval()
    before = state(module)

    def fail():
        with Capture(module, {"a": Layer("0")}).attached() as capture:
            capture.run(torch.randn(2, 3, 8, 8, generator=torch.Generator()))
            raise ZeroDivisionError(torch.rand(3))

    with pytest.raises(ZeroDivisionError):
        fail()
    assert_same(before, state(module))


def test_in_place_relu_does_not_change_what_is_captured():
    module = convolutional()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module[1](module[0](x)).clone()
    assert (expected < 0).any()
    with Capture(module, {"norm": Layer("1")}).attached() as capture:
        done = capture.run(x)
    assert torch.equal(done.hidden["norm"], expected)
    assert capture.protected == {"norm"}


def test_gradient_passes_through_a_protected_layer():
    module = convolutional()
    with Capture(module, {"norm": Layer("1")}).attached() as capture:
        with torch.no_grad():
            capture.run(torch.ones(1, 3, 8, 8))
        done = capture.run(torch.ones(1, 3, 8, 8))
        (gradient,) = torch.autograd.grad(done.outputs.sum(), done.hidden["norm"])
    assert done.hidden["norm"].is_leaf
    assert gradient.abs().sum() > 0


def test_unknown_layer_lists_near_names():
    with (
        pytest.raises(UnknownNameError, match="'relu'"),
        Capture(Reused(), {"a": Layer("rellu")}).attached(),
    ):
        pass


def test_layer_that_never_runs_is_refused_with_names_that_do():
    with (
        Capture(Reused(), {"a": Layer("idle")}).attached() as capture,
        pytest.raises(CaptureError, match="does not run.*\n.*'relu'"),
    ):
        trace(capture, torch.ones(2, 2))


def test_module_called_twice_asks_for_the_occurrence():
    module = Reused()
    with (
        Capture(module, {"a": Layer("relu")}).attached() as capture,
        pytest.raises(CaptureError, match="more than once(.|\n)*occurrence=0"),
    ):
        trace(capture, torch.ones(2, 2))
    layers = {"a": Layer("relu", occurrence=0), "b": Layer("relu", occurrence=1)}
    with Capture(module, layers).attached() as capture:
        hidden = capture.run(torch.full((1, 1), 3.0)).hidden
    assert (hidden["a"].item(), hidden["b"].item()) == (3.0, 2.0)
    with (
        Capture(module, {"a": Layer("relu", occurrence=2)}).attached() as capture,
        pytest.raises(CaptureError, match="from 0 to 1"),
    ):
        trace(capture, torch.ones(2, 2))


def test_items_of_tuples_and_dicts_and_inputs_are_captured():
    layers = {
        "second": Layer("pair", item=0),
        "a": Layer("named", item="a"),
        "input": Layer("named", at="input"),
    }
    with Capture(Structured(), layers, select="answer").attached() as capture:
        done = capture.run(torch.ones(1, 1))
        grads = torch.autograd.grad(done.outputs.sum(), [done.hidden[k] for k in layers])
    assert [h.item() for h in done.hidden.values()] == [2.0, 1.0, 5.0]
    # the named module's own input: what stands beside it, and takes the same, is no part of it
    assert [g.item() for g in grads] == [1.0, 1.0, 5.0]


def test_tuple_without_item_says_how_to_choose():
    with (
        Capture(Structured(), {"a": Layer("pair")}, select="answer").attached() as capture,
        pytest.raises(CaptureError, match="a tuple of 2(.|\n)*item=0"),
    ):
        capture.run(torch.ones(1, 1))


def test_dict_answer_says_how_to_select():
    with (
        Capture(Structured(), {}).attached() as capture,
        pytest.raises(CaptureError, match=r"keys \['answer', 'other'\](.|\n)*select='answer'"),
    ):
        capture.run(torch.ones(1, 1))
    with (
        Capture(Structured(), {}, select="anser").attached() as capture,
        pytest.raises(UnknownNameError, match="'answer'"),
    ):
        capture.run(torch.ones(1, 1))


def test_samples_that_depend_on_each_other_are_refused():
    class Centred(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    module = nn.Sequential(nn.Linear(2, 2), Centred())
    with (
        Capture(module, {"a": Layer("0")}).attached() as capture,
        pytest.raises(CaptureError, match="with its neighbours"),
    ):
        trace(capture, torch.tensor([[1.0, 2.0], [3.0, -4.0]]))


def test_user_settings_of_gradients_do_not_matter():
    module = two_layers()
    with (
        torch.inference_mode(),
        Capture(module, {"a": Layer("0")}).attached() as capture,
        torch.enable_grad(),
    ):
        done = capture.run(torch.ones(1, 2))
        assert torch.autograd.grad(done.outputs.sum(), done.hidden["a"])[0].tolist() == [[0, 5]]


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_a_layer_in_torchscript_is_refused() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()
    traced = torch.jit.trace(module, torch.ones(1, 2))
    with (
        pytest.raises(CaptureError, match="'0' in TorchScript"),
        Capture(traced, {"a": Layer("0")}).attached(),
    ):
        pass
    assert not traced.training


def test_hooks_are_there_for_the_length_of_the_block():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    with Capture(module, {"first": Layer("0")}).attached() as capture:
        hidden = capture.run(torch.zeros(4, 2)).hidden
    assert hidden["first"].shape == (4, 3)
    assert not module[0]._forward_hooks


def test_a_trace_has_the_layers_in_the_order_in_which_they_ran():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with Capture(module, {"b": Layer("2"), "a": Layer("1")}).attached() as capture:
        assert trace(capture, torch.zeros(2, 2)).order == ("a", "b")
