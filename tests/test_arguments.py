"""Checks of plain arguments: what is taken, as which type, and what the refusals say."""

import numpy as np
import pytest
import torch

from neurocodec import arguments
from neurocodec.errors import InputError, UnknownNameError


@pytest.mark.parametrize("value", [1, np.int64(1), np.uint8(1)])
def test_whole_numbers_of_python_and_numpy_become_pythons(value):
    assert type(arguments.whole("draws", value)) is int


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, np.float32(2), np.nan])
def test_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(InputError, match="draws=") as found:
        arguments.whole("draws", value, hint="draws=20")
    assert "whole number, at least 1" in str(found.value)
    assert "draws=20" in str(found.value)


def test_none_leaves_the_choice():
    assert arguments.batch_size(None) is None
    assert arguments.workers(None) is None
    assert arguments.workers(0) == 0
    with pytest.raises(InputError, match="batch_size=0"):
        arguments.batch_size(0)
    with pytest.raises(InputError, match="workers=-1"):
        arguments.workers(-1)


@pytest.mark.parametrize("value", [0, 1, np.nan, np.inf, True, "0.5", None])
def test_confidences_are_inside_of_0_and_1(value):
    with pytest.raises(InputError, match="confidence="):
        arguments.interval(100, value)


def test_intervals():
    assert arguments.interval(np.int32(0), np.float32(0.5)) == (0, 0.5)
    with pytest.raises(InputError, match="bootstrap=0"):
        arguments.interval(0, 0.95, least=1)


@pytest.mark.parametrize("value", [0, -0.1, 1.01, np.nan, True, None])
def test_cosines(value):
    with pytest.raises(InputError, match="cosine="):
        arguments.cosine(value)
    assert arguments.cosine(1) == 1.0


def test_bytes():
    assert arguments.size_in_bytes("memory", 2e9) == 2_000_000_000
    assert arguments.size_in_bytes("memory", 2**62 + 1) == 2**62 + 1  # not by way of a float
    for wrong in (0, 1.5, -1, np.inf, np.nan, True, "1 GB", 10**400):
        with pytest.raises(InputError, match="memory="):
            arguments.size_in_bytes("memory", wrong)


def test_names_offer_near_ones():
    assert arguments.one_of("sign", "net", ("both", "net")) == "net"
    with pytest.raises(UnknownNameError, match="'both'"):
        arguments.one_of("sign", "bath", ("both", "net"))


@pytest.mark.parametrize("value", [0, -5.0, np.nan, np.inf, "100", True])
def test_frame_rates(value):
    with pytest.raises(InputError, match="frames per second, above 0"):
        arguments.frame_rate(value)
    assert arguments.frame_rate(np.int64(100)) == 100.0


@pytest.mark.parametrize("make", [int, np.uint8, np.array, torch.tensor])
def test_whole_numbers_are_python_s_numpy_s_and_torch_s(make):
    assert arguments.whole("n", make(3)) == 3
    assert type(arguments.whole("n", make(3))) is int
    assert arguments.number("x", make(3), "a number") == 3.0


@pytest.mark.parametrize("value", [np.array([3]), torch.tensor([3]), torch.tensor(True), 3.0, "3"])
def test_what_holds_a_whole_number_is_none(value):
    with pytest.raises(InputError, match="n="):
        arguments.whole("n", value)
