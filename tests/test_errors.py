"""Every error says what came, what was expected and what to type."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocodec.errors import (
    CaptureError,
    InputError,
    NeurocodecError,
    NeurocodecWarning,
    StorageError,
    UnknownNameError,
    collected,
    unknown_name,
    warn,
)

KINDS = (NeurocodecError, InputError, CaptureError, StorageError, UnknownNameError)
LAYERS = ["layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "fc"]


def test_message_has_three_lines() -> None:
    error = InputError(came="3 cells", expected="4 cells", hint="rates[:4]")
    assert str(error) == "3 cells\n  expected: 4 cells\n  try: rates[:4]"
    assert (error.came, error.expected, error.hint) == ("3 cells", "4 cells", "rates[:4]")


def test_empty_parts_are_left_out() -> None:
    assert str(InputError(came="3 cells")) == "3 cells"
    assert str(InputError(came="3 cells", hint="none")) == "3 cells\n  try: none"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_another_process(kind: type[NeurocodecError]) -> None:
    error = kind(came="a", expected="b", hint="c")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.hint == "c"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (InputError, ValueError),
        (CaptureError, RuntimeError),
        (StorageError, OSError),
        (UnknownNameError, LookupError),
        (UnknownNameError, InputError),
    ],
)
def test_errors_are_caught_as_python_does(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, NeurocodecError)


def test_near_names_come_first() -> None:
    error = unknown_name("layer", "layer1.0.conv3", LAYERS)
    assert error.came == "there is no layer 'layer1.0.conv3'"
    assert "(4 in all)" in error.expected
    assert "fc" not in error.expected
    assert error.hint in {"'layer1.0.conv1'", "'layer1.0.conv2'"}


def test_all_names_are_listed_where_none_is_near() -> None:
    error = unknown_name("layer", "qqq", LAYERS)
    assert error.expected == "one of " + ", ".join(map(repr, LAYERS))
    assert error.hint == ""


def test_long_lists_are_cut() -> None:
    error = unknown_name("cell", "zzz", range(1000))
    assert error.expected.endswith("(1000 in all)")
    assert len(error.expected) < 100


def test_no_name_exists() -> None:
    assert unknown_name("mode", 3, []).expected == "no mode exists"


@given(st.text(), st.lists(st.text() | st.integers(), max_size=20))
def test_any_name_makes_a_message(name: str, known: list[str | int]) -> None:
    assert repr(name) in str(unknown_name("cell", name, known))


def test_warnings_are_collected_for_one_thread_and_given_in_all_others() -> None:
    told: list[str] = []

    def other() -> None:
        with pytest.warns(NeurocodecWarning, match="of another"):
            warn("of another")
        told.append("other")

    with collected() as found:
        warn("few rows")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert (found, told) == (["few rows"], ["other"])
    with pytest.warns(NeurocodecWarning, match="again"):
        warn("again")
