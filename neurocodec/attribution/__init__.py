"""`nc.contributions`: what hidden units contribute to a target, labelled.

- `completeness`: how completely contributions explain their target
- `contributions`: `nc.contributions`, `nc.estimate`
- `plan`: one call of these, checked: what its numbers depend on, one batch, labels
"""

__all__ = ["completeness", "contributions", "plan"]
