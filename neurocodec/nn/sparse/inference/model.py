"""The model whose loadings are solved for: sparse coding with a dictionary of its own."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.sparse.active import WEAK, Codes, active_net, refitted
from neurocodec.nn.sparse.coding import elastic_net, keep_largest, keep_share
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.pursuit import pursue

_REFIT_STEPS: Final = (50, 500)
"""The refit starts close to its solution; with a ridge, and with next to none."""
FEW: Final = 128
"""Up to so many modes it costs less to solve all rows at once for all modes."""
CHUNK: Final = 512
"""Rows that are solved at a time."""


class InferenceModel(SparseModel):
    """Loadings by elastic net, thresholded, and fitted again without the L1 penalty."""

    # 1. Codes of the row by `elastic_net` on atoms of norm 1.
    # 2. The sparsifier sets all but the strongest to zero.
    # 3. The others are fitted again with the ridge alone, as an L1 penalty makes all too small.
    # The penalty has the unit of the typical row: what is far weaker than that, such as a quiet
    # moment, has no active mode. A row's loadings depend on no other row.

    atoms: Tensor  # (modes, channels), with which loadings are solved
    penalty: Tensor

    def __init__(self, channels: int, config: SparseConfig) -> None:
        super().__init__()
        self.config = config
        modes = config.modes(channels)
        self.register_buffer("atoms", _zeros(modes, channels))
        self.register_buffer("dictionary", _zeros(modes, channels))
        self.register_buffer("penalty", _zeros())

    def start(self, atoms: Tensor, dictionary: Tensor, row_length: float) -> None:
        """Take learned atoms, of norm 1, the dictionary, and the typical length of a row."""
        self.atoms, self.dictionary = atoms.clone(), dictionary.clone()
        self.penalty = atoms.new_tensor(self.config.l1_loading * row_length)

    def encode(self, rows: Tensor, start: Codes | None = None) -> Tensor:
        """Loadings of rows, (rows, modes); `start` may be codes near their solution."""
        found = rows.new_zeros(len(rows), len(self.atoms))
        for place in range(0, len(rows), CHUNK):
            part = slice(place, place + CHUNK)
            near = None if start is None else Codes(start.index[part], start.value[part])
            found[part] = self._encoded(rows[part], near)
        return found

    def _encoded(self, rows: Tensor, start: Codes | None) -> Tensor:
        ridge = self.config.l2_loading
        if self.config.sparsifier == "pursuit":
            active = self.config.active_modes(len(self.atoms))
            return pursue(rows, self.atoms, active, ridge).dense(len(self.atoms))
        weak = ridge < WEAK
        if len(self.atoms) <= FEW and not weak:
            codes = elastic_net(rows, self.atoms, self.penalty, ridge)
        else:
            found = active_net(rows, self.atoms, self.penalty, ridge, start=start)
            codes = found.dense(len(self.atoms))
        kept = sparsify(codes, self.config)
        return refitted(rows, self.atoms, ridge, kept, steps=_REFIT_STEPS[weak])


def sparsify(codes: Tensor, config: SparseConfig) -> Tensor:
    """Set the weaker codes of each row to zero, as the settings say."""
    if config.sparsifier != "share":
        return keep_largest(codes, config.active_modes(codes.shape[-1]))
    return keep_share(codes, config.threshold)


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float32, device="cpu")
