"""`nc.analyse_images`: figures 3, 5, 6 and 7 of CODEC.

- `analyse`: `nc.analyse_images`
- `findings`: ImageAnalysis, and the names of its files
"""

__all__ = ["analyse", "findings"]
