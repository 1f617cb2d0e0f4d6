"""Encode the texts and images of a corpus that are not in the store yet."""

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from mrlbench.arrays import FloatArray, blocks
from mrlbench.embedding.vector_store import VectorStore
from mrlbench.errors import UserError
from mrlbench.progress import Task, task
from mrlbench.protocols import Corpus, Encoder, ImageEncoder, Items, Pictures, Role, Texts

log = logging.getLogger(__name__)

AnyEncoder = Encoder | ImageEncoder


@runtime_checkable
class Cutting(Protocol):
    """An encoder that can tell which texts it will not read to their end."""

    max_length: int  # tokens

    def count_cut(self, items: Sequence[str], role: Role) -> int:
        """Count the texts that are longer than `max_length`."""
        ...


@runtime_checkable
class InParts(Protocol):
    """An encoder whose texts are paid for: it gives vectors as they come, errors or not."""

    def encode_parts(
        self, items: Sequence[str], role: Role
    ) -> Iterator[tuple[slice, FloatArray | UserError]]:
        """Give the vectors of some rows, or why they could not be had."""
        ...


def sides(corpus: Corpus) -> tuple[tuple[Role, Items], tuple[Role, Items]]:
    """Give the two sides of a corpus with their roles: documents, then queries."""
    return ("document", corpus.documents), ("query", corpus.queries)


def check_reads(encoder: AnyEncoder, corpus: Corpus) -> None:
    """Refuse images for an encoder of texts, and texts for one of images.

    Raises:
        UserError: What it cannot read.
    """
    for role, items in sides(corpus):
        if not isinstance(encoder, _reader(items)):
            raise UserError(
                f"--data: expected what the encoder {encoder.identity['encoder']} reads, "
                f"got {items.unit} as {_plural(role)}"
            )


def encode_corpus(encoder: AnyEncoder, corpus: Corpus, store: VectorStore, batch: int) -> int:
    """Encode what is not in the store, and keep it there.

    Args:
        encoder: What encodes.
        corpus: Checked; a text that stands in it several times is encoded once for each role.
        store: The encoder's own.
        batch: Texts or images handed to the encoder at once.

    Returns:
        How many were encoded.

    Raises:
        UserError: The encoder gives vectors that nothing can be done with; those before are kept.
    """
    todo = [(role, _missing(items, role, store)) for role, items in sides(corpus)]
    total = sum(len(items) for _, items in todo)
    for role, items in todo:
        _warn_of_cuts(encoder, items, role)
    try:
        with task("encode", total, unit(corpus)) as work:
            for role, items in todo:
                _encode(encoder, items, role, store, batch, work)
    finally:
        store.flush()
    return total


def unit(corpus: Corpus) -> str:
    """Say what a corpus has: texts, images, or images and texts."""
    return " and ".join(sorted({items.unit for _, items in sides(corpus)}))


def _reader(items: Items) -> type[Encoder] | type[ImageEncoder]:
    return ImageEncoder if isinstance(items, Pictures) else Encoder


def _plural(role: Role) -> str:
    return "queries" if role == "query" else "documents"


def _missing(items: Items, role: Role, store: VectorStore) -> Items:
    """Keep one of each text or image that the store does not have."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(store.keys(role, items)):
        first.setdefault(key, row)
    return items.take([row for key, row in first.items() if key not in store])


def _warn_of_cuts(encoder: AnyEncoder, items: Items, role: Role) -> None:
    """Say before the work how many texts the model will not read to their end."""
    if not isinstance(encoder, Cutting) or not isinstance(items, Texts):
        return
    if cut := encoder.count_cut(items.texts, role):
        log.warning(
            "%d of %d %s are longer than %d tokens, and only that much of them is read",
            *(cut, len(items), _plural(role), encoder.max_length),
        )


def _encode(
    encoder: AnyEncoder, items: Items, role: Role, store: VectorStore, batch: int, work: Task
) -> None:
    for rows in blocks(len(items), batch):
        part = items.take(range(rows.start, rows.stop))
        failed: UserError | None = None
        for done, vectors in _vectors(encoder, part, role):
            some = part.take(range(done.start, done.stop))
            if isinstance(vectors, UserError):
                first, last = some.ids[0], some.ids[-1]
                failed = failed or UserError(f"{role} {first!r} to {last!r}: {vectors}")
                continue
            _check(vectors, some.ids, role)  # (B, D)
            store.add(store.keys(role, some), vectors)
            work.advance(len(vectors))
        if failed:
            raise failed


def _vectors(
    encoder: AnyEncoder, items: Items, role: Role
) -> Iterator[tuple[slice, FloatArray | UserError]]:
    """Encode; most encoders give all vectors at once."""
    whole = slice(0, len(items))
    if isinstance(items, Pictures) and isinstance(encoder, ImageEncoder):
        yield whole, encoder.encode_images(items.paths)
    elif isinstance(items, Texts) and isinstance(encoder, InParts):
        yield from encoder.encode_parts(items.texts, role)
    elif isinstance(items, Texts) and isinstance(encoder, Encoder):
        yield whole, encoder.encode(items.texts, role)
    else:
        # was checked before
        raise TypeError(f"{type(encoder).__name__} does not read {items.unit}")


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
