"""Where FLOPs and the clock disagree, and which stage is why."""

from dataclasses import dataclass

import pandas as pd

from mrlbench.reports.page.blocks import Block, Cell, Paragraph, Table
from mrlbench.reports.page.numbers import Record, number
from mrlbench.reports.plots import MODES
from mrlbench.reports.selections import most_threads
from mrlbench.reports.series import read
from mrlbench.runs import Output

KEYS = ["dim", "index", "effort", "rerank_dims", "shortlist"]
MILLION = 1e6


def disagreement(output: Output) -> list[Block]:
    """Compare the speed-up by FLOPs with that by the clock, and the stages of a pipeline."""
    table = read(output, "search_speed", "us_per_query")
    pipelines = _pipelines(output)
    blocks: list[Block] = [pipelines] if pipelines.rows else []
    for mode in MODES:
        times = most_threads(table[table["mode"] == mode])
        exact = _exact(times)
        if len(exact) > 1:
            blocks += [_speedups(exact, mode), Paragraph(_sentence(exact, mode))]
        stages = _stages(output, times)
        if stages:
            blocks.append(_stage_table(stages, mode))
    return blocks


def _pipelines(output: Output) -> Table:
    """Compare each graph with a rerank with the graph at full width that is as good."""
    names = ("flops_speedup", "speedup_at_equal_map@10", "map@10_difference")
    flops, clock, quality = (read(output, "search_speed", name) for name in names)
    clock, rows = clock[clock["rerank_dims"].notna()], list[list[Cell]]()
    for place in clock[KEYS].drop_duplicates().to_dict("records"):
        told = [_cell(flops, place, ""), *(_cell(clock, place, mode) for mode in MODES)]
        rows.append([_name(place), *told, _cell(quality, place, "", scale=100)])
    caption = "A graph at few dims with a rerank: faster than the graph at full width"
    by = [f"by the clock, {mode}" for mode in MODES]
    note = "× below 1 is slower. Graphs are compared at equal mAP@10, efforts chosen beforehand."
    return Table(caption, ["pipeline", "by FLOPs", *by, "mAP@10, points"], rows, note=note)


def _name(row: Record) -> str:
    return f"{row['index']} at {row['dim']}, then {row['shortlist']} at {row['rerank_dims']}"


def _cell(table: pd.DataFrame, place: Record, mode: str, scale: int = 1) -> str:
    """Write the number of a pipeline in one mode with its interval; nothing if there is none."""
    own = table[table["mode"] == mode] if mode else table[table["mode"].isna()]
    for key, cell in place.items():
        own = own[own[key] == cell]
    if own.empty:
        return "not counted"
    value, low, high = (float(own[end].iloc[0]) * scale for end in ("value", "ci_low", "ci_high"))
    unit = "×" if scale == 1 else ""
    known = low == low  # arithmetic has no interval
    return f"{value:.3g}{unit}" + (f" ({low:.3g} to {high:.3g})" if known else "")


def _exact(times: pd.DataFrame) -> pd.DataFrame:
    """Give the exact searches with their multiply–adds and what each of these takes."""
    exact = times[(times["task"] == "search-speed") & (times["index"] == "exact")]
    exact = exact.sort_values("dim")
    adds = exact["dim"].astype(float) * exact["n_database"].astype(float)
    return exact.assign(adds=adds, ns=1000 * exact["value"] / adds)


def _speedups(exact: pd.DataFrame, mode: str) -> Table:
    full = exact.iloc[-1]
    rows: list[list[Cell]] = [
        [
            int(row["dim"]),
            f"{full['adds'] / row['adds']:.3g}×",
            f"{full['value'] / row['value']:.3g}×",
            number(float(row["value"])),
            number(float(row["ns"])),
        ]
        for _, row in exact.iterrows()
    ]
    caption = f"Exact search, {MODES[mode]}: faster than at {full['dim']} dims"
    columns = ["dims", "by FLOPs", "by the clock", "µs per query", "ns per multiply–add"]
    return Table(caption, columns, rows)


def _sentence(exact: pd.DataFrame, mode: str) -> str:
    narrow, full = exact.iloc[0], exact.iloc[-1]
    flops, clock = full["adds"] / narrow["adds"], full["value"] / narrow["value"]
    by = f"by {flops:.3g} times the FLOPs, by {clock:.3g} times the clock"
    start = f"From {full['dim']} dims to {narrow['dim']} an exact search becomes cheaper {by}. "
    if clock < flops:
        return start + (
            "The multiplication shrinks, but a score for each of the "
            f"{full['n_database']:,} rows is still written and ranked, and that does not depend on "
            "the width."
        )
    size = 4 * full["adds"] / 1e9  # float32
    return start + (
        "Likely the wide search waits for memory, which FLOPs do not count: one query reads "
        f"{size:.2g} GB of rows, {size / full['value'] * 1e6:.2g} GB/s; narrow ones fit in caches."
    )


@dataclass(frozen=True)
class _Stage:
    """A stage of a pipeline: between these many multiply–adds and µs per query."""

    pipeline: str
    name: str
    adds: tuple[float, float] | None
    us: tuple[float, float]


def _stages(output: Output, times: pd.DataFrame) -> list[_Stage]:
    """Split the time of each graph with a rerank: the graph was timed alone too.

    Where its effort was not among those, the two next ones are the bounds.
    """
    alone = times[(times["task"] == "search-speed") & times["effort"].notna()]
    visits = read(output, "search_speed", "distances_per_query")
    visits = visits[visits["task"] == "search-speed"]
    stages: list[_Stage] = []
    for row in times[times["rerank_dims"].notna()].to_dict("records"):
        name = _name(row)
        first = _at_effort(alone, row)
        if first is None or not str(row["rerank_dims"]).isdecimal():
            continue
        seen = _at_effort(visits, row)
        adds = None if seen is None else (seen[0] * row["dim"], seen[1] * row["dim"])
        stages.append(_Stage(name, f"graph at {row['dim']}", adds, first))
        rest = (max(0.0, row["value"] - first[1]), row["value"] - first[0])
        own = float(row["shortlist"]) * float(row["rerank_dims"])
        stages.append(_Stage(name, f"rerank at {row['rerank_dims']}", (own, own), rest))
    return stages


def _at_effort(table: pd.DataFrame, row: Record) -> tuple[float, float] | None:
    """Read a graph's number at an effort, or at the next ones below and above it."""
    own = table[(table["index"] == row["index"]) & (table["dim"] == row["dim"])]
    own = own.sort_values("effort")
    below = own[own["effort"] <= row["effort"]].tail(1)
    above = own[own["effort"] >= row["effort"]].head(1)
    if below.empty or above.empty:
        return None
    return float(below["value"].iloc[0]), float(above["value"].iloc[0])


def _stage_table(stages: list[_Stage], mode: str) -> Table:
    rows = [[s.pipeline, s.name, _million(s.adds), _range(s.us), _price(s)] for s in stages]
    columns = ["pipeline", "stage", "million multiply–adds", "µs per query", "ns per multiply–add"]
    note = (
        "The graph's share is its own time at that effort, or at the measured efforts next below "
        "and above it; the rest is the rerank: gathering wide rows from memory, scoring, sorting."
    )
    return Table(f"Which stage takes the time, {MODES[mode]}", columns, rows, note=note)


def _million(adds: tuple[float, float] | None) -> str:
    return "not counted" if adds is None else _range((adds[0] / MILLION, adds[1] / MILLION))


def _range(ends: tuple[float, float]) -> str:
    low, high = (f"{end:.3g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _price(stage: _Stage) -> str:
    if stage.adds is None:
        return ""
    low, high = sorted(1000 * us / adds for us, adds in zip(stage.us, stage.adds, strict=True))
    return _range((low, high))
