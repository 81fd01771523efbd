"""Spike times in the files of sorters, MATLAB and numpy, in text; stimuli beside them."""

import pathlib
import shutil

import h5py
import numpy as np
import pytest
from laboratory import (
    COUNTS,
    FRAMES,
    MOVIE,
    RATE,
    SAMPLES,
    SPIKES,
    TIMES,
    NewMatlab,
    pairs,
    phy_folder,
    spikeinterface_folder,
)
from scipy.io import savemat

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecError, StorageError

CELLS = [*SPIKES.values()]


def array_of(*values):
    """MATLAB's cell array."""
    made = np.empty(len(values), object)
    made[:] = values
    return made


def one_a_file(path):
    path.mkdir()
    for name, times in SPIKES.items():
        np.savetxt(path / f"{name}.txt", times, header="seconds")
    return path


def table(path, header="cell,time", scale=1.0, separator=","):
    times, cells = pairs()
    rows = [f"{'ab'[c]}{separator}{scale * t:.6f}" for t, c in zip(times, cells, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def lines(path):
    path.write_text("".join(f"{k}: {' '.join(map(str, x))}\n" for k, x in SPIKES.items()))
    return path


def old(path, **arrays):
    savemat(path, arrays)
    return path


def new(path, **arrays):
    with NewMatlab(path) as file:
        for name, value in arrays.items():
            file.put(name, value)
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


STRUCTS = np.array(
    [("a", CELLS[0], "ON"), ("b", CELLS[1], "OFF")],
    [("name", object), ("times", object), ("cell_type", object)],
)
SPIKE_FILES = {
    "phy": lambda p: phy_folder(p / "phy"),
    "kilosort's own labels": lambda p: phy_folder(
        p / "ks", table="cluster_KSLabel.tsv", column="KSLabel"
    ),
    "labels as Kilosort writes them": lambda p: phy_folder(p / "ks", column="KSLabel"),
    "phy's table of everything": lambda p: phy_folder(p / "ks", table="cluster_info.tsv"),
    "spikeinterface": lambda p: spikeinterface_folder(p / "si"),
    "a text file a cell": lambda p: one_a_file(p / "text"),
    "a table": lambda p: table(p / "spikes.csv"),
    "a table in ms": lambda p: table(p / "spikes.tsv", "unit\tspike_time (ms)", 1e3, "\t"),
    "a line a cell": lambda p: lines(p / "spikes.txt"),
    "MATLAB 5, a cell array": lambda p: old(p / "s.mat", spikeTimes=array_of(*CELLS)),
    "MATLAB 5, structs": lambda p: old(p / "s.mat", spikes=STRUCTS),
    "MATLAB 5, pairs in samples": lambda p: old(
        p / "s.mat",
        spike_times=np.round(pairs()[0] * SAMPLES),
        spike_cell=pairs()[1] + 1,
        fs=SAMPLES,
    ),
    "MATLAB 7.3, a cell array": lambda p: new(p / "s.mat", spike_times=CELLS, cells=["a", "b"]),
    "MATLAB 7.3, structs": lambda p: new(
        p / "s.mat", spikes={"name": ("a", "b"), "spike_times": tuple(CELLS)}
    ),
    "npz, pairs": lambda p: npz(p / "s.npz", spike_times=pairs()[0], spike_cell=pairs()[1]),
    "npz, named pairs": lambda p: npz(
        p / "s.npz", spike_times=pairs()[0], spike_cell=np.array(["a", "b"])[pairs()[1]]
    ),
}


@pytest.mark.parametrize("kind", SPIKE_FILES)
def test_spikes_of_a_file_beside_frames_in_memory(kind, tmp_path):
    path = SPIKE_FILES[kind](tmp_path)
    found = nc.recording(MOVIE, path, frame_times=TIMES)
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)
    with pytest.raises(InputError, match="stimulus"):
        nc.read_recording(path)


FRAMES_LAST = MOVIE.transpose(1, 2, 0)
"""Frames (y, x, time), as MATLAB has them."""
WHOLE = {
    "MATLAB 5": lambda p: old(
        p / "r.mat", spike_times=array_of(*CELLS), stimulus=FRAMES_LAST, frame_times=TIMES
    ),
    "MATLAB 5, time first": lambda p: old(
        p / "r.mat", spike_times=array_of(*CELLS), stim=MOVIE, frameTimes=TIMES[:, None]
    ),
    "MATLAB 7.3": lambda p: new(
        p / "r.mat", spike_times=CELLS, movie=FRAMES_LAST, triggers=TIMES[:, None]
    ),
    "MATLAB 7.3, rows from 1": lambda p: new(
        p / "r.mat",
        spikes={"name": ("a", "b"), "times": tuple(CELLS)},
        stimulus=FRAMES_LAST[..., ::-1],
        stimulus_axes="(y, x, time)",
        frame_order=np.arange(FRAMES, 0, -1.0),
        frame_rate=RATE,
    ),
    "npz": lambda p: npz(
        p / "r.npz", spike_times=pairs()[0], spike_cell=pairs()[1], stimulus=MOVIE, time=TIMES
    ),
    "npz, in parts": lambda p: npz(
        p / "r.npz",
        **{
            "recording/spike_times": pairs()[0],
            "recording/spike_cell": pairs()[1],
            "recording/cell": ["ON 1", "OFF 1"],
            "recording/stimulus": MOVIE,
            "recording/frame_rate": RATE,
        },
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_recordings(kind, tmp_path):
    found = nc.read_recording(WHOLE[kind](tmp_path))["recording"]
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)
    np.testing.assert_array_equal(found.stimulus, MOVIE)
    np.testing.assert_allclose(found.time, TIMES)


def test_structs_of_matlab_with_a_stimulus_each_are_parts(tmp_path):
    part = {"spike_times": array_of(*CELLS), "stimulus": FRAMES_LAST, "frame_times": TIMES}
    light = {**part, "stimulus": np.arange(FRAMES * 1.0)}
    path = old(tmp_path / "r.mat", train=part, test=light, note="x")
    found = nc.read_recording(path)
    assert [*found] == ["train", "test"]
    np.testing.assert_array_equal(found["train"].stimulus, MOVIE)
    np.testing.assert_array_equal(found["test"].stimulus[:, 0, 0], np.arange(FRAMES))


def test_repeats_and_frames_of_an_npz_stay_in_it(tmp_path):
    spikes = np.concatenate([s + CELLS[0] for s in (1.0, 4.0)])
    path = npz(
        tmp_path / "r.npz",
        spike_times=spikes,
        spike_cell=[5] * 4,
        stimulus=MOVIE,
        trials=[1.0, 4.0],
        frame_rate=RATE,
        temperature=37.0,
    )
    tree = nc.read_recording(path)
    found = tree["recording"]
    np.testing.assert_array_equal(found.spike_count[:, :, 0], np.stack([COUNTS[:, 0]] * 2))
    assert found.cell.values.tolist() == ["unit 5"]
    assert "left arrays: temperature" in tree.attrs["reading"]
    path.unlink()
    with pytest.raises(StorageError, match="can no longer be read"):
        found.stimulus.load()


@pytest.mark.parametrize(
    ("quality", "cells"),
    [
        (None, ["unit 3"]),
        ("mua", ["unit 8"]),
        (["good", "mua"], ["unit 3", "unit 8"]),
        ("all", ["unit 3", "unit 8", "unit 9"]),
    ],
)
def test_good_units_are_kept_and_the_others_told(tmp_path, quality, cells):
    path = phy_folder(tmp_path / "phy", labels=("good", "mua"))
    found = nc.recording(MOVIE, path, frame_times=TIMES, quality=quality)
    assert found.cell.values.tolist() == cells
    if quality is None:
        assert "1 mua units: unit 8; 1 noise units: unit 9" in found.attrs["reading"]


def test_what_a_person_said_counts_more_than_the_sorter(tmp_path):
    path = phy_folder(tmp_path / "phy", labels=("good", "noise"))
    (path / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n3\tmua\n8\tgood\n")
    found = nc.recording(MOVIE, path, frame_times=TIMES)
    assert found.cell.values.tolist() == ["unit 3"]
    with pytest.raises(InputError, match="no cell of quality 'fine'"):
        nc.recording(MOVIE, path, frame_times=TIMES, quality="fine")
    (path / "cluster_group.tsv").write_text("cluster_id\tgroup\n")  # nobody said anything
    found = nc.recording(MOVIE, path, frame_times=TIMES)
    assert found.cell.values.tolist() == ["unit 8"]
    for name in ("cluster_group.tsv", "cluster_KSLabel.tsv"):
        (path / name).unlink()
    found = nc.recording(MOVIE, path, frame_times=TIMES)
    assert found.sizes["cell"] == 3
    assert "no table of labels" in found.attrs["reading"]
    with pytest.raises(InputError, match="without a label of quality"):
        nc.recording(MOVIE, path, frame_times=TIMES, quality="good")


def test_a_rate_of_samples_that_is_told(tmp_path):
    path = phy_folder(tmp_path / "phy")
    (path / "params.py").unlink()
    found = nc.recording(MOVIE, path, frame_times=TIMES, sample_rate=SAMPLES)
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def session(path, **arrays):
    """HDF5 as open-retina reads it: two cells, 30 samples of a trace."""
    told = {
        "natural_inferred_spikes": np.arange(60.0).reshape(2, 30),
        "natural_raw_traces": np.zeros((2, 30)),
        "natural_trigger_times": np.array([[1.0, 6.0]]),
        "natural_traces_times": 1 + np.arange(30) / 8 + np.array([[0.0], [0.02]]),
        "roi_ids": np.array([4, 7]),
        "group_assignment": np.array([1, 28]),
        "roi_mask": np.zeros((4, 4)),
        **arrays,
    }
    with h5py.File(path, "w") as file:
        for name, value in told.items():
            if value is not None:
                file[f"session_1/{name}"] = value
    return path


def test_sessions_of_open_retina(tmp_path):
    tree = nc.read_recording(session(tmp_path / "r.h5"))
    found = tree["natural"]
    np.testing.assert_array_equal(found.firing_rate, np.arange(60.0).reshape(2, 30).T)
    assert found.cell.values.tolist() == ["roi 4", "roi 7"]
    assert found.group.values.tolist() == [1, 28]
    np.testing.assert_allclose(found.time, 1.01 + np.arange(30) / 8)
    assert found.trigger.values.tolist() == [1.0, 6.0]
    assert "natural_raw_traces" in tree.attrs["reading"]


def test_traces_of_open_retina_where_no_spikes_were_inferred(tmp_path):
    clock = {"natural_traces_t0": np.array([2.0, 2.0]), "natural_traces_dt": np.array([0.1, 0.1])}
    path = session(
        tmp_path / "r.h5", natural_inferred_spikes=None, natural_traces_times=None, **clock
    )
    found = nc.read_recording(path)["natural"]
    assert found.fluorescence.dims == ("time", "interneuron")
    np.testing.assert_allclose(found.time[:2], [2.0, 2.1])


def test_regions_of_open_retina_that_have_names(tmp_path):
    path = session(tmp_path / "r.h5", roi_ids=np.array([b"left", b"right"]))
    assert nc.read_recording(path)["natural"].cell.values.tolist() == ["left", "right"]


def changed(make, **files):
    """A folder of phy in which files are other ones, or (None) missing."""

    def made(path):
        folder = make(path / "folder")
        for name, value in files.items():
            file = folder / name.replace("__", ".")
            file.unlink(missing_ok=True)
            if isinstance(value, str):
                file.write_text(value)
            elif isinstance(value, bytes):
                file.write_bytes(value)
            elif value is not None:
                np.save(file, value)
        return folder

    return made


def text(content, name="s.txt"):
    def made(path):
        (path / name).write_bytes(content.encode("latin-1"))
        return path / name

    return made


def folder(**files):
    def made(path):
        for name, content in files.items():
            (path / name.replace("__", ".")).write_text(content)
        return path

    return made


REFUSED = {
    "clusters missing": (changed(phy_folder, spike_clusters__npy=None), "spike_clusters.npy or"),
    "no params": (changed(phy_folder, params__py=None), "without params.py"),
    "params without a rate": (changed(phy_folder, params__py="x = 1\n"), "has no sample_rate"),
    "params that compute": (
        changed(phy_folder, params__py="sample_rate = open('x').read()\n"),
        "has no sample_rate",
    ),
    "a rate of 0": (changed(phy_folder, params__py="sample_rate = 0\n"), "sample_rate=0"),
    "spikes of pickles": (
        changed(phy_folder, spike_times__npy=b"\x80\x04no array"),
        "spike_times.npy.*cannot be read",
    ),
    "spikes in seconds": (changed(phy_folder, spike_times__npy=np.zeros(7)), "of float64"),
    "other lengths": (
        changed(phy_folder, spike_clusters__npy=np.zeros(3, int)),
        "7 times and 3 cells",
    ),
    "no good unit": (lambda p: phy_folder(p / "x", labels=("mua", "mua")), "quality='all'"),
    "a table of other columns": (
        changed(phy_folder, cluster_group__tsv="cluster_id\tlabel\n3\tgood\n"),
        "'cluster_id', and 'group'",
    ),
    "a table of other numbers": (
        changed(phy_folder, cluster_group__tsv="cluster_id\tgroup\nthree\tgood\n"),
        "whole numbers as 'cluster_id'",
    ),
    "two segments": (lambda p: spikeinterface_folder(p / "si", segments=2), "2 segments"),
    "units that are not there": (
        lambda p: spikeinterface_folder(p / "si", unit_ids=["a"]),
        r"spikes of the units \[1\]",
    ),
    "facts that are no JSON": (
        changed(spikeinterface_folder, numpysorting_info__json="{"),
        "numpysorting_info.json.*cannot be read",
    ),
    "spikes of other fields": (
        changed(spikeinterface_folder, spikes__npy=np.zeros(3)),
        "'sample_index'",
    ),
    "spikes missing": (changed(spikeinterface_folder, spikes__npy=None), "without spikes.npy"),
    "two columns without a header": (text("1 0.5\n2 0.7\n"), "cell,time"),
    "a table without cells": (text("time,amplitude\n0.1,3\n"), "a column 'cell'"),
    "a table with a short line": (text("cell,time\na,0.1\nb\n"), "row 3"),
    "a table of words": (text("cell,time\na,soon\n"), "soon"),
    "a word among times": (text("0.1\nsoon\n"), "soon"),
    "two lines of a cell": (text("a 0.1\na 0.2\n"), "two lines of 'a'"),
    "bytes that are no text": (text("\xff\xfe\xfa"), "which is no text"),
    "tables in a folder": (folder(x__txt="a 0.1\nb 0.2\n"), "one cell a file"),
    "an empty folder": (lambda p: p, "nothing in it"),
    "a folder of something else": (folder(x__md="hi"), r"a folder with \['x.md'\]"),
    "an ending that says nothing": (text("0.1\n", "s.spk"), "spike_times="),
    "MATLAB without spikes": (lambda p: old(p / "s.mat", x=1.0), r"with \['x'\]"),
    "MATLAB with two spikes": (
        lambda p: old(p / "s.mat", spikes=TIMES, spike_times=TIMES),
        "both of which mean spike_times",
    ),
    "a matrix of spikes": (lambda p: old(p / "s.mat", spikes=np.zeros((3, 4))), r"\(3, 4\)"),
    "structs without times": (
        lambda p: old(p / "s.mat", spikes=np.array([("a",), ("b",)], [("name", object)])),
        r"with the fields \['name'\]",
    ),
    "names of other cells": (
        lambda p: old(p / "s.mat", spikes=array_of(*CELLS), cells=array_of("a", "b", "c")),
        "a name for each cell",
    ),
    "labels of other cells": (
        lambda p: old(p / "s.mat", spikes=array_of(*CELLS), quality=array_of("good")),
        "1 values of 'quality' for 2 cells",
    ),
    "a MAT file that is cut off": (text("MATLAB 5.0 MAT-file", "s.mat"), "cannot be read"),
    "a new MAT file that is cut off": (text("MATLAB 7.3 MAT-file", "s.mat"), "cannot be read"),
    "npz without spikes": (lambda p: npz(p / "s.npz", x=1.0), r"with \['x'\]"),
    "npz with other lengths": (
        lambda p: npz(p / "s.npz", spike_times=TIMES, spike_cell=[1]),
        "12 times and 1 cells",
    ),
    "npz of cells beyond their names": (
        lambda p: npz(p / "s.npz", spike_times=[0.1], spike_cell=[7], cell=["a"]),
        "cells 7 to 7",
    ),
    "npz of a matrix": (lambda p: npz(p / "s.npz", spike_times=np.eye(3)), r"\(3, 3\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_with_a_file_is_named(kind, tmp_path):
    make, told = REFUSED[kind]
    with pytest.raises(NeurocodecError, match=told):
        nc.recording(MOVIE, make(tmp_path), frame_times=TIMES)


REFUSED_WHOLE = {
    "no times": (
        lambda p: old(p / "r.mat", spikes=TIMES, stimulus=FRAMES_LAST),
        "no times of the frames",
    ),
    "a time axis that may be two": (
        lambda p: old(p / "r.mat", spikes=TIMES, stimulus=np.zeros((12, 3, 12)), time=TIMES),
        "the first or the last axis",
    ),
    "a last axis that is no time": (
        lambda p: old(p / "r.mat", spikes=TIMES, stimulus=MOVIE, frame_rate=RATE),
        "of which nothing tells the axis of time",
    ),
    "a stimulus of two axes": (
        lambda p: old(p / "r.mat", spikes=TIMES, stimulus=np.zeros((3, 12)), time=TIMES),
        r"\(y, x, time\)",
    ),
    "a stimulus of text": (
        lambda p: old(p / "r.mat", spikes=TIMES, stimulus="movie.avi", time=TIMES),
        "that is no array",
    ),
    "times of text": (
        lambda p: npz(p / "r.npz", spike_times=TIMES, stimulus=MOVIE, time=["0"] * 12),
        "no array of numbers",
    ),
    "frames of another number": (
        lambda p: npz(p / "r.npz", spike_times=TIMES, stimulus=MOVIE, time=TIMES[:5]),
        "5 frame times for 12",
    ),
    "traces without times": (
        lambda p: session(p / "r.h5", natural_traces_times=None),
        "without times",
    ),
    "traces of another length": (
        lambda p: session(p / "r.h5", natural_traces_times=np.arange(7.0)),
        "7 times of 30",
    ),
    "traces of other cells": (lambda p: session(p / "r.h5", roi_ids=np.arange(3)), "one a cell"),
    "two regions of a number": (lambda p: session(p / "r.h5", roi_ids=[4, 4]), "called 'roi 4'"),
    "traces of text": (
        lambda p: session(p / "r.h5", natural_inferred_spikes=np.full((2, 30), b"a")),
        "an array of numbers",
    ),
    "triggers of text": (
        lambda p: session(p / "r.h5", natural_trigger_times=[b"a"]),
        "an array of numbers",
    ),
    "traces that stand still": (
        lambda p: session(
            p / "r.h5",
            natural_traces_times=None,
            natural_traces_t0=np.zeros(2),
            natural_traces_dt=np.zeros(2),
        ),
        "seconds above 0",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_WHOLE)
def test_what_is_wrong_with_a_recording_is_named(kind, tmp_path):
    make, told = REFUSED_WHOLE[kind]
    with pytest.raises(NeurocodecError, match=told):
        nc.read_recording(make(tmp_path))


def test_nothing_of_params_is_run(tmp_path):
    path = phy_folder(tmp_path / "phy")
    (path / "params.py").write_text("import shutil; shutil.rmtree('.')\nsample_rate = 1000\n")
    found = nc.recording(MOVIE, path, frame_times=TIMES)
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)
    shutil.rmtree(path)


def test_a_hint_for_a_folder_of_arrays_runs(tmp_path):
    for name, times in SPIKES.items():
        np.save(tmp_path / f"{name}.npy", times)
    with pytest.raises(InputError, match="glob") as raised:
        nc.recording(MOVIE, tmp_path, frame_times=TIMES)
    code = raised.value.hint.split(", where")[0]
    found = eval(code, {"np": np, "pathlib": pathlib, "path": tmp_path})  # noqa: S307 - to type
    counts = nc.recording(MOVIE, found, frame_times=TIMES).spike_count[0]
    np.testing.assert_array_equal(counts, COUNTS)


def test_names_of_cells_in_bytes_of_any_kind(tmp_path):
    times = np.concatenate([*SPIKES.values()])
    names = np.repeat(np.array(["ON µ", "OFF"]), [len(x) for x in SPIKES.values()])
    for coding, told in (("utf-8", "ON µ"), ("latin-1", "ON \ufffd")):
        coded = np.char.encode(names, coding)
        np.savez(tmp_path / "s.npz", spike_times=times, spike_cell=coded)
        found = nc.recording(MOVIE, tmp_path / "s.npz", frame_times=TIMES)
        assert {*found.cell.values.tolist()} == {told, "OFF"}


def test_json_of_more_than_cells_is_not_taken_for_a_silent_cell(tmp_path):
    (tmp_path / "s.json").write_text('{"units": {"a": [0.1]}}')
    with pytest.raises(InputError) as raised:
        nc.recording(MOVIE, tmp_path / "s.json", frame_times=TIMES)
    assert not raised.value.hint
