"""The figure of an inspection: what each way to d coordinates keeps."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrlbench.evaluation.inspection.arms import ARMS, MAP, PREFIX, RECALL
from mrlbench.evaluation.inspection.inspection import Inspection
from mrlbench.reports.style import (
    HEIGHT,
    add_panel,
    dim_axis,
    line,
    looks,
    save_figure,
    use_plain_style,
)
from mrlbench.runs import Output

PANEL = 5.0  # inches
QUALITY = {RECALL: "share of full-width neighbours kept", MAP: "mAP@10"}
ARM_NAMES = {
    "prefix": "first k",
    "pca": "PCA",
    "random-dims": "random dims",
    "rotated": "first k of a rotated copy",
    "last-dims": "last k",
}


def draw_inspection(inspection: Inspection, output: Output) -> Path:
    """Draw what is kept by dim, and the variance, as PNG and SVG; returns the PNG's path."""
    use_plain_style()
    measures = [each for each in QUALITY if any(p.measure == each for p in inspection.points)]
    panels = len(measures) + 1
    figure = Figure(figsize=(PANEL * panels, HEIGHT), layout="constrained")
    sizes = f"{inspection.subject.sampled_rows:,} of {inspection.subject.rows:,} rows"
    figure.suptitle(f"{inspection.subject.name}: {inspection.verdict.word} ({sizes})")
    for place, measure in enumerate(measures, 1):
        axes = add_panel(figure, QUALITY[measure], "dimensions", "", place, panels)
        _draw_quality(axes, inspection, measure)
    axes = add_panel(figure, "share of the variance kept", "dimensions", "", panels, panels)
    _draw_variance(axes, inspection)
    return save_figure(figure, output.plots, "inspect")


def _draw_quality(axes: Axes, inspection: Inspection, measure: str) -> None:
    columns = {"low": "ci_low", "high": "ci_high"}
    table = pd.DataFrame(inspection.points).rename(columns=columns)
    table = table[table["measure"] == measure]
    for arm, look in zip(ARMS, looks(), strict=False):
        rows = table[table["arm"] == arm].sort_values("dim")
        if len(rows):
            line(axes, rows["dim"], rows, ARM_NAMES[arm], look)
    _finish(axes, inspection)


def _draw_variance(axes: Axes, inspection: Inspection) -> None:
    spectrum = inspection.spectrum
    shares = {PREFIX: spectrum.prefix, "pca": spectrum.pca}
    for (arm, values), look in zip(shares.items(), looks(), strict=False):
        axes.plot(
            spectrum.dims, values, label=ARM_NAMES[arm], markersize=4.5, linewidth=1.4, **look
        )
    rank = spectrum.effective_rank
    if spectrum.dims[0] <= rank <= spectrum.dims[-1]:
        axes.axvline(rank, color="grey", linewidth=1, linestyle=":")
        axes.text(rank, 0.02, f" effective rank {rank:.0f}", color="grey", fontsize=8)
    _finish(axes, inspection)


def _finish(axes: Axes, inspection: Inspection) -> None:
    dim_axis(axes, list(inspection.subject.dims))
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
