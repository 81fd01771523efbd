"""The cells of a circuit, before it sees anything."""

import numpy as np

from neurocodec.simulation.circuit import SIZE, draw_circuit, lattice


def test_interneurons_stand_on_a_lattice():
    assert lattice().shape == (324, 2)
    assert lattice()[-1].tolist() == [41, 41]


def test_a_circuit_has_four_cells_of_each_type():
    circuit = draw_circuit(np.random.default_rng(0))
    assert len(circuit.cell_type) == 16
    assert {circuit.cell_type.count(kind) for kind in circuit.ganglions} == {4}
    assert circuit.positions.shape == (16, 2)
    assert not circuit.scale


def test_currents_make_the_drive():
    circuit = draw_circuit(np.random.default_rng(0))
    movie = np.random.default_rng(0).normal(size=(30, SIZE, SIZE)).astype("float32") * 30
    found = circuit.respond(movie)
    np.testing.assert_array_equal(found.drive, found.excitation - found.inhibition)
    for current in (found.excitation, found.inhibition):
        assert current.max() > 0
        assert current.min() >= -1e-4 * current.max()  # convolutions by FFT


def test_without_amacrine_cells_nothing_inhibits():
    circuit = draw_circuit(np.random.default_rng(0))
    movie = np.random.default_rng(0).normal(size=(30, SIZE, SIZE)).astype("float32") * 30

    def silenced(sent):
        return {name: 0 * x if "amacrine" in name else x for name, x in sent.items()}

    alone = circuit.respond(movie, silenced)
    assert not alone.inhibition.any()
    assert alone.excitation.any()
