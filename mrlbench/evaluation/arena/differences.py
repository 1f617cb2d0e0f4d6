"""What each entrant of the arena has more than the float32 prefix of the trained vectors.

Differences are paired over queries. What is subtracted is always exact search over float32 prefixes
or, at equal dims, over prefixes of the same type: of the nested model, where a run has several.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import FloatArray, blocks
from mrlbench.evaluation.arena.codes import FLOAT32
from mrlbench.evaluation.arena.contest import MAP, PREFIX, RECALL
from mrlbench.evaluation.kept_scores import KeptScores
from mrlbench.intervals import paired_intervals
from mrlbench.measurements import Row

NESTED = "mrl"
BYTES, MFLOPS, DIM, FULL = "equal=bytes", "equal=mflops", "equal=dim", "at=full"
DIFFERENCE = re.compile(r"minus=.*")
AT_ONCE = 200  # differences in one bootstrap
SLACK = 1 + 1e-9


@dataclass(frozen=True)
class Found:
    """An entrant as the CSV has it: its quality, the scores behind it, and what it costs."""

    row: Row
    scores: FloatArray  # (Q,)
    bytes: float
    mflops: float

    @property
    def reranked(self) -> bool:
        """Whether its results are those of a rerank at full width."""
        return self.row.rerank_dims is not None


def main_metric(rows: Sequence[Row]) -> str:
    """Choose what entrants are compared by: mAP@10, or recall_full@10 where nothing is judged."""
    return MAP if any(row.metric == MAP for row in rows) else RECALL


def reference_method(rows: Sequence[Row]) -> str:
    """Choose the vectors whose prefixes are the reference: the nested model's, else the first."""
    whole = {row.method or "" for row in rows if row.rerank_dims}
    return min(whole, key=lambda name: (name != NESTED, name.startswith("fixed-"), name))


def difference_rows(rows: Sequence[Row], kept: KeptScores) -> list[Row]:
    """Compare every entrant with its references.

    The variant says with which: `minus=METHOD,equal=bytes`, the float32 prefix that has as many
    bytes in the first stage, reranked if the entrant is; `equal=mflops`, the widest float32 prefix
    that costs no more and is not reranked; `equal=dim`, the prefix of the same type and dim,
    reranked if the entrant is; `at=full`, exact search at full width. Seeds are paired and
    averaged; what has no seed, or another, is compared with the reference's first.

    Args:
        rows: Of `arena.csv`, without differences.
        kept: The per-query scores behind them.
    """
    if not any(row.rerank_dims for row in rows):  # nothing but models of one narrow dim
        return []
    method, found = reference_method(rows), list(_entrants(rows, kept))
    own = _by_seed(each for each in found if each.row.method == method)
    first = next(iter(own.values()), [])
    pairs: dict[Row, dict[int | None, FloatArray]] = {}
    for entrant in found:
        bare = replace(entrant.row, value=0, ci_low=None, ci_high=None, seed=None)
        for name, other in _references(entrant, own.get(entrant.row.seed, first)):
            if other is not entrant and len(other.scores) == len(entrant.scores):
                key = replace(bare, variant=f"minus={method},{name}")
                pairs.setdefault(key, {})[entrant.row.seed] = entrant.scores - other.scores
    return list(_with_intervals(pairs))


def _entrants(rows: Sequence[Row], kept: KeptScores) -> Iterator[Found]:
    metric = main_metric(rows)
    grouped: dict[Row, dict[str, Row]] = {}
    for row in rows:
        bare = replace(row, metric="", value=0, k=None, ci_low=None, ci_high=None, n=None)
        grouped.setdefault(bare, {})[row.metric] = row
    for each in grouped.values():
        scores = kept.of(each[metric]) if metric in each else None
        if scores is not None:
            costs = (each[name].value for name in ("bytes_per_vector", "mflops"))
            yield Found(each[metric], scores.scores, *costs)


def _by_seed(entrants: Iterable[Found]) -> dict[int | None, list[Found]]:
    found: dict[int | None, list[Found]] = {}
    for each in entrants:
        found.setdefault(each.row.seed, []).append(each)
    return found


def _references(entrant: Found, own: Sequence[Found]) -> Iterator[tuple[str, Found]]:
    """Find what an entrant is compared with among those of the reference method."""
    row = entrant.row
    prefixes = [each for each in own if each.row.reducer == PREFIX]
    floats = [each for each in prefixes if each.row.dtype == FLOAT32]
    for each in floats:
        if each.bytes == entrant.bytes and each.reranked == entrant.reranked:
            yield BYTES, each
    exact = [each for each in floats if not each.reranked]
    cheap = [each for each in exact if each.mflops <= entrant.mflops * SLACK]
    if cheap:
        yield MFLOPS, max(cheap, key=lambda each: each.mflops)
    for each in prefixes:
        same = (each.row.dim, each.row.dtype, each.reranked)
        if same == (row.dim, row.dtype, entrant.reranked):
            yield DIM, each
    if exact:
        yield FULL, max(exact, key=lambda each: each.row.dim or 0)


def _with_intervals(pairs: Mapping[Row, Mapping[int | None, FloatArray]]) -> Iterator[Row]:
    """Bootstrap differences, those of as many seeds and queries together."""
    stacked = {row: np.stack(list(seeds.values())) for row, seeds in pairs.items()}  # (S, Q)
    for shape in dict.fromkeys(each.shape for each in stacked.values()):
        same = [row for row, each in stacked.items() if each.shape == shape]
        for part in blocks(len(same), AT_ONCE):
            some = same[part]
            together = np.stack([stacked[row] for row in some], axis=2)  # (S, Q, M)
            for row, (value, low, high) in zip(some, paired_intervals(together), strict=True):
                seed = next(iter(pairs[row])) if shape[0] == 1 else None
                yield replace(row, value=value, ci_low=low, ci_high=high, n=shape[1], seed=seed)
