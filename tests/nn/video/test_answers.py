"""Which output step of a window is its answer, and for which frame."""

import pytest
import torch
from torch import nn
from video import core_readout

from neurocodec.errors import CaptureError, InputError
from neurocodec.nn.video.answers import found


def steps_of(module):
    return lambda x: module(x[:, None]).flatten(2).movedim(1, -1)


def convolution(size, padding=0, stride=1, channels=1):
    torch.manual_seed(0)
    return nn.Conv3d(channels, 3, (size, 1, 1), (stride, 1, 1), (padding, 0, 0))


WINDOW = torch.zeros(1, 12, 1, 1)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (convolution(5), (-1, 0, -4, 0, 8)),  # valid: the last step sees the last 5 frames
        (convolution(5, 2), (-3, -2, -4, 0, 12)),  # two later frames play a part
        (
            nn.Sequential(nn.ConstantPad3d((0, 0, 0, 0, 4, 0), 0.0), convolution(5)),
            (-1, 0, -4, 0, 12),
        ),
        (nn.Sequential(convolution(3), convolution(3, 1, channels=3)), (-2, -1, -4, 0, 10)),
        (convolution(3, stride=3), (-1, 0, -2, 0, 4)),
        (convolution(12), (-1, 0, -11, 0, 1)),
    ],
)
def test_the_answer_is_the_first_step_that_depends_on_the_newest_frame(module, expected):
    answer = found(steps_of(module), WINDOW, None)
    assert (answer.step, answer.frame, answer.first, answer.last, answer.steps) == expected
    assert not answer.told
    assert answer.later == -answer.frame
    assert (f"on {answer.later} frames after its own" in str(answer)) == bool(answer.later)


def test_a_padded_step_answers_as_a_long_movie_does():
    """The step that is found gives, at its frame, what the network gives for the whole movie."""
    module, movie = core_readout(padding=1), torch.randn(1, 2, 30, 6, 6, dtype=torch.float64)
    windows = torch.zeros(1, 9, 2, 6, 6, dtype=torch.float64)
    answer = found(lambda x: module(x.movedim(1, 2)), windows, None)
    whole = module(movie)[0]  # its last step is for the last frame
    for end in (12, 20):
        window = module(movie[:, :, end - 9 : end])[0]
        place = end - 30 + answer.frame - 1
        torch.testing.assert_close(window[answer.step], whole[place], rtol=1e-12, atol=0)
    assert (window[-1] - whole[end - 31]).abs().max() > 1e-3  # what padding does


def test_recurrent_networks_answer_last():
    torch.manual_seed(0)
    gru = nn.GRU(1, 3, batch_first=True)
    answer = found(lambda x: gru(x.flatten(2))[0], WINDOW, None)
    assert (answer.step, answer.frame, answer.first) == (-1, 0, -11)
    both = nn.GRU(1, 3, batch_first=True, bidirectional=True)
    answer = found(lambda x: both(x.flatten(2))[0], WINDOW, None)
    assert (answer.step, answer.last) == (-1, 0)


def test_a_step_that_is_told_is_taken():
    answer = found(steps_of(convolution(5, 2)), WINDOW, -1)
    assert (answer.step, answer.frame, answer.told) == (-1, 0, True)
    with pytest.raises(InputError, match="answer=-13 of 12 output steps"):
        found(steps_of(convolution(5, 2)), WINDOW, -13)


def test_axes_that_are_called_by_each_others_names_are_refused():
    module = convolution(5)
    with pytest.raises(InputError, match="an axis 'cell' of"):
        found(lambda x: steps_of(module)(x).movedim(1, 2), WINDOW, None)


def test_answers_that_depend_on_nothing_are_refused():
    with pytest.raises(CaptureError, match="depends on no frame"):
        found(lambda x: torch.zeros(len(x), 4, 2), WINDOW, None)


def test_light_in_any_unit_is_looked_at():
    """Units that are silent for small numbers, as where the stimulus is standardised first."""
    torch.manual_seed(0)
    module = nn.Sequential(convolution(5), nn.ReLU())
    answer = found(lambda x: steps_of(module)((x - 60) / 20), WINDOW, None)
    assert (answer.step, answer.first, answer.last) == (-1, -4, 0)
    with torch.no_grad():
        module[0].weight.abs_()
        module[0].bias.fill_(1.0)
    answer = found(lambda x: steps_of(module)((x - 60) / 20), WINDOW, None)  # silent at 0
    assert (answer.step, answer.first, answer.last) == (-1, -4, 0)
