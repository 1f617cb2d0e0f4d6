"""Search by the clock: recall against throughput, and exact search against graphs."""

from itertools import product

import pandas as pd

from mrlbench.reports.page.blocks import (
    Axis,
    Block,
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
from mrlbench.reports.page.numbers import Record, number
from mrlbench.reports.plots import MODES
from mrlbench.reports.selections import GOOD_RECALL, fast_enough, speed
from mrlbench.reports.series import read, subject
from mrlbench.runs import Output

TITLE = "Exact search against graphs"
NOTE = (
    "recall_dim@10 compares with exact search at the same width, so it says what the index loses "
    "and not what the width does. One query at a time and all at once are two measurements."
)


def search(output: Output) -> Section:
    """Draw recall against queries per second, and time against dim."""
    tables = {mode: speed(output, mode) for mode in MODES}
    known = {mode: table for mode, table in tables.items() if len(table)}
    if not known:
        missing = Paragraph("Search was not timed in this run.", "mrlbench bench-search RUN")
        return Section("search", TITLE, [missing])
    fronts = [_front(table, mode) for mode, table in known.items()]
    times = [_time(table, mode) for mode, table in known.items()]
    blocks: list[Block | Row] = [Row(fronts), Paragraph(NOTE), Row(times), _built(output)]
    return Section("search", TITLE, blocks)


def _front(table: pd.DataFrame, mode: str) -> Chart:
    """Draw queries per second against recall, a line for each index and dim."""
    lines = []
    groups = table[table["recall"].notna()].groupby(["index", "dim"], sort=False)
    for ((index, dim), rows), look in zip(groups, looks(), strict=False):
        rows = rows.sort_values("recall")
        points = [
            Point(100 * row["recall"], 1e6 / row["value"], *_rates(row), _effort(row))
            for row in rows.to_dict("records")
        ]
        lines.append(Series(f"{index}, {dim} dims", points, look))
    x, y = Axis("recall_dim@10, %"), Axis("queries per second", "log")
    return Chart(f"Recall and throughput, {MODES[mode]}", x, y, lines, _where(table))


def _rates(row: Record) -> tuple[float | None, float | None]:
    ends = row["ci_high"], row["ci_low"]  # the longest time is the lowest rate
    low, high = (None if end != end else 1e6 / end for end in ends)  # NaN is not itself
    return low, high


def _effort(row: Record) -> str:
    return f"effort {row['effort']}" if isinstance(row["effort"], int) else ""


def _time(table: pd.DataFrame, mode: str) -> Chart:
    """Draw time per query against dim: the fastest effort with good recall."""
    lines = []
    for (index, rows), look in zip(table.groupby("index", sort=False), looks(), strict=False):
        best = pd.concat([fast_enough(each) for _, each in rows.groupby("dim")])
        points = [
            Point(row["dim"], row["value"], row["ci_low"], row["ci_high"], _effort(row))
            for row in best.to_dict("records")
        ]
        lines.append(Series(str(index), points, look))
    note = f"{_where(table)}; the fastest effort with a recall_dim@10 of {GOOD_RECALL:.0%}"
    title = f"Time by width, {MODES[mode]}"
    return Chart(title, dims_axis(table["dim"]), Axis("µs per query", "log"), lines, note)


def _where(table: pd.DataFrame) -> str:
    return f"{subject(table)}, {table['threads'].iloc[0]} threads"


def _built(output: Output) -> Table:
    """Say what each index takes to build and to keep."""
    build, size = (read(output, "search_speed", metric) for metric in ("build_s", "bytes"))
    known = {  # one row of each, though runs with other threads or a grid may have added theirs
        metric: each[each["task"] == "search-speed"]
        .drop_duplicates(["index", "dim"], keep="last")
        .set_index(["index", "dim"])["value"]
        for metric, each in (("build", build), ("bytes", size))
    }
    rows = []
    for index, dim in product(build["index"].unique(), sorted(build["dim"].unique())):
        cells = [float(each.get((index, dim), float("nan"))) for each in known.values()]
        rows.append([f"{index}, {dim} dims", number(cells[0]), number(cells[1] / 1e6)])
    return Table("What an index takes", ["index", "seconds to build", "MB"], rows)
