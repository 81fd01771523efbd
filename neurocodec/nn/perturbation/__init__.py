"""A network with channels replaced, and run again from there on.

- `ablation`: channels of a layer replaced by a constant, out of place, in whatever way the
  network is run
- `replay`: the part of a network after one layer, run again and again with that layer's channels
  masked
- `vectors`: concept vectors put into a layer, or taken out of it, one after the other
"""

__all__ = ["ablation", "replay", "vectors"]
