"""Images made from noise or numbers: visualisation, accentuation, inversion.

- `invert`: `nc.invert`
- `like`: pictures that others shall be like: their size, colours, spectrum and range
- `making`: pictures made in batches, checked before and labelled after
- `visualise`: `nc.visualise`
"""

__all__ = ["invert", "visualise"]
