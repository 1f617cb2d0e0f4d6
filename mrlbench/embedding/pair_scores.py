"""Scores of pairs: how alike row i of the database and row i of the queries are, as in STS."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import AnyFloatArray
from mrlbench.embedding.folder import Embeddings
from mrlbench.errors import UserError

FEWEST = 3  # any two pairs are perfectly correlated


def open_pair_scores(embeddings: Embeddings) -> AnyFloatArray:
    """Read `scores.npy` of an embeddings folder, (Q,) float64.

    Raises:
        UserError: Not there, not a finite number for each pair, or nothing to correlate with.
    """
    path, pairs = embeddings.folder / "scores.npy", len(embeddings.queries)
    if not path.is_file():
        raise UserError(f"expected the scores of pairs in {path}, got no such file")
    if len(embeddings.database) != pairs:
        raise UserError(
            f"{embeddings.folder}: expected as many rows in database.npy as in queries.npy, whose "
            f"rows are pairs, got {len(embeddings.database)} and {pairs}"
        )
    try:
        scores: NDArray[Any] = np.load(path)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"expected a .npy file in {path}: {error}") from error
    if scores.shape != (pairs,) or scores.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: expected {pairs} numbers, got {scores.dtype} of shape {scores.shape}"
        )
    if not np.isfinite(scores).all():
        row = int(np.isfinite(scores).argmin())
        raise UserError(f"{path}: expected finite scores, got {scores[row]} in row {row}")
    if pairs < FEWEST or np.ptp(scores) == 0:
        raise UserError(
            f"{path}: expected at least {FEWEST} pairs that differ in score, got {pairs} pairs of "
            f"{len(np.unique(scores))}"
        )
    return scores.astype(np.float64)
