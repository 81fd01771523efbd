"""What a network is told of itself: layers, names of outputs, their coordinates."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError, UnknownNameError


def module():
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU())


@pytest.mark.parametrize("alias", ["a/b", "", "target", 3])
def test_layers_have_names_that_are_no_paths(alias):
    with pytest.raises(InputError, match="layer alias") as error:
        nc.Network(module(), {alias: "1"})
    net = eval(f"nc.Network(module(), {error.value.hint})")  # noqa: S307 - what it says to type
    assert list(net.layers) == ["layer1"]


PASSES = []


class Counting(nn.Module):
    def forward(self, x):
        PASSES.append(len(x))
        return x


@pytest.mark.parametrize("alias", ["_orig_mod.1", "my layer", "e\u0301"])
def test_names_that_files_do_not_hold_are_refused_where_there_is_a_file(alias, tmp_path):
    whole = nn.Sequential(nn.Linear(2, 2), Counting())
    images = xr.DataArray(np.ones((3, 2), "float32"), dims=("stimulus", "feature"))
    asked = {"target": nc.targets.Sum(), "progress": False}
    net = nc.Network(whole, {alias: "1"})
    assert alias in nc.contributions(net, images, **asked)
    assert PASSES
    PASSES.clear()
    with pytest.raises(InputError, match="layer alias") as error:
        nc.contributions(net, images, out=tmp_path / "run.nc", **asked)
    assert not PASSES
    again = eval(f"nc.Network(whole, {error.value.hint})", {"nc": nc, "whole": whole})  # noqa: S307
    nc.contributions(again, images, out=tmp_path / "run.nc", **asked).close()


def test_each_output_has_a_name_of_its_own():
    with pytest.raises(InputError, match="'crane' more than once") as error:
        nc.Network(module(), [], outputs=["crane", "crane"])
    given = eval(f"dict({error.value.hint})", {"names": ["crane", "crane"]})  # noqa: S307
    assert nc.Network(module(), [], **given).outputs == ("crane 0", "crane 1")
    with pytest.raises(InputError, match="with the name ''"):
        nc.Network(module(), [], outputs=["crane", np.nan])


def test_coordinates_of_outputs_come_back_from_files(tmp_path):
    kinds = pd.Categorical(["on", "off"])
    net = nc.Network(module(), [], output_coords={"kind": kinds})
    found = nc.respond(net, xr.DataArray(np.ones((3, 2)), dims=("stimulus", "feature")))
    nc.save(found, tmp_path / "x.nc")
    assert nc.open(tmp_path / "x.nc").kind.to_numpy().tolist() == ["on", "off"]
    with pytest.raises(InputError, match="dtype object"):
        nc.Network(module(), [], output_coords={"kind": np.array(["on", 1], object)})
    with pytest.raises(InputError, match="'stimulus' of the outputs"):
        nc.Network(module(), [], output_coords={"stimulus": [1, 2]})


def test_what_is_no_network_is_told_so():
    with pytest.raises(InputError, match="net of type Sequential"):
        nc.respond(module(), xr.DataArray(np.ones((1, 2)), dims=("stimulus", "feature")))
    with pytest.raises(InputError, match="module=3"):
        nc.Network(3, [])
    with pytest.raises(InputError, match="layers=3"):
        nc.Network(module(), 3)
    with pytest.raises(UnknownNameError, match="layer '3'"):
        nc.Network(module(), ["1"]).select_layers([3])


def test_a_name_or_several_are_taken():
    assert list(nc.Network(module(), "1").layers) == ["1"]
