"""Folders of sorters that are not as they should be."""

import json

import numpy as np
import pytest
from laboratory import COUNTS, MOVIE, SPIKES, TIMES, phy_folder, spikeinterface_folder

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecError


def read(path, **options):
    return nc.recording(MOVIE, path, frame_times=TIMES, **options)


def test_clusters_that_are_stored_as_floats(tmp_path):
    path = phy_folder(tmp_path / "phy")
    np.save(path / "spike_clusters.npy", np.load(path / "spike_clusters.npy").astype(float))
    found = read(path)
    assert found.cell.values.tolist() == ["unit 3", "unit 8"]
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_spikes_in_seconds_beside_clusters(tmp_path):
    path = phy_folder(tmp_path / "phy")
    np.save(path / "spike_times.npy", np.load(path / "spike_times.npy") / 1000)
    with pytest.raises(InputError, match="sample_rate=1.0, where they are seconds"):
        read(path)
    np.testing.assert_array_equal(read(path, sample_rate=1.0).spike_count[0], COUNTS)


def test_unsigned_samples(tmp_path):
    path = phy_folder(tmp_path / "phy")
    np.save(path / "spike_times.npy", np.load(path / "spike_times.npy").astype(np.uint64)[:, None])
    np.testing.assert_array_equal(read(path).spike_count[0], COUNTS)


@pytest.mark.parametrize("names", [["a", "a"], [3, "unit 3"]])
def test_units_of_one_name_are_refused(tmp_path, names):
    """One of them would take the place of the other, and its spikes would disappear."""
    path = spikeinterface_folder(tmp_path / "si", unit_ids=names)
    with pytest.raises(InputError, match="two cells called"):
        read(path)


def test_labels_of_spikeinterface(tmp_path):
    path = spikeinterface_folder(tmp_path / "si")
    (path / "properties").mkdir()
    np.save(path / "properties" / "quality.npy", np.array([b"good", b"noise"]))
    assert read(path).cell.values.tolist() == ["a"]


def without_spikes(path):
    phy_folder(path)
    for name in ("spike_times", "spike_clusters"):
        np.save(path / f"{name}.npy", np.load(path / f"{name}.npy")[:0])


def with_array(name, values):
    def made(path):
        phy_folder(path)
        np.save(path / f"{name}.npy", values)

    return made


def with_text(name, text):
    def made(path):
        phy_folder(path)
        (path / name).write_text(text)

    return made


def with_facts(**facts):
    return lambda path: spikeinterface_folder(path, **facts)


def with_json(value):
    def made(path):
        spikeinterface_folder(path)
        (path / "numpysorting_info.json").write_text(json.dumps(value))

    return made


def with_fields(kind):
    def made(path):
        spikeinterface_folder(path)
        spikes = np.load(path / "spikes.npy")
        names = spikes.dtype.names
        np.save(path / "spikes.npy", spikes.astype([(n, kind.get(n, "i8")) for n in names]))

    return made


REFUSED = {
    "two columns of spikes": (with_array("spike_times", np.zeros((7, 2), int)), "14 times and 7"),
    "two columns of both": (
        lambda p: [
            with_array("spike_times", np.zeros((7, 2), int))(p),
            np.save(p / "spike_clusters.npy", np.zeros((7, 2), int)),
        ],
        r"of shape \(7, 2\)",
    ),
    "a table of bytes": (
        lambda p: [phy_folder(p), (p / "cluster_group.tsv").write_bytes(b"\xff\xfe\0c")],
        "which is no text",
    ),
    "units of text": (with_fields({"unit_index": "U3"}), "numbers as unit_index"),
    "samples of text": (with_fields({"sample_index": "U9"}), "numbers as sample_index"),
    "units without a name": (with_facts(unit_ids=[None, ""]), "called None"),
    "units called NaN": (with_facts(unit_ids=[float("nan"), 1]), "called nan"),
    "no spike": (without_spikes, "spikes of no cell"),
    "clusters of text": (with_array("spike_clusters", np.array(["a"] * 7)), "of <U1"),
    "clusters of NaN": (with_array("spike_clusters", np.full(7, np.nan)), "7 of which are NaN"),
    "clusters of fractions": (with_array("spike_clusters", np.full(7, 0.5)), "of float64"),
    "spikes of text": (with_array("spike_times", np.array(["a"] * 7)), "of <U1"),
    "a row that ends": (with_text("cluster_group.tsv", "group\tid\ngood\n"), "in each row"),
    "two labels of a cluster": (
        with_text("cluster_group.tsv", "cluster_id\tgroup\n3\tgood\n3\tnoise\n"),
        "two labels of cluster 3",
    ),
    "a rate of text": (with_text("params.py", "sample_rate = '30000'\n"), "samples per second"),
    "a list of facts": (with_json([1, 2]), "cannot be read"),
    "units that are a number": (with_facts(unit_ids=2), "a list of the names"),
    "a rate of letters": (with_facts(sampling_frequency="x"), "sampling_frequency='x'"),
    "a rate of nothing": (with_facts(sampling_frequency=0), "sampling_frequency=0"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_with_a_folder_is_named(kind, tmp_path):
    make, told = REFUSED[kind]
    make(tmp_path / "x")
    with pytest.raises(NeurocodecError, match=told):
        read(tmp_path / "x")


def test_a_table_with_the_mark_of_windows(tmp_path):
    table = "\ufeffcluster_id\tgroup\r\n3\tgood\r\n8\tgood\r\n9\tnoise\r\n"
    phy_folder(tmp_path / "x")
    (tmp_path / "x" / "cluster_group.tsv").write_bytes(table.encode())
    np.testing.assert_array_equal(read(tmp_path / "x").spike_count[0], COUNTS)


def test_the_last_of_two_rates_counts_as_in_python(tmp_path):
    with_text("params.py", "sample_rate = 30000\nsample_rate = 1000.0  # Hz\n")(tmp_path / "x")
    np.testing.assert_array_equal(read(tmp_path / "x").spike_count[0], COUNTS)


def test_a_hint_for_a_rate_of_text_runs(tmp_path):
    with_text("params.py", "sample_rate = '1000'\n")(tmp_path / "x")
    with pytest.raises(InputError) as raised:
        read(tmp_path / "x")
    assert raised.value.hint == "sample_rate=30000.0"
    found = read(tmp_path / "x", sample_rate=1000.0)
    assert int(found.spike_count.sum()) == sum(map(len, SPIKES.values()))


def test_labels_in_capitals_are_the_same(tmp_path):
    path = phy_folder(tmp_path / "phy")
    table = path / "cluster_group.tsv"
    table.write_text(table.read_text().replace("good", "Good"))
    assert read(path).cell.values.tolist() == ["unit 3", "unit 8"]
