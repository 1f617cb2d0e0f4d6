"""What every measurement of one `bench-search` shares."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mrlbench.arrays import FloatArray, IntArray, Neighbors, prefix
from mrlbench.evaluation.scores import metric_scores
from mrlbench.evaluation.source import Source
from mrlbench.evaluation.timing import Latency, time_batch, time_single
from mrlbench.evaluation.timing import Search as TimedSearch
from mrlbench.experiment import IndexPlugin, Search
from mrlbench.intervals import Interval
from mrlbench.measurements import Row
from mrlbench.plugins import load
from mrlbench.protocols import Index, ServedIndex

log = logging.getLogger(__name__)

K = 10
QUALITY = f"map@{K}"


@dataclass(frozen=True)
class Bench:
    """Vectors, what to compare on them, and how.

    Attributes:
        source: The vectors.
        search: Dims, indexes, how many queries are timed, repeats.
        shortlist: K of the adaptive pipeline.
        threads: Of every library.
        seed: Draws the queries that efforts are chosen on.
    """

    source: Source
    search: Search
    shortlist: int
    threads: int
    seed: int = 0

    @property
    def dims(self) -> tuple[int, ...]:
        """Dims to measure, increasing; a fixed model narrower than D has one."""
        return tuple(self.search.dims) if self.source.full_width else self.source.dims

    @cached_property
    def truth(self) -> dict[int, Neighbors]:
        """The exact neighbours at each dim, (Q, 10)."""
        return self.source.neighbors(self.dims, min(K, len(self.source.embeddings.database)))

    @property
    def timed(self) -> int:
        """How many queries are timed."""
        return min(self.search.queries, len(self.source.embeddings.queries))

    def row(self, index: IndexPlugin, dim: int, **cells: Any) -> Row:  # noqa: ANN401
        """Make a row of `search_speed.csv`."""
        names = {"reducer": "prefix", "index": index.label, "dim": dim, "threads": self.threads}
        return self.source.row(**{**names, **cells})

    def number_rows(self, template: Row, numbers: dict[str, Interval]) -> list[Row]:
        """Make rows of timings."""
        return [
            replace(
                template,
                metric=m,
                value=v.value,
                ci_low=v.low,
                ci_high=v.high,
                n=self.search.repeats,
            )
            for m, v in numbers.items()
        ]

    def time(self, search: TimedSearch) -> Iterator[tuple[str, Latency]]:
        """Time a search of some rows of the queries, in batch and one at a time."""
        yield "batch", time_batch(search, self.timed, self.search.repeats)
        yield "single", time_single(search, self.timed, self.search.repeats)

    def quality(self, ids: IntArray) -> FloatArray:
        """Score results, (Q, >= 10), by average precision at 10."""
        relevance = self.source.embeddings.relevance
        if relevance is None:
            raise ValueError("quality needs labels or judgements")
        return metric_scores(relevance.judge(ids[:, :K]), [K])[QUALITY]


@dataclass(frozen=True)
class Built:
    """An index at one dim with the unit vectors that are asked."""

    plugin: IndexPlugin
    dim: int
    index: Index
    queries: FloatArray  # (Q, d)
    is_timed: bool = True  # not so where a stand-in answers for a server

    def search(self, rows: slice, effort: int) -> Neighbors:
        """Find the 10 nearest for some rows of the queries."""
        return self.index.search(self.queries[rows], K, effort)

    def efforts(self, k: int) -> list[int]:
        """List the different efforts for k results."""
        return different_efforts(self.index, self.plugin.efforts, k)


def different_efforts(index: Index, efforts: Sequence[int], k: int) -> list[int]:
    """List the efforts that make different searches for k results: a beam is at least k."""
    if index.exact:
        return [0]
    return sorted({max(effort, k) if index.beam else effort for effort in efforts})


def build(bench: Bench, plugin: IndexPlugin, dim: int) -> tuple[Built, list[Row]]:
    """Build an index on the prefixes of the database, and say what that took."""
    embeddings = bench.source.embeddings
    database, queries = prefix(embeddings.database, dim), prefix(embeddings.queries, dim)
    index: Index = load("indexes", plugin.name)(**plugin.arguments)
    started = time.perf_counter()
    index.build(database)
    seconds = time.perf_counter() - started
    numbers = {"build_s": seconds, "bytes": float(index.nbytes())}
    unmeasured = _note_server(bench, plugin, index) if isinstance(index, ServedIndex) else set()
    template = bench.row(plugin, dim, task="search-speed")
    rows = [
        replace(template, metric=m, value=value, n=1)
        for m, value in numbers.items()
        if m not in unmeasured
    ]
    return Built(plugin, dim, index, queries, "time" not in unmeasured), rows


def _note_server(bench: Bench, plugin: IndexPlugin, index: ServedIndex) -> set[str]:
    """Write into the manifest what answers, and give what cannot be measured of it."""
    output, server, unmeasured = bench.source.output, dict(index.server()), index.unmeasured()
    servers = output.manifest().get("servers", {})
    output.note(servers={**servers, plugin.label: {**server, "not measured": sorted(unmeasured)}})
    if "time" in unmeasured:
        log.info("%s: %s stands in for a server: not timed", plugin.label, server["version"])
    return unmeasured
