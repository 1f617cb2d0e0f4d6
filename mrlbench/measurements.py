"""Measurements: one row, one number; the same columns in every CSV file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from mrlbench.errors import UserError
from mrlbench.files import locked, replacing


@dataclass(frozen=True)
class Row:
    """One number and everything that it depends on; None where a column does not apply.

    Attributes:
        run: The run's name.
        dataset: The data set's name.
        queries: The query set.
        n_database: Rows searched.
        task: What was measured, such as `retrieval`.
        method: How the vectors were trained.
        variant: What was varied in an ablation or a cascade rule.
        reducer: How D became d.
        dim: d, or Ds where there is a shortlist.
        dtype: How the vectors are stored.
        index: The index with its build arguments; None for exact search outside `bench-search`.
        effort: The index's dial.
        rerank_dims: `2048`, or a funnel's `32>64>2048`.
        shortlist: How many rows are reranked at each of `rerank_dims`, likewise.
        k: Neighbours asked for.
        mode: `single` or `batch`, for timings.
        threads: For timings.
        metric: The name of the number.
        value: The number; accuracies are fractions.
        ci_low: Of the 95% interval.
        ci_high: Of the 95% interval.
        n: Queries or repeats behind the value.
        seed: Of the training.
    """

    run: str
    dataset: str
    queries: str | None = None
    n_database: int | None = None
    task: str | None = None
    method: str | None = None
    variant: str | None = None
    reducer: str | None = None
    dim: int | None = None
    dtype: str | None = None
    index: str | None = None
    effort: int | None = None
    rerank_dims: str | None = None
    shortlist: str | None = None
    k: int | None = None
    mode: str | None = None
    threads: int | None = None
    metric: str = ""
    value: float = float("nan")
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    seed: int | None = None


COLUMNS = [field.name for field in fields(Row)]
NUMBERS = {"value", "ci_low", "ci_high"}
COUNTS = {"n_database", "dim", "effort", "k", "threads", "n", "seed"}
KEY = [column for column in COLUMNS if column not in {*NUMBERS, "n"}]
DTYPES = {
    column: "float64" if column in NUMBERS else "Int64" if column in COUNTS else "string"
    for column in COLUMNS
}


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Put rows into a table with the CSV's columns and types."""
    return pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS).astype(DTYPES)


def read(path: Path) -> pd.DataFrame:
    """Read a CSV of measurements.

    Raises:
        UserError: The file does not have exactly the columns of measurements.
    """
    try:
        table = pd.read_csv(path, dtype=DTYPES, keep_default_na=False, na_values=[""])
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"expected a CSV of measurements in {path}: {error}") from error
    if list(table.columns) != COLUMNS:
        raise UserError(
            f"expected the columns {', '.join(COLUMNS)} in {path}, got {', '.join(table.columns)}"
        )
    return table


def to_rows(table: pd.DataFrame) -> list[Row]:
    """Turn the lines of a table back into rows; empty cells are None."""
    plain = table[COLUMNS].astype(object).where(table[COLUMNS].notna(), None)
    return [Row(*cells) for cells in plain.itertuples(index=False)]


def files(folder: Path) -> list[Path]:
    """List the CSV files of measurements in a folder; others, such as claims, are not."""
    return [path for path in sorted(folder.glob("*.csv")) if _is_measurements(path)]


def _is_measurements(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().strip() == ",".join(COLUMNS)


def merge(
    path: Path, rows: Iterable[Row], instead_of: Mapping[str, object] | None = None
) -> pd.DataFrame:
    """Write rows into a CSV: those with the same key are replaced, the others kept.

    The effort of an `adaptive-pipeline` is what was chosen, so it is not part of that key.

    Args:
        path: The CSV.
        rows: New ones.
        instead_of: Cells, or patterns of them; every earlier row that has all is dropped.

    Returns:
        The new rows as a table.
    """
    new = to_frame(rows)
    with locked(path.parent):
        table = pd.concat([_without(path, instead_of), new], ignore_index=True)
        chosen = table["task"] == "adaptive-pipeline"
        keys = table[KEY].assign(effort=table["effort"].mask(chosen.fillna(False)))
        table = table[~keys.duplicated(keep="last")].sort_values(KEY, kind="stable")
        with replacing(path) as beside:
            table.to_csv(beside, index=False, float_format="%.8g")
    return new


def _without(path: Path, cells: Mapping[str, object] | None) -> pd.DataFrame:
    """Read a CSV that may not be there yet, without the rows that have all of some cells."""
    table = read(path) if path.exists() else to_frame([])
    if not cells:
        return table
    has_all = pd.Series(True, index=table.index)
    for column, value in cells.items():
        has_all &= _is(table[column], value).fillna(False)
    return table[~has_all]


def _is(cells: "pd.Series[str]", value: object) -> "pd.Series[bool]":
    if value is None:
        return cells.isna()
    return cells.str.fullmatch(value) if isinstance(value, re.Pattern) else cells == value
