"""Concept vectors: directions of a layer that its vectors at single positions are sums of.

- `vectors`: `nc.ConceptVectors`
"""

__all__ = ["vectors"]
