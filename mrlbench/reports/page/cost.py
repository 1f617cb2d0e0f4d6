"""What quality costs: by FLOPs and by the clock, side by side, and where the two disagree."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from mrlbench.reports.page.blocks import (
    COLOURS,
    DASHES,
    Axis,
    Block,
    Chart,
    Look,
    Paragraph,
    Row,
    Section,
    Series,
)
from mrlbench.reports.page.curves import percents
from mrlbench.reports.page.disagreement import disagreement
from mrlbench.reports.page.numbers import Record
from mrlbench.reports.plots import MODES
from mrlbench.reports.selections import adaptive_schedules, most_threads, with_cost
from mrlbench.reports.series import read, series, subject
from mrlbench.runs import Output

EXACT, AT_FULL, BELOW, FUNNEL = 0, 4, 1, 3  # markers
GRAPH, RERANKED = 2, 4
PIPELINE = "adaptive-pipeline"
NOTE = (
    "Both pictures have mAP@10 upwards. By FLOPs: every exact search, shortlist and funnel, by the "
    "paper's formula. By the clock: the searches that were timed, as they run on the machine "
    "above. A pipeline's mAP@10 is that of exact search at full width plus its paired difference "
    "from it, which was measured on the 80% of queries that nothing was tuned on."
)


def cost(output: Output) -> Section:
    """Draw mAP against MFLOPs and against time; say which stage makes the difference."""
    exact = read(output, "retrieval", "map@10")
    exact = exact[exact["reducer"] == "prefix"]
    if exact.empty:
        missing = Paragraph("mAP@10 is not in this run.", "mrlbench eval-retrieval RUN")
        return Section("cost", "Cost: FLOPs and the clock", [missing])
    by_flops = _by_flops(output, exact)
    timed = [_by_time(output, exact, mode) for mode in MODES]
    charts = [chart for chart in timed if chart is not None]
    reach = _reach([by_flops, *charts])
    y = Axis(by_flops.y.title, low=reach[0], high=reach[1])
    same = [replace(chart, y=y) for chart in (by_flops, *charts)]
    blocks: list[Block | Row] = [Row(same), Paragraph(NOTE)]
    if charts:
        blocks += disagreement(output)
    else:
        blocks.append(Paragraph("Times are not in this run.", "mrlbench bench-search RUN"))
    return Section("cost", "Cost: FLOPs and the clock", blocks)


def _by_flops(output: Output, exact: pd.DataFrame) -> Chart:
    """Draw the paper's Fig. 8: exact searches as lines, shortlists and funnels as points."""
    lines, colours = [], dict[str, int]()
    priced = with_cost(exact, read(output, "retrieval", "mflops"))
    for place, (name, rows) in enumerate(series(priced)):
        colours[name] = place % COLOURS
        points = percents(rows["mflops"], rows, [f"exact at {dim}" for dim in rows["dim"]])
        look = Look(colours[name], EXACT, dash=place % DASHES)
        lines.append(Series(f"{name}, exact", points, look, name))
    for method, rows in adaptive_schedules(output).groupby("method", sort=False):
        colour = colours.get(str(method), COLOURS - 1)
        lines += _schedules(str(method), rows, str(exact["dim"].max()), colour)
    x = Axis("million multiply–adds per query", "log")
    return Chart("mAP@10 by FLOPs", x, Axis("mAP@10, %"), lines, subject(exact))


def _schedules(method: str, rows: pd.DataFrame, width: str, colour: int) -> Iterator[Series]:
    """Tell reranks at full width, those short of it, and funnels by their markers."""
    funnel, at_full = rows["funnel"].astype(bool), rows["rerank_dims"] == width
    for kind, marker, chosen in (
        ("rerank below D", BELOW, ~funnel & ~at_full),
        ("rerank at D", AT_FULL, ~funnel & at_full),
        ("funnel", FUNNEL, funnel),
    ):
        own = rows[chosen].sort_values("mflops")
        points = percents(own["mflops"], own, [_schedule(row) for row in own.to_dict("records")])
        look = Look(colour, marker, hollow=marker != FUNNEL)
        if points:
            yield Series(f"{method}, {kind}", points, look, method, line=False)


def _schedule(row: Record) -> str:
    return f"{row['shortlist']} from {row['dim']} reranked at {row['rerank_dims']}"


def _by_time(output: Output, exact: pd.DataFrame, mode: str) -> Chart | None:
    """Draw what was timed in one mode: exact searches, graphs, and graphs with a rerank."""
    times = read(output, "search_speed", "us_per_query")
    times = most_threads(times[times["mode"] == mode])
    own = _exact_times(times[times["task"] == "search-speed"], exact)
    if own.empty:
        return None
    points = percents(own["us"], own, [f"exact at {dim}" for dim in own["dim"]])
    method, full = str(own["method"].iloc[-1]), float(own["value"].iloc[-1])  # at the widest
    lines = [Series("exact", points, Look(0, EXACT), method)]
    measured = _pipeline_quality(output, times[times["task"] == PIPELINE], full)
    for place, (index, rows) in enumerate(measured.groupby("index", sort=False), 1):
        lines += _pipelines(str(index), rows, method, place % COLOURS)
    x = Axis(f"µs per query, {times['threads'].max()} threads", "log")
    title = f"mAP@10 by time, {MODES[mode]}"
    return Chart(title, x, Axis("mAP@10, %"), lines, subject(exact))


def _pipelines(index: str, rows: pd.DataFrame, method: str, colour: int) -> Iterator[Series]:
    """Tell a graph alone from one with a rerank by their markers."""
    reranked = rows["rerank_dims"].notna()
    for name, marker, chosen in (
        (index, GRAPH, ~reranked),
        (f"{index}, with a rerank", RERANKED, reranked),
    ):
        own = rows[chosen].sort_values("us")
        points = percents(own["us"], own, [_pipeline(row) for row in own.to_dict("records")])
        if points:
            look = Look(colour, marker, hollow=marker == GRAPH)
            yield Series(name, points, look, method, line=False)


def _exact_times(times: pd.DataFrame, exact: pd.DataFrame) -> pd.DataFrame:
    """Put the mAP@10 of exact search beside its time: value, ci_low, ci_high and us."""
    own = times[times["index"] == "exact"][["method", "seed", "dim", "value"]]
    joined = exact.merge(own.rename(columns={"value": "us"}), on=["method", "seed", "dim"])
    return joined.sort_values("dim")


def _pipeline_quality(output: Output, times: pd.DataFrame, full: float) -> pd.DataFrame:
    """Put quality beside the time of pipelines, as exact search's plus the paired difference."""
    quality = read(output, "search_speed", "map@10_difference")
    keys = ["method", "seed", "dim", "index", "effort", "rerank_dims", "shortlist"]
    ends = ["value", "ci_low", "ci_high"]
    times = times[[*keys, "value"]].rename(columns={"value": "us"})
    joined = quality[[*keys, *ends]].merge(times, on=keys)
    return joined.assign(**{end: joined[end] + full for end in ends})


def _pipeline(row: Record) -> str:
    first = f"{row['index']} at {row['dim']}, effort {row['effort']}"
    if not isinstance(row["rerank_dims"], str):
        return first
    return f"{first}, {row['shortlist']} reranked at {row['rerank_dims']}"


def _reach(charts: list[Chart]) -> tuple[float, float]:
    """Find the lowest and the highest value of all charts: they are to be compared."""
    values = [point.y for chart in charts for each in chart.series for point in each.points]
    room = (max(values) - min(values)) * 0.06 or 1.0
    return min(values) - room, max(values) + room
