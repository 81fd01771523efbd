"""`nc.statistics`: sparsity, signs and dimensionality, layer by layer.

- `dimensions`: `dimensionality`
- `sparsity`: `hoyer`
"""

from neurocodec.statistics.dimensions import dimensionality
from neurocodec.statistics.sparsity import hoyer, sign_correlation

__all__ = ["dimensionality", "hoyer", "sign_correlation"]
