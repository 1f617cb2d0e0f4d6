"""Rerank and funnel, against FAISS IndexRefineFlat over a prefix, and a plain NumPy loop.

python experiments/peers/rerank.py                             # 100,000 rows, about 3 minutes
python experiments/peers/rerank.py --embeddings DIR            # on vectors of your own
"""

from pathlib import Path
from typing import Annotated, Any

import faiss as library
import numpy as np
import typer
from common import Call, Ratio, in_turn, synthetic, tell, write

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, prefix
from mrlbench.embedding.folder import open_embeddings
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, rerank, run_schedule
from mrlbench.search.exact_prefix import ExactPrefix
from mrlbench.search.pipeline import Pipeline
from mrlbench.threads import use_threads

faiss: Any = library
DS, SHORTLIST, K = 16, 200, 10
IN_LOOP = 200  # queries that the NumPy loop answers


def main(
    embeddings: Path | None = None,
    size: int = 100_000,
    queries: int = 2048,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Compare reranks of a shortlist of 200 from 16 dims, and whole searches."""
    used = use_threads(threads)
    database, asked, data = _vectors(embeddings, size, queries)
    width = database.shape[1]
    shortlist = nested_search(database, asked, [DS], SHORTLIST)[DS].ids
    unit = prefix(database, width)
    asked_unit = prefix(asked, width)
    funnel = Schedule(DS, (128, width), (SHORTLIST, 40))
    common = {"data": data, "rows": len(database), "dim": width, "k": K, "threads": used}
    rows: list[Ratio] = []

    def add(what: str, ours: Call, peer: str, theirs: Call, count: int) -> None:
        times: dict[str, Any] = in_turn(ours, theirs, repeats)
        each = times["seconds_ours"] / count * 1e6, times["seconds_peer"] / count * 1e6
        note = f"{each[0]:.1f} us per query against {each[1]:.1f}"
        cells: dict[str, Any] = {**common, **times, "queries": count, "note": note}
        rows.append(tell(Ratio(what=what, ours="mrlbench", peer=peer, mode="batch", **cells)))
        write("rerank", rows, used, out)

    few = slice(IN_LOOP)
    for what, schedule in (("rerank 200 at D", None), ("funnel 200 at 128, 40 at D", funnel)):

        def ours(schedule: Schedule | None = schedule, part: slice = few) -> object:
            if schedule is None:
                return rerank(database, asked[part], shortlist[part], [width])
            return run_schedule(database, asked[part], shortlist[part], schedule)

        ladder = schedule or Schedule(DS, (width,), (SHORTLIST,))
        add(
            what,
            ours,
            "NumPy loop over unit vectors",
            lambda ladder=ladder: _loop(unit, asked_unit[few], shortlist[few], ladder),
            IN_LOOP,
        )
    add(
        "funnel 200 at 128, 40 at D, of all queries",
        lambda: run_schedule(database, asked, shortlist, funnel),
        "mrlbench, rerank 200 at D",
        lambda: rerank(database, asked, shortlist, [width]),
        len(asked),
    )
    for name, store in (("float16", database.astype(np.float16)), ("int8", _codes(unit))):
        add(
            f"rerank 200 at D from {name}",
            lambda store=store: rerank(store, asked, shortlist, [width]),
            "the same from float32",
            lambda: rerank(database, asked, shortlist, [width]),
            len(asked),
        )
    refined = _refine(unit, width)
    index = ExactPrefix()
    index.build(prefix(database, DS))
    pipeline = Pipeline(index, DS, 0, database, Schedule(DS, (width,), (SHORTLIST,)))
    parameters = faiss.IndexRefineSearchParameters(k_factor=SHORTLIST / K)
    _same(pipeline.search(asked[few], K).ids, refined.search(asked[few], K, params=parameters)[1])
    add(
        "exact at 16, rerank 200 at D",
        lambda: pipeline.search(asked, K),
        "FAISS IndexRefineFlat over a prefix transform",
        lambda: refined.search(asked_unit, K, params=parameters),
        len(asked),
    )


def _vectors(
    folder: Path | None, size: int, queries: int
) -> tuple[AnyFloatArray, AnyFloatArray, str]:
    if folder is None:
        return synthetic(size, 2048, seed=0), synthetic(queries, 2048, seed=1), "synthetic"
    found = open_embeddings(folder)
    return np.array(found.database), np.array(found.queries[:queries]), str(folder)


def _loop(unit: FloatArray, queries: FloatArray, shortlist: IntArray, ladder: Schedule) -> object:
    """Rerank as notebooks do: a query at a time, rows gathered, one product, one sort."""
    results = []
    for query, ids in zip(queries, shortlist, strict=True):
        order = ids
        for dim, length in zip(ladder.rerank_dims, ladder.lengths, strict=True):
            head = order[:length]
            rows = unit[head, :dim]
            scores = rows @ query[:dim]
            if dim < unit.shape[1]:
                scores /= np.linalg.norm(rows, axis=1)
            order = np.concatenate([head[np.argsort(-scores)], order[length:]])
        results.append(order)
    return results


def _codes(unit: FloatArray) -> IntArray:
    return np.round(unit / np.abs(unit).max(axis=1, keepdims=True) * 127).astype(np.int8)


def _refine(unit: FloatArray, width: int) -> Any:  # noqa: ANN401 (FAISS's classes have no types)
    """Build a flat index of renormalised prefixes, with FAISS's rerank at full width over it."""
    chain = faiss.IndexPreTransform(faiss.IndexFlatIP(DS))
    chain.prepend_transform(faiss.NormalizationTransform(DS))
    chain.prepend_transform(faiss.RemapDimensionsTransform(width, DS, False))
    refined = faiss.IndexRefineFlat(chain)
    refined.add(unit)
    return refined


def _same(ours: IntArray, theirs: IntArray) -> None:
    """Refuse to time what does not find the same."""
    assert (ours == theirs).mean() > 0.999


if __name__ == "__main__":
    typer.run(main)
