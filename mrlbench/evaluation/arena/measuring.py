"""One source in the arena: every entrant searched, reranked and scored."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, Neighbors, blocks, prefix
from mrlbench.embedding.folder import Embeddings
from mrlbench.evaluation.arena.codes import FLOAT32, Codec, check_dtypes, search_codes
from mrlbench.evaluation.arena.contest import (
    MAP,
    PREFIX,
    Contest,
    Entrant,
    K,
    Store,
    reference_dims,
)
from mrlbench.evaluation.retrieval import recall_full
from mrlbench.evaluation.scores import ARENA, mean_rows, raw_key
from mrlbench.evaluation.source import Reduced, Source
from mrlbench.measurements import Row
from mrlbench.metrics.average_precision import average_precision
from mrlbench.plugins import check_arguments, load
from mrlbench.progress import task
from mrlbench.protocols import Reducer
from mrlbench.search import nested_search
from mrlbench.search.adaptive import rerank
from mrlbench.search.nested import check_k

TRAINING_ROWS = 16_384  # of the database, drawn by seed: what codes are learnt from
DIMS_AT_ONCE = 12  # whose shortlists are in memory together
BLOCK = 8192  # rows that are reduced at once
SEED = 0  # draws queries and training rows


@dataclass(frozen=True)
class _Arm:
    """Database and queries after a reduction; the first d coordinates are the reduction to d."""

    reducer: str
    mixes: bool
    database: Reduced | AnyFloatArray  # (N, D)
    queries: FloatArray  # (Q, D)


def check_contest(source: Source, contest: Contest) -> None:
    """Refuse what cannot be compared on these vectors.

    Raises:
        UserError: Fewer rows than are looked for, a reducer that is not there, or a type that is
            not known or cannot be fitted.
    """
    rows = len(source.embeddings.database)
    check_k(K, rows)
    check_dtypes(contest.dtypes, rows)
    for name in contest.reducers:
        check_arguments("reducers", name, {})


def evaluate_arena(source: Source, contest: Contest) -> list[Row]:
    """Measure every reduction, type and dim of one source, without and with a rerank.

    A model that was trained for one narrow dim has only its own coordinates, in every type, and
    nothing to be reranked with.

    Args:
        source: The vectors.
        contest: What is compared.
    """
    source = _with_some_queries(source, contest.queries)
    embeddings, full = source.embeddings, source.full_width
    store = _store(embeddings)
    contest = replace(contest, shortlist=min(contest.shortlist, store.rows))
    length = max(contest.shortlist, K) if full else K
    truth = _full_width(source) if full else None
    reducers = contest.reducers if full else (PREFIX,)
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    total = len(reducers) * len(contest.dtypes) * len(source.dims)
    with task(f"arena {source.label}", total, "entrants") as work:
        for name in reducers:
            with _arm(source, name) as arm:
                for entrant, found in _search(source, arm, contest, length):
                    for reranked in (0, contest.shortlist) if full else (0,):
                        each = replace(entrant, rerank=reranked)
                        template = _template(source, each)
                        scores = _scores(source, each, found, truth)
                        rows += [*mean_rows(template, scores), *_cost_rows(template, each, store)]
                        raw |= {raw_key(replace(template, metric=m)): s for m, s in scores.items()}
                    work.advance(int(entrant.dim in source.dims))
    source.save_raw(f"scores-{ARENA}", raw)
    return rows


def _with_some_queries(source: Source, count: int) -> Source:
    embeddings = source.embeddings
    there = len(embeddings.queries)
    if not 0 < count < there:
        return source
    chosen = np.sort(np.random.default_rng(SEED).choice(there, count, replace=False))
    relevance = embeddings.relevance
    if relevance is not None:
        relevance = relevance.of(np.arange(len(embeddings.database)), chosen)
    some = replace(embeddings, queries=embeddings.queries[chosen], relevance=relevance)
    return replace(source, embeddings=some)


def _store(embeddings: Embeddings) -> Store:
    database = embeddings.database
    return Store(len(database), embeddings.width, database.dtype.itemsize * embeddings.width)


def _full_width(source: Source) -> Neighbors:
    embeddings, width = source.embeddings, source.embeddings.width
    asked = (embeddings.database, embeddings.queries, [width], K)
    return nested_search(*asked, device=source.device)[width]


@contextmanager
def _arm(source: Source, name: str) -> Iterator[_Arm]:
    """Reduce database and queries; what is computed, not picked, goes to a temporary file."""
    embeddings = source.embeddings
    reducer: Reducer = load("reducers", name)()
    reducer.fit(embeddings.database)
    database = Reduced(embeddings.database, reducer)
    queries = np.ascontiguousarray(reducer.transform(embeddings.queries), dtype=np.float32)
    if not reducer.mixes:
        yield _Arm(name, False, database, queries)
        return
    source.output.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=source.output.folder) as file:
        written = np.memmap(file, np.float32, "w+", shape=database.shape)
        for rows in blocks(len(database), BLOCK):
            written[rows] = database[rows]
        yield _Arm(name, True, written, queries)


def _search(
    source: Source, arm: _Arm, contest: Contest, length: int
) -> Iterator[tuple[Entrant, Neighbors]]:
    """Find the `length` nearest of every entrant of an arm."""
    store = _store(source.embeddings)
    dims: Sequence[int] = source.dims
    if arm.reducer == PREFIX and source.full_width:
        dims = reference_dims(dims, contest, store)
    for part in blocks(len(dims), DIMS_AT_ONCE):
        some = dims[part]
        found = nested_search(arm.database, arm.queries, some, length, device=source.device)
        for dim, each in found.items():
            yield Entrant(arm.reducer, arm.mixes, dim, FLOAT32), each
    sample = arm.database[_training_rows(store.rows)]
    for dtype in contest.dtypes:
        for dim in source.dims if dtype != FLOAT32 else ():
            codec = Codec(dtype, prefix(sample, dim))
            nearest = search_codes(arm.database, arm.queries, codec, length, source.device)
            yield (
                Entrant(arm.reducer, arm.mixes, dim, dtype, table_bytes=codec.table_bytes),
                nearest,
            )


def _training_rows(rows: int) -> IntArray:
    random = np.random.default_rng(SEED)
    return np.sort(random.choice(rows, min(rows, TRAINING_ROWS), replace=False))


def _template(source: Source, entrant: Entrant) -> Row:
    reranked = {
        "rerank_dims": str(source.embeddings.width),
        "shortlist": str(entrant.rerank),
    }
    return source.row(
        task=ARENA,
        reducer=entrant.reducer,
        dim=entrant.dim,
        dtype=entrant.dtype,
        k=K,
        **(reranked if entrant.rerank else {}),
    )


def _scores(
    source: Source, entrant: Entrant, found: Neighbors, truth: Neighbors | None
) -> dict[str, FloatArray]:
    """Score what an entrant finds: mAP@10 where relevance is known, and recall_full@10."""
    embeddings, width = source.embeddings, source.embeddings.width
    if entrant.rerank:
        ids = found.ids[:, : entrant.rerank]
        found = rerank(embeddings.database, embeddings.queries, ids, [width])[width]
    scores = {}
    if embeddings.relevance is not None:
        scores[MAP] = average_precision(embeddings.relevance.judge(found.ids[:, :K]))
    if truth is not None:
        scores |= recall_full(source, found, truth, K)
    return {name: each.astype(np.float32) for name, each in scores.items()}


def _cost_rows(template: Row, entrant: Entrant, store: Store) -> list[Row]:
    costs = entrant.costs(store)
    return [replace(template, metric=name, value=value, k=None) for name, value in costs.items()]
