"""Checkpoints of torch-deep-retina (github.com/baccuslab/torch-deep-retina) as networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from torch import nn

from neurocodec import arguments
from neurocodec.adapters.networks.torch_files import load_torch_file
from neurocodec.errors import InputError, StorageError, warn
from neurocodec.network import Network
from neurocodec.nn.checkpoint import unwrapped_names
from neurocodec.nn.retina.deep_retina import DeepRetinaConfig, UnitRule, build_deep_retina

MODEL_TYPES: Final = ("BNCNN", "LinearStackedBNCNN", "VaryModel")
"""Values of `model_type` that are read."""

ALL_CELLS: Final = {
    "15-10-07": (0, 1, 2, 3, 4),
    "15-11-21a": (6, 10, 12, 13),
    "15-11-21b": (0, 1, 3, 5, 8, 9, 13, 14, 16, 17, 18, 20, 21, 22, 23, 24, 25),
    "16-01-07": (0, 2, 7, 10, 11, 12, 31),
    "16-01-08": (0, 3, 7, 9, 11),
    "16-05-31": (2, 3, 4, 14, 16, 18, 20, 25, 27),
}
"""What `cells="all"` stands for in their data sets; in others it is every cell of the file."""


def deep_retina(
    path: str | PathLike[str],
    *,
    outputs: Iterable[str] | None = None,
    name: str | None = None,
    frame_rate: float = 100.0,
    unit_rule: UnitRule | None = None,
) -> Network:
    """Load a checkpoint of torch-deep-retina: "BNCNN", "LinearStackedBNCNN" or "VaryModel".

    The network takes the stimulus as it was recorded and standardises it by the checkpoint's
    `norm_stats`. Stacks of linear convolutions are collapsed into one convolution each, exactly;
    dropout and noise, which do nothing in evaluation, are left out. The file is read without
    running anything that it may ask to run.

    Parameters
    ----------
    path
        The ".pt" file.
    outputs
        Names of the cells; by default those in the file (their numbers in the recording).
    name
        For provenance; by default model type, data set and stimulus, as the file has them.
    frame_rate
        Frames per second of the movies that the model was trained on; theirs have 100.
    unit_rule
        For a convolutional readout, which does not say in the file which unit of the last map
        stands for a cell: "current" or "first", see
        `neurocodec.nn.retina.deep_retina.unit_positions`. None takes "current", and warns where
        the other picks other units.

    Returns
    -------
    Network
        In evaluation mode, on the CPU. Layers `layer1`, `layer2`, ... are the convolutions,
        before batch norm and rectification (their "sequential.0", "sequential.4" or ".6").
        Outputs are firing rates (time, cell); cells have coordinates `y_center` and `x_center`
        in pixels where the file has centres. The response that they call row t, to the
        frames t-40 to t-1, is here at the time of frame t-1.

    Raises
    ------
    StorageError
        Where the file cannot be read, asks to import code, or lacks what such a file has.
    InputError
        Where it holds another model type, or contradicts itself.

    Examples
    --------
    >>> import tempfile, torch
    >>> norm = ("weight", "bias", "running_mean", "running_var")
    >>> state = {"sequential.0.weight": torch.ones(1, 2, 3, 3), "sequential.2.sigma": torch.ones(1)}
    >>> state |= {f"sequential.1.{key}": torch.ones(1) for key in norm}
    >>> state |= {"sequential.5.weight": torch.ones(1, 4)}
    >>> state |= {f"sequential.6.{key}": torch.ones(1) for key in norm}
    >>> facts = {"model_type": "BNCNN", "hyps": {"img_shape": (2, 4, 4)}, "cells": [7]}
    >>> facts |= {"norm_stats": {"mean": 51.5, "std": 52.0}, "model_state_dict": state}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(facts, f"{folder}/x.pt")
    ...     network = deep_retina(f"{folder}/x.pt")
    >>> network.outputs, list(network.layers), network.history
    (('7',), ['layer1'], 2)
    """
    file = arguments.path("path", path).expanduser()
    facts = _facts(load_torch_file(file), file)
    state = _required(facts, "model_state_dict", file)
    if not isinstance(state, Mapping):
        raise _odd("model_state_dict", state, "a dictionary of tensors")
    config = _config(facts, unit_rule)
    module = build_deep_retina(unwrapped_names(state, ["sequential."]), config)
    count = cast("nn.BatchNorm1d", module.get_submodule("readout.normalisation")).num_features
    cells = _cells(facts, count) if outputs is None else list(map(str, outputs))
    if len(cells) != count or len(config.centers or cells) != count:
        raise InputError(
            came=f"{len(cells)} names and {len(config.centers or ())} centers for {count} cells",
            expected="one name, and one centre or none, for each cell",
        )
    return Network(
        module,
        {name: f"{name}.convolution" for name, _ in module.named_children() if name[:5] == "layer"},
        history=config.history,
        outputs=cells,
        output_coords=_center_coords(config),
        input_shape=config.size,
        frame_rate=frame_rate,
        name=name or _name(facts),
    )


def _facts(loaded: Any, path: Path) -> dict[str, Any]:
    """Everything in one dictionary: what is in `hyps` counts more than its copy at the top."""
    if not isinstance(loaded, Mapping):
        raise StorageError(
            came=f"{path} holds {_described(loaded)}",
            expected="a torch-deep-retina checkpoint, a dictionary with 'model_type', 'hyps', ...",
        )
    facts = dict(loaded)
    for key in ("model_hyps", "hyps"):
        inner = loaded.get(key)
        if inner is not None and not isinstance(inner, Mapping):
            raise _odd(key, inner, "a dictionary of architecture arguments")
        facts |= dict(inner or {})
    kind = loaded.get("model_type", facts.get("model_type"))
    if kind is None:
        _required(facts, "model_type", path)
    if kind not in MODEL_TYPES:
        raise InputError(
            came=f"{path} of model_type {kind!r}",
            expected=f"one of {', '.join(map(repr, MODEL_TYPES))}",
            hint="nc.Network(module, layers=[...], history=40) for a module that you build",
        )
    return facts | {"model_type": kind}


LACKING: Final = {
    "model_state_dict": "the file of the last epoch: weights of earlier ones are deleted in"
    " training",
    "model_type": "module.load_state_dict(torch.load({path!r}, weights_only=True)), then"
    " nc.Network(module, layers=['name'], history=40), where it is of another library",
}
"""What to do about a file without some of what torch-deep-retina writes."""


def _required(facts: Mapping[str, Any], key: str, path: Path) -> Any:
    if facts.get(key) is None:
        found = ", ".join(sorted(map(str, facts))[:20]) or "nothing"
        raise StorageError(
            came=f"{path} without {key!r}; it has {found}",
            expected="'model_type', 'model_state_dict', 'norm_stats' and 'hyps' or 'model_hyps'",
            hint=LACKING.get(key, "").format(path=str(path)),
        )
    return facts[key]


def _config(facts: Mapping[str, Any], unit_rule: UnitRule | None) -> DeepRetinaConfig:
    history, height, width = _whole_numbers(facts, "img_shape", (40, 50, 50), 3)
    varies = facts["model_type"] == "VaryModel"
    layers = _whole_numbers(facts, "n_layers", (3,), 1)[0] if varies else 3
    return DeepRetinaConfig(
        history=history,
        size=(height, width),
        activation=str(facts.get("activ_fxn") or "ReLU"),
        softplus=bool(facts.get("softplus", True)),
        exponential=bool(facts.get("inference_exp", False)),
        paddings=_whole_numbers(facts, "paddings", ()),
        kernels=_whole_numbers(facts, "ksizes", ()),
        channels=_whole_numbers(facts, "chans", ())[: layers - 1],  # theirs may list more
        centers=_centers(facts.get("centers")),
        unit_rule=unit_rule,
        standardisation=_norm_stats(facts.get("norm_stats")),
    )


def _whole_numbers(
    facts: Mapping[str, Any], key: str, default: tuple[int, ...], length: int | None = None
) -> tuple[int, ...]:
    value = facts.get(key)
    if value is None:
        return default
    array = np.atleast_1d(np.asarray([0 if v is None else v for v in np.atleast_1d(value)]))
    if array.ndim != 1 or array.dtype.kind not in "iu" or length not in (None, len(array)):
        raise _odd(key, value, f"{length or 'a list of'} whole numbers")
    return tuple(array.tolist())


def _norm_stats(value: Any) -> tuple[float, float] | None:
    """Mean and standard deviation: one number each, in a dictionary or a pair."""
    if value is None:
        warn(
            "the checkpoint has no 'norm_stats': the network takes the stimulus as standardised "
            "as it was in training"
        )
        return None
    known = isinstance(value, Mapping)
    pair = [value.get("mean"), value.get("std")] if known else list(np.atleast_1d(value))
    if len(pair) != 2 or any(number is None for number in pair):
        raise _odd("norm_stats", value, "{'mean': number, 'std': number}")
    mean, deviation = (_number(key, x) for key, x in zip(("mean", "std"), pair, strict=True))
    return mean, deviation


def _number(key: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise InputError(
            came=f"norm_stats[{key!r}] = {_described(value)}",
            expected="one number for all pixels and frames, as torch-deep-retina writes",
            hint="nc.Network(module, ...) around a module that standardises pixel by pixel",
        )
    return float(array.reshape(()))


def _centers(value: Any) -> tuple[tuple[int, int], ...] | None:
    if value is None:
        return None
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise _odd("centers", value, "(row, column) of each cell") from error
    if array.dtype.kind == "f" and np.array_equal(array, np.round(array)):
        array = array.astype(int)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise _odd("centers", value, "whole numbers (row, column) of each cell")
    return tuple((int(row), int(column)) for row, column in array)


def _center_coords(config: DeepRetinaConfig) -> dict[str, list[int]]:
    if config.centers is None:
        return {}
    rows, columns = zip(*config.centers, strict=True)
    return {"y_center": list(rows), "x_center": list(columns)}


def _cells(facts: Mapping[str, Any], count: int) -> list[str]:
    cells = facts.get("cells")
    if isinstance(cells, str) and cells == "all":
        cells = ALL_CELLS.get(str(facts.get("dataset")), range(count))
    if cells is None:
        return [str(number) for number in range(count)]
    if isinstance(cells, Mapping):
        names = [f"{key} {cell}" for key, some in cells.items() for cell in np.atleast_1d(some)]
    else:
        names = [str(cell) for cell in np.ravel(np.asarray(cells))]
    if len(names) != count:
        raise InputError(
            came=f"{len(names)} 'cells' in the checkpoint, {names[:10]}, for {count} outputs",
            expected="one name for each output",
            hint=f"outputs=[...] with {count} names",
        )
    return names


def _name(facts: Mapping[str, Any]) -> str:
    parts = (facts["model_type"], facts.get("dataset"), facts.get("stim_type"))
    return " ".join(str(part) for part in parts if part is not None)


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {tuple(shape)}" if shape else repr(value)[:80]


def _odd(key: str, value: Any, expected: str) -> InputError:
    return InputError(came=f"{key!r} = {_described(value)} in the checkpoint", expected=expected)
