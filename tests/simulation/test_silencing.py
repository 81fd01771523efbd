"""Silent cells: who hears them changes, who does not stays, and names are checked."""

from functools import cache

import numpy as np
import pytest

from neurocodec.errors import InputError
from neurocodec.simulation import Parameters, simulate_retina
from neurocodec.simulation.circuit import AMACRINES, GANGLIONS
from neurocodec.simulation.retina import draw_retina
from neurocodec.simulation.silencing import Silence, interneuron_names, recorded_places

NO_GAIN = Parameters(gain_control=0.0)  # the wide-field cells divide all release otherwise


def simulated(silence=(), parameters=NO_GAIN):
    return simulate_retina(4, duration=3.0, repeats=1, silence=silence, parameters=parameters)


@pytest.fixture(scope="module", autouse=True)
def one_calibration():
    """Every call draws the same two retinas: they are calibrated once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurocodec.simulation.world.draw_retina", cache(draw_retina))
        yield


@pytest.fixture(scope="module")
def intact():
    return simulated()


def changed_types(one, other):
    """Ganglion types of which any cell's rate changes."""
    differs = np.abs(one.firing_rate - other.firing_rate).max("time") > 1e-3
    return set(one.cell_type.values[differs.values])


@pytest.mark.parametrize("kind", AMACRINES)
def test_exactly_the_cells_that_a_silent_type_inhibits_fire_more(intact, kind):
    without = simulated(kind)
    inhibited = {name for name, cell in GANGLIONS.items() if kind in cell.inhibition}
    assert changed_types(intact, without) == inhibited
    assert (without.firing_rate >= intact.firing_rate - 1e-4).all()


def test_an_amacrine_cell_hears_nothing_of_a_silent_bipolar_type(intact):
    without = simulated("ON sustained bipolar")
    voltage = without.membrane_potential
    silent = voltage.sel(interneuron=voltage.interneuron_cell_type == "ON amacrine")
    assert (silent == 0).all()
    own = voltage.interneuron_cell_type == "ON sustained bipolar"
    np.testing.assert_array_equal(voltage[:, own.values], intact.membrane_potential[:, own.values])


def test_gain_control_goes_with_its_pool():
    without = simulated("wide-field amacrine", Parameters(gain_control=0.4))
    assert changed_types(simulated((), Parameters(gain_control=0.4)), without) == {*GANGLIONS}


def test_single_cells_and_ganglion_types(intact):
    without = simulated(["ON transient", "simulated 16"])
    silent = (without.firing_rate == 0).all("time")
    assert silent.values.tolist() == [True] * 4 + [False] * 11 + [True]
    kept = ~silent.values
    np.testing.assert_array_equal(without.firing_rate[:, kept], intact.firing_rate[:, kept])
    assert int(without.spike_count.sel(cell="simulated 16").sum()) == 0


def test_one_interneuron_is_the_one_that_is_recorded_under_this_name():
    circuit = draw_retina(4, NO_GAIN).circuit
    for number in (0, 17, 27):
        name = interneuron_names()[number]
        quiet = Silence.of(circuit, [name])
        kind, place = divmod(number, 4)
        found = [(k, *np.flatnonzero(x)) for k, x in quiet.positions.items() if x.any()]
        types = [*circuit.bipolars, *circuit.amacrines]
        assert found == [(types[kind], recorded_places(circuit)[place])]


def test_silent_cells_are_in_title_and_provenance(intact):
    without = simulated("ON amacrine")
    assert without.attrs["title"].endswith("without ON amacrine")
    assert '"silence": ["ON amacrine"]' in without.attrs["neurocodec"]
    assert "silence" not in intact.attrs["neurocodec"]


def test_cells_that_there_are_not_are_refused_with_near_ones():
    with pytest.raises(InputError, match="wide-field amacrine"):
        simulated("wide field amacrine")
    with pytest.raises(InputError, match="simulated 17"):
        simulated("simulated 17")
