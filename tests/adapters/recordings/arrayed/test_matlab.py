"""Cell arrays, structs, text and objects of MAT files, of both versions."""

import h5py
import numpy as np
import pytest
from laboratory import COUNTS, MOVIE, SPIKES, TIMES, NewMatlab
from scipy import sparse
from scipy.io import savemat

import neurocodec as nc
from neurocodec.adapters.recordings.arrayed.matlab import frames_first, read_matlab
from neurocodec.errors import InputError

FRAMES = {"stimulus": MOVIE.transpose(1, 2, 0), "frame_times": TIMES}
CELLS = [*SPIKES.values()]


def cells(*rows):
    made = np.empty((len(rows), len(rows[0])), object)
    for k, row in enumerate(rows):
        made[k, :] = row
    return made


def old(path, **arrays):
    savemat(path, {**FRAMES, **arrays})
    return path


def new(path, change=None, **arrays):
    with NewMatlab(path) as file:
        for name, value in {**FRAMES, **arrays}.items():
            file.put(name, value)
        if change is not None:
            change(file)
    return path


def table_of_cells(file):
    rows = [[file._kept(x + k) for k in range(3)] for x in CELLS]
    stored = np.array(rows, h5py.ref_dtype).T
    file._made(file.file, "spike_times", stored, "cell", dtype=h5py.ref_dtype)


TRIALS = {
    "5": lambda p: old(p, spike_times=cells(*([x, x + 1, x + 2] for x in CELLS))),
    "5, one spike each": lambda p: old(p, spike_times=cells(*([x[:1], x[:1] + 1] for x in CELLS))),
    "5, nested": lambda p: old(p, spike_times=cells([cells([x, x[:1]]) for x in CELLS])),
    "7.3": lambda p: new(p, table_of_cells),
}


@pytest.mark.parametrize("kind", TRIALS)
def test_cells_by_trials_are_not_cells_one_after_the_other(kind, tmp_path):
    with pytest.raises(InputError, match=r"of 'cell00', \d lists") as raised:
        nc.read_recording(TRIALS[kind](tmp_path / "r.mat"))
    told = {"np": np, "starts": [0, 2], "lists": [np.array([0.1]), np.array([0.2, 0.3])]}
    joined = eval(raised.value.hint, told)  # noqa: S307 - what it says to type
    np.testing.assert_allclose(joined, [0.1, 2.2, 2.3])


def test_one_struct_of_lists_of_all_cells(tmp_path):
    struct = np.empty((1, 1), [("times", object), ("name", object)])
    struct[0, 0] = (cells(CELLS), cells(["a", "b"]))
    paths = [
        old(tmp_path / "o.mat", spikes=struct),
        new(tmp_path / "n.mat", spikes={"times": CELLS, "name": ["a", "b"]}),
    ]
    for path in paths:
        found = nc.read_recording(path)["recording"]
        assert found.cell.values.tolist() == ["a", "b"]
        np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_text_in_rows(tmp_path):
    def rows(file):
        letters = np.array([[ord(c) for c in x] for x in ("ON 1", "ON  ")], np.uint16)
        file._made(file.file, "cells", letters.T, "char")

    for path in (
        old(tmp_path / "o.mat", spike_times=cells(CELLS), cells=np.array(["ON 1", "ON  "])),
        new(tmp_path / "n.mat", rows, spike_times=CELLS),
    ):
        assert nc.read_recording(path)["recording"].cell.values.tolist() == ["ON 1", "ON"]


def test_sparse_arrays(tmp_path):
    path = old(
        tmp_path / "r.mat",
        spike_times=cells(CELLS),
        frame_times=sparse.csc_matrix(TIMES[None]),
        other=sparse.eye_array(3).tocsc(),
    )
    np.testing.assert_array_equal(nc.read_recording(path)["recording"].spike_count[0], COUNTS)


def with_object(name):
    def change(file):
        file._made(file.file, name, np.array([[3707764736, 2, 1, 1, 1, 1]], np.uint32), "string")
        file.file[name].attrs["MATLAB_object_decode"] = 3

    return change


def test_objects_are_no_numbers(tmp_path):
    """A list of strings is stored as numbers that point to it."""
    path = new(tmp_path / "r.mat", with_object("cells"), spike_times=CELLS)
    with pytest.raises(InputError, match="'cells' of r.mat, which is string"):
        nc.read_recording(path)
    path = new(tmp_path / "r.mat", with_object("notes"), spike_times=CELLS)
    tree = nc.read_recording(path)
    np.testing.assert_array_equal(tree["recording"].spike_count[0], COUNTS)
    assert "arrays: notes" in tree.attrs["reading"]


def test_what_nobody_asks_for_stops_nothing(tmp_path):
    def pairs(file):
        kind = [("real", "f8"), ("imag", "f8")]
        file._made(file.file, "voltage", np.zeros((2, 2), kind), "double")

    path = new(tmp_path / "r.mat", pairs, spike_times=CELLS)
    assert [*read_matlab(path)][-1] == "voltage"
    np.testing.assert_array_equal(nc.read_recording(path)["recording"].spike_count[0], COUNTS)


def numbered(*shape):
    return np.arange(np.prod(shape)).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "axes", "order"),
    [
        ((7, 5, 9), "time y x", (0, 1, 2)),
        ((7, 5, 9), "(x, time, y)", (1, 2, 0)),
        ((7, 5, 2, 9), "x y color time", (3, 2, 1, 0)),
        ((5, 5, 9), None, (2, 0, 1)),
        ((7, 6, 2, 9), None, (3, 2, 0, 1)),
    ],
)
def test_words_of_the_file_or_square_frames_tell_the_axis_of_time(shape, axes, order):
    frames = numbered(*shape)
    found = frames_first(frames, None, "r.mat", axes)
    np.testing.assert_array_equal(found, np.transpose(frames, order))


@pytest.mark.parametrize("shape", [(9, 5, 7), (7, 5, 9), (10, 30, 30), (9, 9, 9), (9, 2, 8, 7)])
def test_an_axis_of_time_that_nothing_tells_is_not_guessed(shape):
    with pytest.raises(InputError, match="nothing tells the axis of time"):
        frames_first(numbered(*shape), None, "r.mat")


@pytest.mark.parametrize("axes", ["y x", "y x z", "time", 3.0, "time time x"])
def test_words_that_are_not_the_axes_are_refused(axes):
    with pytest.raises(InputError, match="stimulus_axes"):
        frames_first(numbered(7, 5, 9), None, "r.mat", axes)
