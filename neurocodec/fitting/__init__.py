"""`nc.fit_retina`: a model of ganglion cells fitted to a recording, and judged.

- `fit_retina`: `nc.fit_retina`
"""

__all__ = ["fit_retina"]
