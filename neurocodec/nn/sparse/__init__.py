"""Sparse decompositions of rows: settings, models, how they are fitted.

- `active`: sparse coding where few of many modes are active
- `config`: settings of a fit of sparse modes: one frozen configuration, and presets by name
- `counting`: how many modes rows have
- `fit`: the one entry to every encoder
- `loop`: epochs, early stopping, checkpoints, resume
- `model`: what every fitted model can do, whatever its encoder
- `pursuit`: codes of a fixed number of modes, chosen one after another
- `schedule`: how often a fit goes over its rows, and in what steps
- `source`: where the rows of a fit come from: memory, or a file that is read block by block
- `threads`: how many CPU threads a fit uses
- `inference/`: the model whose loadings are solved for, and how its dictionary is learned
- `autoencoder/`: the model whose loadings are predicted, and how it is trained
"""

__all__ = [
    "active",
    "autoencoder",
    "config",
    "counting",
    "fit",
    "inference",
    "loop",
    "model",
    "pursuit",
    "schedule",
    "source",
    "threads",
]
