"""Your own recording: fit a model of its ganglion cells, then see what drives them.

    python examples/own_recording.py recording.h5

Without a file, a short recording is simulated first. Everything else stays the same.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import xarray as xr

import neurocodec as nc
from neurocodec.analyses.retina.findings import RetinaAnalysis

log = logging.getLogger("own_recording")


def simulated(path: Path, seconds: float) -> Path:
    """Write a recording with a train and a test part: simulated, of white noise, small frames."""
    parts = {}
    for name in ("train", "test"):
        data = nc.simulate_retina(stimulus="white noise", split=name, duration=seconds, repeats=10)
        kept = data.isel(y=slice(13, 37), x=slice(13, 37), cell=slice(0, 8))
        parts[f"/{name}"] = kept[["stimulus", "spike_count"]].drop_vars("cell_type")
    nc.save(xr.DataTree.from_dict(parts), path)
    return path


def main(
    file: str | Path | None = None, *, seconds: float = 60.0, epochs: int = 10
) -> RetinaAnalysis:
    """Read, fit, analyse."""
    with tempfile.TemporaryDirectory() as folder:
        path = simulated(Path(folder) / "recording.nc", seconds) if file is None else file
        recording = nc.read_recording(path)
        fit = nc.fit_retina(recording, epochs=epochs, progress=False)
        for name in ("correlation", "correlation_ln"):
            log.info("median %s with held-out responses: %.2f", name, fit.scores[name].median())
        found = nc.analyse_retina(fit.network, recording["test"], moments=20, progress=False)
    for layer, clusters in found.clusters.items():
        log.info("%s: %d clusters of cells", layer, int(clusters.n_clusters))
    return found


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(*sys.argv[1:2])
