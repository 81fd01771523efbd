"""`nc.statistics`: sparsity, signs and dimensionality, layer by layer.

- `dimensions`: `dimensionality`
- `signs`: `sign_correlation`
- `sparsity`: `hoyer`
"""

from neurocodec.statistics.dimensions import dimensionality
from neurocodec.statistics.signs import sign_correlation
from neurocodec.statistics.sparsity import hoyer

__all__ = ["dimensionality", "hoyer", "sign_correlation"]
