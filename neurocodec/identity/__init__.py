"""What tells one run from another, and lets it know itself again in another process.

- `marks`: marks of what a run depends on, compared with those of an earlier one
- `state`: a module as it is before and after a pass
- `walk`: everything that can be reached from a value: numbers, texts and code, without addresses
"""

__all__ = ["marks", "state", "walk"]
