"""Named arrays of a recording."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.adapters.recordings.arrays import assemble, positional_dims
from neurocodec.errors import InputError


def test_potentials_may_have_repeats():
    assert positional_dims("membrane_potential", (10, 300, 4)) == ("repeat", "time", "interneuron")
    assert positional_dims("membrane_potential", (300, 4)) == ("time", "interneuron")


def test_times_come_of_a_frame_rate():
    rate = xr.Variable(("time", "cell"), [[1.0], [2.0]])
    found = assemble({"firing_rate": rate, "frame_rate": xr.Variable((), 50.0)}, "r")
    np.testing.assert_allclose(found.time, [0.0, 0.02])


@pytest.mark.parametrize(
    ("name", "dim"), [("firing_rate", "cell"), ("fluorescence", "interneuron")]
)
def test_two_of_one_name_are_refused(name, dim):
    data = xr.Variable(("time", dim), np.ones((3, 2)))
    names = xr.Variable(dim, ["a", "a"])
    with pytest.raises(InputError, match="two cells called 'a'"):
        assemble({name: data, dim: names, "frame_rate": xr.Variable((), 50.0)}, "r")


RATE = np.ones((3, 2))
ODD = {
    "rates of text": ({"firing_rate": RATE.astype(str), "frame_rate": 10.0}, "'firing_rate' of"),
    "times of text": ({"firing_rate": RATE, "time": ["a", "b", "c"]}, "'time' of"),
    "frames of records": (
        {"firing_rate": RATE, "stimulus": np.zeros((3, 2, 2), [("a", "f8")]), "frame_rate": 10.0},
        "'stimulus' of",
    ),
    "a frame rate of text": ({"firing_rate": RATE, "frame_rate": "x"}, "one number"),
    "two frame rates": ({"firing_rate": RATE, "frame_rate": [60.0, 30.0]}, "one number"),
    "two bins": ({"spike_count": RATE, "frame_rate": 10.0, "bin_width": [0.1, 0.1]}, "one number"),
    "counts below 0": ({"spike_count": -RATE, "frame_rate": 10.0}, "below 0"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_number_is_named(kind, tmp_path):
    arrays, told = ODD[kind]
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(InputError, match=told):
        nc.read_recording(tmp_path / "r.npz")


def test_a_frame_rate_beside_other_times_is_told(tmp_path):
    np.savez(tmp_path / "r.npz", firing_rate=RATE, time=[0.0, 0.1, 0.2], frame_rate=30.0)
    reading = nc.read_recording(tmp_path / "r.npz").attrs["reading"]
    assert "frame_rate 30, as the times tell 10 Hz" in reading


def test_bins_in_the_units_that_they_tell(tmp_path):
    part = xr.Dataset(
        {"spike_count": (("repeat", "time", "cell"), np.ones((1, 3, 2), int))},
        {"time": ("time", [0.0, 100.0, 200.0], {"units": "ms"})},
    )
    part["bin_width"] = ((), 100.0, {"units": "ms"})
    part.to_netcdf(tmp_path / "r.nc")
    found = nc.read_recording(tmp_path / "r.nc")["recording"]
    assert (float(found.bin_width), float(found.time[-1])) == (0.1, 0.2)


def test_names_in_bytes_are_text(tmp_path):
    names = np.array(["a", "µ"])
    arrays = {"firing_rate": RATE, "frame_rate": 10.0}
    np.savez(tmp_path / "r.npz", cell=np.char.encode(names, "utf-8"), **arrays)
    assert nc.read_recording(tmp_path / "r.npz")["recording"].cell.values.tolist() == ["a", "µ"]
    np.savez(tmp_path / "r.npz", cell=np.char.encode(names, "latin-1"), **arrays)
    assert nc.read_recording(tmp_path / "r.npz")["recording"].cell.values.tolist() == ["a", "�"]


TURNED = {
    "stimulus": (1, 2, 0),  # (y, x, time), as MATLAB has them
    "firing_rate": (1, 0),
    "spike_count": (1, 2, 0),  # (time, cell, repeat)
}


@pytest.mark.parametrize("name", TURNED)
def test_hints_for_turned_axes_run(name, tmp_path):
    random = np.random.default_rng(0)
    shapes = {"stimulus": (7, 4, 3), "firing_rate": (7, 5), "spike_count": (2, 7, 5)}
    whole = {k: random.integers(0, 9, shape) for k, shape in shapes.items()}
    wrong = np.transpose(whole[name], TURNED[name])
    given = {**whole, name: wrong, "time": np.arange(7) / 10}
    np.savez(tmp_path / "r.npz", **given)
    with pytest.raises(InputError, match=f"transpose.{name}, ") as raised:
        nc.read_recording(tmp_path / "r.npz")
    right = eval(raised.value.hint.split(", where")[0], {"np": np, name: wrong})  # noqa: S307
    np.savez(tmp_path / "r.npz", **{**given, name: right})
    found = nc.read_recording(tmp_path / "r.npz")["recording"]
    np.testing.assert_array_equal(found[name], whole[name])
