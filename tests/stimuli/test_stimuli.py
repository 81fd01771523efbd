"""Rendered geometry against areas, fine sampling and symmetry; other frame rates against numpy."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.signal import resample_poly

import neurocodec as nc
from neurocodec import clock, stimuli
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.kernels.averaging import area_average
from neurocodec.kernels.coverage import disc_coverage, polygon_coverage

ONE = {"frame_rate": 100.0}
FINE = 25


def sampled(inside, size):
    """Coverage of each pixel by counting FINE x FINE points in it."""
    y, x = ((np.arange(n * FINE) + 0.5) / FINE - 0.5 for n in size)
    points = inside(*np.meshgrid(y, x, indexing="ij"))
    return points.reshape(size[0], FINE, size[1], FINE).mean((1, 3))


def picture(movie):
    return movie.isel(time=0).values


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 9), st.floats(10, 20), st.floats(10, 20))
def test_a_disc_has_its_area(radius, y, x):
    covered = disc_coverage((31, 31), (y, x), radius)
    np.testing.assert_allclose(covered.sum(), np.pi * radius**2, rtol=1e-9)
    assert covered.min() >= 0
    assert covered.max() <= 1


@settings(deadline=None, max_examples=10)
@given(st.floats(0.5, 15), st.floats(-3, 15), st.floats(-3, 15))
def test_a_disc_covers_pixels_as_fine_sampling_says(radius, y, x):
    covered = disc_coverage((11, 9), (y, x), radius)
    points = sampled(lambda v, u: (v - y) ** 2 + (u - x) ** 2 < radius**2, (11, 9))
    np.testing.assert_allclose(covered, points, atol=2 / FINE)
    assert abs(covered.sum() - points.sum()) < 0.005 * max(points.sum(), 1) + 0.05


@settings(deadline=None, max_examples=20)
@given(st.floats(0.3, 6), st.floats(2, 12), st.floats(-360, 360), st.floats(-2, 2))
def test_a_bar_has_its_area_and_covers_pixels_as_fine_sampling_says(width, length, angle, shift):
    options = {"width": width, "length": length, "orientation": angle, "position": shift}
    covered = picture(stimuli.bar([1.0], (31, 33), **options, **ONE))
    np.testing.assert_allclose(covered.sum(), width * length, rtol=1e-5)
    sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))

    def inside(y, x):
        right, up = x - 16, 15 - y
        along, across = right * cosine + up * sine, right * sine - up * cosine
        return (abs(along) < length / 2) & (abs(across - shift) < width / 2)

    np.testing.assert_allclose(covered, sampled(inside, (31, 33)), atol=3 / FINE)


def test_a_polygon_may_have_any_number_of_corners():
    angles = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    hexagon = 10 + 5 * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    for corners in (hexagon, hexagon[::-1]):
        np.testing.assert_allclose(polygon_coverage((21, 21), corners).sum(), 1.5 * 3**0.5 * 25)


@pytest.mark.parametrize("um", [None, 20.0])
def test_disc_and_ring_on_the_grid(um):
    scale = um or 1.0
    shape = {"um_per_pixel": um, **ONE}
    disc = picture(stimuli.disc([1.0], (50, 50), diameter=20.5 * scale, **shape))
    ring = picture(stimuli.annulus([1.0], (50, 50), inner=8 * scale, outer=20.5 * scale, **shape))
    np.testing.assert_allclose(disc.sum(), np.pi * 10.25**2, rtol=1e-6)
    np.testing.assert_allclose(ring.sum(), np.pi * (10.25**2 - 4**2), rtol=1e-6)
    for mask in (disc, ring):
        np.testing.assert_allclose(mask, mask.T, atol=1e-6)
        np.testing.assert_allclose(mask, np.rot90(mask), atol=1e-6)
    assert (disc[25, 25], ring[25, 25]) == (1, 0)
    np.testing.assert_allclose(
        disc - ring, picture(stimuli.disc([1.0], (50, 50), diameter=8 * scale, **shape)), atol=1e-6
    )


def test_shapes_move_with_their_centre_and_are_cut_at_the_border():
    middle = picture(stimuli.disc([1.0], (21, 21), diameter=7.0, **ONE))
    moved = picture(stimuli.disc([1.0], (21, 21), diameter=7.0, center=(12.0, 7.0), **ONE))
    np.testing.assert_allclose(np.roll(middle, (2, -3), (0, 1)), moved, atol=1e-6)
    corner = picture(stimuli.disc([1.0], (21, 21), diameter=8.0, center=(-0.5, -0.5), **ONE))
    np.testing.assert_allclose(corner.sum(), np.pi * 16 / 4, rtol=1e-6)


def test_light_and_background():
    light = xr.DataArray([0.0, 1.0, 0.25], {"time": [0.0, 0.5, 1.0]}, dims="time")
    movie = stimuli.disc(light, (9, 9), diameter=3.0, background=0.5)
    np.testing.assert_allclose(movie[:, 4, 4], light, atol=1e-7)
    assert (movie[:, 0, 0] == 0.5).all()
    area = np.pi * 1.5**2
    expected = 0.5 * 81 + (light.values - 0.5) * area
    np.testing.assert_allclose(movie.sum(("y", "x")), expected, rtol=1e-6)
    field = stimuli.full_field(light, (2, 3))
    np.testing.assert_array_equal(field, np.broadcast_to(light.values[:, None, None], (3, 2, 3)))


def test_a_movie_is_labelled():
    movie = stimuli.disc([1.0, 0.0], (8, 9), diameter=3.0, frame_rate=50.0)
    assert (movie.name, movie.dims, movie.dtype) == ("stimulus", ("time", "y", "x"), np.float32)
    assert movie.time.values.tolist() == [0.0, 0.02]
    assert nc.labels.provenance(movie)["outer"] == 3.0
    assert {"units", "long_name"} <= {*movie.attrs}


@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0])
def test_turning_a_bar_by_a_right_angle_turns_the_picture(angle):
    options = {"width": 3.0, "length": 11.0, "position": 2.0, **ONE}
    once = picture(stimuli.bar([1.0], (25, 25), orientation=angle, **options))
    turned = picture(stimuli.bar([1.0], (25, 25), orientation=angle + 90, **options))
    np.testing.assert_allclose(np.rot90(once), turned, atol=1e-6)


def test_bars_lie_and_stand_and_move():
    lying = picture(stimuli.bar([1.0], (5, 7), width=1.0, orientation=0, position=1.0, **ONE))
    np.testing.assert_allclose(lying, np.arange(5)[:, None] == np.full(7, 3), atol=1e-6)
    moving = stimuli.bar(
        np.ones(4), (3, 9), width=2.0, orientation=90, position=-3.0, speed=150.0, **ONE
    )
    centre = (moving[:, 0] * np.arange(9)).sum("x") / moving[:, 0].sum("x")
    np.testing.assert_allclose(centre, 4 - 3 + 1.5 * np.arange(4), atol=1e-5)
    listed = stimuli.bar(
        np.ones(4), (3, 9), width=2.0, orientation=90, position=-3 + 1.5 * np.arange(4), **ONE
    )
    np.testing.assert_allclose(listed, moving, atol=1e-6)
    micrometres = stimuli.bar(
        np.ones(4),
        (3, 9),
        width=20.0,
        orientation=90,
        position=-30.0,
        speed=1500.0,
        um_per_pixel=10.0,
        **ONE,
    )
    np.testing.assert_allclose(micrometres, moving, atol=1e-6)


def test_boxes_fill_the_frame_or_have_a_size():
    values = np.random.default_rng(0).choice([-1.0, 1.0], (3, 5, 5))
    np.testing.assert_allclose(
        stimuli.boxes(values, (20, 20), **ONE), np.kron(values, np.ones((4, 4)))
    )
    uneven = stimuli.boxes(values, (18, 18), **ONE)
    np.testing.assert_allclose(uneven.mean(("y", "x")), values.mean((1, 2)), atol=1e-6)
    small = stimuli.boxes(values, (20, 20), box=2.0, background=0.25, **ONE)
    np.testing.assert_allclose(small[:, 5:15, 5:15], np.kron(values, np.ones((2, 2))), atol=1e-6)
    assert (small[:, :5] == 0.25).all()
    large = stimuli.boxes(values, (20, 20), box=10.0, **ONE)
    np.testing.assert_allclose(
        large[:, 5:15, 5:15], np.kron(values[:, 2:3, 2:3], np.ones((10, 10)))
    )


def test_a_checkerboard_reverses():
    movie = stimuli.checkerboard([1.0, -1.0], (12, 10), box=2.5, background=0.0, **ONE)
    np.testing.assert_allclose(movie[1], -movie[0], atol=1e-6)
    np.testing.assert_allclose(movie[0, 0], [1, 1, 0, -1, -1, 1, 1, 0, -1, -1], atol=1e-6)
    np.testing.assert_allclose(movie[0], movie[0, :, 0] * movie[0, 0], atol=1e-6)


def noise(time=4, y=6, x=5):
    values = np.random.default_rng(0).random((time, y, x)).astype(np.float32)
    coords = {"time": np.arange(time) / 50, "y": np.arange(y), "x": np.arange(x)}
    return xr.DataArray(values, coords, ("time", "y", "x"), name="stimulus")


def test_padding_is_taken_off_again():
    movie = noise()
    padded = stimuli.pad(movie, (9, 9), value=0.5)
    np.testing.assert_array_equal(padded[:, 1:7, 2:7], movie)
    border = padded.values.copy()
    border[:, 1:7, 2:7] = 0.5
    assert (border == 0.5).all()
    assert padded.x.values.tolist() == list(range(9))
    assert padded.dtype == movie.dtype
    assert stimuli.pad(movie, (6, 5)).drop_attrs().identical(movie)
    grey = stimuli.pad((movie * 255).astype(np.uint8), (9, 9), value=127.5)
    assert grey[0, 0, 0] == 127.5, "not cut to a whole number"
    assert stimuli.pad((movie * 255).astype(np.uint8), (9, 9), value=127.0).dtype == np.uint8
    with pytest.raises(InputError, match=r"no more than 5 x 5\n  try: nc.stimuli.resize"):
        stimuli.pad(movie, (5, 5))


def test_resizing_keeps_the_mean_of_every_frame():
    movie = noise()
    for size in ((3, 5), (12, 10), (4, 7), (1, 1)):
        made = stimuli.resize(movie, size)
        np.testing.assert_allclose(made.mean(("y", "x")), movie.mean(("y", "x")), rtol=1e-5)
        assert made.sizes == {"time": 4, "y": size[0], "x": size[1]}
    np.testing.assert_allclose(stimuli.resize(movie, (12, 10)), np.kron(movie, np.ones((2, 2))))
    box = Image.fromarray(movie.values[0]).resize((5, 2), Image.Resampling.BOX)
    np.testing.assert_allclose(stimuli.resize(movie, (2, 5))[0], np.asarray(box), rtol=1e-5)
    assert stimuli.resize(movie.transpose("x", "time", "y"), (3, 5)).dims == ("x", "time", "y")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30))
def test_averages_over_another_grid_are_those_of_a_fine_one(old, new):
    values = np.random.default_rng(old).normal(size=old)
    found = area_average(values, np.arange(old + 1.0), np.linspace(0, old, new + 1), axis=0)
    np.testing.assert_allclose(found, np.repeat(values, new).reshape(new, old).mean(1), atol=1e-12)


# time


def trace(name, values, rate=100.0):
    return xr.DataArray(
        np.asarray(values, float), {"time": np.arange(len(values)) / rate}, dims="time", name=name
    )


@pytest.mark.parametrize("rate", [64.0, 100.0, 30.0, 250.0])
def test_frames_are_held(rate):
    movie = trace("stimulus", np.arange(64.0), rate=64.0)
    made = stimuli.resample(movie, rate)
    assert made.sizes["time"] == int(rate)
    shown = np.floor(np.arange(int(rate)) / rate * 64 + 1e-9)
    np.testing.assert_array_equal(made, shown)
    np.testing.assert_allclose(made.time, np.arange(int(rate)) / rate)


def test_rounding_of_the_times_does_not_choose_another_frame():
    movie = trace("stimulus", np.arange(300.0), rate=30.0)
    late = movie.assign_coords(time=movie.time + 1e-9 * np.arange(300))
    for shown in (movie, late):
        np.testing.assert_array_equal(stimuli.resample(shown, 90.0), np.repeat(movie, 3))


@settings(deadline=None, max_examples=30)
@given(st.floats(5, 400))
def test_rates_keep_the_number_of_spikes(rate):
    rates = trace("firing_rate", np.random.default_rng(0).random(100))
    made = stimuli.resample(rates, rate)
    whole = made.sizes["time"] / rate
    edges = np.append(np.arange(100) / 100, 1.0)
    total = np.interp(whole, edges, np.append(0, np.cumsum(rates.values / 100)))
    np.testing.assert_allclose(made.sum() / rate, total, atol=1e-9)


def test_counts_are_put_together_or_refused():
    counts = trace("spike_count", [1, 2, 3, 4, 5, 6]).astype(np.int16)
    made = stimuli.resample(counts, 50.0)
    assert made.values.tolist() == [3, 7, 11]
    assert made.dtype == np.int16
    for rate in (200.0, 64.0):
        with pytest.raises(InputError, match="whole numbers of old ones"):
            stimuli.resample(counts, rate)


def test_potentials_are_interpolated_up_and_filtered_down():
    time = np.arange(640) / 64
    wave = trace("membrane_potential", np.sin(2 * np.pi * time), rate=64.0)
    up = stimuli.resample(wave, 100.0)
    np.testing.assert_allclose(up, np.interp(up.time, time, wave), atol=1e-12)
    down = stimuli.resample(wave, 24.0)
    expected = resample_poly(wave.values, 3, 8, padtype="line")
    np.testing.assert_allclose(down, expected[: len(down)], atol=1e-12)
    middle = down.sel(time=slice(1, 9))
    np.testing.assert_allclose(middle, np.sin(2 * np.pi * middle.time), atol=5e-3)
    fast = trace("fluorescence", np.sin(2 * np.pi * 30 * time), rate=64.0)
    assert abs(stimuli.resample(fast, 16.0).sel(time=slice(1, 9))).max() < 0.01, "no alias"
    assert abs(stimuli.resample(fast, 16.0, method="hold")).max() > 0.5


def test_a_whole_recording_is_resampled():
    part = xr.Dataset(
        {
            "stimulus": (("time", "y", "x"), np.arange(12.0).reshape(6, 2, 1)),
            "firing_rate": (("time", "cell"), np.arange(6.0)[:, None]),
            "spike_count": (("repeat", "time", "cell"), np.ones((2, 6, 1), np.int16)),
        },
        {
            "time": ("time", np.arange(6) / 100, {"units": "s"}),
            "segment": ("time", [0, 0, 0, 1, 1, 1]),
            "cell": ["a"],
            "bin_width": ((), 0.01, {"units": "s"}),
        },
    )
    tree = xr.DataTree.from_dict({"train": part, "test": part.isel(time=slice(4))})
    made = stimuli.resample(tree, 50.0)
    train = made["train"].to_dataset()
    assert (train.sizes["time"], made["test"].sizes["time"]) == (3, 2)
    np.testing.assert_allclose(train.firing_rate[:, 0], [0.5, 2.5, 4.5])
    assert train.stimulus[:, 0, 0].values.tolist() == [0, 4, 8]
    assert train.segment.values.tolist() == [0, 0, 1]
    assert float(train.bin_width) == pytest.approx(0.02)
    assert (train.spike_count == 2).all()
    assert train.time.attrs["units"] == "s"
    assert stimuli.resample(part, 100.0).identical(part)
    alone = stimuli.resample(tree["train"], 50.0)
    assert alone.firing_rate.identical(made["train"].firing_rate)


def test_no_frame_is_invented_in_a_gap():
    times = np.r_[np.arange(4) / 100, 7 + np.arange(6) / 100]
    part = xr.Dataset(
        {
            "stimulus": ("time", np.arange(10.0)),
            "firing_rate": ("time", np.arange(10.0)),
            "spike_count": ("time", np.arange(10)),
            "membrane_potential": ("time", np.arange(10.0)),
        },
        {"time": times, "bin_width": 0.01},
    )
    half = stimuli.resample(part, 50.0)
    np.testing.assert_allclose(half.time, [0, 0.02, 7, 7.02, 7.04])
    assert half.stimulus.values.tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(half.firing_rate, [0.5, 2.5, 4.5, 6.5, 8.5])
    assert half.spike_count.values.tolist() == [1, 5, 9, 13, 17]
    twice = stimuli.resample(part.drop_vars("spike_count"), 200.0)
    np.testing.assert_allclose(twice.time, np.r_[np.arange(8), 1400 + np.arange(12)] / 200)
    assert twice.stimulus.values.tolist() == np.repeat(np.arange(10), 2).tolist()
    inner = twice.membrane_potential.values[:7]
    np.testing.assert_allclose(inner, np.arange(7) / 2)
    assert stimuli.resample(part, 100.0).identical(part), "they have this rate already"


def test_a_gap_that_is_left_is_still_seen_as_one():
    times = np.delete(np.arange(40), 23) / 100  # one frame is missing
    slow = stimuli.resample(trace("stimulus", np.arange(39.0)).assign_coords(time=times), 20.0)
    assert len(clock.pieces(slow, 20.0)) == 2
    held = stimuli.resample(  # two frame rates are no gap: frames were on for longer
        trace("stimulus", np.arange(6.0)).assign_coords(time=[0, 0.1, 0.2, 0.4, 0.6, 0.8]), 10.0
    )
    assert held.values.tolist() == [0, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_segments_stay_with_what_is_made_of_a_trace():
    light = trace("intensity", [0.0, 1.0, 2.0]).assign_coords(segment=("time", [0, 0, 1]))
    assert stimuli.full_field(light, (2, 2)).segment.values.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stimuli.disc([1.0], diameter=-1.0, **ONE), "a diameter of -1.0"),
        (lambda: stimuli.annulus([1.0], inner=5, outer=4, **ONE), "around a hole of 5"),
        (lambda: stimuli.disc([1.0], diameter=1.0), "frame_rate=net.frame_rate"),
        (lambda: stimuli.disc([np.nan], diameter=1.0, **ONE), "the intensity with 1 NaN"),
        (lambda: stimuli.disc([1.0], (50,), diameter=1.0, **ONE), r"size=\(50,\)"),
        (lambda: stimuli.disc([1.0], (0, 5), diameter=1.0, **ONE), r"pixels \(y, x\)"),
        (lambda: stimuli.disc([1.0], diameter=1.0, um_per_pixel=0, **ONE), "um_per_pixel=0"),
        (lambda: stimuli.disc([1.0], diameter=1.0, frame_rate=-5), "frames per second, above 0"),
        (lambda: stimuli.full_field(noise(), **ONE), r"dims \('time', 'y', 'x'\)"),
        (lambda: stimuli.bar([1.0], width=0, **ONE), "a bar of None x 0"),
        (lambda: stimuli.bar([1.0] * 3, width=1, position=[1, 2], **ONE), "for 3 frames"),
        (lambda: stimuli.boxes([1.0], **ONE), r"boxes of shape \(1,\)"),
        (lambda: stimuli.boxes([[[1.0]]], box=-1, **ONE), "box=-1"),
        (lambda: stimuli.checkerboard([1.0], box=0, **ONE), "box=0"),
        (lambda: stimuli.resample(trace("loading", [1.0, 2.0]), 50.0), "variable 'loading'"),
        (lambda: stimuli.resample(trace("firing_rate", [1.0, 2.0]), 0), "frame_rate=0"),
        (lambda: stimuli.resample(trace("firing_rate", [1.0, 2.0]), 1.0), "at least one frame"),
        (lambda: stimuli.resample(trace("stimulus", [1.0]), 1.0), "a single time"),
        (lambda: stimuli.resample(xr.DataArray([1.0, 2.0], dims="time"), 1.0), "without times"),
        (lambda: stimuli.pad(trace("stimulus", [1.0]), (3, 3)), r"dims \('time',\)"),
    ],
)
def test_bad_input_says_what_to_type(call, message):
    with pytest.raises(InputError, match=message):
        call()


def shown(part, **options):
    return stimuli.present(part, (4, 4), 100.0, **options).stimulus


def test_contrasts_become_the_light_that_a_model_takes():
    contrast = noise(y=2, x=2).assign_attrs(units="contrast")
    part = contrast.assign_coords(time=np.arange(4) / 100).to_dataset(name="stimulus")
    frames = shown(part, mean=50.0, deviation=20.0)
    expected = 50 + 20 * contrast.values
    np.testing.assert_allclose(frames[:, 1:3, 1:3], expected, rtol=1e-6)
    assert (frames.values[:, 0] == 50).all()
    assert frames.attrs["units"] != "contrast"
    np.testing.assert_array_equal(shown(part)[:, 1:3, 1:3], contrast)
    assert shown(part).attrs["units"] == "contrast"
    light = part.assign(stimulus=part.stimulus.assign_attrs(units="intensity of the display"))
    kept = shown(light, mean=50.0, deviation=20.0)
    np.testing.assert_array_equal(kept[:, 1:3, 1:3], contrast)
    assert (kept.values[:, :, 3] == 50).all()


def test_traces_of_light_are_shown_as_contrast():
    trace = {"intensity": ("time", [1.0, 3.0, 2.0]), "fluorescence": ("time", [0.0, 1.0, 2.0])}
    part = xr.Dataset(trace, {"time": [0.0, 0.01, 0.02]}, {"geometry": "disc"})
    frames = shown(part, diameter=2.0, mean=10.0, deviation=4.0)
    assert frames[:, 0, 0].values.tolist() == [10.0, 10.0, 10.0]
    expected = 160 + np.array([-0.5, 0.5, 0]) * 4 * np.pi  # 16 pixels of grey, a disc of area pi
    np.testing.assert_allclose(frames.sum(("y", "x")), expected, rtol=1e-6)
    whole = stimuli.present(part.assign_attrs(geometry="full field"), (2, 2))
    assert whole.stimulus[:, 1, 1].values.tolist() == [-0.5, 0.5, 0.0]
    assert whole.fluorescence.values.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(InputError, match="--spot 6"):
        shown(part)
    with pytest.raises(InputError, match="geometry='disc' or 'full field'"):
        shown(part.assign_attrs(geometry="annulus"))
    with pytest.raises(InputError, match="a mean above 0"):
        shown(part.assign(intensity=part.intensity - 2), diameter=2.0)


def test_methods_that_do_not_exist_or_do_not_fit():
    wave = trace("membrane_potential", np.zeros(9))
    with pytest.raises(UnknownNameError, match="'hold'"):
        stimuli.resample(wave, 10.0, method="held")
    with pytest.raises(InputError, match="a single time"):
        stimuli.resample(wave[0], 10.0)
    irregular = wave.assign_coords(time=np.sort(np.random.default_rng(0).random(9)))
    with pytest.raises(InputError, match="method='linear'"):
        stimuli.resample(irregular, 5.0, method="polyphase")
    assert stimuli.resample(irregular, 50.0, method="linear").sizes["time"] > 9
