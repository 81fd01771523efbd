"""Which concept vectors of a layer make which of a later one, and whether that is true.

- `contributions`: `nc.concept_contributions`
- `interventions`: `nc.concept_interventions`
"""

__all__ = ["contributions", "interventions"]
- `curve`: `nc.concept_curve`
"""

__all__ = ["contributions", "curve"]
- `examples`: what concept vectors stand for, in pictures
- `exports`: a graph as CSV, GraphML and JSON
- `graph`: `nc.concept_graph`
- `tables`: what a graph holds
"""

__all__ = ["contributions", "examples", "exports", "graph", "tables"]
