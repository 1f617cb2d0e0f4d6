"""What an inspection looks at closely: some rows and queries, drawn by seed."""

from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.embedding.folder import Embeddings
from mrlbench.embedding.relevance import Qrels, Relevance

MOST_QUERIES = 2000
SHARE_OF_JUDGED = 0.5  # of the rows: the others keep a search from being too easy


@dataclass(frozen=True)
class Sample:
    """Vectors in memory, all multiplied by one power of two that brings them into float32.

    Attributes:
        database: (N, D), n of the rows, in order.
        queries: (Q, D), likewise.
        relevance: Of these rows to these queries; None when the folder does not say.
    """

    database: FloatArray
    queries: FloatArray
    relevance: Relevance | None

    @property
    def width(self) -> int:
        """D."""
        return int(self.database.shape[1])


def draw_sample(embeddings: Embeddings, most_rows: int, seed: int) -> Sample:
    """Draw at most `most_rows` rows of the database and 2,000 queries.

    With qrels, rows that are relevant to a drawn query come first, up to half of the sample: few of
    them would be drawn from a large database otherwise, and nothing could be found.
    """
    random = np.random.default_rng(seed)
    queries = _draw(random, len(embeddings.queries), MOST_QUERIES)
    first = _judged(random, embeddings.relevance, queries, int(most_rows * SHARE_OF_JUDGED))
    rows = _draw(random, len(embeddings.database), most_rows, first)
    relevance = embeddings.relevance and embeddings.relevance.of(rows, queries)
    return Sample(
        _float32(embeddings.database[rows]), _float32(embeddings.queries[queries]), relevance
    )


def _judged(
    random: np.random.Generator, relevance: Relevance | None, queries: IntArray, most: int
) -> IntArray:
    if not isinstance(relevance, Qrels):
        return np.empty(0, dtype=np.int64)
    query, row = np.divmod(relevance.keys, relevance.n_database)
    return random.permutation(np.unique(row[np.isin(query, queries)]))[:most]


def _draw(
    random: np.random.Generator, count: int, most: int, first: IntArray | None = None
) -> IntArray:
    """Draw rows without repetition, in order; those of `first` are among them."""
    if count <= most:
        return np.arange(count)
    known = np.empty(0, dtype=np.int64) if first is None else first
    others = np.setdiff1d(np.arange(count), known, assume_unique=True)
    drawn = random.choice(others, most - len(known), replace=False)
    return np.sort(np.concatenate([known, drawn]))


def _float32(vectors: AnyFloatArray) -> FloatArray:
    """Scale so that the largest coordinate is in [0.5, 1): float64 may hold what float32 cannot."""
    wide = np.asarray(vectors, dtype=np.result_type(vectors.dtype, np.float32))
    exponent = np.frexp(np.abs(wide).max())[1]
    scaled: FloatArray = np.ldexp(wide, -exponent).astype(np.float32)
    return scaled
