"""Files and unfinished runs of the state before the move, commit 993555b, for others to open.

    git worktree add ../before 993555b
    PYTHONPATH=../before python tests/storage/before_the_move/make.py

Everything is made by arithmetic, so that the same network and stimulus can be made again anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import neurocodec as nc

HERE = Path(__file__).parent
SAMPLES, BATCH, DONE = 12, 2, 3


def numbers(*shape: int) -> np.ndarray:
    """Numbers between -1 and 1 that follow no simple rule, without a random generator."""
    return np.sin(np.arange(1, 1 + np.prod(shape)) ** 2).reshape(shape).astype("float32")


def network() -> nc.Network:
    """Three features, four hidden channels, two outputs."""
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    for parameter in module.parameters():
        parameter.data = torch.from_numpy(numbers(*parameter.shape))
    return nc.Network(module, {"hidden": "1"}, name="before the move")


def stimulus() -> xr.DataArray:
    """Twelve labelled samples."""
    names = [f"sample {i}" for i in range(SAMPLES)]
    return xr.DataArray(numbers(SAMPLES, 3), {"stimulus": names}, ("stimulus", "feature"))


def run(**options: object) -> xr.DataTree:
    """Contributions of the hidden channels to the first output."""
    target, method = nc.targets.Output(0), nc.methods.IntegratedGradients(steps=4)
    options = {"batch_size": BATCH, "progress": False, **options}
    return nc.contributions(network(), stimulus(), target=target, method=method, **options)


def rows() -> xr.DataArray:
    """Rows that modes are fitted to."""
    values = np.abs(numbers(40, 5))
    return xr.DataArray(values, dims=("stimulus", "channel"), name="contribution")


def interrupted(path: Path) -> None:
    """Leave a run into a file after some batches."""
    from neurocodec.plan import Plan

    real, calls = Plan.rows, []

    def failing(self, passes, batch):
        if len(calls) == DONE:
            raise KeyboardInterrupt
        calls.append(batch)
        return real(self, passes, batch)

    Plan.rows = failing
    try:
        run(out=path)
    except KeyboardInterrupt:
        pass
    finally:
        Plan.rows = real


def main() -> None:
    """Write everything beside this file."""
    modes = nc.SparseModes(expansion=1, epochs=3, seed=0, progress=False).fit(rows())
    modes.save(HERE / "sparse.nc")
    baseline = nc.BaselineModes("pca", modes=2, seed=0).fit(rows())
    baseline.save(HERE / "pca.nc")
    nc.save(run(), HERE / "tree.nc")
    for suffix in ("nc", "zarr"):
        interrupted(HERE / f"unfinished.{suffix}")
    known = {
        "sparse": {"dictionary": modes.dictionary.values.tolist(), "r2": float(modes.r2)},
        "pca": {"dictionary": baseline.dictionary.values.tolist(), "r2": float(baseline.r2)},
    }
    (HERE / "values.json").write_text(json.dumps(known), "utf-8")


if __name__ == "__main__":
    main()
