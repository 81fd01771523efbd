import numpy as np
import pytest
import torch
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.nn.attribution.features import count
from neurocodec.nn.attribution.targets import Feature, Features, Sum

MAPS = torch.arange(12.0).reshape(1, 2, 2, 3)


def test_feature_projects_a_position_or_the_sum():
    assert Feature("a", (1.0, -1.0), (1, 2))(MAPS).tolist() == [5.0 - 11.0]
    assert Feature("a", (1.0, 0.0))(MAPS).tolist() == [15.0]
    assert Feature("a", (1.0, 0.0), (1, np.int64(2)))(MAPS).tolist() == [5.0]
    assert Feature("a", (1.0, 0.0), np.int64(1))(MAPS[:, :, 0]).tolist() == [1.0]
    with pytest.raises(InputError, match="each of its 2 channels"):
        Feature("a", (1.0,))(MAPS)


def test_the_centre_of_an_even_side_is_its_half():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert Feature("a", (1.0,), "center")(maps).tolist() == [10.0]
    assert Feature("a", (1.0, 0.0), "center")(MAPS).tolist() == [4.0]


@pytest.mark.parametrize("maps", [MAPS[:, :, 0, 0], MAPS[:, :, 0]])
def test_vectors_and_tokens_have_no_centre(maps):
    with pytest.raises(InputError, match="position 'center' in 'a'"):
        Feature("a", (1.0, 0.0), "center")(maps)


def test_the_strongest_position_is_the_samples_own_and_is_kept():
    maps = torch.tensor([[[1.0, 3.0, 3.0]], [[5.0, 0.0, 2.0]]])
    target = Feature("a", (1.0,), "strongest")
    assert target(maps).tolist() == [3.0, 5.0]
    held = target.fixed_at(maps)
    assert held(maps.flip(2)).tolist() == [3.0, 2.0]
    assert held.per_sample
    assert target.hold
    slope = maps.clone().requires_grad_()
    target(slope).sum().backward()
    assert slope.grad.tolist() == [[[0, 1, 0]], [[1, 0, 0]]]  # of equal ones the first


@pytest.mark.parametrize("position", [(-1, -1), (-20, 0), -1, (True, 0), (0.0, 0), "centre", ()])
def test_positions_are_whole_numbers_from_0_or_a_word(position):
    with pytest.raises(InputError, match="whole numbers from 0, 'center', 'strongest'"):
        Feature("a", (1.0, 0.0), position)


@pytest.mark.parametrize("position", [(2, 0), (0,), 1])
def test_positions_lie_inside_of_the_layer(position):
    with pytest.raises(InputError, match=r"a position inside of \(2, 3\)"):
        Feature("a", (1.0, 0.0), position)(MAPS)


@pytest.mark.parametrize("vector", [(), (0.0, 0.0), (np.nan, 1.0), np.eye(2), "ab", None])
def test_vectors_are_finite_numbers_that_are_not_all_zero(vector):
    with pytest.raises(InputError, match="one finite number per channel"):
        Feature("a", vector)


def test_vectors_belong_to_their_channels():
    vector = xr.DataArray([1.0, 2.0], {"channel": [0, 1]}, ("channel",))
    assert Feature("layer1", vector)(torch.tensor([[3.0, 1.0]])).tolist() == [5.0]
    with pytest.raises(InputError, match=r"channels \[1, 0\]"):
        Feature("layer1", vector[::-1])
    rows = vector.expand_dims(feature=["a"])
    with pytest.raises(InputError, match=r"channels \[1, 0\]"):
        Features("layer1", rows[:, ::-1])
    with pytest.raises(InputError, match=r"dims \(feature, channel\)"):
        Features("layer1", rows.T)


@pytest.mark.parametrize("position", [None, "center", "strongest", (1, 2)])
def test_many_features_are_each_one_feature(position):
    maps = torch.randn(3, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors = np.random.default_rng(1).normal(size=(3, 4))
    many = Features("a", vectors, position=position)
    expected = torch.stack([Feature("a", v, position)(maps) for v in vectors], 1)
    torch.testing.assert_close(many(maps), expected)
    torch.testing.assert_close(many.fixed_at(maps)(maps), expected)
    torch.testing.assert_close(many.one(1)(maps), expected[:, 1])
    torch.testing.assert_close(many.one(1).fixed_at(maps)(maps), expected[:, 1])
    units = Features("a", channels=[2, 0], position=position)
    torch.testing.assert_close(units(maps), Features("a", np.eye(4)[[2, 0]], None, position)(maps))


def test_features_have_names():
    rows = xr.DataArray(np.eye(2), {"mode": ["on", "off"]}, ("mode", "channel"))
    assert Features("a", rows).labels == ("on", "off")
    assert Features("a", np.eye(2)).labels == (0, 1)
    assert Features("a", channels=np.array([3, 17])).labels == (3, 17)
    assert Features("a", channels=[3], labels=["curve"]).labels == ("curve",)
    assert count(Features("a", channels=[3, 5])) == 2
    assert count(Sum()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no vectors and no channels"),
        ({"vectors": np.eye(2), "channels": [0]}, "both vectors and channels"),
        ({"vectors": []}, "vectors of"),
        ({"vectors": [[1.0], [1.0, 2.0]]}, r"vectors of \[1, 2\] numbers"),
        ({"vectors": 3.0}, "vectors of"),
        ({"channels": []}, "at least one"),
        ({"channels": [-1]}, "whole numbers from 0"),
        ({"channels": [1.0]}, "whole numbers from 0"),
        ({"channels": [1, 1]}, "no two the same"),
        ({"channels": [1, 2], "labels": ["a"]}, r"names \['a'\] of 2 features"),
        ({"channels": [1, 2], "labels": ["a", 1]}, "a name"),
    ],
)
def test_features_that_are_none_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Features("a", **options)


def test_channels_that_a_layer_lacks_are_refused():
    with pytest.raises(InputError, match="channels from 0 to 1"):
        Features("a", channels=[0, 2])(MAPS)
