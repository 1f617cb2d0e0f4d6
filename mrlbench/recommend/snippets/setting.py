"""What a snippet is written from, and the lines of Python that several share."""

from dataclasses import dataclass

from mrlbench.faiss_index import cells_for
from mrlbench.recommend.plans import Plan


@dataclass(frozen=True)
class Setting:
    """A plan and where it is put to work.

    Attributes:
        plan: The plan.
        width: D.
        k: Results wanted.
        rows: N of the database.
        database: The file of its vectors.
        queries: The file of the vectors that are asked.
    """

    plan: Plan
    width: int
    k: int
    rows: int
    database: str = "database.npy"
    queries: str = "queries.npy"

    @property
    def length(self) -> int:
        """How many rows the first stage passes on."""
        return max(self.plan.shortlist, self.k)

    @property
    def cells(self) -> int:
        """How many an inverted file has."""
        return cells_for(self.rows)

    @property
    def steps(self) -> list[tuple[int, int]]:
        """The reranks: how many rows at which dim."""
        rerank = self.plan.rerank
        return list(zip(rerank.lengths, rerank.dims, strict=True)) if rerank else []

    @property
    def stored_dim(self) -> int:
        """How wide the vectors are that an embedding model must give."""
        whole = self.plan.stage.reducer != "prefix"
        return self.width if whole else max([self.plan.stage.dim, *(dim for _, dim in self.steps)])


CUT = '''\
def cut(vectors, dim):
    """Cut first, then normalise."""
    rows = vectors[:, :dim].astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
'''


def read_files(setting: Setting) -> str:
    """Load the vectors, and reduce them where the plan does."""
    text = f'database = np.load("{setting.database}")\nqueries = np.load("{setting.queries}")\n'
    stage = setting.plan.stage
    if stage.reducer != "pca":
        return text + f"rows, asked = cut(database, {stage.dim}), cut(queries, {stage.dim})\n"
    return text + (
        f"pca = faiss.PCAMatrix({setting.width}, {stage.dim})\n"
        "pca.train(database.astype(np.float32))\n"
        f"rows = cut(pca.apply(database.astype(np.float32)), {stage.dim})\n"
        f"asked = cut(pca.apply(queries.astype(np.float32)), {stage.dim})\n"
    )


def rerank_lines(setting: Setting) -> str:
    """Rerank `ids` in NumPy, step by step, and keep the k best."""
    rerank = setting.plan.rerank
    if rerank is None:
        return f"ids = ids[:, :{setting.k}]\n"
    kept = "whole.astype(np.float16)"
    if rerank.dtype == "float32":
        kept = "whole"
    if rerank.dtype == "int8":
        kept = "np.rint(whole * (127 / np.abs(whole).max(axis=1, keepdims=True))).astype(np.int8)"
    return (
        f"whole = cut(database, {rerank.dims[-1]})\n"
        f"store = {kept}\n"
        f"for length, dim in {setting.steps}:\n"
        "    for query, row in zip(cut(queries, dim), ids):\n"
        "        head = row[:length][row[:length] >= 0]\n"
        "        scores = cut(store[head], dim) @ query\n"
        '        row[: len(head)] = head[np.argsort(-scores, kind="stable")]\n'
        f"ids = ids[:, :{setting.k}]\n"
    )
