"""Who suffers first: which classes lose most at few dims."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrlbench.arrays import AnyFloatArray, IntArray
from mrlbench.intervals import mean_intervals
from mrlbench.reports.page.blocks import (
    Axis,
    Block,
    Cell,
    Chart,
    Paragraph,
    Point,
    Row,
    Section,
    Series,
    Table,
    looks,
)
from mrlbench.reports.page.curves import dims_axis
from mrlbench.reports.page.evidence import Evidence, evidence
from mrlbench.reports.page.examples import examples
from mrlbench.reports.page.numbers import number, percent
from mrlbench.reports.page.things import Things, things_of
from mrlbench.reports.selections import main_method
from mrlbench.runs import Output

TITLE = "Who suffers first"
DRAWN = 3  # classes that lose most, and that lose least
NOTE = (
    "mAP@10 of the queries of each class. The classes were chosen by what they lose in these same "
    "queries, so the extremes are partly chance: the interval is of each class alone."
)


@dataclass(frozen=True)
class ByClass:
    """The mean score of each class at each dim.

    Attributes:
        numbers: (C,) of the classes that have queries, those that lose most first.
        means: (C, M).
        counts: (C,) queries.
        lost: (C, 3): what each loses from the widest dim to the narrowest, with its interval.
    """

    numbers: IntArray
    means: AnyFloatArray
    counts: IntArray
    lost: AnyFloatArray


def by_class(scores: AnyFloatArray, labels: IntArray) -> ByClass:
    """Average scores, (Q, M), over the queries of each class, (Q,)."""
    numbers, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(numbers), scores.shape[1]))
    np.add.at(sums, place, scores)
    losses = scores[:, -1] - scores[:, 0]  # (Q,)
    intervals = [mean_intervals(losses[place == c, None])[0] for c in range(len(numbers))]
    lost = np.array([[each.value, each.low, each.high] for each in intervals])
    order = np.argsort(-lost[:, 0], kind="stable")
    means = sums / counts[:, None]
    return ByClass(numbers[order], means[order], counts[order], lost[order])


def classes(output: Output, data_dir: Path) -> Section:
    """Show the loss of each class and examples with their neighbours.

    Args:
        output: The run.
        data_dir: Where data sets are: what queries and rows look like.
    """
    found = evidence(output, main_method(output))
    if found is None:
        missing = Paragraph(
            "Which classes lose most, and examples, need the score of each query in raw/, which is "
            "not in this folder (it is not committed with published runs). They are made by:",
            "mrlbench eval-retrieval RUN --force",
        )
        return Section("classes", TITLE, [missing])
    things, blocks = things_of(output, data_dir), list[Block | Row]()
    if found.labels is None:
        blocks.append(Paragraph("There are no classes: relevance is by judgements, or not known."))
    else:
        blocks += _losses(found, by_class(found.scores, found.labels.queries), things)
    return Section("classes", TITLE, [*blocks, *examples(output, found, things)])


def _losses(found: Evidence, losses: ByClass, things: Things) -> list[Block | Row]:
    dims = found.dims
    names = [things.class_name(int(each)) for each in losses.numbers]
    worst = ", ".join(names[:DRAWN])
    said = (
        f"From {dims[-1]} dims to {dims[0]}, these classes lose most mAP@10: {worst}. "
        f"The one that loses least is {names[-1]}. {NOTE}"
    )
    chart = _chart(found, losses, names)
    return [Paragraph(said), Row([chart]), _table(found, losses, names)]


def _chart(found: Evidence, losses: ByClass, names: Sequence[str]) -> Chart:
    """Draw the classes that lose most and least."""
    count = len(names)
    places = sorted({*range(min(DRAWN, count)), *range(max(0, count - DRAWN), count)})
    lines = []
    for place, look in zip(places, looks(), strict=False):
        pairs = zip(found.dims, losses.means[place], strict=True)
        points = [Point(float(dim), percent(float(mean))) for dim, mean in pairs]
        which = "loses most" if place < DRAWN else "loses least"
        lines.append(Series(f"{names[place]} ({which})", points, look))
    x, y = dims_axis(found.dims), Axis("mAP@10, %")
    return Chart("mAP@10 of single classes", x, y, lines, found.label)


def _table(found: Evidence, losses: ByClass, names: Sequence[str]) -> Table:
    rows: list[list[Cell]] = []
    for place, name in enumerate(names):
        value, low, high = (f"{100 * each:.1f}" for each in losses.lost[place])
        means = [number(round(100 * float(mean), 2)) for mean in losses.means[place]]
        rows.append([name, int(losses.counts[place]), f"{value} ({low} to {high})", *means])
    title = f"Points of mAP@10 that each class loses from {found.dims[-1]} dims to {found.dims[0]}"
    columns = ["class", "queries", "points lost (95%)", *(f"at {dim}" for dim in found.dims)]
    return Table(title, columns, rows, folded=len(rows) > 20)
