"""How contributions of concept vectors are computed: what is asked for, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import numpy as np

from neurocodec import arguments
from neurocodec.attribution.plan import require_one
from neurocodec.concept_graphs.checked import Vectors
from neurocodec.errors import InputError, unknown_name
from neurocodec.network import Network
from neurocodec.nn.attribution.concepts import Steps
from neurocodec.nn.attribution.target import Target

At: TypeAlias = str | tuple[int, ...]
STRONGEST: Final = "strongest"
SUM: Final = "sum"
GIG: Final = "gig"
ACTGRAD: Final = "actgrad"
METHODS: Final = (GIG, ACTGRAD)


@dataclass(frozen=True)
class Settings:
    """How contributions are computed."""

    method: str
    at: At
    steps: Steps
    tolerance: float
    most: int  # steps
    residual: bool
    active: int
    solver: str
    targets: int | tuple[int, ...] | None  # the strongest so many of a sample; places; all


TOLERANCE: Final = 0.02
"""Of the change of a target, that sums may miss with ``steps="auto"``."""
MOST_STEPS: Final = 128
SOLVERS: Final = ("omp", "lasso", "lasso_refit")


@dataclass(frozen=True)
class Pair:
    """Concept vectors of a layer, and what they are to explain."""

    source: Vectors
    target: Vectors | Target

    @classmethod
    def of(cls, source: Any, target: Any, net: Network) -> Self:
        """Check both against a network, and that they are not of the same layer."""
        first = Vectors.of("source", source, net)
        aim = target if isinstance(target, Target) else Vectors.of("target", target, net)
        require_one(aim)
        if first.layer == aim.layer:
            raise InputError(
                came=f"source and target of the same layer {first.layer!r}",
                expected="a target of a later layer, or of the outputs",
                hint="target=nc.targets.Output(0)",
            )
        if isinstance(aim, Target) and aim.layer is not None:
            net.select_layers([aim.layer])
        return cls(first, aim)

    def settings(self, options: Mapping[str, Any]) -> Settings:
        """Check how contributions are computed."""
        options = {"method": GIG, "steps": "auto", **options}
        return Settings(
            method=arguments.one_of("method", options["method"], METHODS),
            at=_at(options["at"], self.target),
            steps=steps_of(options["steps"]),
            tolerance=TOLERANCE,
            most=MOST_STEPS,
            residual=arguments.flag("residual", options["residual"]),
            active=_active(options["active"], self.source),
            solver=arguments.one_of("solver", options["solver"], SOLVERS),
            targets=_targets(options["targets"], self.target),
        )


def _at(value: Any, target: Vectors | Target) -> At:
    if isinstance(target, Target) and not (isinstance(value, str) and value == STRONGEST):
        raise InputError(
            came=f"at={value!r} of {type(target).__name__}, which says itself what it reads",
            expected="no position, or concept vectors as a target",
            hint="at='strongest'",
        )
    if isinstance(value, str):
        if value not in (STRONGEST, SUM):
            raise unknown_name("position", value, (STRONGEST, SUM))
        return value
    several = [value] if arguments.is_whole(value) else value
    try:
        return tuple(arguments.whole("at", x, 0) for x in several)
    except (TypeError, InputError):
        raise InputError(
            came=f"at={value!r}",
            expected="'strongest', 'sum', or a position from 0",
            hint="at='strongest'",
        ) from None


def steps_of(value: Any) -> Steps:
    """Nodes of a line: a number, or as many as 2 % of the change ask for."""
    if isinstance(value, str) and value == "auto":
        return "auto"
    return arguments.whole("steps", value, hint="steps='auto'")


def _active(value: Any, source: Vectors) -> int:
    found = arguments.whole("active", source.coder.active if value is None else value)
    most = min(source.rows.shape)
    if found > most:
        raise InputError(
            came=f"active={found} of {len(source)} concept vectors of {source.rows.shape[1]}"
            " channels",
            expected=f"at most {most}: more do not make an activation better",
            hint=f"active={most}",
        )
    return found


def _targets(value: Any, target: Vectors | Target) -> int | tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(target, Target):
        raise InputError(
            came=f"targets={value!r} of {type(target).__name__}, which is one number",
            expected="None, or concept vectors as a target",
            hint="targets=None",
        )
    if arguments.is_whole(value):
        found = arguments.whole("targets", value, hint="targets=5")
        if found > len(target):
            raise InputError(
                came=f"the {found} strongest of {len(target)} concept vectors",
                expected="no more than there are",
                hint=f"targets={len(target)}",
            )
        return found
    wanted = arguments.several("targets", value, "modes of the target", hint="targets=5")
    wanted = [x.item() if isinstance(x, np.generic) else x for x in wanted]
    if not wanted or len({*wanted}) < len(wanted):
        raise InputError(
            came=f"targets={wanted}", expected="modes, each once, at least one", hint="targets=5"
        )
    for mode in wanted:
        if mode not in target.modes:
            raise unknown_name("mode of the target", mode, target.modes)
    return tuple(target.modes.index(mode) for mode in wanted)
