"""Which cell each spike is of."""

import numpy as np
import pytest

from neurocodec.adapters.recordings.arrayed.bundle import cells_in
from neurocodec.errors import InputError

TIMES = np.array([0.1, 0.2, 0.3])


def read(owners, cells=None, **facts):
    arrays = {"spike_times": TIMES, "spike_cell": owners, **facts}
    found = cells_in(arrays if cells is None else {**arrays, "cell": cells}, "x")
    return {k: x.tolist() for k, x in found.times.items()}, found.facts


NAMES = ["x", "y", "z"]
TOLD = {
    "from 0": (np.array([0, 2, 0]), NAMES, {"x": [0.1, 0.3], "y": [], "z": [0.2]}),
    "from 1, as MATLAB counts": (
        np.array([1.0, 3.0, 1.0]),
        NAMES,
        {"x": [0.1, 0.3], "y": [], "z": [0.2]},
    ),
    "by name, a silent one too": (
        np.array(["z", "x", "z"]),
        NAMES,
        {"x": [0.2], "y": [], "z": [0.1, 0.3]},
    ),
    "numbers of cells, not places": (
        np.array([0, 1, 2]),
        np.array([2, 1, 0]),
        {"unit 2": [0.3], "unit 1": [0.2], "unit 0": [0.1]},
    ),
    "numbers of cells as text": (
        np.array([1, 2, 2]),
        ["2", "1"],
        {"unit 2": [0.2, 0.3], "unit 1": [0.1]},
    ),
    "a cell array of names": (["b", "a", "b"], ["a", "b"], {"a": [0.2], "b": [0.1, 0.3]}),
    "floats": (np.array([4.0, 5.0, 4.0]), None, {"unit 4": [0.1, 0.3], "unit 5": [0.2]}),
}


@pytest.mark.parametrize("kind", TOLD)
def test_spikes_go_to_their_cell(kind):
    owners, cells, told = TOLD[kind]
    assert read(owners, cells)[0] == told


def test_labels_are_in_the_order_of_the_cells():
    times, facts = read(np.array(["a", "b", "a"]), ["b", "a"], quality=["noise", "good"])
    assert dict(zip(times, facts["quality"], strict=True)) == {"b": "noise", "a": "good"}


REFUSED = {
    "places that may count from 0 or 1": (np.array([1, 2, 1]), NAMES, "from 0 or from 1"),
    "places beyond the names": (np.array([0, 3, 1]), NAMES, "cells 0 to 3"),
    "numbers that are no cell": (np.array([1, 9, 1]), np.array([1, 2]), r"cells \['unit 9'\]"),
    "names that are no cell": (np.array(["x", "w", "x"]), NAMES, r"cells \['w'\]"),
    "NaN": (np.array([1, np.nan, 2]), None, "1 of which are NaN"),
    "fractions": (np.array([1, 1.5, 2]), None, "float64"),
    "names that are the same": (np.array([0, 1, 0]), ["a", "a"], "two cells called 'a'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_tells_no_cell_is_refused(kind):
    owners, cells, told = REFUSED[kind]
    with pytest.raises(InputError, match=told):
        read(owners, cells)


def test_hints_run():
    spike_times, spike_cell, cell = TIMES, np.array([1, 2, 1]), np.array(NAMES)
    with pytest.raises(InputError) as raised:
        read(spike_cell, cell)
    names = eval(raised.value.hint.split("MATLAB, ")[1].split(" in Python")[0])  # noqa: S307 - a hint
    assert read(names, cell)[0] == {"x": [], "y": [0.1, 0.3], "z": [0.2]}
    spike_cell = np.array([1, np.nan, 2])
    with pytest.raises(InputError) as raised:
        read(spike_cell)
    told = {"spike_times": spike_times, "spike_cell": spike_cell, "np": np}
    keep, pair = raised.value.hint.split("; ")
    exec(keep, told)  # noqa: S102 - a hint
    times, cells = eval(pair, told)  # noqa: S307 - a hint
    assert [*cells_in({"spike_times": times, "spike_cell": cells}, "x").times] == [
        "unit 1",
        "unit 2",
    ]


def test_names_of_one_list_of_times_are_one():
    with pytest.raises(InputError, match="1 lists of spike times and the names"):
        cells_in({"spike_times": TIMES, "cell": ["a", "b"]}, "x")


SAMPLES = {
    "a list": [1000 * TIMES],
    "structs": [{"times": 1000 * TIMES, "name": "a"}],
    "one struct": {"times": 1000 * TIMES, "name": "a"},
    "a struct of cells": {"a": 1000 * TIMES},
    "all spikes": 1000 * TIMES,
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_samples_are_brought_to_seconds_in_every_layout(kind):
    (times,) = cells_in({"spikes": SAMPLES[kind], "fs": np.array([[1000.0]])}, "x").times.values()
    np.testing.assert_allclose(times, TIMES)


def test_seconds_beside_a_rate_of_samples_stay():
    (times,) = cells_in({"spikes": [TIMES], "fs": 30000.0}, "x").times.values()
    np.testing.assert_array_equal(times, TIMES)
    for rate in ([1.0, 2.0], "fast", 0.0):
        with pytest.raises(InputError, match="samples"):
            cells_in({"spikes": [1000 * TIMES], "fs": np.array(rate)}, "x")


def test_a_rate_of_samples_beside_fractions_is_refused():
    """It would put all spikes into the first frames."""
    with pytest.raises(InputError, match="no whole numbers") as raised:
        cells_in({"spikes": [1.7 * TIMES]}, "x", 30000.0)
    told = raised.value.hint.split(", where")[0]
    assert told == "sample_rate=1000.0"
    (times,) = cells_in({"spikes": [1.7 * TIMES]}, "x", 1000.0).times.values()
    np.testing.assert_allclose(times, 1.7e-3 * TIMES)
