"""One small recording, written in every form in which laboratories keep theirs."""

import h5py
import numpy as np

FRAMES, RATE = 12, 10.0
SAMPLES = 1000.0
"""Samples per second of sorted spikes."""
SPIKES = {"a": np.array([0.13, 0.71]), "b": np.array([0.25, 0.31, 0.38, 1.15])}
TIMES = np.arange(FRAMES) / RATE
MOVIE = np.random.default_rng(0).integers(0, 256, (FRAMES, 3, 4), dtype=np.uint8)

COUNTS = np.zeros((FRAMES, 2), int)
COUNTS[[1, 7], 0] = 1
COUNTS[[2, 3, 11], 1] = 1, 2, 1
"""Spikes in each frame, counted by hand."""


def pairs(order=None):
    """Time and number of the cell of every spike, in order of time."""
    times = np.concatenate([*SPIKES.values()])
    cells = np.repeat([0, 1], [len(x) for x in SPIKES.values()])
    order = np.argsort(times)
    return times[order], cells[order]


def phy_folder(path, *, labels=("good", "good"), table="cluster_group.tsv", column="group"):
    """Folder of Kilosort as phy saves it: clusters 3 and 8, and 9 of noise."""
    path.mkdir()
    times, cells = pairs()
    np.save(path / "spike_times.npy", np.r_[np.round(times * SAMPLES), 50].astype(np.int64))
    np.save(path / "spike_clusters.npy", np.r_[np.array([3, 8])[cells], 9].astype(np.int32))
    (path / "params.py").write_text("dat_path = 'x.dat'\nn_channels_dat = 4\nsample_rate = 1000.\n")
    lines = [f"cluster_id\t{column}", f"3\t{labels[0]}", f"8\t{labels[1]}", "9\tnoise"]
    (path / table).write_text("\n".join(lines) + "\n")
    return path


def spikeinterface_folder(path, *, segments=1, **facts):
    """Sorting as spikeinterface saves it to a folder."""
    path.mkdir()
    times, cells = pairs()
    kind = [("sample_index", "i8"), ("unit_index", "i8"), ("segment_index", "i8")]
    spikes = np.zeros(len(times), kind)
    spikes["sample_index"], spikes["unit_index"] = np.round(times * SAMPLES), cells
    spikes["segment_index"][-1] = segments - 1
    np.save(path / "spikes.npy", spikes)
    told = {"unit_ids": ["a", "b"], "sampling_frequency": SAMPLES, "num_segments": segments}
    import json

    (path / "numpysorting_info.json").write_text(json.dumps({**told, **facts}))
    return path


class NewMatlab:
    """MAT file of version 7.3, laid out as MATLAB does: HDF5 behind a header of 512 bytes."""

    def __init__(self, path):
        self.path, self.count = path, 0
        self.file = h5py.File(path, "w", userblock_size=512)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        with self.path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")

    def put(self, name, value, parent=None):
        parent = self.file if parent is None else parent
        if isinstance(value, str):
            self._made(parent, name, np.array([[ord(c)] for c in value], np.uint16), "char")
        elif isinstance(value, list):
            refs = [self._kept(x) for x in value]
            stored = np.array(refs, h5py.ref_dtype).reshape(-1, 1)
            self._made(parent, name, stored, "cell", dtype=h5py.ref_dtype)
        elif isinstance(value, dict):
            group = parent.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, x in value.items():
                if isinstance(x, tuple):  # a field of a struct array
                    refs = np.array([self._kept(y) for y in x], h5py.ref_dtype).reshape(-1, 1)
                    group.create_dataset(key, data=refs, dtype=h5py.ref_dtype)
                else:
                    self.put(key, x, group)
        else:
            array = np.atleast_2d(np.asarray(value))
            self._made(parent, name, array.transpose(), "double")

    def _kept(self, value):
        self.count += 1
        self.put(f"r{self.count}", value, self.file.require_group("#refs#"))
        return self.file[f"#refs#/r{self.count}"].ref

    def _made(self, parent, name, values, kind, **options):
        made = parent.create_dataset(name, data=values, **options)
        made.attrs["MATLAB_class"] = np.bytes_(kind)
