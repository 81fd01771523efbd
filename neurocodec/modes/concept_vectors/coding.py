"""Rows as an offset and a few concept vectors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec.errors import InputError
from neurocodec.kernels.pursuit import EMPTY, Codes, pursuit, refitted, spread
from neurocodec.modes.coders import Coder
from neurocodec.modes.concept_vectors.lasso import lasso

Solver: TypeAlias = Literal["omp", "lasso", "lasso_refit"]


@dataclass(frozen=True)
class PursuitCoder(Coder):
    """Unit vectors, and what is subtracted from rows before these are made of them."""

    atoms: NDArray[np.float32]  # (mode, channel)
    start: NDArray[np.float32]  # (channel,)
    active: int  # vectors of a row, where nothing else is asked for

    @classmethod
    def of(cls, atoms: NDArray[Any], start: NDArray[Any], active: int) -> Self:
        """Make one; loadings are along unit vectors, so that none has another strength."""
        kind = np.float32
        return cls(np.ones(len(atoms), kind), atoms.astype(kind), start.astype(kind), active)

    def codes(
        self, rows: NDArray[Any], active: int | None = None, solver: Solver = "omp"
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Values and indices (row, slot) of rows (row, channel), the largest first."""
        found = self.coded(rows, active or self.active, solver)
        return found.values.astype(np.float32, copy=False), found.indices

    def coded(self, rows: NDArray[Any], active: int, solver: Solver = "omp") -> Codes:
        """The same, as they come from the solver."""
        left = np.asarray(rows, np.float32) - self.start
        if solver == "omp":
            return pursuit(left, self.atoms, active)
        found = lasso(left, self.atoms, active)
        return found if solver == "lasso" else refitted(left, self.atoms, found)

    def made(self, codes: Codes) -> NDArray[np.float32]:
        """Rows that codes stand for."""
        return np.asarray(codes.made(self.atoms) + self.start, np.float32)

    def weak_loadings(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings of all vectors, most of them 0."""
        codes = self.coded(rows, self.active)
        return np.asarray(spread(codes, len(self.atoms)).toarray(), np.float32)

    def weak_atoms(self) -> NDArray[np.float32]:
        """The unit vectors."""
        return self.atoms

    @property
    def offset(self) -> NDArray[np.float32]:
        """What is added to loadings times dictionary."""
        return self.start

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing beside dictionary and offset, which a result holds."""
        return {}


def checked(solver: Any, active: Any, known: Mapping[str, int]) -> tuple[Solver, int]:
    """A solver by its name, and how many vectors a row may have: no more than there are."""
    name: Solver = arguments.one_of("solver", solver, get_args(Solver))
    count = arguments.whole("active", active, hint="active=12")
    for what, most in known.items():
        if count > most:
            raise InputError(
                came=f"active={count} of {most} {what}",
                expected=f"at most {most}: more do not make a row better",
                hint=f"active={most}",
            )
    return name, count


__all__ = ["EMPTY", "Codes", "PursuitCoder", "Solver", "checked"]
