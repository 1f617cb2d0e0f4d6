"""The arena on the terminal: quality by bytes, and the answers, in words, that the numbers give."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from mrlbench.evaluation.arena.codes import DTYPES, FLOAT32
from mrlbench.evaluation.arena.contest import PCA, PREFIX
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
SAME = 0.002  # a whole interval within this is no difference worth bytes, as in `gate`


def arena_text(output: Output) -> str:
    """Show quality by bytes per vector, without and with a rerank, and the answers."""
    rows = read_arena(output)
    table = entrants(rows)
    if not any(row.rerank_dims for row in rows):  # models of one narrow dim only
        return _by_bytes(table)
    shown = of_reference(table, rows)
    is_first = shown["rerank_dims"] == ""
    name = f"{main_metric(rows)} of {reference_method(rows)} by bytes per vector"
    parts = [
        f"{name}\n{_by_bytes(shown[is_first])}",
        f"the same, reranked at full width\n{_by_bytes(shown[~is_first])}",
    ]
    return "\n\n".join([*parts, "\n".join(answers(rows))])


def answers(rows: Sequence[Row]) -> list[str]:
    """Say in words what the differences show.

    A difference is told where its 95% interval leaves 0 on one side; an interval within ±0.002 is
    called the same.

    Args:
        rows: Of `arena.csv`.
    """
    metric, name = main_metric(rows), reference_method(rows)
    return [
        f"differences in {metric}, {max(row.n or 0 for row in rows):,} queries; each interval is a "
        f"95% one of its own; the same: all of it within {SAME} of 0",
        f"Do bits beat dimensions? Prefixes of {name} against its float32 prefix of as many bytes:",
        *_codes(rows, BYTES, reranked=False),
        "and against its widest float32 prefix that costs no more FLOPs:",
        *_codes(rows, MFLOPS, reranked=False),
        f"When does PCA beat the prefix of {name}? Of the same type, at equal dims:",
        *_others(rows, reranked=False),
        "Does a rerank at full width erase the difference? As many bytes in the first stage:",
        *_codes(rows, BYTES, reranked=True),
        "and at equal dims:",
        *_others(rows, reranked=True),
        *_as_good_as_exact(rows),
    ]


def _by_bytes(table: pd.DataFrame) -> str:
    """Put quality into a table with a line for each reduction and type."""
    common = table.groupby("bytes_per_vector")["dtype"].transform("size") >= FEWEST
    wide = table[common].pivot_table(
        index=["reducer", "dtype"], columns="bytes_per_vector", values="value", sort=False
    )
    wide = wide[sorted(wide.columns)].rename(columns=lambda count: f"{count:g}")
    return wide.reset_index().to_string(index=False, float_format="{:.3f}".format, na_rep="")


def _codes(rows: Sequence[Row], kind: str, reranked: bool) -> Iterator[str]:
    """Compare the reference's prefix in each type with its float32 prefix."""
    table = _stage(differences(rows, kind), reranked)
    own = (table["method"] == reference_method(rows)) & (table["reducer"] == PREFIX)
    for dtype, some in table[own & (table["dtype"] != FLOAT32)].groupby("dtype", sort=False):
        yield f"  {dtype}: {_told(some, 'bytes_per_vector', 'bytes')}"


def _others(rows: Sequence[Row], reranked: bool) -> Iterator[str]:
    """Compare PCA, and models of one narrow dim, with the reference's prefix of the same type."""
    table = _stage(differences(rows, DIM), reranked)
    narrow = ~table["method"].isin([row.method for row in rows if row.rerank_dims])
    others = table.assign(
        what=("pca of " + table["method"].astype("object")).mask(narrow, SEPARATE)
    )
    others = others[narrow | (table["reducer"] == PCA)]
    for (what, dtype), some in others.groupby(["what", "dtype"], sort=False):
        yield f"  {what}, {dtype}: {_told(some, 'dim', 'dims')}"


def _as_good_as_exact(rows: Sequence[Row]) -> Iterator[str]:
    """Name the fewest bytes of the reference's prefix in each type that lose nothing, reranked."""
    table = _stage(differences(rows, FULL), reranked=True)
    own = (table["method"] == reference_method(rows)) & (table["reducer"] == PREFIX)
    for dtype, some in table[own & (table["ci_low"] > -SAME)].groupby("dtype", sort=False):
        row = some.sort_values("bytes_per_vector").to_dict("records")[0]
        yield (
            f"  {dtype}: not {SAME} worse than exact search at full width from "
            f"{row['bytes_per_vector']:g} bytes on, {row['dim']} dims ({_interval(row)}); "
            f"{row['bytes_per_vector_whole']:g} bytes with the vectors that are reranked"
        )


def _stage(table: pd.DataFrame, reranked: bool) -> pd.DataFrame:
    table = table[(table["rerank_dims"] != "") == reranked]
    order = table["dtype"].map({name: place for place, name in enumerate(DTYPES)})
    return table.loc[order.sort_values(kind="stable").index]


def _told(table: pd.DataFrame, column: str, unit: str) -> str:
    """Say where a difference is above 0, below it, none, or not told, and give the largest."""
    ordered = table.sort_values(column)
    same = (ordered["ci_low"] > -SAME) & (ordered["ci_high"] < SAME)
    above, below = ~same & (ordered["ci_low"] > 0), ~same & (ordered["ci_high"] < 0)
    verdicts = {"better": above, "worse": below, "the same": same}
    verdicts["cannot be told"] = ~(above | below | same)
    parts = [
        f"{word} at {', '.join(f'{each:g}' for each in ordered.loc[some, column])}"
        for word, some in verdicts.items()
        if some.any()
    ]
    largest = max(ordered.to_dict("records"), key=lambda row: abs(row["value"]))
    return f"{'; '.join(parts)} {unit} ({_interval(largest)} at {largest[column]:g})"


def _interval(row: Mapping[Hashable, Any]) -> str:
    return f"{row['value']:+.3f}, {row['ci_low']:+.3f} to {row['ci_high']:+.3f}"
