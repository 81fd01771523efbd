"""The cells of a circuit, before it sees anything."""

import numpy as np

from neurocodec.simulation.circuit import draw_circuit, lattice


def test_interneurons_stand_on_a_lattice():
    assert lattice().shape == (324, 2)
    assert lattice()[-1].tolist() == [41, 41]


def test_a_circuit_has_four_cells_of_each_type():
    circuit = draw_circuit(np.random.default_rng(0))
    assert len(circuit.cell_type) == 16
    assert {circuit.cell_type.count(kind) for kind in circuit.ganglions} == {4}
    assert circuit.positions.shape == (16, 2)
    assert not circuit.scale
