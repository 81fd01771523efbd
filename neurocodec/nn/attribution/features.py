"""Features: directions in a hidden layer, one (`Feature`) or many (`Features`), as targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from neurocodec.arguments import is_whole
from neurocodec.errors import InputError
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.attribution.target import Target

Position: TypeAlias = tuple[int, ...] | int | Literal["center", "strongest"] | None

CENTER: Final = "center"
STRONGEST: Final = "strongest"


@dataclass(frozen=True)
class Feature(Target):
    """Projection of a hidden layer on a vector over its channels.

    Parameters
    ----------
    name
        Alias of the layer, one of the network's.
    vector
        One number per channel.
    position
        Position in the layer's maps from 0, such as ``(y, x)``, or the token; ``"center"`` of maps
        (of an even side n, n // 2); ``"strongest"``, where the projection is largest at the sample
        itself, which is kept along a path; None sums over positions.

    Examples
    --------
    >>> Feature("layer1", (1.0, -1.0))(torch.tensor([[3.0, 1.0]]))
    tensor([2.])
    """

    name: str
    vector: tuple[float, ...]
    position: Position = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", _vector(self.vector))
        object.__setattr__(self, "position", _position(self.position, self.name))

    @property
    def layer(self) -> str:
        """Alias of the layer that is read."""
        return self.name

    @property
    def hold(self) -> bool:
        """Whether something found at the sample itself is kept along a path."""
        return self.position == STRONGEST

    def fixed_at(self, outputs: Tensor) -> Target:
        """Keep each sample's strongest position."""
        return _Held(self, _strongest(self.projected(outputs))) if self.hold else self

    def projected(self, outputs: Tensor) -> Tensor:
        """(sample, 1, positions...) of an activation (sample, channel, positions...)."""
        return _project(outputs, [self.vector], self.name)

    def __call__(self, outputs: Tensor) -> Tensor:
        """Project an activation of shape (sample, channel, positions...)."""
        return _read(self.projected(outputs), self.position, self.name)[:, 0]


@dataclass(frozen=True)
class Features(Target):
    """Projections of a hidden layer on many vectors, each a target of its own, in one pass.

    Results gain the dim `feature`. Every number is that of the `Feature` with the same vector.

    Parameters
    ----------
    name
        Alias of the layer, one of the network's.
    vectors
        (feature, channel), one number per channel; the names of the rows of a labelled array
        become those of the features.
    channels
        In place of vectors: numbers of channels, from 0.
    position
        As of `Feature`, the same for all.
    labels
        Names of the features; the channels, or numbers from 0, where None.

    Examples
    --------
    >>> Features("layer1", channels=[1, 0])(torch.tensor([[3.0, 1.0]]))
    tensor([[1., 3.]])
    """

    name: str
    vectors: tuple[tuple[float, ...], ...] | None = None
    channels: tuple[int, ...] | None = None
    position: Position = None
    labels: tuple[str | int, ...] | None = None

    def __post_init__(self) -> None:
        if (self.vectors is None) == (self.channels is None):
            raise InputError(
                came="both vectors and channels" if self.channels else "no vectors and no channels",
                expected="either of the two",
                hint=f"nc.targets.Features({self.name!r}, channels=[0, 1])",
            )
        labels, known = self.labels, _channels(self.channels, self.name)
        if self.vectors is not None:
            labels = labels if labels is not None else _labels_of(self.vectors)
            object.__setattr__(self, "vectors", _rows(self.vectors))
        object.__setattr__(self, "channels", known)
        object.__setattr__(self, "position", _position(self.position, self.name))
        object.__setattr__(self, "labels", _labels(labels, self.vectors, known))

    def __len__(self) -> int:
        """How many features there are."""
        return len(self.labels or ())

    @property
    def layer(self) -> str:
        """Alias of the layer that is read."""
        return self.name

    @property
    def hold(self) -> bool:
        """Whether something found at the sample itself is kept along a path."""
        return self.position == STRONGEST

    def one(self, place: int) -> Target:
        """One of the features, as a target of one number per sample."""
        return _One(self.some(slice(place, place + 1)))

    def some(self, places: slice) -> Features:
        """Some of the features."""
        return replace(
            self,
            vectors=None if self.vectors is None else self.vectors[places],
            channels=None if self.channels is None else self.channels[places],
            labels=None if self.labels is None else self.labels[places],
        )

    def fixed_at(self, outputs: Tensor) -> Target:
        """Keep each sample's strongest position, of each feature."""
        return _Held(self, _strongest(self.projected(outputs))) if self.hold else self

    def projected(self, outputs: Tensor) -> Tensor:
        """(sample, feature, positions...) of an activation (sample, channel, positions...)."""
        if self.vectors is not None:
            return _project(outputs, self.vectors, self.name)
        wanted = list(self.channels or ())
        if max(wanted) >= outputs.shape[1]:
            raise InputError(
                came=f"channel {max(wanted)} of {self.name!r}",
                expected=f"channels from 0 to {outputs.shape[1] - 1}",
            )
        return outputs[:, wanted]

    def __call__(self, outputs: Tensor) -> Tensor:
        """Project an activation (sample, channel, positions...): (sample, feature)."""
        return _read(self.projected(outputs), self.position, self.name)


@dataclass(frozen=True)
class _One(Target):
    """One of many features."""

    of: Features

    @property
    def layer(self) -> str:
        return self.of.name

    @property
    def hold(self) -> bool:
        return self.of.hold

    def fixed_at(self, outputs: Tensor) -> Target:
        return _Held(self, _strongest(self.projected(outputs))) if self.hold else self

    def projected(self, outputs: Tensor) -> Tensor:
        return self.of.projected(outputs)

    def __call__(self, outputs: Tensor) -> Tensor:
        return self.of(outputs)[:, 0]


@dataclass(frozen=True)
class _Held(Target):
    """Features at given positions, which differ from sample to sample."""

    per_sample: ClassVar[bool] = True

    of: Feature | Features | _One
    places: Tensor  # (sample, feature), in the flattened maps

    @property
    def layer(self) -> str:
        return self.of.layer

    def __call__(self, outputs: Tensor) -> Tensor:
        flat = self.of.projected(outputs).flatten(2)
        found = flat.gather(2, self.places.expand(len(flat), -1)[..., None])[..., 0]
        return found if isinstance(self.of, Features) else found[:, 0]


def _project(outputs: Tensor, vectors: Sequence[Sequence[float]], name: str) -> Tensor:
    if outputs.shape[1] != len(vectors[0]):
        raise InputError(
            came=f"a vector of {len(vectors[0])} for {name!r}",
            expected=f"one number for each of its {outputs.shape[1]} channels",
        )
    rows = tensor_of(vectors, outputs.dtype, outputs.device)
    return torch.einsum("bc...,fc->bf...", outputs, rows)


def _read(projected: Tensor, position: Position, name: str) -> Tensor:
    """(sample, feature) of (sample, feature, positions...)."""
    if position is None:
        return projected.flatten(2).sum(2) if projected.ndim > 2 else projected
    sizes = tuple(projected.shape[2:])
    if position == STRONGEST and sizes:
        return projected.flatten(2).gather(2, _strongest(projected)[..., None])[..., 0]
    for index in _where(position, sizes, name):
        projected = projected.select(2, index)
    return projected


def _where(position: Position, sizes: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Take a position inside of maps of these sizes."""
    where = (*position,) if isinstance(position, tuple) else (position,)
    if position == CENTER and len(sizes) > 1:
        where = tuple(n // 2 for n in sizes)
    inside = (is_whole(i) and 0 <= i < n for i, n in zip(where, sizes, strict=False))
    if len(where) != len(sizes) or not all(inside):
        raise InputError(
            came=f"position {position!r} in {name!r}",
            expected=f"a position inside of {sizes}" if sizes else "None: it has no positions",
            hint=f"position={tuple(n // 2 for n in sizes)}" if sizes else "position=None",
        )
    return tuple(int(index) for index in where)  # type: ignore[arg-type]


def place_of(target: Target, sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The one position that features of all samples are read at; None where there is not one."""
    of = target.of if isinstance(target, _One) else target
    if not isinstance(of, Feature | Features) or of.position in (None, STRONGEST) or not sizes:
        return None
    return _where(of.position, sizes, of.name)


def at_place(target: Target) -> Target:
    """The same features, of what stands at their position: (sample, channel)."""
    if isinstance(target, _One):
        return _One(replace(target.of, position=None))
    return replace(target, position=None) if isinstance(target, Feature | Features) else target


def _strongest(projected: Tensor) -> Tensor:
    """Place of the largest of each map; of equal ones the first, as `argmax` does not promise."""
    flat = projected.detach().flatten(2)
    return flat.argsort(dim=2, descending=True, stable=True)[..., 0]


def _position(value: Any, name: str) -> Position:
    """Take a position: none, a word, or whole numbers from 0."""
    if value is None or (isinstance(value, str) and value in (CENTER, STRONGEST)):
        return value  # type: ignore[return-value]
    several = isinstance(value, Iterable) and not isinstance(value, str)
    where = (*value,) if several else (value,)
    if not where or not all(is_whole(i) and i >= 0 for i in where):
        raise InputError(
            came=f"position {value!r} in {name!r}",
            expected="whole numbers from 0, 'center', 'strongest', or None for the sum",
            hint="position='center'",
        )
    return tuple(int(i) for i in where) if several else int(where[0])


def _vector(value: Any) -> tuple[float, ...]:
    """Take one number per channel; a labelled vector has its channels in their order."""
    _require_in_order(value)
    try:
        array = np.asarray(tensor_of(value), float)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all() or not array.any():
        shape = f" of shape {array.shape}" if array.size else ""
        raise InputError(
            came=f"a vector{shape} that is empty, not finite, all zero or of another shape",
            expected="one finite number per channel, not all of them zero",
            hint="(1.0, 0.0, -1.0)",
        )
    return tuple(array.tolist())


def _rows(value: Any) -> tuple[tuple[float, ...], ...]:
    """Take vectors (feature, channel)."""
    dims = getattr(value, "dims", None)
    if dims is not None and (len(dims) != 2 or dims[1] != "channel"):
        raise InputError(
            came=f"vectors with dims {tuple(dims)}",
            expected="dims (feature, channel)",
            hint="vectors.transpose(..., 'channel')",
        )
    _require_in_order(value)
    rows = [*value] if isinstance(value, Iterable) and not isinstance(value, str) else []
    found = tuple(_vector(getattr(row, "values", row)) for row in rows)
    if not found or len({len(row) for row in found}) > 1:
        raise InputError(
            came=f"vectors of {sorted({len(row) for row in found})} numbers",
            expected="vectors (feature, channel), at least one",
        )
    return found


def _require_in_order(value: Any) -> None:
    coords = getattr(value, "coords", None)
    if coords is None or "channel" not in coords:
        return
    known = np.asarray(coords["channel"]).tolist()
    if known != list(range(len(known))):
        raise InputError(
            came=f"a vector over the channels {known[:5]}",
            expected="the channels of the layer in their order, from 0",
            hint="vector.sortby('channel')",
        )


def _channels(value: Any, name: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    found = [*value] if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    if not found or not all(is_whole(c) and c >= 0 for c in found):
        raise InputError(
            came=f"channels {value!r} of {name!r}",
            expected="whole numbers from 0, at least one",
            hint="channels=[3, 17]",
        )
    return tuple(int(c) for c in found)


def _labels_of(vectors: Any) -> Any:
    """Names of the rows of a labelled array."""
    dim = getattr(vectors, "dims", (None,))[0]
    return vectors.coords[dim].values if dim in getattr(vectors, "coords", ()) else None


def _labels(labels: Any, vectors: Any, channels: Any) -> tuple[str | int, ...]:
    """Names of the features, each its own."""
    size = len(vectors if channels is None else channels)
    given = (channels or range(size)) if labels is None else labels
    names = tuple(x.item() if hasattr(x, "item") else x for x in given)
    if len(names) != size or len({*names}) != size or not _are_names(names):
        raise InputError(
            came=f"names {list(names)[:5]} of {size} features",
            expected="a name (str) or a whole number for each, no two the same",
            hint=f"labels={list(range(min(size, 3)))}",
        )
    return names


def _are_names(names: Sequence[Any]) -> bool:
    return all(isinstance(n, str) for n in names) or all(is_whole(n) for n in names)


def count(target: Target) -> int:
    """How many numbers a target has of each sample."""
    return len(target) if isinstance(target, Features) else 1
