"""What a prefix keeps, against other ways to d coordinates that know nothing of their order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.evaluation.inspection.sample import Sample
from mrlbench.evaluation.scores import recall_scores
from mrlbench.intervals import paired_intervals
from mrlbench.metrics.average_precision import average_precision
from mrlbench.plugins import load
from mrlbench.progress import task
from mrlbench.search import nested_search
from mrlbench.search.adaptive import rerank

K = 10
RECALL, MAP = f"recall_full@{K}", f"map@{K}"
PREFIX, PCA, RANDOM, ROTATED, LAST = "prefix", "pca", "random-dims", "rotated", "last-dims"
ARMS = (PREFIX, PCA, RANDOM, ROTATED, LAST)
DRAWS = 6  # of random dims and of rotations: one alone may be lucky


class Cell(NamedTuple):
    """What is measured of an arm, and at which dim."""

    measure: str
    dim: int


class Point(NamedTuple):
    """A mean over queries, and over draws where the arm has several, with its 95% interval."""

    measure: str
    arm: str
    dim: int
    value: float
    low: float
    high: float
    queries: int


Scores = Mapping[Cell, FloatArray]  # (S, Q): for each draw and query


def search_prefixes(sample: Sample, dims: Sequence[int]) -> dict[int, Neighbors]:
    """Find the exact 10 nearest at each dim and at full width."""
    return nested_search(sample.database, sample.queries, sorted({*dims, sample.width}), K)


def measure_arms(
    sample: Sample, prefixes: Mapping[int, Neighbors], dims: Sequence[int], seed: int
) -> dict[str, Scores]:
    """Score each arm at each dim by the neighbours kept, and by relevance where it is known.

    Args:
        sample: The vectors.
        prefixes: From `search_prefixes`.
        dims: Increasing. At full width, the prefix and PCA are measured: the others are it.
        seed: Draws dims and rotations.

    Returns:
        By arm: `prefix`, `pca` (fitted on the database's sample), `random-dims` and `rotated` (a
        random rotation keeps every cosine at full width) in 6 draws each, `last-dims`.
    """
    truth, cut = prefixes[sample.width], [dim for dim in dims if dim < sample.width]
    found: dict[str, list[Mapping[int, Neighbors]]] = {arm: [] for arm in ARMS}
    found[PREFIX] = [{dim: prefixes[dim] for dim in dims}]
    with task("inspect", 2 + 2 * DRAWS if cut else 1, "searches") as work:
        for arm, database, queries in _reductions(sample, cut, seed):
            wanted = dims if arm == PCA else cut
            found[arm].append(nested_search(database, queries, wanted, K))
            work.advance(1)
    return {arm: _scores(sample, draws, truth) for arm, draws in found.items() if draws}


def _reductions(
    sample: Sample, cut: Sequence[int], seed: int
) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Give database and queries in other coordinates, as many as are looked at."""
    database, queries, width = sample.database, sample.queries, sample.width
    pca = load("reducers", "pca")()
    pca.fit(database)
    yield PCA, pca.transform(database), pca.transform(queries)
    if not cut:
        return
    last = np.arange(width)[: -cut[-1] - 1 : -1]
    yield LAST, database[:, last], queries[:, last]
    for draw in range(DRAWS):
        chosen = load("reducers", "random-dims")(seed=seed + draw)
        chosen.fit(database)
        yield RANDOM, chosen.transform(database), chosen.transform(queries)
        axes = random_axes(width, cut[-1], seed + draw)
        yield ROTATED, np.matmul(database, axes), np.matmul(queries, axes)


def random_axes(width: int, count: int, seed: int) -> FloatArray:
    """Draw the first `count` of D orthonormal axes, (D, count), every rotation as likely."""
    drawn = np.random.default_rng(seed).standard_normal((width, count))
    axes, triangle = np.linalg.qr(drawn)
    axes *= np.sign(np.diag(triangle))
    return axes.astype(np.float32)


def _scores(
    sample: Sample, draws: Sequence[Mapping[int, Neighbors]], truth: Neighbors
) -> dict[Cell, FloatArray]:
    parts = [_scores_of_draw(sample, draw, truth) for draw in draws]
    return {cell: np.stack([part[cell] for part in parts]) for cell in parts[0]}


def _scores_of_draw(
    sample: Sample, draw: Mapping[int, Neighbors], truth: Neighbors
) -> dict[Cell, FloatArray]:
    """Score one draw: (Q,) for each measure and dim.

    Queries without a relevant row in the sample have no average precision, and are left out of it.
    """
    scores: dict[Cell, FloatArray] = {}
    for dim, found in draw.items():
        width = sample.width
        at_full = rerank(sample.database, sample.queries, found.ids, [width])[width]
        scores[Cell(RECALL, dim)] = recall_scores(at_full, truth, "recall_full", K)[RECALL]
        if sample.relevance is not None:
            judged = sample.relevance.judge(found.ids)
            answerable = judged.relevant > 0
            if answerable.any():
                scores[Cell(MAP, dim)] = average_precision(judged)[answerable]
    return scores


def measures(scores: Scores) -> list[str]:
    """List what was measured, neighbours kept first."""
    return list(dict.fromkeys(cell.measure for cell in scores))


def mean_points(arms: Mapping[str, Scores]) -> tuple[Point, ...]:
    """Average each arm's scores, with intervals over queries and draws."""
    return tuple(
        Point(measure, arm, dim, *each, scores[Cell(measure, dim)].shape[1])
        for arm, scores in arms.items()
        for measure in measures(scores)
        for dim, each in _intervals(measure, scores)
    )


def _intervals(measure: str, scores: Scores) -> Iterator[tuple[int, tuple[float, float, float]]]:
    dims = [cell.dim for cell in scores if cell.measure == measure]
    stacked = np.stack([scores[Cell(measure, dim)] for dim in dims], axis=2)  # (S, Q, M)
    return zip(dims, paired_intervals(stacked), strict=True)
