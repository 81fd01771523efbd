"""Images made from noise or numbers: visualisation, accentuation, inversion.

- `invert`: `nc.invert`
- `visualise`: `nc.visualise`
"""

__all__ = ["invert", "visualise"]
