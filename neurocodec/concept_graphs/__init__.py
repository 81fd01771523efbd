"""Which concept vectors of a layer make which of a later one, and whether that is true.

- `examples`: what a concept vector stands for, in pictures
- `exports`: a graph as CSV, GraphML and JSON
- `graph`: `nc.concept_graph`
"""

__all__ = ["examples", "exports", "graph"]
