"""A borrowed module stays as it is: meanwhile, after errors, in threads, whatever it keeps."""

import random
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import xarray as xr
from module_state import assert_same, state
from networks import convolutional, images, net_contribution, seeded, two_layers, vectors
from torch import nn
from torch.overrides import TorchFunctionMode

import neurocodec as nc
from neurocodec.errors import CaptureError
from neurocodec.nn.capture.borrowing import borrowed


def test_a_borrowed_module_is_a_copy_in_evaluation_mode_and_frozen():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    before = state(module)
    with borrowed(module) as own:
        assert (own.training, own[1].training, own[0].weight.requires_grad) == (False,) * 3
        assert own[0].weight.data_ptr() == module[0].weight.data_ptr()
        assert_same(before, state(module))
    assert_same(before, state(module))


def test_batch_norm_over_the_batch_is_refused():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(CaptureError, match="normalises over the batch"), borrowed(module):
        pass


def test_a_module_without_numbers_is_refused_and_stays_without():
    module = nn.Sequential(nn.LazyLinear(2))
    with pytest.raises(CaptureError, match="LazyLinear '0'"), borrowed(module):
        pass
    assert isinstance(module[0], nn.LazyLinear)


def rows(count=4, columns=3):
    return vectors(np.random.default_rng(0).normal(size=(count, columns)))


class Keeper(nn.Module):
    """Keeps a count, a running sum, a cache and a list, none of which its answer depends on."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("sum", torch.zeros(3))
        self.calls, self.cache, self.seen, self.lock = 0, None, [], threading.Lock()

    def forward(self, x):
        with self.lock:
            self.calls += 1
        self.sum += x.detach().sum(0)
        self.cache = x
        self.seen.append(x.shape)
        return self.linear(x)


def test_what_a_network_keeps_of_its_passes_is_not_kept_of_ours():
    module = Keeper()
    x = rows()
    nc.respond(nc.Network(module, []), x)
    nc.contributions(nc.Network(module, ["linear"]), x, target=nc.targets.Sum(), progress=False)
    assert (module.calls, module.cache, module.seen) == (0, None, [])
    assert module.sum.tolist() == [0, 0, 0]


def test_threads_share_a_module_with_each_other_and_with_its_owner():
    module = convolutional().train()
    module[1].eval()
    net, other = nc.Network(module, ["0", "3"]), nc.Network(module, ["3"])
    stimulus, x = images(5), torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    method = nc.methods.IntegratedGradients(steps=3)
    before, expected = state(module), module(x).detach()

    def ask(which):
        return nc.contributions(
            which, stimulus, target=nc.targets.Sum(), method=method, progress=False
        )

    alone = [net_contribution(ask(which), "3") for which in (net, other)]
    found, wrong, running = [], [], threading.Event()

    def work(which, expected):
        found.extend((net_contribution(ask(which), "3"), expected) for _ in range(2))

    def own():
        while not running.is_set():
            answer = module(x)
            if not torch.equal(answer, expected) or not answer.requires_grad:
                wrong.append(answer)

    pairs = [*zip((net, other), alone, strict=True)]
    owner = threading.Thread(target=own)
    workers = [threading.Thread(target=work, args=a) for a in 2 * pairs]
    for thread in (owner, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    running.set()
    owner.join()
    assert len(found) == 8
    assert not wrong  # what its owner was answered meanwhile
    for got, wanted in found:
        np.testing.assert_array_equal(got, wanted)
    assert_same(before, state(module))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_in_the_middle_of_a_pass_leaves_nothing(error):
    module, calls = two_layers().train(), []

    def hook(_module, _args, _output):
        calls.append(torch.rand(3))
        if len(calls) == 3:
            raise error

    handle = module[1].register_forward_hook(hook)
    before = state(module)
    with pytest.raises((error, nc.errors.InputError)):
        nc.contributions(
            nc.Network(module, ["0"]), rows(4, 2), target=nc.targets.Sum(), progress=False
        )
    assert_same(before, state(module))
    handle.remove()


def test_numbers_made_in_inference_mode_can_be_differentiated():
    with torch.inference_mode():
        module = two_layers()
        stimulus = vectors([[1, 3]])
        tree = nc.contributions(
            nc.Network(module, ["0"]),
            stimulus,
            target=nc.targets.Sum(),
            method=nc.methods.ActGrad(),
            progress=False,
        )
    assert net_contribution(tree, "0").tolist() == [[0, 10]]


@pytest.mark.parametrize("kind", ["random", "numpy", "torch"])
def test_random_states_come_back(kind):
    ways = {
        "random": random.random,
        "numpy": np.random.rand,
        "torch": lambda: float(torch.rand(())),
    }
    draw = ways[kind]

    class Drawing(nn.Module):
        def forward(self, x):
            return x + 0 * draw()

    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    nc.respond(nc.Network(Drawing(), []), rows())
    assert states() == before


def test_a_recurrent_network_keeps_its_numbers():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 2, batch_first=True)

        def forward(self, x):
            return self.rnn(x[:, None])[0][:, -1]

    module = seeded(Last)
    with torch.no_grad():
        expected = module(torch.from_numpy(rows().values))
    found = nc.respond(nc.Network(module, []), rows())
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


@contextmanager
def default(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


class Watching(TorchFunctionMode):
    def __torch_function__(self, function, _types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


SET = {
    "float64": lambda: default(torch.float64),
    "float16": lambda: default(torch.float16),
    "meta": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "function mode": Watching,
    "numpy": lambda: np.errstate(all="raise"),
    "printing": lambda: np.printoptions(precision=1, threshold=2),
}


@pytest.mark.parametrize("name", SET)
def test_numbers_do_not_depend_on_what_a_user_has_set(name):
    net = nc.Network(convolutional(), ["3"])
    method = nc.methods.SmoothGrad(sigma=0.1, samples=2, seed=0)

    def ask():
        tree = nc.contributions(
            net, images(2), target=nc.targets.TopK(), method=method, progress=False
        )
        return nc.respond(net, images(2)), tree["3"].to_dataset()

    plain = ask()
    with SET[name]():
        found = ask()
    for a, b in zip(found, plain, strict=True):
        xr.testing.assert_identical(a, b)
