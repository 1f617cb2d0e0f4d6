"""What takes part in the arena, and what each entrant stores and computes."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrlbench.costs.scanning import scan_operations
from mrlbench.evaluation.arena.codes import DTYPES, code_bytes

K = 10
MAP, RECALL = f"map@{K}", f"recall_full@{K}"
PREFIX, PCA = "prefix", "pca"
REDUCERS = (PREFIX, PCA, "random-projection", "random-dims", "last-dims")
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Contest:
    """What is compared.

    Attributes:
        reducers: Ways from D to d; the prefix is always among them.
        dtypes: How d coordinates are stored; float32 is always among them.
        shortlist: K, how many rows are reranked at full width.
        queries: How many are asked, drawn by seed; 0 takes all.
    """

    reducers: tuple[str, ...] = REDUCERS
    dtypes: tuple[str, ...] = DTYPES
    shortlist: int = 200
    queries: int = 0


@dataclass(frozen=True)
class Store:
    """Where vectors are searched: N rows of D coordinates, and what a rerank reads of each.

    Attributes:
        rows: N.
        width: D.
        full_bytes: Of a whole vector as it is stored, in bytes.
    """

    rows: int
    width: int
    full_bytes: int


@dataclass(frozen=True)
class Entrant:
    """One way to search: rows reduced to d coordinates, stored as one type, perhaps reranked.

    Attributes:
        reducer: How D became d.
        mixes: Whether a query must be multiplied with D·d numbers first.
        dim: d.
        dtype: How a row is stored.
        rerank: How many are reranked at full width; 0 for none.
        table_bytes: Of what the codes were learnt as: ranges, centroids.
    """

    reducer: str
    mixes: bool
    dim: int
    dtype: str
    rerank: int = 0
    table_bytes: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in the first stage."""
        return code_bytes(self.dim, self.dtype)

    def costs(self, store: Store) -> dict[str, float]:
        """Say what it stores and computes, by metric.

        Returns:
            `bytes_per_vector`, of the first stage; `bytes_per_vector_whole`, with the whole vectors
            that a rerank reads; `bytes`, all of that for N rows and what was learnt: projections,
            ranges, centroids; `mflops`, of a query: its reduction, the scan, the rerank.
        """
        whole = self.row_bytes + (store.full_bytes if self.rerank else 0)
        projection = store.width * self.dim if self.mixes else 0
        scan = scan_operations(store.rows, self.dim, self.dtype, self.row_bytes)
        return {
            "bytes_per_vector": self.row_bytes,
            "bytes_per_vector_whole": whole,
            "bytes": store.rows * whole + self.table_bytes + FLOAT * projection,
            "mflops": (projection + scan + self.rerank * store.width) / 1e6,
        }


def reference_dims(dims: Sequence[int], contest: Contest, store: Store) -> list[int]:
    """List the dims at which the float32 prefix has the bytes, or the FLOPs, of other entrants.

    Args:
        dims: That all entrants have.
        contest: The types, and the shortlist.
        store: Of D coordinates; wider references there are none.
    """
    found = set(dims)
    for dim in dims:
        for dtype in contest.dtypes:
            for rerank in (0, min(contest.shortlist, store.rows)):
                costs = Entrant(PREFIX, False, dim, dtype, rerank).costs(store)
                found.add(int(costs["bytes_per_vector"] // FLOAT))
                found.add(int(costs["mflops"] * 1e6 // store.rows))
    return sorted(dim for dim in found if 1 <= dim <= store.width)
