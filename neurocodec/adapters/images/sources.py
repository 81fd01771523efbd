"""Where images come from: folders, lists of files, and the data sets of torch and torchvision."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from PIL import Image

from neurocodec.adapters.images.decoding import ENDINGS, as_rgb, decode, reason
from neurocodec.errors import InputError

logger = logging.getLogger(__name__)

PIL_LOADER: Final = "default_loader"
"""Name of the function by which torchvision's `ImageFolder` reads RGB images."""
Label: TypeAlias = str | int
"""Name of a class, or its index."""


@runtime_checkable
class MapStyle(Protocol):
    """A data set whose items are read by their place."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int) -> Any: ...


@dataclass(frozen=True)
class Images:
    """Images that are read one by one, in their order."""

    sources: tuple[str, ...]  # name of each image: its path below the folder, with "/"
    files: tuple[Path, ...] = ()  # empty for a data set without files
    labels: tuple[Label, ...] | None = None  # class of each image, where it is known
    transform: Callable[[Any], Any] | None = None  # preprocessing that the source brings along
    dataset: Any = None  # without files
    places: tuple[int, ...] = ()  # in this data set
    whole: bool = False  # all images of a folder, so that a table has to fit them exactly

    def __len__(self) -> int:
        return len(self.sources)

    def read(self, place: int) -> Any:
        """An image in RGB, or what the data set holds in its place."""
        if self.files:
            return decode(self.files[place])
        try:
            item = self.dataset[self.places[place]]
            first = item[0] if isinstance(item, tuple | list) else item
            return as_rgb(first) if isinstance(first, Image.Image) else first
        except (OSError, SyntaxError) as error:  # what PIL raises of a damaged file
            raise InputError(
                came=f"{self.sources[place]!r}, which cannot be read: {reason(error)}",
                expected="a whole image",
                hint="nc.images(..., broken='skip') to leave out what is broken",
            ) from error

    def select(self, places: Sequence[int]) -> Images:
        """Only these images, in this order."""
        pick: Callable[[Any], Any] = lambda values: tuple(values[i] for i in places)  # noqa: E731
        return replace(
            self,
            sources=pick(self.sources),
            files=pick(self.files) if self.files else (),
            labels=None if self.labels is None else pick(self.labels),
            places=pick(self.places) if self.places else (),
            whole=False,
        )


def list_images(source: Any) -> Images:
    """List the images of a source, as `nc.images` takes it, without decoding them."""
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        return _folder(path) if path.is_dir() else _files([path])
    if hasattr(source, "batch_sampler") and hasattr(source, "dataset"):
        return _loader(source)
    if hasattr(source, "indices") and hasattr(source, "dataset"):
        return list_images(source.dataset).select([int(i) for i in source.indices])
    if isinstance(getattr(source, "samples", None), list | tuple):
        return _image_folder(source)
    if isinstance(source, list | tuple) and all(isinstance(f, str | os.PathLike) for f in source):
        return _files([Path(f).expanduser() for f in source])
    if isinstance(source, MapStyle) and not isinstance(source, str | bytes | dict):
        return _dataset(source)
    raise InputError(
        came=f"images of type {type(source).__name__}",
        expected="a folder, a list of files, an ImageFolder, a map-style data set or a DataLoader",
        hint="nc.images('photographs/', net)",
    )


def _folder(folder: Path) -> Images:
    root = _absolute(folder)
    endings: Counter[str] = Counter()
    found: list[tuple[str, ...]] = []
    for parts in sorted(_walk(root)):
        ending = Path(parts[-1]).suffix.lower()
        endings[ending or "no ending"] += 1
        if ending in ENDINGS:
            found.append(parts)
    if not found:
        held = ", ".join(f"{n} of {e}" for e, n in endings.most_common(8)) or "no files"
        raise InputError(
            came=f"the folder {str(root)!r} without images: {held}",
            expected=f"images ({', '.join(ENDINGS)}), or one subfolder of them for each class",
        )
    flat = [parts for parts in found if len(parts) == 1]
    if flat and len(flat) < len(found):
        raise InputError(
            came=f"{len(flat)} images beside subfolders with {len(found) - len(flat)} images in"
            f" {str(root)!r}",
            expected="images only, or subfolders only, whose names are the classes",
            hint="nc.images([list of files], labels=[...])",
        )
    if not flat:
        _refuse_empty_classes(root, {parts[0] for parts in found})
    return Images(
        sources=tuple("/".join(parts) for parts in found),
        files=tuple(root.joinpath(*parts) for parts in found),
        labels=None if flat else tuple(parts[0] for parts in found),
        whole=True,
    )


def _walk(root: Path) -> Iterator[tuple[str, ...]]:
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        here = Path(folder).resolve()
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not here.is_relative_to(Path(folder, name).resolve())
        ]
        above = Path(folder).relative_to(root).parts
        yield from ((*above, name) for name in names if not name.startswith("."))


def _refuse_unreadable(error: OSError) -> None:
    raise InputError(
        came=f"the folder {error.filename!r}, which cannot be read: {error.strerror}",
        expected="folders that may be read",
    ) from error


def _refuse_empty_classes(root: Path, classes: set[str]) -> None:
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    empty = [name for name in folders if name not in classes]
    if empty:
        raise InputError(
            came=f"{len(empty)} of {len(folders)} class folders without any image:"
            f" {', '.join(map(repr, empty[:10]))}",
            expected="images in every class folder",
            hint="remove the empty folders, or copy their images again",
        )


def _files(files: Sequence[Path]) -> Images:
    if not files:
        raise InputError(came="an empty list of images", expected="at least one file")
    _refuse_missing(files)
    places = [_absolute(f) for f in files]
    twice = [str(place) for place, count in Counter(places).items() if count > 1]
    if twice:
        raise InputError(
            came=f"{len(twice)} files that are listed more than once, such as {twice[0]!r}",
            expected="every file once",
            hint="list(dict.fromkeys(files))",
        )
    common = Path(os.path.commonpath([place.parent for place in places]))
    sources = tuple(place.relative_to(common).as_posix() for place in places)
    return Images(sources, files=tuple(places))


def _absolute(path: Path) -> Path:
    """Path from the root, without "..", so that a change of folder does not move it."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links


def _refuse_missing(files: Sequence[Path]) -> None:
    missing = [str(f) for f in files if not f.is_file()]
    if missing:
        raise InputError(
            came=f"{len(missing)} of {len(files)} image files that do not exist:"
            f" {', '.join(map(repr, missing[:10]))}",
            expected="files, or one folder",
        )


def _image_folder(dataset: Any) -> Images:
    """Torchvision's `ImageFolder`, and what has `samples`: pairs of file and class index."""
    if not all(isinstance(s, tuple | list) and len(s) == 2 for s in dataset.samples):
        return _dataset(dataset)
    images = _files([Path(file) for file, _ in dataset.samples])
    classes = getattr(dataset, "classes", None)
    classes = getattr(dataset, "wnids", classes)  # torchvision's ImageNet: classes are synonyms
    labels = tuple(classes[i] if classes else i for _, i in dataset.samples)
    sources = _below(getattr(dataset, "root", None), images)
    if getattr(getattr(dataset, "loader", None), "__name__", PIL_LOADER) != PIL_LOADER:
        return replace(_dataset(dataset), sources=sources, labels=labels)  # reads in its own way
    transform = getattr(dataset, "transform", None)
    return replace(images, sources=sources, labels=labels, transform=transform)


def _below(root: Any, images: Images) -> tuple[str, ...]:
    """Paths below the root of a data set, or as they are where a file lies elsewhere."""
    if root is None:
        return images.sources
    base = _absolute(Path(root))
    if not all(f.is_relative_to(base) for f in images.files):
        return images.sources
    return tuple(f.relative_to(base).as_posix() for f in images.files)


def _loader(loader: Any) -> Images:
    """Take the data set of a DataLoader, in its own order and whole."""
    sampler = type(getattr(loader, "sampler", None)).__name__
    batches = type(getattr(loader, "batch_sampler", None)).__name__
    if batches not in ("BatchSampler", "NoneType"):
        sampler = batches
    if sampler not in ("SequentialSampler", "RandomSampler"):
        raise InputError(
            came=f"a DataLoader of {type(loader.dataset).__name__} with a {sampler}, which selects"
            " or orders the images by itself",
            expected="one that goes through its data set",
            hint="nc.images(torch.utils.data.Subset(loader.dataset, indices), net)",
        )
    if sampler == "RandomSampler":
        logger.warning("the DataLoader shuffles; images are taken in the order of its data set")
    if getattr(loader, "drop_last", False):
        logger.warning("the DataLoader drops its last batch; all images of its data set are taken")
    return list_images(loader.dataset)


def _dataset(dataset: MapStyle) -> Images:
    """A map-style data set of (image, label): read by place; labels from what it says of them."""
    try:
        size = len(dataset)
    except TypeError as error:
        raise InputError(
            came=f"a data set of type {type(dataset).__name__}, which has no length",
            expected="a map-style data set: len(dataset) and dataset[i]",
        ) from error
    if not size:
        raise InputError(came="an empty data set", expected="at least one image")
    name = type(dataset).__name__
    return Images(
        sources=tuple(f"{name}[{i}]" for i in range(size)),
        labels=_dataset_labels(dataset, size),
        dataset=dataset,
        places=tuple(range(size)),
    )


def _dataset_labels(dataset: Any, size: int) -> tuple[Label, ...] | None:
    tensors: Any = getattr(dataset, "tensors", ())
    found: Any = getattr(dataset, "targets", tensors[1] if len(tensors) > 1 else None)
    try:
        values = [x if isinstance(x, str) else index(x) for x in found]
    except TypeError:  # none, or boxes, masks and numbers, which are no classes
        values = []
    if len(values) != size:
        logger.info("%s does not say its labels; nc.images(labels=...)", type(dataset).__name__)
        return None
    classes = getattr(dataset, "classes", None)
    return tuple(classes[x] if classes and isinstance(x, int) else x for x in values)
