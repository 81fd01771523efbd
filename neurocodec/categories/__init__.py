"""Which images belong to which category or concept above it, and which modes follow them.

- `hierarchies`: which classes are kinds of which concepts
- `masks`: `nc.class_masks`, `nc.concept_masks`
- `scores`: `nc.concept_scores`, `nc.describe_modes`
- `top_samples`: `nc.top_samples`: which samples a mode is strongest on
"""

__all__ = ["hierarchies", "masks", "scores", "top_samples"]
