"""Which concept vectors of a layer make which of a later one, and whether that is true.

- `contributions`: `nc.concept_contributions`
- `curve`: `nc.concept_curve`
- `examples`: what concept vectors stand for, in pictures
- `exports`: a graph as CSV, GraphML and JSON
- `graph`: `nc.concept_graph`
- `interventions`: `nc.concept_interventions`
- `tables`: what a graph holds
"""

__all__ = [
    "contributions",
    "curve",
    "examples",
    "exports",
    "graph",
    "interventions",
    "tables",
]
