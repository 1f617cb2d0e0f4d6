"""The "14×", for real: adaptive pipelines against HNSW at full width, at equal quality.

python experiments/peers/pipelines.py --embeddings DIR     # labelled vectors: at equal mAP@10
python experiments/peers/pipelines.py --size 100000        # made-up ones: at equal recall_full@10

(a) like for like, as the paper has it: a graph at Ds with a rerank of 200 at D, against the graph
of the same library at D; (b) best against best: any pipeline here against the fastest of the graphs
at D, each mode (a batch, one query at a time) with the pipeline and the graph that are fastest in
it. Each is taken at the lowest effort that reaches the goal on both halves of the tuning queries,
and a pipeline on the others too: of hundreds, the first that reaches it on some may just be lucky.
Graphs and cells are built outside the clock; queries at D come normalised, a pipeline cuts and
normalises inside it.

A graph of a million rows takes an hour: `--keep DIR` holds the made-up vectors and what was built
from them (20 GB at a million), so that a run that was stopped goes on; `--build-only` stops there.
"""

import csv
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from common import Ratio, in_turn, synthetic, tell, write

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, Neighbors, blocks, prefix
from mrlbench.embedding.folder import open_embeddings
from mrlbench.embedding.relevance import Relevance
from mrlbench.evaluation.scores import metric_scores, recall_scores
from mrlbench.faiss_index import cells_for
from mrlbench.files import replacing
from mrlbench.plugins import load
from mrlbench.protocols import Index
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule
from mrlbench.search.pipeline import Pipeline
from mrlbench.threads import use_threads

GRAPHS = ("hnsw", "hnswlib", "usearch")  # each with 32 links and 40 candidates, as in the paper
EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
PROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
CELLS = ("ivf", "ivf-pq", "batched-ivf")  # their effort is the number of cells probed
# `:int16` stores words; `/2` makes half as many cells
FIRSTS = "batched-ivf:int16,batched-ivf:int16/2,batched-ivf:int16/4,batched-ivf,ivf,ivf-pq,hnsw"
SHORTLISTS = (20, 40, 80, 120, 200, 400, 800)
MIDDLES, LASTS = (128, 256), (20, 40, 80)
ENDS = (2, 1)  # the last rerank is at D over so many: half of D may rank as well
DIMS = (16, 32, 64, 128)
K, LIKE_FOR_LIKE = 10, 200
TOLERANCE = 0.001  # of mAP@10 below exact search at full width
GOAL = 0.95  # recall_full@10 where there are no labels
TUNING_SHARE = 0.5  # of the queries
FINALISTS = 6
HOPELESS = (1.5, 4)  # times as slow as the fastest so far: a ladder, and one rerank of all
BLOCK = 16_384
MODES = ("batch", "single")
SINGLE = 500  # queries that are asked one at a time


def _codes(rows: FloatArray) -> AnyFloatArray:
    codes: Any = np.round(rows * (127 / np.abs(rows).max(axis=1, keepdims=True))).astype(np.int8)
    return codes  # type: ignore[no-any-return]


STORES: dict[str, Callable[[FloatArray], AnyFloatArray]] = {
    "int8": _codes,
    "float16": lambda rows: rows.astype(np.float16),
}


@dataclass(frozen=True)
class Data:
    """Vectors, and how results are judged.

    Attributes:
        name: Of the data.
        database: (N, D), unit rows.
        queries: (Q, D).
        truth: Exact neighbours at D, (Q, 10).
        relevance: None judges by the share of the true neighbours.
    """

    name: str
    database: FloatArray
    queries: AnyFloatArray
    truth: Neighbors
    relevance: Relevance | None

    def quality(self, found: Neighbors) -> FloatArray:
        """Score the results of all queries, (Q, >= 10) -> (Q,)."""
        if self.relevance is None:
            return recall_scores(found, self.truth, "recall_full", K)[f"recall_full@{K}"]
        return metric_scores(self.relevance.judge(found.ids[:, :K]), [K])[f"map@{K}"]

    def reaches(self, scores: FloatArray) -> bool:
        """Tell whether both halves of the tuning queries, (T,), are good enough.

        By the mean over all, the luckiest of hundreds of pipelines would be taken.
        """
        above = scores - self.goal
        return min(above[::2].mean(), above[1::2].mean()) >= 0

    def confirms(self, choice: "Choice") -> bool:
        """Tell whether a search is good enough on the queries that it was not chosen on."""
        found = choice.search(self, slice(None))
        aim = GOAL if self.relevance is None else self.exact - TOLERANCE
        return float(self.quality(found)[self.reporting].mean()) >= aim

    @cached_property
    def exact(self) -> float:
        """The quality of exact search on the queries that nothing is chosen on."""
        return float(self.quality(self.truth)[self.reporting].mean())

    @cached_property
    def goal(self) -> AnyFloatArray:
        """What the scores of the tuning queries are to reach, (T,)."""
        if self.relevance is None:
            return np.full(len(self.tuning), GOAL)
        return self.quality(self.truth)[self.tuning] - TOLERANCE

    @cached_property
    def tuning(self) -> IntArray:
        """The queries that efforts are chosen on."""
        order = np.random.default_rng(0).permutation(len(self.queries))
        return order[: round(TUNING_SHARE * len(order))]

    @cached_property
    def reporting(self) -> IntArray:
        """The others."""
        return np.setdiff1d(np.arange(len(self.queries)), self.tuning)


@dataclass(frozen=True)
class Choice:
    """A search, and whether it reaches the goal on the tuning queries."""

    name: str
    pipeline: Pipeline
    unit: FloatArray | None  # queries at D, normalised before; None cuts inside the clock
    seconds: float  # for all tuning queries
    reached: bool

    def search(self, data: Data, rows: slice | IntArray) -> Neighbors:
        """Find the 10 nearest for some of the queries."""
        asked = None if self.unit is None else self.unit[rows]
        return self.pipeline.search(data.queries[rows], K, asked)


def main(
    embeddings: Path | None = None,
    size: int = 100_000,
    queries: int = 10_000,
    graphs: str = ",".join(GRAPHS),
    firsts: str = FIRSTS,
    dims: str = ",".join(map(str, DIMS)),
    repeats: int = 5,
    name: str = "pipelines",
    out: Path = Path("results/peers"),
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Folder for what was built.")] = None,
    build_only: bool = False,
) -> None:
    """Build, choose, and time in turn."""
    used = use_threads(threads)
    narrow_dims = list(map(int, dims.split(",")))
    if build_only:
        database = _made_up(size, keep)
        for graph, dim in itertools.product(graphs.split(","), (database.shape[1], *narrow_dims)):
            _build(graph, database, dim, keep)
        return
    data = _data(embeddings, size, queries, keep)
    width = data.database.shape[1]
    unit = prefix(data.queries, width)
    rows: list[Ratio] = []
    stages: list[dict[str, Any]] = []
    plain: list[Choice] = []
    narrow: list[Choice] = []
    for graph in graphs.split(","):
        index = Pipeline(_build(graph, data.database, width, keep), width, 0, data.database)
        choice = _lowest(data, f"{graph} at {width}", index, unit)
        if choice is None:
            continue
        plain.append(choice)
        candidates = _like_for_like(data, graph, narrow_dims, keep)
        for first in sorted(candidates, key=lambda each: each.seconds)[:1]:
            narrow.append(first)
            _compare("like for like", data, first, choice, used, repeats, rows, stages, MODES)
            write(name, rows, used, out)
    firsts_there = list(itertools.product(narrow_dims, firsts.split(",")))
    finalists = [*_best(data, width, firsts_there, keep), *narrow]
    if not plain or not finalists:
        raise SystemExit("no graph at full width, or no pipeline, reaches the goal")
    for count, mode in itertools.product(sorted({1, used}), MODES):
        use_threads(count)
        winner, fastest = (
            min(choices, key=lambda each: _seconds(each, data, mode))
            for choices in (finalists, plain)
        )
        what = "best against best"
        _compare(what, data, winner, fastest, count, repeats, rows, stages, [mode])
        write(name, rows, used, out)
    use_threads(used)
    with replacing(out / f"{name}_stages.csv") as path, path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(stages[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(stages)


def _data(folder: Path | None, size: int, queries: int, keep: Path | None) -> Data:
    if keep is not None and folder is not None:
        raise typer.BadParameter("--keep is for made-up vectors: leave --embeddings out")
    if folder is None:
        database, asked = _made_up(size, keep), synthetic(queries, 2048, seed=1)
        name, relevance = "synthetic", None
    else:
        found = open_embeddings(folder)
        database = prefix(found.database, found.width)  # unit rows: cosines stay the same
        asked = np.array(found.queries)
        name, relevance = str(folder), found.relevance
    width = database.shape[1]
    truth = nested_search(database, asked, [width], K)[width]
    return Data(name, database, asked, truth, relevance)


def _made_up(size: int, keep: Path | None) -> FloatArray:
    """Make the database, or map the kept one: its pages need not stay in memory."""
    if keep is None:
        return synthetic(size, 2048, seed=0)
    kept = keep / f"database_{size}.npy"
    if not kept.exists():
        keep.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as path, path.open("wb") as file:
            np.save(file, synthetic(size, 2048, seed=0))
    return np.load(kept, mmap_mode="r")  # type: ignore[no-any-return]


def _build(name: str, database: FloatArray, dim: int, keep: Path | None) -> Index:
    index = _empty(name, len(database))
    kept = None if keep is None else keep / f"{re.sub('[:/]', '-', name)}_{len(database)}x{dim}"
    if kept is not None and kept.exists():
        index.load(kept / "index")
        return index
    started = time.perf_counter()
    # unit rows need no copy at full width: a million of them are 8 GB
    index.build(database if dim == database.shape[1] else prefix(database, dim))
    typer.echo(f"built {name} at {dim} in {time.perf_counter() - started:.0f} s")
    if kept is not None:
        part = kept.with_suffix(".part")  # some libraries write a file beside the one named
        part.mkdir(parents=True, exist_ok=True)
        index.save(part / "index")
        part.rename(kept)
    return index


def _empty(name: str, rows: int) -> Index:
    label, _, share = name.partition("/")
    plain, _, code = label.partition(":")
    arguments: dict[str, Any] = {"cells": cells_for(rows) // int(share)} if share else {}
    arguments |= {"code": code} if code else {}
    index: Index = load("indexes", plain)(**arguments)
    return index


def _like_for_like(
    data: Data, graph: str, dims: Sequence[int], keep: Path | None
) -> Iterator[Choice]:
    """Find the efforts at which a graph of each dim, and a rerank of 200 at D, reach the goal."""
    width = data.database.shape[1]
    for dim in dims:
        ladder = Schedule(dim, (width,), (LIKE_FOR_LIKE,))
        index = _build(graph, data.database, dim, keep)
        pipeline = Pipeline(index, dim, 0, data.database, ladder)
        found = _lowest(data, f"{graph} at {dim}, {LIKE_FOR_LIKE} at {width}", pipeline, None)
        if found is not None:
            yield found


def _lowest(data: Data, name: str, first: Pipeline, unit: FloatArray | None) -> Choice | None:
    """Raise the effort until the tuning queries reach the goal."""
    for effort in EFFORTS:
        if effort < (first.schedule.lengths[0] if first.schedule else K):
            continue
        pipeline = replace(first, effort=effort)
        choice = _tried(data, f"{name}, effort {effort}", pipeline, unit)
        if choice.reached:
            return choice
    typer.echo(f"{name}: the goal is not reached at any effort")
    return None


def _tried(data: Data, name: str, pipeline: Pipeline, unit: FloatArray | None) -> Choice:
    choice = Choice(name, pipeline, unit, 0.0, reached=False)
    started = time.perf_counter()
    found = choice.search(data, data.tuning)
    seconds = time.perf_counter() - started
    scores = data.quality(_spread(found, data))[data.tuning]
    return replace(choice, seconds=seconds, reached=data.reaches(scores))


def _spread(found: Neighbors, data: Data) -> Neighbors:
    """Put the results of the tuning queries where all queries' would be."""
    ids = np.full((len(data.queries), found.ids.shape[1]), -1)
    scores = np.full(ids.shape, -np.inf, dtype=np.float32)
    ids[data.tuning], scores[data.tuning] = found.ids, found.scores
    return Neighbors(ids, scores)


def _best(
    data: Data, width: int, firsts: Sequence[tuple[int, str]], keep: Path | None
) -> list[Choice]:
    """Take the fastest pipelines on the tuning queries, reranked from the smallest store."""
    for name, convert in STORES.items():
        # in blocks: a copy of a million rows in float32 would be 8 GB
        parts = blocks(len(data.database), BLOCK)
        store = np.concatenate([convert(data.database[part]) for part in parts])
        found = list(_pipelines(data, width, firsts, keep, name, store))
        ordered = sorted(found, key=lambda each: each.seconds)
        confirmed = list(itertools.islice(filter(data.confirms, ordered), FINALISTS))
        if confirmed:
            return confirmed
    return []


def _pipelines(
    data: Data,
    width: int,
    firsts: Sequence[tuple[int, str]],
    keep: Path | None,
    store: str,
    rows: AnyFloatArray,
) -> Iterator[Choice]:
    """Find, for each kind of pipeline, the lowest effort and shortest list that reach the goal.

    What is much slower than the fastest so far is not gone on with: more effort makes it no faster.
    """
    fastest = float("inf")
    for dim, name in firsts:
        efforts = PROBES if re.split("[:/]", name)[0] in CELLS else EFFORTS
        index = _build(name, data.database, dim, keep)
        reached: set[Schedule] = set()
        hopeless: set[Schedule] = set()
        for effort, ladder in itertools.product(efforts, _ladders(dim, width)):
            # no ladder of this length to this dim can do better
            direct = Schedule(dim, ladder.rerank_dims[-1:], ladder.lengths[:1])
            if ladder in reached | hopeless or (ladder != direct and direct not in reached):
                continue
            if name == "hnsw" and effort < ladder.lengths[0]:
                continue
            steps = " > ".join(
                f"{count} at {wide}"
                for count, wide in zip(ladder.lengths, ladder.rerank_dims, strict=True)
            )
            pipeline = Pipeline(index, dim, effort, rows, ladder)
            label = f"{name} at {dim}, effort {effort}, {steps}, from {store}"
            found = _tried(data, label, pipeline, None)
            if found.reached:
                reached.add(ladder)
                fastest = min(fastest, found.seconds)
                yield found
            elif found.seconds > fastest * HOPELESS[ladder == direct]:
                hopeless.add(ladder)


def _ladders(dim: int, width: int) -> Sequence[Schedule]:
    """List reranks of several lengths: at once at the last dim, or by way of a narrower one."""
    ends = [width // share for share in ENDS]
    ladders = [Schedule(dim, (end,), (length,)) for length in SHORTLISTS for end in ends]
    steps = itertools.product(ends, MIDDLES, SHORTLISTS[2:], LASTS)
    ladders += [
        Schedule(dim, (m, end), (length, last)) for end, m, length, last in steps if m > dim
    ]
    return ladders


def _asked(mode: str, data: Data) -> list[slice]:
    """Say what is asked at once in a mode: all queries, or some one at a time."""
    if mode == "batch":
        return [slice(None)]
    return [slice(row, row + 1) for row in range(min(SINGLE, len(data.queries)))]


def _seconds(choice: Choice, data: Data, mode: str) -> float:
    times = []
    for _ in range(4):
        started = time.perf_counter()
        for asked in _asked(mode, data):
            choice.search(data, asked)
        times.append(time.perf_counter() - started)
    return float(np.median(times[1:]))


def _compare(
    what: str,
    data: Data,
    ours: Choice,
    peer: Choice,
    threads: int,
    repeats: int,
    rows: list[Ratio],
    stages: list[dict[str, Any]],
    modes: Sequence[str],
) -> None:
    """Time a pipeline and a graph in turn, in a batch or one query at a time."""
    reached = [
        float(data.quality(each.search(data, slice(None)))[data.reporting].mean())
        for each in (ours, peer)
    ]
    measure = "recall_full@10" if data.relevance is None else "mAP@10"
    quality = f"{measure} {reached[0]:.4f} against {reached[1]:.4f}, exact {data.exact:.4f}"
    for mode in modes:
        asked = _asked(mode, data)
        count = len(data.queries) if mode == "batch" else len(asked)
        times: dict[str, Any] = in_turn(
            lambda asked=asked: [ours.search(data, each) for each in asked],
            lambda asked=asked: [peer.search(data, each) for each in asked],
            repeats,
        )
        micro = [times[key] / count * 1e6 for key in ("seconds_ours", "seconds_peer")]
        rows.append(
            tell(
                Ratio(
                    what=f"adaptive retrieval, {what}",
                    data=data.name,
                    rows=len(data.database),
                    queries=count,
                    dim=data.database.shape[1],
                    k=K,
                    ours=ours.name,
                    peer=peer.name,
                    mode=mode,
                    threads=threads,
                    note=f"{1 / times['ratio']:.1f} times as fast: {micro[0]:.1f} us per query "
                    f"against {micro[1]:.1f}; {quality}",
                    **times,
                )
            )
        )
    if "batch" not in modes:
        return
    for label, choice in (("ours", ours), ("peer", peer)):
        for cost in choice.pipeline.costs(data.queries, K):
            cells = {"what": what, "threads": threads, "side": label, "pipeline": choice.name}
            stages.append(cells | asdict(cost))


if __name__ == "__main__":
    typer.run(main)
