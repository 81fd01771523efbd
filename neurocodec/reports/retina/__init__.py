"""The page about a retina model.

- `figures`: its figures, one after the other
- `page`: the page itself, and how it gets into a folder
"""

__all__ = ["figures", "page"]
