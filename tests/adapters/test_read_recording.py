"""Recordings of every kind of file, and everything that can be wrong with them."""

import os
import pickle

import h5py
import numpy as np
import pytest
import xarray as xr
from places import DATA
from torch import nn

import neurocodec as nc
from neurocodec.adapters.recordings.spike_times import count_spikes
from neurocodec.errors import InputError, NeurocodecWarning, StorageError, UnknownNameError

SALAMANDER = DATA / "salamander-2013/whitenoise.h5"
CHIRP = DATA / "interneurons-mouse/chirp.h5"
needs = pytest.mark.skipif
FRAMES = 60


def retina_file(path, *, parts=("train", "test"), frames=FRAMES, cells=3, **facts):
    """A small file in the layout of torch-deep-retina; row t of a response holds 10 t + cell."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update(facts)
        for part in parts:
            group = file.create_group(part)
            group["time"] = np.arange(frames) / 100
            group["stimulus"] = rng.integers(0, 256, (frames, 6, 5), dtype=np.uint8)
            rates = 10.0 * np.arange(frames) + np.arange(cells)[:, None]
            group["response/firing_rate_10ms"] = rates.astype(np.float32)
            if part == "test":
                for cell in range(cells):
                    counts = rng.poisson(0.3, (4, frames)).astype(np.int16)
                    group[f"repeats/cell{cell:02d}"] = counts
            else:
                group["segment"] = np.repeat([0, 1], frames // 2).astype(np.int8)
    return path


@pytest.fixture
def retina(tmp_path):
    return retina_file(tmp_path / "whitenoise.h5", um_per_pixel=50.0, reliable_cells=[0, 2])


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def test_row_t_answers_the_frames_up_to_t(retina):
    """Row t of the file answers the frames up to t-1: it is row t-1 here."""
    recording = nc.read_recording(retina)
    train = recording["train"].to_dataset()
    assert set(recording) == {"train", "test"}
    assert train.firing_rate.dims == ("time", "cell")
    np.testing.assert_array_equal(train.firing_rate.sel(time=0.0), [10, 11, 12])
    with h5py.File(retina) as file:
        np.testing.assert_array_equal(train.stimulus, file["train/stimulus"][:-1])
        counts = file["test/repeats/cell01"][:, 1:]
    np.testing.assert_array_equal(recording["test"].spike_count.sel(cell="cell01"), counts)
    assert train.sizes["time"] == FRAMES - 1
    assert train.segment.values.tolist() == [0] * 30 + [1] * 29


def with_times(path, times, spikes):
    def change(file):
        del file["train/response"], file["train/segment"]
        file["train/time"][...] = times
        file["train/spikes/cell00"] = spikes

    return changed(path, change)


def test_spikes_in_a_gap_of_the_frames_are_dropped_and_counted(tmp_path):
    path = retina_file(tmp_path / "r.h5", parts=["train"])
    times = np.arange(FRAMES) / 100 + 6 * (np.arange(FRAMES) >= 30)
    spikes = np.r_[0.155, 0.295, np.linspace(0.31, 6.2, 600), 6.305, 6.306]
    with pytest.warns(NeurocodecWarning, match="600 of 604 spikes are in gaps"):
        train = nc.read_recording(with_times(path, times, spikes))["train"]
    expected = np.zeros(FRAMES)
    expected[[15, 29, 30]] = 100, 100, 200
    np.testing.assert_allclose(train.firing_rate[:, 0], expected[1:])


def test_times_in_ms_are_noticed_or_read_as_such(tmp_path):
    path, spikes = retina_file(tmp_path / "r.h5", parts=["train"]), [0.1, 0.2, 0.3]
    with_times(path, np.arange(FRAMES) * 10.0, spikes)
    with pytest.raises(InputError, match="where the times of the frames are in ms"):
        nc.read_recording(path)

    def units(file):
        file["train/time"].attrs["units"] = "ms"

    train = nc.read_recording(changed(path, units))["train"]
    np.testing.assert_allclose(train.time, np.arange(FRAMES - 1) / 100)
    assert np.flatnonzero(train.firing_rate[:, 0]).tolist() == [9, 19, 29]


def test_labels_say_what_is_what(retina):
    test = nc.read_recording(retina)["test"].to_dataset()
    assert test.reliable.values.tolist() == [True, False, True]
    assert test.firing_rate.attrs["units"] == "Hz"
    assert float(test.bin_width) == pytest.approx(0.01)
    assert test.stimulus.attrs["um_per_pixel"] == 50.0
    assert test.spike_count.dims == ("repeat", "time", "cell")
    assert nc.labels.provenance(nc.read_recording(retina))["file"] == "whitenoise.h5"


def test_only_frames_that_are_asked_for_are_read(retina, monkeypatch):
    asked = []
    plain = h5py.Dataset.__getitem__

    def counted(self, key, *rest):
        values = plain(self, key, *rest)
        if self.name.endswith("stimulus"):
            asked.append(np.size(values))
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    stimulus = nc.read_recording(retina)["train"].stimulus
    part = stimulus.isel(time=slice(10, 14), x=2)
    assert asked == []
    assert part.values.shape == (4, 6)
    assert asked == [24]
    stimulus.isel(time=[3, 50], y=[1, 2]).load()
    assert asked[1] < 2 * 6 * 5
    assert stimulus.values.shape == (FRAMES - 1, 6, 5)


@pytest.mark.parametrize("kind", ["h5", "npz", "nc"])
def test_frames_are_those_of_the_file_however_they_are_sliced(tmp_path, retina, kind):
    whole = nc.read_recording(retina)["train"].to_dataset()
    path = {"h5": retina, "npz": tmp_path / "r.npz", "nc": tmp_path / "r.nc"}[kind]
    if kind == "npz":
        frames = {"stimulus": whole.stimulus.values, "firing_rate": whole.firing_rate.values}
        np.savez_compressed(path, time=whole.time.values, **frames)
    if kind == "nc":
        nc.save(whole, path)
    part = nc.read_recording(path)
    lazy = part["train" if kind == "h5" else "recording"].stimulus
    values = whole.stimulus.values
    for key in [
        np.s_[5:40:3, 1:, ::-1],
        np.s_[7],
        np.s_[-3:, 2, 1:3],
        np.s_[::-2],
        np.s_[[4, 2, 50], 1],
    ]:
        np.testing.assert_array_equal(lazy[key], values[key])
    np.testing.assert_array_equal(lazy.transpose("x", "time", "y")[1, 3:5], values[3:5, :, 1])


def test_the_file_is_free_after_reading(retina):
    recording = nc.read_recording(retina)
    _ = recording["train"].stimulus[3].values
    with h5py.File(retina, "r+") as file:  # refused by HDF5 while somebody reads
        file["train/stimulus"][3] = 7
    assert (recording["train"].stimulus[3] == 7).all()
    copy = pickle.loads(pickle.dumps(recording))  # noqa: S301
    assert (copy["train"].stimulus[3] == 7).all()


def test_a_file_that_went_away_is_named(retina):
    recording = nc.read_recording(retina)
    retina.unlink()
    with pytest.raises(StorageError, match=r"whitenoise.h5.*can no longer be read"):
        recording["train"].stimulus.load()


def test_counts_take_the_place_of_missing_rates(retina):
    def change(file):
        del file["train/response"]
        file["train/response/binned"] = np.full((3, FRAMES), 4, np.int16)
        file["train/response"].attrs["trials"] = 2

    rate = nc.read_recording(changed(retina, change))["train"].firing_rate
    np.testing.assert_allclose(rate, 4 / 2 / 0.01, rtol=1e-6)


def test_spike_times_take_the_place_of_missing_counts(retina):
    def change(file):
        del file["train/response"]
        for cell in range(3):
            file[f"train/spikes/cell{cell:02d}"] = [0.1001, 0.1042, 0.2501][: cell + 1]

    rate = nc.read_recording(changed(retina, change))["train"].firing_rate
    found = {(float(t), str(c)): float(x) for t, c, x in nonzero(rate)}
    # bin 10 of the file is row 9 here
    assert found == pytest.approx(
        {
            (0.09, "cell00"): 100,
            (0.09, "cell01"): 200,
            (0.09, "cell02"): 200,
            (0.24, "cell02"): 100,
        }
    )


def nonzero(rate):
    for i, j in np.argwhere(rate.values):
        yield round(float(rate.time[i]), 6), rate.cell.values[j], rate.values[i, j]


def test_counts_equal_a_histogram():
    rng = np.random.default_rng(0)
    frames = np.cumsum(rng.uniform(0.008, 0.012, 200))
    spikes = {"a": rng.uniform(-0.5, 3, 300), "b": np.empty(0)}
    edges = np.append(frames, frames[-1] + np.median(np.diff(frames)))
    counts = count_spikes(spikes, frames)
    np.testing.assert_array_equal(counts[:, 0], np.histogram(spikes["a"], edges)[0])
    assert not counts[:, 1].any()


def test_cells_are_chosen_by_name_position_or_reliability(retina):
    for cells in (["cell02", "cell00"], [2, 0]):
        rate = nc.read_recording(retina, cells=cells)["test"].firing_rate
        assert rate.cell.values.tolist() == ["cell02", "cell00"]
        np.testing.assert_array_equal(rate[0], [12, 10])
    reliable = nc.read_recording(retina, cells="reliable")
    assert reliable["train"].cell.values.tolist() == ["cell00", "cell02"]
    with pytest.raises(UnknownNameError, match="'cell02'"):
        nc.read_recording(retina, cells=["cell2"])
    with pytest.raises(UnknownNameError):
        nc.read_recording(retina, cells=[3])


def test_cells_that_a_file_knows_nothing_of(tmp_path, bipolars):
    with pytest.raises(InputError, match="without ganglion cells"):
        nc.read_recording(bipolars, cells=[0])
    path = retina_file(tmp_path / "r.h5")
    with pytest.raises(InputError, match="does not say which are"):
        nc.read_recording(path, cells="reliable")


def test_other_frame_rates_are_made_on_request_only(retina):
    kept = nc.read_recording(retina)["train"]
    np.testing.assert_allclose(np.diff(kept.time), 0.01)
    made = nc.read_recording(retina, frame_rate=50.0)
    np.testing.assert_allclose(np.diff(made["train"].time), 0.02)
    np.testing.assert_array_equal(made["train"].firing_rate[0], [15, 16, 17])
    pairs = kept["stimulus"].values[: 2 * (len(kept.time) // 2) : 2]
    np.testing.assert_array_equal(made["train"].stimulus, pairs)
    assert (
        made["test"].spike_count.sum()
        == nc.read_recording(retina)["test"].spike_count[:, :-1].sum()
    )


# interneurons


@pytest.fixture
def bipolars(tmp_path):
    path = tmp_path / "bipolars_late_2012.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for name in ("boxes", "lines"):
            file[f"{name}/stimuli"] = rng.integers(0, 2, (FRAMES, 38, 38)).astype(np.float32)
            file[f"{name}/detrended_membrane_potential"] = rng.normal(size=(2, FRAMES))
        file["boxes/rfs/040412_c1"], file["boxes/rfs/040412_c2"] = np.zeros(3), np.zeros(3)
    return path


def test_impaled_cells_and_their_boxes(bipolars):
    recording = nc.read_recording(bipolars)
    boxes = recording["boxes"].to_dataset()
    with h5py.File(bipolars) as file:
        stored = file["boxes/stimuli"][:-1]
        potential = file["boxes/detrended_membrane_potential"][:, 1:]
        np.testing.assert_array_equal(recording["lines"].stimulus, file["lines/stimuli"][:-1])
    np.testing.assert_array_equal(boxes.stimulus, 2 * stored - 1)
    np.testing.assert_allclose(boxes.membrane_potential, potential.T, rtol=1e-6)
    assert boxes.interneuron.values.tolist() == ["040412_c1", "040412_c2"]
    assert set(boxes.interneuron_cell_type.values) == {"bipolar"}
    padded = nc.stimuli.pad(boxes.stimulus, (50, 50))
    np.testing.assert_array_equal(padded[:, 6:44, 6:44], boxes.stimulus)


def without_potential(path, value):
    def change(file):
        file["boxes/detrended_membrane_potential"][1, 20] = value

    return changed(path, change)


def test_nan_is_refused_with_name_and_time(bipolars):
    path = without_potential(bipolars, np.nan)
    with pytest.raises(InputError, match=r"membrane_potential of 'boxes'.*'040412_c2' at 0.19 s"):
        nc.read_recording(path)
    dropped = nc.read_recording(path, nan="drop")["boxes"]
    assert dropped.interneuron.values.tolist() == ["040412_c1"]
    mended = nc.read_recording(path, nan="interpolate")["boxes"].membrane_potential
    neighbours = mended.values[[18, 20], 1]
    np.testing.assert_allclose(mended[19, 1], neighbours.mean(), rtol=1e-5)
    with pytest.raises(UnknownNameError, match="interpolate"):
        nc.read_recording(path, nan="interpolated")


def test_chirps_are_traces_to_be_rendered(tmp_path):
    path = tmp_path / "chirp.h5"
    with h5py.File(path, "w") as file:
        file["time"], file["stimulus"] = np.arange(20) / 64, np.linspace(0, 1, 20)
        for kind, size in (("bipolar", 3), ("amacrine", 2)):
            for where in ("local", "global"):
                file[f"{kind}/{where}"] = np.arange(size)[:, None] + np.arange(20.0)
    recording = nc.read_recording(path)
    local = recording["local"].to_dataset()
    assert local.fluorescence.dims == ("time", "interneuron")
    assert set(local.interneuron_cell_type.values) == {"bipolar cluster", "amacrine cluster"}
    third = local.fluorescence.sel(interneuron="bipolar cluster 02")
    np.testing.assert_array_equal(third, 2 + np.arange(20))
    assert (local.attrs["geometry"], recording["global"].attrs["geometry"]) == (
        "disc",
        "full field",
    )
    movie = nc.stimuli.disc(local.intensity, (10, 10), diameter=4.0, frame_rate=100.0)
    assert movie.sizes == {"time": 31, "y": 10, "x": 10}


# arrays


def test_npz_with_parts_and_labels(tmp_path):
    path, rng = tmp_path / "cells.npz", np.random.default_rng(0)
    arrays = {
        "train/stimulus": rng.random((20, 4, 4)),
        "train/firing_rate": rng.random((20, 2)),
        "train/frame_rate": 50.0,
        "test/spike_count": rng.integers(0, 3, (5, 20, 2)),
        "test/time": np.arange(20) / 50,
        "test/cell": np.array(["ON", "OFF"]),
        "test/membrane_potential": rng.random((20, 3)),
        "test/notes": np.zeros(2),
    }
    np.savez(path, **arrays)
    recording = nc.read_recording(path)
    np.testing.assert_array_equal(recording["train"].stimulus, arrays["train/stimulus"])
    assert float(recording["train"].time[3]) == pytest.approx(0.06)
    test = recording["test"].to_dataset()
    assert test.cell.values.tolist() == ["ON", "OFF"]
    assert float(test.bin_width) == pytest.approx(0.02)
    assert test.sizes == {"repeat": 5, "time": 20, "cell": 2, "interneuron": 3}


def test_npz_in_the_order_of_fortran(tmp_path):
    values = np.asfortranarray(np.random.default_rng(0).random((9, 2, 3)))
    np.savez(tmp_path / "r.npz", stimulus=values, frame_rate=10.0)
    lazy = nc.read_recording(tmp_path / "r.npz")["recording"].stimulus
    np.testing.assert_array_equal(lazy[2:5, 1], values[2:5, 1])


def test_pickles_are_never_opened(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harm'}",)

    np.savez(tmp_path / "r.npz", firing_rate=np.array([[Harmful()]]), frame_rate=1.0)
    with pytest.raises(InputError, match="Python objects"):
        nc.read_recording(tmp_path / "r.npz")
    assert not (tmp_path / "harm").exists()


def test_names_that_are_nearly_right_are_told(tmp_path):
    np.savez(tmp_path / "r.npz", firing_rates=np.zeros((3, 1)), frame_rate=1.0)
    with pytest.raises(InputError, match="call 'firing_rates' 'firing_rate'"):
        nc.read_recording(tmp_path / "r.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"stimulus": (9, 2, 2), "firing_rate": (8, 1)}, "'firing_rate'.*and 'stimulus' with 9"),
        ({"firing_rate": (9,)}, r"axes \('time', 'cell'\)"),
        ({"stimulus": (9, 2)}, r"axes \('time', 'y', 'x'\)"),
        ({"firing_rate": (9, 2), "time": (8,)}, "'time'"),
    ],
)
def test_lengths_that_do_not_match(tmp_path, arrays, message):
    np.savez(tmp_path / "r.npz", **{k: np.zeros(s) for k, s in arrays.items()}, frame_rate=10.0)
    with pytest.raises(InputError, match=message):
        nc.read_recording(tmp_path / "r.npz")


def test_times_or_a_rate_are_needed(tmp_path):
    np.savez(tmp_path / "r.npz", firing_rate=np.ones((3, 1)))
    with pytest.raises(InputError, match="frame_rate=100.0"):
        nc.read_recording(tmp_path / "r.npz")


def named():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "stimulus": (("y", "time", "x"), rng.integers(0, 9, (4, 12, 3), dtype=np.uint8)),
            "firing_rate": (("cell", "time"), rng.random((2, 12))),
        },
        {"time": np.arange(12) / 25.0, "cell": ["a", "b"]},
    )


@pytest.mark.parametrize(
    ("engine", "name"), [("h5netcdf", "r.nc"), ("netcdf4", "r.nc"), ("scipy", "r3.nc")]
)
def test_netcdf_of_other_software(tmp_path, engine, name):
    data = named()
    data["stimulus"] = data["stimulus"].astype(np.int16 if engine == "scipy" else np.uint8)
    data.to_netcdf(tmp_path / name, engine=engine)
    part = nc.read_recording(tmp_path / name)["recording"].to_dataset()
    assert part.stimulus.dims == ("time", "y", "x")
    np.testing.assert_array_equal(
        part.stimulus[2:5], data.stimulus.transpose("time", "y", "x")[2:5]
    )
    np.testing.assert_array_equal(part.firing_rate.sel(cell="b"), data.firing_rate.sel(cell="b"))


def test_packed_netcdf_is_unpacked(tmp_path):
    data = xr.Dataset(
        {"stimulus": (("time", "y", "x"), np.linspace(0, 1, 8).reshape(2, 2, 2))},
        {"time": [0.0, 0.1]},
    )
    data.stimulus[1, 0, 0] = np.nan
    packing = {"dtype": "int16", "scale_factor": 1e-4, "add_offset": 0.5, "_FillValue": -32768}
    data.to_netcdf(tmp_path / "r.nc", engine="netcdf4", encoding={"stimulus": packing})
    stimulus = nc.read_recording(tmp_path / "r.nc")["recording"].stimulus
    np.testing.assert_allclose(stimulus, data.stimulus, atol=1e-4)


def test_zarr_of_other_software(tmp_path):
    pytest.importorskip("zarr")
    data = named().drop_vars("cell")
    data.to_zarr(tmp_path / "r.zarr", zarr_format=2)
    part = nc.read_recording(tmp_path / "r.zarr")["recording"].to_dataset()
    np.testing.assert_array_equal(part.stimulus, data.stimulus.transpose("time", "y", "x"))
    assert part.cell.values.tolist() == ["cell00", "cell01"]


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_a_saved_recording_comes_back(tmp_path, retina, ending):
    if ending == ".zarr":
        pytest.importorskip("zarr")
    recording = nc.read_recording(retina)
    nc.save(recording, tmp_path / f"saved{ending}")
    again = nc.read_recording(tmp_path / f"saved{ending}")
    assert again.identical(recording)
    chosen = nc.read_recording(tmp_path / f"saved{ending}", cells=["cell01"])
    assert set(chosen) == {"train", "test"}
    assert chosen["train"].firing_rate.shape == (FRAMES - 1, 1)


def test_cells_are_in_the_order_of_their_numbers(retina):
    def change(file):
        counts = np.zeros((3, 4, FRAMES), np.int16)
        counts[:] = np.arange(3)[:, None, None]
        for name, values in zip(("cell2", "cell10", "cell9"), counts[[0, 2, 1]], strict=True):
            file[f"test/repeats/{name}"] = values
        for cell in range(3):
            del file[f"test/repeats/cell{cell:02d}"]

    test = nc.read_recording(changed(retina, change))["test"]
    assert test.cell.values.tolist() == ["cell2", "cell9", "cell10"]
    assert test.spike_count[0, 0].values.tolist() == [0, 1, 2]
    assert test.firing_rate.sel(time=0.0).values.tolist() == [10, 11, 12]


def test_gaps_in_a_saved_recording_are_treated_like_those_of_any_file(tmp_path):
    rate = (("time", "cell"), np.ones((5, 2)))
    data = xr.Dataset({"firing_rate": rate}, {"time": np.arange(5) / 100, "cell": ["a", "b"]})
    data.firing_rate[2, 1] = np.nan
    nc.save(xr.DataTree.from_dict({"/test": data}), tmp_path / "gaps.nc")
    with pytest.raises(InputError, match="1 NaN or infinite values, the first of 'b' at 0.02 s"):
        nc.read_recording(tmp_path / "gaps.nc")
    kept = nc.read_recording(tmp_path / "gaps.nc", nan="drop")
    assert kept["test"].cell.values.tolist() == ["a"]


def test_a_saved_tree_without_parts_gets_one(tmp_path):
    rate = (("time", "cell"), np.ones((5, 2)))
    data = xr.Dataset({"firing_rate": rate}, {"time": np.arange(5) / 100, "cell": ["a", "b"]})
    nc.save(xr.DataTree(data), tmp_path / "root.nc")
    assert list(nc.read_recording(tmp_path / "root.nc").children) == ["recording"]


# bad input


def test_one_cell_in_a_flat_array(retina):
    def change(file):
        for part in ("train", "test"):
            del file[f"{part}/response"]
            file[f"{part}/response/firing_rate_10ms"] = np.arange(FRAMES, dtype=np.float32)
        del file["test/repeats"]

    test = nc.read_recording(changed(retina, change))["test"]
    assert test.firing_rate.sel(cell="cell00").values.tolist() == list(range(1, FRAMES))


def test_dropping_everyone_is_refused(tmp_path):
    time = np.arange(5) / 100
    np.savez(tmp_path / "r.npz", firing_rate=np.full((5, 2), np.nan), time=time)
    with pytest.raises(InputError, match="values of everyone\n.*at least one cell"):
        nc.read_recording(tmp_path / "r.npz", nan="drop")


def test_other_numbers_of_repeats_are_told(retina):
    def change(file):
        del file["test/repeats/cell01"]
        file["test/repeats/cell01"] = np.zeros((3, FRAMES), np.int16)

    with pytest.raises(InputError, match=r"repeats.*'/test/repeats/cell01': 3"):
        nc.read_recording(changed(retina, change))


def test_a_truncated_file(retina):
    retina.write_bytes(retina.read_bytes()[:3000])
    with pytest.raises(StorageError, match=r"whitenoise.h5.*cannot be read"):
        nc.read_recording(retina)


def test_a_truncated_npz(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, stimulus=np.zeros((99, 9, 9)), frame_rate=10.0)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises((StorageError, InputError), match=r"r.npz"):
        nc.read_recording(path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("train/time", r"'/train' with the groups.*'stimulus'"),
        ("train/response", r"no responses\n  expected: a group such as 'train'"),
    ],
)
def test_missing_arrays_are_listed(retina, missing, message):
    def change(file):
        del file[missing]

    with pytest.raises(InputError, match=message):
        nc.read_recording(changed(retina, change))


def test_frames_and_cells_that_do_not_fit(tmp_path):
    def flat(file):
        del file["train/stimulus"]
        file["train/stimulus"] = np.zeros((FRAMES, 5))

    with pytest.raises(InputError, match=r"shape \(60, 5\)\n  expected: frames"):
        nc.read_recording(changed(retina_file(tmp_path / "a.h5"), flat))

    def fewer(file):
        del file["test/repeats/cell00"]

    with pytest.raises(InputError, match="'firing_rate': 3, 'spike_count': 2"):
        nc.read_recording(changed(retina_file(tmp_path / "b.h5"), fewer))


def test_results_that_are_no_recordings(tmp_path):
    nc.save(xr.Dataset({"loading": ("time", [1.0])}), tmp_path / "modes.nc")
    nc.save(xr.DataArray([1.0], dims="time", name="stimulus"), tmp_path / "array.nc")
    for name in ("modes.nc", "array.nc"):
        with pytest.raises(InputError, match=r"nc.open\(path\) reads it"):
            nc.read_recording(tmp_path / name)


def test_missing_groups_are_listed(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["session/movie"] = np.zeros(3)
    with pytest.raises(InputError, match=r"'session' \(movie\)\n  expected: .*'train' or 'test'"):
        nc.read_recording(tmp_path / "r.h5")


@pytest.mark.parametrize(
    "what", ["train/time", "train/response/firing_rate_10ms", "test/repeats/cell01"]
)
def test_lengths_in_hdf5_that_do_not_match(retina, what):
    def change(file):
        values = file[what][..., :-3]
        del file[what]
        file[what] = values

    with pytest.raises(InputError, match=rf"{what}.* of length 57 beside a stimulus of 60"):
        nc.read_recording(changed(retina, change))


def with_spikes(path, spikes):
    def change(file):
        del file["train/response"]
        for cell in range(3):
            file[f"train/spikes/cell{cell:02d}"] = np.asarray(spikes, float)
        del file["test"]

    return changed(path, change)


def test_some_spikes_outside_of_the_stimulus_are_dropped_and_counted(retina):
    path = with_spikes(retina, [0.1, 0.2, 0.9])
    with pytest.warns(NeurocodecWarning, match="3 of 9 spikes are outside.*0 to 0.6 s.*dropped"):
        rate = nc.read_recording(path)["train"].firing_rate
    assert int(rate.sum() * 0.01) == 6


def test_most_spikes_outside_of_the_stimulus_are_refused(retina):
    path = with_spikes(retina, [100.0, 200.0, 0.3])  # milliseconds
    with pytest.raises(InputError, match=r"6 of 9 spikes outside.*\n.*one clock, in seconds"):
        nc.read_recording(path)
    with pytest.raises(InputError, match="3 of 3 spike times of 'cell00' that are NaN"):
        nc.read_recording(with_spikes_replaced(path))


def with_spikes_replaced(path):
    def change(file):
        file["train/spikes/cell00"][:] = np.nan

    return changed(path, change)


def test_cells_without_spikes_are_kept_and_named(retina):
    def change(file):
        file["train/response/firing_rate_10ms"][1] = 0
        file["test/response/firing_rate_10ms"][1] = 0
        file["test/repeats/cell01"][:] = 0
        file["train/response/firing_rate_10ms"][2] = 0  # it has spikes in the test

    path = changed(retina, change)
    with pytest.warns(NeurocodecWarning, match="1 of 3 cells have no spikes: cell01"):
        recording = nc.read_recording(path)
    assert recording["train"].sizes["cell"] == 3


def test_a_recording_shorter_than_the_history(retina):
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None]

    net = nc.Network(Mean(), [], history=80, frame_rate=100.0)
    with pytest.raises(InputError, match="a movie of 59 frames\n  expected: at least 80"):
        nc.respond(net, nc.read_recording(retina)["train"].stimulus)


@pytest.mark.usefixtures("retina")
def test_folders_other_files_and_nothing(tmp_path):
    with pytest.raises(
        InputError, match=r"a folder with \['whitenoise.h5'\].*\n.*\n.*whitenoise.h5"
    ):
        nc.read_recording(tmp_path)
    (tmp_path / "r.avi").write_bytes(b"RIFF1234AVI ")
    with pytest.raises(InputError, match=r"begins with b'RIFF1234'\n  expected: HDF5.*NWB"):
        nc.read_recording(tmp_path / "r.avi")
    with pytest.raises(StorageError, match="does not exist"):
        nc.read_recording(tmp_path / "no.h5")


def test_parts_of_a_recording_are_movies(retina):
    from neurocodec.cells.recording import recorded_rates, stimulus_of

    recording = nc.read_recording(retina)
    stimulus = stimulus_of(recording["test"])
    assert stimulus.dims == ("time", "y", "x")
    rates = recording["test"].firing_rate[5:] * 2
    found = recorded_rates(recording["test"], rates)
    np.testing.assert_array_equal(found, rates / 2)
    numbered = rates.isel(cell=[2, 0]).assign_coords(cell=["2", "0"])
    found = recorded_rates(recording["test"], numbered)
    np.testing.assert_array_equal(found, numbered / 2)
    assert found.cell.values.tolist() == ["2", "0"]
    assert recorded_rates(recording["test"], numbered.assign_coords(cell=["2", "7"])) is None
    with pytest.raises(
        InputError, match=r"the parts \['test', 'train'\].*\n.*\n.*recording\['test'\]"
    ):
        stimulus_of(recording)


# real recordings


@needs(not SALAMANDER.exists(), reason=f"no {SALAMANDER}; set NEUROCODEC_TEST_DATA")
def test_a_real_recording_of_ganglion_cells():
    recording = nc.read_recording(SALAMANDER)
    train, test = (recording[name].to_dataset() for name in ("train", "test"))
    assert (train.sizes["time"], test.sizes["time"], train.sizes["cell"]) == (22399, 1599, 22)
    assert int(train.reliable.sum()) == 15
    counts = test.spike_count.sel(cell=test.reliable)
    odd, even = (counts[i::2].mean("repeat") for i in (0, 1))
    smooth = {"time": 5}
    agreement = xr.corr(odd.rolling(smooth).mean(), even.rolling(smooth).mean(), "time")
    assert 0.8 < float(agreement.median()) < 0.95
    rate = counts.mean("repeat") / test.bin_width
    same = xr.corr(rate, test.firing_rate.sel(cell=test.reliable), "time")
    assert float(same.min()) > 0.8, "counts and rates are on one time axis"


@needs(not CHIRP.exists(), reason=f"no {CHIRP}; set NEUROCODEC_TEST_DATA")
def test_a_real_recording_of_interneurons():
    recording = nc.read_recording(CHIRP)
    for part in recording.children.values():
        assert part.fluorescence.shape == (2114, 49)
        np.testing.assert_allclose(np.diff(part.time), 1 / 64)
    made = nc.stimuli.resample(recording, 100.0)
    assert made["local"].sizes["time"] == 3303
