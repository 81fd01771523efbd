"""Spike times of cells, by name: from memory, folders of spike sorters, text and arrays.

- `cells`: what was sorted: times and facts of cells, and which of them are kept
- `sources`: spike times of anything that has them, in memory or in files
- `text`: text files of times
"""

__all__ = ["cells", "sources", "text"]
