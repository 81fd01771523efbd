"""Files of `torch.save`, of which nothing is run."""

import pickle

import numpy as np
import torch

from neurocodec.adapters.networks.torch_files import load_torch_file, wanted_imports


def test_numbers_of_numpy_are_read(tmp_path):
    torch.save({"mean": np.float32(51.5)}, tmp_path / "x.pt")
    found = load_torch_file(tmp_path / "x.pt")
    assert found == {"mean": 51.5}
    assert type(found["mean"]) is np.float32


def test_what_a_pickle_would_import_is_listed(tmp_path):
    (tmp_path / "x.p").write_bytes(pickle.dumps(print))
    assert wanted_imports(tmp_path / "x.p") == ["builtins.print"]
