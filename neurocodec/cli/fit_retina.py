"""``neurocodec fit-retina``: fit a model of ganglion cells to a recording."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurocodec import vocabulary as v

DESCRIPTION: Final = (
    "Fit the ganglion-cell CNN, and an LN model beside it, to a recording, and say how well both "
    "predict responses that they were not fitted to. Writes weights.safetensors, which "
    "'neurocodec retina --model' reads, fit.nc and scores.png to a folder. A run that was "
    "interrupted goes on when the same command is given again."
)
READOUTS: Final = ("gaussian", "factorised", "dense", "convolutional")
RELIABLE: Final = "reliable"


def add_fit_retina(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec fit-retina` to its parser."""
    add = command.add_argument
    add("recording", type=Path, help="a file that nc.read_recording reads")
    add("--out", type=Path, default=Path("neurocodec-fit"), help="folder (%(default)s)")
    add("--channels", type=int, nargs=2, default=(4, 4), metavar="N", help="per layer (4 4)")
    add("--kernels", type=int, nargs=2, metavar="SIDE", help="per layer (from the frame size)")
    add("--readout", choices=READOUTS, default=READOUTS[0], help="(%(default)s)")
    add("--cells", nargs="+", metavar="CELL", help="names, or reliable (all)")
    add("--segments", nargs="+", metavar="N", help="numbers, all, or matching (matching)")
    add("--history", type=int, metavar="FRAMES", help="frames in a window (0.4 s)")
    add("--epochs", type=int, default=30, help="at most (%(default)s)")
    add("--l2", type=float, metavar="WEIGHT", help="weight decay (1e-5 gaussian, 1e-3 others)")
    add("--seed", type=int, default=0, help="of the start and the order (%(default)s)")
    add("--seeds", type=int, default=1, metavar="N", help="networks, of seeds that follow (1)")
    glm = "a GLM with spike history beside, where there are spikes of single trials (on)"
    add("--glm", action=argparse.BooleanOptionalAction, default=True, help=glm)
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_fit_retina)


def run_fit_retina(options: argparse.Namespace) -> None:
    """Fit, write everything to a folder, and say how good it is."""
    from neurocodec.adapters.recordings.read_recording import read_recording  # noqa: PLC0415 - light --help
    from neurocodec.fitting.fit_retina import fit_retina  # noqa: PLC0415
    from neurocodec.plotting import plot_fit  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    fit = fit_retina(
        read_recording(options.recording),
        cells=_words(options.cells),
        channels=tuple(options.channels),
        kernels=options.kernels and tuple(options.kernels),
        readout=options.readout,
        history=options.history,
        segments=_segments(options.segments),
        epochs=options.epochs,
        l2=options.l2,
        seed=options.seed,
        seeds=options.seeds,
        device=options.device,
        out=options.out,
        name=options.recording.stem,
        glm=options.glm,
        progress=not options.quiet,
    )
    picture = options.out / "scores.png"
    plot_fit(fit.scores).savefig(picture)
    say(_history(fit.network, chosen=options.history is None))
    say("\n".join([table(fit.scores), *of_seeds(fit.ensemble)]))
    files = ", ".join(str(path) for path in (*fit.files, picture))
    say(f"\ndone in {time.monotonic() - start:.0f} s; wrote {files}")
    say(f"go on with: neurocodec retina --model {options.out} --recording {options.recording}")


def _history(net: Any, *, chosen: bool) -> str:
    """Frames that the model looks back, and who chose them."""
    seconds = f" ({net.history / net.frame_rate:.2g} s at {net.frame_rate:.3g} frames per second)"
    why = ", chosen as 0.4 s; --history FRAMES takes another" if chosen else ""
    return f"history {net.history} frames{seconds}{why}"


def _words(words: list[str] | None) -> str | list[str] | None:
    return words[0] if words and len(words) == 1 else words


def _segments(words: list[str] | None) -> Any:
    if not words:
        return "matching"
    return [int(w) for w in words] if all(w.isdecimal() for w in words) else words[0]


def table(scores: Any) -> str:
    """Write `RetinaFit.scores` as a table: one line per cell, then the median and the mean."""
    glm = [name for name in ("correlation_glm",) if name in scores]
    columns = ("correlation", "correlation_ln", *glm, "ceiling")
    values = np.stack([scores[name].values for name in columns], axis=1)
    names = [str(name) for name in scores[v.CELL].values]
    said = str(scores.attrs.get("responses", ""))
    lines = [f"correlation with held-out responses{', ' * bool(said)}{said}"]
    lines.append(f"{'cell':<28} {'CNN':>7} {'LN':>7}{'     GLM' * len(glm)} ceiling (95 %)")
    ends = _ends(scores)
    lines += [_line(n, row) + end for n, row, end in zip(names, values, ends, strict=True)]
    groups = {"cells": np.ones(len(names), dtype=bool)}
    if RELIABLE in scores.coords and not scores[RELIABLE].values.all():
        groups["reliable cells"] = scores[RELIABLE].values.astype(bool)
    for word, chosen in groups.items():
        for kind, reduce in (("median", np.nanmedian), ("mean", np.nanmean)):
            known = values[chosen]
            row = [reduce(x) if np.isfinite(x).any() else np.nan for x in known.T]
            lines.append(_line(f"{kind} of {chosen.sum()} {word}", row))
    return "\n".join([*lines, *_further(scores)])


def of_seeds(ensemble: Any) -> list[str]:
    """Mean over cells of the mean and of the standard deviation over seeds."""
    if ensemble is None or ensemble.sizes["seed"] < 2:
        return []
    mean, spread = (float(ensemble[f"correlation_{k}"].mean()) for k in ("mean", "spread"))
    return [f"{ensemble.sizes['seed']} seeds, mean of the cells: {mean:.3f}, s.d. {spread:.3f}"]


def _further(scores: Any) -> list[str]:
    """Medians over cells of what is said beside correlations, by model."""
    about = {
        "signal_explained": "explained of the variance that repeats share",
        "bits_per_spike": "bits per spike (Poisson, beyond the mean rate)",
    }
    found = []
    for name, text in about.items():
        models = {"CNN": name, "LN": f"{name}_ln", "GLM": f"{name}_glm"}
        values = {k: scores[x].values for k, x in models.items() if x in scores}
        if values and all(np.isfinite(x).any() for x in values.values()):
            medians = ", ".join(f"{k} {np.nanmedian(x):.3f}" for k, x in values.items())
            found.append(f"{text}, median: {medians}")
    return [*found, *(f"GLM {said}" for said in [str(scores.attrs.get("glm", ""))] if said)]


def _ends(scores: Any) -> list[str]:
    """Interval of the ceiling of each cell."""
    if "ceiling_interval" not in scores:
        return [""] * scores.sizes[v.CELL]
    pairs = scores["ceiling_interval"].transpose(v.CELL, v.BOUND).values
    told = {True: "  not above 0", False: ""}
    return [
        "" if np.isnan(low) else told[bool(low == 0)] or f"  {low:.2f} to {high:.2f}"
        for low, high in pairs
    ]


def _line(name: str, row: Any) -> str:
    return f"{name:<28} " + " ".join(f"{x:>7.3f}" for x in row)
