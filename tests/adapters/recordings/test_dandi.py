"""NWB files as laboratories put them on DANDI, written with pynwb."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from laboratory import COUNTS, FRAMES, MOVIE, RATE, SPIKES, TIMES

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecError, NeurocodecWarning, StorageError

pynwb = pytest.importorskip("pynwb")
STORED = MOVIE.transpose(0, 2, 1)
"""Frames (time, x, y), in the order of the format."""
STARTS = np.array([2.0, 5.0, 9.0])
AGAIN = {k: np.concatenate([s + x for s in STARTS]) for k, x in SPIKES.items()}
TIMED = {"starting_time": 0.0, "rate": RATE}


class File:
    """An NWB file, to which a test adds what it is about."""

    def __init__(self, path):
        self.path, self.older = path / "r.nwb", False
        self.content = pynwb.NWBFile("a retina", "id", datetime(2020, 1, 1, tzinfo=UTC))

    def movie(self, name="movie", data=STORED, kind=None, where="stimulus", unit="a.u.", **options):
        options = options if "timestamps" in options else {**TIMED, **options}
        kind = kind or pynwb.image.ImageSeries
        series = kind(name=name, data=data, unit=unit, **options)
        getattr(self.content, f"add_{where}")(series)
        return series

    def template(self, rows, times, *, older=False):
        """Rows of images; in files of older versions rows of a series of frames."""
        pictures = [
            pynwb.image.GrayscaleImage(name=f"{k:02d}", data=x) for k, x in enumerate(STORED)
        ]
        order = pynwb.base.ImageReferences(name="order_of_images", data=pictures)
        images = pynwb.base.Images(name="images", images=pictures, order_of_images=order)
        self.content.add_stimulus_template(images)
        told = {"data": np.asarray(rows, np.uint32), "unit": "N/A", "indexed_images": images}
        series = pynwb.image.IndexSeries(name="movie", timestamps=np.asarray(times, float), **told)
        self.content.add_stimulus(series)
        if older:
            frames = pynwb.image.ImageSeries(name="frames", data=STORED, unit="a.u.", rate=1.0)
            self.content.add_stimulus_template(frames)
            self.older = True

    def units(self, spikes=SPIKES, **columns):
        for name in columns:
            if name != "obs_intervals":
                self.content.add_unit_column(name, name)
        for i, times in enumerate(spikes.values()):
            told = {k: x[i] for k, x in columns.items()}
            self.content.add_unit(spike_times=times, **told)
        return self

    def trials(self, starts, lasting):
        for start in starts:
            self.content.add_trial(start_time=start, stop_time=start + lasting)

    def module(self, *items):
        made = self.content.create_processing_module("m", "made")
        for item in items:
            made.add(item)

    def rois(self, data, name="dff", rois=2, **options):
        device = self.content.create_device("microscope")
        channel = pynwb.ophys.OpticalChannel(name="c", description="c", emission_lambda=500.0)
        plane = self.content.create_imaging_plane(
            name="plane",
            optical_channel=channel,
            device=device,
            description="p",
            excitation_lambda=920.0,
            indicator="GCaMP",
            location="retina",
        )
        found = pynwb.ophys.ImageSegmentation()
        traces = pynwb.ophys.DfOverF()
        self.module(found, traces)
        cells = found.create_plane_segmentation(
            name="cells", description="by hand", imaging_plane=plane
        )
        for i in range(rois):
            cells.add_roi(pixel_mask=[(i, 0, 1.0)])
        region = cells.create_roi_table_region(description="all", region=[*range(rois)])
        traces.create_roi_response_series(
            name=name, data=data, rois=region, unit="dF/F", **{**TIMED, **options}
        )

    def read(self, **options):
        with pynwb.NWBHDF5IO(str(self.path), "w") as file:
            file.write(self.content)
        if self.older:  # pynwb reads this, and no longer writes it
            with h5py.File(self.path, "r+") as file:
                series = file["stimulus/presentation/movie"]
                del series["indexed_images"], file["stimulus/templates/images"]
                series["indexed_timeseries"] = h5py.SoftLink("/stimulus/templates/frames")
        return nc.read_recording(self.path, **options)


@pytest.fixture
def file(tmp_path):
    return File(tmp_path)


@pytest.mark.parametrize("older", [False, True])
def test_rows_of_a_template_are_the_frames_that_were_on(file, older):
    rows = [3, 3, 0, 11, 5, 5, 5, 2, 1, 0, 9, 8]
    file.template(rows, TIMES, older=older)
    found = file.units().read()["movie"]
    np.testing.assert_array_equal(found.stimulus, MOVIE[rows])
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_colours(file):
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 4, 3, 3), dtype=np.uint8)
    file.movie(data=frames)
    found = file.units().read()["movie"]
    assert found.stimulus.dims == ("time", "color", "y", "x")
    assert found.color.values.tolist() == ["red", "green", "blue"]
    np.testing.assert_array_equal(
        found.stimulus.isel(time=[2, 5]), frames.transpose(0, 3, 2, 1)[[2, 5]]
    )
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_light_is_a_movie_of_one_pixel_and_a_voltage_is_none(file):
    light = np.linspace(0, 1, FRAMES)
    file.movie("light", light, pynwb.TimeSeries, unit="cd/m2", conversion=2.0)
    file.movie("command", light, pynwb.TimeSeries, unit="V")
    tree = file.units().read()
    assert [*tree] == ["light"]
    np.testing.assert_allclose(tree["light"].stimulus[:, 0, 0], 2 * light)
    np.testing.assert_array_equal(tree["light"].spike_count[0], COUNTS)
    assert "stimuli: command" in tree.attrs["reading"]


def test_a_stimulus_among_the_acquisitions_is_taken_and_told(file):
    file.movie(where="acquisition")
    with pytest.warns(NeurocodecWarning, match="taken from the acquisitions: movie"):
        found = file.units().read()["movie"]
    np.testing.assert_array_equal(found.stimulus, MOVIE)


def test_a_video_of_the_eye_is_no_stimulus_beside_one(file):
    file.movie()
    file.movie("eye", where="acquisition")
    assert [*file.units().read()] == ["movie"]


def test_trials_of_a_template_are_repeats(file):
    times = (STARTS[:, None] + TIMES).ravel()
    file.template([*range(FRAMES)] * 3, times)
    file.trials(STARTS, 1.2)
    found = file.units(AGAIN).read()["movie"]
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))
    np.testing.assert_array_equal(found.stimulus, MOVIE)
    np.testing.assert_allclose(found.time, TIMES, atol=1e-9)


def test_trials_that_repeat_among_others_that_do_not(file):
    """Frozen frames are repeats, running ones are one part in segments."""
    other = np.arange(FRAMES)
    rows = np.concatenate([other, other[::-1], other, np.roll(other, 3)])
    starts = np.array([0.0, 2.0, 4.0, 6.0])
    file.movie(data=STORED[rows], timestamps=(starts[:, None] + TIMES).ravel())
    file.trials(starts, 1.2)
    tree = file.units({"a": np.r_[0.13, 2.71, 4.13, 6.25]}).read()
    assert {*tree} == {"movie", "movie repeated"}
    repeated, running = tree["movie repeated"], tree["movie"]
    np.testing.assert_array_equal(repeated.stimulus, MOVIE)
    assert repeated.spike_count[:, 1, 0].values.tolist() == [1, 1]
    assert running.segment.values.tolist() == [0] * FRAMES + [1] * FRAMES
    np.testing.assert_array_equal(running.stimulus, MOVIE[np.r_[other[::-1], np.roll(other, 3)]])
    assert np.flatnonzero(running.spike_count[0, :, 0]).tolist() == [7, 14]


def test_frames_that_are_stored_once_are_shown_in_every_trial(file):
    file.movie(starting_time=2.0)
    file.trials(STARTS, 1.5)
    with pytest.warns(NeurocodecWarning, match="shown in each of the 3 trials"):
        found = file.units(AGAIN).read()["movie"]
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))
    np.testing.assert_allclose(found.trial_start, STARTS)


def test_trials_of_two_stimuli_are_no_repeats_of_the_first(file):
    file.movie()
    file.movie("second", STORED[::-1], starting_time=5.0)
    file.trials([0.0, 5.0], 1.2)
    tree = file.units({"a": [0.13, 5.25]}).read()
    assert [tree[name].sizes["repeat"] for name in ("movie", "second")] == [1, 1]


def test_epochs_are_parts_and_those_of_a_name_its_segments(file):
    file.movie()
    for start, stop, tag in ((0.0, 0.4, "noise"), (0.4, 0.8, "movie"), (0.8, 1.1, "noise")):
        file.content.add_epoch(start, stop, [tag])
    tree = file.units().read()
    assert [*tree] == ["noise", "movie"]
    noise = [0, 1, 2, 3, 8, 9, 10]
    np.testing.assert_array_equal(tree["noise"].stimulus, MOVIE[noise])
    np.testing.assert_array_equal(tree["noise"].spike_count[0], COUNTS[noise])
    assert tree["noise"].segment.values.tolist() == [0] * 4 + [1] * 3
    np.testing.assert_array_equal(tree["movie"].stimulus, MOVIE[4:8])
    assert "1 frames of movie, outside of all epochs" in tree.attrs["reading"]


def test_frames_in_which_a_unit_was_not_observed_are_left(file):
    file.movie()
    whole, most, little = [[0.0, 1.2]], [[0.0, 0.3], [0.4, 1.2]], [[0.0, 0.2]]
    spikes = {**SPIKES, "c": [0.1]}
    tree = file.units(spikes, obs_intervals=[whole, most, little]).read()
    kept = np.delete(np.arange(FRAMES), 3)
    np.testing.assert_array_equal(tree["movie"].stimulus, MOVIE[kept])
    np.testing.assert_array_equal(tree["movie"].spike_count[0], COUNTS[kept])
    assert tree["movie"].cell.values.tolist() == ["unit 0", "unit 1"]
    assert "units that were not observed in movie: unit 2" in tree.attrs["reading"]
    assert "1 frames of movie, in which not all units" in tree.attrs["reading"]


def test_invalid_times_are_left_with_their_trials(file):
    times = (STARTS[:, None] + TIMES).ravel()
    file.template([*range(FRAMES)] * 3, times)
    file.trials(STARTS, 1.2)
    file.content.add_invalid_time_interval(5.3, 5.45)
    tree = file.units(AGAIN).read()
    assert tree["movie"].trial_start.values.tolist() == [2.0, 9.0]
    np.testing.assert_array_equal(tree["movie"].spike_count, np.stack([COUNTS] * 2))
    assert "2 frames of movie, in invalid times" in tree.attrs["reading"]


def test_invalid_times_cut_a_movie(file):
    file.movie()
    file.content.add_invalid_time_interval(0.42, 0.58)
    found = file.units().read()["movie"]
    kept = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(found.stimulus, MOVIE[kept])
    np.testing.assert_array_equal(found.spike_count[0], COUNTS[kept])


@pytest.mark.parametrize("interval", [(0.58, 0.42), (0.42, 0.58)])
def test_invalid_times_that_stop_before_they_start_are_turned(interval, file):
    file.movie()
    file.content.add_invalid_time_interval(*interval)
    file.units()
    if interval[0] > interval[1]:
        with pytest.warns(NeurocodecWarning, match="0.58 to 0.42 s, which stop before they start"):
            found = file.read()["movie"]
    else:
        found = file.read()["movie"]
    np.testing.assert_array_equal(found.stimulus, MOVIE[[0, 1, 2, 3, 6, 7, 8, 9, 10, 11]])


def test_trials_that_show_other_frames_are_told(file):
    file.movie()
    file.content.add_trial(start_time=0.0, stop_time=0.5)
    file.content.add_trial(start_time=0.5, stop_time=1.2)
    tree = file.units().read()
    np.testing.assert_array_equal(tree["movie"].spike_count[0], COUNTS)
    assert "2 trials, no two of which show the same frames of movie" in tree.attrs["reading"]


def test_names_and_quality_are_kept_and_noise_is_left(file):
    file.movie()
    spikes = {**SPIKES, "c": [0.1]}
    labels = {"unit_name": ["ON 1", "OFF 1", "hum"], "quality": ["good", "mua", "noise"]}
    tree = file.units(spikes, **labels, snr=[1.0, 2.0, 3.0]).read()
    assert tree["movie"].cell.values.tolist() == ["ON 1", "OFF 1"]
    assert tree["movie"].quality.values.tolist() == ["good", "mua"]
    assert "1 noise units: hum" in tree.attrs["reading"]
    assert "columns of the units: snr" in tree.attrs["reading"]
    good = nc.read_recording(file.path, quality="good")["movie"]
    assert good.cell.values.tolist() == ["ON 1"]
    assert nc.read_recording(file.path, quality="all")["movie"].sizes["cell"] == 3


def test_names_that_are_not_all_different(file):
    file.movie()
    tree = file.units(unit_name=["x", "x"]).read()
    assert tree["movie"].cell.values.tolist() == ["unit 0", "unit 1"]
    assert "names of the units in 'unit_name'" in tree.attrs["reading"]


def test_units_of_a_processing_module(file):
    file.movie()
    table = pynwb.misc.Units(name="sorted", description="by hand")
    for times in SPIKES.values():
        table.add_unit(spike_times=times)
    file.module(table)
    tree = file.read()
    np.testing.assert_array_equal(tree["movie"].spike_count[0], COUNTS)
    assert "m/sorted" in tree.attrs["reading"]


@pytest.mark.parametrize("to_frames", [False, True])
def test_imaged_cells(file, to_frames):
    trace = np.arange(48.0).reshape(24, 2)
    file.movie()
    file.rois(trace, rate=2 * RATE)
    tree = file.read(to_frames=to_frames)
    found = tree["movie" if to_frames else "dff"].fluorescence
    assert found.dims == ("time", "interneuron")
    assert found.attrs["units"] == "dF/F"
    expected = trace.reshape(FRAMES, 2, 2).mean(1) if to_frames else trace
    np.testing.assert_allclose(found, expected)
    assert found.interneuron.values.tolist() == ["roi 0", "roi 1"]


def test_two_stimuli_and_spikes_of_a_longer_session(file):
    file.movie()
    file.movie("second", starting_time=50.0)
    tree = file.units({"a": np.r_[0.13, np.arange(10.0, 40.0), 50.25]}).read()
    assert [int(tree[name].spike_count.sum()) for name in ("movie", "second")] == [1, 1]
    assert "30 of 32 spikes, outside of the stimulus" in tree.attrs["reading"]


def external(file):
    series = pynwb.image.ImageSeries(
        name="movie",
        external_file=["movie.avi"],
        format="external",
        starting_frame=[0],
        timestamps=TIMES,
        unit="n.a.",
    )
    file.content.add_stimulus(series)


def test_frames_in_a_video_are_named(file):
    external(file)
    with pytest.raises(InputError, match=r"'movie' are in the video 'movie.avi'") as told:
        file.units().read()
    assert "nc.recording(frames" in told.value.hint


def test_frames_in_a_video_beside_others_are_left(file):
    external(file)
    file.movie("inside")
    tree = file.units().read()
    assert [*tree] == ["inside"]
    assert "the frames of 'movie', which are in the file 'movie.avi'" in tree.attrs["reading"]


def of_template(rows):
    def made(file):
        file.template(rows, TIMES[: len(rows)])
        file.units()

    return made


def movie_and(change):
    def made(file):
        file.movie()
        change(file)

    return made


REFUSED = {
    "rows beyond the template": (of_template([0, 12]), "rows 0 to 12 of a template of 12"),
    "times that fall": (
        lambda f: f.movie(timestamps=TIMES[::-1]) and f.units(),
        "'movie' that do not rise",
    ),
    "spikes on another clock": (
        movie_and(lambda f: f.units({"a": np.arange(100.5, 200.0)})),
        "on one clock",
    ),
    "spikes at whole seconds": (
        movie_and(lambda f: f.units({"a": np.arange(100.0)})),
        "whole numbers.*samples / 30000",
    ),
    "spikes in samples": (
        movie_and(lambda f: f.units({"a": np.arange(0.0, 30000.0, 0.9)})),
        "on one clock",
    ),
    "NaN spikes": (movie_and(lambda f: f.units({"a": [np.nan]})), "NaN or infinite"),
    "units without spikes": (
        movie_and(lambda f: (f.content.add_unit_column("snr", "snr"), f.content.add_unit(snr=1.0))),
        "a column 'spike_times'",
    ),
    "no unit but noise": (
        movie_and(lambda f: f.units(quality=["noise", "noise"])),
        "quality='all'",
    ),
    "all of it invalid": (
        movie_and(lambda f: f.units().content.add_invalid_time_interval(0.0, 2.0)),
        "of which no two frames",
    ),
    "seven colours": (lambda f: f.movie(data=np.zeros((FRAMES, 3, 3, 7))), "up to 4 colours"),
    "traces of other cells": (
        lambda f: f.rois(np.zeros((24, 5))),
        r"of shape \(24, 5\) for 2 regions",
    ),
    "units alone": (lambda f: f.units(), "none and 2 units"),
}


@pytest.mark.filterwarnings("ignore:RoiResponseSeries 'dff'")  # pynwb sees it as well
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_is_named(kind, file):
    make, told = REFUSED[kind]
    make(file)
    with pytest.raises(NeurocodecError, match=f"(?s){told}"):
        file.read()


def test_units_of_one_number_are_refused(file):
    """The spikes of one of them would disappear."""
    file.movie()
    for times in SPIKES.values():
        file.content.add_unit(spike_times=times, id=1)
    with pytest.raises(InputError, match="two cells called 'unit 1'"):
        file.read()


@pytest.mark.parametrize("second", [(2.0, 3.2), (2.5, 3.7)], ids=["twice", "overlapping"])
def test_trials_that_overlap_are_no_repeats(file, second):
    """Their spikes would count twice."""
    file.movie(data=np.tile(STORED[:2], (12, 1, 1)), starting_time=2.0)
    file.units({"a": [2.15, 2.31]})
    for start, stop in ((2.0, 3.2), second):
        file.content.add_trial(start_time=start, stop_time=stop)
    with pytest.warns(NeurocodecWarning, match="no trials are taken as repeats"):
        found = file.read()["movie"]
    assert found.spike_count.shape[:2] == (1, 24)
    assert int(found.spike_count.sum()) == 2


def test_trials_and_epochs_without_an_end_are_left(file):
    file.movie()
    file.units()
    file.content.add_trial(start_time=0.0, stop_time=np.nan)
    file.content.add_epoch(start_time=0.0, stop_time=np.nan, tags=["a"])
    file.content.add_epoch(start_time=0.6, stop_time=1.2, tags=["b"])
    tree = file.read()
    assert [*tree] == ["b"]
    assert "trials without a start, or a stop after it: 0" in tree.attrs["reading"]
    assert "epochs without a start, or a stop after it: 0" in tree.attrs["reading"]


def test_observation_in_intervals_that_overlap_or_touch(file):
    file.movie()
    seen = [[[-1.0, 5.0], [0.2, 0.3]], [[-1.0, 0.45], [0.45, 5.0], [3.0, np.nan]]]
    file.units(obs_intervals=seen)
    tree = file.read()
    np.testing.assert_array_equal(tree["movie"].spike_count[0], COUNTS)
    assert "1 obs_intervals of unit 1 without a start" in tree.attrs["reading"]


def test_light_of_one_column_and_text_that_is_no_light(file):
    light = np.arange(FRAMES * 1.0)
    file.movie("light", light[:, None], pynwb.TimeSeries)
    file.movie("notes", ["a"] * FRAMES, pynwb.TimeSeries)
    file.units()
    tree = file.read()
    np.testing.assert_array_equal(tree["light"].stimulus[:, 0, 0], light)
    assert "stimuli: notes" in tree.attrs["reading"]


def test_a_file_that_is_no_valid_nwb(file):
    file.movie()
    file.units()
    file.read()
    with h5py.File(file.path, "r+") as content:
        del content["stimulus/presentation/movie/starting_time"]
    with pytest.raises(StorageError, match="pynwb cannot read"):
        nc.read_recording(file.path)


def test_frames_that_several_epochs_share_are_told(file):
    file.movie()
    for start, stop, tag in ((0.0, 0.8, "fit"), (0.5, 1.1, "test")):
        file.content.add_epoch(start, stop, [tag])
    with pytest.warns(UserWarning, match="3 frames are in several of the epochs 'fit', 'test'"):
        tree = file.units().read()
    assert [tree[name].sizes["time"] for name in tree] == [8, 6]


def test_a_template_that_a_table_shows_is_told_with_what_to_type(file):
    """As of the Allen Institute: a row of a table of intervals for each frame."""
    shown = np.arange(FRAMES)[::-1]
    template = pynwb.image.ImageSeries(name="movie_one", data=MOVIE, unit="a.u.", rate=RATE)
    file.content.add_stimulus_template(template)
    table = pynwb.epoch.TimeIntervals(name="movie_one_presentations", description="frames")
    table.add_column("frame", "row of the template")
    for row, time in zip(shown, TIMES, strict=True):
        table.add_row(start_time=time, stop_time=time + 0.1, frame=int(row))
    file.content.add_time_intervals(table)
    with pytest.raises(InputError, match="'movie_one_presentations'") as raised:
        file.units().read()
    with pynwb.NWBHDF5IO(file.path, "r") as io:
        told = {"nc": nc, "nwbfile": io.read()}
        before, _, call = raised.value.hint.partition("; ")
        exec(before, told)  # noqa: S102 - what it says to type
        found = eval(call, told)  # noqa: S307
        np.testing.assert_array_equal(found.spike_count[0], COUNTS)
        np.testing.assert_array_equal(found.stimulus, MOVIE[::-1])
