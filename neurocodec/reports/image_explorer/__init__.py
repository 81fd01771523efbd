"""A folder to look at every mode of a network that sees images.

- `write_explorer`: `nc.write_explorer`
"""

__all__ = ["write_explorer"]
