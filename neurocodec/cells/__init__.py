"""Cells, recorded or modelled: what drives them, their clusters, when modes combine.

- `as_cells`: `nc.as_cells`
- `cluster_stability`: `nc.cluster_stability`, `nc.label_cells`
- `clustering`: `nc.cluster_cells`, `nc.cluster_agreement`
- `combinations`: `nc.mode_combinations`, `nc.combination_times`
- `correlate`: `nc.correlate`
- `explained`: what predicted rates explain of recorded ones, cell by cell
- `recording`: what comes with a movie: its frames, and recordings of the model's cells
- `tuning`: `nc.tuning`
"""

__all__ = [
    "as_cells",
    "cluster_stability",
    "clustering",
    "combinations",
    "correlate",
    "explained",
    "recording",
    "tuning",
]
