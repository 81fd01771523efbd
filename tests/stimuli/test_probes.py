"""Probes: what is shown when, in the units of the parameters."""

import numpy as np
import pytest
import xarray as xr
from small_retina import small_network

import neurocodec as nc
from neurocodec import stimuli
from neurocodec.errors import InputError


def test_flashes_follow_mean_light_and_say_what_they_are():
    shown = stimuli.flashes((3, 4), 20.0, duration=0.2, pause=0.1, mean=5.0, deviation=2.0)
    light = shown[:, 1, 2].values
    assert light.tolist() == [5] * 2 + [7] * 4 + [5] * 2 + [3] * 4 + [5] * 2
    assert shown.trial.values.tolist() == [-1] * 2 + [0] * 6 + [1] * 6
    assert (shown.phase == "flash").values.tolist() == (light != 5).tolist()
    np.testing.assert_array_equal(shown.contrast[2:], [1] * 6 + [-1] * 6)
    assert np.isnan(shown.contrast[:2]).all()
    np.testing.assert_allclose(np.diff(shown.time), 0.05)


def test_discs_have_their_areas():
    shown = stimuli.flashes((20, 20), 10.0, duration=0.1, pause=0.1, diameters=[4, 10], contrasts=1)
    sums = shown.sum(("y", "x"))[shown.phase.values == "flash"].values
    np.testing.assert_allclose(sums, np.pi * np.array([2.0, 5.0]) ** 2, rtol=1e-6)
    assert shown.diameter.attrs["units"] == "pixel"


@pytest.mark.parametrize(
    ("angle", "axis", "rising"),
    [(0, "x", True), (180, "x", False), (90, "y", False), (270, "y", True)],
)
def test_bars_move_where_they_say(angle, axis, rising):
    shown = stimuli.moving_bars(
        (9, 9), 100.0, directions=[angle], speeds=30.0, width=1.0, pause=0.1
    )
    seen = shown.isel(time=shown.sum(("y", "x")).values > 8.9)  # wholly inside
    place = (seen * seen[axis]).sum(("y", "x")) / seen.sum(("y", "x"))
    speed = np.diff(place) * 100.0
    np.testing.assert_allclose(speed, 30.0 if rising else -30.0, rtol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 33.0, 45.0, 135.0])
def test_bars_begin_and_end_outside(angle):
    shown = stimuli.moving_bars((8, 12), 50.0, directions=[angle], speeds=20.0, width=3.0)
    moving = shown[shown.phase.values == "motion"]
    np.testing.assert_allclose(moving[[0, -1]], 0, atol=1e-5)
    assert (np.abs(moving).max(("y", "x")) > 0.5)[3:-3].all()


def test_directions_speeds_and_contrasts_are_all_shown():
    shown = stimuli.moving_bars((6, 6), 20.0, speeds=[6, 12], contrasts=[1, -1], repeats=2)
    onsets = shown.isel(time=np.flatnonzero(np.diff(shown.trial, prepend=-1)))
    told = {*zip(onsets.direction.values, onsets.speed.values, onsets.contrast.values, strict=True)}
    assert len(told) == 8 * 2 * 2
    assert onsets.sizes["time"] == 64


def test_steps_go_up_and_down():
    shown = stimuli.contrast_steps((1, 1), 10.0, contrasts=[0.2, 0.4], duration=0.1, pause=0.1)
    light = shown.values.ravel()[1::2]
    np.testing.assert_allclose(light, [0.2, -0.2, 0.4, -0.4], rtol=1e-6)


def test_a_chirp_sweeps_its_frequency_and_its_contrast():
    shown = stimuli.chirp((1, 1), 500.0, frequencies=(1.0, 9.0), sweep=8.0, frequency=2.0)
    sweep = shown[shown.phase.values == "frequency"].values.ravel()
    rising = np.flatnonzero((sweep[:-1] < 0) & (sweep[1:] >= 0))
    times = rising / 500.0
    rate = 1 / np.diff(times)  # of each period, at its middle
    np.testing.assert_allclose(rate, 1 + (times[1:] + times[:-1]) / 2, rtol=0.03)
    growing = shown[shown.phase.values == "contrast"].values.ravel()
    peaks = np.abs(growing).reshape(8, -1).max(axis=1)
    np.testing.assert_allclose(peaks, (np.arange(8) + 0.875) / 8, atol=0.01)


def test_noise_is_white_and_seeded():
    shown = stimuli.white_noise((8, 6), 100.0, duration=20.0, box=2, contrast=0.3, binary=False)
    assert shown.std() == pytest.approx(0.3, rel=0.02)
    boxes = shown.values[:, ::2, ::2].reshape(2000, -1)
    together = np.corrcoef(boxes.T) - np.eye(12)
    assert np.abs(together).max() < 0.1
    np.testing.assert_array_equal(shown[:, ::2, ::2], shown[:, 1::2, 1::2])
    again = stimuli.white_noise((8, 6), 100.0, duration=20.0, box=2, contrast=0.3, binary=False)
    xr.testing.assert_identical(shown, again)
    other = stimuli.white_noise((8, 6), 100.0, duration=20.0, box=2, binary=False, seed=1)
    assert abs(np.corrcoef(other.values.ravel(), shown.values.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: stimuli.flashes((3, 3), 10.0, duration=0.01), "less than a frame"),
        (lambda: stimuli.flashes((3, 3), 10.0, pause=0), "less than a frame"),
        (lambda: stimuli.flashes((3, 3), 10.0, contrasts=[]), "contrasts="),
        (lambda: stimuli.flashes((3, 3), 10.0, contrasts=[np.nan]), "contrasts="),
        (lambda: stimuli.flashes((3, 3), 10.0, diameters=[-1]), "above 0"),
        (lambda: stimuli.flashes((3, 3), 0.0), "frame_rate"),
        (lambda: stimuli.flashes((3, 3), 10.0, mean=np.nan), "mean"),
        (lambda: stimuli.contrast_steps((3, 3), 10.0, contrasts=[-0.5]), "above 0"),
        (lambda: stimuli.moving_bars((3, 3), 10.0, speeds=0), "speeds"),
        (lambda: stimuli.moving_bars((3, 3), 10.0, directions=0), "directions"),
        (lambda: stimuli.moving_bars((3, 3), 10.0, width=-1), "width=-1"),
        (lambda: stimuli.chirp((3, 3), 10.0), "at most 5 Hz"),
        (lambda: stimuli.chirp((3, 3), 100.0, frequency=0), "above 0"),
        (lambda: stimuli.white_noise((3, 3), 10.0, duration=-1), "duration"),
        (lambda: stimuli.white_noise((3, 3), 10.0, duration=1, box=1.5), "box"),
        (lambda: stimuli.white_noise((3,), 10.0, duration=1), "size"),
        (lambda: stimuli.white_noise((3, 3), 10.0, duration=1, binary="no"), "True or False"),
        (lambda: stimuli.white_noise((3, 3), 10.0, duration=np.inf), "finite"),
        (lambda: stimuli.moving_bars((4, 4), 30.0, speeds="fast"), "speeds='fast'"),
        (lambda: stimuli.moving_bars((4, 4), 30.0, width="a"), "width='a'"),
        (lambda: stimuli.moving_bars((4, 4), 30.0, length=0.0), "length"),
        (lambda: stimuli.moving_bars((4, 4), 30.0, directions=[0, 90, 360]), "360 is 0"),
        (lambda: stimuli.flashes((4, 4), 30.0, contrasts="on"), "contrasts='on'"),
        (lambda: stimuli.flashes((4, 4), 30.0, diameters=2, center="middle"), "center='middle'"),
        (lambda: stimuli.contrast_steps((4, 4), 30.0, contrasts="x"), "contrasts='x'"),
        (lambda: stimuli.chirp((4, 4), 30.0, frequencies=1.0), "frequencies=1.0"),
        (lambda: stimuli.chirp((4, 4), 30.0, frequencies=(1, 2, 3)), "the first and the last"),
        (lambda: stimuli.chirp((4, 4), 30.0, frequencies="ab"), "frequencies='ab'"),
    ],
)
def test_bad_parameters_are_named(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_network_is_shown_them_as_they_are():
    net = small_network()
    shown = stimuli.flashes(net.input_shape, net.frame_rate, duration=0.1, pause=0.1)
    rates = nc.respond(net, shown)
    assert {"trial", "phase", "contrast"} <= {*rates.coords}
    np.testing.assert_array_equal(rates.trial, shown.trial[net.history - 1 :])
