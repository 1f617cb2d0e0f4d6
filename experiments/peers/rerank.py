"""Rerank and funnel, against a plain NumPy loop, and from narrower types.

python experiments/peers/rerank.py                             # 100,000 rows, under a minute
python experiments/peers/rerank.py --embeddings DIR            # on vectors of your own
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from common import Call, Ratio, in_turn, tell, vectors_of, write

from mrlbench.arrays import FloatArray, IntArray, prefix
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, rerank, run_schedule
from mrlbench.threads import use_threads

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
    """Compare reranks of a shortlist of 200 from 16 dims."""
    used = use_threads(threads)
    database, asked, data = vectors_of(embeddings, size, queries)
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


if __name__ == "__main__":
    typer.run(main)
