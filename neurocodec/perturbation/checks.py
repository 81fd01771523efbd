"""What is asked of a perturbation curve, checked: images, labels, kinds and fractions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.engine.respond import respond
from neurocodec.errors import InputError, unknown_name
from neurocodec.network import Network
from neurocodec.perturbation.ablation import Kind
from neurocodec.perturbation.images import Concepts, Positions, category_positions

logger = logging.getLogger(__name__)

KINDS: Final = ("ablate", "preserve")


def kinds_of(kind: Kind | Sequence[Kind]) -> tuple[str, ...]:
    """Check the kinds of perturbation.

    Parameters
    ----------
    kind
        "ablate", "preserve" or both.

    Examples
    --------
    >>> kinds_of("ablate")
    ('ablate',)
    """
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    for one in kinds:
        if one not in KINDS:
            raise unknown_name("kind of perturbation", one, KINDS)
    if not kinds or len(set(kinds)) < len(kinds):
        raise InputError(came=f"kind={kind!r}", expected="'ablate', 'preserve' or both")
    return kinds


def fractions_of(fractions: Sequence[float]) -> tuple[float, ...]:
    """Check fractions of channels: increasing, from 0 to 1.

    Parameters
    ----------
    fractions
        What came.

    Examples
    --------
    >>> fractions_of([0, 0.5])
    (0.0, 0.5)
    """
    found = np.asarray(fractions, dtype=np.float64)
    inside = found.ndim == 1 and found.size and bool(((found >= 0) & (found <= 1)).all())
    if not inside or bool((np.diff(found) <= 0).any()):
        raise InputError(
            came=f"fractions={fractions!r}",
            expected="increasing numbers from 0 to 1",
            hint="fractions=(0, 0.05, 0.1, 0.2, 0.5, 1)",
        )
    return tuple(found.tolist())


def require_classifier(net: Network, stimulus: xr.DataArray) -> None:
    """Refuse a network of movies, and what are no images.

    Parameters
    ----------
    net
        The network.
    stimulus
        Images.
    """
    if net.history is not None:
        raise InputError(
            came=f"{net.name!r}, which sees a movie",
            expected="a network that classifies still images",
            hint="nc.ablate(net, layer, channels) and nc.respond",
        )
    if not isinstance(stimulus, xr.DataArray) or v.STIMULUS not in stimulus.dims:
        raise InputError(
            came=f"a stimulus of type {type(stimulus).__name__} without the dim 'stimulus'",
            expected="an xarray.DataArray of images",
            hint="nc.images(folder, net)",
        )


def output_names(net: Network, stimulus: xr.DataArray) -> list[str]:
    """Names of a network's categories, from a pass where it has none.

    Parameters
    ----------
    net
        The network.
    stimulus
        Images, of which the first is used.
    """
    if net.outputs is not None:
        return list(net.outputs)
    one = respond(net, stimulus.isel({v.STIMULUS: slice(0, 1)}))
    return [str(name) for name in one[net.output_dim].values.tolist()]


def label_positions(
    stimulus: xr.DataArray, labels: xr.DataArray | Sequence[Any] | None, names: Sequence[str]
) -> Positions:
    """Category of each image, -1 where its label is none; those are told.

    Parameters
    ----------
    stimulus
        Images.
    labels
        Names or positions of categories; the coordinate `label` where None.
    names
        Of the categories.

    Examples
    --------
    >>> label_positions(xr.DataArray([0.0, 0.0], dims="stimulus"), ["b", "a"], ["a", "b"]).tolist()
    [1, 0]
    """
    if labels is None:
        if v.LABEL not in stimulus.coords:
            raise InputError(
                came="images without labels",
                expected="the coordinate 'label' along 'stimulus', or labels=",
                hint="nc.perturbation_curve(..., labels=[...])",
            )
        labels = stimulus[v.LABEL]
    if np.shape(labels) != (stimulus.sizes[v.STIMULUS],):
        raise InputError(
            came=f"labels of shape {np.shape(labels)} for {stimulus.sizes[v.STIMULUS]} images",
            expected="one for each image",
        )
    found = category_positions(labels, names)
    unknown = np.flatnonzero(found < 0)
    if len(unknown) == len(found):
        raise unknown_name("category", np.asarray(labels)[0], names)
    if len(unknown):
        first = np.asarray(labels)[unknown[0]]
        logger.warning("%d images with labels such as %r are left out", len(unknown), str(first))
    return found


def require_concepts(group: str, concepts: Concepts | None) -> Concepts | None:
    """Refuse scores of concepts whose categories are not told.

    Parameters
    ----------
    group
        Dim of the scores.
    concepts
        What came; it does not count for scores of categories.

    Examples
    --------
    >>> require_concepts("concept", {"pet": ["dog"]})
    {'pet': ['dog']}
    """
    if group == v.CATEGORY:
        return None
    if concepts is None:
        raise InputError(
            came="scores of concepts without concepts=",
            expected="the categories of each concept",
            hint="concepts={'dog': ['beagle', 'collie']}, or a mask `member`",
        )
    return concepts


def require_interval(confidence: float, bootstrap: int) -> None:
    """Refuse a confidence that is none, and a number of resamples below 1.

    Parameters
    ----------
    confidence
        Between 0 and 1.
    bootstrap
        Resamples.

    Examples
    --------
    >>> require_interval(0.95, 1000)
    """
    if not 0 < confidence < 1:
        raise InputError(
            came=f"confidence={confidence!r}", expected="a number between 0 and 1", hint="0.95"
        )
    if not isinstance(bootstrap, int) or bootstrap < 1:
        raise InputError(came=f"bootstrap={bootstrap!r}", expected="a whole number, at least 1")
