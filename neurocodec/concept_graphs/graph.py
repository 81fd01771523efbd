"""`nc.concept_graph`: which concept vectors make which, from the first layer to the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.concept_graphs.checked import Vectors
from neurocodec.concept_graphs.contributions import concept_contributions
from neurocodec.concept_graphs.influence import Floats
from neurocodec.concept_graphs.settings import steps_of
from neurocodec.concept_graphs.tables import ALL, ANSWER, Chosen, Followed, Ints, strongest, tables
from neurocodec.engine.respond import respond
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import hooked
from neurocodec.errors import InputError, collected, unknown_name, warn
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.targets import Output
from neurocodec.storage.encoding import storable_coords
from neurocodec.storage.files import existing_folder

At = Literal["strongest", "sum"] | tuple[int, int]
FOLLOWED: Final = 2
"""Nodes of each category and layer that are followed further back, in multiples of `top`."""
STEPS: Final = 8
"""Nodes of lines between layers: adaptive ones would take up to thirty times as many passes."""
ANSWER_STEPS: Final = 32
"""Nodes of lines to the answer, which is one target and farther."""


def concept_graph(
    net: Network,
    stimulus: xr.DataArray,
    vectors: Mapping[str, ConceptVectors],
    categories: Iterable[str] | None = None,
    *,
    top: int = 5,
    shared: int = 3,
    keep: float = 0.8,
    follow: int | None = None,
    of: Any = None,
    at: At = "strongest",
    steps: int | Literal["auto"] | None = None,
    active: int | None = None,
    solver: str = "omp",
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Follow answers back through concept vectors of several layers, and keep what carries most.

    Each answer is shared among the concept vectors of the last layer, and its residual, by the
    size of their contributions; what a concept vector has is shared among those of the layer
    before. What goes through a node over all paths is its influence (circuit-tracer's, with layers
    in order). Contributions are those of `nc.concept_contributions`.

    Parameters
    ----------
    net
        A network that sees images.
    stimulus
        Images (stimulus, ...), of the categories.
    vectors
        Concept vectors of each layer by its alias, in the order of the network.
    categories
        Names of outputs; those that the images belong to where None.
    top
        Nodes of each category in each layer.
    shared
        Further ones that all categories have: those that carry most of the category that they
        carry least of.
    keep
        Nodes of a layer are among the fewest that carry this share of what goes through its concept
        vectors.
    follow
        Nodes of each category and layer that are followed further back: those with the largest
        influence, twice `top` where None. What ends there is told (`followed_share`).
    of
        Category of each image. None: the coordinate ``label``, where a category stands in it, else
        the largest output.
    at, active, solver
        As for `nc.concept_contributions`.
    steps
        The same; None takes 8 between layers and 32 to the answers.
    bootstrap, confidence, seed
        Draws of images for intervals of means over them (0 for none).
    batch_size, device, workers, progress
        As for `nc.concept_contributions`.
    out
        Folder of the contributions; a call that was stopped goes on from there.

    Returns
    -------
    xarray.DataTree
        - `nodes` (category, node): `contribution` to the answer (of each layer they and the
          residual's sum to its change), `influence`, `active_images`, `carried`, `shown`;
          `shared` (node). Nodes have `layer`, `mode` and `kind`: ``"concept"``, ``"residual"`` or
          ``"answer"``,
        - `edges` (category, edge): `edge_contribution` to what `to_node` is, `edge_share` of all
          that goes into it, `edge_influence`; with `from_node` and `to_node`,
        - `layers` (category, layer): `through_concepts`, `followed_share`, `shown_share`, and what
          sums of contributions miss of the change of the answer
          (`relative_completeness_error`) and of their targets of the next layer
          (`edge_completeness_error`); `replacement` (category),
        - `images`: nodes and edges of each image.

        Means over the images of a category, and over all (``"all"``) where there are several.

    Warns
    -----
    NeurocodecWarning
        Where `nc.concept_contributions` warns, once.

    Raises
    ------
    InputError
        Where images, layers, concept vectors or categories do not fit.

    Examples
    --------
    >>> import torch
    >>> import neurocodec as nc
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    ...                              torch.nn.Linear(4, 2))
    >>> net = nc.Network(module, layers={"early": "1", "late": "3"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> def vectors(layer):
    ...     rows = nc.point_vectors(net, images, layer, per_image=2, progress=False)
    ...     return nc.ConceptVectors(per_channel=2).fit(rows)
    >>> graph = nc.concept_graph(net, images[:4], {"early": vectors("early"),
    ...                          "late": vectors("late")}, ["cat", "dog"], of=["cat", "dog"] * 2,
    ...                          top=2, progress=False)
    >>> sorted(graph.children)
    ['edges', 'images', 'layers', 'nodes']
    """
    chosen = Chosen(
        arguments.whole("top", top, hint="top=5"),
        arguments.whole("shared", shared, 0, hint="shared=3"),
        _share("keep", keep),
        *arguments.interval(bootstrap, confidence),
        arguments.whole("seed", seed, 0, hint="seed=0"),
    )
    follow = arguments.whole_or_none("follow", follow, chosen.top) or FOLLOWED * chosen.top
    by_layer = _vectors(require_network(net), vectors)
    groups = _Groups.of(net, stimulus, categories, of, {"device": device, "workers": workers})
    study = _Study(
        net=net,
        stimulus=stimulus.isel({v.STIMULUS: groups.places}),
        vectors=by_layer,
        groups=groups,
        call={
            "at": at,
            "steps": checked_steps(steps),
            "active": active,
            "solver": solver,
            "batch_size": batch_size,
            "device": device,
            "workers": workers,
            "progress": progress,
        },
        folder=None if out is None else existing_folder(out),
    )
    study.require_order()
    followed = study.followed(follow, chosen.shared)
    if study.said:  # once, not of each pair of layers and category
        more = f" (and {len(study.said) - 1} more such)" if len(study.said) > 1 else ""
        warn(study.said[0] + more)
    found = tables(followed, chosen)
    facts = {
        "vectors": {name: labels.provenance(own.dictionary) for name, own in by_layer.items()},
        "categories": list(groups.names),
        "chosen": chosen,
        "follow": follow,
        "images_by": groups.how,
        **{k: study.call[k] for k in ("at", "steps", "active", "solver")},
        **study.origin,
    }
    return labels.stamp(found, "nc.concept_graph", **facts)


def checked_steps(value: Any) -> int | Literal["auto"] | None:
    """Take nodes of lines, ``"auto"``, or None."""
    return None if value is None else steps_of(value)


def _share(name: str, value: Any) -> float:
    """Take a share above 0, up to 1."""
    found = arguments.number(name, value, "above 0, up to 1", hint=f"{name}=0.8")
    if not 0 < found <= 1:
        raise InputError(came=f"{name}={value!r}", expected="above 0, up to 1", hint=f"{name}=0.8")
    return found


def _vectors(net: Network, vectors: Any) -> dict[str, ConceptVectors]:
    """Concept vectors by layer, each of the layer that it stands for."""
    if not isinstance(vectors, Mapping) or not vectors:
        raise InputError(
            came=f"vectors of type {type(vectors).__name__}"
            if not isinstance(vectors, Mapping)
            else "no concept vectors",
            expected="concept vectors of each layer by its alias",
            hint="{'layer3.1': concept_vectors}",
        )
    net.select_layers([str(name) for name in vectors])
    for name, own in vectors.items():
        if Vectors.of("source", own, net).layer != name:
            raise InputError(
                came=f"concept vectors of {own.layer!r} as those of {name!r}",
                expected="those of the layer itself",
                hint=f"{{{own.layer!r}: concept_vectors}}",
            )
        if name == ANSWER:
            raise InputError(
                came=f"a layer that is called {ANSWER!r}, as the last row of a graph is",
                expected="another alias",
            )
    return dict(vectors)


def of_categories(
    net: Network, stimulus: xr.DataArray, categories: Any, settings: Mapping[str, Any]
) -> tuple[list[str], Ints, NDArray[np.str_]]:
    """Categories, the places of their images, and the category of each of these."""
    found = _Groups.of(net, stimulus, categories, None, settings)
    return list(found.names), found.places, np.array(found.names)[found.category]


@dataclass(frozen=True)
class _Groups:
    """Which images are of which category."""

    names: Sequence[str]
    places: Ints  # of the images that are of one
    category: Ints  # of each of these
    how: str

    @classmethod
    def of(
        cls, net: Network, stimulus: Any, categories: Any, of: Any, settings: Mapping[str, Any]
    ) -> _Groups:
        """Find the images of each category; all must have some."""
        _require_images(net, stimulus)
        names = None if categories is None else _names(categories)
        own, how = _own(net, stimulus, names, of, settings)
        if names is None:
            names = sorted({name for name in own.tolist() if name})
        category = np.array([names.index(x) if x in names else -1 for x in own.tolist()])
        counts = np.bincount(category[category >= 0], minlength=len(names))
        if not counts.all() or not len(counts):
            missing = [n for n, count in zip(names, counts, strict=True) if not count]
            raise InputError(
                came=f"no image of {', '.join(map(repr, missing[:3]))}, by {how}"
                if missing
                else f"no image of any category, by {how}",
                expected="images of every category",
                hint=f"categories={sorted({*own.tolist()} - {''})[:3]}",
            )
        places = np.flatnonzero(category >= 0)
        return cls(names, places, category[places], how)


def _require_images(net: Network, stimulus: Any) -> None:
    if net.history is not None:
        raise InputError(
            came=f"{net.name!r}, which sees a movie, of which each moment is a sample",
            expected="a network of images that are of categories",
            hint="nc.concept_contributions(net, movie, source=vectors,"
            " target=nc.targets.Output('cell 3'))",
        )
    dims = tuple(getattr(stimulus, "dims", (type(stimulus).__name__,)))
    if not isinstance(stimulus, xr.DataArray) or v.STIMULUS not in dims:
        raise InputError(
            came=f"images with dims {dims}",
            expected="an xarray.DataArray with the dim 'stimulus'",
            hint="nc.images(folder, net)",
        )
    taken = {v.NODE, v.EDGE, v.CATEGORY, v.CONTRIBUTION, v.INFLUENCE}
    labels.require_free_names(stimulus.coords, taken, "the images")


def _names(categories: Any) -> list[str]:
    names = arguments.several("categories", categories, "names of outputs")
    wrong = [n for n in names if not isinstance(n, str) or n == ALL] or (not names and [names])
    if wrong or len({*names}) < len(names):
        raise InputError(
            came=f"categories={categories!r}",
            expected="names of outputs, each once" + f", none {ALL!r}" * (wrong == [ALL]),
            hint="categories=['house finch', 'junco']",
        )
    return names


def _own(
    net: Network, stimulus: xr.DataArray, names: Any, of: Any, settings: Mapping[str, Any]
) -> tuple[NDArray[Any], str]:
    """Category of each image, and how it is known."""
    known = net.outputs
    if known is not None:
        for name in names or ():
            if name not in known:
                raise unknown_name("category", name, known)
    if of is not None:
        return labels.class_names(labels.by_index(of, stimulus, v.STIMULUS, "of")), "of="
    if v.LABEL in stimulus.coords:
        given = labels.class_names(stimulus[v.LABEL])
        if {*given.tolist()} & {*(names or known or ())}:
            return given, "the coordinate 'label'"
    answers = respond(net, stimulus, **settings)
    _require_all_read(stimulus.sizes[v.STIMULUS] - answers.sizes[v.STIMULUS])
    own = answers[v.CATEGORY].values.astype(str)
    for name in names or ():
        if name not in own:
            raise unknown_name("category", name, own.tolist())
    return own[np.asarray(answers.values).argmax(1)], "the largest output"


def _require_all_read(missing: int) -> None:
    """Refuse images that were left out: those after them would have the numbers of others."""
    if missing:
        raise InputError(
            came=f"{missing} images that cannot be read",
            expected="images that can all be read",
            hint="nc.images(folder, net, broken='skip'), which leaves them out before",
        )


@dataclass
class _Study:
    """What is followed through which network."""

    net: Network
    stimulus: xr.DataArray
    vectors: Mapping[str, ConceptVectors]
    groups: _Groups
    call: Mapping[str, Any]
    folder: Path | None
    origin: dict[str, Any] = field(default_factory=dict)
    coords: dict[str, xr.Variable] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    missed: dict[str, Floats] = field(default_factory=dict)  # by layer: (image,) of the answer
    edges_missed: dict[str, Floats] = field(default_factory=dict)  # of targets of the next layer

    def require_order(self) -> None:
        """Refuse layers of which one does not go into the next, before anything long."""
        samples = Samples.of(self.net, self.stimulus, stream=True)
        layers = self.net.select_layers(self.vectors)
        with hooked(self.net, layers, samples.few(self.net.device)) as session:
            for first, then in pairwise(layers):
                if not session.traced.flow.passes(first, then):
                    raise InputError(
                        came=f"layers {list(layers)}, where {first!r} does not reach {then!r}",
                        expected="layers in the order of the network",
                        hint=f"{{{then!r}: ..., {first!r}: ...}}",
                    )

    def followed(self, follow: int, shared: int) -> Followed:
        """Follow the answers back, the last layer first."""
        known = storable_coords(self.stimulus, [v.STIMULUS])
        known.setdefault(v.STIMULUS, xr.Variable(v.STIMULUS, self.groups.places))
        self.coords = {k: x for k, x in known.items() if x.dims == (v.STIMULUS,)}
        layers = [*self.vectors][::-1]
        direct = [self.to_answer(name) for name in layers]
        pairs: list[Floats] = [direct[0][:, None]]
        targets: list[Ints] = []
        for target, source in pairwise(layers):
            so_far = self._made(layers, pairs, targets, direct)
            nodes = so_far.influence.nodes[-1]
            targets.append(strongest(nodes, so_far, follow, shared))
            pairs.append(self.between(source, target, targets[-1]))
        return self._made(layers, pairs, targets, direct)

    def _made(self, layers: list[str], pairs: Any, targets: Any, direct: Any) -> Followed:
        own = self.groups
        missed = {"relative_completeness_error": self.missed}
        missed["edge_completeness_error"] = {**self.edges_missed}
        # what goes into the answer is not missed twice
        missed["edge_completeness_error"].setdefault(layers[0], self.missed[layers[0]])
        return Followed(
            layers[::-1], own.names, own.category, self.coords, pairs, targets, direct, missed
        )

    def to_answer(self, layer: str) -> Floats:
        """Contributions (image, source) to the answer of each image's own category."""
        rows: Any = None
        for i, name in enumerate(self.groups.names):
            places = np.flatnonzero(self.groups.category == i)
            file = f"{layer}-to-answer-{i}.nc"
            found, missed = self._asked(layer, Output(name), file, places, steps=ANSWER_STEPS)
            rows = np.zeros((len(self.groups.category), found.shape[2])) if rows is None else rows
            rows[places] = found[:, 0]
            self.missed.setdefault(layer, np.zeros(len(rows)))[places] = missed
        return np.asarray(rows)

    def between(self, source: str, target: str, modes: Ints) -> Floats:
        """Contributions (image, target, source) to modes of a later layer."""
        every = np.arange(len(self.groups.category))
        file = f"{source}-to-{target}.nc"
        aim = self.vectors[target]
        found, self.edges_missed[source] = self._asked(source, aim, file, every, modes.tolist())
        return found

    def _asked(
        self,
        source: str,
        target: Any,
        file: str,
        places: Ints,
        modes: Any = None,
        *,
        steps: int = STEPS,
    ) -> tuple[Floats, Floats]:
        """Contributions (image, target, source), the residual last, and what they miss."""
        with collected() as said:
            found = concept_contributions(
                self.net,
                self.stimulus.isel({v.STIMULUS: places}),
                source=self.vectors[source],
                target=target,
                targets=modes,
                residual=True,
                out=None if self.folder is None else self.folder / file,
                **{**self.call, "steps": self.call["steps"] or steps},
            )
        self.said += said
        _require_all_read(len(places) - found.sizes[v.STIMULUS])
        own = labels.provenance(found)
        self.origin = {k: own[k] for k in ("model", "weights_sha256", "data_sha256") if k in own}
        both = [_by_target(found[v.CONTRIBUTION], v.MODE)]
        both.append(_by_target(found["residual_contribution"], None))
        sums = np.concatenate(both, axis=2)
        error = _by_target(found[v.COMPLETENESS_ERROR], None)[:, :, 0]
        change = np.abs(sums.sum(2) - error).sum(1)
        return sums, np.abs(error).sum(1) / np.maximum(change, np.finfo(float).tiny)


def _by_target(found: xr.DataArray, source: str | None) -> Floats:
    """Values (image, target, source), of one target where there is no dim of it."""
    ends = [source] if source else []
    others = [d for d in found.dims if d not in {v.STIMULUS, *ends}]
    # in the same order in memory, from a file or not, so that sums are the same to the last bit
    values = np.ascontiguousarray(found.transpose(v.STIMULUS, *others, *ends).values)
    return values.reshape(len(values), -1, found.sizes[source] if source else 1)
