"""NWB files, written with pynwb and read back."""

import importlib.util
from datetime import UTC, datetime

import numpy as np
import pytest

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError

pynwb = pytest.importorskip("pynwb")
FRAMES, RATE = 40, 50.0


def new_file():
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return pynwb.NWBFile("a retina", "identifier", start)


def write(content, path):
    with pynwb.NWBHDF5IO(str(path), "w") as file:
        file.write(content)
    return path


def frames(seed=0):
    """Frames (time, x, y), in the order of the format: 4 pixels along x, 3 along y."""
    return np.random.default_rng(seed).integers(0, 256, (FRAMES, 4, 3), dtype=np.uint8)


def add_movie(content, kind=pynwb.image.ImageSeries, name="movie", **options):
    options = (
        {"starting_time": 1.0, "rate": RATE, **options} if "timestamps" not in options else options
    )
    content.add_stimulus(kind(name=name, data=frames(), unit="a.u.", **options))
    return content


def add_units(content, *spikes, **columns):
    for name in columns:
        content.add_unit_column(name, name)
    for i, times in enumerate(spikes):
        content.add_unit(spike_times=times, **{k: c[i] for k, c in columns.items()})
    return content


def add_clamp(
    content, name="bipolar 1", kind=pynwb.icephys.CurrentClampSeries, data=None, **options
):
    if "amplifier" not in content.devices:
        content.create_device(name="amplifier")
        content.create_icephys_electrode(
            name="pipette", device=content.devices["amplifier"], description="sharp"
        )
    if data is None:
        data = np.arange(200.0)
    content.add_acquisition(
        kind(
            name=name,
            data=data,
            electrode=content.icephys_electrodes["pipette"],
            gain=1.0,
            **options,
        )
    )
    return content


def test_spikes_are_counted_while_frames_are_shown(tmp_path):
    spikes = ([1.0, 1.0199, 1.02, 1.7999], [1.5])
    content = add_units(add_movie(new_file()), *spikes, cell_type=["ON", "OFF"])
    part = nc.read_recording(write(content, tmp_path / "r.nwb"))["movie"].to_dataset()
    counts = part.spike_count.isel(repeat=0)
    edges = 1.0 + np.arange(FRAMES + 1) / RATE
    for cell, times in zip(("unit 0", "unit 1"), spikes, strict=True):
        np.testing.assert_array_equal(counts.sel(cell=cell), np.histogram(times, edges)[0])
    assert counts.sel(cell="unit 0").values[[0, 1, 39]].tolist() == [2, 1, 1]
    np.testing.assert_allclose(part.firing_rate, counts * RATE, rtol=1e-9)
    assert part.cell_type.values.tolist() == ["ON", "OFF"]
    assert float(part.bin_width) == pytest.approx(1 / RATE)


def test_frames_are_turned_upright_and_read_lazily(tmp_path):
    path = write(add_movie(new_file()), tmp_path / "r.nwb")
    stimulus = nc.read_recording(path)["movie"].stimulus
    assert stimulus.sizes == {"time": FRAMES, "y": 3, "x": 4}
    np.testing.assert_array_equal(stimulus, frames().transpose(0, 2, 1))
    np.testing.assert_array_equal(stimulus[5:9, 1, ::2], frames().transpose(0, 2, 1)[5:9, 1, ::2])
    as_stored = nc.read_recording(path, image_axes="yx")["movie"].stimulus
    np.testing.assert_array_equal(as_stored, frames())
    with pytest.raises(UnknownNameError, match="'xy', 'yx'"):
        nc.read_recording(path, image_axes="rows")
    with pynwb.NWBHDF5IO(str(path), "r+") as file:  # nobody else has it open
        file.read()


@pytest.mark.parametrize("kind", [pynwb.image.OpticalSeries, pynwb.TimeSeries])
def test_other_series_with_frames(tmp_path, kind):
    options = {"distance": 1.0, "field_of_view": [1.0, 1.0], "orientation": "up"}
    content = add_movie(new_file(), kind, **(options if kind is not pynwb.TimeSeries else {}))
    stimulus = nc.read_recording(write(content, tmp_path / "r.nwb"))["movie"].stimulus
    np.testing.assert_array_equal(stimulus, frames().transpose(0, 2, 1))


def test_conversion_and_offset_are_applied(tmp_path):
    content = add_movie(new_file(), conversion=0.5, offset=-3.0)
    stimulus = nc.read_recording(write(content, tmp_path / "r.nwb"))["movie"].stimulus
    np.testing.assert_allclose(stimulus, 0.5 * frames().transpose(0, 2, 1) - 3)


def test_timestamps_instead_of_a_rate(tmp_path):
    times = 2 + np.cumsum(np.random.default_rng(0).uniform(0.015, 0.025, FRAMES))
    content = add_units(add_movie(new_file(), timestamps=times), times + 0.001)
    part = nc.read_recording(write(content, tmp_path / "r.nwb"))["movie"].to_dataset()
    np.testing.assert_allclose(part.time, times)
    assert (part.spike_count == 1).all()
    np.testing.assert_allclose(part.firing_rate[:-1, 0], 1 / np.diff(times))


def test_potentials_at_their_own_rate_in_millivolts(tmp_path):
    content = add_clamp(new_file(), rate=100.0, starting_time=0.5, conversion=1e-3, offset=-0.06)
    part = nc.read_recording(write(content, tmp_path / "r.nwb"))["bipolar 1"].to_dataset()
    assert part.membrane_potential.dims == ("time", "interneuron")
    assert part.membrane_potential.attrs["units"] == "mV"
    np.testing.assert_allclose(part.membrane_potential[:, 0], np.arange(200) - 60)
    np.testing.assert_allclose(part.time[:2], [0.5, 0.51])


def test_potentials_averaged_over_frames_on_request(tmp_path):
    content = add_movie(new_file())  # 1.0 to 1.8 s
    data = np.arange(300.0)
    add_clamp(content, "bipolar 1", rate=100.0, data=data, conversion=1e-3)
    add_clamp(content, "late", rate=100.0, data=data, starting_time=1.5)
    path = write(content, tmp_path / "r.nwb")
    with pytest.warns(NeurocodecWarning, match="cover no whole stimulus are left out: late"):
        recording = nc.read_recording(path, to_frames=True)
    assert list(recording) == ["movie"]
    potential = recording["movie"].membrane_potential
    expected = data[100:180].reshape(FRAMES, 2).mean(1)
    np.testing.assert_allclose(potential.sel(interneuron="bipolar 1"), expected)


def test_nan_in_a_potential(tmp_path):
    data = np.where(np.arange(200) == 30, np.nan, 1.0)
    path = write(add_clamp(new_file(), data=data, rate=100.0), tmp_path / "r.nwb")
    with pytest.raises(InputError, match=r"'bipolar 1' at 0.3 s"):
        nc.read_recording(path)


def test_currents_are_not_taken_for_potentials(tmp_path):
    content = add_movie(new_file())
    add_clamp(content, "current", pynwb.icephys.VoltageClampSeries, rate=100.0)
    path = write(content, tmp_path / "r.nwb")
    with pytest.warns(NeurocodecWarning, match="not read: current"):
        assert list(nc.read_recording(path)) == ["movie"]


def test_spikes_in_a_gap_of_the_frames_are_dropped_and_counted(tmp_path):
    times = np.arange(FRAMES) / RATE + 10 * (np.arange(FRAMES) >= 20)
    spikes = [0.005, 0.385, *np.linspace(0.41, 9.9, 300), 10.405]
    content = add_clamp(add_movie(new_file(), timestamps=times), data=np.arange(2000.0), rate=100.0)
    path = write(add_units(content, spikes), tmp_path / "r.nwb")
    with pytest.warns(NeurocodecWarning, match="300 of 303 spikes are in gaps"):
        part = nc.read_recording(path, to_frames=True)["movie"]
    expected = np.zeros(FRAMES)
    expected[[0, 19, 20]] = 1
    np.testing.assert_array_equal(part.spike_count[0, :, 0], expected)
    np.testing.assert_allclose(part.firing_rate[:, 0], expected * RATE)
    # two values of the trace in each frame
    volts = 1e3 * (np.floor(times * 100 + 0.5) + 0.5)
    np.testing.assert_allclose(part.membrane_potential[:, 0], volts)


def test_spikes_between_two_stimuli(tmp_path):
    content = add_movie(add_movie(new_file()), name="second", starting_time=5.0)
    path = write(add_units(content, [1.5, 3.0, 5.5]), tmp_path / "r.nwb")
    recording = nc.read_recording(path)
    assert "1 of 3 spikes, outside of the stimulus" in recording.attrs["reading"]
    assert [int(recording[name].spike_count.sum()) for name in ("movie", "second")] == [1, 1]


def test_nothing_to_read_lists_what_is_there(tmp_path):
    content = new_file()
    content.add_stimulus(pynwb.TimeSeries(name="trace", data=[1.0, 2.0], unit="V", rate=1.0))
    path = write(add_units(content, [1.0]), tmp_path / "r.nwb")
    with pytest.raises(InputError, match=r"stimuli \['trace'\], .* 'none' and 1 units|and 1 units"):
        nc.read_recording(path)


def test_without_pynwb_the_line_to_type_is_told(tmp_path, monkeypatch):
    path = write(add_movie(new_file()), tmp_path / "r.nwb")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "pynwb" else found(n, *a)
    )
    with pytest.raises(InputError, match=r'pip install "neurocodec\[nwb\]"'):
        nc.read_recording(path)
