"""How the cost of a fit of modes grows with rows, channels and modes, beside what others take.

    OMP_NUM_THREADS=1 python benchmarks/mode_growth.py
    OMP_NUM_THREADS=1 python benchmarks/mode_growth.py --sizes 5000x64x192 --only SparseModes

Simulated rows with as many planted modes as channels, few of them active, 10 % noise. Every fit has
a process of its own. Prints a markdown table: *seconds* of processor time of one thread, for the
fit and its scores; *peak MB* above what the process held before; R2, L0 and the part of the modes
alive, on a ninth as many further rows. Below it the exponents a, b, c of seconds = rows^a
channels^b modes^c, by least squares over the sizes. *TopK* is that of `overcomplete` (from PyPI;
left out where it is not installed), with its default of 20 epochs and a tenth of the modes active;
*authors' recipe* has `--recipe-epochs` of its 300; where these are fewer, seconds are extrapolated
to 300, and nothing is said of what it reaches.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import authors_recipe
import matplotlib as mpl
import numpy as np
import torch
from authors_recipe import RESNET50
from mode_baselines import online_dictionary_learning
from mode_scores import Decomposition, Matrix, Ours, Row, quality, say, table

from neurocodec.simulation.planted import planted_rows

_ALPHA = 0.5
_BATCH = 256
SIZES = ("1000x8x24", "2000x16x48", "2000x32x96", "4000x32x96", "2000x64x96", "5000x64x192")
Size = tuple[int, int, int]
"""Rows, channels, modes."""


@dataclass(frozen=True)
class TopK:
    """A TopK autoencoder of `overcomplete`, of rows in standard deviations."""

    model: torch.nn.Module
    scale: float

    @property
    def dictionary(self) -> Matrix:
        """Modes (mode, channel) in the units of the data."""
        return np.asarray(self.scale * self.model.get_dictionary().detach().numpy())

    @torch.no_grad()
    def loadings(self, rows: Matrix) -> Matrix:
        """Loadings (rows, modes)."""
        codes = self.model.encode(torch.from_numpy(rows / self.scale).float())[1]
        return np.asarray(codes.numpy())


def topk(rows: Matrix, modes: int, seed: int) -> TopK:
    """Train a TopK autoencoder as `overcomplete` does by default, by Adam at 1e-3."""
    if not hasattr(mpl.cm, "get_cmap"):  # which its pictures ask for on import
        mpl.cm.get_cmap = mpl.colormaps.get_cmap
    from overcomplete.sae import TopKSAE, train_sae  # noqa: PLC0415

    torch.manual_seed(seed)
    scale = float(rows.std())
    data = torch.utils.data.TensorDataset(torch.from_numpy(rows / scale).float())
    model = TopKSAE(rows.shape[1], nb_concepts=modes, top_k=max(1, modes // 10))
    train_sae(
        model,
        torch.utils.data.DataLoader(data, batch_size=_BATCH, shuffle=True),
        lambda x, made, *_: (x - made).square().mean(),
        torch.optim.Adam(model.parameters(), lr=1e-3),
        nb_epochs=20,
        monitoring=0,
    )
    return TopK(model.eval(), scale)


def ours(rows: Matrix, modes: int, seed: int) -> Decomposition:
    """`SparseModes` with its defaults but for their number."""
    return Ours(rows, "stimulus", seed=seed, expansion=modes / rows.shape[1])


def recipe(rows: Matrix, modes: int, seed: int, *, epochs: int) -> Decomposition:
    """The recipe of CODEC's authors, for so many epochs."""
    wanted = replace(RESNET50, expansion=modes / rows.shape[1], seed=seed, epochs=epochs)
    return authors_recipe.fit(rows, wanted, device="cpu")


OURS, THEIRS = "SparseModes", "authors' recipe"
Fit = Callable[[Matrix, int, int], Decomposition]


def measured(fit: Fit, size: Size, active: int) -> Row:
    """Figures of one fit, in this process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of steps that were not enough for a rival, few rows
    count, channels, modes = size
    x, _ = planted_rows(
        count * 10 // 9, channels, channels, active=min(active, channels), noise=0.1, seed=0
    )
    x = x.astype("float32")
    fit(x[:100, :2], 2, 0)  # what a first call costs alone
    before, start = _peak(), time.process_time()
    found = fit(x[:count], modes, 0)
    seconds = time.process_time() - start
    row: Row = {"seconds": seconds, "peak MB": _peak() - before}
    return row | quality(found, x[:count], x[count:])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exponents(rows: Sequence[Row]) -> str:
    """Exponents of growth, where there are enough sizes to tell them apart."""
    names = ("rows", "channels", "modes")
    sizes = np.log([[float(row[name]) for name in names] for row in rows])
    design = np.column_stack([sizes, np.ones(len(sizes))])
    if np.linalg.matrix_rank(design - design.mean(axis=0) * [1, 1, 1, 0]) < len(names) + 1:
        return "too few sizes"
    seconds = np.log([float(row["seconds"]) for row in rows])
    found = np.linalg.lstsq(design, seconds, rcond=None)[0]
    off = np.exp(np.abs(design @ found - seconds).max())
    told = ", ".join(f"{name}^{x:.2f}" for name, x in zip(names, found[:3], strict=True))
    return f"{told} (within a factor of {off:.2f})"


def main() -> None:
    """Measure what the command line asks for."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--sizes", nargs="+", default=SIZES, metavar="ROWSxCHANNELSxMODES")
    made.add_argument("--active", type=int, default=8, help="planted modes of a row")
    made.add_argument("--recipe-epochs", type=int, default=300)
    made.add_argument("--only", nargs="+", help="of the fits")
    options = made.parse_args()
    fits: dict[str, Fit] = {
        OURS: ours,
        THEIRS: partial(recipe, epochs=options.recipe_epochs),
        "MiniBatchDictionaryLearning": partial(online_dictionary_learning, alpha=_ALPHA),
    }
    if importlib.util.find_spec("overcomplete") is not None:
        fits["TopK"] = topk
    fresh = multiprocessing.get_context("fork")
    rows = list[Row]()
    for text in options.sizes:
        count, channels, modes = map(int, text.split("x"))
        size: Row = {"rows": f"{count}", "channels": f"{channels}", "modes": f"{modes}"}
        for name, fit in fits.items():
            if options.only and name not in options.only:
                continue
            with fresh.Pool(1) as pool:
                row = pool.apply(measured, (fit, (count, channels, modes), options.active))
            if name == THEIRS and options.recipe_epochs < RESNET50.epochs:
                whole = float(row["seconds"]) * RESNET50.epochs / options.recipe_epochs
                row = {"seconds": whole, "peak MB": row["peak MB"]}
            rows.append({**size, "": name, **row})
            say(rows[-1])
    print(table(rows))
    for name in fits:
        some = [row for row in rows if row[""] == name]
        if some:
            print(f"{name}: {exponents(some)}")


if __name__ == "__main__":
    main()
