"""What comes with a movie: its frames, its times, recordings of the model's cells."""

import numpy as np
import pytest
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.cells.recording import (
    is_simulated,
    recorded_rates,
    simulated_parts,
    stimulus_of,
    timed,
    what_was_shown,
    with_types,
)
from neurocodec.errors import InputError
from neurocodec.network import Network


def test_a_movie_without_a_stimulus_is_refused():
    with pytest.raises(InputError) as found:
        stimulus_of(xr.Dataset({"frames": ("time", [0.0])}))
    assert str(found.value) == (
        "a movie with the variables ['frames']\n"
        "  expected: one called 'stimulus' with dims ('time', 'y', 'x')\n"
        "  try: movie.rename(old_name='stimulus')"
    )


def test_frames_come_without_the_scalars_of_other_variables():
    movie = xr.Dataset({"stimulus": ("time", [1.0, 2.0])}, {"time": [0.0, 0.1], "bin_width": 0.1})
    assert {*stimulus_of(movie).coords} == {"time", "y", "x"}  # light, a movie of one pixel


def test_a_movie_without_times_gets_them_from_the_frame_rate():
    assert timed(xr.DataArray([0.0, 1.0], dims="time"), 100.0).time.values.tolist() == [0.0, 0.01]
    with pytest.raises(InputError, match="without a frame rate"):
        timed(xr.DataArray([0.0, 1.0], dims="time"), None)


def test_recorded_rates_are_those_of_the_cells_of_the_model():
    rates = xr.DataArray([[1.0]], {"time": [0.1], "cell": ["a"]}, ("time", "cell"))
    movie = xr.Dataset({"firing_rate": rates + 1})
    assert recorded_rates(movie, rates).values.tolist() == [[2.0]]
    assert recorded_rates(movie, rates.assign_coords(cell=["b"])) is None


def test_counts_of_spikes_are_averaged_over_repeats_and_divided_by_their_bins():
    rates = xr.DataArray([[1.0]], {"time": [0.1], "cell": ["a"]}, ("time", "cell"))
    counts = xr.DataArray(
        [[[1.0]], [[3.0]]], {"time": [0.1], "cell": ["a"]}, ("repeat", "time", "cell")
    )
    movie = xr.Dataset({"spike_count": counts}, {"bin_width": 0.5})
    assert recorded_rates(movie, rates).values.tolist() == [[4.0]]


def test_cells_are_matched_by_their_number_in_the_file_as_well():
    rates = xr.DataArray([[1.0]], {"time": [0.1], "cell": ["7"]}, ("time", "cell"))
    named = (rates + 1).assign_coords(cell=["a"], number=("cell", [7]))
    found = recorded_rates(xr.Dataset({"firing_rate": named}), rates)
    assert found.values.tolist() == [[2.0]]
    assert found.cell.values.tolist() == ["7"]


def test_types_come_with_a_recording():
    rates = xr.DataArray([[1.0]], dims=("time", "cell"))
    recorded = rates.assign_coords(cell_type=("cell", ["ON"]))
    assert with_types(rates, recorded).cell_type.values.tolist() == ["ON"]
    assert with_types(rates, None) is rates
    known = rates.assign_coords(cell_type=("cell", ["OFF"]))
    assert with_types(known, recorded).cell_type.values.tolist() == ["OFF"]


def test_a_simulated_model_says_so_in_its_name():
    net = Network(nn.Linear(2, 1), [], name="simulated-retina")
    assert simulated_parts(net, xr.DataArray([0.0], dims="time")) == ("model",)


def test_what_was_recorded_is_not_simulated():
    movie = xr.DataArray([0.0], dims="time", attrs={"comment": "recorded in 2015"})
    assert not is_simulated(movie)
    assert is_simulated(movie.assign_attrs(comment="a simulated retina"))
    assert is_simulated(xr.Dataset({"stimulus": movie}, attrs={"simulated": np.True_}))


def test_what_was_shown_is_said_in_words():
    light = xr.Dataset(
        {"intensity": ("time", [1.0, 3.0, 2.0])}, {"time": [0.0, 0.5, 1.0]}, {"geometry": "disc"}
    )
    shown = nc.stimuli.present(light, (4, 5), 4.0, diameter=3.0)
    text = what_was_shown(shown.assign_attrs(part="local"))
    assert text.startswith("part 'local', disc of 3 pixels, rendered by nc.stimuli.present")
    assert text.endswith(f"{shown.sizes['time']} frames of 4 x 5 pixels")
    full = nc.stimuli.present(light.assign_attrs(geometry="full field"), (4, 5), 4.0)
    assert what_was_shown(full).endswith("4 x 5 pixels, the same light in every pixel")
    tree = xr.DataTree.from_dict({"/boxes": shown.drop_attrs()})
    assert what_was_shown(tree["boxes"]).startswith("part 'boxes', ")
