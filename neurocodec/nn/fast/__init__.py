"""The same numbers, faster: convolutions rewritten, movies by Fourier transform.

- `movie`: a movie as windows of frames, and the first convolution over all of them at once
"""

__all__ = ["movie"]
