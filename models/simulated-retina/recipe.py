"""Train the bundled model of the simulated retina, measure it, and write its weights and card.

    python models/simulated-retina/recipe.py [--out FOLDER] [--seed N] [--epochs N] [--threads N]

Another seed is another retina (`--seed 1 --out /tmp/retina-1`); seed 0 is the bundled one.

Started again after a kill, it goes on from its checkpoint and ends with the same weights. The same
machine and number of threads give the same weights bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from neurocodec.kernels.ceiling import repeat_ceiling
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.nn.retina.spikes import correlation, predict
from neurocodec.nn.retina.training import TrainingConfig, train_retina
from neurocodec.nn.retina.whitening import smooth_start
from neurocodec.zoo import load_dataset, retina_network, save_model

if TYPE_CHECKING:
    import xarray as xr

HERE = Path(__file__).parent
SEED = 0
DURATION = 600.0
"""Seconds of natural scenes: new scenes teach more than more epochs with the same ones."""
TRAINING = TrainingConfig(epochs=9, seed=0)

log = logging.getLogger("recipe")


def architecture(recording: xr.Dataset) -> RetinaConfig:
    """Eight model cell types in each hidden layer, and a readout around each cell's centre."""
    centers = np.stack([recording.y_center, recording.x_center], axis=1).round().astype(int)
    return RetinaConfig(
        cells=recording.sizes["cell"],
        readout="convolutional",
        centers=tuple((int(row), int(column)) for row, column in centers),
        gain=30.0,
    )


def train(checkpoint: Path, epochs: int, seed: int = SEED) -> tuple[RetinaCNN, xr.Dataset]:
    """Train on the natural scenes of the training split."""
    recording = load_dataset("simulated-retina", seed=seed, split="train", duration=DURATION)
    module = RetinaCNN(architecture(recording), seed=seed)
    counts = recording.spike_count.mean("repeat", dtype=np.float32)
    frames = torch.from_numpy(recording.stimulus.values)
    smooth_start(module, frames, seed=seed)
    train_retina(
        module,
        frames,
        torch.from_numpy(counts.values),
        replace(TRAINING, epochs=epochs),
        bin_width=float(recording.bin_width),
        checkpoint=checkpoint,
    )
    return module.eval(), recording


def scores(module: RetinaCNN, seed: int = SEED) -> dict[str, float]:
    """Correlation of the model with the mean of the test repeats, and the repeats' ceiling."""
    test = load_dataset("simulated-retina", seed=seed)
    start = module.config.history - 1
    counts = test.spike_count.values[:, start:]
    rates = predict(module, torch.from_numpy(test.stimulus.values))
    reached = correlation(rates, torch.from_numpy(counts.mean(axis=0))).numpy()
    ceiling = repeat_ceiling(counts)
    return {
        "correlation": float(np.median(reached)),
        "ceiling": float(np.median(ceiling)),
        "correlation_over_ceiling": float(np.median(reached / ceiling)),
        "correlation_over_ceiling_worst_cell": float((reached / ceiling).min()),
    }


def card(weights: Path, measured: dict[str, float], *, seed: int, epochs: int, threads: int) -> str:
    """Write what the model is and what was measured, as TOML."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    command = "python models/simulated-retina/recipe.py"
    chosen = "" if seed == SEED else f" --seed {seed}"
    lines = [
        'name = "simulated-retina"',
        "simulated = true",
        'summary = "Three-layer ganglion-cell CNN trained on the spikes of the simulated retina"',
        'license = "BSD-3-Clause"',
        'dataset = "simulated-retina"',
        f"seed = {seed}",
        f'weights_sha256 = "{digest}"',
        "",
        "[training]",
        f'command = "{command}{chosen} --epochs {epochs} --threads {threads}"',
        "",
        "# Medians over cells, held-out natural scenes (30 s, 20 repeats), against the mean of the",
        "# repeats; ceiling: sqrt(signal power / variance of the mean) (Schoppe et al. 2016).",
        "[scores]",
        *(f"{name} = {value:.4f}" for name, value in measured.items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--epochs", type=int, default=TRAINING.epochs)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    start, checkpoint = time.perf_counter(), options.out / "checkpoint.safetensors"
    module, recording = train(checkpoint, options.epochs, options.seed)
    log.info("trained in %.0f s", time.perf_counter() - start)
    labels = ("cell_type", "y_center", "x_center")
    network = retina_network(
        module,
        name="simulated-retina",
        outputs=recording.cell.values.tolist(),
        frame_rate=float(recording.stimulus.attrs["frame_rate"]),
        output_coords={name: recording[name].values.tolist() for name in labels},
    )
    weights = save_model(network, options.out)
    text = card(
        weights,
        scores(module, options.seed),
        seed=options.seed,
        epochs=options.epochs,
        threads=options.threads,
    )
    (options.out / "card.toml").write_text(text)
    checkpoint.unlink()
    log.info("%s", text)


if __name__ == "__main__":
    main()
