"""Images made from noise or numbers: visualisation, accentuation, inversion.

- `atlas`: `nc.attribution_atlas`
- `invert`: `nc.invert`
- `visualise`: `nc.visualise`
"""

__all__ = ["atlas", "invert", "visualise"]
