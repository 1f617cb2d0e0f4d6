"""From a corpus and an encoder to an embeddings folder, which every `eval-*` reads."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import blocks
from mrlbench.embedding.encoding import AnyEncoder, check_reads, encode_corpus, sides
from mrlbench.embedding.folder import BLOCK_BYTES
from mrlbench.embedding.vector_store import VectorStore
from mrlbench.errors import UserError
from mrlbench.files import check_writable, digest, replacing, write_json, write_text
from mrlbench.protocols import Corpus, Items, Role, Texts

DTYPES = ("float32", "float16")
MADE_BY = "mrlbench embed"
VECTORS: dict[Role, str] = {"document": "database.npy", "query": "queries.npy"}
LABELS = ("database_labels.npy", "queries_labels.npy")
QRELS = ("qrels.tsv", "database_ids.txt", "queries_ids.txt")
SCORES = "scores.npy"


@dataclass(frozen=True)
class Writing:
    """How an embeddings folder is written.

    Raises:
        UserError: A dtype that there is not.

    Attributes:
        out: The folder; new, empty, or one that was written here before.
        cache: Where vectors are kept; None keeps them in `out`/cache.
        dtype: Of the vectors in the folder; the cache keeps float32.
        batch: Texts or images handed to the encoder at once.
        about: More to say in `meta.json`, such as the plug-ins' arguments.
    """

    out: Path
    cache: Path | None = None
    dtype: str = "float32"
    batch: int = 512
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UserError(f"--dtype: expected {' or '.join(DTYPES)}, got {self.dtype!r}")


@dataclass(frozen=True)
class Encoded:
    """What was done: items that were encoded now, and different ones that the folder holds."""

    now: int
    all: int


def embed_corpus(encoder: AnyEncoder, corpus: Corpus, writing: Writing) -> Encoded:
    """Encode a corpus, as far as it is not in the cache, and write an embeddings folder.

    Raises:
        UserError: The corpus does not fit together or has empty texts, the folder holds something
            else, or the encoder fails; what was encoded is kept.
    """
    check_corpus(corpus)
    check_reads(encoder, corpus)
    _check_folder(writing.out)
    store = VectorStore(writing.cache or writing.out / "cache", encoder.identity)
    keys = {role: store.keys(role, items) for role, items in sides(corpus)}
    inputs = digest([writing.dtype, *(_hex(each) for each in keys.values()), _relevance(corpus)])
    now = encode_corpus(encoder, corpus, store, writing.batch)
    if not _is_written(writing.out, inputs):
        _write(writing, store, keys, corpus)
    meta = {"made_by": MADE_BY, "inputs": inputs, "dtype": writing.dtype, **_meta(encoder, corpus)}
    write_json(writing.out / "meta.json", meta | dict(writing.about))
    return Encoded(now, sum(len(set(each)) for each in keys.values()))


def check_corpus(corpus: Corpus) -> None:
    """Refuse a corpus that cannot be encoded or judged, before anything is.

    Raises:
        UserError: One line that names the id.
    """
    for role, items in sides(corpus):
        _check_items(role, items)
    documents, queries = len(corpus.documents), len(corpus.queries)
    for what, values, count in (
        ("document labels", corpus.document_labels, documents),
        ("query labels", corpus.query_labels, queries),
        ("scores", corpus.scores, queries),
    ):
        if values is not None and values.shape != (count,):
            raise UserError(f"{what}: expected {count}, got an array of shape {values.shape}")
    if (corpus.document_labels is None) != (corpus.query_labels is None):
        raise UserError("expected labels of documents and queries, got only one of them")
    if corpus.scores is not None and documents != queries:
        raise UserError(f"expected pairs, got {documents} documents and {queries} queries")
    _check_judgements(corpus)


def _check_items(role: str, items: Items) -> None:
    if not len(items):
        raise UserError(f"expected at least one {role}, got none")
    if len(set(items.ids)) < len(items):
        twice = Counter(items.ids).most_common(1)[0][0]
        raise UserError(f"expected different ids of each {role}, got {twice!r} twice")
    if not isinstance(items, Texts):
        return
    for name, text in zip(items.ids, items.texts, strict=True):
        if not text.strip():
            raise UserError(f"{role} {name!r}: expected a text, got an empty one")


def _check_judgements(corpus: Corpus) -> None:
    if not corpus.judgements:
        return
    known = [set(items.ids) for _, items in sides(corpus)]
    for query, document, _ in corpus.judgements:
        if query not in known[1] or document not in known[0]:
            raise UserError(
                f"judgement of query {query!r} and document {document!r}: "
                f"expected ids of the corpus, got an unknown one"
            )
    for names in known:
        if split := next((name for name in names if len(name.split()) != 1), None):
            raise UserError(f"id {split!r}: expected no white space in it, since qrels have lines")


def _check_folder(out: Path) -> None:
    """Refuse to write over vectors that somebody else made."""
    check_writable(out)
    if (out / VECTORS["document"]).exists() and _meta_of(out).get("made_by") != MADE_BY:
        raise UserError(f"--out: expected a new folder or one that embed wrote, got {out}")


def _meta_of(out: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((out / "meta.json").read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return meta


def _is_written(out: Path, inputs: str) -> bool:
    there = all((out / name).is_file() for name in VECTORS.values())
    return there and _meta_of(out).get("inputs") == inputs


def _write(
    writing: Writing, store: VectorStore, keys: Mapping[Role, Sequence[bytes]], corpus: Corpus
) -> None:
    """Write all but the last `meta.json`; what is there meanwhile cannot be opened."""
    write_json(writing.out / "meta.json", {"made_by": MADE_BY})
    for name in (*VECTORS.values(), *LABELS, *QRELS, SCORES):
        (writing.out / name).unlink(missing_ok=True)
    _write_relevance(writing.out, corpus)
    for role, each in keys.items():
        _write_vectors(writing.out / VECTORS[role], store, each, writing.dtype)


def _write_vectors(path: Path, store: VectorStore, keys: Sequence[bytes], dtype: str) -> None:
    size = max(1, BLOCK_BYTES // (4 * store.width))
    with replacing(path) as beside:
        vectors = np.lib.format.open_memmap(
            beside, mode="w+", dtype=np.dtype(dtype), shape=(len(keys), store.width)
        )
        for rows in blocks(len(keys), size):
            whole = store.read(keys[rows])
            if np.abs(whole).max() > np.finfo(np.dtype(dtype)).max:
                raise UserError(
                    f"--dtype: expected float32, since values are too large for {dtype}"
                )
            vectors[rows] = whole
        vectors.flush()


def _write_relevance(out: Path, corpus: Corpus) -> None:
    if corpus.document_labels is not None and corpus.query_labels is not None:
        _save(out / LABELS[0], corpus.document_labels)
        _save(out / LABELS[1], corpus.query_labels)
    if corpus.scores is not None:
        _save(out / SCORES, corpus.scores)
    if corpus.judgements:
        lines = [
            f"{query} 0 {document} {float(gain)}" for query, document, gain in corpus.judgements
        ]
        contents = (lines, corpus.documents.ids, corpus.queries.ids)
        for name, each in zip(QRELS, contents, strict=True):
            write_text(out / name, "\n".join(each) + "\n")


def _save(path: Path, array: NDArray[Any]) -> None:
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array)


def _relevance(corpus: Corpus) -> list[Any]:
    """Give what is relevant to what, as JSON can hold it."""
    arrays = (corpus.document_labels, corpus.query_labels, corpus.scores)
    listed = [None if each is None else each.tolist() for each in arrays]
    ids = (corpus.documents.ids, corpus.queries.ids) if corpus.judgements else ()
    return [*listed, corpus.judgements, ids]


def _meta(encoder: AnyEncoder, corpus: Corpus) -> dict[str, Any]:
    identity = dict(encoder.identity)
    return {
        "model": identity.get("model", ""),
        "revision": identity.get("revision", ""),
        "trained_dims": list(encoder.trained_dims),
        "steps": list(encoder.steps),
        "prompts": {role: identity.get(f"{role}_prompt", "") for role in ("query", "document")},
        "query_set": corpus.query_set,
        "corpus_fingerprint": corpus.fingerprint,
        "identity": identity,
    }


def _hex(keys: Sequence[bytes]) -> list[str]:
    return [key.hex() for key in keys]
