"""Images made from noise or numbers: visualisation, accentuation, inversion.

- `atlas`: `nc.attribution_atlas`
- `invert`: `nc.invert`
- `like`: pictures that others shall be like
- `visualise`: `nc.visualise`
"""

__all__ = ["atlas", "invert", "like", "visualise"]
