"""Images made from noise or numbers: visualisation, accentuation, inversion.

- `atlas`: `nc.attribution_atlas`
- `gathering`: pictures batch by batch, into memory or into a file from which a stopped run goes on
- `invert`: `nc.invert`
- `like`: pictures that others shall be like
- `visualise`: `nc.visualise`
"""

__all__ = ["atlas", "invert", "like", "visualise"]
