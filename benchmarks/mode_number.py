"""Whether `expansion="auto"` finds how many modes were planted.

    OMP_NUM_THREADS=1 python benchmarks/mode_number.py
    OMP_NUM_THREADS=1 python benchmarks/mode_number.py --modes 1 3 8 20 --channels 4 8 16 32 64

Rows of `neurocodec.simulation.planted`, a quarter of the modes (at most five) active in each. Truth
is the number of planted modes of which near-copies (cosine 0.95) count once, as of many modes for
few channels most are single channels. Prints a markdown table: *reported*, the number found;
*found*, the part of the true modes that the fit with that number has at cosine 0.9; seconds of
processor time of the whole fit, the search included. The line below it has the cases that are
within one of the truth, in all and where there are no more modes than channels.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings

import numpy as np
import torch
import xarray as xr
from mode_scores import REPLICATED, Row, say, table

import neurocodec as nc
from neurocodec.errors import NeurocodecWarning
from neurocodec.kernels.matching import distinct_modes, match_modes
from neurocodec.simulation.planted import planted_rows

_COPIES = 0.95
_MOST_ACTIVE = 5


def measured(modes: int, channels: int, noise: float, seed: int, count: int) -> Row:
    """What is reported for one planted number."""
    active = max(1, min(_MOST_ACTIVE, modes // 4))
    x, atoms = planted_rows(count, channels, modes, active=active, noise=noise, seed=seed)
    truth = atoms[distinct_modes(atoms, _COPIES)]
    rows = xr.DataArray(x.astype("float32"), dims=("stimulus", "channel"))
    start = time.process_time()
    found = nc.SparseModes(expansion="auto", seed=seed, progress=False).fit(rows)
    seconds = time.process_time() - start
    again = match_modes(truth, found.dictionary.values)[1] >= REPLICATED
    return {
        "modes": modes,
        "channels": channels,
        "noise": noise,
        "seed": seed,
        "truth": len(truth),
        "reported": len(found.dictionary),
        "found": float(np.mean(again)),
        "seconds": seconds,
    }


def within_one(rows: list[Row]) -> str:
    """Part of the cases that are within one of the truth."""
    right = [abs(float(row["reported"]) - float(row["truth"])) <= 1 for row in rows]
    return f"{sum(right)} of {len(right)}" if rows else "none"


def main() -> None:
    """Measure what the command line asks for."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--modes", type=int, nargs="+", default=[1, 3, 8])
    made.add_argument("--channels", type=int, nargs="+", default=[8, 16])
    made.add_argument("--noise", type=float, nargs="+", default=[0.1])
    made.add_argument("--seeds", type=int, nargs="+", default=[0])
    made.add_argument("--rows", type=int, default=1000)
    options = made.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", NeurocodecWarning)  # of few rows, which the table shows
    cases = itertools.product(options.modes, options.channels, options.noise, options.seeds)
    rows = list[Row]()
    for case in cases:
        rows.append(measured(*case, options.rows))
        say(rows[-1])
    print(table(rows))
    few = [row for row in rows if float(row["modes"]) <= float(row["channels"])]
    print(f"\nwithin one of the truth: {within_one(rows)}; modes <= channels: {within_one(few)}")


if __name__ == "__main__":
    main()
