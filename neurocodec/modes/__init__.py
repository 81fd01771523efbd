"""Which channels act together: sparse modes and baselines, fitted, scored, trusted.

- `baselines`: `nc.BaselineModes`
- `concept_vectors/`: directions of a layer that its vectors at single positions are sums of
- `decomposition`: `nc.Decomposition`: the face of everything that decomposes rows
- `fit_modes`: `nc.fit_modes`: several fits in as few stacks as possible
- `merge`: `nc.merge_modes`: near-copies taken for one
- `sparse`: `nc.SparseModes`
- `stability`: `nc.mode_stability`
- `sweep`: `nc.sweep`: a grid of settings
"""

__all__ = [
    "baselines",
    "concept_vectors",
    "decomposition",
    "fit_modes",
    "merge",
    "sparse",
    "stability",
    "sweep",
]
