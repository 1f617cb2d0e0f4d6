"""The arena on the terminal: quality by bytes, and the answers, in words, that the numbers give."""

from collections.abc import Iterator, Sequence

import pandas as pd

from mrlbench.evaluation.arena.codes import FLOAT32
from mrlbench.evaluation.arena.contest import PREFIX
from mrlbench.evaluation.arena.differences import (
    BYTES,
    DIM,
    FULL,
    MFLOPS,
    main_metric,
    reference_method,
)
from mrlbench.measurements import Row
from mrlbench.reports.arena_series import SEPARATE, differences, entrants, of_reference, read_arena
from mrlbench.runs import Output

FEWEST = 2  # entrants, for a column of the table
VERDICTS = ("better", "worse", "cannot be told")


def arena_text(output: Output) -> str:
    """Show quality by bytes per vector, without and with a rerank, and the answers."""
    rows = read_arena(output)
    table = entrants(rows)
    if not any(row.rerank_dims for row in rows):
        return _by_bytes(table)
    shown = of_reference(table, rows)
    is_first = shown["rerank_dims"] == ""
    name = f"{main_metric(rows)} of {reference_method(rows)}, by bytes per vector"
    parts = [f"{name}\n{_by_bytes(shown[is_first])}"]
    parts.append(f"the same, reranked at full width\n{_by_bytes(shown[~is_first])}")
    return "\n\n".join([*parts, "\n".join(answers(rows))])


def answers(rows: Sequence[Row]) -> list[str]:
    """Say what the differences show: each is told where its 95% interval leaves 0 on one side.

    Args:
        rows: Of `arena.csv`.
    """
    asked = max(row.n or 0 for row in rows)
    return [
        f"{asked:,} queries; each interval is a 95% one of its own",
        "Do bits beat dimensions? Prefixes against as many bytes of a float32 prefix:",
        *_codes(rows, BYTES, "bytes_per_vector", "bytes"),
        "and against a float32 prefix that costs as many FLOPs:",
        *_codes(rows, MFLOPS, "dim", "dims"),
        "When does another reduction beat the prefix? At equal dims and type:",
        *_reductions(rows, reranked=False),
        "Does a rerank erase the difference? The same, reranked:",
        *_reranked(rows),
        *_reductions(rows, reranked=True),
        *_as_good_as_exact(rows),
    ]


def _by_bytes(table: pd.DataFrame) -> str:
    """Put quality into a table with a line for each reduction and type."""
    keys = ["reducer", "dtype"]
    common = table.groupby("bytes_per_vector")["dtype"].transform("size") >= FEWEST
    wide = table[common].pivot_table(
        index=keys, columns="bytes_per_vector", values="value", sort=False
    )
    wide = wide[sorted(wide.columns)].rename(columns=lambda count: f"{count:g}")
    return wide.reset_index().to_string(index=False, float_format="{:.3f}".format, na_rep="")


def _codes(rows: Sequence[Row], kind: str, column: str, unit: str) -> Iterator[str]:
    """Compare the prefix in each type with the float32 prefix, without a rerank."""
    table = _prefixes(differences(rows, kind), rows)
    for dtype, some in table[table["rerank_dims"] == ""].groupby("dtype", sort=False):
        yield f"  {dtype}: {_told(some, column, unit)}"


def _reranked(rows: Sequence[Row]) -> Iterator[str]:
    table = _prefixes(differences(rows, BYTES), rows)
    for dtype, some in table[table["rerank_dims"] != ""].groupby("dtype", sort=False):
        yield f"  {dtype}: {_told(some, 'bytes_per_vector', 'bytes')}"


def _reductions(rows: Sequence[Row], reranked: bool) -> Iterator[str]:
    """Compare every other reduction, and other models, with the prefix of the same type."""
    table = differences(rows, DIM)
    table = table[(table["rerank_dims"] != "") == reranked]
    name = reference_method(rows)
    shown = of_reference(table, rows)
    others = table[~table.index.isin(shown.index)]
    labelled = pd.concat(
        [
            shown.assign(label=shown["reducer"]),
            others.assign(label=others["reducer"] + " of " + others["method"].astype("object")),
        ]
    )
    for (label, dtype), some in labelled.groupby(["label", "dtype"], sort=False):
        yield f"  {label}, {dtype}, against {name}: {_told(some, 'dim', 'dims')}"


def _as_good_as_exact(rows: Sequence[Row]) -> Iterator[str]:
    """Name the fewest bytes of each type that, reranked, cannot be told from exact search."""
    table = _prefixes(differences(rows, FULL), rows, floats=True)
    table = table[table["rerank_dims"] != ""]
    for dtype, some in table.groupby("dtype", sort=False):
        level = some[some["ci_high"] >= 0].sort_values("bytes_per_vector").head(1)
        for row in level.to_dict("records"):
            yield (
                f"  {dtype}, reranked, cannot be told from exact search at full width from "
                f"{row['bytes_per_vector']:g} bytes on ({row['dim']} dims): {_interval(row)}; with "
                f"the vectors that are reranked {row['bytes_per_vector_whole']:g} bytes"
            )


def _prefixes(table: pd.DataFrame, rows: Sequence[Row], floats: bool = False) -> pd.DataFrame:
    """Keep the reference method's prefixes, with float32 or without."""
    kept = (table["method"] == reference_method(rows)) & (table["reducer"] == PREFIX)
    return table[kept & (floats | (table["dtype"] != FLOAT32))]


def _told(table: pd.DataFrame, column: str, unit: str) -> str:
    """Say where a difference is above 0, below 0, or not told, and give its largest."""
    ordered = table.sort_values(column)
    above, below = ordered["ci_low"] > 0, ordered["ci_high"] < 0
    parts = [
        f"{word} at {', '.join(f'{each:g}' for each in ordered.loc[some, column])} {unit}"
        for word, some in zip(VERDICTS, (above, below, ~above & ~below), strict=True)
        if some.any()
    ]
    widest = ordered.to_dict("records")[-1]
    return f"{'; '.join(parts)} ({_interval(widest)} at {widest[column]:g})"


def _interval(row: dict[str, object]) -> str:
    return f"{row['value']:+.3f}, {row['ci_low']:+.3f} to {row['ci_high']:+.3f}"
