"""Recorded interneurons against the hidden units and the modes of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels, terms
from neurocodec import vocabulary as v
from neurocodec.attribution.contributions import contributions
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError
from neurocodec.interneurons.activations import rectified_layers
from neurocodec.interneurons.controls import (
    CONTROL,
    CONTROLS,
    DRAW,
    LINEAR,
    PERMUTED,
    Controls,
    Linear,
    permuted_networks,
    wanted_controls,
)
from neurocodec.interneurons.recordings import RecordedInterneurons
from neurocodec.interneurons.scores import FOLD, SHIFT, Named
from neurocodec.interneurons.search import Candidates, Search, search_units
from neurocodec.interneurons.views import View
from neurocodec.kernels.lagged import GAP, circular_shifts, interleaved_halves
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.layer import Layer

_BATCH: Final = 256
_SECOND: Final = 1.0
"""Shortest circular shift in seconds; a recording still resembles itself a little earlier."""


class Transformer(Protocol):
    """Fitted modes, such as `nc.SparseModes`."""

    def transform(self, data: Any, /) -> xr.DataArray:
        """Loadings (time, mode) of contributions."""


def compare_interneurons(
    net: Network,
    recording: xr.Dataset | xr.DataTree,
    layers: Iterable[str] | None = None,
    modes: Mapping[str, Transformer | xr.DataArray] | None = None,
    *,
    target: Target | None = None,
    variable: str | None = None,
    rectified: bool = True,
    max_lag: float = 0.02,
    pooling: float | Sequence[float] = (0, 1, 2, 4),
    max_shift: int = 0,
    block: float = 4.0,
    signed: bool = True,
    chance: int = 40,
    quantile: float = 0.95,
    controls: Iterable[str] = CONTROLS,
    permutations: int = 5,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Compare each recorded interneuron with every hidden unit, and with every mode.

    The stimulus of the recording is shown to the model. The unit (layer, channel, position) and
    the lag that correlate best with an interneuron are chosen on one half of the time and judged
    on the other, both ways round, so that the largest of thousands of correlations is not
    reported as skill. The halves are blocks of a few seconds in turn, apart by as much as a
    response looks back. Three nulls say how much of a correlation is the model's own:

    - "shift": the whole procedure, choice included, on circularly shifted recordings (which must
      not be periodic). Above it is whatever responds to the stimulus.
    - "permuted": the whole procedure with copies of the network in whose tensors the weights have
      changed places: the architecture without what was learned.
    - "linear": one linear filter of the stimulus, a Gaussian in space (width and place are
      chosen) times a time course, fitted to the interneuron itself on the half on which the unit
      is chosen. A model that never saw the interneuron need not exceed it to be right; where it
      does, its unit is more than the stimulus at a place.

    Units of a convolution are one cell type at all positions, so that their maps are a search
    over space already. Move the stimulus as well (`max_shift`) where recording and model are not
    registered and the model's positions differ (dense layers, normalisation of single units) or
    do not reach the cell.

    Parameters
    ----------
    net
        The network; it sees a movie.
    recording
        `stimulus` (time, y, x) at the network's frame rate and size, and `membrane_potential` or
        `fluorescence` (time, interneuron) or (repeat, time, interneuron), at the same times.
    layers
        Aliases; all of the network's where None.
    modes
        Alias -> fitted modes of that layer, whose loadings are computed for this stimulus
        (``target`` is needed), or loadings (time, mode) that were computed before.
    target
        What the modes' contributions were computed for, one of `nc.targets`.
    variable
        Name of the recorded variable.
    rectified
        Whether the units of each layer are also compared after the rectifier that follows, as
        the layer "<alias>_rectified".
    max_lag
        Largest lag in seconds, in either direction; positive where the recording comes later than
        the model.
    pooling
        Standard deviations, in positions of a layer's map, of the Gaussian over which a channel
        is pooled; 0 is single units, and ``(0,)`` them alone.
    max_shift
        Largest shift of the stimulus in pixels, along y and along x. The time goes with the
        number of shifts, (2 max_shift + 1)^2.
    block
        Length of a block in seconds.
    signed
        Whether the best is the largest correlation; where False, that of the largest size, and a
        negative one counts as much if it is negative on the other half too.
    chance
        Number of circular shifts of the recording; 0 leaves the chance level out.
    quantile
        Of the chance level, which one more shifted recording exceeds with 1 - `quantile` at most,
        above 0.5 and below 1; NaN where `chance` is too small to say: then nothing counts as above
        shifts, and a warning says how many are needed. The other nulls are exceeded at the same
        level.
    controls
        Nulls, of "shift", "permuted" and "linear"; the first needs `chance`.
    permutations
        Number of permuted networks, each shown the stimulus once, at least 2.
    seed
        Of the shifts and the permutations.
    batch_size
        Times computed together; the numbers do not depend on it.
    device
        Where the network runs; None stays where it is.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.DataTree
        The root holds, for each interneuron, the best of all layers:

        - `correlation`: on held-out time, mean of both ways round; `fold_correlation` has each;
        - `correlation_selected`: of the same units where they were chosen, which is too good;
        - `chance_correlation`, `p_value` and `null_correlation` (circular_shift, interneuron);
        - `control_correlation` (control, interneuron), the mean of each null; `control_interval`
          (control, bound, interneuron), whose upper end one more draw of the null exceeds with 1
          - `quantile` (of shifts by rank, of permutations by Student's t of Fisher's z, of the one
          linear filter by a jackknife over stretches of time); `exceeds` (control, interneuron),
          `exceeds_all` (interneuron) and `n_exceed_all`: which correlations are above these upper
          ends; `permuted_correlation` (permutation, interneuron);
        - `ceiling` and `normalized_correlation`, where the recording has repeats;
        - `best_layer`, `best_channel`, `best_y`, `best_x`, `best_pooling`, `best_lag` (s), chosen
          on all the time (-1 for a position that a layer does not have); `unit_y_center`,
          `unit_x_center`: centre of that unit's receptive field in pixels of the recording's
          stimulus, NaN where the unit is silent, and where the stimulus is the same in every pixel
          (the attribute `uniform_stimulus` is 1): then no place is better than another.

        A node for each layer holds the same for its units alone, and `correlation_map`
        (interneuron, channel, y, x) over all the time, at the lag (pooling, shift) that is best
        in this layer. Nodes `modes/<alias>` hold `mode_correlation` (interneuron, mode) likewise,
        with the chance level of shifts alone.

    Raises
    ------
    InputError
        Where the recording has no interneurons, NaN, a constant trace, other times than its
        stimulus, another frame rate than the network's, or is too short.

    Examples
    --------
    >>> import neurocodec as nc
    >>> net, recording = nc.load_model("simulated-retina"), nc.simulate_retina(duration=4.0)
    >>> some = recording.isel(interneuron=[0, 4])
    >>> quick = {"chance": 0, "controls": ["linear"], "progress": False}
    >>> found = compare_interneurons(net, some, ["layer2"], block=1.5, **quick)
    >>> found.best_layer.values.tolist(), bool((found.correlation > 0.7).all())
    (['layer2', 'layer2'], True)
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    batch_size = arguments.batch_size(batch_size)
    chance = arguments.whole("chance", chance, 0, hint="chance=40")
    level = _level(quantile)
    wanted = wanted_controls(controls, chance, level)
    draws = arguments.whole("permutations", permutations, 2, hint="permutations=5")
    draws *= PERMUTED in wanted
    data = _recorded(net, recording, variable)
    lags = round(_in_range("max_lag", max_lag) * data.rate)
    frames = round(_in_range("block", block) * data.rate)
    halves, shifts = _time(net, data, lags=lags, block=frames, chance=chance, seed=seed)
    data.require_variance(halves)
    search = Search(
        traces=data.traces.values,
        halves=halves,
        lags=np.arange(-lags, lags + 1),
        shifts=shifts,
        views=_views(max_shift, pooling),
        signed=signed,
        batch_size=batch_size or _BATCH,
        progress=progress,
    )
    options = {"batch_size": batch_size, "device": device, "progress": progress}
    placed = net.on(device)
    others = permuted_networks(placed, draws, seed)
    loadings = _loadings(net, data, modes, target, **options)
    searched = _searched(placed, data.samples, layers, rectified=rectified)
    matrices = {f"{v.MODE}s/{alias}": array.values for alias, array in loadings.items()}
    found = search_units(Candidates(placed, data.samples, searched, matrices, others), search)
    linear = Linear.of(data, halves, net.history or 1, level) if LINEAR in wanted else None
    nulls = Controls(wanted, level, linear, draws, found)
    tree = Named(placed, data, search, level, nulls).tree(searched, loadings, found)
    asked = {"max_lag": max_lag, "pooling": pooling, "max_shift": max_shift, "block": block}
    asked |= {"signed": signed, "chance": chance, "quantile": quantile, "seed": seed}
    return labels.stamp(
        tree,
        "nc.compare_interneurons",
        **net.facts,
        layers=searched,
        modes=[*loadings],
        **asked,
        controls=wanted,
        permutations=draws,
        data_sha256=labels.fingerprint(data.traces, data.samples.values.numpy()),
    )


def _recorded(
    net: Network, recording: xr.Dataset | xr.DataTree, variable: str | None
) -> RecordedInterneurons:
    """Recording of interneurons, none of whose coordinates has the name of a score."""
    data = RecordedInterneurons.of(require_network(net), recording, variable)
    dims = {FOLD, SHIFT, CONTROL, DRAW, v.BOUND, v.LAYER, v.CHANNEL, v.MODE, v.TOKEN, v.Y, v.X}
    own = {*terms.VARIABLES, *dims, *net.layers}
    labels.require_free_names(data.coords, own, "the recording")
    return data


def _in_range(name: str, value: float, largest: float = np.inf) -> float:
    expected = "a number of at least 0" + (f", at most {largest:g}" if largest < np.inf else "")
    found = arguments.number(name, value, expected)
    if not 0 <= found <= largest:
        raise InputError(came=f"{name}={value!r}", expected=expected)
    return found


def _level(quantile: float) -> float:
    expected, hint = "a number above 0.5 and below 1: the upper end of a null", "quantile=0.95"
    found = arguments.number("quantile", quantile, expected, hint=hint)
    if not 0.5 < found < 1:
        raise InputError(came=f"quantile={quantile!r}", expected=expected, hint=hint)
    return found


def _searched(
    net: Network, samples: Samples, layers: Iterable[str] | None, *, rectified: bool
) -> dict[str, Layer]:
    """Layers whose units are compared, by alias."""
    found = net.select_layers(layers)
    if not found:
        raise InputError(
            came="no layers", expected="at least one", hint=f"layers={[*net.layers][:1]}"
        )
    return found | rectified_layers(net, samples, found) if rectified else found


def _views(max_shift: int, pooling: float | Sequence[float]) -> list[View]:
    """Every shift of the stimulus with every width; what is nearest to nothing comes first."""
    largest = arguments.whole("max_shift", max_shift, 0)
    widths = sorted({_in_range("pooling", width) for width in np.atleast_1d(pooling).tolist()})
    if not widths:
        raise InputError(came="pooling=()", expected="at least one width", hint="pooling=(0,)")
    steps = sorted(range(-largest, largest + 1), key=abs)
    return [View(dy, dx, width) for dy in steps for dx in steps for width in widths]


def _time(
    net: Network, data: RecordedInterneurons, *, lags: int, block: int, chance: int, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.intp]]:
    """Half of every time, and the circular shifts of the recording."""
    size = data.traces.sizes[v.TIME]
    back = (net.history or 1) - 1 + 2 * lags
    halves = interleaved_halves(size, block, back, margin=lags)
    for border in np.flatnonzero(np.diff(data.samples.ends) != 1) + 1:
        halves[max(border - lags, 0) : border + lags] = GAP  # a lag would reach over it
    margin = max(back, round(_SECOND * data.rate))
    return halves, circular_shifts(size, chance, margin, seed)


def _loadings(
    net: Network,
    data: RecordedInterneurons,
    modes: Mapping[str, Transformer | xr.DataArray] | None,
    target: Target | None,
    **options: Any,
) -> dict[str, xr.DataArray]:
    """Loadings (time, mode) of every layer that has modes, at the times of the traces."""
    known = dict(modes or {})
    net.select_layers(known)
    found = {k: x for k, x in known.items() if isinstance(x, xr.DataArray)}
    fitted = {k: x for k, x in known.items() if not isinstance(x, xr.DataArray)}
    if fitted and target is None:
        raise InputError(
            came=f"modes of {[*fitted]} without a target",
            expected="the target that they were fitted for, or their loadings on this stimulus",
            hint="target=nc.targets.Surprisal.fit(nc.respond(net, movie.stimulus))",
        )
    if fitted and target is not None:
        tree = contributions(
            net,
            data.stimulus,
            target=target,
            layers=[*fitted],
            **options,
        )
        found |= {alias: some.transform(tree[alias]) for alias, some in fitted.items()}
    for alias, array in found.items():
        labels.require_same(data.traces, array, v.TIME, f"interneurons and loadings of {alias!r}")
    return {k: labels.require_dims(found[k], (v.TIME, v.MODE), f"loadings of {k!r}") for k in known}
