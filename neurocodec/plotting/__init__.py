"""Figures of labelled results; each is a matplotlib Figure or Axes of its own, without pyplot."""

from neurocodec.plotting.cells import plot_mode_correlation, plot_silhouette
from neurocodec.plotting.contributions import plot_completeness, plot_contributions
from neurocodec.plotting.modes import plot_modes
from neurocodec.plotting.overview import plot_overview
from neurocodec.plotting.responses import plot_responses
from neurocodec.plotting.stimulus import plot_stimulus
from neurocodec.plotting.timeline import excerpt
from neurocodec.plotting.trust import plot_stability, plot_sweep

__all__ = [
    "excerpt",
    "plot_completeness",
    "plot_contributions",
    "plot_mode_correlation",
    "plot_modes",
    "plot_overview",
    "plot_responses",
    "plot_silhouette",
    "plot_stability",
    "plot_stimulus",
    "plot_sweep",
]
