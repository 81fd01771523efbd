"""Ganglion-cell models of a real recording, judged on repeats that no fit has seen.

    python benchmarks/fit_retina.py ../shared/data/salamander-2013/whitenoise.h5 --seeds 0 1 2

Prints one line for each model: the LN model with spike-triggered averages for filters, the LN model
as `nc.fit_retina` fits it (which may also choose ridge regression), and the CNN with each seed. A
figure is the Pearson correlation of the predicted rate with the mean of the repeats of the
recording's test part, from the first frame on to which a model with 0.4 s of history has an answer;
median and mean are over the cells that the recording calls reliable (all where it does not say).
The ceiling is that of these repeats (Schoppe et al. 2016). Spike counts of the repeats are smoothed
with a Gaussian of 10 ms before anything is computed, the ceiling included; rates to fit to are
taken as the file has them. Both models are fitted to the same frames and choose on blocks of them
(the LN model by cross-validation, the CNN when to stop); the responses of the test part are used
for these figures alone. Which segments are fitted to is chosen by the test part's stimulus, see
`nc.fit_retina`; `--segments all` does without.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import neurocodec as nc
from neurocodec.fitting.data import fitting_data
from neurocodec.fitting.results import score_cells
from neurocodec.nn.retina.linear_nonlinear import STA, fit_linear_nonlinear

RELIABLE = "reliable"


def averages(recording: xr.DataTree, segments: str) -> xr.Dataset:
    """Scores of LN models whose filters are spike-triggered averages."""
    data = fitting_data(recording, segments=segments)
    history = round(0.4 * data.frame_rate)
    model = fit_linear_nonlinear(
        data.frames, data.rates, data.blocks, history=history, penalties=(STA,)
    )
    reached = data.predicted(model.predict)
    return score_cells(data, reached, reached, history)


def line(name: str, values: NDArray[np.float64], ceiling: NDArray[np.float64], took: float) -> str:
    """One row of the table."""
    figures = (np.nanmedian(values), np.nanmean(values), np.nanmedian(values / ceiling))
    shown = f"{took:.0f}" if took else ""
    return f"| {name} | " + " | ".join(f"{x:.3f}" for x in figures) + f" | {shown} |"


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path, help="a file that nc.read_recording reads")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--segments", choices=["matching", "all"], default="matching")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recording = nc.read_recording(options.recording)
    start = time.process_time()
    scores = averages(recording, options.segments)
    good = scores[RELIABLE].values if RELIABLE in scores.coords else slice(None)
    ceiling = scores.ceiling.values[good]
    print(f"{options.recording.name}: {len(ceiling)} of {scores.sizes['cell']} cells")
    print("| model | median r | mean r | median r / ceiling | CPU s |\n|---|---|---|---|---|")
    print(line("ceiling", ceiling, ceiling, 0))
    took = time.process_time() - start
    print(line("LN, spike-triggered average", scores.correlation.values[good], ceiling, took))
    for i, seed in enumerate(options.seeds):
        start = time.process_time()
        found = nc.fit_retina(recording, seed=seed, segments=options.segments, progress=False)
        took = time.process_time() - start
        if not i:  # the LN model does not depend on the seed
            print(line("LN", found.scores.correlation_ln.values[good], ceiling, 0))
        name = f"CNN, seed {seed} (time: with the LN model)"
        print(line(name, found.scores.correlation.values[good], ceiling, took), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
