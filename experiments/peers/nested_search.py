"""Exact search at nine nested dims, against FAISS flat at 2048, and at each of the nine.

python experiments/peers/nested_search.py                      # 10⁴ to 10⁵ rows, about 5 minutes
python experiments/peers/nested_search.py --sizes 300000,1000000 --repeats 5       # an hour
"""

from pathlib import Path
from typing import Annotated, Any

import faiss as library
import numpy as np
import typer
from common import Ratio, in_turn, synthetic, tell, write

from mrlbench.arrays import FloatArray
from mrlbench.search import nested_search
from mrlbench.threads import use_threads

faiss: Any = library
DIMS = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]


def main(
    sizes: str = "10000,30000,65536,100000",
    ks: str = "10,200",
    queries: int = 2048,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    multiply: Annotated[
        bool, typer.Option(help="FAISS multiplies matrices at every dim; see faiss_index.py.")
    ] = False,
    name: str = "nested_search",
    out: Path = Path("results/peers"),
) -> None:
    """Compare from raw vectors to neighbours, normalising included."""
    used = use_threads(threads)
    if multiply:
        faiss.cvar.distance_compute_blas_threshold = 0
    rows = []
    asked = synthetic(queries, DIMS[-1], seed=1)
    for size in map(int, sizes.split(",")):
        database = synthetic(size, DIMS[-1], seed=0)
        for k in map(int, ks.split(",")):
            _check(database, asked[:64], k)
            for peer, dims in (("one FAISS flat search", DIMS[-1:]), ("nine FAISS searches", DIMS)):
                times = in_turn(
                    lambda k=k, database=database: nested_search(database, asked, DIMS, k),
                    lambda k=k, dims=dims, database=database: _faiss(database, asked, dims, k),
                    repeats,
                )
                cells: dict[str, Any] = {"rows": size, "queries": queries, "k": k, **times}
                rows.append(
                    tell(
                        Ratio(
                            what="exact search",
                            data="synthetic",
                            dim=DIMS[-1],
                            ours="all nine dims",
                            peer=peer,
                            mode="batch",
                            threads=used,
                            **cells,
                        )
                    )
                )
                write(name, rows, used, out)


def _faiss(database: FloatArray, queries: FloatArray, dims: list[int], k: int) -> dict[int, Any]:
    found = {}
    for dim in dims:
        cut, asked = (np.array(each[:, :dim], order="C") for each in (database, queries))
        faiss.normalize_L2(cut)
        faiss.normalize_L2(asked)
        index = faiss.IndexFlatIP(dim)
        index.add(cut)
        found[dim] = index.search(asked, k)
    return found


def _check(database: FloatArray, queries: FloatArray, k: int) -> None:
    """Refuse to time what is not the same result."""
    ours = nested_search(database, queries, DIMS, k)
    for dim, (scores, _) in _faiss(database, queries, DIMS, k).items():
        np.testing.assert_allclose(ours[dim].scores, scores, atol=1e-5)


if __name__ == "__main__":
    typer.run(main)
