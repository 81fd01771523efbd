"""`nc.Network`: what is to be known of a torch module to analyse it."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
import torch
import xarray as xr
from torch import nn

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.identity.state import State
from neurocodec.identity.walk import summary
from neurocodec.labels import class_names, fingerprint, require_free_names
from neurocodec.nn.arrays import contents
from neurocodec.nn.attribution.pre_activation import before_activation
from neurocodec.nn.capture.layer import Item, Layer, as_item
from neurocodec.nn.device import device_named
from neurocodec.nn.video.answers import Answer
from neurocodec.nn.video.arrangement import EXAMPLE
from neurocodec.nn.video.windowed import Windowed, inside, of_video, within
from neurocodec.storage.encoding import storable_coords

logger = logging.getLogger(__name__)

Preprocessing: TypeAlias = Callable[[Any], Any]
"""Takes a `PIL.Image.Image`, returns a tensor or array (color, y, x)."""

RESERVED: Final = ("time", "stimulus", "target", "steps", "converged")
"""Names at the root of a result, which no layer can have."""
RESET: Final = "reset"
CARRIED: Final = "carried"
STATES: Final = (RESET, CARRIED)
"""What becomes of a state from window to window."""
ONE_DIMENSIONAL: Final = (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d)
"""Modules whose three-dimensional output is (sample, channel, position), not tokens."""


@dataclass(frozen=True, init=False)
class Network:
    """A trained network, the layers to look at, and the labels of its inputs and outputs.

    Parameters
    ----------
    module
        The torch module; runs use a copy that shares its weights, and it stays as it is.
    layers
        Alias -> module name or `Layer`; a list takes the module names as aliases. Responses and
        fields need none.
    history
        Frames in a window, for a network that sees a movie (its input is (sample, history, y,
        x), the oldest frame first); None for still images. No window reaches over a gap between
        the times of frames, or a change of the movie's coordinate `segment`.
    outputs
        Names of the outputs; None numbers them.
    output_dim
        ``"cell"`` or ``"category"``; by default cells for a movie, categories for images.
    output_coords
        Further coordinates of the outputs, such as `cell_type`.
    select
        Which item of an output that is a tuple (int), or a dict, named tuple or dataclass (str),
        holds the answer.
    input_shape
        Shape of one frame or image, where it is fixed.
    frame_rate
        Frames per second of the movies that the network was made for, where it is fixed.
    name
        For provenance.
    preprocessing
        What makes an input of an image: takes a `PIL.Image.Image`, returns (color, y, x).
    input, output
        Of a module that takes video and returns video, the order of its axes in words, such as
        ``"(sample, color, time, y, x)"`` and ``"(sample, time, cell)"``. A sample is then the
        window of `history` frames, colour included; `module` is held within one that takes these.
    answer
        Output step of a window that is its answer, from the end (-1 is the last). None finds it,
        with one gradient: the first step that depends on the newest frame. `Network.answering`
        says it, once the network has seen frames.
    state
        Of a module that takes video and has a state (recurrent, adaptive): ``"reset"`` starts each
        window anew, from what the module starts with. ``"carried"`` goes through each piece of a
        movie once, and the state with it; the first `history` - 1 frames, in which it settles, have
        no answer. `nc.respond` alone can do so: an answer then depends on all frames before it.
    perturbation
        What was done to the network, one text for each of `nc.ablate` and `nc.preserve`; it tells
        its runs from those of the intact network.

    Examples
    --------
    >>> net = Network(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)), layers=["1"])
    >>> net.layers["1"].at
    'output'
    """

    module: nn.Module
    layers: Mapping[str, Layer]
    history: int | None
    outputs: tuple[str, ...] | None
    output_dim: str
    output_coords: Mapping[str, Sequence[Any]]
    select: Item
    input_shape: tuple[int, ...] | None
    frame_rate: float | None
    name: str
    preprocessing: Preprocessing | None
    input: str | None
    output: str | None
    answer: int | None
    state: str
    perturbation: tuple[str, ...]

    def __init__(
        self,
        module: nn.Module,
        layers: Mapping[str, str | Layer] | Iterable[str] = (),
        *,
        history: int | None = None,
        outputs: Iterable[str] | None = None,
        output_dim: str = "",
        output_coords: Mapping[str, Sequence[Any]] | None = None,
        select: Item = None,
        input_shape: Sequence[int] | None = None,
        frame_rate: float | None = None,
        name: str = "",
        preprocessing: Preprocessing | None = None,
        input: str | None = None,  # noqa: A002 - the word for it
        output: str | None = None,
        answer: int | None = None,
        state: str = RESET,
        perturbation: Iterable[str] = (),
    ) -> None:
        _require_weights(module)
        output_dim = output_dim or (v.CATEGORY if history is None else v.CELL)
        history = arguments.whole_or_none("history", history, hint="history=40")
        named = _named_layers(module, layers)
        whole = of_video(module, input, output, answer, select, history=history)
        if whole is not module:
            named = {a: replace(x, module=within(x.module)) for a, x in named.items()}
            select = None
        values = {
            "module": whole,
            "layers": named,
            "history": history,
            "outputs": None if outputs is None else _output_names(outputs),
            "output_dim": output_dim,
            "output_coords": _output_coords(output_coords or {}, output_dim),
            "select": as_item("select", select),
            "input_shape": None if input_shape is None else _shape(input_shape),
            "frame_rate": None if frame_rate is None else arguments.frame_rate(frame_rate),
            "name": name or type(inside(whole)).__name__,
            "preprocessing": preprocessing,
            "input": input,
            "output": output,
            "answer": answer,
            "state": _state(state, whole),
            "perturbation": tuple(perturbation),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        if self.input_shape is not None:
            self.settled(self.input_shape)

    @property
    def answering(self) -> Answer | None:
        """Which output step of a window answers for which frame; None of a network of windows.

        Found when the network first sees frames, and the same from then on.
        """
        return self.module.known.answer if isinstance(self.module, Windowed) else None

    def settled(self, frame: Sequence[int]) -> Answer | None:
        """Find the answer of a video network for frames of this shape, unless it is known.

        Parameters
        ----------
        frame
            Shape (y, x) or (color, y, x) of one frame.

        Raises
        ------
        InputError
            Where the network does not take or return what `input` and `output` say.
        """
        if not isinstance(self.module, Windowed):
            return None
        known = self.module.known.answer
        window = torch.zeros((1, self.history or 1, *frame), dtype=self.dtype, device=self.device)
        answer = self.module.settle(window)
        if known is None:
            logger.log(
                logging.WARNING if answer.later else logging.INFO, "%s: %s", self.name, answer
            )
        return answer

    @property
    def sample_dim(self) -> str:
        """`time` for a network that sees a movie, `stimulus` for one that sees images."""
        return v.STIMULUS if self.history is None else v.TIME

    @property
    def device(self) -> torch.device:
        """Where the module's parameters are."""
        first = next(self.module.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the module's parameters."""
        kinds = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        found = next(kinds, torch.float32)
        if found not in (torch.float32, torch.float64):
            raise InputError(
                came=f"a network of {found}",
                expected="torch.float32 or torch.float64: sums along a path need the digits",
                hint="nc.Network(module.float(), ...)",
            )
        return found

    @property
    def weights_sha256(self) -> str:
        """SHA-256 over the module's parameters and buffers."""
        return _weights_sha256(self.module)

    @property
    def facts(self) -> dict[str, Any]:
        """What the network's numbers depend on, for provenance and before a run is resumed."""
        return self.facts_in(State.of(self.module))

    def facts_in(self, state: State) -> dict[str, Any]:
        """The same, of a state in which is known what the passes themselves change."""
        text = state.text
        if "text" in state.changed:  # settings that are printed, and that a pass changes
            text = repr([(n, type(part).__name__) for n, part in self.module.named_modules()])
        return {
            "model": self.name,
            "module_sha256": fingerprint(text),
            "outputs": self.outputs,
            "select": self.select,
            "perturbation": self.perturbation,
            "history": self.history,
            **self._video,
            "weights_sha256": _weights_sha256(self.module, state.changed),
            "state_sha256": summary({**state.marks, **state.walk.code}),
        }

    @property
    def _video(self) -> dict[str, Any]:
        """Facts of a video network alone."""
        if not isinstance(self.module, Windowed):
            return {}
        axes, answer = self.module.arrangement, self.answering
        told = None if answer is None else {**asdict(answer), "text": str(answer)}
        carried = {} if self.state == RESET else {"state": self.state}
        return {"video": {"input": axes.input, "output": axes.output, "answer": told, **carried}}

    def select_layers(self, layers: Iterable[str] | None) -> dict[str, Layer]:
        """Layers by alias, all where None.

        Raises
        ------
        UnknownNameError
            Where an alias does not exist; near names are listed.
        """
        if layers is None:
            return dict(self.layers)
        wanted = arguments.several(
            "layers", layers, "aliases of layers", hint=f"layers={[*self.layers][:1]}"
        )
        for alias in wanted:
            if not isinstance(alias, str) or alias not in self.layers:
                raise unknown_name("layer", alias, self.layers)
        return {alias: self.layers[alias] for alias in wanted}

    def pre_activation(self, alias: str) -> Layer:
        """What the last ReLU of a block reads: the sum in which inhibition can still be seen.

        After a ReLU a target that inhibition has silenced has no gradient. The layer goes into
        another Network of the same module, beside the layers of this one.

        Parameters
        ----------
        alias
            Of one of the network's layers: a block that ends in a ReLU, or another nonlinearity,
            or such a module itself.

        Returns
        -------
        nc.Layer
            The input of that module; of a function, the output of the module that it is of.

        Raises
        ------
        UnknownNameError
            Where there is no such layer.
        InputError
            Where the block does not end in a nonlinearity, or its input is no module's.

        Examples
        --------
        >>> block = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> net = Network(nn.Sequential(block, nn.Linear(2, 1)), layers={"hidden": "0"})
        >>> pre = net.pre_activation("hidden")
        >>> pre.module, pre.at
        ('0.1', 'input')
        >>> Network(net.module, layers={**net.layers, "pre": pre}).layers["pre"] == pre
        True
        """
        layer = self.select_layers([alias])[alias]
        return before_activation(self.module, layer)

    def on(self, device: str | torch.device | None) -> Network:
        """Network on a device: itself where it is there already, a copy elsewhere.

        Raises
        ------
        InputError
            Where CUDA is asked for and there is none.
        """
        hint = "device='cpu', or device=None to stay where the network is"
        place = self.device if device is None else device_named(device, hint)
        if place.type == self.device.type and place.index in (None, self.device.index):
            return self
        return replace(self, module=copy.deepcopy(self.module).to(place))

    def output_names(self, size: int) -> list[str]:
        """Names of the outputs; numbers where the network has none.

        Raises
        ------
        InputError
            Where the network has `size` outputs but names for another number.
        """
        for name, values in self.output_coords.items():
            if len(values) != size:
                raise InputError(
                    came=f"output_coords[{name!r}] of length {len(values)} for {size} outputs",
                    expected="one value for each output",
                )
        if self.outputs is None:
            return [str(i) for i in range(size)]
        if len(self.outputs) != size:
            raise InputError(
                came=f"{len(self.outputs)} names for {size} outputs of {self.name!r}",
                expected="one name for each output",
            )
        return list(self.outputs)


def _require_weights(module: Any) -> None:
    """Refuse what is no module, and one whose weights have no numbers."""
    if not isinstance(module, nn.Module):
        raise InputError(
            came=f"module={module!r:.60}",
            expected="a torch.nn.Module",
            hint="nc.Network(program.module(), layers=[])"
            if hasattr(module, "module")
            else "nc.Network(torch.nn.Linear(2, 1), layers=[])",
        )
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        lazy = nn.parameter.is_lazy(tensor)
        if lazy or tensor.is_meta:
            raise InputError(
                came=f"{name!r} without numbers, {'not made yet' if lazy else 'on device meta'}",
                expected="a module with its weights; lazy ones are made by a first pass",
                hint=""
                if lazy
                else "module.to_empty(device='cpu').load_state_dict(torch.load(path))",
            )


def _state(state: Any, module: nn.Module) -> str:
    if state not in STATES:
        raise unknown_name("state", state, STATES)
    if state == CARRIED and not isinstance(module, Windowed):
        raise InputError(
            came=f"state={state!r} of a module that takes windows",
            expected="a module that takes video and returns video",
            hint=EXAMPLE,
        )
    return str(state)


def _shape(sizes: Any) -> tuple[int, ...]:
    listed = [sizes] if arguments.is_whole(sizes) else list(sizes)
    return tuple(arguments.whole("input_shape", n, hint="input_shape=(50, 50)") for n in listed)


def _named_layers(
    module: nn.Module, layers: Mapping[str, str | Layer] | Iterable[str]
) -> dict[str, Layer]:
    if not isinstance(module, nn.Module):
        raise InputError(
            came=f"module={module!r:.60}",
            expected="a torch.nn.Module",
            hint="nc.Network(torch.nn.Linear(2, 1), layers=[])",
        )
    parts = dict(module.named_modules(remove_duplicate=False))
    hint = f"layers={[name for name in parts if name][:1]}"
    if not isinstance(layers, Mapping):
        layers = {x: x for x in arguments.several("layers", layers, "names of modules", hint=hint)}
    found = {a: x if isinstance(x, Layer) else Layer(x) for a, x in layers.items()}
    for alias, layer in found.items():
        if layer.module not in parts:
            raise unknown_name("layer", layer.module, (n for n in parts if n))
        if not isinstance(alias, str) or not alias or "/" in alias or alias in RESERVED:
            raise InputError(
                came=f"layer alias {alias!r}",
                expected=f"a name, without '/', that is none of {RESERVED}",
                hint=f"layers={{'layer1': {layer.module!r}}}",
            )
        if layer.layout is None and isinstance(parts[layer.module], ONE_DIMENSIONAL):
            found[alias] = replace(layer, layout="maps")
    return found


def _output_names(outputs: Any) -> tuple[str, ...]:
    """Names of the outputs, of which each must be found by its name."""
    if not isinstance(outputs, Iterable):
        raise InputError(
            came=f"outputs={outputs!r}",
            expected="the name of each output, in their order",
            hint="outputs=['cell 0', 'cell 1']",
        )
    names = tuple(class_names([*outputs]).tolist())
    twice = sorted(name for name, count in Counter(names).items() if count > 1 or not name)
    if twice:
        raise InputError(
            came=f"outputs with the name {twice[0]!r}" + " more than once" * bool(twice[0]),
            expected="another name for each output",
            hint="outputs=[f'{name} {i}' for i, name in enumerate(names)]",
        )
    return names


def _output_coords(coords: Mapping[str, Sequence[Any]], dim: str) -> dict[str, Sequence[Any]]:
    """Further coordinates of outputs, of which each can be stored beside their names."""
    if not isinstance(coords, Mapping):
        raise InputError(
            came=f"output_coords={coords!r:.60}",
            expected="name -> one value for each output",
            hint="output_coords={'cell_type': ['on', 'off']}",
        )
    require_free_names(coords, {*v.SAMPLE_DIMS, dim}, "the outputs")
    found = {}
    for name, values in coords.items():
        given = xr.DataArray(np.zeros(len(values)), {name: (dim, values)}, (dim,))
        plain = storable_coords(given, (dim,))[name]
        found[name] = values if plain.dtype == given[name].dtype else plain.values.tolist()
    return found


def _weights_sha256(module: nn.Module, changed: Collection[str] = ()) -> str:
    parts: list[Any] = []
    for name, tensor in sorted(module.state_dict().items()):
        if name not in changed:
            parts += [name, *contents(tensor)]
    return fingerprint(*parts)


def require_network(net: Any) -> Network:
    """Refuse what is no `Network`, such as the torch module itself."""
    if isinstance(net, Network):
        return net
    raise InputError(
        came=f"net of type {type(net).__name__}",
        expected="an nc.Network",
        hint="nc.Network(module, layers=['name of a module'])",
    )


def require_layer(net: Network, layer: str | None) -> None:
    """Refuse a missing or unknown layer, naming those of the network."""
    if layer is None:
        raise InputError(
            came="modes or channels without the layer that they belong to",
            expected=f"layer= one of {', '.join(map(repr, net.layers))}",
            hint=f"layer={next(iter(net.layers), 'layer1')!r}",
        )
    net.select_layers([layer])
