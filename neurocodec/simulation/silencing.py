"""Cells of the simulated retina that transmit nothing: whole types, or single cells by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from neurocodec.arguments import several
from neurocodec.errors import unknown_name
from neurocodec.simulation.circuit import AMACRINES, BIPOLARS, GANGLIONS, Circuit

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTERNEURONS: Final = (*BIPOLARS, *AMACRINES)
"""Types of interneurons, in the order in which they are recorded."""


def wanted_silence(silence: str | Sequence[str], cells_per_type: int) -> list[str]:
    """Names of types and cells that are to be silent, each one that a retina has."""
    names = several(
        "silence", silence, "names of types or cells", hint=f"silence={[*AMACRINES][:1]}"
    )
    cells = cell_names(cells_per_type * len(GANGLIONS))
    known = [*INTERNEURONS, *GANGLIONS, *interneuron_names(), *cells]
    for name in names:
        if name not in known:
            raise unknown_name("cell or type", name, known)
    return list(dict.fromkeys(names))


def cell_names(count: int) -> list[str]:
    """Names of ganglion cells."""
    return [f"simulated {i:02d}" for i in range(1, count + 1)]


def interneuron_names() -> list[str]:
    """Names of the recorded interneurons: of every type one beside a cell of each ganglion type."""
    count = len(INTERNEURONS) * len(GANGLIONS)
    return [f"simulated interneuron {i:02d}" for i in range(1, count + 1)]


def recorded_places(circuit: Circuit) -> list[int]:
    """Positions on the lattice nearest to the first ganglion cell of each type."""
    centers = [circuit.positions[circuit.cell_type.index(kind)] for kind in circuit.ganglions]
    return [int(((circuit.lattice - at) ** 2).sum(axis=1).argmin()) for at in centers]


@dataclass(frozen=True)
class Silence:
    """Which cells transmit nothing."""

    positions: dict[str, NDArray[np.bool_]]  # on the lattice, by type of interneuron
    cells: NDArray[np.bool_]  # ganglion cells

    @classmethod
    def of(cls, circuit: Circuit, names: Sequence[str]) -> Silence:
        """Find the cells of these names."""
        positions = {kind: np.full(len(circuit.lattice), kind in names) for kind in INTERNEURONS}
        places, numbers = (
            recorded_places(circuit),
            {n: i for i, n in enumerate(interneuron_names())},
        )
        for number in (numbers[name] for name in names if name in numbers):
            kind, place = divmod(number, len(places))
            positions[INTERNEURONS[kind]][places[place]] = True
        kinds = np.array(circuit.cell_type)
        cells = np.isin(kinds, names) | np.isin(cell_names(len(kinds)), names)
        return cls(positions, cells)

    def transmitted(
        self, activity: dict[str, NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        """Activity (time, position) by type, of which silent cells pass on nothing."""
        return {n: np.where(self.positions[n], np.float32(0), x) for n, x in activity.items()}
