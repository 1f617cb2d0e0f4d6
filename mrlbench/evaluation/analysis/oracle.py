"""What a perfect choice of head could reach: the first right dim of each query."""

from dataclasses import replace

import numpy as np

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.evaluation.analysis.heads import Heads, open_heads
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row


def oracle(source: Source) -> list[Row]:
    """Measure the oracle that always asks the narrowest head that is right.

    Returns:
        In rows of their dim, `first_right`: the share of queries whose narrowest right head is that
        one. In rows of the widest dim, `never_right`: the share that no head has right;
        `oracle_accuracy`: the rest, the upper bound of every cascade over these heads;
        `expected_dim`: the mean first right dim, where a query that is never right counts with the
        widest dim, as it would cost a cascade; `expected_dim_if_right`: the mean over the others
        only; `majority_vote`: the accuracy of the class that most heads predict, the widest head
        deciding between classes with equally many votes.
    """
    heads = open_heads(source)
    template = source.row(task="oracle", dim=heads.dims[-1], n_database=None, dtype=None)
    first = first_right(heads)  # (Q,), M where none is
    ever = first < len(heads.dims)
    rows: list[Row] = []
    for place, dim in enumerate(heads.dims):
        scores = {"first_right": _floats(first == place)}
        rows += mean_rows(replace(template, dim=dim), scores)
    dims = np.array([*heads.dims, heads.dims[-1]])[first]  # (Q,)
    scores = {
        "oracle_accuracy": _floats(ever),
        "never_right": _floats(~ever),
        "expected_dim": _floats(dims),
        "majority_vote": _floats(majority(heads) == heads.labels),
    }
    source.save_raw("scores-oracle", {**scores, "first_right_dim": _floats(dims * ever)})
    rows += mean_rows(template, scores)
    if ever.any():
        rows += mean_rows(template, {"expected_dim_if_right": _floats(dims[ever])})
    return rows


def first_right(heads: Heads) -> IntArray:
    """Find the place of the narrowest right head, (Q,); M where no head is right."""
    places: IntArray = np.where(
        heads.right.any(axis=0), heads.right.argmax(axis=0), len(heads.dims)
    )
    return places


def majority(heads: Heads) -> IntArray:
    """Find the class that most heads predict, (Q,); the widest head among the tied decides."""
    votes = (heads.predicted[:, None] == heads.predicted[None]).sum(axis=0)  # (M, Q)
    most = votes == votes.max(axis=0)
    widest = len(heads.dims) - 1 - most[::-1].argmax(axis=0)  # (Q,)
    winners: IntArray = np.take_along_axis(heads.predicted, widest[None], axis=0)[0]
    return winners


def _floats(values: np.ndarray) -> FloatArray:
    return values.astype(np.float32)
