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

Where single trials are known of the test part alone, `--glm` fits what a GLM has beyond the LN
model (a constant, an exponent and the weights of own spikes) to the first half of them, in which
the LN model's drive is held out, and judges both on the second half: bits per spike of single
trials, and the correlation of mean rates as above.
"""

from __future__ import annotations

import argparse
import dataclasses
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
from neurocodec.fitting.trials import Trials, given, trials_of
from neurocodec.nn.retina.linear_nonlinear import STA, fit_linear_nonlinear
from neurocodec.nn.retina.spike_history import fit_spike_history

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


def spiking(recording: xr.DataTree, segments: str) -> xr.Dataset:
    """Scores of LN models and GLMs on the second half of the test part."""
    data = fitting_data(recording, segments=segments)
    history = round(0.4 * data.frame_rate)
    linear = fit_linear_nonlinear(data.frames, data.rates, data.blocks, history=history)
    test, half = recording["test"].to_dataset(), len(data.test_frames) // 2
    trials = trials_of(test, test, np.array(data.cells), [(0, len(data.test_frames), None)])
    if not isinstance(trials, Trials):
        sys.exit(trials)
    start, seen = time.process_time(), data.test_frames[:half]
    known = dataclasses.replace(linear, held_out=linear.drive(seen))
    width = trials.bin_width
    glm = fit_spike_history(known, trials.counts[:, :half], [(0, half)], bin_width=width)
    rest = dataclasses.replace(
        data,
        test_frames=data.test_frames[half:],
        test_responses=data.test_responses[:, half:],
        test_spikes=trials.test_counts[:, half:].mean(axis=0) / width,
        test_stretches=(),
    )
    later = Trials(trials.counts, trials.test_counts[:, half:], width)
    said = given(glm, later, rest.test_frames, rest.stretches)
    print(f"GLM of {len(data.cells)} cells: {time.process_time() - start:.1f} CPU s")
    reached = rest.predicted(linear.predict)
    return score_cells(rest, reached, reached, history, said)


def tell(scores: xr.Dataset) -> None:
    """Print what history is worth, cell by cell and in the median."""
    good = scores[RELIABLE].values if RELIABLE in scores.coords else slice(None)
    print("| model | median r | median bits per spike | cells with more bits |\n|---|---|---|---|")
    bits = {end: scores[f"bits_per_spike{end}"].values[good] for end in ("_ln", "_glm")}
    for name, end in (("LN", "_ln"), ("GLM", "_glm")):
        r, more = np.nanmedian(scores[f"correlation{end}"].values[good]), ""
        if end == "_glm":
            more = f"{int((bits[end] > bits['_ln']).sum())} of {int(np.isfinite(bits[end]).sum())}"
        print(f"| {name} | {r:.3f} | {np.nanmedian(bits[end]):.3f} | {more} |")
    print("\n".join(f"{k}: {np.round(x, 2)}" for k, x in bits.items()))


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
    parser.add_argument("--glm", action="store_true", help="what spike history is worth, alone")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recording = nc.read_recording(options.recording)
    if options.glm:
        tell(spiking(recording, options.segments))
        return
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
