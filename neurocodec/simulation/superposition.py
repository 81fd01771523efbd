"""Toy models of superposition, labelled: what interference alone excites and inhibits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast, get_args

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from tqdm.auto import tqdm

from neurocodec import arguments, storage
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import labelled, provenance, stamp
from neurocodec.nn import superposition as toys
from neurocodec.nn.superposition import Kind, Task, Toys
from neurocodec.simulation.toy_stacks import Stacks

HIDDEN: Final = (12, 10, 8, 6)
"""Hidden units of the paper's networks."""
SCORED: Final = 10_000
"""Rows with a feature on that the loss is computed from."""
WEIGHTS: Final = ("first_weight", "first_bias", "second_weight", "second_bias")
DIMS: Final = ((v.UNIT, v.INPUT), (v.UNIT,), (v.FEATURE, v.UNIT), (v.FEATURE,))


def train(
    kind: Kind = "absolute",
    *,
    hidden: int | Iterable[int] = HIDDEN,
    seeds: int = 1000,
    first_bias: bool | None = None,
    steps: int = 20_000,
    learning_rate: float = 4e-3,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Train toy models of superposition, from many seeds at once.

    Six sparse features, each on with a probability of .01, are to be computed by a network of few
    hidden units (Tense Images app. G; Elhage et al., Toy models of superposition). Inputs of the
    absolute value lie in [-1, 1], as in the authors' code; in [0, 1], as the text has it, there is
    nothing to learn from a sign. The text's batches are of 600 rows and 20,000 steps at a rate of
    .001; here the rows without a feature are one row with their weight, and the rate falls.

    Parameters
    ----------
    kind
        ``"absolute"``, |x| of six numbers, or ``"xor"`` of six pairs.
    hidden
        Numbers of hidden units, each trained by itself.
    seeds
        How many networks of each; weights of a seed do not depend on how many there are.
    first_bias
        Whether hidden units have a bias. None: for ``"xor"`` only, as in the authors' code. The
        text has it for both; units that a bias keeps above 0 can hand on any mixture of inputs,
        and a network without error need not be disentangled.
    steps, learning_rate
        Of Adam; the rate falls to 0 as a cosine.
    out
        File to save to. A training that was stopped goes on from the last stack of 128 networks,
        when the same call is made again.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.DataTree
        Root: `expected_loss` (hidden, seed), over inputs as they are drawn; `input_loss` and
        `largest_error` (hidden, seed, active), mean and largest over all inputs with so many active
        features (fig. 15); `off_diagonal` (hidden, seed), the share of E+ + E- of features that an
        input has not.
        A node for each number of units with the weights, `units12` and so on.

    Raises
    ------
    InputError
        Where an argument is not one of those above.

    Examples
    --------
    >>> found = train("xor", hidden=12, seeds=2, steps=5, progress=False)
    >>> dict(found.expected_loss.sizes)
    {'hidden': 1, 'seed': 2}
    """
    arguments.one_of("kind", kind, get_args(Kind))
    own = kind == "xor" if first_bias is None else arguments.flag("first_bias", first_bias)
    task = Task(kind, first_bias=own)
    sizes = _sizes(hidden)
    seeds = arguments.whole("seeds", seeds, hint="seeds=1000")
    steps = arguments.whole("steps", steps, hint="steps=20_000")
    rate = arguments.at_least("learning_rate", learning_rate, 1e-9, hint="learning_rate=4e-3")
    path = None if out is None else arguments.path("out", out, hint="out='toys.nc'")
    found = dict[int, Toys]()
    facts: dict[str, Any] = {"kind": kind, "hidden": sizes, "seeds": seeds}
    facts |= {"first_bias": task.first_bias, "steps": steps, "learning_rate": rate}
    stacks = Stacks(path, steps, rate, facts)
    with tqdm(total=seeds * len(sizes), desc="toys", unit="seed", disable=not progress) as bar:
        for size in sizes:
            found[size] = stacks.trained(task, size, seeds, bar.update)
    tree = stamp(_tree(task, found), "nc.superposition.train", **facts)
    if path is not None:
        storage.save(tree, path)
    stacks.done()
    return tree


def reference(kind: Kind = "absolute") -> xr.DataTree:
    """Build the network of 12 units that computes every feature by itself, beside trained ones.

    A trained network of 12 units need not be this one, however small its loss.

    Parameters
    ----------
    kind
        As for `train`.

    Returns
    -------
    xarray.DataTree
        As `train` returns it, of one network.

    Examples
    --------
    >>> found = reference("xor")
    >>> float(found.largest_error.max()), float(found.off_diagonal.max())
    (0.0, 0.0)
    """
    task = Task(arguments.one_of("kind", kind, get_args(Kind)))
    tree = _tree(task, {2 * toys.FEATURES: task.disentangled()})
    return stamp(tree, "nc.superposition.reference", kind=kind)


def attributions(trained: xr.DataTree) -> xr.Dataset:
    """Excitation and inhibition of each feature by the hidden layer, for one feature at a time.

    Inputs are those of figure 7: e and -e of each feature, or (1, 0) and (1, 1) of each pair.
    Features are read before their last ReLU. In a disentangled network an input excites the
    feature that it has, and no other.

    Parameters
    ----------
    trained
        As `train`, or `reference`, returns it.

    Returns
    -------
    xarray.Dataset
        `excitation`, `inhibition` (hidden, seed, shown, feature), with the feature that an input
        has as the coordinate `shown_feature`.

    Raises
    ------
    InputError
        Where the tree is another.

    Examples
    --------
    >>> found = attributions(reference("xor")).squeeze()
    >>> found.excitation[:2, 0].values.tolist(), found.inhibition[:2, 0].values.tolist()
    ([1.0, 2.0], [0.0, 2.0])
    """
    task, found = _read(trained)
    parts = np.stack([toys.attributions(task, some).numpy() for some in found.values()])
    ends = ("+", "-") if task.kind == "absolute" else (":10", ":11")
    names = [f"{i}{end}" for i in range(toys.FEATURES) for end in ends]
    own = (v.SHOWN, np.repeat(np.arange(toys.FEATURES), 2))
    coords = {v.HIDDEN: [*found], v.SHOWN: names, "shown_feature": own}
    coords |= {v.FEATURE: np.arange(toys.FEATURES)}
    dims = (v.HIDDEN, v.SEED, v.SHOWN, v.FEATURE)
    both = zip((v.EXCITATION, v.INHIBITION), np.moveaxis(parts, 2, 0), strict=True)
    data = {n: labelled(x, dims, coords, name=n, units="1") for n, x in both}
    facts = {"trained": provenance(trained)}
    return stamp(xr.Dataset(data), "nc.superposition.attributions", **facts)


def _sizes(hidden: Any) -> list[int]:
    given = [hidden] if arguments.is_whole(hidden) else hidden
    found = [*given] if isinstance(given, Iterable) and not isinstance(given, str) else []
    right = all(arguments.is_whole(n) and n > 0 for n in found)
    if not found or not right or len({*found}) < len(found):
        raise InputError(
            came=f"hidden={hidden!r}",
            expected="numbers of hidden units, each at least 1, none twice",
            hint=f"hidden={HIDDEN}",
        )
    return [int(n) for n in found]


def _tree(task: Task, found: Mapping[int, Toys]) -> xr.DataTree:
    root = _scores(task, found)
    nodes = {
        f"/units{size}": xr.Dataset(
            {
                name: labelled(values.numpy(), (v.SEED, *dims), name=name, units="1")
                for name, dims, values in zip(WEIGHTS, DIMS, some, strict=True)
            }
        )
        for size, some in found.items()
    }
    return xr.DataTree.from_dict({"/": root, **nodes})


def _scores(task: Task, found: Mapping[int, Toys]) -> xr.Dataset:
    x, active = task.every()
    rows: dict[str, list[Tensor]] = {name: [] for name in _SCORES}
    for some in found.values():
        errors = (some(x) - task.answers(x)).abs().amax(2)
        loss = toys.losses(task, some, x)
        rows["expected_loss"].append(toys.expected_loss(task, some, SCORED, seed=1))
        for name, values, reduced in (
            ("input_loss", loss, Tensor.mean),
            ("largest_error", errors, Tensor.amax),
        ):
            by = [reduced(values[:, active == n], 1) for n in range(toys.FEATURES + 1)]
            rows[name].append(torch.stack(by, 1))
        rows["off_diagonal"].append(toys.off_diagonal(toys.attributions(task, some)))
    seeds = len(rows["expected_loss"][0])
    coords = {v.HIDDEN: [*found], v.SEED: np.arange(seeds)}
    data = {}
    for name, parts in rows.items():
        dims = (v.HIDDEN, v.SEED, *_SCORES[name])
        more = {v.ACTIVE: np.arange(toys.FEATURES + 1)} if len(dims) > 2 else {}
        data[name] = labelled(torch.stack(parts), dims, coords | more, name=name, units="1")
    return xr.Dataset(data)


_SCORES: Final[Mapping[str, tuple[str, ...]]] = {
    "expected_loss": (),
    "input_loss": (v.ACTIVE,),
    "largest_error": (v.ACTIVE,),
    "off_diagonal": (),
}


def _read(trained: Any) -> tuple[Task, dict[int, Toys]]:
    """Take networks out of their labels."""
    known = provenance(trained) if isinstance(trained, xr.DataTree) else {}
    kind = known.get("kind") if str(known.get("function")).startswith("nc.superposition") else None
    if kind not in get_args(Kind):
        raise InputError(
            came=f"a {type(trained).__name__} that is not of toy models",
            expected="what nc.superposition.train returns",
            hint="nc.superposition.train('absolute')",
        )
    return Task(cast("Kind", kind)), {
        int(size): Toys(
            *(torch.from_numpy(np.array(trained[f"units{size}/{name}"])) for name in WEIGHTS)
        )
        for size in trained[v.HIDDEN].values
    }
