"""Figures of maps in the pixels of images and movies.

- `gallery`: images that modes are strongest on, and the part of them that acts
- `images`: maps of images (fig. 7)
- `localisation`: figures of where maps lie: scores against masks, and deletion and insertion of
  pixels
- `movies`: maps of movies, in space and over lags
"""

__all__ = ["gallery", "images", "localisation", "movies"]
