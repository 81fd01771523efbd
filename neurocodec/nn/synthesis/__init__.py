"""An image from numbers, robustly, towards an aim.

- `ascent`: pictures that climb an aim, all of a batch at once, each as if it were alone
- `natural`: what pictures have in common: mean, colours, spectrum, range
- `objectives`: aims in a layer that have a direction and a size
- `parametrisation`: pictures as phases, frequencies or pixels
- `transforms`: crops and noise, so that no single pixel decides
"""

__all__ = ["ascent", "natural", "objectives", "parametrisation", "transforms"]
