"""Copies of modules of many kinds: the same answer, and nothing in them leads to the original."""

import functools
import threading
import weakref

import pytest
import torch
from networks import convolutional, linear, seeded
from torch import nn

from neurocodec.nn.capture.borrowing import copied
from neurocodec.nn.capture.twins import twin

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def closed_over():
    module = convolutional()
    inner = module[3].forward
    module[3].forward = lambda x: inner(x) * 2
    whole = module.forward

    def forward(x, whole=whole):
        return whole(x) + 1

    module.forward = forward
    return module


def partial():
    module = convolutional()

    def forward(part, x):
        return nn.Conv2d.forward(part, x) * 3

    module[0].forward = functools.partial(forward, module[0])
    return module


def graph():
    module = torch.fx.symbolic_trace(convolutional())
    module.register_forward_hook(lambda _module, _args, output: output + 5)
    return module


def normed():
    module = convolutional()
    nn.utils.parametrizations.weight_norm(module[0])
    nn.utils.parametrizations.spectral_norm(module[3])
    return module.eval()


def script():
    return torch.jit.trace(convolutional(), X[:1])


def compiled():
    return torch.compile(convolutional(), backend="eager")


class Odd(nn.Module):
    """Keeps what cannot be copied, parts outside of its register, and ways back to itself."""

    def __init__(self):
        super().__init__()
        self.first = seeded(lambda: nn.Conv2d(3, 4, 3))
        self.lock, self.file = threading.Lock(), (i for i in range(3))
        self.made = self.first.weight * 2  # in the middle of a graph
        self.steps = [self.first, torch.relu, self.last]
        self.table = {"parent": weakref.ref(self), "again": (self.first, self)}
        self.hidden = [seeded(lambda: nn.Conv2d(4, 2, 1))]

    def last(self, x):
        return self.table["parent"]().hidden[0](x) + self.made.mean()

    def forward(self, x):
        with self.lock:
            for step in self.steps:
                x = step(x)
        return x


KINDS = (convolutional, closed_over, partial, graph, normed, script, compiled, Odd)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_answers_as_the_module_does_and_does_not_run_it(kind):
    module = kind().eval()
    with torch.no_grad():
        expected = module(X).clone()
    own = copied(module)
    ran = []
    for part in module.modules():
        if not isinstance(part, torch.jit.ScriptModule):
            part.register_forward_hook(lambda *_: ran.append(1))
    torch.testing.assert_close(own(X), expected, rtol=1e-6, atol=1e-6)
    assert not ran
    assert not any(p.requires_grad for p in own.parameters())
    assert [n for n, _ in own.named_modules()] == [n for n, _ in module.named_modules()]
    assert not {*own.modules()} & {*module.modules()}


def test_hooks_on_a_copy_are_not_on_the_module_and_those_of_the_module_run():
    module, seen = linear([[1.0]]), []
    module.register_forward_hook(lambda *_: seen.append("its own"))
    own = copied(module)
    own.register_forward_hook(lambda *_: seen.append("of the copy"))
    own(torch.ones(1, 1))
    module(torch.ones(1, 1))
    assert seen == ["its own", "of the copy", "its own"]


def test_tied_weights_stay_tied_and_buffers_are_copied():
    module = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2), "n": nn.BatchNorm1d(2)})
    module["b"].weight = module["a"].weight
    own = copied(module)
    assert own["a"].weight is own["b"].weight
    assert own["a"].weight is not module["a"].weight
    own["n"].running_mean.add_(1)
    assert module["n"].running_mean.tolist() == [0, 0]


def test_a_twin_shares_all_numbers():
    module = nn.BatchNorm1d(2)
    module.plain = torch.ones(3)
    own = twin(module)
    assert own is not module
    assert own.weight is module.weight
    assert own.running_mean is module.running_mean
    assert own.plain is module.plain
