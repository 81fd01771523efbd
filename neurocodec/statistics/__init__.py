"""Statistics of contributions and activations by layer: sparsity, signs, dimensions."""

from neurocodec.statistics.dimensions import dimensionality
from neurocodec.statistics.sparsity import hoyer, sign_correlation

__all__ = ["dimensionality", "hoyer", "sign_correlation"]
