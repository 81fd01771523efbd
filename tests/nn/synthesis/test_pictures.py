"""Numbers of pictures, their aims and transforms, against arithmetic and NumPy."""

import numpy as np
import pytest
import torch

from neurocodec.nn.synthesis.natural import Natural
from neurocodec.nn.synthesis.objectives import along
from neurocodec.nn.synthesis.parametrisation import KINDS
from neurocodec.nn.synthesis.transforms import Transforms

SIZES = [(3, 8, 10), (1, 7, 9), (2, 5, 6, 7)]


def pictures(shape: tuple[int, ...], count: int = 20) -> torch.Tensor:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(count, *shape))
    axes = tuple(range(2, values.ndim))
    spectrum = np.fft.rfftn(values, axes=axes)
    frequency = np.arange(1, 1 + spectrum.shape[-1])
    return torch.from_numpy(np.fft.irfftn(spectrum / frequency, s=shape[1:], axes=axes))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_a_picture_are_that_picture(kind: str, shape: tuple[int, ...]) -> None:
    some = pictures(shape)
    made = KINDS[kind](Natural.of(some))
    torch.testing.assert_close(made.picture(made.of(some)), some, rtol=1e-9, atol=1e-9)


def test_spectrum_of_phases_is_the_natural_one() -> None:
    some = pictures((3, 16, 16))
    natural = Natural.of(some)
    kind = KINDS["phase"](natural)
    drawn = kind.components(kind.drawn(torch.randn(4, 3, 16, 16, dtype=torch.float64)))
    spectrum = np.abs(np.fft.rfft2(drawn.numpy(), norm="ortho"))
    wanted = natural.amplitude.numpy()
    inner = (..., slice(None), slice(1, -1))  # at the edges conjugates share a phase
    np.testing.assert_allclose(spectrum[inner], np.broadcast_to(wanted, spectrum.shape)[inner])


@pytest.mark.parametrize("size", [(8, 8), (7, 8)])
def test_ascent_leaves_the_spectrum_of_phases(size: tuple[int, int]) -> None:
    natural = Natural.of(pictures((1, *size)).float())
    kind = KINDS["phase"](natural)
    numbers = kind.drawn(torch.randn(4, 1, *size, generator=torch.Generator().manual_seed(0)))
    aim = torch.randn(1, *size, generator=torch.Generator().manual_seed(1))
    start = numbers.clone()
    numbers.requires_grad_()
    adam = torch.optim.Adam([numbers], lr=0.1, maximize=True)
    for _ in range(40):
        adam.zero_grad()
        (kind.components(numbers) * aim).sum().backward()
        adam.step()
    before, after = (np.abs(np.fft.fft2(kind.components(x).detach())) for x in (start, numbers))
    np.testing.assert_allclose(after, before, rtol=0.01)


def test_principal_colors_are_uncorrelated_and_grey_stays_grey() -> None:
    some = pictures((3, 8, 8)) @ torch.ones(8, 8, dtype=torch.float64)
    some = some + 2 * some[:, :1]  # colours that go together
    natural = Natural.of(some)
    parts = natural.components(some).transpose(0, 1).flatten(1)
    covariance = parts @ parts.T
    off = covariance - covariance.diag().diag()
    assert off.abs().max() < 1e-9 * covariance.abs().max()
    assert Natural.of(some[:, :2]).colors.equal(torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["fourier", "pixels"])
def test_contrast_is_that_asked_for_and_only_the_direction_counts(kind: str) -> None:
    some = pictures((1, 6, 8, 8))
    made = KINDS[kind](Natural.of(some), contrast=0.7)
    numbers = made.drawn(torch.randn(3, 1, 6, 8, 8, dtype=torch.float64))
    one = made.picture(numbers)
    about = one - Natural.of(some).mean.item()
    np.testing.assert_allclose(about.square().flatten(1).mean(1).sqrt(), 0.7)
    torch.testing.assert_close(made.picture(7 * numbers), one)


def test_aim_by_hand() -> None:
    h, s = torch.tensor([[3.0, 4.0], [-1.0, 0.0]]), torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    # size along s: 3 and -1; cosines 3/5 and -1, which counts as .1
    expected = [3 * 0.6**2, -1 * 0.1**2]
    assert along(h, s, 2.0).tolist() == pytest.approx(expected)
    assert along(h, 5 * s, 2.0).tolist() == pytest.approx(expected)


def test_crops_see_what_numpy_cuts() -> None:
    x = torch.arange(100.0).reshape(1, 1, 10, 10)
    assert Transforms((1.0, 1.0), 0.0, [(0, 0)])(x).allclose(x, atol=1e-4)
    half = Transforms((0.5, 0.5), 0.0, [(0, 3)])(x)[0, 0].numpy()
    # values are linear in the position: so is the crop, at half the distance
    np.testing.assert_allclose(np.diff(half[2:8, 2:8], axis=1), 0.5, atol=1e-4)
    np.testing.assert_allclose(np.diff(half[2:8, 2:8], axis=0), 5.0, atol=1e-3)
    assert half.min() >= 0
    assert half.max() <= 99


def test_every_picture_draws_from_its_own_seed() -> None:
    x = torch.zeros(3, 1, 6, 6)
    all_of_them = Transforms((0.9, 0.99), 1.0, [(0, 0), (0, 1), (0, 2)])
    alone = Transforms((0.9, 0.99), 1.0, [(0, 1)])
    for _ in range(3):
        together, one = all_of_them(x), alone(x[1:2])
    assert together[1].equal(one[0])
    assert not together[0].equal(together[1])
    noise = Transforms(None, 2.0, [(1, 0)])(torch.zeros(1, 3, 200, 200))
    assert noise.std().item() == pytest.approx(2, rel=0.02)
