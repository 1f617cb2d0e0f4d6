"""Linear accuracy of frozen vectors: a probe at each dim of each reduction."""

import logging
from typing import NamedTuple

import numpy as np
import torch

from mrlbench.arrays import FloatArray, IntArray, blocks
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.probe import TOLERANCE, fit_scaler, train_probe
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Reduced, Source, reduce
from mrlbench.measurements import Row
from mrlbench.progress import task

log = logging.getLogger(__name__)

VARIANT = "probe=linear"
READ_AT_ONCE = 8192  # rows; 64 MB at 2048 dims


class Part(NamedTuple):
    """Vectors with their classes, numbered from 0; -1 is a class that was not trained.

    Attributes:
        vectors: (n, D) float32.
        classes: (n,).
    """

    vectors: FloatArray
    classes: IntArray


def evaluate_probes(source: Source, rows: int, iterations: int) -> list[Row]:
    """Train a probe at each dim, for the prefix and each baseline, and measure the queries.

    Features are as the model gives them, not L2-normalised, standardised by the rows trained on.

    Args:
        source: The vectors, with labels.
        rows: How many of the database to train on, drawn by seed 0; they are in memory, (rows, D)
            float32.
        iterations: Of L-BFGS, at most.

    Raises:
        UserError: The vectors have no class labels.
    """
    reducers = ("prefix", *source.baselines)
    measured: list[Row] = []
    unfinished = 0
    with task(f"probes {source.label}", len(reducers) * len(source.dims), "probes") as work:
        for reducer in reducers:
            train, queries = _read(source, reducer, rows)
            raw: dict[str, FloatArray] = {}
            for dim in source.dims:
                scores, converged = _probe(source, train, queries, dim, iterations)
                template = source.row(
                    task="classification",
                    reducer=reducer,
                    dim=dim,
                    variant=VARIANT,
                    n_database=None,
                    dtype=None,
                )
                measured += mean_rows(template, scores)
                raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
                unfinished += not converged
                work.advance(1, f"{reducer} {dim}")
            source.save_raw(f"scores-probes-{reducer}", raw)
    if unfinished:
        total = len(reducers) * len(source.dims)
        log.info(
            "probes %s: %d of %d stopped after %d iterations, before every gradient was below %g",
            *(source.label, unfinished, total, iterations, TOLERANCE),
        )
    return measured


def _probe(
    source: Source, train: Part, queries: Part, dim: int, iterations: int
) -> tuple[dict[str, FloatArray], bool]:
    device = torch.device(source.device or "cpu")
    # read a hundred times over: rows of a narrow dim would each be on a page of memory of their own
    cut = (np.ascontiguousarray(each.vectors[:, :dim]) for each in (train, queries))
    features, asked, labels = (torch.from_numpy(each).to(device) for each in (*cut, train.classes))
    probe = train_probe(features, labels, int(train.classes.max()) + 1, iterations)
    logits, known = probe.logits(asked), queries.classes >= 0
    ones = [top_k(logits, queries.classes.clip(0), k) * known for k in (1, 5)]
    scores = {f"top{k}": each.astype(np.float32) for k, each in zip((1, 5), ones, strict=True)}
    return scores, probe.converged


def _read(source: Source, reducer: str, count: int) -> tuple[Part, Part]:
    """Read, reduce and standardise what is trained on and what is asked."""
    labels = source.embeddings.relevance
    if not isinstance(labels, Labels):
        raise UserError(
            "linear probes: expected database_labels.npy and queries_labels.npy in "
            f"{source.embeddings.folder}, got neither"
        )
    total = len(labels.database)
    drawn = np.random.default_rng(0).permutation(total)[:count]
    kept = np.sort(drawn)
    database, queries = reduce(source.embeddings, reducer)
    train, asked = _rows(database, kept), _rows(queries, np.arange(len(labels.queries)))
    scaler = fit_scaler(train)
    names, classes = np.unique(labels.database[kept], return_inverse=True)
    place = np.searchsorted(names, labels.queries).clip(max=len(names) - 1)
    places = np.where(names[place] == labels.queries, place, -1)
    return Part(scaler.apply(train), classes), Part(scaler.apply(asked), places)


def _rows(vectors: FloatArray | Reduced, rows: IntArray) -> FloatArray:
    """Read some rows through the reducer, a block at a time, (n, D)."""
    read = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    for part in blocks(len(rows), READ_AT_ONCE):
        read[part] = vectors[rows[part]]
    return read
