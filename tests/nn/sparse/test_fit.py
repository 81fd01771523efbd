"""The one entry to every encoder."""

import pytest
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


@pytest.mark.parametrize("encoder", ["inference", "mlp"])
def test_a_fit_does_not_depend_on_what_is_set_for_torch(encoder):
    sparsifier = {"inference": "share", "mlp": "gate"}[encoder]
    config = SparseConfig(encoder=encoder, sparsifier=sparsifier, expansion=2, epochs=2)
    rows = torch.rand(1, 40, 3, generator=torch.Generator().manual_seed(0))

    def fitted():
        (found,) = fit(Resident(rows), Resident(rows[:, :0]), [config], progress=False)
        return found.model.dictionary

    plain = fitted()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
            found = fitted()
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, plain, rtol=0, atol=0)
