"""A module as it is before and after a pass."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from neurocodec.identity.marks import above
from neurocodec.identity.walk import (
    LARGE,
    Walk,
    is_passing,
    is_tensor,
    tensor_mark,
    without_addresses,
)


@dataclass(frozen=True)
class State:
    """Everything of a module that its answers can depend on, but for what `state_dict` holds."""

    walk: Walk
    text: str  # its parts, as it is printed
    kept: dict[str, object]  # buffer that `state_dict` holds -> what tells if it was changed
    changed: tuple[str, ...] = ()  # paths that a pass has changed

    @classmethod
    def of(cls, module: Any, before: State | None = None) -> State:
        """Look at a module as it is; quicker after a first look."""
        stored = module.state_dict(keep_vars=True)
        tensors = {k: x for k, x in stored.items() if is_tensor(x)}
        walk = Walk(
            {id(x): name for name, x in tensors.items()},
            None if before is None else before.walk.tensors,
        )
        walk.visit("network", module)
        for name in ("_global_forward_pre_hooks", "_global_forward_hooks"):
            hooks = getattr(sys.modules["torch"].nn.modules.module, name)
            walk.visit(name, [h for h in hooks.values() if not is_passing(h)])
        kept = {k: _content(x) for k, x in tensors.items() if not _is_parameter(x)}
        return cls(walk, without_addresses(repr(module)), kept)

    def after(self, module: Any, known: Set[str] = frozenset()) -> State:
        """The same, with what is other after a pass noted as changed by passes; `known` before."""
        now = State.of(module, self)
        pairs: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
            (self.walk.data, now.walk.data),
            (self.kept, now.kept),
            ({"text": self.text}, {"text": now.text}),
        ]
        moved = {k for a, b in pairs for k in {*a, *b} if a.get(k) != b.get(k)}
        return dataclasses.replace(self, changed=tuple(sorted(moved | known)))

    @property
    def kept_marks(self) -> dict[str, str]:
        """Marks of all but what passes have changed; what lies below that may be new each time."""
        return {k: x for k, x in self.walk.data.items() if k not in self.changed}

    @property
    def marks(self) -> dict[str, str]:
        """Marks of what no pass has changed, nor anything that it is part of."""
        free = {*self.changed}
        return {k: x for k, x in self.walk.data.items() if free.isdisjoint(above(k))}


def _content(tensor: Any) -> object:
    """Bytes of a tensor, or of a large one its version, which is quick to compare."""
    small = tensor.numel() * tensor.element_size() <= LARGE and tensor.device.type != "meta"
    try:
        return tensor.detach().cpu().numpy().tobytes() if small else (id(tensor), tensor._version)  # noqa: SLF001
    except (TypeError, RuntimeError):  # of types that numpy has not, sparse, or in inference mode
        return tensor_mark(tensor)


def _is_parameter(tensor: Any) -> bool:
    return isinstance(tensor, sys.modules["torch"].nn.Parameter)
