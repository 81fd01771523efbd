"""A graph of concept vectors with numbers drawn at random, as `nc.concept_graph` returns one."""

import numpy as np
import xarray as xr

from neurocodec.concept_graphs.tables import Chosen, Followed, tables

LAYERS = ("early", "late")
IMAGES = ("first", "second", "third", "fourth")


def drawn(seed=0, categories=("cat", "dog"), images=IMAGES):
    """Two layers of 7 and 6 modes, of which 4 are followed; images of two categories in turn."""
    rng = np.random.default_rng(seed)
    count = len(images)
    last, first = rng.normal(size=(count, 1, 7)), rng.normal(size=(count, 4, 8))
    followed = Followed(
        LAYERS,
        categories,
        np.arange(count) % len(categories),
        {"stimulus": xr.Variable("stimulus", list(images))},
        [last, first],
        [np.array([0, 2, 3, 5])],
        [last[:, 0], rng.normal(size=(count, 8))],
    )
    return tables(followed, Chosen(2, 1, 1.0, 20, 0.95, 0))
