"""Recorded interneurons against the hidden units and modes of a model.

- `compare`: `nc.compare_interneurons`
- `recordings`: recorded interneurons, checked against the network
"""

__all__ = ["compare", "recordings"]
