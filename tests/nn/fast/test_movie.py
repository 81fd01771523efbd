"""The movie convolution against torch's direct convolution of every window."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurocodec.errors import InputError
from neurocodec.nn.fast.movie import BRIGHT, convolve_movie, is_even, windows


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _direct(frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.nn.functional.conv2d(windows(frames, weight.shape[1]), weight, bias)


def test_windows_are_a_view_with_the_oldest_frame_first():
    frames = torch.arange(5.0).reshape(5, 1, 1).expand(5, 2, 3).contiguous()
    cut = windows(frames, 3)
    assert cut.shape == (3, 3, 2, 3)
    assert cut[1, :, 0, 0].tolist() == [1.0, 2.0, 3.0]
    assert cut.untyped_storage().data_ptr() == frames.untyped_storage().data_ptr()


def test_windows_by_hand():
    frames = torch.arange(4.0).reshape(4, 1, 1)
    assert windows(frames, history=3)[:, :, 0, 0].tolist() == [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]


def test_differences_of_neighbouring_frames():
    frames, weight = torch.arange(3.0).reshape(3, 1, 1), torch.tensor([[[[-1.0]], [[1.0]]]])
    assert convolve_movie(frames, weight).flatten().round().tolist() == [1.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(
    extra=st.integers(0, 23),
    history=st.integers(1, 7),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    block=st.integers(1, 12),
    biased=st.booleans(),
)
def test_equals_the_direct_convolution(*, extra, history, size, kernel, block, biased):
    frames = _random(history + extra, *size)
    weight = _random(3, history, *kernel, seed=1)
    bias = _random(3, seed=2) if biased else None
    result = convolve_movie(frames, weight, bias, block=block)
    torch.testing.assert_close(result, _direct(frames, weight, bias), rtol=1e-9, atol=1e-9)


def test_float32_error_at_the_size_of_the_retina():
    frames, weight = _random(103, 50, 50).float(), _random(8, 40, 15, 15, seed=1).float()
    exact = _direct(frames[:44].double(), weight.double(), None)
    error = convolve_movie(frames, weight)[:5] - exact
    assert error.norm() / exact.norm() < 1e-5


def test_float32_errors_are_small_beside_frames_as_bright_as_is_allowed():
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(40, 8, 8, generator=generator)
    weight = torch.randn(2, 5, 3, 3, generator=generator)
    frames[20] *= 0.9 * BRIGHT * frames.flatten(1).abs().amax(1).median() / frames[20].abs().max()
    assert is_even(frames)
    found = convolve_movie(frames, weight).double()
    exact = nn.functional.conv2d(windows(frames, 5).double(), weight.double())
    away = [k for k in range(len(found)) if not k <= 20 < k + 5]
    assert (found - exact)[away].abs().max() <= 2e-5 * exact[away].abs().max()
    frames[20] *= 2
    assert not is_even(frames)
    assert is_even(frames.double())
    flashes = torch.zeros(40, 8, 8)
    flashes[::10] = 1
    assert is_even(flashes)
    assert is_even(torch.zeros(3, 2, 2))


def test_separate_movies_in_leading_dims():
    movies, weight = _random(2, 9, 6, 5), _random(4, 3, 2, 2, seed=1)
    result = convolve_movie(movies, weight)
    assert result.shape == (2, 7, 4, 5, 4)
    torch.testing.assert_close(result[1], _direct(movies[1], weight, None))


@pytest.mark.parametrize("block", [2, 64])
def test_gradients_equal_those_of_the_direct_convolution(block):
    values = [_random(11, 6, 5), _random(2, 3, 2, 3, seed=1), _random(2, seed=2)]
    direct = [v.clone().requires_grad_() for v in values]
    fast = [v.clone().requires_grad_() for v in values]
    _direct(*direct).pow(3).sum().backward()
    convolve_movie(*fast, block=block).pow(3).sum().backward()
    for a, b in zip(fast, direct, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


# torch compiles its own forward-mode rules with the deprecated torch.jit.script.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")
def test_forward_mode_derivative():
    frames, step, weight = _random(8, 5, 5), _random(8, 5, 5, seed=3), _random(2, 3, 2, 2, seed=1)
    _, slope = torch.func.jvp(lambda f: convolve_movie(f, weight), (frames,), (step,))
    torch.testing.assert_close(slope, _direct(step, weight, None))


def test_a_movie_shorter_than_the_history_is_refused():
    with pytest.raises(InputError, match="at least 40 frames"):
        convolve_movie(torch.zeros(39, 50, 50), torch.zeros(8, 40, 15, 15))
    with pytest.raises(InputError, match="at least 4 frames"):
        windows(torch.zeros(3, 2, 2), 4)


def test_frames_smaller_than_the_kernel_are_refused():
    with pytest.raises(InputError, match="the kernel"):
        convolve_movie(torch.zeros(40, 14, 50), torch.zeros(8, 40, 15, 15))
