"""Encode the texts of a corpus that are not in the store yet."""

import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from mrlbench.arrays import FloatArray, blocks
from mrlbench.embedding.vector_store import VectorStore
from mrlbench.errors import UserError
from mrlbench.progress import Task, task
from mrlbench.protocols import Corpus, Encoder, Role, Texts

log = logging.getLogger(__name__)


@runtime_checkable
class Cutting(Protocol):
    """An encoder that can tell which texts it will not read to their end."""

    max_length: int  # tokens

    def count_cut(self, items: Sequence[str], role: Role) -> int:
        """Count the texts that are longer than `max_length`."""
        ...


def sides(corpus: Corpus) -> tuple[tuple[Role, Texts], tuple[Role, Texts]]:
    """Give the two sides of a corpus with their roles: documents, then queries."""
    return ("document", corpus.documents), ("query", corpus.queries)


def encode_corpus(encoder: Encoder, corpus: Corpus, store: VectorStore, batch: int) -> int:
    """Encode what is not in the store, and keep it there.

    Args:
        encoder: What encodes.
        corpus: Checked; a text that stands in it several times is encoded once for each role.
        store: The encoder's own.
        batch: Texts handed to the encoder at once.

    Returns:
        How many texts were encoded.

    Raises:
        UserError: The encoder gives vectors that nothing can be done with; those before are kept.
    """
    todo = [(role, _missing(texts, role, store)) for role, texts in sides(corpus)]
    total = sum(len(texts) for _, texts in todo)
    for role, texts in todo:
        _warn_of_cuts(encoder, texts, role)
    try:
        with task("encode", total, "texts") as work:
            for role, texts in todo:
                _encode(encoder, texts, role, store, batch, work)
    finally:
        store.flush()
    return total


def _missing(texts: Texts, role: Role, store: VectorStore) -> Texts:
    """Keep one of each text that the store does not have."""
    first: dict[bytes, int] = {}
    for row, text in enumerate(texts.texts):
        first.setdefault(store.key(role, text), row)
    rows = [row for key, row in first.items() if key not in store]
    return Texts(tuple(texts.ids[row] for row in rows), tuple(texts.texts[row] for row in rows))


def _warn_of_cuts(encoder: Encoder, texts: Texts, role: Role) -> None:
    """Say before the work how many texts the model will not read to their end."""
    if isinstance(encoder, Cutting) and (cut := encoder.count_cut(texts.texts, role)):
        each = "queries" if role == "query" else "documents"
        log.warning(
            "%d of %d %s are longer than %d tokens, and only that much of them is read",
            *(cut, len(texts), each, encoder.max_length),
        )


def _encode(
    encoder: Encoder, texts: Texts, role: Role, store: VectorStore, batch: int, work: Task
) -> None:
    for rows in blocks(len(texts), batch):
        vectors = encoder.encode(texts.texts[rows], role)  # (B, D)
        _check(vectors, texts.ids[rows], role)
        store.add([store.key(role, text) for text in texts.texts[rows]], vectors)
        work.advance(len(vectors))


def _check(vectors: FloatArray, ids: Sequence[str], role: Role) -> None:
    """Refuse vectors that have no direction, by the id of the text."""
    if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.size:
        raise UserError(f"expected {len(ids)} vectors, got an array of shape {vectors.shape}")
    largest = np.abs(vectors).max(axis=1)  # (B,); NaN and infinity spread to it
    wrong = ~np.isfinite(largest) | (largest == 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{role} {ids[row]!r}: expected a finite vector that is not zero, "
            f"got one whose largest value is {largest[row]:g}"
        )
