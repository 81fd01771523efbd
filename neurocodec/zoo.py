"""The bundled models and data sets, found by name, and trained retina models in files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neurocodec import arguments
from neurocodec.adapters.networks.deep_retina import deep_retina
from neurocodec.adapters.networks.foreign import (
    CHECKPOINTS,
    ENDINGS,
    LIGHTNING,
    no_such_model,
    require_safetensors,
)
from neurocodec.adapters.networks.openretina import is_openretina, openretina
from neurocodec.errors import InputError, StorageError, unknown_name
from neurocodec.network import Network
from neurocodec.nn.checkpoint import read_tensors, unwrapped_names, write_tensors
from neurocodec.nn.retina.model import LAYERS, RetinaCNN, RetinaConfig
from neurocodec.simulation import NaturalScenes, Parameters, WhiteNoise, simulate_retina
from neurocodec.simulation.world import Split, Stimulus

if TYPE_CHECKING:
    import os

    import xarray as xr

WEIGHTS: Final = "weights.safetensors"
CARD: Final = "card.toml"
RECIPE: Final = "recipe.toml"
FORMAT: Final = "neurocodec retina 1"
"""What `save_model` writes under "format", and `load_model` accepts."""

PLACES: Final = (Path(__file__).parents[1], Path(__file__).parent)
"""The checkout, where the folders lie beside the package, then the installed package."""


def models_available() -> list[str]:
    """Names that `load_model` knows.

    Examples
    --------
    >>> models_available()
    ['simulated-retina']
    """
    return _available("models")


def datasets_available() -> list[str]:
    """Names that `load_dataset` knows.

    Examples
    --------
    >>> datasets_available()
    ['simulated-retina']
    """
    return _available("datasets")


def card(kind: str, name: str) -> dict[str, Any]:
    """Card of a bundled model or data set (`kind` "models" or "datasets"): what it is, how good."""
    return _read_toml(_folder(kind, name) / CARD)


def load_dataset(
    name: str,
    *,
    seed: int = 0,
    split: Split = "test",
    stimulus: Stimulus = "natural scenes",
    duration: float | None = None,
) -> xr.Dataset:
    """Load a bundled data set.

    Parameters
    ----------
    name
        "simulated-retina": a retina with known answers, simulated on real photographs.
    seed
        Different seeds are different retinas.
    split
        "test" (30 s, 20 repeats) or "train" (a longer movie from other parts of the photographs).
    stimulus
        "natural scenes" or "white noise".
    duration
        Seconds, instead of the recipe's.

    Returns
    -------
    xarray.Dataset
        `stimulus` (time, y, x), `firing_rate` (time, cell), `spike_count` (repeat, time, cell)
        and `membrane_potential` (time, interneuron); see
        `neurocodec.simulation.simulate_retina`.

    Raises
    ------
    UnknownNameError
        Where there is no such data set, split or stimulus.

    Examples
    --------
    >>> load_dataset("simulated-retina", duration=1.0).firing_rate.sizes["time"]
    100
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    recipe = _read_toml(_folder("datasets", name) / RECIPE)
    # An unknown split goes on to simulate_retina, which names those that exist.
    chosen = recipe["splits"].get(split, recipe["splits"]["test"])
    return simulate_retina(
        seed,
        stimulus=stimulus,
        split=split,
        duration=chosen["duration"] if duration is None else duration,
        repeats=chosen["repeats"],
        parameters=Parameters(**recipe.get("parameters", {})),
        scenes=NaturalScenes(**recipe.get("scenes", {})),
        noise=WhiteNoise(**recipe.get("noise", {})),
    )


def load_model(name: str | os.PathLike[str], *, session: str | None = None) -> Network:
    """Load a bundled model, or a retina model from a file.

    Parameters
    ----------
    name
        A name of `models_available`, a file that `save_model` wrote, or its folder, or a
        checkpoint of torch-deep-retina (`.pt`), which `nc.adapters.deep_retina` reads, or of
        open-retina (`.ckpt`), which `nc.adapters.openretina` reads.
    session
        Of a checkpoint of open-retina, whose readout; None where it has one.

    Returns
    -------
    Network
        In evaluation mode, on the CPU.

    Raises
    ------
    UnknownNameError
        Where there is no such model.
    InputError
        Where a session is told of a model that has none.
    StorageError
        Where there is no such file, or it is damaged or holds something else; of checkpoints of
        Lightning and other libraries the message says how to load them.

    Examples
    --------
    >>> list(load_model("simulated-retina").layers)
    ['layer1', 'layer2']
    """
    path = _model_file(name)
    if path.suffix == LIGHTNING and is_openretina(path):
        return openretina(path, session)
    if session is not None:
        raise InputError(
            came=f"session={session!r} of {str(name)!r}",
            expected="a checkpoint of open-retina: other models have no sessions",
            hint=f"nc.load_model({str(name)!r})",
        )
    if path.suffix in CHECKPOINTS:
        return deep_retina(path)
    require_safetensors(path)
    tensors, facts = read_tensors(path)
    if facts.get("format") != FORMAT:
        raise StorageError(
            came=f"{path} of format {facts.get('format')!r}", expected=f"format {FORMAT!r}"
        )
    try:
        module = RetinaCNN(RetinaConfig.from_dict(facts["config"]))
        module.load_state_dict(unwrapped_names(tensors, module.state_dict()))
        return retina_network(module.eval(), **facts["network"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StorageError(
            came=f"{path}, whose facts or weights do not fit: {type(error).__name__}: {error}",
            expected="a whole file of nc.save_model",
        ) from error


def retina_network(
    module: RetinaCNN,
    *,
    name: str,
    outputs: list[str] | None = None,  # names of the cells; numbers where None
    frame_rate: float | None = None,  # frames per second of the movies that it is for
    output_coords: dict[str, list[Any]] | None = None,  # of the cells, such as `cell_type`
) -> Network:
    """A retina model as a `Network`: hidden layers, history, frame size, names of its cells."""
    return Network(
        module,
        LAYERS,
        history=module.config.history,
        outputs=outputs,
        output_coords=output_coords,
        input_shape=module.config.size,
        frame_rate=frame_rate,
        name=name,
    )


def save_model(network: Network, path: str | os.PathLike[str]) -> Path:
    """Save a trained retina model to one safetensors file that `load_model` reads.

    Parameters
    ----------
    network
        Whose module is a `RetinaCNN`; see `retina_network`.
    path
        A file, or a folder, in which the file is called `weights.safetensors`.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        Where the module is not a `RetinaCNN`.
    StorageError
        Where the file cannot be written; an older file is then still whole.

    Examples
    --------
    >>> import tempfile
    >>> network = retina_network(RetinaCNN(RetinaConfig(cells=2)), name="mine")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_model(save_model(network, folder)).name
    'mine'
    """
    module = getattr(network.module, "_orig_mod", network.module)  # of torch.compile
    if not isinstance(module, RetinaCNN):
        raise InputError(
            came=f"a network of {type(module).__name__}",
            expected="a network of neurocodec.nn.retina.model.RetinaCNN",
            hint="safetensors.torch.save_model(network.module, path) for any other module",
        )
    path = Path(path)
    file = path / WEIGHTS if path.is_dir() else path
    labels = {
        "name": network.name,
        "outputs": None if network.outputs is None else list(network.outputs),
        "frame_rate": network.frame_rate,
        "output_coords": {k: list(x) for k, x in network.output_coords.items()},
    }
    facts = {"format": FORMAT, "config": module.config.to_dict(), "network": labels}
    write_tensors(file, module.state_dict(), facts)
    return file


def _model_file(name: str | os.PathLike[str]) -> Path:
    path = arguments.path("name", name, hint="nc.models_available()").expanduser()
    if not str(name).strip():  # the path of nothing is the current folder
        raise unknown_name("bundled model", name, models_available())
    for candidate in (path, path / WEIGHTS):
        if candidate.is_file():
            return candidate
    if str(name) not in models_available() and (_is_path(path) or path.is_dir()):
        raise no_such_model(path, models_available())
    return _folder("models", str(name)) / WEIGHTS


def _is_path(path: Path) -> bool:
    """Whether a name that is no file was meant as one: it has an ending or a folder."""
    return len(path.parts) > 1 or path.suffix in ENDINGS


def _available(kind: str) -> list[str]:
    # Any folder of this name may lie beside an installed package; a card tells ours.
    return sorted(
        {file.parent.name for place in PLACES for file in (place / kind).glob(f"*/{CARD}")}
    )


def _folder(kind: str, name: str) -> Path:
    for place in PLACES:
        if name in _available(kind) and (place / kind / name / CARD).is_file():
            return place / kind / name
    what = f"bundled {kind.removesuffix('s')}"
    raise unknown_name(what, name, _available(kind))


def _read_toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
