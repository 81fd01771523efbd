"""The model whose loadings are solved for: sparse coding with a dictionary of its own."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.sparse.coding import elastic_net, keep_largest, keep_share
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.model import SparseModel

_REFIT_STEPS: Final = 50
"""The refit starts close to its solution."""


class InferenceModel(SparseModel):
    """Loadings by elastic net, thresholded, and fitted again without the L1 penalty.

    1. Codes of the row by `elastic_net` on atoms of norm 1.
    2. The sparsifier sets all but the strongest to zero.
    3. The others are fitted again with the ridge alone, as an L1 penalty makes all too small.

    The penalty has the unit of the typical row: what is far weaker than that, such as a quiet
    moment, has no active mode. A row's loadings depend on no other row.

    Parameters
    ----------
    channels
        Length of a row.
    config
        Expansion, penalties, sparsifier and threshold.

    Examples
    --------
    >>> model = InferenceModel(2, SparseConfig(expansion=1, l1_loading=0.1, l2_loading=0.0))
    >>> model.start(torch.eye(2), torch.eye(2), row_length=1.0)
    >>> model.encode(torch.tensor([[1.0, 0.05]])).tolist()
    [[1.0, 0.0]]
    """

    atoms: Tensor
    penalty: Tensor

    def __init__(self, channels: int, config: SparseConfig) -> None:
        super().__init__()
        self.config = config
        modes = config.modes(channels)
        self.register_buffer("atoms", torch.zeros(modes, channels))
        self.register_buffer("dictionary", torch.zeros(modes, channels))
        self.register_buffer("penalty", torch.zeros(()))

    def start(self, atoms: Tensor, dictionary: Tensor, row_length: float) -> None:
        """Take what was learned.

        Parameters
        ----------
        atoms
            Of norm 1, shape (modes, channels): what loadings are solved with.
        dictionary
            Same shape: what rows are made of.
        row_length
            Root mean square norm of the training rows, the unit of the L1 penalty.
        """
        self.atoms, self.dictionary = atoms.clone(), dictionary.clone()
        self.penalty = atoms.new_tensor(self.config.l1_loading * row_length)

    def encode(self, rows: Tensor) -> Tensor:
        """Loadings of rows, (rows, modes)."""
        ridge = self.config.l2_loading
        codes = sparsify(elastic_net(rows, self.atoms, self.penalty, ridge), self.config)
        return elastic_net(
            rows, self.atoms, 0.0, ridge, start=codes, support=codes > 0, iterations=_REFIT_STEPS
        )


def sparsify(codes: Tensor, config: SparseConfig) -> Tensor:
    """Set the weaker codes of each row to zero, as the settings say.

    Parameters
    ----------
    codes
        At least 0, shape (..., modes).
    config
        Sparsifier "share" or "topk", with `threshold` or `active`.

    Examples
    --------
    >>> sparsify(torch.tensor([[6.0, 1.0, 3.0]]), SparseConfig(threshold=0.9)).tolist()
    [[6.0, 0.0, 3.0]]
    """
    if config.sparsifier == "topk":
        return keep_largest(codes, config.active_modes(codes.shape[-1]))
    return keep_share(codes, config.threshold)
