"""Results as rows of numbers, samples by channels: in memory, in blocks, or as a Dask plan.

- `blocks`: rows read block by block, from memory or a file; their fingerprint
- `layers`: rows of every layer of a tree
- `lazy`: computed now, or kept as a Dask plan: later, join, apply, stack
- `matrix`: a layer as samples by channels of one sign, and back; checks of rows and loadings
- `origin`: which layer of which weights rows are of
- `tables`: results with a dim `layer`
"""

__all__ = ["blocks", "layers", "lazy", "matrix", "origin", "tables"]
