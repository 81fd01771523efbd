"""Figures of maps in the pixels of images and movies.

- `images`: maps of images (fig. 7)
- `localisation`: figures of where maps lie: scores against masks, and deletion and insertion of
  pixels
- `movies`: maps of movies, in space and over lags
"""

__all__ = ["images", "localisation", "movies"]
