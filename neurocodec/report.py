"""One self-contained page about an analysis: what was run, what was found, how to read it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from neurocodec import labels, plotting
from neurocodec import vocabulary as v
from neurocodec.findings import CELLS, CONTRIBUTIONS, RESPONSES, RetinaAnalysis
from neurocodec.nn.targets import Mahalanobis, Output, Sum, Surprisal, Target
from neurocodec.storage.files import whole_file
from neurocodec.storage.folders import existing_folder

REPORT: Final = "report.html"
FIGURES: Final = "figures"
DPI: Final = 144


@dataclass(frozen=True)
class Drawing:
    """A figure as it stands on the page.

    Parameters
    ----------
    png
        Its bytes.
    alt
        What it shows, for those who cannot see it.
    """

    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The image itself as an address, so that the page needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def write_report(
    analysis: RetinaAnalysis, folder: str | Path, *, settings: dict[str, Any] | None = None
) -> Path:
    """Write the figures and `report.html`, a page that needs no network and no other file.

    Parameters
    ----------
    analysis
        As `nc.analyse_retina` returns it.
    folder
        Where to write; figures go to its folder `figures`.
    settings
        Further lines for the table of what was run: name -> value.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    StorageError
        Where the folder cannot be written to.
    """
    folder = existing_folder(folder)
    pictures = existing_folder(folder / FIGURES)
    drawn = {name: _draw(figure, alt) for name, figure, alt in _figures(analysis)}
    for name, drawing in drawn.items():
        with whole_file(pictures / f"{name}.png") as scratch:
            scratch.write_bytes(drawing.png)
    page = render(analysis, drawn, settings or {})
    with whole_file(folder / REPORT) as scratch:
        scratch.write_text(page, "utf-8")
    return folder / REPORT


def render(analysis: RetinaAnalysis, drawn: dict[str, Drawing], settings: dict[str, Any]) -> str:
    """Fill the template; every text is escaped.

    Parameters
    ----------
    analysis
        As `nc.analyse_retina` returns it.
    drawn
        The figures by name.
    settings
        Further lines for the table of what was run.
    """
    environment = Environment(
        loader=PackageLoader("neurocodec"),
        autoescape=True,
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
    excerpt = plotting.excerpt(analysis.tree.data_vars[v.TARGET])
    return environment.get_template("report.html.j2").render(
        analysis=analysis,
        figures=drawn,
        layers=analysis.layers,
        target=target_name(analysis.target),
        units=analysis.tree.data_vars[v.TARGET].attrs.get("units", ""),
        excerpt=f"{excerpt.start:.1f} to {excerpt.stop:.1f} s",
        whole=excerpt.stop - excerpt.start >= _seconds(analysis) - 0.1,
        facts=[*_facts(analysis), *settings.items()],
        versions=labels.versions(),
        match=_match(analysis),
        completeness=_completeness(analysis),
        modes=[_mode_scores(analysis, layer) for layer in analysis.layers],
        clusters={k: int(c["n_clusters"]) for k, c in analysis.clusters.items()},
        agreement=analysis.agreement,
        files=_files(analysis),
    )


def target_name(target: Target) -> str:
    """Name a target in words.

    Parameters
    ----------
    target
        One of `nc.targets`.

    Examples
    --------
    >>> target_name(Output("cell 3"))
    'firing rate of cell 3'
    """
    if isinstance(target, Output):
        return f"firing rate of {target.which}"
    names: dict[type[Target], str] = {
        Surprisal: "surprisal of the population response",
        Mahalanobis: "squared Mahalanobis distance of the population response from its mean",
        Sum: "sum of the firing rates of all cells",
    }
    return names.get(type(target), type(target).__name__)


def _draw(figure: Figure, alt: str) -> Drawing:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return Drawing(buffer.getvalue(), alt)


def _figures(analysis: RetinaAnalysis) -> Iterator[tuple[str, Figure, str]]:
    """Name, figure and description of everything that is drawn."""
    target = analysis.tree.data_vars[v.TARGET]
    time = plotting.excerpt(target)
    note = " (simulated)" if analysis.simulated else ""
    strip = plotting.plot_stimulus(analysis.stimulus, count=10, title=f"stimulus{note}")
    yield "overview", plotting.plot_overview(analysis, time=time), "all steps on one time axis"
    yield "stimulus", _root(strip), "frames of the movie"
    responses = plotting.plot_responses(analysis.rates, analysis.recorded, time=time, note=note)
    yield "responses", responses, "firing rates of all cells, and of some beside their recording"
    if analysis.completeness.sizes[v.LAYER]:
        yield (
            "completeness",
            plotting.plot_completeness(analysis.tree, note=note),
            "completeness error",
        )
    for layer in analysis.layers:
        yield from _layer_figures(analysis, layer, time, note)
    if analysis.clusters:
        curve = plotting.plot_silhouette(analysis.clusters, title=f"silhouette{note}")
        yield "silhouette", _root(curve), "mean silhouette against number of clusters"


def _layer_figures(
    analysis: RetinaAnalysis, layer: str, time: slice, note: str
) -> Iterator[tuple[str, Figure, str]]:
    node, modes = analysis.tree.children[layer], analysis.modes[layer]
    parts = plotting.plot_contributions(
        node.data_vars[v.CONTRIBUTION],
        analysis.tree.data_vars[v.TARGET],
        analysis.rates,
        time=time,
        target_name=target_name(analysis.target),
        title=f"contributions of {layer}{note}",
    )
    yield f"contributions-{layer}", parts, f"contributions of the channels of {layer} over time"
    used = plotting.plot_modes(modes.dictionary, modes.loadings, time=time, note=note)
    yield f"modes-{layer}", used, f"the most used modes of {layer} and their loadings"
    corr = plotting.plot_mode_correlation(
        analysis.correlation[layer],
        analysis.clusters.get(layer),
        title=f"correlation of firing rate and loading, {layer}{note}",
    )
    yield f"clusters-{layer}", _root(corr), f"cells against modes of {layer}"


def _root(ax: Any) -> Figure:
    figure: Figure = ax.get_figure(root=True)
    return figure


def _seconds(analysis: RetinaAnalysis) -> float:
    times = analysis.rates[v.TIME].values
    return float(times[-1] - times[0])


def _facts(analysis: RetinaAnalysis) -> list[tuple[str, str]]:
    """What was run: the lines of the first table."""
    run = labels.provenance(analysis.tree)
    method = dict(run["method"])
    unused = {"kind"} | (set() if method.get("steps") == "auto" else {"tolerance", "max_steps"})
    options = ", ".join(f"{k} {x}" for k, x in method.items() if k not in unused)
    frames, height, width = analysis.stimulus.shape
    config = analysis.modes[analysis.layers[0]].config
    title = analysis.stimulus.attrs.get("comment") or analysis.stimulus.attrs.get("long_name", "")
    return [
        ("model", analysis.model),
        ("weights (SHA-256)", run["weights_sha256"]),
        ("layers", ", ".join(f"{k} ({x['module']})" for k, x in run["layers"].items())),
        ("movie", f"{frames} frames of {height} x {width} pixels; {title}"),
        ("movie (SHA-256)", run["data_sha256"]),
        ("target", target_name(analysis.target)),
        ("method", method["kind"] + (f": {options}" if options else "")),
        ("modes", f"expansion {config.expansion:g}, threshold {config.threshold:g}"),
        ("seed", str(config.seed)),
    ]


def _match(analysis: RetinaAnalysis) -> dict[str, float] | None:
    """Correlation of the model's rates with the recorded ones, over cells."""
    responses = analysis.responses()
    if "correlation" not in responses:
        return None
    values = responses["correlation"].values
    if np.isnan(values).all():
        return None
    return {"median": np.nanmedian(values), "worst": np.nanmin(values), "best": np.nanmax(values)}


def _completeness(analysis: RetinaAnalysis) -> list[dict[str, Any]]:
    """Completeness of every layer: relative error, and the largest error in the target's units."""
    rows = []
    for row in analysis.completeness:
        layer = str(row[v.LAYER].item())
        error = analysis.tree.children[layer].data_vars[v.COMPLETENESS_ERROR]
        median, most, worst = (float(x) for x in row.values)
        absolute = float(np.abs(error.values).max())
        found = {"layer": layer, "median": median, "most": most, "worst": worst}
        rows.append({**found, "absolute": absolute})
    return rows


def _mode_scores(analysis: RetinaAnalysis, layer: str) -> dict[str, Any]:
    modes = analysis.modes[layer]
    count = modes.dictionary.sizes[v.MODE]
    scores = {"r2": modes.r2, "r2_pooled": modes.r2_pooled, "r2_train": modes.r2_train}
    return {
        "layer": layer,
        "count": count,
        "alive": round(modes.alive * count),
        "l0": modes.l0,
        **scores,
    }


def _files(analysis: RetinaAnalysis) -> Sequence[tuple[str, str, str]]:
    """File, what is in it, and how to open it."""
    first = analysis.layers[0]
    modes = [
        (
            f"modes-{layer}.nc",
            f"modes of {layer}: dictionary, loadings, history",
            f'modes = nc.open("modes-{layer}.nc"); modes.dictionary',
        )
        for layer in analysis.layers
    ]
    return [
        (
            CONTRIBUTIONS,
            "contributions of every channel at every time, activations, completeness errors",
            f'tree = nc.open("{CONTRIBUTIONS}"); tree["{first}/contribution"]',
        ),
        (
            RESPONSES,
            "firing rates of the model, and recorded ones where there are any",
            f'nc.open("{RESPONSES}").firing_rate',
        ),
        *modes,
        (
            CELLS,
            "correlations of cells and modes, clusters, silhouettes, agreement",
            f'cells = nc.open("{CELLS}"); cells["{first}/correlation"]',
        ),
    ]
