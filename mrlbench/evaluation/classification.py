"""Linear accuracy of each head, from the logits of the queries."""

from collections.abc import Sequence

import numpy as np

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.embedding.logits import open_logits_file
from mrlbench.errors import UserError
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row


def evaluate_classification(source: Source) -> list[Row]:
    """Measure top-1 and top-5 at each of the source's dims that has a head."""
    file = open_logits_file(source.embeddings.folder)
    zero_shot = source.embeddings.meta.get("classifier") == "zero-shot"
    task = "zero-shot" if zero_shot else "classification"
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for dim in (each for each in source.dims if each in file.dims):
        logits = file.read(dim)
        scores = {f"top{k}": top_k(logits, file.labels, k) for k in (1, 5)}
        template = source.row(task=task, dim=dim, n_database=None, dtype=None)
        rows += mean_rows(template, scores)
        raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
    source.save_raw("scores-classification", raw)
    return rows


def check_heads(sources: Sequence[Source], dims: Sequence[int]) -> None:
    """Refuse dims that no source has a head for.

    Raises:
        UserError: The first such dim by name.
    """
    files = [open_logits_file(each.embeddings.folder) for each in sources]
    heads = sorted({dim for file in files for dim in file.dims})
    for dim in dims:
        if dim not in heads:
            known = ", ".join(str(each) for each in heads)
            raise UserError(f"--dims: no head for dim {dim}: expected some of {known}")


def top_k(logits: FloatArray, labels: IntArray, k: int) -> FloatArray:
    """Score 1 where the label is among the k highest logits, (Q, C) -> (Q,).

    A class with the same logit as the label's counts as higher, so that constant logits do not
    score.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)  # (Q, 1)
    others_as_high = (logits >= own).sum(axis=1) - 1  # (Q,)
    scores: FloatArray = (others_as_high < k).astype(np.float32)
    return scores
