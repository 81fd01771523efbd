"""Targets: the one number per sample that contributions explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from neurocodec.arguments import is_whole, one_of, whole
from neurocodec.errors import InputError, unknown_name
from neurocodec.nn.attribution.features import Feature, Features
from neurocodec.nn.attribution.surprisal import Mahalanobis, Surprisal
from neurocodec.nn.attribution.target import Target

__all__ = [
    "Difference",
    "Entropy",
    "Feature",
    "Features",
    "Label",
    "Mahalanobis",
    "Margin",
    "Output",
    "Probability",
    "Sum",
    "Surprisal",
    "Target",
    "TopK",
]

Scale = Literal["logits", "probability"]
Above = Literal["second", "label"]


@dataclass(frozen=True)
class Sum(Target):
    """Sum of all outputs.

    Examples
    --------
    >>> Sum()(torch.tensor([[1.0, 2.0, 4.0]]))
    tensor([7.])
    """

    def __call__(self, outputs: Tensor) -> Tensor:
        """Sum over outputs."""
        return outputs.sum(-1)


@dataclass(frozen=True)
class Output(Target):
    """One output: a cell's firing rate or a category's logit.

    Parameters
    ----------
    which
        Its name, or its position from 0 (negative from the end).

    Examples
    --------
    >>> Output("b").bind(["a", "b"])(torch.tensor([[1.0, 2.0]]))
    tensor([2.])
    """

    which: str | int

    def bind(self, names: Sequence[str]) -> Output:
        """Turn the name into a position."""
        if isinstance(self.which, str):
            if self.which not in names:
                raise unknown_name("output", self.which, names)
            return replace(self, which=list(names).index(self.which))
        if not is_whole(self.which) or not -len(names) <= self.which < len(names):
            raise InputError(
                came=f"output {self.which} of a network with {len(names)} outputs",
                expected=f"a position from 0 to {len(names) - 1}, or a name",
            )
        return replace(self, which=int(self.which))

    def __call__(self, outputs: Tensor) -> Tensor:
        """Read the output."""
        if isinstance(self.which, str):
            raise InputError(
                came=f"output {self.which!r}, whose position is not known yet",
                expected="a target that knows the network's outputs",
                hint="target.bind(net.outputs)",
            )
        return outputs[..., self.which]


@dataclass(frozen=True)
class Probability(Target):
    """Probability of one category, where the outputs are logits: exp y / sum exp y.

    It saturates: where it is near 1, no hidden unit makes it larger. Its logit is `Output`.

    Parameters
    ----------
    which
        Its name, or its position from 0 (negative from the end).

    Examples
    --------
    >>> Probability("b").bind(["a", "b"])(torch.zeros(1, 2))
    tensor([0.5000])
    """

    units: ClassVar[str] = "1"

    which: str | int

    def bind(self, names: Sequence[str]) -> Probability:
        """Turn the name into a position."""
        return Probability(Output(self.which).bind(names).which)

    def __call__(self, outputs: Tensor) -> Tensor:
        """Softmax, at the output."""
        return Output(self.which)(outputs.softmax(-1))


@dataclass(frozen=True)
class Difference(Target):
    """Mean of some outputs minus mean of others: what tells two cells, or clusters, apart.

    Parameters
    ----------
    more, less
        Names or positions of outputs, one or several.

    Examples
    --------
    >>> Difference(["a", "c"], "b").bind(["a", "b", "c"])(torch.tensor([[1.0, 5.0, 2.0]]))
    tensor([-3.5000])
    """

    more: tuple[str | int, ...]
    less: tuple[str | int, ...]

    def __init__(
        self, more: str | int | Sequence[str | int], less: str | int | Sequence[str | int]
    ) -> None:
        for name, given in (("more", more), ("less", less)):
            some = (given,) if isinstance(given, str) or is_whole(given) else tuple(given)  # type: ignore[arg-type]
            if not some:
                raise InputError(
                    came=f"{name} of no output",
                    expected="names or positions of outputs",
                    hint="nc.targets.Difference(0, 1)",
                )
            object.__setattr__(self, name, tuple(x if isinstance(x, str) else int(x) for x in some))

    def bind(self, names: Sequence[str]) -> Difference:
        """Turn names into positions."""
        more, less = (
            [int(Output(x).bind(names).which) % len(names) for x in side]
            for side in (self.more, self.less)
        )
        both = sorted({*more} & {*less})
        if both:
            raise InputError(
                came=f"output {names[both[0]]!r} on both sides of a difference",
                expected="other outputs on each side",
            )
        return Difference(more, less)

    def __call__(self, outputs: Tensor) -> Tensor:
        """Mean of the one minus mean of the other."""
        named = [x for x in (*self.more, *self.less) if isinstance(x, str)]
        if named:
            Output(named[0])(outputs)  # which says that positions are not known yet
        return outputs[..., list(self.more)].mean(-1) - outputs[..., list(self.less)].mean(-1)


@dataclass(frozen=True)
class TopK(Target):
    """Sum of the k largest outputs (CODEC sec. 2; the paper's standard target is ``TopK(1)``).

    Parameters
    ----------
    k
        How many.
    of
        ``"logits"`` (the outputs as they are) or ``"probability"`` (after a softmax).
    hold
        Whether the classes found at the sample itself are kept along a path.

    Examples
    --------
    >>> TopK(2)(torch.tensor([[1.0, 5.0, 3.0]]))
    tensor([8.])
    """

    k: int = 1
    of: Scale = "logits"
    hold: bool = False

    def __post_init__(self) -> None:
        one_of("scale of TopK", self.of, get_args(Scale))
        object.__setattr__(self, "k", whole("k", self.k, hint="nc.targets.TopK(1)"))

    def bind(self, names: Sequence[str]) -> TopK:
        """Refuse a network with fewer than k outputs."""
        if self.k > len(names):
            raise InputError(
                came=f"TopK(k={self.k}) for a network with {len(names)} outputs",
                expected=f"k of at most {len(names)}",
            )
        return self

    def fixed_at(self, outputs: Tensor) -> Target:
        """Keep each sample's classes, where `hold` asks for it."""
        if not self.hold:
            return self
        return _HeldClasses(_largest(outputs, self.k), self.of)

    def __call__(self, outputs: Tensor) -> Tensor:
        """Sum over the k largest."""
        return _scale(outputs, self.of).gather(-1, _largest(outputs, self.k)).sum(-1)


def _largest(outputs: Tensor, k: int) -> Tensor:
    """Indices of the k largest; of equal ones the first, which `topk` does not promise."""
    return outputs.detach().argsort(dim=-1, descending=True, stable=True)[..., :k]


@dataclass(frozen=True)
class _HeldClasses(Target):
    """Sum over given outputs, which differ from sample to sample."""

    per_sample: ClassVar[bool] = True

    classes: Tensor
    of: Scale

    def at_samples(self, index: Tensor) -> Target:
        """Classes of some of the samples."""
        return replace(self, classes=self.classes[index.to(self.classes.device)])

    def __call__(self, outputs: Tensor) -> Tensor:
        """Sum over each sample's classes."""
        classes = self.classes.to(outputs.device)
        return _scale(outputs, self.of).gather(-1, classes).sum(-1)


@dataclass(frozen=True)
class Label(Target):
    """Output of each sample's own class, whatever the network answers.

    The classes are the coordinate `label` of the stimulus: names of outputs, or their positions.
    `nc.contributions`, `nc.contribution_maps`, `nc.point_vectors` and `nc.concept_contributions`
    know them, also of a stimulus that is read as it is needed.

    Parameters
    ----------
    of
        ``"logits"`` (the outputs as they are) or ``"probability"`` (after a softmax).

    Examples
    --------
    >>> Label().labelled(torch.tensor([2, 0]))(torch.tensor([[1.0, 5.0, 3.0], [4.0, 0.0, 2.0]]))
    tensor([3., 4.])
    """

    of: Scale = "logits"

    def __post_init__(self) -> None:
        one_of("scale of Label", self.of, get_args(Scale))

    @property
    def of_labels(self) -> bool:
        """Always."""
        return True

    def labelled(self, classes: Tensor) -> Target:
        """Know each sample's class."""
        return _HeldClasses(classes[:, None], self.of)

    def __call__(self, outputs: Tensor) -> Tensor:
        """Refuse: which class is whose is not known yet."""
        del outputs
        raise _without_labels(self)


def _without_labels(target: Target) -> InputError:
    return InputError(
        came=f"{target!r} where no sample has a label of its own",
        expected="nc.contributions or nc.contribution_maps of a stimulus with labels",
        hint="nc.targets.Output(0)",
    )


def _scale(outputs: Tensor, of: Scale) -> Tensor:
    return outputs if of == "logits" else torch.softmax(outputs, -1)


@dataclass(frozen=True)
class Entropy(Target):
    """Entropy of the distribution over categories, in bits: -sum p log2 p (CODEC sec. 2).

    Parameters
    ----------
    of
        ``"softmax"`` (p is the softmax of the outputs), or ``"probability"`` where the network's
        outputs are probabilities already. Raw logits have no entropy and are refused.

    Examples
    --------
    >>> Entropy()(torch.zeros(1, 4))
    tensor([2.])
    """

    units: ClassVar[str] = "bit"

    of: Literal["softmax", "probability"] = "softmax"

    def __post_init__(self) -> None:
        if self.of not in ("softmax", "probability"):
            raise InputError(
                came=f"Entropy(of={self.of!r})",
                expected="a distribution: raw logits have no entropy",
                hint="nc.targets.Entropy(), which is the entropy of their softmax",
            )

    def __call__(self, outputs: Tensor) -> Tensor:
        """Entropy in bits."""
        if self.of == "softmax":
            logp = outputs.log_softmax(-1)
            return -(logp.exp() * logp).sum(-1) / _LN2
        _require_distribution(outputs)
        # at p = 0 the derivative of p log p is infinite, and its product with zero no number
        bits: Tensor = torch.special.entr(outputs.clamp(min=torch.finfo(outputs.dtype).tiny)) / _LN2
        return bits.sum(-1)


_LN2 = 0.6931471805599453


def _require_distribution(p: Tensor) -> None:
    total = p.detach().sum(-1)
    if bool((p.detach() < 0).any()) or not torch.allclose(total, torch.ones_like(total), atol=1e-3):
        raise InputError(
            came=f"outputs that are negative or sum to {float(total.flatten()[0]):.4g}; raw logits",
            expected="probabilities that sum to 1",
            hint="nc.targets.Entropy(), which is the entropy of the outputs' softmax",
        )


@dataclass(frozen=True)
class Margin(Target):
    """Largest output minus the second largest, or a sample's own minus the largest other.

    Parameters
    ----------
    above
        ``"second"``: the largest output minus the second largest. ``"label"``: the output of the
        sample's own class, as for `Label`, minus the largest of all others; below 0 where the
        network answers otherwise.

    Examples
    --------
    >>> Margin()(torch.tensor([[1.0, 5.0, 3.0]]))
    tensor([2.])
    >>> Margin("label").labelled(torch.tensor([2]))(torch.tensor([[1.0, 5.0, 3.0]]))
    tensor([-2.])
    """

    above: Above = field(default="second", metadata={"later": True})

    def __post_init__(self) -> None:
        one_of("margin", self.above, get_args(Above))

    @property
    def of_labels(self) -> bool:
        """Where it is that of the label."""
        return self.above == "label"

    def labelled(self, classes: Tensor) -> Target:
        """Know each sample's class, where it counts."""
        return _LabelMargin(classes[:, None]) if self.of_labels else self

    def bind(self, names: Sequence[str]) -> Margin:
        """Refuse a network with a single output."""
        if len(names) < 2:
            raise InputError(came="a network with one output", expected="at least two outputs")
        return self

    def __call__(self, outputs: Tensor) -> Tensor:
        """Difference of the two largest."""
        if self.of_labels:
            raise _without_labels(self)
        first, second = outputs.gather(-1, _largest(outputs, 2)).unbind(-1)
        return first - second


@dataclass(frozen=True)
class _LabelMargin(Target):
    """Output of each sample's own class minus the largest other."""

    per_sample: ClassVar[bool] = True

    classes: Tensor

    def at_samples(self, index: Tensor) -> Target:
        """Classes of some of the samples."""
        return replace(self, classes=self.classes[index.to(self.classes.device)])

    def __call__(self, outputs: Tensor) -> Tensor:
        """Own output minus the largest other."""
        classes = self.classes.to(outputs.device)
        others = outputs.detach().scatter(-1, classes, -torch.inf)
        own, best = outputs.gather(-1, torch.cat([classes, _largest(others, 1)], -1)).unbind(-1)
        return own - best
