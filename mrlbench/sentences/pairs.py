"""Pairs to train a text model on, none of which gives away an answer of the evaluation."""

import logging
from dataclasses import dataclass

from mrlbench.errors import UserError
from mrlbench.files import digest
from mrlbench.protocols import Corpus, Items, Texts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Queries and the documents that answer them, row by row."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.queries)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content."""
        return digest([self.queries, self.documents])


def training_pairs(corpus: Corpus, evaluated: Corpus) -> Pairs:
    """List the pairs of a corpus, without those that the evaluation asks about.

    A pair is left out if its query is asked in the evaluation, or its document is the answer to one
    asked there; capitals and white space make no difference.

    Args:
        corpus: To train on.
        evaluated: To evaluate on.

    Raises:
        UserError: No texts, no pairs, or none is left.
    """
    known = _pairs(corpus)
    if len(known) == 0:
        raise UserError(
            "training.pairs: expected a corpus of queries and their documents, got none"
        )
    asked = {_plain(text) for text in _texts(evaluated.queries).texts}
    answers = {_plain(text) for text in _pairs(evaluated).documents}
    kept = [
        (query, document)
        for query, document in zip(known.queries, known.documents, strict=True)
        if _plain(query) not in asked and _plain(document) not in answers
    ]
    if len(kept) < 2:
        raise UserError(
            f"training.pairs: expected pairs that the evaluation does not ask about, got "
            f"{len(kept)} of {len(known)}"
        )
    if len(kept) < len(known):
        left_out = len(known) - len(kept)
        log.info("training.pairs: %d of %d left out: evaluated on", left_out, len(known))
    queries, documents = zip(*kept, strict=True)
    return Pairs(queries, documents)


def _pairs(corpus: Corpus) -> Pairs:
    queries, documents = _by_id(corpus.queries), _by_id(corpus.documents)
    return Pairs(
        tuple(queries[query] for query, _, _ in corpus.judgements),
        tuple(documents[document] for _, document, _ in corpus.judgements),
    )


def _texts(items: Items) -> Texts:
    if not isinstance(items, Texts):
        raise UserError(f"training.pairs: expected a corpus of texts, got one of {items.unit}")
    return items


def _by_id(items: Items) -> dict[str, str]:
    texts = _texts(items)
    return dict(zip(texts.ids, texts.texts, strict=True))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
