"""Which channels act together: sparse modes and baselines, fitted, scored, trusted.

- `baselines`: `nc.BaselineModes`
- `decomposition`: `nc.Decomposition`: the face of everything that decomposes rows
- `fit_modes`: `nc.fit_modes`: several fits in as few stacks as possible
- `merge`: `nc.merge_modes`: near-copies taken for one
- `sparse`: `nc.SparseModes`
- `stability`: `nc.mode_stability`
- `sweep`: `nc.sweep`: a grid of settings
"""

__all__ = ["baselines", "decomposition", "fit_modes", "merge", "sparse", "stability", "sweep"]
