"""Lengths and names in recordings of torch-deep-retina."""

import h5py
import numpy as np
import pytest

import neurocodec as nc
from neurocodec.adapters.recordings.hdf5 import numbered, require_length
from neurocodec.errors import InputError


def test_one_value_a_frame():
    require_length(3, 3, "train/time")
    with pytest.raises(InputError, match="train/time of length 2 beside a stimulus of 3 frames"):
        require_length(2, 3, "train/time")


def test_names_are_ordered_by_their_numbers():
    assert numbered(["cell10", "cell2"]) == ["cell2", "cell10"]


FRAMES = 12
WHOLE = {
    "train/stimulus": np.zeros((FRAMES, 2, 2)),
    "train/time": np.arange(FRAMES) / 10,
    "train/response/binned": np.ones((3, FRAMES)),
}
TEXT, GROUP = np.full((3, FRAMES), b"a"), None
ODD = {
    "rates of text": ({"train/response/firing_rate_10ms": TEXT}, "firing_rate_10ms, of"),
    "rates of three axes": (
        {"train/response/firing_rate_10ms": np.ones((2, 3, FRAMES))},
        "of shape",
    ),
    "rates that are a group": ({"train/response/firing_rate_10ms": GROUP}, "which is a group"),
    "one rate": ({"train/response/firing_rate_10ms": 3.0}, "of shape"),
    "a response that is an array": (
        {"train/response/binned": "", "train/response": np.ones(3)},
        "which is an array",
    ),
    "times of text": ({"train/time": TEXT[0]}, "train/time, of"),
    "times that are a group": ({"train/time": GROUP}, "which is a group"),
    "frames of text": ({"train/stimulus": np.full((FRAMES, 2, 2), b"a")}, "stimulus, of"),
    "frames that are a group": ({"train/stimulus": GROUP}, "which is a group"),
    "spikes of text": ({"train/response/binned": "", "train/spikes/a": [b"a"]}, "spikes/a, of"),
    "spikes that are an array": (
        {"train/response/binned": "", "train/spikes": [0.1]},
        "which is an array",
    ),
    "repeats of text": ({"train/repeats/a": TEXT}, "repeats/a, of"),
    "repeats that are an array": ({"train/repeats": np.ones(3)}, "which is an array"),
    "repeats of three axes": ({"train/repeats/a": np.ones((2, 2, FRAMES))}, "of shape"),
    "segments of other frames": ({"train/segment": np.zeros(3)}, "segment of length 3"),
}
FACTS = {
    "no trials": ("train/response/binned", {"trials": 0}, "'trials'"),
    "trials of text": ("train/response/binned", {"trials": "x"}, "'trials'"),
    "cells of text": ("/", {"reliable_cells": ["a"]}, "'reliable_cells'"),
    "cells below 0": ("/", {"reliable_cells": [-1]}, "0 to 2"),
    "a size of text": ("/", {"um_per_pixel": "x"}, "'um_per_pixel'"),
}


def written(path, arrays):
    with h5py.File(path, "w") as file:
        for name, value in {**WHOLE, **arrays}.items():
            if value is None:
                file.create_group(name)
            elif not isinstance(value, str):
                file[name] = value
    return path


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_array_of_numbers_is_named(kind, tmp_path):
    arrays, told = ODD[kind]
    with pytest.raises(InputError, match=told):
        nc.read_recording(written(tmp_path / "r.h5", arrays))


@pytest.mark.parametrize("kind", FACTS)
def test_facts_that_are_none_are_named(kind, tmp_path):
    where, facts, told = FACTS[kind]
    path = written(tmp_path / "r.h5", {})
    with h5py.File(path, "r+") as file:
        (file["train/response"] if "trials" in facts else file[where]).attrs.update(facts)
    with pytest.raises(InputError, match=told):
        nc.read_recording(path)


def test_light_of_one_axis_is_a_movie_of_one_pixel(tmp_path):
    light = np.arange(FRAMES) / FRAMES
    with h5py.File(tmp_path / "r.h5", "w") as file:
        for name, values in {**WHOLE, "train/stimulus": light}.items():
            file[name] = values
    part = nc.read_recording(tmp_path / "r.h5")["train"]
    assert part.stimulus.dims == ("time", "y", "x")
    np.testing.assert_array_equal(part.stimulus, light[:-1, None, None])
