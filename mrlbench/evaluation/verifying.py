"""A run's numbers, recomputed from what it keeps under `raw/`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrlbench import measurements
from mrlbench.errors import UserError
from mrlbench.evaluation import manifest_checks, recomputing
from mrlbench.evaluation.comparing import is_timing
from mrlbench.evaluation.kept_scores import Kept, KeptScores, main_queries
from mrlbench.intervals import mean_intervals
from mrlbench.measurements import Row
from mrlbench.runs import Output

SAME = 1e-6  # a CSV has 8 digits


@dataclass
class Report:
    """What was checked, what does not match, and what could not be checked.

    Attributes:
        checked: How many of each kind.
        wrong: A line for each.
        unchecked: How many, by reason.
    """

    checked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, wrong: Sequence[str], count: int = 1) -> None:
        """Count something that was checked, with what does not match."""
        self.checked[kind] += count
        self.wrong.extend(wrong)


def verify(output: Output, embeddings: Path | None = None) -> Report:
    """Recompute every quality metric of a run's CSV files, and check what its manifest states.

    Args:
        output: The run, or any folder with CSV files.
        embeddings: The vectors, where somebody's own were measured; a run has its own.

    Raises:
        UserError: No CSV files of measurements.
    """
    paths = measurements.files(output.folder)
    if not paths:
        raise UserError(f"expected CSV files of measurements in {output.folder}, got none")
    report, tables = Report(), {}
    for path in paths:
        try:
            tables[path.name] = measurements.to_rows(measurements.read(path))
        except UserError as error:
            report.add("CSV files", [f"{path.name}: {error}"])
    rows = [row for table in tables.values() for row in table]
    kept = KeptScores(output.raw, main_queries(rows))
    for name, table in tables.items():
        _check_rows(report, name, table, kept)
    for kind, wrong in recomputing.recompute(output, rows, kept, embeddings):
        if kind == recomputing.UNCHECKED:
            report.unchecked.update(wrong)
        else:
            report.add(kind, wrong)
    for kind, wrong in manifest_checks.check(output, rows, kept):
        report.add(kind, wrong)
    return report


def _check_rows(report: Report, csv: str, rows: Sequence[Row], kept: KeptScores) -> None:
    """Compare the rows of a file with their scores; intervals of one file's arrays at once."""
    found: dict[int, Kept] = {}
    for place, row in enumerate(rows):
        if (reason := _why_not(row)) is not None:
            report.unchecked[f"{csv}: {reason}"] += 1
        elif (scores := kept.of(row)) is None:
            report.unchecked[f"{csv}: {_missing(row, kept)}"] += 1
        else:
            found[place] = scores
    for wrong in _wrong_rows(rows, found):
        report.add("rows against their per-query scores", [f"{csv}: {each}" for each in wrong])


def _why_not(row: Row) -> str | None:
    """Say why a row is no mean over queries; None if it is."""
    if is_timing(row.metric) or row.mode is not None or row.metric in ("bytes", "build_s"):
        return "timings and sizes, which are measured once"
    if row.ci_low is None:
        return "counts, arithmetic and spreads, which are no means over queries"
    return None


def _missing(row: Row, kept: KeptScores) -> str:
    """Say why there are no scores behind a row."""
    if not any(path.is_file() for path in kept.files(row)):
        if not kept.raw.is_dir():
            return "no raw/ beside it (raw files of published runs are not committed)"
        return f"no per-query scores of task {row.task} are kept"
    return f"no per-query scores of {row.task} {row.metric} are kept"


def _wrong_rows(rows: Sequence[Row], found: dict[int, Kept]) -> Iterator[list[str]]:
    """Give, for each row with scores, what of it does not match."""
    for size in {len(each.scores) for each in found.values()}:
        places = [place for place, each in found.items() if len(each.scores) == size]
        for start in range(0, len(places), 200):  # (Q, 200) at once
            some = places[start : start + 200]
            scores = np.stack([found[place].scores for place in some], axis=1)
            for place, interval in zip(some, mean_intervals(scores), strict=True):
                row, source = rows[place], found[place]
                told = {"value": row.value, "ci_low": row.ci_low, "ci_high": row.ci_high}
                wrong = [
                    f"{_name(row)}: {column} {said:.8g}, but {right:.8g} by "
                    f"raw/{source.file.name} {source.key}"
                    for (column, said), right in zip(told.items(), interval, strict=True)
                    if said is not None and not abs(said - right) < SAME * max(1, abs(right))
                ]
                if row.n != size:
                    wrong.append(f"{_name(row)}: n {row.n}, but {size} in raw/{source.file.name}")
                yield wrong


def _name(row: Row) -> str:
    cells = (row.task, row.method, row.variant, row.reducer, row.rerank_dims, row.metric)
    seed = None if row.seed is None else f"seed {row.seed}"
    return " ".join(str(each) for each in (*cells, f"dim {row.dim}", seed) if each is not None)
