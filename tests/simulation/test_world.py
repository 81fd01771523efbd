"""The simulated retina: what is claimed of its stimuli, its circuit and its spikes."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from neurocodec.errors import InputError, UnknownNameError
from neurocodec.simulation import NaturalScenes, simulate_retina, stimuli, world
from neurocodec.simulation import retina as retina_module
from neurocodec.simulation.circuit import HISTORY, SIZE
from neurocodec.simulation.filters import (
    biphasic,
    center_surround,
    filter_past,
    gamma,
    gaussian,
    place,
    pool,
)
from neurocodec.simulation.photographs import photographs
from neurocodec.simulation.retina import draw_retina
from neurocodec.simulation.stimuli import (
    eye_movements,
    natural_scene_movie,
    white_noise_movie,
)
from neurocodec.simulation.world import recorded_interneurons


@pytest.fixture(scope="module")
def retina():
    return draw_retina(3)


@pytest.fixture(scope="module")
def recording(retina) -> xr.Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "draw_retina", {3: retina}.get)  # which is drawn once
        return simulate_retina(seed=3, duration=SECONDS)


@pytest.fixture(scope="module")
def natural():
    return natural_scene_movie(300, SIZE, np.random.default_rng(0), held_out=False)


@pytest.fixture(scope="module")
def answered(retina, natural):
    """What the retina answers to part of the natural movie."""
    return retina.circuit.respond(natural[:PART])


@pytest.fixture
def short_calibration(monkeypatch):
    monkeypatch.setattr(retina_module, "CALIBRATION", 100)


SECONDS = 10.0
"""Of the recording."""
PART = 200
"""Frames of the natural movie that are answered."""


def _rates(retina, movie):
    return retina.firing_rate(retina.circuit.respond(movie.astype(np.float32)).drive)


# --- stimuli ---------------------------------------------------------------------------------


def test_photographs_are_real_and_relative_to_their_mean():
    for photograph in photographs():
        assert photograph.dtype == np.float32
        assert photograph.min() >= 0
        np.testing.assert_allclose(photograph.mean(), 1, rtol=1e-3)
        assert photograph.std() > 0.3


def test_test_movies_see_other_parts_of_the_photographs_than_training_movies(monkeypatch):
    image = np.random.default_rng(0).random((300, 300)).astype(np.float32)
    image[:150] = 1.0
    monkeypatch.setattr(stimuli, "photographs", lambda: [image])
    scenes = NaturalScenes(held_out=0.5, scales=(1.0, 1.5))
    train, test = (
        natural_scene_movie(100, SIZE, np.random.default_rng(1), held_out=h, scenes=scenes)
        for h in (False, True)
    )
    np.testing.assert_array_equal(train, 0)
    assert test.std() > 0.1


def test_a_new_image_every_second_and_little_movement_between(natural):
    flat = natural.reshape(300, -1)
    neighbours = np.array([np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(flat)])
    assert set(np.argsort(neighbours)[:2]) == {99, 199}
    assert np.median(np.delete(neighbours, [99, 199])) > 0.9


@settings(max_examples=30)
@given(st.floats(-30, 30))
def test_the_eye_is_reflected_at_the_margin(position):
    reflected = stimuli._reflect(np.array([position]), 12.0)[0]
    expected = signal.sawtooth(np.pi / 24 * (position + 12), width=0.5) * 12
    assert reflected == pytest.approx(expected, abs=1e-9)


def test_drift_and_microsaccades_have_the_stated_sizes():
    scenes = NaturalScenes(margin=10**6, drift=0.3, saccade_probability=0)
    steps = np.diff(eye_movements(20_000, np.random.default_rng(0), scenes), axis=0)
    np.testing.assert_allclose(steps.std(0), 0.3, rtol=0.03)
    jumping = NaturalScenes(margin=10**6, drift=0.0, saccade_probability=0.01, saccade_amplitude=4)
    path = eye_movements(100_000, np.random.default_rng(0), jumping)
    moving = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert (moving > 0).mean() == pytest.approx(0.02, rel=0.1)
    assert 2 * np.median(moving[moving > 0]) == pytest.approx(
        4 * np.sqrt(4 * np.log(2) / np.pi), rel=0.1
    )


def test_a_shift_by_half_a_pixel_is_the_mean_of_neighbours():
    patch = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    whole, half = stimuli._look(patch, np.array([[1.0, 2.0], [1.0, 2.5]]), 4)
    np.testing.assert_allclose(whole, patch[1:5, 2:6])
    np.testing.assert_allclose(half, (patch[1:5, 2:6] + patch[1:5, 3:7]) / 2, rtol=1e-6)


def test_white_noise_is_binary_balanced_and_made_of_boxes():
    movie = white_noise_movie(3000, 50, np.random.default_rng(0))
    np.testing.assert_allclose(np.unique(movie), [-0.4, 0.4], rtol=1e-6)
    assert abs(movie.mean()) < 0.01
    np.testing.assert_array_equal(movie[:, 0::2, 0::2], movie[:, 1::2, 1::2])
    np.testing.assert_array_equal(movie[0::3], movie[2::3])


# --- filters ---------------------------------------------------------------------------------


def test_filter_past_is_a_causal_convolution():
    rng = np.random.default_rng(0)
    values, kernel = rng.normal(size=(70, 3)).astype(np.float32), rng.normal(size=9)
    expected = signal.lfilter(kernel, 1.0, values, axis=0)
    np.testing.assert_allclose(filter_past(values, kernel), expected, atol=1e-5)


def test_place_is_a_correlation_with_the_footprint():
    rng = np.random.default_rng(0)
    frame, footprint = rng.normal(size=(12, 12)), rng.normal(size=(5, 5))
    positions = np.array([[2, 2], [4, 9], [9, 7]])
    expected = signal.correlate2d(frame, footprint, mode="same")[tuple(positions.T)]
    np.testing.assert_allclose(frame.ravel() @ place(footprint, positions, 12), expected, rtol=1e-5)


def test_gamma_is_the_density_of_the_gamma_distribution():
    expected = stats.gamma(a=3, scale=1.5).pdf(np.arange(30) + 0.5)
    np.testing.assert_allclose(gamma(30, 1.5, 2), expected / expected.sum())
    assert biphasic(30, 1.0, 2.0, 1.0).sum() == pytest.approx(0)


def test_center_surround_has_both_and_the_stated_balance():
    field = center_surround(7, 1.2, 3.0, 0.9, 0.5)
    assert field.sum() == pytest.approx(0.1)
    assert field[7, 7] == field.max()
    assert field[7, 12] < 0
    assert gaussian(3, 1.0).sum() == pytest.approx(1)


def test_pool_reaches_no_farther_than_its_radius():
    inputs = np.array([[0.0, 0.0], [0.0, 4.0], [0.0, 6.0]])
    weight = pool(inputs, np.zeros((1, 2)), 3.0, 5.0)[:, 0]
    ratio = np.exp(-0.5 * (4 / 3) ** 2)
    np.testing.assert_allclose(weight, [1 / (1 + ratio), ratio / (1 + ratio), 0], rtol=1e-6)


# --- circuit ---------------------------------------------------------------------------------


def test_a_response_depends_on_the_last_400_ms_only(retina, natural):
    # Slow cells, so that their filters have not faded where they must end.
    slow = {n: dataclasses.replace(c, slow=20.0) for n, c in retina.circuit.bipolars.items()}
    lagging = {n: dataclasses.replace(c, delay=9.0) for n, c in retina.circuit.amacrines.items()}
    circuit = dataclasses.replace(
        retina.circuit, photoreceptor=9.0, bipolars=slow, amacrines=lagging
    )
    movie, at = natural[50:150], 40
    changed = movie.copy()
    changed[at] = -changed[at]
    before, after = (circuit.respond(m).drive for m in (movie, changed))
    difference = np.abs(after - before).max(axis=1)
    assert HISTORY == 40
    assert difference[:at].max() < 1e-4
    assert difference[at + HISTORY :].max() < 1e-4
    assert difference[at + HISTORY - 3 : at + HISTORY].max() > 1e-3


def _spot(retina, cell: int, contrast: float) -> np.ndarray:
    y, x = np.indices((SIZE, SIZE))
    center = retina.circuit.positions[cell]
    spot = contrast * (np.hypot(y - center[0], x - center[1]) < 4)
    movie = np.tile(spot, (40, 1, 1))  # grey before
    return _rates(retina, movie)[:, cell].max()


@pytest.mark.parametrize(
    ("kind", "bright", "dark"),
    [
        ("ON transient", True, False),
        ("OFF transient", False, True),
        ("OFF sustained", False, True),
        ("ON-OFF", True, True),
    ],
)
def test_every_type_answers_spots_of_its_polarity(retina, kind, bright, dark):
    cell = retina.circuit.cell_type.index(kind)
    assert (_spot(retina, cell, 0.8) > 20) == bright
    assert (_spot(retina, cell, -0.8) > 20) == dark


def test_sustained_cells_go_on_and_transient_cells_stop(retina):
    last = {}
    for kind in ("OFF transient", "OFF sustained"):
        cell = retina.circuit.cell_type.index(kind)
        y, x = np.indices((SIZE, SIZE))
        center = retina.circuit.positions[cell]
        movie = np.tile(-0.8 * (np.hypot(y - center[0], x - center[1]) < 4), (100, 1, 1))
        rate = _rates(retina, movie)[:, cell]
        last[kind] = rate[-1] / rate.max()
    assert last["OFF sustained"] > 2 * last["OFF transient"]


def test_gain_control_is_divisive(retina, natural, answered):
    circuit, with_gain = retina.circuit, answered
    without = dataclasses.replace(circuit, gain_control=0.0).respond(natural[:PART])
    kind = circuit.cell_type.index("ON transient")
    peaks = without.drive[:, kind] > np.quantile(without.drive[:, kind], 0.99)
    assert (with_gain.drive[peaks, kind] < without.drive[peaks, kind]).mean() > 0.95


def test_amacrine_cells_inhibit_what_they_are_wired_to(retina, natural, answered):
    kinds = {
        name: dataclasses.replace(kind, inhibition=dict.fromkeys(kind.inhibition, 0.0))
        for name, kind in retina.circuit.ganglions.items()
    }
    circuit = dataclasses.replace(retina.circuit, ganglions=kinds)
    without = circuit.respond(natural[:PART]).drive
    assert (answered.drive <= without + 1e-5).all()
    assert (answered.drive < without - 0.1).any(axis=0).all()


# --- recording -------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_calibration")
def test_the_world_is_a_pure_function_of_its_seed():
    first, again, other = (simulate_retina(seed=s, duration=0.5) for s in (5, 5, 6))
    xr.testing.assert_identical(first, again)
    assert not np.array_equal(first.stimulus, other.stimulus)
    assert not np.array_equal(first.y_center, other.y_center)


@pytest.mark.usefixtures("short_calibration")
def test_train_and_test_are_the_same_retina_with_other_movies():
    train, test = (simulate_retina(seed=5, duration=0.5, split=s) for s in ("train", "test"))
    np.testing.assert_array_equal(train.y_center, test.y_center)
    assert not np.array_equal(train.stimulus, test.stimulus)


def test_layout(recording):
    assert dict(recording.sizes) == {
        "time": int(100 * SECONDS), "y": 50, "x": 50, "cell": 16, "repeat": 20, "interneuron": 28,
    }  # fmt: skip
    assert recording.stimulus.dtype == recording.firing_rate.dtype == np.float32
    assert recording.time.dtype == np.float64
    assert recording.time.values[1] == pytest.approx(0.01)
    assert recording.time.attrs["units"] == "s"
    assert recording.firing_rate.attrs["units"] == "Hz"
    assert float(recording.bin_width) == 0.01
    for variable in recording.data_vars.values():
        assert {"units", "long_name"} <= set(variable.attrs)


def test_it_says_simulated_everywhere(recording):
    assert "simulated" in recording.attrs["title"]
    assert all(c.startswith("simulated") for c in recording.cell.values)
    assert all(c.startswith("simulated") for c in recording.interneuron.values)
    for variable in recording.data_vars.values():
        assert "simulated" in variable.attrs["comment"]


def test_rates_are_those_of_a_retina(recording):
    mean, peak = recording.firing_rate.mean("time"), recording.firing_rate.max("time")
    assert 2 < float(mean.min()) < float(mean.max()) < 25
    assert float(peak.min()) > 50
    assert float(peak.max()) <= 200
    assert float((recording.firing_rate > 5).mean()) < 0.4


def test_spikes_are_poisson_with_the_true_rate(recording):
    expected = recording.firing_rate.values * 0.01
    count = recording.spike_count.sum("repeat").values
    deviation = (count - 20 * expected).sum() / np.sqrt((20 * expected).sum())
    assert abs(deviation) < 4
    busy = expected > 0.2
    fano = recording.spike_count.var("repeat", ddof=1).values[busy].mean() / expected[busy].mean()
    assert fano == pytest.approx(1, abs=0.05)


def test_cells_of_a_type_are_more_alike_than_cells_of_two_types(recording):
    correlation = np.corrcoef(recording.firing_rate.values.T)
    kinds = recording.cell_type.values
    same = (kinds[:, None] == kinds) & ~np.eye(len(kinds), dtype=bool)
    assert correlation[same].mean() > correlation[kinds[:, None] != kinds].mean() + 0.2


def test_interneurons_stand_near_ganglion_cells(recording):
    cells = np.stack([recording.y_center, recording.x_center], axis=1)
    places = np.stack([recording.interneuron_y_center, recording.interneuron_x_center], axis=1)
    distance = np.linalg.norm(places[:, None] - cells, axis=-1).min(axis=1)
    assert distance.max() <= np.sqrt(2)
    assert len(set(recording.interneuron_cell_type.values)) == 7


def test_seven_types_of_interneurons_are_recorded_at_four_places(retina):
    grey = np.zeros((1, 50, 50), dtype=np.float32)
    recorded = recorded_interneurons(retina.circuit, retina.circuit.respond(grey))
    assert len(recorded.names) == 28
    assert recorded.voltage.shape == (1, 28)


def test_on_bipolar_cells_depolarise_with_light_and_off_cells_with_darkness(recording):
    kind = recording.interneuron_cell_type
    voltage = recording.membrane_potential
    on = voltage.sel(interneuron=kind == "ON sustained bipolar")[:, 0]
    off = voltage.sel(interneuron=kind == "OFF sustained bipolar")[:, 0]
    y, x = int(on.interneuron_y_center), int(on.interneuron_x_center)
    light = recording.stimulus.isel(y=slice(y - 1, y + 2), x=slice(x - 1, x + 2)).mean(("y", "x"))
    light = light.shift(time=4).fillna(0)
    assert float(xr.corr(light, on)) > 0.3
    assert float(xr.corr(light, off)) < -0.3


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"stimulus": "natural scene"}, "natural scenes"),
        ({"split": "testing"}, "test"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(changes, hint):
    with pytest.raises(UnknownNameError, match=hint):
        simulate_retina(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 0.0}, "duration=0.0\n.*at least one frame"),
        ({"duration": np.nan}, "duration=nan\n.*at least one frame"),
        ({"repeats": 0}, "repeats=0\n.*a whole number, at least 1"),
        ({"repeats": 1.5}, "repeats=1.5"),
        ({"seed": -1}, "seed=-1\n.*a whole number, at least 0"),
        ({"seed": True}, "seed=True"),
    ],
)
def test_an_empty_recording_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        simulate_retina(**changes)


def test_the_simulation_needs_neither_torch_nor_matplotlib_nor_scikit_learn():
    code = (
        "import sys, neurocodec.simulation as s, neurocodec.simulation.retina as r;"
        "r.CALIBRATION = 50; s.simulate_retina(duration=0.5);"
        "print([m for m in ('torch', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_whole_world_builds_in_under_30_seconds_of_two_cores():
    from neurocodec.zoo import load_dataset

    # Time of the processor, so that the test does not fail because others use the machine.
    start = time.process_time()
    load_dataset("simulated-retina", split="train")
    load_dataset("simulated-retina", split="train", stimulus="white noise")
    load_dataset("simulated-retina")
    assert time.process_time() - start < 60
