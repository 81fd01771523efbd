"""Spike times as other libraries keep them: written and made by these libraries themselves."""

import json

import h5py
import numpy as np
import pytest
from laboratory import COUNTS, FRAMES, MOVIE, SAMPLES, SPIKES, TIMES, pairs, spikeinterface_folder
from scipy.io import savemat

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecError

CELLS = [*SPIKES.values()]


def counted(spikes, **options):
    return nc.recording(MOVIE, spikes, **{"frame_times": TIMES, **options})


def require_counts(found):
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def saved_by_pynapple(path):
    nap = pytest.importorskip("pynapple")
    nap.TsGroup({i: nap.Ts(x) for i, x in enumerate(CELLS)}).save(str(path / "units.npz"))
    return path / "units.npz"


def trains(scale=1e3, units="ms"):
    neo = pytest.importorskip("neo")
    return [
        neo.SpikeTrain(x * scale, units=units, t_stop=1.2 * scale, name=name)
        for name, x in SPIKES.items()
    ]


def segment():
    found = pytest.importorskip("neo").Segment()
    found.spiketrains.extend(trains())
    return found


def a_dataset_a_cell(path):
    with h5py.File(path / "s.h5", "w") as file:
        for name, times in SPIKES.items():
            file[f"spike_times/{name}"] = times
    return path / "s.h5"


def of_spyking_circus(path):
    with h5py.File(path / "s.result.hdf5", "w") as file:
        for i, times in enumerate(CELLS):
            file[f"spiketimes/temp_{i}"] = np.round(times * SAMPLES).astype(int)
            file[f"amplitudes/temp_{i}"] = np.ones((len(times), 2))
    return path / "s.result.hdf5"


def in_ms(path):
    with h5py.File(path / "s.h5", "w") as file:
        for name, times in SPIKES.items():
            file[f"spike_times/{name}"] = times * 1e3
            file[f"spike_times/{name}"].attrs["units"] = "ms"
    return path / "s.h5"


def structs(path, name="units", fields=("id", "spike_times")):
    """MATLAB's struct array of units, as `units(k).spike_times`."""
    made = np.zeros(2, [(field, object) for field in fields])
    for k, (cell, times) in enumerate(SPIKES.items()):
        made[k] = (cell, times)
    savemat(path / "s.mat", {name: made, "note": "x"})
    return path / "s.mat"


def group_a_cell(path):
    with h5py.File(path / "s.h5", "w") as file:
        for name, times in SPIKES.items():
            file[f"units/{name}/spike_times"] = times
            file[f"units/{name}/quality"] = "good"
    return path / "s.h5"


def in_json(path):
    (path / "s.json").write_text(json.dumps({k: x.tolist() for k, x in SPIKES.items()}))
    return path / "s.json"


def of_alf(path):
    times, cells = pairs()
    np.save(path / "spikes.times.npy", times)
    np.save(path / "spikes.clusters.npy", cells)
    return path


def sorting_npz(path, **changed):
    """As `NpzSortingExtractor.write_sorting` writes it."""
    times, cells = pairs()
    arrays = {"unit_ids": ["a", "b"], "num_segment": [1], "sampling_frequency": [SAMPLES]}
    arrays["spike_indexes_seg0"] = np.round(times * SAMPLES).astype(int)
    arrays["spike_labels_seg0"] = np.array(["a", "b"])[cells]
    path.mkdir(exist_ok=True)
    np.savez(path / "sorting_cached.npz", **{**arrays, **changed})
    return path


def analyzer(path):
    spikeinterface_folder(path / "sorting")
    return path


READ = {
    "pynapple's npz": saved_by_pynapple,
    "neo, in ms": lambda _: trains(),
    "neo, in us, by name": lambda _: dict(zip("ab", trains(1e6, "us"), strict=True)),
    "a segment of neo": lambda _: segment(),
    "HDF5, a dataset a cell": a_dataset_a_cell,
    "HDF5 that says ms": in_ms,
    "structs of units in MATLAB": structs,
    "structs of cells in MATLAB": lambda p: structs(p, "cells", ("name", "spikes")),
    "a group of HDF5 a cell": group_a_cell,
    "JSON": in_json,
    "ALF": of_alf,
    "a folder of npz": sorting_npz,
    "an npz of spikeinterface": lambda p: sorting_npz(p) / "sorting_cached.npz",
    "an analyzer": analyzer,
}


@pytest.mark.parametrize("kind", READ)
def test_spikes_of_other_libraries(kind, tmp_path):
    require_counts(counted(READ[kind](tmp_path)))


def test_templates_of_spyking_circus_are_cells(tmp_path):
    found = counted(of_spyking_circus(tmp_path), sample_rate=SAMPLES)
    require_counts(found)
    assert found.cell.values.tolist() == ["temp_0", "temp_1"]
    assert "arrays: amplitudes" in found.attrs["reading"]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_sortings_of_spikeinterface_itself(tmp_path):
    core = pytest.importorskip("spikeinterface.core")
    samples = {k: np.round(x * SAMPLES).astype(int) for k, x in SPIKES.items()}
    sorting = core.NumpySorting.from_unit_dict(samples, SAMPLES)
    require_counts(counted(sorting))
    sorting.save(folder=tmp_path / "binary")
    sorting.save(folder=tmp_path / "npz", format="npz_folder")
    core.NpzSortingExtractor.write_sorting(sorting, tmp_path / "s.npz")
    for name in ("binary", "npz", "s.npz"):
        require_counts(counted(tmp_path / name))
    sorting.set_property("quality", np.array(["good", "noise"]))
    assert counted(sorting).cell.values.tolist() == ["a"]


def test_times_of_frames_have_units_too():
    pq = pytest.importorskip("quantities")
    require_counts(counted(SPIKES, frame_times=TIMES * 1e3 * pq.ms))
    require_counts(nc.recording(MOVIE, SPIKES, triggers=TIMES * 1e6 * pq.us))
    with pytest.raises(InputError, match="none of time"):
        counted(SPIKES, frame_times=TIMES * pq.mV)


def whole(path, change=lambda _file: None):
    with h5py.File(path / "r.h5", "w") as file:
        file["stimulus"], file["frame_times"] = MOVIE, TIMES
        change(file)
    return path / "r.h5"


def lists(file):
    made = file.create_dataset("spike_times", (2,), h5py.vlen_dtype("f8"))
    for i, times in enumerate(CELLS):
        made[i] = times


def of_all(file):
    file["spike_times"], file["spike_cell"] = pairs()
    file["cell"] = ["a", "b"]


def by_cell(file):
    for name, times in SPIKES.items():
        file[f"spike_times/{name}"] = times


def a_group_a_cell(file):
    for name, times in SPIKES.items():
        file[f"units/{name}/spike_times"] = times


def all_in_ms(file):
    by_cell(file)
    del file["frame_times"]
    file["frame_times"] = TIMES * 1e3
    file["frame_times"].attrs["units"] = "ms"


@pytest.mark.parametrize("change", [lists, of_all, by_cell, a_group_a_cell, all_in_ms])
def test_whole_recordings_in_hdf5(change, tmp_path):
    found = nc.read_recording(whole(tmp_path, change))["recording"]
    require_counts(found)
    np.testing.assert_array_equal(found.stimulus, MOVIE)
    np.testing.assert_allclose(found.time, TIMES)


def test_groups_of_hdf5_are_parts(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        for part in ("train", "test"):
            file[f"{part}/stimulus"], file[f"{part}/frame_times"] = MOVIE, TIMES
            for name, times in SPIKES.items():
                file[f"{part}/spike_times/{name}"] = times
    tree = nc.read_recording(tmp_path / "r.h5")
    assert [*tree] == ["test", "train"]
    require_counts(tree["train"])
    with pytest.raises(InputError, match="in the groups"):
        counted(tmp_path / "r.h5")


def npz(name, **arrays):
    def made(path):
        np.savez(path / name, **arrays)
        return path / name

    return made


def npy(path):
    np.save(path / "s.npy", SPIKES, allow_pickle=True)
    return path / "s.npy"


def json_text(content):
    def made(path):
        (path / "s.json").write_text(content)
        return path / "s.json"

    return made


def ragged():
    made = np.empty(2, object)
    made[:] = CELLS
    return made


PADDED = np.array([[0.13, 0.71, np.nan, np.nan], [0.25, 0.31, 0.38, 1.15]])
REFUSED = {
    "an array a cell": (npz("s.npz", **SPIKES), r"dict\(np.load"),
    "lists that were pickled": (npz("s.npz", spike_times=ragged()), "spike_cell=np.repeat"),
    "two columns": (npz("s.npz", spike_times=np.stack(pairs(), 1)), r"matrix\[:, 1\]"),
    "a raster of samples": (npz("s.npz", spike_times=np.eye(2, 90)), "flatnonzero"),
    "counts in MATLAB": (
        lambda p: savemat(p / "s.mat", {"spike_count": COUNTS}) or p / "s.mat",
        r"np.savez\('recording.npz', spike_count",
    ),
    "two kinds of units": (
        lambda p: (
            savemat(p / "s.mat", {k: {"a": {"spikes": [0.1]}} for k in ("x", "y")}) or p / "s.mat"
        ),
        r"with \['x', 'y'\]",
    ),
    "a padded matrix": (npz("s.npz", spike_times=PADDED), "isfinite"),
    "a dictionary that was pickled": (npy, "allow_pickle=True"),
    "a raster": (lambda _: COUNTS, "'spike_count'"),
    "JSON of a list": (json_text("[0.1]"), "JSON of a list"),
    "JSON that is cut off": (json_text('{"a": [0.1'), "cannot be read"),
    "JSON of words": (json_text('{"a": ["soon"]}'), "of 'a', <U4"),
    "two segments": (lambda p: sorting_npz(p, num_segment=[2]), "2 segments"),
    "other units": (lambda p: sorting_npz(p, unit_ids=["a"]), "spikes of the units"),
    "a sorting without a rate": (
        lambda p: sorting_npz(p, sampling_frequency=[0.0]),
        "sampling_frequency",
    ),
    "ALF without clusters": (
        lambda p: (of_alf(p) / "spikes.clusters.npy").unlink() or p,
        "spikes.clusters.npy",
    ),
    "HDF5 without spikes": (whole, r"with \['frame_times', 'stimulus'\]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_named_with_what_to_type(kind, tmp_path):
    make, told = REFUSED[kind]
    with pytest.raises(NeurocodecError, match=told):
        counted(make(tmp_path))


def test_hints_for_tables_run():
    pd = pytest.importorskip("pandas")
    times, cells = pairs()
    table = pd.DataFrame({"unit": np.array(["a", "b"])[cells], "time": times})
    units = pd.DataFrame({"spike_times": CELLS}, index=["a", "b"])  # as nwb.units.to_dataframe()
    for given, name in ((table, "table"), (units, "table")):
        with pytest.raises(InputError) as raised:
            counted(given)
        typed = raised.value.hint.partition(", of a row")[0]
        require_counts(counted(eval(typed, {name: given})))  # noqa: S307 - what it says to type


@pytest.mark.parametrize("padding", [np.nan, 0.0])
def test_hints_for_padded_matrices_keep_times_below_0(padding, tmp_path):
    matrix = np.where(np.isfinite(PADDED), PADDED - 0.5, padding)
    np.savez(tmp_path / "s.npz", spike_times=matrix)
    with pytest.raises(InputError) as raised:
        nc.recording(MOVIE, tmp_path / "s.npz", frame_times=TIMES - 0.5)
    code = raised.value.hint.removeprefix("spike_times=").split(", where")[0]
    made = eval(code, {"np": np, "matrix": matrix})  # noqa: S307
    found = nc.recording(MOVIE, made, frame_times=TIMES - 0.5)
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_a_digital_trace_is_no_list_of_triggers():
    trace = np.zeros(int(1.25 * SAMPLES))
    for k in range(FRAMES):
        trace[k * 100 + 10 : k * 100 + 20] = 5.0
    with pytest.raises(InputError, match="digital trace") as raised:
        nc.recording(MOVIE, SPIKES, triggers=trace)
    code = raised.value.hint.removeprefix("triggers=")
    found = eval(code, {"np": np, "triggers": trace, "sample_rate": SAMPLES})  # noqa: S307
    np.testing.assert_allclose(found, TIMES + 0.01)


@pytest.mark.parametrize(
    ("name", "told"), [("m.tif", "tifffile"), ("m.mp4", "imiter"), ("m.mat", "loadmat")]
)
def test_files_of_frames_are_refused_with_what_reads_them(name, told, tmp_path):
    (tmp_path / name).write_bytes(b"no frames")
    with pytest.raises(InputError) as raised:
        nc.recording(tmp_path / name, SPIKES, frame_times=TIMES)
    assert told in raised.value.hint


def test_of_a_response_with_cells_first_its_axes_are_turned(tmp_path):
    np.savez(tmp_path / "r.npz", spike_count=COUNTS.T[None], stimulus=MOVIE, frame_rate=10.0)
    with pytest.raises(InputError, match=r"np.transpose\(spike_count, \(0, 2, 1\)\)"):
        nc.read_recording(tmp_path / "r.npz")
