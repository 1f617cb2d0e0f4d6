"""Exact search at 16 dims with a rerank of 200 at D, against FAISS IndexRefineFlat over a prefix.

python experiments/peers/refine.py                             # 100,000 rows, under a minute
python experiments/peers/refine.py --embeddings DIR            # on vectors of your own
"""

from pathlib import Path
from typing import Annotated, Any

import faiss as library
import typer
from common import Ratio, in_turn, tell, vectors_of, write

from mrlbench.arrays import FloatArray, prefix
from mrlbench.plugins import load
from mrlbench.search.adaptive import Schedule
from mrlbench.search.pipeline import Pipeline
from mrlbench.threads import use_threads

faiss: Any = library
faiss.cvar.distance_compute_blas_threshold = 0  # at its best: see mrlbench/faiss_index.py
DS, SHORTLIST, K = 16, 200, 10
CHECKED = 200  # queries whose results must be the same


def main(
    embeddings: Path | None = None,
    size: int = 100_000,
    queries: int = 2048,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Compare whole searches; both compare prefixes by FAISS's flat index."""
    used = use_threads(threads)
    database, asked, data = vectors_of(embeddings, size, queries)
    width = database.shape[1]
    asked_unit = prefix(asked, width)
    refined = _refine(prefix(database, width), width)
    index = load("indexes", "exact")()
    index.build(prefix(database, DS))
    pipeline = Pipeline(index, DS, 0, database, Schedule(DS, (width,), (SHORTLIST,)))
    parameters = faiss.IndexRefineSearchParameters(k_factor=SHORTLIST / K)
    found = pipeline.search(asked[:CHECKED], K).ids
    expected = refined.search(asked_unit[:CHECKED], K, params=parameters)[1]
    assert (found == expected).mean() > 0.999  # what does not find the same is not timed
    times: dict[str, Any] = in_turn(
        lambda: pipeline.search(asked, K),
        lambda: refined.search(asked_unit, K, params=parameters),
        repeats,
    )
    each = (times[name] / len(asked) * 1e6 for name in ("seconds_ours", "seconds_peer"))
    cells = {"data": data, "rows": len(database), "dim": width, "queries": len(asked), "k": K}
    ratio = Ratio(
        what="exact at 16, rerank 200 at D",
        ours="mrlbench",
        peer="FAISS IndexRefineFlat over a prefix transform",
        mode="batch",
        threads=used,
        note="{:.1f} us per query against {:.1f}".format(*each),
        **cells,
        **times,
    )
    write("refine", [tell(ratio)], used, out)


def _refine(unit: FloatArray, width: int) -> Any:  # noqa: ANN401 (FAISS's classes have no types)
    """Build a flat index of renormalised prefixes, with FAISS's rerank at full width over it."""
    chain = faiss.IndexPreTransform(faiss.IndexFlatIP(DS))
    chain.prepend_transform(faiss.NormalizationTransform(DS))
    chain.prepend_transform(faiss.RemapDimensionsTransform(width, DS, False))
    refined = faiss.IndexRefineFlat(chain)
    refined.add(unit)
    return refined


if __name__ == "__main__":
    typer.run(main)
