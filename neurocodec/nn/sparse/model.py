"""What every fitted model can do, whatever its encoder."""

from __future__ import annotations

from torch import Tensor, nn


class SparseModel(nn.Module):
    """Rows to loadings and back; `dictionary` is a parameter or buffer (modes, channels)."""

    # State is in parameters and buffers alone, so that `state_dict` and the settings make the same
    # model again.

    dictionary: Tensor

    def encode(self, rows: Tensor) -> Tensor:
        """Loadings of rows, (rows, modes), at least 0 and exactly 0 for modes at rest."""
        raise NotImplementedError

    def decode(self, loadings: Tensor) -> Tensor:
        """Rows from loadings, (rows, channels)."""
        return loadings @ self.dictionary
