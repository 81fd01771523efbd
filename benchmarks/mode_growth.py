r"""How the cost of a fit of modes grows with rows, channels and modes, beside what others take.

    OMP_NUM_THREADS=1 python benchmarks/mode_growth.py
    OMP_NUM_THREADS=1 python benchmarks/mode_growth.py --sizes 5000x64x192 --only SparseModes
    OMP_NUM_THREADS=2 python benchmarks/mode_growth.py --big --threads 2 --recipe-epochs 2 \
        --only SparseModes "authors' recipe" --out growth

Simulated rows with as many planted modes as channels, few of them active, 10 % noise. Rows are
made, and every fit is done, in a process of its own. Prints a markdown table: *seconds* of
processor time, and *elapsed*, for the fit and its scores; *peak MB* above what the process held
before (rows, what was imported), and *whole MB* of the process; R2, L0 and the part of the modes
alive, on a ninth as many further rows (at most 2,000; alive also on 5,000 of those fitted). Below
it the exponents a, b, c of seconds = rows^a channels^b modes^c, by least squares over the sizes.
*TopK* is that of `overcomplete` (from PyPI; left out where it is not installed), with its default
of 20 epochs and a tenth of the modes active; *authors' recipe* has `--recipe-epochs` of its 300;
where these are fewer, seconds are extrapolated to 300, the table says so, and nothing is said of
what it reaches. With `--out` each figure is kept in a file as soon as it is there; the same call
goes on after it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

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
_HELD, _FITTED = 2000, 5000
"""Rows, at most, that scores are taken on."""
SIZES = ("1000x8x24", "2000x16x48", "2000x32x96", "4000x32x96", "2000x64x96", "5000x64x192")
BIG = ("5000x512x1536", "10000x512x1536", "20000x1024x3072", "50000x2048x6144")
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


def simulated(path: Path, size: Size, active: int) -> None:
    """Write rows to fit and further ones, here, so that the process of a fit never holds more."""
    count, channels, _ = size
    further = min(count // 9, _HELD)
    x, _ = planted_rows(
        count + further, channels, channels, active=min(active, channels), noise=0.1, seed=0
    )
    np.save(path, x.astype("float32"))


def measured(fit: Fit, path: Path, size: Size, threads: int) -> Row:
    """Figures of one fit, in this process."""
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")  # of steps that were not enough for a rival, few rows
    count, _, modes = size
    x = np.load(path)
    fit(x[:100, :2], 2, 0)  # what a first call costs alone
    before, start, elapsed = _peak(), time.process_time(), time.perf_counter()
    found = fit(x[:count], modes, 0)
    row: Row = {
        "seconds": time.process_time() - start,
        "elapsed": time.perf_counter() - elapsed,
        "peak MB": _peak() - before,
        "whole MB": _peak(),
    }
    return row | quality(found, x[: min(count, _FITTED)], x[count:])


def estimated(row: Row, epochs: int) -> Row:
    """What all epochs of the recipe would take, of which so many ran; no word of quality."""
    times = RESNET50.epochs / epochs
    longer = {name: float(row[name]) * times for name in ("seconds", "elapsed")}
    sizes = {name: row[name] for name in ("peak MB", "whole MB")}
    return {**longer, **sizes, "estimated": f"from {epochs} of {RESNET50.epochs} epochs"}


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


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--sizes", nargs="+", default=SIZES, metavar="ROWSxCHANNELSxMODES")
    made.add_argument("--big", action="store_const", dest="sizes", const=BIG, help="large sizes")
    made.add_argument("--active", type=int, default=8, help="planted modes of a row")
    made.add_argument("--recipe-epochs", type=int, default=RESNET50.epochs)
    made.add_argument("--only", nargs="+", help="of the fits")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--out", type=Path, help="folder of figures, from which a call goes on")
    return made


def fits_of(options: argparse.Namespace) -> dict[str, Fit]:
    """Fits that are wanted and can be had, by name."""
    found: dict[str, Fit] = {
        OURS: ours,
        THEIRS: partial(recipe, epochs=options.recipe_epochs),
        "MiniBatchDictionaryLearning": partial(online_dictionary_learning, alpha=_ALPHA),
    }
    if importlib.util.find_spec("overcomplete") is not None:
        found["TopK"] = topk
    return {name: fit for name, fit in found.items() if not options.only or name in options.only}


def of_size(text: str, fits: dict[str, Fit], options: argparse.Namespace, out: Path) -> list[Row]:
    """Figures of every fit for one size: those that are there, and new ones."""
    count, channels, modes = map(int, text.split("x"))
    size: Row = {"rows": f"{count}", "channels": f"{channels}", "modes": f"{modes}"}
    fresh, rows = multiprocessing.get_context("spawn"), list[Row]()
    data = out / f"rows-{text}-{options.active}.npy"
    for name, fit in fits.items():
        how = f"{options.threads} threads, {options.active} active"
        how += f", {options.recipe_epochs} epochs" if name == THEIRS else ""
        kept = out / f"{text}, {name}, {how}.json"
        if not kept.exists():
            with fresh.Pool(1, maxtasksperchild=1) as pool:
                if not data.exists():
                    pool.apply(simulated, (data, (count, channels, modes), options.active))
                row = pool.apply(measured, (fit, data, (count, channels, modes), options.threads))
            if name == THEIRS and options.recipe_epochs < RESNET50.epochs:
                row = estimated(row, options.recipe_epochs)
            kept.write_text(json.dumps({**size, "": name, **row}, indent=1) + "\n", "utf-8")
        rows.append(json.loads(kept.read_text("utf-8")))
        say(rows[-1])
    data.unlink(missing_ok=True)
    return rows


def main() -> None:
    """Measure what the command line asks for."""
    options = parser().parse_args()
    fits, rows = fits_of(options), list[Row]()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        for text in options.sizes:
            rows += of_size(text, fits, options, out)
    print(table(rows))
    for name in fits:
        print(f"{name}: {exponents([row for row in rows if row[''] == name])}")


if __name__ == "__main__":
    main()
