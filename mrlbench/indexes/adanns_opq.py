"""AdANNS-OPQ: product-quantised prefixes after a learnt rotation (arXiv 2305.19435, sec. 4)."""

from mrlbench.arrays import FloatArray, Neighbors, prefix
from mrlbench.indexes.opq import opq


class adanns_opq(opq):
    """Scan the codes of a prefix, all of them (FAISS OPQMatrix, IndexPQ); effort is not used.

    At equal bytes, codes of fewer coordinates each can say more: a prefix is where to spend them.

    Args:
        code_dim: Coordinates of the prefix; no more than d.
        subspace: Coordinates that share one code; must divide `code_dim`, else 1 is taken.
        bits: Of each code, 4 to 12.
        iterations: Of learning the rotation.
        seed: Of the k-means clusterings.
    """

    def __init__(
        self,
        code_dim: int = 64,
        subspace: int = 2,
        bits: int = 8,
        iterations: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(subspace, bits, iterations, seed)
        self._code_dim = code_dim

    def build(self, database: FloatArray) -> None:
        """Learn rotation and codes on prefixes of the rows of `database`, (N, d)."""
        super().build(prefix(database, min(self._code_dim, database.shape[1])))

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` rows whose codes are nearest."""
        return super().search(prefix(queries, self._index.d), k, effort)
