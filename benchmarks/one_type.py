"""How often cells of one type are said to be of more, and whether four types are found.

    python benchmarks/one_type.py --draws 200 --keep one_type.json
    python benchmarks/one_type.py --draws 20 --types 4 --keep four_types.json

No model and no movie: loadings of 16 modes that rise and fall (gamma, smoothed over time), cells of
28 places whose rates are a rectified sum of the loadings with the weights of their type. Cells of a
type differ: in each weight (s.d. 0.3 of a typical weight), in gain (log-normal), in threshold, and
by private noise of the size of the signal. What follows is the default of `nc.analyse_retina`: rank
correlation of loadings with rates, standardised over the cells, k-means, number of clusters by
silhouette, 20 references of one Gaussian. "More than one type" is p < 0.05: no reference reaches
the silhouette, so that the rest is not drawn once one does. With `--keep` a run goes on where an
earlier one stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import xarray as xr
from scipy.ndimage import uniform_filter1d
from scipy.stats import binomtest

import neurocodec as nc
from neurocodec.kernels.resampling import gaussian_rows

CELLS, MODES, TIMES, REFERENCES = 28, 16, 2000, 20
SPREAD = 0.3


def drawn(seed: int, types: int) -> tuple[xr.DataArray, xr.DataArray, np.ndarray]:
    """Loadings (time, mode), rates (time, cell) and the type of every cell."""
    random = np.random.default_rng([seed, types])
    raw = random.gamma(0.3, size=(TIMES, MODES)) * (random.random((TIMES, MODES)) < 0.2)
    loadings = uniform_filter1d(raw, 5, axis=0)
    kind = np.arange(CELLS) % types
    weights = random.normal(size=(types, MODES))[kind]
    weights = weights + SPREAD * random.normal(size=weights.shape)
    drive = loadings @ weights.T
    drive = drive / drive.std(axis=0) + random.normal(size=drive.shape)
    rates = np.exp(random.normal(size=CELLS)) * np.maximum(drive - random.random(CELLS), 0)
    return (
        xr.DataArray(loadings, dims=("time", "mode")),
        xr.DataArray(rates, dims=("time", "cell")),
        kind,
    )


def tested(seed: int, types: int) -> dict[str, float]:
    """Whether one draw is said to be of several types, and how well these are the true ones."""
    loadings, rates, kind = drawn(seed, types)
    corr = nc.correlate(loadings, rates, transform="rank")
    found = nc.cluster_cells(corr, standardise=True)
    pattern = found["pattern"].transpose("cell", "mode").dropna("mode", how="all").values
    best = float(found["silhouette"].max())
    reached = False
    for i in range(REFERENCES):
        other = xr.DataArray(gaussian_rows(pattern, [0, i]), dims=("cell", "mode"))
        reached = float(nc.cluster_cells(other)["silhouette"].max()) >= best
        if reached:
            break
    agreement = nc.cluster_agreement(found, xr.DataArray(kind, dims="cell"))
    return {
        "several": float(not reached),
        "clusters": float(found["n_clusters"]),
        "agreement": float(agreement),
    }


def main(arguments: list[str]) -> None:
    """Print how often more than one type is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--types", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="file of results, which a later run goes on with")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kept = options.keep is not None and options.keep.exists()
    rows = json.loads(options.keep.read_text("utf-8")) if kept else {}
    start = time.process_time()
    for seed in range(options.draws):
        if str(seed) not in rows:
            rows[str(seed)] = tested(seed, options.types)
            if options.keep is not None:
                options.keep.write_text(json.dumps(rows), "utf-8")
    said = sum(int(row["several"]) for row in rows.values())
    ends = binomtest(said, len(rows)).proportion_ci()
    print(
        f"{options.types} types, {CELLS} cells: more than one type in {said} of {len(rows)} draws"
        f" (95 %: {100 * ends.low:.1f} to {100 * ends.high:.1f} %)"
    )
    agreed = [row["agreement"] for row in rows.values()]
    print(f"adjusted Rand index, median {median(agreed):.2f}, lowest {min(agreed):.2f}")
    print(f"{time.process_time() - start:.0f} CPU s")


if __name__ == "__main__":
    main(sys.argv[1:])
