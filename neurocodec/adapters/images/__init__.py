"""`nc.images`: photographs that stay in their files, in and out of a network's units.

- `images`: `nc.images`: labelled photographs that stay in their files until they are looked at
- `pictures`: pictures that people can look at, of images as a network takes them
"""

__all__ = ["images", "pictures"]
