"""Codes of all rows of a fit, kept from visit to visit: where the next solution starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.sparse.active import Codes, active_net
from neurocodec.nn.sparse.coding import elastic_net

_FEW: Final = 512
"""Up to so many modes a few steps of all of them cost less than a solution for each row."""
_WIDTH: Final = 64
"""Codes of a row that are kept, the largest; where more are active, a visit finds the others."""


class Memory:
    """Codes of the rows of several fits, of all modes where these are few, else of the active."""

    def __init__(self, fits: int, rows: int, modes: int, device: torch.device) -> None:
        self.modes = modes
        width = modes if modes <= _FEW else _WIDTH
        self.value = torch.zeros(fits, rows, width, dtype=torch.float32, device=device)
        kept = 0 if modes <= _FEW else width
        self.index = torch.zeros(fits, rows, kept, dtype=torch.int32, device=device)

    def solve(
        self,
        rows: Tensor,  # (fits, batch, channels)
        atoms: Tensor,  # (fits, modes, channels)
        penalties: tuple[Tensor, Tensor],  # (fits, 1, 1) each
        which: Tensor,  # places of the rows, (fits, batch)
        steps: int,
    ) -> Tensor:
        """Bring codes of some rows nearer to their solution: (fits, batch, modes)."""
        if self.modes <= _FEW:
            every = torch.arange(len(which), device=which.device)[:, None]
            before = self.value[every, which]
            found = elastic_net(rows, atoms, *penalties, start=before, iterations=steps)
            self.value[every, which] = found
            return found
        l1, l2 = (penalty.flatten() for penalty in penalties)
        made = []
        for fit, place in enumerate(which):
            start = Codes(self.index[fit, place], self.value[fit, place])
            codes = active_net(
                rows[fit], atoms[fit], l1[fit], l2[fit], start=start, rounds=1, steps=steps
            ).cut(_WIDTH)
            self.index[fit, place], self.value[fit, place] = codes.index.int(), codes.value
            made.append(codes.dense(self.modes))
        return torch.stack(made)

    def made(self, fit: int, atoms: Tensor, rows: slice) -> Tensor:
        """Rows that the codes of a fit make of its atoms."""
        if self.modes <= _FEW:
            return self.value[fit, rows] @ atoms
        return Codes(self.index[fit, rows], self.value[fit, rows]).times(atoms)

    def codes(self, fit: int, rows: slice) -> Codes | None:
        """Codes of some rows of a fit, where only the active are kept."""
        if self.modes <= _FEW:
            return None
        return Codes(self.index[fit, rows], self.value[fit, rows])

    def tensors(self, name: str) -> dict[str, Tensor]:
        """All state."""
        return {f"{name}.index": self.index, f"{name}.value": self.value}

    def restore(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Go back to a state."""
        self.index, self.value = tensors[f"{name}.index"], tensors[f"{name}.value"]
