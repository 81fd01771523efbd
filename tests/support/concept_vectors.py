"""Concept vectors drawn at random, and codes by brute force, in place of fitted ones."""

from dataclasses import dataclass

import numpy as np
import xarray as xr


@dataclass
class Coder:
    rows: np.ndarray
    offset: np.ndarray

    def codes(self, flat, active):
        """The most aligned vectors, by least squares."""
        values, modes = np.zeros((len(flat), active)), np.full((len(flat), active), -1)
        for i, row in enumerate(flat.astype(float) - self.offset):
            chosen = np.argsort(-np.abs(self.rows @ row), kind="stable")[:active]
            values[i] = np.linalg.lstsq(self.rows[chosen].T, row, rcond=None)[0]
            modes[i] = chosen
        return values, modes


class Concepts:
    def __init__(self, layer, channels, count, seed=0, weights=""):
        generator = np.random.default_rng(seed)
        rows = generator.normal(size=(count, channels))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        self.layer, self.weights_sha256 = layer, weights
        self.offset = xr.DataArray(generator.normal(size=channels) / 3, dims="channel")
        self.dictionary = xr.DataArray(
            rows, dims=("mode", "channel"), coords={"mode": np.arange(count)}
        )
        self.coder = Coder(rows, self.offset.values)
