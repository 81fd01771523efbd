"""Which pixels act through which channels, and whether they are the object.

- `compare_localisation`: `nc.compare_localisation`
- `contribution_maps`: `nc.contribution_maps`
- `deletion_curve`: `nc.deletion_curve`
- `examples`: modes worth a map, and how many channels stand for one
- `localisation`: `nc.localisation`
- `making`: maps planned, and a network hooked once to be mapped again and again
- `masks`: `nc.box_masks`; masks checked against images
- `mosaics`: `nc.mosaics`
"""

__all__ = [
    "compare_localisation",
    "contribution_maps",
    "deletion_curve",
    "examples",
    "localisation",
    "making",
    "masks",
    "mosaics",
]
