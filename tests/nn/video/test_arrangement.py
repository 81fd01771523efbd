"""Words for the axes of a network, and what they do to its input and output."""

import pytest
import torch

from neurocodec.errors import CaptureError, InputError, UnknownNameError
from neurocodec.nn.video.arrangement import Arrangement


@pytest.mark.parametrize("axes", ["(sample, color, time, y, x)", "sample color time y x"])
def test_windows_are_put_in_the_order_of_the_words(axes):
    windows = torch.randn(2, 5, 3, 4, 6)  # sample, time, color, y, x
    put = Arrangement.of(axes, "(sample, time, cell)").put(windows)
    assert torch.equal(put, windows.permute(0, 2, 1, 3, 4))


def test_movies_without_colour_have_one():
    windows = torch.randn(2, 5, 4, 6)
    put = Arrangement.of("(sample, time, color, x, y)", "(sample, cell)").put(windows)
    assert torch.equal(put, windows.permute(0, 1, 3, 2)[:, :, None])


def test_one_number_a_frame_is_asked_for_by_words_without_space():
    axes = Arrangement.of("(sample, time)", "(sample, cell)")
    assert axes.put(torch.ones(2, 5, 1, 1)).shape == (2, 5)
    with pytest.raises(CaptureError, match="one number a frame|without colour"):
        axes.put(torch.ones(2, 5, 3, 3))


def test_answers_are_taken_out_of_any_order():
    returned = torch.randn(4, 2, 7)
    axes = Arrangement.of("(sample, time, y, x)", "(time, sample, cell)")
    assert torch.equal(axes.steps(returned, 2), returned.permute(1, 0, 2))
    alone = Arrangement.of("(sample, time, y, x)", "(cell, sample)")
    assert torch.equal(alone.steps(returned[0], 7), returned[0].T[:, None])
    with pytest.raises(CaptureError, match="for 3 samples"):
        axes.steps(returned, 3)
    with pytest.raises(CaptureError, match="a tensor with the axes"):
        alone.steps(returned, 7)


@pytest.mark.parametrize(
    ("given", "returned", "said"),
    [
        ("(sample, colour, time, y, x)", "(sample, time, cell)", "color"),
        ("(color, time, y, x)", "(sample, time, cell)", "an axis 'sample'"),
        ("(sample, color, y, x)", "(sample, time, cell)", "an axis 'time'"),
        ("(sample, time, y, y)", "(sample, time, cell)", "every axis once"),
        ("(sample, time, y)", "(sample, time, cell)", "both of y and x"),
        ("(sample, time, y, x)", "(sample, time)", "one axis of cells"),
        ("(sample, time, y, x)", "(sample, cell, category)", "one axis of cells"),
        ("(sample, time, y, x)", "(time, cell)", "an axis 'sample'"),
        (("sample", "time"), "(sample, cell)", "in one text"),
    ],
)
def test_words_that_leave_something_open_are_refused(given, returned, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")) as error:
        Arrangement.of(given, returned)
    assert isinstance(error.value, UnknownNameError) or "input=" in str(error.value)
