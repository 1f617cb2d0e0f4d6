"""Accuracy by how often a class is in the database: many, medium and few shots."""

import logging

import numpy as np

from mrlbench.arrays import BoolArray, IntArray
from mrlbench.embedding.logits import open_logits
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.scores import mean_rows, metric_scores
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row

log = logging.getLogger(__name__)

MANY, FEW = 100, 20  # the usual split of long-tailed recognition (Liu et al., CVPR 2019)


def long_tail(source: Source) -> list[Row]:
    """Measure linear and 1-NN top-1 at each dim by the frequency of the query's class.

    *many* has more than 100 rows in the database, *few* fewer than 20, *medium* the rest. In a run
    the database is what was trained on. Linear top-1 needs `logits.npz`.

    Raises:
        UserError: The vectors have no labels.
    """
    labels = _labels(source)
    groups = frequency_groups(labels)
    if len(groups) == 1:
        log.info("long-tail: every class of %s is in the group %s", source.label, *groups)
    logits = {}
    if (source.embeddings.folder / "logits.npz").is_file():
        logits = open_logits(source.embeddings.folder)[0]
    rows: list[Row] = []
    for dim, found in source.neighbors(source.dims, 1).items():
        judged = labels.judge(found.ids)
        scores = {"knn_top1": metric_scores(judged, [1])["top1"]}
        if dim in logits:
            scores["top1"] = top_k(logits[dim], labels.queries, 1)
        for name, members in groups.items():
            template = source.row(
                task="long-tail", variant=f"frequency={name}", reducer="prefix", dim=dim
            )
            rows += mean_rows(template, {m: each[members] for m, each in scores.items()})
    return rows


def frequency_groups(labels: Labels) -> dict[str, BoolArray]:
    """Tell which queries, (Q,), belong to each group that has any."""
    classes, counts = np.unique(labels.database, return_counts=True)
    place = np.searchsorted(classes, labels.queries).clip(max=len(classes) - 1)
    times: IntArray = np.where(classes[place] == labels.queries, counts[place], 0)  # (Q,)
    groups = {"many": times > MANY, "medium": (times >= FEW) & (times <= MANY), "few": times < FEW}
    return {name: members for name, members in groups.items() if members.any()}


def why_not_long_tail(source: Source) -> str | None:
    """Say why a source cannot be measured; None if it can."""
    if isinstance(source.embeddings.relevance, Labels):
        return None
    return (
        f"long-tail: expected database_labels.npy and queries_labels.npy in "
        f"{source.embeddings.folder}"
    )


def _labels(source: Source) -> Labels:
    relevance = source.embeddings.relevance
    if not isinstance(relevance, Labels):
        raise UserError(str(why_not_long_tail(source)))
    return relevance
