"""Concept vectors: directions of a layer that its vectors at single positions are sums of.

- `stability`: `nc.concept_stability`
- `vectors`: `nc.ConceptVectors`
"""

__all__ = ["stability", "vectors"]
