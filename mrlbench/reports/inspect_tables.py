"""What an inspection found, for the terminal."""

from collections.abc import Iterator

import pandas as pd

from mrlbench.evaluation.inspection.arms import (
    ARMS,
    MAP,
    PREFIX,
    RANDOM,
    RECALL,
    ROTATED,
)
from mrlbench.evaluation.inspection.inspection import Inspection
from mrlbench.evaluation.inspection.order import NAMES
from mrlbench.reports.tables import plain_table


def inspection_text(inspection: Inspection) -> str:
    """Show the tables, the checks, the notes and the verdict."""
    return "\n".join(
        [
            _head(inspection),
            "",
            plain_table(_shape_table(inspection)),
            *_quality(inspection),
            "",
            *_facts(inspection),
            "",
            *(f"{_mark(c.passed)} {c.name}: {c.found}" for c in inspection.checks),
            *(f"note  {each}" for each in (*inspection.notes, *inspection.advice)),
            "",
            f"verdict: {inspection.verdict.word}: {inspection.verdict.reason}",
        ]
    )


def _mark(passed: bool) -> str:
    return "ok   " if passed else "WRONG"


def _head(inspection: Inspection) -> str:
    subject = inspection.subject
    return (
        f"{subject.name}: {subject.rows:,} rows and {subject.queries:,} queries of {subject.width} "
        f"coordinates, {subject.dtype}; looked at closely: {subject.sampled_rows:,} rows and "
        f"{subject.sampled_queries:,} queries, seed {subject.seed}"
    )


def _shape_table(inspection: Inspection) -> pd.DataFrame:
    spectrum = inspection.spectrum
    return pd.DataFrame(
        {
            "dims": [_dim(inspection, dim) for dim in inspection.subject.dims],
            "variance kept": spectrum.prefix,
            "by PCA": spectrum.pca,
            "length kept": [each.share for each in inspection.prefixes],
            "missed by raw inner products": [each.changed for each in inspection.prefixes],
        }
    )


def _dim(inspection: Inspection, dim: int) -> str:
    return f"{dim}*" if inspection.subject.untrained(dim) else str(dim)


def _quality(inspection: Inspection) -> Iterator[str]:
    """Give a table for each measure: what each arm keeps, and the differences that matter."""
    for measure in (RECALL, MAP):
        points = [each for each in inspection.points if each.measure == measure]
        if not points:
            continue
        wide = pd.DataFrame(points).pivot_table(index="dim", columns="arm", values="value")
        wide = wide[[arm for arm in ARMS if arm in wide]]
        for arm in (RANDOM, ROTATED):
            own = [d for d in inspection.differences if (d.measure, d.against) == (measure, arm)]
            cells = {d.dim: f"{d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})" for d in own}
            wide[f"{PREFIX} - {arm}"] = wide.index.map(cells.get)
        table = wide.reset_index().rename(columns={"dim": "dims"})
        table["dims"] = [_dim(inspection, dim) for dim in table["dims"]]
        queries = f"{points[0].queries:,} queries in the sample"
        yield f"\n{NAMES[measure]}, mean of {queries} (95% interval)"
        yield plain_table(table)


def _facts(inspection: Inspection) -> Iterator[str]:
    lengths, spectrum, odd = inspection.lengths, inspection.spectrum, inspection.coordinates
    if any(inspection.subject.untrained(dim) for dim in inspection.subject.dims):
        trained = ", ".join(map(str, inspection.subject.trained))
        yield f"* not trained: meta.json says {trained}"
    yield (
        f"lengths {lengths.smallest:.4g} to {lengths.largest:.4g}, median {lengths.median:.4g}; "
        f"unit length: {lengths.unit}"
    )
    yield (
        f"effective rank {spectrum.effective_rank:.1f}, participation ratio "
        f"{spectrum.participation_ratio:.1f}, of {inspection.subject.width}"
    )
    yield (
        f"length of the mean unit vector {odd.mean_norm:.3f}, mean cosine of two rows "
        f"{odd.mean_cosine:.3f}; largest coordinate {odd.largest_share:.1%} of the squares"
    )
