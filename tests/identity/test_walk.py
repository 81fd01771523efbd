"""What a run is told by: every tensor, number and piece of code; not where they lie."""

from __future__ import annotations

import array
import collections
import contextvars
import dataclasses
import functools
import logging
import subprocess
import sys
import threading
import types
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from places import importable
from torch import nn

from neurocodec.identity.marks import Identity
from neurocodec.identity.state import State
from neurocodec.identity.walk import Walk, digest

GAIN = 2.0


def marks_of(module: nn.Module) -> dict[str, str]:
    return State.of(module.eval()).marks


class Plain(nn.Module):
    """Reads everything that a module can hold besides its parameters."""

    steepness = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.gain = 2.0
        self.offset = torch.zeros(2)
        self.nested = {"a": [torch.zeros(2), np.zeros(3)], "b": (1, "text")}
        self.register_buffer("hidden", torch.zeros(2), persistent=False)
        self.act = torch.relu
        self.settings = types.SimpleNamespace(power=2)
        self.free = [nn.Linear(2, 2)]
        self.function = functools.partial(torch.clamp, max=1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.linear(x)) * self.gain + self.offset


class Other(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.linear(x)) * self.gain - self.offset


def changed(name: str, module: Plain) -> None:  # noqa: PLR0912
    match name:
        case "number":
            module.gain = 2.0000001
        case "tensor":
            module.offset[1] = 1e-9
        case "nested tensor":
            module.nested["a"][0][0] = 1
        case "nested array":
            module.nested["a"][1][2] = 1
        case "nested text":
            module.nested["b"] = (1, "texts")
        case "buffer":
            module.hidden[0] = 1
        case "function":
            module.act = torch.tanh
        case "object":
            module.settings.power = 3
        case "module in a list":
            module.free[0].weight.data[0, 0] += 1
        case "keyword":
            module.function = functools.partial(torch.clamp, max=2.0)
        case "setting of torch's":
            module.linear.in_features = 4
        case "new attribute":
            module.more = 1
        case "class":
            module.__class__ = type("Plain", (Plain,), {"steepness": 2.0})
        case "hook":
            module.linear.register_forward_hook(lambda _m, _a, out: out * 2)
        case "forward":
            module.forward = types.MethodType(lambda self, x: self.linear(x) * 3, module)


CHANGES = [
    *("number", "tensor", "nested tensor", "nested array", "nested text", "buffer", "function"),
    *("object", "module in a list", "keyword", "setting of torch's", "new attribute", "class"),
    *("hook", "forward"),
]


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_in_a_module_changes_its_marks(name: str) -> None:
    torch.manual_seed(0)
    module = Plain()
    before = marks_of(module)
    assert marks_of(module) == before
    changed(name, module)
    assert marks_of(module) != before


def test_code_of_forward_is_told_apart() -> None:
    marks = [State.of(kind()).walk.code for kind in (Plain, Other)]
    assert marks[0]["Plain.forward"] == marks[1]["Plain.forward"]
    assert "Other.forward" in marks[1]


def hook_of(gain: float) -> Callable[..., torch.Tensor]:
    return lambda _module, _args, output: output * gain


def test_a_hook_is_told_by_its_closure_and_its_code() -> None:
    def marked(hook: object) -> tuple[dict[str, str], dict[str, str]]:
        module = nn.Linear(1, 1)
        module.register_forward_hook(hook)
        walk = State.of(module).walk
        return walk.data, walk.code

    one, same, other = (marked(hook_of(x)) for x in (1.0, 1.0, 2.0))
    assert one == same
    assert one[0] != other[0]
    assert one[1] == other[1]
    first = marked(lambda _m, _a, out: out * 2)[1]
    second = marked(lambda _m, _a, out: out * 3)[1]
    assert first != second


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * GAIN


def test_globals_that_code_reads_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(scaled)
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    assert digest(scaled) != before


@dataclasses.dataclass(frozen=True)
class Holder:
    tensor: torch.Tensor


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.ones(5000), torch.cat([torch.ones(2500), torch.zeros(1), torch.ones(2499)])),
        (torch.tensor(0.123456789), torch.tensor(0.12345679 + 1e-7)),
        (torch.ones(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.bfloat16)),
        (torch.eye(2).to_sparse(), torch.ones(2, 2).to_sparse()),
        (torch.ones(2), torch.ones(2, dtype=torch.float64)),
        (torch.ones(2), torch.ones(1, 2)),
    ],
    ids=["large", "digits", "bfloat16", "sparse", "type", "shape"],
)
def test_tensors_are_told_by_their_bytes(one: torch.Tensor, other: torch.Tensor) -> None:
    assert digest(Holder(one)) == digest(Holder(one.clone()))
    assert digest(Holder(one)) != digest(Holder(other))


def test_a_view_of_a_tensor_is_that_tensor() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    assert digest(values.T) == digest(values.T.contiguous())
    assert digest(values.T) != digest(values)


class Counting(nn.Module):
    """Counts its calls, keeps what it has seen, and makes a table when it is first needed."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.calls = 0
        self.cache: dict[tuple[int, ...], torch.Tensor] = {}
        self.table: torch.Tensor | None = None
        self.gain = 1.0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += 1
        if self.table is None:
            self.table = torch.ones(2)
        self.cache.setdefault(tuple(x.shape), torch.ones(2))
        self.last = x
        return self.linear(x) * self.gain * self.table


def identity_of(module: Counting, size: int) -> Identity:
    before = State.of(module)
    module(torch.zeros(size, 3))
    state = before.after(module)
    return Identity(state.marks, state.walk.code, state.changed)


def test_what_a_pass_changes_is_no_part_of_a_module() -> None:
    torch.manual_seed(0)
    module = Counting()
    cold = identity_of(module, 2)
    module(torch.zeros(7, 3))
    warm = identity_of(module, 2)
    assert not warm.differences(cold)
    assert not cold.differences(warm)
    module.gain = 1.5
    assert identity_of(module, 2).differences(cold) == ["network.gain is other than it was"]


def everything() -> str:
    """Digest of a module with all that differs between processes."""
    torch.manual_seed(0)
    module = Plain()
    module.register_forward_hook(hook_of(2.0))
    module.log, module.lock, module.words = logging.getLogger("x"), threading.Lock(), {*"abcdefgh"}
    module.itself, module.text, module.bound = [module], repr(object()), module.forward
    state = State.of(module)
    return digest([state.marks, state.walk.code])


def test_marks_are_the_same_in_every_process() -> None:
    code = "import sys, test_walk; sys.stdout.write(test_walk.everything())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**importable(Path(__file__).parent), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == everything()


def test_locks_threads_and_circles_are_no_obstacle() -> None:
    circle: list[object] = [threading.Lock(), threading.current_thread(), sys.stderr]
    circle.append(circle)
    assert digest(circle) == digest(circle)


def test_a_long_list_is_one_mark() -> None:
    walk = Walk()
    walk.visit("list", [np.zeros(1)] * 1000)
    assert len(walk.data) == 2


SETTINGS = types.ModuleType("settings_of_a_user")
SETTINGS.CAP, SETTINGS.inner = 1.0, types.ModuleType("inner_settings_of_a_user")
SETTINGS.inner.CAP = 1.0
POWER = {"of": 1.0}
CONTEXT = contextvars.ContextVar("gain", default=1.0)


def capped(limit: dict[str, float]) -> Callable[..., Callable[..., torch.Tensor]]:
    def decorate(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @functools.wraps(function)
        def inner(*args: torch.Tensor) -> torch.Tensor:
            return function(*args).clamp(max=limit["of"])

        return inner

    return decorate


LIMIT = {"of": 1.0}


class Encoder(nn.Module):
    """Whose own forward is not what runs."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x * POWER["of"] + CONTEXT.get()

    def __getitem__(self, x: torch.Tensor) -> torch.Tensor:
        return x * SETTINGS.inner.CAP

    def act_soft(self, x: torch.Tensor) -> torch.Tensor:
        return x * SETTINGS.CAP


class Reaching(nn.Module):
    """Reads what its class, its parts and modules of the user have."""

    config = types.SimpleNamespace(gain=1.0)
    clamp = staticmethod(functools.partial(torch.clamp, max=1.0))

    def __init__(self) -> None:
        super().__init__()
        self.part = Encoder()
        self.numbers = array.array("d", [1.0])
        self.listed = collections.UserList([1.0])
        self.bytes = memoryview(bytearray(b"ab"))
        self.there = weakref.ref(self.part)
        self.two = [lambda x: x + 1, lambda x: x * 2]

    @capped(LIMIT)
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(self.part, "act_" + "soft")(self.part.encode(self.clamp(x)))


def _swap(module: Reaching) -> None:
    module.two.reverse()


REACHED: dict[str, Callable[[Reaching, pytest.MonkeyPatch], object]] = {
    "a global that a part's method reads": lambda _, p: p.setitem(POWER, "of", 2.0),
    "code of a part's method": lambda _, p: p.setattr(Encoder, "encode", lambda _, x: x * 3),
    "a module's setting, by a name made up": lambda _, p: p.setattr(SETTINGS, "CAP", 2.0),
    "a setting two modules deep": lambda _, p: p.setattr(SETTINGS.inner, "CAP", 2.0),
    "a decorator's closure": lambda _, p: p.setitem(LIMIT, "of", 2.0),
    "an object of the class": lambda _, p: p.setattr(Reaching.config, "gain", 2.0),
    "a partial of the class": lambda _, p: p.setattr(
        Reaching, "clamp", staticmethod(functools.partial(torch.clamp, max=2.0))
    ),
    "an array of Python": lambda m, _: m.numbers.append(2.0),
    "a list of a user's": lambda m, _: m.listed.append(2.0),
    "bytes": lambda m, _: m.bytes.__setitem__(0, 7),
    "what a weak reference leads to": lambda m, _: setattr(m, "there", weakref.ref(m.listed)),
    "a context": lambda _, __: CONTEXT.set(2.0),
    "two lambdas": lambda m, _: _swap(m),
}


@pytest.mark.parametrize("change", REACHED.values(), ids=REACHED)
def test_what_is_reached_in_a_roundabout_way_counts(
    change: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (SETTINGS, SETTINGS.inner):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def told() -> tuple[dict[str, str], dict[str, str]]:
        walk = State.of(module).walk
        return walk.data, walk.code

    module = Reaching()
    before = told()
    assert told() == before
    change(module, monkeypatch)
    after = told()
    CONTEXT.set(1.0)
    assert after != before


def test_what_a_pass_adds_to_is_compared_in_what_was_there_before() -> None:
    one = {"net.settings": "[cap]", "net.settings[cap]": "1", "net.gain": "2"}
    passed = one | {"net.settings": "[cap, table]", "net.settings[table]": "3"}
    changed = ("net.settings", "net.settings[table]")
    first, again = (Identity(data, {}, changed) for data in (one, passed))
    assert not first.differences(again)
    assert not again.differences(first)
    other = Identity({**passed, "net.settings[cap]": "7"}, {}, changed)
    assert other.differences(first) == ["net.settings[cap] is other than it was"]
