"""Gradients of responses with respect to windows of a movie.

- `adjoint`: from the gradient at a convolution's output back to its input, in the Fourier domain
- `passes`: gradients for many cells and times
- `sharing`: shares of positions in a vector, by sharing-ratio decomposition
"""

__all__ = ["adjoint", "passes", "sharing"]
