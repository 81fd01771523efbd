"""What a whole fit of `SparseModes` costs and reaches, size by size.

    OMP_NUM_THREADS=1 python benchmarks/mode_sizes.py --sizes 1500x192 --seeds 0 1
    OMP_NUM_THREADS=1 python benchmarks/mode_sizes.py --sizes 5000x64 --active 8 --epochs 5

Simulated rows with as many planted modes as channels, 32 active (or `--active`), 10 % noise; three
modes a channel, the default's passes or `--epochs`.
Prints a markdown table: seconds of processor time (all threads) of the fit with its scores, R2 and
L0 of a ninth as many further rows, planted modes recovered, modes replicated by another seed.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from mode_rows import Split
from mode_scores import (
    REPLICATED,
    Ours,
    Row,
    alive_modes,
    averaged,
    quality,
    replication,
    say,
    table,
)

from neurocodec.kernels.matching import match_modes
from neurocodec.simulation.planted import planted_rows

_EXPANSION = 3


def measured(count: int, channels: int, options: argparse.Namespace) -> Row:
    """Mean figures of fits with several seeds to the same rows."""
    active = min(options.active, channels)
    x, truth = planted_rows(count * 10 // 9, channels, channels, active=active, noise=0.1, seed=0)
    split = Split(f"{count} x {channels}", x.astype("float32"), count)
    rows, found = list[Row](), []
    how = {"expansion": _EXPANSION, "epochs": options.epochs}
    for seed in options.seeds:
        start = time.process_time()
        ours = Ours(split.parts[0], "stimulus", seed=seed, **how)
        seconds = time.process_time() - start
        recovered = float(np.mean(match_modes(truth, ours.dictionary)[1] >= REPLICATED))
        row: Row = {"processor seconds": seconds, "recovered": recovered}
        rows.append(row | quality(ours, *split.parts))
        found.append(ours.dictionary[alive_modes(ours, split.parts[0])])
        say(rows[-1])
    again = replication(found) if len(found) > 1 else {}
    return {"rows": split.name, **averaged(rows), **again}


def main() -> None:
    """Measure what the command line asks for."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--sizes", nargs="+", default=["1500x192"], metavar="ROWSxCHANNELS")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    made.add_argument("--active", type=int, default=32, help="planted modes of a row")
    made.add_argument("--epochs", type=int, help="passes (the default's)")
    made.add_argument("--threads", type=int, default=1)
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
    print(table([measured(count, channels, options) for count, channels in sizes]))


if __name__ == "__main__":
    main()
