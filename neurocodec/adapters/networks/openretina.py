"""Models of open-retina (github.com/open-retina/open-retina) as networks."""

from __future__ import annotations

import collections
import importlib
import pydoc
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from neurocodec import arguments
from neurocodec.adapters.networks.core_readout import network_of
from neurocodec.adapters.networks.torch_files import load_torch_file
from neurocodec.errors import InputError, StorageError
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.settings import building
from neurocodec.nn.standardisation import Standardisation

HYPER: Final = "hyper_parameters"
STATE: Final = "state_dict"
RATES: Final = ("frame_rate", "movie_frame_rate", "fps", "sampling_rate")
"""Names under which `data_info` may have the frames per second."""
OWN: Final = "openretina."
FUNCTIONS: Final[dict[str, Any]] = {
    f"{where}.{f.__name__}": f
    for where, f in (
        ("torch._C._nn", functional.softplus),
        ("torch.nn.functional", functional.elu),
        ("torch.nn.functional", functional.relu),
    )
}
"""Nonlinearities of readouts."""


def openretina(
    model: str | PathLike[str] | nn.Module,
    session: str | None = None,
    *,
    layers: Mapping[str, str | Layer] | Iterable[str] | None = None,
    history: int | None = None,
    outputs: Iterable[str] | None = None,
    input_shape: Sequence[int] | None = None,
    frame_rate: float | None = None,
    standardise: bool = True,
    name: str | None = None,
) -> Network:
    """Load one session of a model of open-retina: a core, and the readout of the session.

    Parameters
    ----------
    model
        A Lightning checkpoint (".ckpt") of `UnifiedCoreReadout` or `ExampleCoreReadout`, or such
        a model. A checkpoint is read without running anything that it asks to run: tensors,
        plain values and configurations, of which only classes of open-retina are built.
    session
        Whose readout (its `data_key`); None where there is one.
    layers
        As for `nc.Network`, in the names ``"core. ..."``; by default `layer1`, `layer2`, ... are
        what the core's convolutions make, before normalisation.
    history
        Frames in a window; None takes those that an answer depends on. The first frames that a
        core cuts off its output are no answers, and take no part.
    outputs
        Names of the cells; by default their numbers, or their `roi_ids` in the checkpoint.
    input_shape
        (color, y, x) of a frame, where the model does not say it.
    frame_rate
        Frames per second, where the model's `data_info` does not say it.
    standardise
        Whether the network takes frames as they were recorded, and brings them to the mean and
        standard deviation of `data_info` itself. False for frames that are standardised.
    name
        For provenance; by default the class of the model and the session.

    Returns
    -------
    Network
        In evaluation mode. Cells have `y_center` and `x_center`, in pixels, where the readout
        says where they look, and `cell_type` from `group_assignment` where that is known. A core
        that pads along time answers for an earlier frame than the newest of its window, which is
        said; `time` of responses is that of the frame that is answered.

    Raises
    ------
    InputError
        Where the session, or what the model has, is another; where a checkpoint is given and
        open-retina is not installed.
    StorageError
        Where a file cannot be read, asks to import code, or lacks what such a file has.

    Examples
    --------
    >>> class Readout(nn.Module):
    ...     def forward(self, maps):
    ...         return maps.flatten(3)[:, 0]
    >>> model = nn.Module()
    >>> model.core, model.readout = nn.Conv3d(2, 1, (5, 3, 3)), Readout()
    >>> model.data_info = {"input_shape": (2, 3, 4), "frame_rate": 30}
    >>> net = openretina(model)
    >>> net.history, net.frame_rate
    (5, 30.0)
    """
    if not isinstance(model, nn.Module):
        path = arguments.path("model", model, hint="nc.adapters.openretina('model.ckpt')")
        model = _from_checkpoint(path.expanduser())
    info = _info(model)
    session = _only_session(model) if session is None else session
    known = _named(info.get("sessions_kwargs", {}), session)
    count = info.get("n_neurons_dict", {}).get(session)
    return network_of(
        model,
        session=session,
        frame=input_shape or info.get("input_shape"),
        history=history,
        layers=layers,
        outputs=outputs if outputs is not None else _names(known, "roi_ids", count),
        frame_rate=frame_rate or _rate({**info, **known}),
        standardisation=_standardisation(info) if standardise else None,
        name=name or f"{type(model).__name__} {session or ''}".strip(),
        coords=_types(known, count),
    )


def is_openretina(path: Path) -> bool:
    """Whether a Lightning checkpoint speaks of open-retina, or of configurations as it has them."""
    with suppress(Exception):  # of what cannot be read nothing is known
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        return any(name.startswith((OWN, "omegaconf.")) for name in names)
    return False


def _info(model: nn.Module) -> dict[str, Any]:
    """What a model knows of the data that it was trained on."""
    found = dict(getattr(model, "data_info", None) or {})
    settings = dict(getattr(model, "hparams", None) or {})
    shape = settings.get("in_shape")  # (color, time, y, x)
    if shape is not None and "input_shape" not in found:
        found["input_shape"] = (shape[0], *shape[2:])
    found.setdefault("n_neurons_dict", settings.get("n_neurons_dict") or {})
    return found


def _only_session(model: nn.Module) -> str | None:
    readout = getattr(model, "readout", None)
    one = isinstance(readout, nn.ModuleDict) and len(readout) == 1
    return next(iter(readout)) if one else None  # type: ignore[arg-type]


def _named(of_sessions: Any, session: str | None) -> dict[str, Any]:
    """What is known of a session."""
    found = of_sessions.get(session, {}) if isinstance(of_sessions, Mapping) else {}
    return dict(found) if isinstance(found, Mapping) else {}


def _names(known: Mapping[str, Any], key: str, count: int | None) -> list[str] | None:
    """One text for each cell, each of them once; None where they are not known."""
    values = known.get(key)
    if values is None:
        return None
    names = [str(x) for x in np.asarray(values).ravel().tolist()]
    return names if len(names) == count == len({*names}) else None


def _types(known: Mapping[str, Any], count: int | None) -> dict[str, list[str]]:
    groups = known.get("group_assignment")
    names = [] if groups is None else [str(x) for x in np.asarray(groups).ravel().tolist()]
    return {"cell_type": names} if names and len(names) == count else {}


def _rate(info: Mapping[str, Any]) -> float | None:
    found = (info[key] for key in RATES if isinstance(info.get(key), int | float))
    return next((float(x) for x in found), None)


def _standardisation(info: Mapping[str, Any]) -> Standardisation | None:
    """Mean and deviation of the movies, where there is anything to do."""
    mean, deviation = info.get("stim_mean"), info.get("stim_std")
    if mean is None or deviation is None or (mean, deviation) == (0, 1):
        return None
    return Standardisation(float(mean), float(deviation))


def _from_checkpoint(path: Path) -> nn.Module:
    """Build a model of open-retina from its settings, and fill in its weights."""
    core_readout = _library()
    content = load_torch_file(path, [*_settings_of(), *_parts_in(path)])
    if not isinstance(content, Mapping) or not {HYPER, STATE} <= content.keys():
        found = [*content] if isinstance(content, Mapping) else type(content).__name__
        raise StorageError(
            came=f"{path} with {found}",
            expected=f"a Lightning checkpoint with {HYPER!r} and {STATE!r}",
            hint="nc.adapters.openretina(model), of a model with its weights",
        )
    # modules among them are as they were before training
    settings = {k: x for k, x in content[HYPER].items() if not isinstance(x, nn.Module)}
    _require_own(settings, path)
    kind = "UnifiedCoreReadout" if "core" in settings else "ExampleCoreReadout"
    settings = {k: x for k, x in settings.items() if k not in ("loss", "evaluation_loss")}
    try:
        with building(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = getattr(core_readout, kind)(**settings)
        model.load_state_dict(_renamed(content[STATE]))
    except Exception as error:
        raise StorageError(
            came=f"{path}, from which no {kind} can be built: {error}",
            expected="a checkpoint of the version of open-retina that is installed",
            hint="nc.adapters.openretina(model), of a model with its weights",
        ) from error
    return model


def _library() -> Any:
    """The models of open-retina, or what is missing for them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("openretina.models.core_readout")
    except ImportError as error:
        raise InputError(
            came=f"a checkpoint of open-retina, which cannot be imported: {error}",
            expected="open-retina, of whose classes the model is built",
            hint="pip install openretina",
        ) from error


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by their names of today, as open-retina itself renames them."""
    old = ".bias_param"
    return {(k.removesuffix(old) + ".bias" if k.endswith(old) else k): x for k, x in state.items()}


def _settings_of() -> list[Any]:
    """Classes of which configurations are made: they hold values, and run nothing."""
    omegaconf = importlib.import_module("omegaconf")
    base, nodes = omegaconf.base, omegaconf.nodes

    kinds = (omegaconf.DictConfig, omegaconf.ListConfig, base.ContainerMetadata, base.Metadata)
    leaves = [getattr(nodes, n) for n in dir(nodes) if n.endswith("Node")]
    plain = (dict, list, tuple, int, float, str, bool, set, collections.OrderedDict)
    return [*kinds, *leaves, *plain, collections.defaultdict, typing.Any]


def _parts_in(path: Path) -> list[Any]:
    """Layers of open-retina and torch that a checkpoint holds beside its weights."""
    with suppress(Exception):  # a file that cannot be read says so when it is
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        parts = [n for n in names if n.startswith((f"{OWN}modules.", "torch.nn.modules."))]
        found = [pydoc.locate(name) for name in parts]
        layers = [x for x in found if isinstance(x, type) and issubclass(x, nn.Module)]
        return [*layers, *(f for n, f in FUNCTIONS.items() if n in names)]
    return []


def _targets(value: Any) -> Iterator[str]:
    """Names of what a configuration asks to build."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "_target_":
                yield str(inner)
            yield from _targets(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _targets(inner)


def _require_own(settings: Mapping[str, Any], path: Path) -> None:
    for name in _targets([settings.get("core"), settings.get("readout")]):
        if not name.startswith(OWN):
            raise InputError(
                came=f"{path}, which asks to build {name!r}; nothing of it was run",
                expected="classes of open-retina",
                hint="nc.adapters.openretina(model), if you trust who wrote it",
            )
