"""The whole analysis in one figure, in the spirit of CODEC fig. 8B."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.arguments import one_of
from neurocodec.plotting import style, timeline
from neurocodec.plotting.attribution import draw_contributions
from neurocodec.plotting.modes import draw_most_used
from neurocodec.plotting.responses import draw_rate, lively_cells
from neurocodec.plotting.stimulus import plot_stimulus, strip_height

FRAMES = 8
HEIGHTS = (0.9, 2.0, 1.5)


def plot_overview(
    analysis: RetinaAnalysis,
    *,
    layer: str | None = None,
    cell: str | None = None,
    time: slice | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw frames, the firing rate of a cell, contributions and loadings on one time axis.

    Parameters
    ----------
    analysis
        As `nc.analyse_retina` returns it.
    layer
        Whose contributions and modes; the last one where None.
    cell
        Name of the cell; the liveliest where None.
    time
        Range of times in seconds; the liveliest six seconds where None.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Four axes, from the stimulus to the modes.

    Raises
    ------
    UnknownNameError
        Where there is no such layer or cell.

    Examples
    --------
    >>> import neurocodec as nc, xarray as xr
    >>> from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
    >>> from neurocodec.zoo import retina_network
    >>> small = RetinaConfig(cells=4, history=4, size=(9, 9), channels=(2, 2), kernels=(3, 3))
    >>> net = retina_network(RetinaCNN(small).eval(), name="untrained")
    >>> frames = np.random.default_rng(0).normal(size=(90, 9, 9)).astype("float32")
    >>> movie = xr.DataArray(frames, {"time": np.arange(90) / 100}, ("time", "y", "x"))
    >>> quick = {"expansion": 1, "moments": 0, "mode_seeds": 0, "progress": False}
    >>> found = nc.analyse_retina(net, movie, **quick)
    >>> plot_overview(found, layer="layer1").axes[2].get_title(loc="left")
    'contributions of layer1'
    """
    layer = one_of("layer", layer or analysis.layers[-1], analysis.layers)
    time = time or timeline.excerpt(analysis.tree.data_vars[v.TARGET])
    rates = timeline.within(analysis.rates, time)
    loadings = timeline.within(analysis.modes[layer].loadings, time)
    heights = (strip_height(analysis.stimulus, FRAMES), *HEIGHTS)
    figure = figure or style.new_figure(sum(heights) + 1.4)
    grid = figure.add_gridspec(4, 1, height_ratios=heights)
    frames, rate, parts, modes = (figure.add_subplot(grid[i]) for i in range(4))
    shown = f" (simulated {' and '.join(analysis.simulated)})" if analysis.simulated else ""
    start, stop = timeline.time_range(rates)
    centers = np.linspace(start, stop, 2 * FRAMES + 1)[1::2]
    plot_stimulus(
        timeline.within(analysis.stimulus, time), list(centers), title=f"stimulus{shown}", ax=frames
    )
    draw_rate(rate, rates, cell or lively_cells(rates, 1)[0], analysis.recorded)
    contribution = analysis.tree.children[layer].data_vars[v.CONTRIBUTION]
    draw_contributions(parts, timeline.within(contribution, time), f"contributions of {layer}")
    draw_most_used(modes, loadings, f"loadings of the modes of {layer}")
    for ax in (rate, parts, modes):
        ax.set_xlim(start, stop)
    for ax in (frames, rate, parts):
        ax.tick_params(labelbottom=False)
        ax.set_xlabel("")
    return figure
