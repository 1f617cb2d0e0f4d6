"""Few-shot classification by the nearest class mean, on the queries alone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import BoolArray, FloatArray, IntArray, blocks, prefix
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row

log = logging.getLogger(__name__)

SHOTS = (1, 3, 5, 7, 9)  # the paper's n
DRAWS = 20
FEWEST_CLASSES = 2
MEANS_AT_ONCE = 1024  # columns of one product, (Q, 1024) float32 is 200 MB for 50,000 queries


def few_shot(
    source: Source, shots: Sequence[int] = SHOTS, draws: int = DRAWS, seed: int = 0
) -> list[Row]:
    """Classify queries by the class mean of `n` of them, for every n in `shots` at every dim.

    In each draw `n` queries of each class are its shots, and all others are classified. Vectors are
    cut to the prefix and normalised; a class is the normalised mean of its shots; the class of the
    highest cosine is the answer. The shots of a larger n hold those of a smaller one, and all dims
    see the same draws. A class with n queries or fewer takes no part.

    Returns:
        `top1`, each query's mean over the draws that classified it, with its interval over
        queries; and `top1_std`, the standard deviation of the accuracy over draws.
    """
    labels = _labels(source)
    places = [_places(labels, np.random.default_rng([seed, draw])) for draw in range(draws)]
    counts = _possible(shots, labels)
    trials = {count: [_draw(labels, each, count) for each in places] for count in counts}
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for dim in source.dims:
        unit = prefix(source.embeddings.queries, dim)  # (Q, d)
        for count in counts:
            template = source.row(
                task="few-shot", variant=f"shots={count}", reducer="prefix", n_database=None
            )
            right = _classify(unit, trials[count])
            tested = np.stack([each.tested for each in trials[count]])  # (T, Q)
            scores = _mean_over_draws(right, tested)
            rows += mean_rows(replace(template, dim=dim), {"top1": scores})
            accuracy = (right * tested).sum(axis=1) / tested.sum(axis=1)  # (T,)
            spread = float(np.std(accuracy, ddof=1))
            rows.append(replace(template, dim=dim, metric="top1_std", value=spread, n=draws))
            raw[f"top1@shots{count}@dim{dim}"] = scores
    source.save_raw("scores-few-shot", raw)
    return rows


def why_not_few_shot(source: Source) -> str | None:
    """Say why a source cannot be measured; None if it can."""
    if not isinstance(source.embeddings.relevance, Labels):
        return f"few-shot: expected queries.npy with queries_labels.npy in {_where(source)}"
    if not _possible(SHOTS, _labels(source)):
        return f"few-shot: expected two classes of two queries or more in {_where(source)}"
    return None


@dataclass(frozen=True)
class _Draw:
    """Which queries are shots, and which are classified.

    Attributes:
        shots: (C, n), rows by class.
        own: (Q,), the place of each query's class in `shots`.
        tested: (Q,).
    """

    shots: IntArray
    own: IntArray
    tested: BoolArray


def _draw(labels: IntArray, places: IntArray, count: int) -> _Draw:
    """Take the queries with the first `count` places in their class as shots."""
    taking_part = np.bincount(labels)[labels] > count  # (Q,)
    shots = np.flatnonzero(taking_part & (places < count))
    shots = shots[np.argsort(labels[shots], kind="stable")]
    classes = labels[shots][::count]  # (C,), increasing
    own = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    return _Draw(shots.reshape(-1, count), own, taking_part & (places >= count))


def _classify(unit: FloatArray, draws: Sequence[_Draw]) -> FloatArray:
    """Score each query, (Q, d) -> (T, Q), in each of T draws; several share one product."""
    scores = []
    classes, dim = len(draws[0].shots), unit.shape[1]
    for part in blocks(len(draws), max(1, MEANS_AT_ONCE // classes)):
        means = [prefix(unit[each.shots].mean(axis=1), dim) for each in draws[part]]  # (C, d) each
        cosines: FloatArray = unit @ np.concatenate(means).T  # (Q, T' C)
        for place, each in enumerate(draws[part]):
            own = cosines[:, place * classes : (place + 1) * classes]
            scores.append(top_k(own, each.own, 1))
    return np.stack(scores)


def _mean_over_draws(right: FloatArray, tested: BoolArray) -> FloatArray:
    """Average over the draws that classified a query; queries that none did are left out."""
    times = tested.sum(axis=0)  # (Q,)
    total = (right * tested).sum(axis=0)
    scores: FloatArray = (total[times > 0] / times[times > 0]).astype(np.float32)
    return scores


def _places(labels: IntArray, random: np.random.Generator) -> IntArray:
    """Give each query its place among those of its class in a random order, (Q,)."""
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within
    starts = np.concatenate([[0], np.cumsum(np.bincount(labels))[:-1]])
    places = np.empty(len(labels), dtype=np.int64)
    places[order] = np.arange(len(labels)) - starts[labels[order]]
    return places


def _possible(shots: Sequence[int], labels: IntArray) -> list[int]:
    """Keep the numbers of shots that leave two classes something to classify."""
    sizes = np.bincount(labels)
    possible = [count for count in shots if (sizes > count).sum() >= FEWEST_CLASSES]
    for count in set(shots) - set(possible):
        log.warning("few-shot: no two classes with more than %d queries: left out", count)
    return possible


def _labels(source: Source) -> IntArray:
    """Number the classes that the queries have, (Q,) from 0 without gaps."""
    relevance = source.embeddings.relevance
    if not isinstance(relevance, Labels):
        raise UserError(f"few-shot: expected queries_labels.npy in {_where(source)}")
    numbers: IntArray = np.unique(relevance.queries, return_inverse=True)[1]
    return numbers


def _where(source: Source) -> str:
    return str(source.embeddings.folder)
