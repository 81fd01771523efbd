"""Which concept vectors of a layer make which of a later one, and whether that is true.

- `contributions`: `nc.concept_contributions`
- `curve`: `nc.concept_curve`
- `interventions`: `nc.concept_interventions`
"""

__all__ = ["contributions", "curve", "interventions"]
