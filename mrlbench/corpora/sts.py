"""Semantic textual similarity: pairs of texts with a score of how alike they are."""

from pathlib import Path

import numpy as np

from mrlbench.errors import UserError
from mrlbench.protocols import Corpus, Texts
from mrlbench.records import read_records
from mrlbench.texts import with_fingerprint

FEWEST = 3  # any two pairs are perfectly correlated


def sts(path: str) -> Corpus:
    """Two texts and a score in each row; the scores are what cosines are to follow.

    Args:
        path: `*.jsonl`, `*.csv` or `*.tsv` with the columns `sentence1`, `sentence2` and `score`,
            on any scale.
    """
    rows = list(read_records(Path(path), ["sentence1", "sentence2", "score"]))
    scores = np.array([row.number("score") for row in rows], dtype=np.float32)  # (Q,)
    if len(set(scores.tolist())) < 2 or len(rows) < FEWEST:
        raise UserError(
            f"{path}: expected at least {FEWEST} pairs that differ in score, got {len(rows)} pairs "
            f"of {len(set(scores.tolist()))}"
        )
    ids = tuple(str(row.line) for row in rows)
    return with_fingerprint(
        Corpus(
            documents=Texts(ids, tuple(row.text("sentence2") for row in rows)),
            queries=Texts(ids, tuple(row.text("sentence1") for row in rows)),
            scores=scores,
        )
    )
