"""What corpora share: texts that are one however often they occur, queries drawn from documents."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mrlbench.errors import UserError
from mrlbench.protocols import Corpus, Texts
from mrlbench.records import Record


class Pair(NamedTuple):
    """A query with a document that answers it, and the row that says so."""

    query_id: str
    query: str
    document_id: str
    document: str
    record: Record


def corpus_of_pairs(pairs: Iterable[Pair]) -> Corpus:
    """Make a corpus in which each text is one query or one document, with the id it had first.

    Raises:
        UserError: An id is given to two texts.
    """
    queries, documents = _Collected(), _Collected()
    judgements = {
        (
            queries.add(pair.query_id, pair.query, pair.record),
            documents.add(pair.document_id, pair.document, pair.record),
        ): 1.0
        for pair in pairs
    }
    return with_fingerprint(
        Corpus(
            documents=documents.texts(),
            queries=queries.texts(),
            judgements=tuple((*ids, gain) for ids, gain in judgements.items()),
        )
    )


class _Collected:
    """Texts in the order in which they came first."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}  # by text
        self._texts: dict[str, str] = {}  # by id

    def add(self, name: str, text: str, record: Record) -> str:
        """Take a text in, and give the id under which it is kept."""
        kept = self._ids.setdefault(text, name)
        if kept == name and self._texts.setdefault(name, text) != text:
            raise record.error(f"expected an id for each text, got {name!r} for another one again")
        return kept

    def texts(self) -> Texts:
        return Texts(tuple(self._texts), tuple(self._texts.values()))


def draw_queries(labels: Sequence[str], share: float, seed: int) -> set[int]:
    """Draw rows as queries so that each label has a row left as a document.

    Args:
        labels: (N,).
        share: Of the rows; fewer are drawn where labels would run out.
        seed: Draws them.

    Raises:
        UserError: A share that cannot be.
    """
    if not 0 < share < 1:
        raise UserError(f"share: expected between 0 and 1, got {share}")
    left, wanted = Counter(labels), max(1, round(share * len(labels)))
    drawn: set[int] = set()
    for row in np.random.default_rng(seed).permutation(len(labels)).tolist():
        if len(drawn) < wanted and left[labels[row]] > 1:
            drawn.add(row)
            left[labels[row]] -= 1
    return drawn


def with_fingerprint(corpus: Corpus) -> Corpus:
    """Give a corpus the SHA-256 over all that a measurement of it depends on."""
    hashed = hashlib.sha256()
    for part in (corpus.documents, corpus.queries):
        hashed.update(f"{len(part)}\n".encode())  # where one part ends and the next begins
        for each in zip(part.ids, part.contents, strict=True):
            hashed.update(json.dumps(each).encode() + b"\n")
    for judgement in corpus.judgements:
        hashed.update(json.dumps(judgement).encode() + b"\n")
    for array in (corpus.document_labels, corpus.query_labels, corpus.scores):
        hashed.update(json.dumps(None if array is None else array.tolist()).encode() + b"\n")
    return replace(corpus, fingerprint=hashed.hexdigest())
