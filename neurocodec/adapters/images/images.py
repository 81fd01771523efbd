"""`nc.images`: labelled photographs that stay in their files until they are looked at."""

from __future__ import annotations

import contextlib
import logging
import random
import re
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from xarray.backends import BackendArray
from xarray.core import indexing

from neurocodec import terms
from neurocodec import vocabulary as v
from neurocodec.adapters.images.decoding import find_broken
from neurocodec.adapters.images.labels import Labels, as_categories, labels_of
from neurocodec.adapters.images.sources import Images, list_images
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, stamp
from neurocodec.network import Network, Preprocessing

logger = logging.getLogger(__name__)

Broken = Literal["raise", "skip"]
COLORS: Final = {3: ["red", "green", "blue"], 1: ["gray"]}
ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


def images(
    source: Any,
    net: Network | None = None,
    *,
    labels: Labels | None = None,
    preprocessing: Preprocessing | None = None,
    broken: Broken = "raise",
    check: bool = True,
) -> xr.DataArray:
    """List images with their labels, as a network takes them; they are decoded when they are used.

    Parameters
    ----------
    source
        A folder (images, or one subfolder for each class, whose name is the label), a list of
        files, torchvision's `ImageFolder`, a map-style data set of (image, label), or a
        `torch.utils.data.DataLoader`, of which the data set is taken in its order.
    net
        The network: its preprocessing is used, and labels become the names of its categories.
    labels
        Instead of the source's: one for each image, a mapping from file to label, or the path of
        a CSV table with the columns "file" and "label", "class_name" and/or "class_index". With
        `net` a label may be a category's name, its WordNet id or its index.
    preprocessing
        Takes a `PIL.Image.Image` in RGB, returns (color, y, x); it must not draw random numbers.
        By default the network's, or else the source's own `transform`.
    broken
        What is done with an image that cannot be decoded: ``"raise"`` an error that names it, or
        ``"skip"`` it. `nc.contributions` leaves skipped ones out; the labels of the others stay
        with them.
    check
        Whether to look at once, in headers and file ends, for unreadable and truncated files.

    Returns
    -------
    xarray.DataArray
        `stimulus` (stimulus, color, y, x), float32, read lazily: ``.isel(stimulus=slice(8))``
        decodes 8 images when its values are used. Coordinates along `stimulus`: `stimulus` (place
        in the source, so that it has gaps where broken files are left out), `source` (path below
        the folder), `label`, `file_size` (bytes). Orientation tags of cameras are not applied, as
        torchvision does not either. Images that break only when decoded are NaN with
        ``broken="skip"``.

    Raises
    ------
    InputError
        Where there are no images, files are broken, missing or listed twice, labels are missing
        or contradict the network, or images come out of the preprocessing in different sizes.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name, value in (("cat", 0), ("dog", 255)):
    ...     pathlib.Path(folder.name, name).mkdir()
    ...     Image.new("L", (4, 3), value).save(f"{folder.name}/{name}/1.png")
    >>> def scaled(image):
    ...     return np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    >>> stimulus = images(folder.name, preprocessing=scaled)
    >>> dict(stimulus.sizes), stimulus.source.values.tolist(), stimulus.label.values.tolist()
    ({'stimulus': 2, 'color': 3, 'y': 3, 'x': 4}, ['cat/1.png', 'dog/1.png'], ['cat', 'dog'])
    >>> float(stimulus.isel(stimulus=1).mean())
    1.0
    >>> folder.cleanup()
    """
    one_of("way to treat broken images", broken, get_args(Broken))
    if net is not None and not isinstance(net, Network):
        raise InputError(
            came=f"a {type(net).__name__} as the network of images",
            expected="a nc.Network",
            hint="nc.images(source, preprocessing=...) without a network",
        )
    if net is not None and net.history is not None:
        raise InputError(
            came=f"images for {net.name!r}, which sees movies",
            expected="a network that sees still images",
        )
    listed = list_images(source)
    named = labels_of(listed, labels)
    names = None if named is None else as_categories(named, listed.sources, net)
    places = _whole_files(listed, broken) if check else list(range(len(listed)))
    array = ImageArray(listed, places, _preprocessing(listed, preprocessing, net), broken)
    stimulus = _labelled(array, names)
    facts = {"preprocessing": array.preprocessing_name, "broken": broken, "listed": len(listed)}
    if not listed.files:
        facts["samples_sha256"] = fingerprint(*(array.read(i) for i in _few(len(places))))
    return stamp(stimulus, "nc.images", **facts)


def _preprocessing(
    listed: Images, wanted: Preprocessing | None, net: Network | None
) -> Preprocessing | None:
    found = wanted or (None if net is None else net.preprocessing)
    if found is not None and listed.transform is not None:
        logger.info("the data set's own transform is not used: %s", _described(listed.transform))
    found = found or listed.transform
    is_image = _holds_images(listed)
    if found is None and is_image:
        raise InputError(
            came="images without a preprocessing",
            expected="what makes (color, y, x) of the size that the network takes of a PIL image",
            hint="nc.images(source, net) with net = nc.adapters.torchvision(...), or"
            " nc.images(source, preprocessing=...)",
        )
    return found if is_image else wanted  # a data set of arrays has done what it needs


def _holds_images(listed: Images) -> bool:
    """Whether the source gives images of PIL, by the first that can be read."""
    before = random.getstate(), torch.get_rng_state()
    try:
        for place in () if listed.files else range(len(listed)):
            with contextlib.suppress(InputError):
                return isinstance(listed.read(place), Image.Image)
    finally:
        _restored(*before)
    return True


def _whole_files(listed: Images, broken: Broken) -> list[int]:
    """Places of the images whose files seem whole; the others are named."""
    problems = find_broken(listed.files)
    if not problems:
        return list(range(len(listed)))
    shown = "; ".join(f"{listed.sources[i]!r} ({why})" for i, why in list(problems.items())[:10])
    if broken == "raise" or len(problems) == len(listed):
        raise InputError(
            came=f"{len(problems)} of {len(listed)} image files that are broken: {shown}",
            expected="whole image files",
            hint="nc.images(..., broken='skip') to leave them out",
        )
    logger.warning(
        "%d of %d image files are broken and left out: %s", len(problems), len(listed), shown
    )
    return [i for i in range(len(listed)) if i not in problems]


class ImageArray(BackendArray):
    """Images as an array (stimulus, color, y, x) that decodes what is asked for."""

    def __init__(
        self,
        images: Images,
        places: Sequence[int],
        preprocessing: Preprocessing | None = None,  # none where the images are arrays already
        broken: Broken = "raise",
    ) -> None:
        self.images, self.places = images, tuple(places)  # which of the images are rows
        self.preprocessing, self.broken = preprocessing, broken
        self.dtype = np.dtype(np.float32)
        self._told: set[int] = set()
        self.shape = (len(self.places), *self._first_shape())

    @property
    def preprocessing_name(self) -> str:
        """What the preprocessing is, the same in every process."""
        return _described(self.preprocessing)

    def read(self, row: int) -> NDArray[np.float32]:
        """One image (color, y, x); NaN where it is broken and to be skipped."""
        image = self._decoded(row)
        if image is None:
            return np.full(self.shape[1:], np.nan, np.float32)
        values = self._preprocessed(image, row)
        if values.shape != self.shape[1:]:
            expected = f"the shape {self.shape[1:]} of the first image"
            self._refuse(row, f"with the shape {values.shape}", expected)
        return values

    def _decoded(self, row: int) -> Any:
        place = self.places[row]
        try:
            return self.images.read(place)
        except InputError as error:
            if self.broken == "raise":
                raise
            if place not in self._told:
                self._told.add(place)
                logger.warning("an image is left out: %s", error.came)
        return None

    def _preprocessed(self, image: Any, row: int) -> NDArray[np.float32]:
        try:
            values = image if self.preprocessing is None else self.preprocessing(image)
            array = np.asarray(values, np.float32)
        except Exception as error:
            error.add_note(f"in the preprocessing of {self.images.sources[self.places[row]]!r}")
            raise
        if not np.isfinite(array).all():
            self._refuse(row, "with values that are not finite", "finite numbers")
        if array.ndim != 3 or array.shape[0] not in COLORS:
            shape = f"with the shape {array.shape}"
            self._refuse(row, shape, "(color, y, x) with 3 colors or 1")
        return array

    def _refuse(self, row: int, how: str, expected: str) -> None:
        raise InputError(
            came=f"{self.images.sources[self.places[row]]!r}, which comes out of the preprocessing"
            f" {self.preprocessing_name} {how}",
            expected=expected,
            hint="a preprocessing that resizes, crops and puts colors first, such as"
            " net.preprocessing",
        )

    def _first_shape(self) -> tuple[int, ...]:
        """Shape of the first image that can be decoded; it is read and preprocessed twice."""
        for row in range(len(self.places)):
            before = random.getstate(), torch.get_rng_state()
            image = self._decoded(row)
            if image is None:
                continue
            values = self._preprocessed(image, row)
            again = self._preprocessed(self.images.read(self.places[row]), row)
            if _restored(*before) or not np.array_equal(values, again):
                raise InputError(
                    came=f"the preprocessing {self.preprocessing_name}, or that of the data set,"
                    " which draws random numbers or makes other values of the same image each time",
                    expected="one without random crops, flips and the like",
                    hint="preprocessing=net.preprocessing",
                )
            return values.shape
        raise InputError(came="no image that can be decoded", expected="at least one")

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        rows = np.arange(self.shape[0])[key[0]]
        inside = key[1:]
        if not rows.ndim:
            return _cut(self.read(int(rows)), inside, 0)
        values = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows):
            values[place] = self.read(int(row))
        return _cut(values, inside, 1)


def _restored(python: tuple[Any, ...], of_torch: torch.Tensor) -> bool:
    """Give back the random states of Python and torch; whether they had to be."""
    drawn = random.getstate() != python or not torch.equal(torch.get_rng_state(), of_torch)
    if drawn:
        random.setstate(python)
        torch.set_rng_state(of_torch)
    return drawn


def _cut(values: NDArray[Any], key: tuple[Any, ...], first: int) -> NDArray[Any]:
    """Index the axes from `first` on, each by itself; from the last, as integers drop axes."""
    for axis in reversed(range(len(key))):
        values = values[(slice(None),) * (first + axis) + (key[axis],)]
    return values


def _labelled(array: ImageArray, names: list[str] | None) -> xr.DataArray:
    listed, places = array.images, list(array.places)
    attrs = {"units": v.DIMENSIONLESS, "long_name": terms.VARIABLES[v.STIMULUS].long_name}
    dims = (v.STIMULUS, v.COLOR, v.Y, v.X)
    variable = xr.Variable(dims, indexing.LazilyIndexedArray(array), attrs)
    coords: dict[str, Any] = {
        v.STIMULUS: (v.STIMULUS, np.asarray(places)),
        "source": (v.STIMULUS, np.asarray([listed.sources[i] for i in places])),
        v.COLOR: COLORS[array.shape[1]],
    }
    if names is not None:
        coords["label"] = (v.STIMULUS, np.asarray([names[i] for i in places]))
    if listed.files:
        files = [listed.files[i] for i in places]
        sizes = [f.stat().st_size if f.is_file() else 0 for f in files]  # a link may lead nowhere
        coords["file_size"] = (v.STIMULUS, np.asarray(sizes, np.int64), {"units": "byte"})
    return xr.DataArray(variable, coords, name=v.STIMULUS)


def _few(size: int) -> list[int]:
    return sorted({0, size // 2, size - 1})


def _described(preprocessing: Any) -> str:
    """Text of a preprocessing, without the addresses that differ between processes."""
    return ADDRESS.sub("", repr(preprocessing))
