"""Adaptive retrieval: a shortlist at Ds, reranked at Dr, for every pair."""

import pandas as pd

from mrlbench.reports.page.blocks import Block, HeatMap, Paragraph, Row, Section, Table
from mrlbench.reports.page.numbers import interval, number, percent
from mrlbench.reports.series import read
from mrlbench.runs import Output

TITLE = "Shortlist and rerank: Ds × Dr"
NOTE = (
    "Each cell is mAP@10 in percent after a shortlist found at Ds (down) is reranked at Dr "
    "(across); on the diagonal is exact search at that width, with nothing reranked. The stronger "
    "the colour the better, within each table."
)


def grid(output: Output) -> Section:
    """Show mAP@10 of every pair as a heat map for each method, and the funnels."""
    table = read(output, "adaptive_retrieval", "map@10")
    if table.empty:
        missing = Paragraph("No reranks in this run.", "mrlbench eval-adaptive-retrieval RUN")
        return Section("grid", TITLE, [missing])
    costs = read(output, "adaptive_retrieval", "mflops")
    keys = ["method", "seed", "dim", "rerank_dims", "shortlist"]
    table = table.merge(costs[[*keys, "value"]], on=keys, suffixes=("", "_mflops"))
    funnel = table["rerank_dims"].str.contains(">")
    single = table[~funnel]
    length = single["shortlist"].mode()
    exact = read(output, "retrieval", "map@10")
    exact = exact[exact["reducer"] == "prefix"]
    blocks: list[Block | Row] = []
    if len(length):
        single = single[single["shortlist"] == length.iloc[0]]
        maps = [
            _map(rows, exact[exact["method"] == method], str(length.iloc[0]))
            for method, rows in sorted(single.groupby("method"), key=lambda each: _order(each[0]))
        ]
        blocks += [Row(maps), Paragraph(NOTE)]
    if funnel.any():
        blocks.append(_funnels(table[funnel]))
    return Section("grid", TITLE, blocks)


def _order(method: str) -> tuple[bool, bool, str]:
    return method.startswith("fixed-"), method != "mrl", method


def _map(rows: pd.DataFrame, exact: pd.DataFrame, length: str) -> HeatMap:
    cells = {(int(row["dim"]), int(row["rerank_dims"])): row for row in _means(rows)}
    cells |= {(int(row["dim"]),) * 2: row for row in _means(exact.assign(rerank_dims=""))}
    wide = sorted({dim for _, dim in cells})
    narrow = sorted({dim for dim, _ in cells if any((dim, other) in cells for other in wide)})
    method = str(rows["method"].iloc[0])
    return HeatMap(
        f"{method}: mAP@10, %, shortlists of {length}",
        method,
        "Ds ↓ Dr →",
        [str(dim) for dim in wide],
        [str(dim) for dim in narrow],
        [[_value(cells.get((ds, dr))) for dr in wide] for ds in narrow],
        [[_note(cells.get((ds, dr))) for dr in wide] for ds in narrow],
    )


def _means(rows: pd.DataFrame) -> list[dict[str, float]]:
    """Average seeds; intervals reach from the lowest to the highest end."""
    how = {"value": "mean", "ci_low": "min", "ci_high": "max", "value_mflops": "mean"}
    known = {column: each for column, each in how.items() if column in rows}
    found = rows.groupby(["dim", "rerank_dims"], as_index=False).agg(known)
    return [{str(key): cell for key, cell in row.items()} for row in found.to_dict("records")]


def _value(row: dict[str, float] | None) -> float | None:
    return None if row is None else percent(row["value"])


def _note(row: dict[str, float] | None) -> str:
    if row is None:
        return ""
    cost = f", {row['value_mflops']:.4g} MFLOPs" if "value_mflops" in row else ", exact"
    ends = interval(percent(row["ci_low"]), percent(row["ci_high"]))
    return f"{number(percent(row['value']))}{ends}{cost}"


def _funnels(table: pd.DataFrame) -> Table:
    rows = [
        [
            f"{row['method']}, from {row['dim']}",
            f"{row['shortlist']} at {row['rerank_dims']}",
            f"{number(percent(row['value']))}"
            f"{interval(percent(row['ci_low']), percent(row['ci_high']))}",
            number(row["value_mflops"]),
        ]
        for row in table.sort_values(["method", "dim"]).to_dict("records")
    ]
    columns = ["funnel", "reranked", "mAP@10, %", "MFLOPs per query"]
    return Table("Funnels: the dims grow while the shortlist shrinks", columns, rows)
