"""NWB files as on DANDI: presented frames, units, trials, epochs, potentials, imaged cells.

- `file`: parts of a recording from an NWB file, read through pynwb
"""

__all__ = ["file"]
