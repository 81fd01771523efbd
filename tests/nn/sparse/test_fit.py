"""The one entry to every encoder."""

import torch

from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.fit import build, fit
from neurocodec.nn.sparse.source import Resident


def test_a_fit_has_an_epoch_of_history_for_each_pass():
    rows = torch.rand(1, 64, 3, generator=torch.Generator().manual_seed(0))
    config = SparseConfig(expansion=2, epochs=2)
    found = fit(Resident(rows[:, :48]), Resident(rows[:, 48:]), [config], progress=False)
    assert len(found[0].history) == 2
    assert found[0].model.dictionary.shape == (6, 3)


def test_a_model_without_content_has_the_shape_of_its_settings():
    assert build(3, SparseConfig(expansion=2)).dictionary.shape == (6, 3)
