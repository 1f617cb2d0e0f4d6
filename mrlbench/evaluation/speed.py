"""`bench-search`: exact search against the other indexes at every dim."""

import gc
from dataclasses import replace
from functools import partial

from mrlbench.evaluation.bench import Bench, Built, K, build
from mrlbench.evaluation.pipeline_speed import Comparison, comparable
from mrlbench.evaluation.scores import mean_rows, recall_scores
from mrlbench.intervals import Interval
from mrlbench.measurements import Row
from mrlbench.progress import task
from mrlbench.search.nested import check_k


def bench_search(bench: Bench) -> list[Row]:
    """Measure every index at every dim, widest first, and the pipeline on each graph.

    Inside the clock: the index's search of unit vectors at d, and for a pipeline also the rerank
    with its sort. Outside: cutting, normalising and building.
    """
    check_k(K, len(bench.source.embeddings.database))
    rows: list[Row] = []
    exact: dict[str, Interval] = {}  # µs of exact search at full width, by mode
    dims = sorted(bench.dims, reverse=True)
    plugins = sorted(bench.search.indexes, key=lambda each: each.name != "exact")
    with task("bench-search", len(plugins) * len(dims), "indexes") as work:
        for plugin in plugins:
            comparison: Comparison | None = None
            for dim in dims:
                work.advance(0, f"{plugin.label} at {dim}")
                built, new = build(bench, plugin, dim)
                rows += new + _measure(bench, built, exact)
                if comparison is not None:
                    rows += comparison.pipeline(built)
                elif comparable(bench, built):
                    comparison = Comparison(bench, built)
                    rows += comparison.plain()
                work.advance(1)
                gc.collect()
    return rows


def _measure(bench: Bench, built: Built, exact: dict[str, Interval]) -> list[Row]:
    """Measure recall and time of one index over its efforts."""
    rows: list[Row] = []
    truth = bench.truth[built.dim].of(slice(bench.timed))
    for effort in built.efforts(K):
        found = built.search(slice(bench.timed), effort)
        template = bench.row(
            built.plugin,
            built.dim,
            task="search-speed",
            effort=None if built.index.exact else effort,
            k=K,
        )
        rows += _count(bench, built, template)
        rows += mean_rows(template, recall_scores(found, truth, "recall_dim", K))
        if not built.is_timed:
            continue
        search = partial(built.search, effort=effort)
        for mode, latency in bench.time(search):
            numbers = latency.numbers()
            here = replace(template, mode=mode)
            if built.index.exact and built.dim == bench.source.embeddings.width:
                exact.setdefault(mode, numbers["us_per_query"])
            if mode in exact:
                numbers["speedup"] = _ratio(exact[mode], numbers["us_per_query"])
            rows += bench.number_rows(here, numbers)
    return rows


def _ratio(slow: Interval, fast: Interval) -> Interval:
    """Divide two medians; the interval is as wide as both of theirs allow."""
    return Interval(slow.value / fast.value, slow.low / fast.high, slow.high / fast.low)


def _count(bench: Bench, built: Built, template: Row) -> list[Row]:
    """Say how many distances a query took, and the speedup over exact D that FLOPs predict."""
    counted = built.index.distance_computations()
    if counted is None:
        return []
    each = counted / bench.timed
    full = len(bench.source.embeddings.database) * bench.source.embeddings.width
    numbers = {"distances_per_query": each, "flops_speedup": full / (each * built.dim)}
    return [replace(template, metric=m, value=v, n=bench.timed) for m, v in numbers.items()]
