"""Which concept vectors of a layer make which of a later one, and whether that is true.

- `contributions`: `nc.concept_contributions`
<<<<<<< HEAD
- `curve`: `nc.concept_curve`
=======
- `examples`: what concept vectors stand for, in pictures
- `exports`: a graph as CSV, GraphML and JSON
- `graph`: `nc.concept_graph`
>>>>>>> g20a
- `interventions`: `nc.concept_interventions`
- `tables`: what a graph holds
"""

<<<<<<< HEAD
__all__ = ["contributions", "curve", "interventions"]
=======
__all__ = ["contributions", "examples", "exports", "graph", "interventions", "tables"]
>>>>>>> g20a
