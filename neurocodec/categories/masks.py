"""Masks that say which images belong to a class, or to a concept above it (CODEC sec. 9.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.categories.hierarchies import Hierarchy, Source, read_hierarchy
from neurocodec.errors import InputError, unknown_name
from neurocodec.rows.matrix import coords_of

Labelled: TypeAlias = xr.DataArray | xr.Dataset | xr.DataTree

_LABEL = "label"


def class_masks(data: Labelled, categories: Sequence[str] | None = None) -> xr.DataArray:
    """Say which images belong to which class.

    Parameters
    ----------
    data
        Anything with the coordinate `label` along the samples (images, contributions, loadings),
        or the labels themselves (stimulus). An empty label belongs to no class.
    categories
        Names of the classes in the wanted order, such as ``net.outputs``; those that occur,
        sorted, where None.

    Returns
    -------
    xarray.DataArray
        `member` (stimulus, category), bool, with the coordinates of the samples and `n_members`.

    Raises
    ------
    InputError
        Where there are no labels, or a label is not among the categories.

    Examples
    --------
    >>> found = class_masks(xr.DataArray(["cat", "dog", "cat"], dims="stimulus"))
    >>> found.category.values.tolist(), found.values.astype(int).tolist()
    (['cat', 'dog'], [[1, 0], [0, 1], [1, 0]])
    """
    texts = _labels(data)
    names = np.asarray(texts.values)
    known = sorted({*names.tolist()} - {""}) if categories is None else _category_names(categories)
    if not known:
        raise InputError(
            came="labels that are all empty",
            expected="the class of each image",
            hint="nc.images(folder, net, labels=...)",
        )
    strange = {*names.tolist()} - {*known, ""}
    if strange:
        raise unknown_name("category", min(strange), known)
    member = names[:, None] == np.array(known)
    return _masks(texts, member, {v.CATEGORY: known}, "nc.class_masks")


def _category_names(categories: Any) -> list[str]:
    hint = "categories=net.outputs"
    return [*map(str, arguments.several("categories", categories, "names of classes", hint=hint))]


def concept_masks(
    data: Labelled,
    hierarchy: Source,
    *,
    ids: Mapping[str, str] | xr.DataArray | None = None,
    min_members: int = 2,
    classes: bool = False,
    distinct: bool = True,
    missing: Literal["raise", "skip"] = "raise",
) -> xr.DataArray:
    """Say which images belong to which concept of a hierarchy: all dogs, all vehicles.

    Parameters
    ----------
    data
        As `class_masks` takes it. Where it has a coordinate `wordnet_id` along the samples, that
        is the class to look up, else its label.
    hierarchy
        A mapping of each class to its concepts (a concept that is a key itself has concepts above
        it in turn); the path of a table (.csv) with columns `class` and `concept`, one pair in a
        line; of ImageNet's `wordnet.is_a.txt` (lines "parent child"; names from a `words.txt`
        beside it where there is one); or of WordNet 3.0's `data.noun`.
    ids
        Id of each class in the hierarchy where its name is another: a mapping from name to id, or
        an array with the coordinates `category` and `wordnet_id`, such as responses of a network.
    min_members
        Images that a concept must have, at least. One with all images is never there.
    classes
        Whether the classes that were looked up are concepts themselves.
    distinct
        Of concepts with the same members, keep the deepest only.
    missing
        "raise", or "skip": images of a class that the hierarchy, or `ids`, does not have belong
        to nothing.

    Returns
    -------
    xarray.DataArray
        `member` (stimulus, concept), bool, the concept with most members first. `concept` reads
        as its first word ("dog"), with its id behind it where two share the word; coordinates
        `concept_id`, `concept_words` (all its words), `depth` below the top, and `n_members`.

    Raises
    ------
    InputError
        Where a class is not in the hierarchy, or no concept is left.

    Examples
    --------
    >>> images = xr.DataArray(["tabby", "pug", "pug", "jeep"], dims="stimulus")
    >>> kinds = {"tabby": ["animal"], "pug": ["dog"], "dog": ["animal"], "jeep": ["car"]}
    >>> found = concept_masks(images, kinds)
    >>> found.concept.values.tolist(), found.n_members.values.tolist(), found.depth.values.tolist()
    (['animal', 'dog'], [3, 2], [0, 1])
    """
    arguments.one_of("way to treat missing classes", missing, ("raise", "skip"))
    min_members = arguments.whole("min_members", min_members, 0)
    tree = read_hierarchy(hierarchy)
    texts = _labels(data)
    keys, codes = np.unique(_keys(data, texts, ids, skip=missing == "skip"), return_inverse=True)
    concepts, table = _members(tree, keys.tolist(), classes=classes, skip=missing == "skip")
    member = table[codes]
    count = member.sum(axis=0)
    kept = np.flatnonzero((count >= max(min_members, 1)) & (count < len(member)))
    depth = np.array([tree.depth(concepts[i]) for i in kept], dtype=np.int64)
    order = np.lexsort((kept, -depth, -count[kept]))
    kept, depth = kept[order], depth[order]
    if distinct:
        first = _first_of_each(member[:, kept])
        kept, depth = kept[first], depth[first]
    _require_some(kept, count, min_members)
    found = [concepts[i] for i in kept]
    words = [tree.name(one) for one in found]
    coords = {
        v.CONCEPT: _short_names(found, words),
        "concept_id": (v.CONCEPT, found),
        "concept_words": (v.CONCEPT, words),
        "depth": (v.CONCEPT, depth),
    }
    return _masks(texts, member[:, kept], coords, "nc.concept_masks")


def group_masks(data: Labelled, groups: Mapping[str, Sequence[str]]) -> xr.DataArray:
    """Which images belong to which concept, where the classes of each are known: `member`."""
    texts = _labels(data)
    columns = [np.isin(texts.values, np.array([*names], dtype=str)) for names in groups.values()]
    member = np.stack(columns, axis=1)
    return _masks(texts, member, {v.CONCEPT: [*groups]}, "neurocodec.concepts.group_masks")


def _labels(data: Labelled) -> xr.DataArray:
    """Label of each sample as text, with the other coordinates of the samples."""
    if isinstance(data, xr.DataArray) and data.ndim == 1 and data.dtype.kind in "UOTS":
        found = data
    elif _LABEL in getattr(data, "coords", ()) and len(data.coords[_LABEL].dims) == 1:
        found = data.coords[_LABEL]
    else:
        raise InputError(
            came=f"a {type(data).__name__} with the coordinates"
            f" {[*map(str, getattr(data, 'coords', ()))]}",
            expected="a coordinate 'label' along the samples",
            hint="tree.coords['label'] = ('stimulus', names), or nc.images(folder, net)",
        )
    dim = labels.sample_dim(found)
    return xr.DataArray(labels.class_names(found), coords_of(found, dim), (dim,))


def _keys(
    data: Labelled,
    texts: xr.DataArray,
    ids: Mapping[str, str] | xr.DataArray | None,
    *,
    skip: bool,
) -> NDArray[np.str_]:
    """What to look up for each sample; empty where it has no label."""
    if ids is None:
        known = data.coords.get(v.WORDNET_ID)
        return np.asarray(texts.values if known is None else labels.class_names(known))
    table = _as_mapping(ids)
    strange = [name for name in {*texts.values.tolist()} - {""} if name not in table]
    if strange and not skip:
        raise unknown_name("class with an id", min(strange), table)
    return np.array([table.get(name, "") for name in texts.values.tolist()], dtype=str)


def _as_mapping(ids: Mapping[str, str] | xr.DataArray) -> Mapping[str, str]:
    if isinstance(ids, Mapping):
        return ids
    if not {v.CATEGORY, v.WORDNET_ID} <= {*ids.coords}:
        raise InputError(
            came=f"ids with the coordinates {[*map(str, ids.coords)]}",
            expected=f"the coordinates 'category' and {v.WORDNET_ID!r}",
            hint="ids={'pug': 'n02110958'}",
        )
    pairs = zip(ids[v.CATEGORY].values.tolist(), ids[v.WORDNET_ID].values.tolist(), strict=True)
    return {str(name): str(key) for name, key in pairs}


def _members(
    tree: Hierarchy, keys: list[str], *, classes: bool, skip: bool
) -> tuple[list[str], NDArray[np.bool_]]:
    """Concepts above any class, and which class is below which (classes, concepts)."""
    strange = [key for key in keys if key and key not in tree]
    if strange and not skip:
        raise unknown_name(
            f"class in the hierarchy ({len(strange)} are missing)", strange[0], tree.parents
        )
    above = [tree.above(key) | ({key} if classes and key in tree else set()) for key in keys]
    concepts = sorted(set[str]().union(*above))
    place = {name: i for i, name in enumerate(concepts)}
    table = np.zeros((len(keys), len(concepts)), dtype=bool)
    for row, names in enumerate(above):
        table[row, [place[name] for name in names]] = True
    return concepts, table


def _short_names(ids: list[str], words: list[str]) -> list[str]:
    """First word of each concept; with its id where another concept has the same."""
    first = [text.split(",")[0] for text in words]
    return [
        name if first.count(name) == 1 else f"{name} ({key})"
        for key, name in zip(ids, first, strict=True)
    ]


def _first_of_each(member: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Places of the first column of each content, in their order."""
    seen = dict[bytes, int]()
    for place, column in enumerate(np.packbits(member, axis=0).T):
        seen.setdefault(column.tobytes(), place)
    return np.array(sorted(seen.values()), dtype=np.intp)


def _require_some(kept: NDArray[Any], count: NDArray[Any], min_members: int) -> None:
    if not len(kept):
        most = int(count.max()) if len(count) else 0
        raise InputError(
            came=f"{len(count)} concepts, the largest with {most} images",
            expected=f"one with at least {min_members} images, but not with all of them",
            hint="min_members=1, or another hierarchy",
        )


def _masks(
    texts: xr.DataArray, member: NDArray[np.bool_], coords: dict[str, Any], function: str
) -> xr.DataArray:
    dim, other = str(texts.dims[0]), next(iter(coords))
    known = {str(k): c.variable for k, c in texts.coords.items()}
    labels.require_free_names(known, {*coords, "n_members", "member"}, "the samples")
    known[_LABEL] = xr.Variable(dim, texts.values)
    n_members = (other, member.sum(axis=0))
    found = labels.labelled(
        member, (dim, other), {**known, **coords, "n_members": n_members}, name="member"
    )
    return labels.stamp(found, function, samples=len(member), names=member.shape[1])
