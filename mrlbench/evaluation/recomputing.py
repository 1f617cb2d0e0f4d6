"""Per-query scores computed anew from the neighbours and logits that a run keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrlbench.arrays import BoolArray, FloatArray, Neighbors
from mrlbench.embedding.folder import Embeddings, has_logits, open_embeddings
from mrlbench.embedding.logits import open_logits_file
from mrlbench.errors import UserError
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.kept_scores import RETRIEVAL, KeptScores, label_of, read_arrays
from mrlbench.evaluation.scores import TIE, metric_scores, recall_scores
from mrlbench.evaluation.svd_classifier import NAME as SVD_CLASSIFIER
from mrlbench.measurements import Row
from mrlbench.runs import Output
from mrlbench.search.adaptive import rerank

SAME = 1e-6  # float32 scores of the same neighbours
UNCHECKED = "unchecked"
BY_NEIGHBOURS = "arrays of per-query scores against the neighbours"
BY_LOGITS = "arrays of per-query scores against the logits"
SPARE = 50  # neighbours beyond the k-th that may be its equals
Range = tuple[FloatArray, FloatArray]  # the lowest and the highest score of each query, (Q,) each
Finding = tuple[str, list[str]]  # what kind of check, and what does not match


@dataclass(frozen=True)
class Vectors:
    """The rows of one source at one dim, and where their vectors are."""

    row: Row
    label: str
    folder: Path
    metrics: tuple[str, ...]
    ks: tuple[int, ...]


def recompute(
    output: Output, rows: Sequence[Row], kept: KeptScores, embeddings: Path | None
) -> Iterator[Finding]:
    """Score neighbours and logits anew, and compare with the scores that are kept.

    Args:
        output: The run.
        rows: Of all its CSV files.
        kept: Its per-query scores.
        embeddings: Of vectors that are not the run's own.

    Yields:
        The kind of check with what does not match; or `UNCHECKED` with the reasons.
    """
    for vectors in _sources(output, rows, kept, embeddings):
        try:
            opened = _open(vectors.folder)
        except UserError as error:
            yield UNCHECKED, [f"scores not recomputed: {error}"]
            continue
        if vectors.row.task in RETRIEVAL:
            yield from _by_neighbours(vectors, opened, kept)
        elif has_logits(vectors.folder):
            yield from _by_logits(vectors, kept)
        else:
            yield UNCHECKED, [f"scores not recomputed: no logits.npz of {vectors.label}"]


def _sources(
    output: Output, rows: Sequence[Row], kept: KeptScores, embeddings: Path | None
) -> list[Vectors]:
    """Gather the rows whose scores are made from neighbours or logits alone, by source and dim."""
    groups: dict[tuple[str, str, str | None, int | None], list[Row]] = {}
    for row in rows:
        plain = row.task == "classification" and row.reducer is None
        searched = row.task in RETRIEVAL and row.metric != "mflops"
        if (plain or searched) and row.reducer != SVD_CLASSIFIER and row.n is not None:
            label, task = label_of(row, kept.queries), "logits" if plain else "search"
            groups.setdefault((label, task, row.reducer, row.dim), []).append(row)
    found = []
    for (label, *_), some in groups.items():
        metrics, ks = (
            dict.fromkeys(getattr(row, cell) for row in some) for cell in ("metric", "k")
        )
        folder = embeddings or _folder(output, label)
        own = tuple(k for k in ks if k is not None)
        found.append(Vectors(some[0], label, folder, tuple(metrics), own))
    return found


def _folder(output: Output, label: str) -> Path:
    """Find a run's vectors by label: `mrl@variant-seed-0` are in `mrl@variant/seed-0`."""
    method, seed, number = label.partition("-seed-")
    return output.folder / "embeddings" / method / f"seed-{number}" if seed else Path(label)


def _open(folder: Path) -> Embeddings:
    return open_embeddings(folder, made_from="a run")  # as kept: its rows were checked before


def _by_neighbours(vectors: Vectors, opened: Embeddings, kept: KeptScores) -> Iterator[Finding]:
    row = vectors.row
    path = _neighbours(kept.raw, row, vectors.label)
    if path is None:
        name = f"neighbors-{row.reducer}-{row.dim}-{vectors.label}.npz"
        yield UNCHECKED, [f"scores not recomputed: no raw/{name}"]
        return
    arrays = read_arrays(path)
    if arrays is None:
        return  # the damaged file is named by the checks of the manifest
    found = Neighbors(arrays["ids"], arrays["scores"])
    try:
        fresh = _judged(vectors, opened, found) | _recalled(vectors, opened, found, kept)
    except (IndexError, ValueError) as error:
        yield BY_NEIGHBOURS, [f"raw/{path.name}: its neighbours fit no such vectors: {error}"]
        return
    yield from _compare(vectors, fresh, kept, BY_NEIGHBOURS, f"raw/{path.name}")


def _neighbours(raw: Path, row: Row, label: str) -> Path | None:
    names = (label, f"{label}-width-{row.dim}")
    paths = [raw / f"neighbors-{row.reducer}-{row.dim}-{each}.npz" for each in names]
    return next((path for path in paths if path.is_file()), None)


def _judged(vectors: Vectors, opened: Embeddings, found: Neighbors) -> dict[str, Range]:
    """Score by relevance, at each k that the rows have.

    A later search for more neighbours may have put equals in another order: the scores lie between
    those of the best and of the worst order of each group of equals.
    """
    if opened.relevance is None or not vectors.ks:
        return {}
    found = found.first(max(vectors.ks) + SPARE)
    judged = opened.relevance.judge(found.ids)
    group = np.cumsum(np.diff(found.scores, axis=1, prepend=np.inf) < -TIE, axis=1)  # (Q, K)
    ends = []
    for sign in (1, -1):  # relevant ones last in each group, then first
        order = np.lexsort((sign * judged.gains, group), axis=1)
        gains = np.take_along_axis(judged.gains, order, axis=1)
        ends.append(metric_scores(judged._replace(gains=gains), vectors.ks))
    worst, best = ends
    return {metric: (worst[metric], best[metric]) for metric in worst}


def _recalled(
    vectors: Vectors, opened: Embeddings, found: Neighbors, kept: KeptScores
) -> dict[str, Range]:
    """Compare with the neighbours at full width, by cosines there.

    Where the k-th and the next are equals, on either side, any recall is possible.
    """
    ks = {int(m.rpartition("@")[2]) for m in vectors.metrics if m.startswith("recall_full@")}
    path = kept.raw / f"neighbors-prefix-{opened.width}-{vectors.label}.npz"
    arrays = read_arrays(path) if ks else None
    if arrays is None:
        return {}
    truth, ranges = Neighbors(arrays["ids"], arrays["scores"]), dict[str, Range]()
    for k in ks:
        again = rerank(opened.database, opened.queries, found.ids[:, :k], [opened.width])
        open_end = _ends_in_a_tie(found, k) | _ends_in_a_tie(truth, k)
        for name, scores in recall_scores(again[opened.width], truth, "recall_full", k).items():
            low, high = (np.where(open_end, np.float32(end), scores) for end in (0, 1))
            ranges[name] = (low, high)
    return ranges


def _ends_in_a_tie(found: Neighbors, k: int) -> BoolArray:
    """Tell for which queries the k-th and the next neighbour are equals, (Q,)."""
    if found.scores.shape[1] <= k:
        return np.zeros(len(found.scores), dtype=np.bool_)
    return found.scores[:, k - 1] - found.scores[:, k] < TIE


def _by_logits(vectors: Vectors, kept: KeptScores) -> Iterator[Finding]:
    file, dim = open_logits_file(vectors.folder), vectors.row.dim
    if dim not in file.dims:
        return
    logits = file.read(dim)
    fresh = {f"top{k}": (top_k(logits, file.labels, k),) * 2 for k in (1, 5)}
    yield from _compare(vectors, fresh, kept, BY_LOGITS, file.path.name)


def _compare(
    vectors: Vectors, fresh: Mapping[str, Range], kept: KeptScores, kind: str, by: str
) -> Iterator[Finding]:
    """Compare the scores of every metric that the rows have, query by query."""
    for metric in vectors.metrics:
        stored = kept.of(replace(vectors.row, metric=metric))
        if stored is None or metric not in fresh:
            continue
        (low, high), scores = fresh[metric], stored.scores
        name = f"raw/{stored.file.name} {stored.key}"
        if scores.shape != low.shape:
            yield kind, [f"{name}: {len(scores)} queries, but {len(low)} in {by}"]
            continue
        differ = np.flatnonzero(~((scores > low - SAME) & (scores < high + SAME)))
        wrong = []
        if len(differ):
            first = int(differ[0])
            wrong = [
                f"{name}: {len(differ)} of {len(scores)} queries are not what {by} gives: query "
                f"{first} has {scores[first]:.6g}, recomputed {high[first]:.6g}"
            ]
        yield kind, wrong
