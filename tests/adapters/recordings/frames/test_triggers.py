"""Frames that follow triggers, over pauses and where triggers are missing."""

import numpy as np
import pytest

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning

MOVIE = np.random.default_rng(0).random((12, 2, 2))
SPIKES = {"a": [0.05, 0.45]}


def read(stimulus=MOVIE, spikes=SPIKES, **options):
    return nc.recording(stimulus, spikes, **options)


@pytest.mark.parametrize("per", [1, 2, 3])
def test_frames_are_not_stretched_over_a_pause(per):
    """As with one trigger a frame: a gap, whose spikes are dropped and told."""
    every = np.arange(12) / 10 + 5.0 * (np.arange(12) >= 6)
    with pytest.warns(NeurocodecWarning, match="2 of 4 spikes are in gaps"):
        found = read(
            spikes={"a": [0.05, 2.0, 3.0, 5.65]}, triggers=every[::per], frames_per_trigger=per
        )
    np.testing.assert_allclose(found.time, every, atol=1e-12)
    assert np.flatnonzero(found.spike_count[0, :, 0]).tolist() == [0, 6]
    assert "1 pauses" in found.attrs["reading"]


def test_a_frame_that_lasted_is_told():
    triggers = np.array([0.0, 0.3, 0.7, 1.0])
    with pytest.warns(NeurocodecWarning, match="triggers 2 came late"):
        found = read(triggers=triggers, frames_per_trigger=3)
    np.testing.assert_allclose(found.time[:7], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7])


def test_another_rate_is_no_pause():
    """Frames of three slow triggers in a row come slowly, and no window reaches over both."""
    triggers = np.cumsum([0, *[0.2] * 6, *[0.4] * 6])[:12]
    found = read(np.zeros((24, 1, 1)), triggers=triggers, frames_per_trigger=2)
    np.testing.assert_allclose(np.diff(found.time)[[0, -4]], [0.1, 0.2])


@pytest.mark.parametrize("missing", ["refuse", "skipped", "unseen"])
def test_a_last_trigger_that_is_missing(missing):
    """No interval tells it, so that the hint is no kind of missing=."""
    triggers = np.arange(11) / 10
    with pytest.raises(InputError, match="11 triggers") as raised:
        read(triggers=triggers, missing=missing)
    stimulus = MOVIE  # noqa: F841 - the hint names it
    cut = eval(raised.value.hint.split(", where")[0])  # noqa: S307 - what it says to type
    assert read(cut, triggers=triggers).sizes["time"] == 11


@pytest.mark.parametrize("per", [1, 3])
def test_hints_for_missing_triggers_run(per):
    triggers = np.delete(np.arange(0, 12, per) / 10, 2)
    with pytest.raises(InputError, match="late after") as raised:
        read(triggers=triggers, frames_per_trigger=per)
    kinds = [x.split("=")[1].split("'")[1] for x in raised.value.hint.split("or ")]
    assert kinds == (["skipped", "unseen"] if per == 1 else ["unseen"])
    for kind in kinds:
        read(triggers=triggers, frames_per_trigger=per, missing=kind)


def test_hints_for_a_trial_leave_it_out():
    trials = np.array([0.0, 5.0, 10.0])
    triggers = np.delete((trials[:, None] + np.arange(12) / 10).ravel(), 20)
    with pytest.raises(InputError, match="in trial 1") as raised:
        read(triggers=triggers, trials=trials)
    options = eval(f"dict({raised.value.hint.split(', without')[0]})", {"np": np, "trials": trials})  # noqa: S307
    assert read(triggers=triggers, **options).trial_start.values.tolist() == [0, 10]


LATE = (np.array([0.0, 5.0, 10.0])[:, None] + np.arange(12) / 10) + 0.2 * (
    np.arange(36) > 30
).reshape(3, 12)
TOLD = {
    "(trial, frame)": {"frame_times": LATE},
    "a number and times": {"frame_times": LATE.ravel(), "trials": 3},
    "a number and triggers": {"triggers": LATE.ravel(), "trials": 3},
    "starts and triggers": {"triggers": LATE.ravel(), "trials": np.array([0.0, 5.0, 10.0])},
    "pairs and triggers": {
        "triggers": LATE.ravel(),
        "trials": np.array([[0.0, 3], [5, 8], [10, 13]]),
    },
}


@pytest.mark.parametrize("kind", TOLD)
def test_hints_for_a_trial_with_a_late_frame_leave_it_out(kind):
    options = TOLD[kind]
    with pytest.raises(InputError, match="trial 2, whose frame") as raised:
        read(**options)
    call = raised.value.hint.split(", without")[0]
    found = eval(f"dict({call})", {"np": np, **options})  # noqa: S307
    assert read(**{**options, **found}).trial_start.values.tolist() == [0, 5]


@pytest.mark.parametrize(
    "triggers",
    [np.array([0.0, 0.2, 0.1]), np.array([0.0, 0.1, 0.1]), np.array([0.0, np.nan, 0.2])],
    ids=["unsorted", "twice", "NaN"],
)
def test_triggers_that_do_not_rise_are_refused(triggers):
    with pytest.raises(InputError, match="triggers"):
        read(MOVIE[:3], triggers=triggers)
