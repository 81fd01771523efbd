"""Sparse codes of many rows at once: orthogonal matching pursuit."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Values = NDArray[np.floating]

EMPTY: Final = -1
"""Index in a slot that holds nothing."""
BLOCK: Final = 2**22
"""Correlations that are held at once."""
GRAM_BYTES: Final = 2**29
"""Inner products of all atoms that are held, at most; else each step looks at the residual."""
_LEAST: Final = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-6}
"""Part of a row's length that is not worth a step: numbers of these kinds know no better."""


class Codes(NamedTuple):
    """Which atoms make a row, and how much of each; the largest first."""

    values: Values  # (row, slot); 0 in empty slots
    indices: NDArray[np.int32]  # (row, slot); `EMPTY` in empty slots

    def made(self, atoms: Values) -> Values:
        """Rows that the codes stand for."""
        return np.asarray(spread(self, len(atoms)) @ atoms)


def spread(codes: Codes, atoms: int) -> Any:
    """Codes as a sparse matrix (row, atom)."""
    filled = codes.indices != EMPTY
    starts = np.concatenate([[0], np.cumsum(filled.sum(1))])
    parts = (codes.values[filled], codes.indices[filled], starts)
    return csr_array(parts, shape=(len(filled), atoms))


def pursuit(rows: Values, atoms: Values, active: int) -> Codes:
    """Sums of at most `active` atoms of length 1 that come near each row (Pati et al. 1993).

    The atom that goes best with what is left of a row is added, and all weights are found anew by
    least squares. A row is done early where nothing that is left of it goes with any atom.
    """
    kind = np.result_type(rows, np.float32)
    rows, atoms = rows.astype(kind, copy=False), atoms.astype(kind, copy=False)
    found = Codes(
        np.zeros((len(rows), active), kind), np.full((len(rows), active), EMPTY, np.int32)
    )
    most = min(active, *atoms.shape)
    gram = _gram(atoms, len(rows) * most)
    step = max(1, BLOCK // len(atoms))
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        block = _Block(rows[some], atoms, gram, most)
        found.values[some, :most], found.indices[some, :most] = block.codes()
    return _largest_first(found)


def refitted(rows: Values, atoms: Values, codes: Codes) -> Codes:
    """The same atoms for each row, with the weights that come nearest to it."""
    values = np.zeros_like(codes.values)
    for count in np.unique((codes.indices != EMPTY).sum(1)):
        own = np.flatnonzero((codes.indices != EMPTY).sum(1) == count)
        for place in np.array_split(own, max(1, len(own) * count * atoms.shape[1] // BLOCK)):
            if count and len(place):
                chosen = atoms[codes.indices[place, :count]].astype(np.float64)
                small = chosen @ chosen.transpose(0, 2, 1)
                right = np.einsum("rsc,rc->rs", chosen, rows[place])
                values[place, :count] = (np.linalg.pinv(small) @ right[:, :, None])[:, :, 0]
    return _largest_first(Codes(values, codes.indices))


def _gram(atoms: Values, steps: int) -> Values | None:
    """Inner products of all atoms, where they fit and are used more often than made."""
    fits = atoms.itemsize * len(atoms) ** 2 <= GRAM_BYTES
    return np.asarray(atoms @ atoms.T) if fits and steps >= len(atoms) else None


class _Block:
    """Rows whose codes grow together, a slot a step."""

    def __init__(self, rows: Values, atoms: Values, gram: Values | None, most: int) -> None:
        self.rows, self.atoms, self.gram, self.most = rows, atoms, gram, most
        self.first: Values = np.asarray(rows @ atoms.T)  # how each row goes with each atom
        self.least = _LEAST[rows.dtype] * np.linalg.norm(rows, axis=1)
        self.small = np.zeros((len(rows), most, most))  # inner products of a row's own atoms
        self.values: Values = np.zeros((len(rows), most), rows.dtype)
        self.indices = np.full((len(rows), most), EMPTY, np.int32)

    def codes(self) -> tuple[Values, NDArray[np.int32]]:
        """Values and indices of all rows."""
        going, left = np.arange(len(self.rows)), self.first
        for slot in range(self.most):
            size = np.abs(left)
            best = size.argmax(1)
            strong = size[np.arange(len(going)), best] > self.least[going]
            going, best = going[strong], best[strong]
            if not len(going):
                break
            self._add(going, best, slot)
            if slot + 1 < self.most:
                left = self._left(going, slot + 1)
        return self.values, self.indices

    def _add(self, going: NDArray[np.intp], best: NDArray[np.intp], slot: int) -> None:
        self.indices[going, slot] = best
        own = self.indices[going, : slot + 1]
        products = self._products(own, best)
        self.small[going, slot, : slot + 1] = products
        self.small[going, : slot + 1, slot] = products
        right = np.take_along_axis(self.first[going], own, 1).astype(np.float64)
        small = self.small[going, : slot + 1, : slot + 1]
        self.values[going, : slot + 1] = np.linalg.solve(small, right[:, :, None])[:, :, 0]

    def _products(self, own: NDArray[np.int32], best: NDArray[np.intp]) -> Values:
        if self.gram is not None:
            return self.gram[best[:, None], own]
        return np.asarray(np.einsum("rsc,rc->rs", self.atoms[own], self.atoms[best]))

    def _left(self, going: NDArray[np.intp], slots: int) -> Values:
        """How what is left of each row goes with each atom."""
        own = Codes(self.values[going, :slots], self.indices[going, :slots])
        if self.gram is None:
            return np.asarray((self.rows[going] - own.made(self.atoms)) @ self.atoms.T)
        return np.asarray(self.first[going] - own.made(self.gram))


def _largest_first(codes: Codes) -> Codes:
    order = np.argsort(-np.abs(codes.values), axis=1, kind="stable")
    # an atom whose weight is 0 still stands before the empty slots
    order = np.take_along_axis(
        order, np.argsort(np.take_along_axis(codes.indices, order, 1) == EMPTY, 1, "stable"), 1
    )
    return Codes(
        np.take_along_axis(codes.values, order, 1), np.take_along_axis(codes.indices, order, 1)
    )
