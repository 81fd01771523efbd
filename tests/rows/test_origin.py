"""Rows of another layer or of other weights are refused where they say so."""

import pytest

from neurocodec.errors import InputError
from neurocodec.rows.origin import require_same_origin, source_of

FITTED = {"layer": "conv1", "weights_sha256": "a" * 64, "method": {"kind": "ActGrad"}}


def test_a_source_is_a_layer_and_weights():
    assert source_of(FITTED) == {"layer": "conv1", "weights_sha256": "a" * 64}
    assert source_of({"layer": None}) == {}


@pytest.mark.parametrize("came", [FITTED, {}, {"layer": "conv1"}, {"method": "another"}])
def test_what_is_the_same_or_says_nothing_passes(came):
    require_same_origin(came, FITTED)
    require_same_origin(FITTED, came)


def test_another_layer_and_other_weights_are_refused_by_name():
    with pytest.raises(InputError, match=r"layer 'conv2', for modes of 'conv1'\n.*\n.*\['conv1'\]"):
        require_same_origin(FITTED | {"layer": "conv2"}, FITTED)
    with pytest.raises(InputError, match="weights bbbbbbbbbbbb, for modes .* aaaaaaaaaaaa"):
        require_same_origin(FITTED | {"weights_sha256": "b" * 64}, FITTED)
