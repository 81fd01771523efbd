"""Labels of images: read from tables, and turned into the categories of a network."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.adapters.images.sources import Images
from neurocodec.arguments import is_whole
from neurocodec.errors import InputError
from neurocodec.labels import by_index, class_names
from neurocodec.network import Network

logger = logging.getLogger(__name__)

Labels: TypeAlias = Sequence[Any] | Mapping[str, Any] | str | os.PathLike[str] | xr.DataArray

FILE: Final = "file"
NAMES: Final = ("label", "class_name")
INDEX: Final = "class_index"


@dataclass(frozen=True)
class ClassLabel:
    """What is said of the class of an image: its name, its index, or both."""

    name: str | None = None
    index: int | None = None

    @classmethod
    def of(cls, value: Any) -> ClassLabel:
        """Label of a text or a whole number, also of numpy's and torch's."""
        item = value.item() if hasattr(value, "item") and not value.shape else value
        if str(class_names(value)) == "":
            return cls(name="")  # of no class
        if is_whole(item):
            return cls(index=int(item))
        if isinstance(item, str):
            return cls(name=item)
        raise InputError(
            came=f"the label {value!r}", expected="the name of a class, or a whole number from 0"
        )

    def __str__(self) -> str:
        return str(self.index) if self.name is None else self.name


def labels_of(images: Images, labels: Labels | None) -> list[ClassLabel] | None:
    """Labels of images, in their order, as `nc.images` takes them; None where none are known."""
    if labels is None:
        return None if images.labels is None else [ClassLabel.of(x) for x in images.labels]
    if isinstance(labels, str | os.PathLike):
        return _by_file(_table(Path(labels).expanduser()), images, f"the table {str(labels)!r}")
    if isinstance(labels, xr.DataArray) or hasattr(labels, "iloc"):  # a Series of pandas
        return _by_index(labels, images)
    if isinstance(labels, Mapping):
        table = {str(file): ClassLabel.of(x) for file, x in labels.items()}
        return _by_file(table, images, "labels")
    if not hasattr(labels, "__len__") or isinstance(labels, Set):
        raise InputError(
            came=f"labels of type {type(labels).__name__}, which have no order or no length",
            expected="one label for each image in their order, {'file.jpg': 'class', ...}, or the"
            " path of a table",
        )
    if len(labels) != len(images):
        raise InputError(
            came=f"{len(labels)} labels for {len(images)} images",
            expected="one label for each image, in their order",
            hint="labels={'file.jpg': 'class', ...}",
        )
    return [ClassLabel.of(x) for x in labels]


def _by_index(labels: Any, images: Images) -> list[ClassLabel]:
    """Labels with the index of the images: their files, or their places."""
    index = labels.index if hasattr(labels, "iloc") else labels.coords.get(v.STIMULUS)
    if index is not None and index.dtype.kind in "OUT":
        pairs = zip(np.asarray(index).tolist(), np.asarray(labels, object).tolist(), strict=True)
        return _by_file({str(file): ClassLabel.of(x) for file, x in pairs}, images, "labels")
    places = xr.DataArray(np.arange(len(images)), dims=(v.STIMULUS,))
    return [ClassLabel.of(x) for x in by_index(labels, places, v.STIMULUS, "labels")]


def _table(path: Path) -> dict[str, ClassLabel]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            came=f"the table of labels {str(path)!r}, which cannot be read: {error}",
            expected="a CSV file with the columns 'file' and 'label'",
        ) from error
    columns = set(rows[0]) if rows else set()
    if FILE not in columns or not columns & {*NAMES, INDEX}:
        raise InputError(
            came=f"the table {str(path)!r} with the columns {sorted(map(str, columns))}",
            expected=f"{FILE!r}, and {' or '.join(map(repr, NAMES))} or {INDEX!r}",
        )
    table: dict[str, ClassLabel] = {}
    for row in rows:
        label = _of_row(row, path)
        if table.setdefault(row[FILE], label) != label:
            raise InputError(
                came=f"two labels of {row[FILE]!r} in {str(path)!r}", expected="one for each file"
            )
    return table


def _of_row(row: Mapping[str, str], path: Path) -> ClassLabel:
    name = next((row[column] for column in NAMES if row.get(column)), None)
    index = row.get(INDEX) or None
    if (name or index) is None or (index is not None and not index.isdecimal()):
        raise InputError(
            came=f"the row of {row[FILE]!r} in {str(path)!r}, with the label {name!r}"
            f" and the class index {index!r}",
            expected="a name, or a whole number from 0",
        )
    return ClassLabel(name, None if index is None else int(index))


def _by_file(table: Mapping[str, ClassLabel], images: Images, what: str) -> list[ClassLabel]:
    """Label of each image in a table by its path below the folder, or another end of its path."""
    places = _places(images)
    found: dict[int, ClassLabel] = {}
    unknown = []
    for file, label in table.items():
        place = places.get(Path(file).as_posix())
        if place is None:
            unknown.append(file)
        elif found.setdefault(place, label) != label:
            raise InputError(
                came=f"two labels of {images.sources[place]!r} in {what}",
                expected="one for each file",
            )
    missing = [images.sources[i] for i in range(len(images)) if i not in found]
    if missing:
        _refuse_files(f"{len(missing)} of {len(images)} images without a row in {what}", missing)
    if unknown and images.whole:
        _refuse_files(f"{len(unknown)} rows of {what} without an image", unknown)
    return [found[i] for i in range(len(images))]


def _refuse_files(came: str, files: Sequence[str]) -> None:
    raise InputError(
        came=f"{came}: {', '.join(map(repr, files[:10]))}",
        expected="one row for each image",
        hint="nc.images([the files that are meant], labels=...)",
    )


def _places(images: Images) -> dict[str, int]:
    """Place of each image by its source, and by every end of its path that no other file has."""
    ends: dict[str, list[int]] = {}
    for place, path in enumerate([f.as_posix() for f in images.files] or images.sources):
        parts = path.split("/")
        for start in range(len(parts)):
            ends.setdefault("/".join(parts[start:]), []).append(place)
    single = {end: found[0] for end, found in ends.items() if len(found) == 1}
    return single | {source: i for i, source in enumerate(images.sources)}


def as_categories(
    labels: Sequence[ClassLabel], sources: Sequence[str], net: Network | None
) -> list[str]:
    """Turn names, WordNet ids and indices of classes into the category names of a network."""
    # What is none of its categories stays as it is, and a logged warning says how many; `sources`
    # name the images in messages.
    if net is None or net.outputs is None:
        return [str(label) for label in labels]
    known = _Categories(net)
    found = [known.resolve(x, s) for x, s in zip(labels, sources, strict=True)]
    others = [str(x) for x, name in zip(labels, found, strict=True) if name is None and str(x)]
    if others:
        logger.warning(
            "%d of %d labels are none of the %d categories of %r, such as %r; they stay",
            len(others),
            len(labels),
            len(net.outputs),
            net.name,
            others[0],
        )
    if known.by_index:
        logger.warning(
            "the names of %d classes are none of the categories of %r; the class_index counts: %s",
            len(known.by_index),
            net.name,
            _shown(known.by_index.items()),
        )
    return [str(x) if name is None else name for x, name in zip(labels, found, strict=True)]


def _shown(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name!r} is {category!r}" for name, category in list(pairs)[:5])


class _Categories:
    """The categories of a network by name, WordNet id and index."""

    def __init__(self, net: Network) -> None:
        self.net, self.outputs = net, list(net.outputs or ())
        self.by_name = {name: name for name in self.outputs}
        ids = net.output_coords.get(v.WORDNET_ID, ())
        self.by_name |= dict(zip(map(str, ids), self.outputs, strict=bool(len(ids))))
        self.by_index: dict[str, str] = {}

    def resolve(self, label: ClassLabel, source: str) -> str | None:
        """Category of a label; None where the network has none of this name."""
        named = None if label.name is None else self.by_name.get(label.name)
        index = label.index
        if index is None and named is None and label.name is not None and label.name.isdecimal():
            index = int(label.name)
        if index is None:
            return named
        indexed = self._at(index, source)
        if named is not None and named != indexed:
            raise InputError(
                came=f"{source!r} with the class {named!r} and the class index {index}, which is"
                f" {indexed!r} in {self.net.name!r}",
                expected="a name and an index of the same category",
                hint="a table without the column 'class_index'",
            )
        if label.name is not None and label.index is not None and named is None:
            self.by_index[label.name] = indexed
        return indexed

    def _at(self, index: int, source: str) -> str:
        if not 0 <= index < len(self.outputs):
            raise InputError(
                came=f"{source!r} with the class index {index}",
                expected=f"0 to {len(self.outputs) - 1}, the categories of {self.net.name!r}",
            )
        return self.outputs[index]
