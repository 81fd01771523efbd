"""`nc.statistics`: sparsity, signs and dimensionality, layer by layer.

- `attributions`: `attribution_correlation`
- `dimensions`: `dimensionality`
- `overlaps`: `uniqueness`
- `signs`: `sign_correlation`
- `sparsity`: `hoyer`
"""

from neurocodec.statistics.attributions import attribution_correlation
from neurocodec.statistics.dimensions import dimensionality
from neurocodec.statistics.overlaps import uniqueness
from neurocodec.statistics.signs import sign_correlation
from neurocodec.statistics.sparsity import hoyer

__all__ = [
    "attribution_correlation",
    "dimensionality",
    "hoyer",
    "sign_correlation",
    "uniqueness",
]
