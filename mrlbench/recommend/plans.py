"""Plans: a first stage, an index over it, and a ladder of reranks; and the grid of them all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mrlbench.costs.storage import BITS
from mrlbench.faiss_index import cells_for
from mrlbench.search.adaptive import Schedule

LENGTHS = (2, 5, 10, 20, 50)  # of shortlists, in results wanted
BEAMS = (1, 2, 4, 8, 16, 32)  # efSearch, in results wanted
PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
LINKS = (16, 32)
NARROWER = (1, 2, 4)  # D, D/2 and D/4 is where reranks may end
STEP = 4  # a ladder of two ends at a dim this many times wider, with this many times fewer rows
STORES = ("int8", "float16", "float32")


@dataclass(frozen=True, order=True)
class Stage:
    """How the vectors of the first stage are made: reduced to `dim`, then stored as `dtype`."""

    reducer: str
    dim: int
    dtype: str


@dataclass(frozen=True, order=True)
class IndexChoice:
    """An index plug-in with its build arguments."""

    name: str
    links: int = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """What the plug-in is called with."""
        return {"m": self.links} if self.links else {}

    @property
    def label(self) -> str:
        """As the CSV files have it."""
        return f"{self.name}(m={self.links})" if self.links else self.name


@dataclass(frozen=True, order=True)
class Rerank:
    """A ladder of reranks, and how the vectors that they read are stored.

    Attributes:
        dims: Increasing.
        lengths: The i-th is how many rows are reranked at the i-th dim.
        dtype: float32, float16 or int8; the store holds the widest dim.
    """

    dims: tuple[int, ...]
    lengths: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, order=True)
class Plan:
    """All that a search needs to be told.

    Attributes:
        stage: The vectors of the first stage.
        index: Over them.
        effort: efSearch or nprobe; 0 where the index is exact.
        rerank: None returns what the first stage found.
    """

    stage: Stage
    index: IndexChoice
    effort: int = 0
    rerank: Rerank | None = field(default=None)

    @property
    def shortlist(self) -> int:
        """How many rows the first stage passes on; 0 where nothing is reranked."""
        return self.rerank.lengths[0] if self.rerank else 0

    @property
    def schedule(self) -> Schedule | None:
        """The ladder as `search.adaptive` follows it."""
        if self.rerank is None:
            return None
        return Schedule(self.stage.dim, self.rerank.dims, self.rerank.lengths)

    def __str__(self) -> str:
        """Say it in one line."""
        stage, index = self.stage, self.index.label
        effort = {"hnsw": f", efSearch {self.effort}", "ivf": f", nprobe {self.effort}"}
        first = f"{stage.reducer} {stage.dim} {stage.dtype}, {index}"
        first += effort.get(self.index.name, "")
        if self.rerank is None:
            return first
        steps = zip(self.rerank.lengths, self.rerank.dims, strict=True)
        ladder = ", then ".join(f"{length} at {dim}" for length, dim in steps)
        return f"{first}, rerank {ladder} ({self.rerank.dtype})"


EXACT = IndexChoice("exact")


@dataclass(frozen=True)
class Grid:
    """Everything that may be recommended for vectors of one size.

    Attributes:
        width: D.
        rows: N of the database.
        k: Results wanted.
        dims: Widths of the first stage, increasing.
        reducers: Ways to them; PCA keeps at most half of D, where it still saves something.
        dtypes: Of the first stage.
        indexes: Over it; codes of one bit are only scanned.
    """

    width: int
    rows: int
    k: int
    dims: tuple[int, ...]
    reducers: tuple[str, ...] = ("prefix", "pca")
    dtypes: tuple[str, ...] = tuple(BITS)
    indexes: tuple[IndexChoice, ...] = (
        EXACT,
        *(IndexChoice("hnsw", links) for links in LINKS),
        IndexChoice("ivf"),
    )

    def dims_of(self, reducer: str) -> list[int]:
        """List the widths that a reducer is asked for."""
        most = self.width if reducer == "prefix" else self.width // 2
        return [dim for dim in self.dims if dim <= most]

    @cached_property
    def stages(self) -> list[Stage]:
        """List the first stages."""
        return [
            Stage(reducer, dim, dtype)
            for reducer in self.reducers
            for dtype in self.dtypes
            for dim in self.dims_of(reducer)
        ]

    @cached_property
    def families(self) -> list[tuple[Stage, IndexChoice]]:
        """List what has to be built: approximate indexes over the first stages."""
        return [
            (stage, index)
            for stage in self.stages
            for index in self.indexes
            if index != EXACT and stage.dtype != "binary"
        ]

    @cached_property
    def lengths(self) -> list[int]:
        """List the shortlists, as far as they are a small part of the database."""
        most = max(self.rows // 4, self.k)
        return [times * self.k for times in LENGTHS if times * self.k <= most]

    def reranks(self, stage: Stage) -> Iterator[Rerank | None]:
        """List what may follow a first stage; the first is nothing."""
        yield None
        for length in self.lengths:
            for dims in self._ladders(stage):
                lengths = tuple(max(length // STEP**place, self.k) for place in range(len(dims)))
                yield from (Rerank(dims, lengths, dtype) for dtype in STORES)

    def _ladders(self, stage: Stage) -> Iterator[tuple[int, ...]]:
        """List the dims of reranks: wider than the first stage, or its whole vectors again."""
        for part in NARROWER:
            last = self.width // part
            coarser = stage.dtype in ("int8", "binary") or stage.reducer != "prefix"
            if last > stage.dim or (last == stage.dim and coarser):
                yield (last,)
                if last // STEP > stage.dim:
                    yield last // STEP, last

    def efforts(self, index: IndexChoice, rows: int) -> list[int]:
        """List the efforts of an index over `rows` rows, increasing; an exact one has none."""
        if index == EXACT:
            return [0]
        if index.name == "ivf":
            return [probes for probes in PROBES if probes <= cells_for(rows)]
        return [beam * self.k for beam in BEAMS if beam * self.k <= rows]


def fits(plan: Plan) -> bool:
    """Tell whether an effort is enough for the shortlist: a graph's beam is never shorter."""
    return plan.index.name != "hnsw" or plan.effort >= plan.shortlist
