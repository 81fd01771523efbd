"""Gradients of responses with respect to windows of a movie, and shares of what made a vector.

- `adjoint`: from the gradient at a convolution's output back to its input, in the Fourier domain
- `passes`: gradients for many cells and times
- `sharing`: sharing-ratio decomposition: how much of a vector each position before it gave, in
  one pass back
"""

__all__ = ["adjoint", "passes", "sharing"]
