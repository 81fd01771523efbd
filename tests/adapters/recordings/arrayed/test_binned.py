"""Counts of running and frozen frames, as laboratories of the retina keep them in MATLAB."""

import numpy as np
import pytest
from laboratory import NewMatlab
from scipy.io import savemat

import neurocodec as nc
from neurocodec.errors import InputError

CELLS, RUN, FROZEN, BLOCKS, Y, X = 3, 7, 4, 5, 2, 6
RNG = np.random.default_rng(0)
SPIKES = {
    "runningbin": RNG.poisson(1.0, (CELLS, RUN, BLOCKS)).astype("uint8"),
    "frozenbin": RNG.poisson(1.0, (CELLS, FROZEN, BLOCKS)).astype("uint8"),
}
FRAMES = {
    "runningstim": RNG.choice([-1.0, 1.0], (Y, X, RUN, BLOCKS)),
    "frozenstim": RNG.choice([-1.0, 1.0], (Y, X, FROZEN)),
}
WHOLE = {**SPIKES, **FRAMES, "frame_rate": 30.0}


def written(path, arrays, version="5"):
    if version == "5":
        savemat(path, arrays)
        return path
    with NewMatlab(path) as file:
        for name, value in arrays.items():
            file.put(name, value)
    return path


def read(path, change=(), **arrays):
    kept = {k: x for k, x in {**WHOLE, **arrays}.items() if k not in change}
    return nc.read_recording(written(path / "r.mat", kept))


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_running_frames_are_train_and_frozen_ones_repeats_of_test(version, tmp_path):
    tree = nc.read_recording(written(tmp_path / "r.mat", WHOLE, version))
    assert [*tree] == ["train", "test"]
    train, test = tree["train"], tree["test"]
    for block in range(BLOCKS):
        own = train.isel(time=np.flatnonzero(train.segment == block))
        for k in range(RUN):  # by hand, a number at a time
            np.testing.assert_array_equal(own.stimulus[k], FRAMES["runningstim"][:, :, k, block])
            counted = SPIKES["runningbin"][:, k, block]
            np.testing.assert_array_equal(own.spike_count[0, k], counted)
        np.testing.assert_allclose(own.time[0], block * (RUN + FROZEN) / 30)
    for k in range(FROZEN):
        np.testing.assert_array_equal(test.stimulus[k], FRAMES["frozenstim"][:, :, k])
        np.testing.assert_array_equal(test.spike_count[:, k], SPIKES["frozenbin"][:, k].T)
        rate = SPIKES["frozenbin"][:, k].mean(1) * 30
        np.testing.assert_allclose(test.firing_rate[k], rate, rtol=1e-6)


def test_a_filter_is_found_across_blocks(tmp_path):
    """A cell that counts the frame before, which no window over a border of blocks shows."""
    light = RNG.choice([0.0, 1.0], (1, 1, 60, BLOCKS))
    spikes = np.zeros((1, 60, BLOCKS))
    spikes[0, 1:] = light[0, 0, :-1]
    arrays = {"runningbin": spikes, "runningstim": light, "bin_width": 0.02}
    train = nc.read_recording(written(tmp_path / "r.mat", arrays))["train"]
    found = nc.spike_triggered_average(train.stimulus, train.firing_rate, 2, kind="filter")
    np.testing.assert_allclose(found.sta[0, :, 0, 0], [50, 0], atol=4)


OTHER = {
    "in a struct": lambda p: nc.read_recording(
        written(p / "r.mat", {"expdata": {**SPIKES, "stimPara": {"frame_rate": 30.0}}, **FRAMES})
    ),
    "frames one after the other": lambda p: read(
        p, runningstim=FRAMES["runningstim"].reshape(Y, X, -1, order="F")
    ),
    "a monitor that shows each twice": lambda p: read(
        p, ["frame_rate"], screen_refresh_rate=60.0, Nblinks=2.0
    ),
    "the length of a bin": lambda p: read(p, ["frame_rate"], bin_length=1 / 30),
}


@pytest.mark.parametrize("name", OTHER)
def test_the_same_is_read_however_it_is_stored(name, tmp_path):
    expected = read(tmp_path)
    found = OTHER[name](tmp_path)
    for part in ("train", "test"):
        for variable in ("stimulus", "spike_count", "time"):
            np.testing.assert_allclose(found[part][variable], expected[part][variable])


def test_one_block_and_light_of_the_whole_field(tmp_path):
    arrays = {"frozenbin": SPIKES["frozenbin"][:, :, 0], "frozenstim": np.arange(4.0)}
    found = nc.read_recording(written(tmp_path / "r.mat", {**arrays, "frame_rate": 30.0}))["test"]
    assert found.sizes["repeat"] == 1
    assert found.stimulus.squeeze().values.tolist() == [0, 1, 2, 3]


REFUSED = {
    "without running frames": (["runningstim"], {"seed": -1000.0}, r"seed.*without runningstim"),
    "without frozen frames": (["frozenstim"], {}, "without frozenstim"),
    "without a rate": (["frame_rate"], {}, "no time that a frame lasts"),
    "two rates": ([], {"bin_width": 0.01}, "30 Hz by frame_rate, 100 Hz by bin_width"),
    "rate of two numbers": (["frame_rate"], {"frame_rate": [30.0, 60.0]}, "'frame_rate'"),
    "other axes": ([], {"runningbin": SPIKES["runningbin"].transpose(1, 2, 0)}, "7 cells in"),
    "fewer frames": ([], {"frozenstim": FRAMES["frozenstim"][..., 1:]}, r"\(2, 6, 3\) of .*for 4"),
    "blocks missing": ([], {"runningstim": FRAMES["runningstim"][..., 1:]}, "in 5 blocks"),
    "NaN": ([], {"frozenbin": np.where(SPIKES["frozenbin"] > 2, np.nan, 1.0)}, "NaN"),
    "rates": ([], {"frozenbin": 0.5 + SPIKES["frozenbin"]}, "no counts"),
    "names of others": ([], {"clusters": 1.0, "cells": np.array([1.0, 2.0])}, "3 cells of"),
    "cells of blocks": ([], {"frozenbin": np.array([1, "a"], object)}, "frozenbin"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_missing_is_named(name, tmp_path):
    without, other, said = REFUSED[name]
    without = [k for k in without if k not in other]
    with pytest.raises(InputError, match=said):
        read(tmp_path, without, **other)
