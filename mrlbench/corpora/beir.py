"""A folder in BEIR's format: corpus.jsonl, queries.jsonl and qrels/<split>.tsv."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mrlbench.errors import UserError
from mrlbench.protocols import Corpus, Texts
from mrlbench.records import Record, read_records
from mrlbench.texts import with_fingerprint


def beir(path: str, split: str = "test") -> Corpus:
    """Retrieval with graded judgements; only queries that have a gain above 0 are asked.

    A document is its title, a space and its text, as BEIR's own encoders read it.

    Args:
        path: Folder with `corpus.jsonl` (_id, title, text), `queries.jsonl` (_id, text) and
            `qrels/<split>.tsv` (query-id, corpus-id, score, with that line at the top).
        split: Which judgements.
    """
    folder = Path(path)
    qrels = folder / "qrels" / f"{split}.tsv"
    if not qrels.is_file():
        there = ", ".join(sorted(each.stem for each in qrels.parent.glob("*.tsv"))) or "none"
        raise UserError(f"expected judgements in {qrels}, got no such file; splits there: {there}")
    documents = _by_id(folder / "corpus.jsonl", _document)
    queries = _by_id(folder / "queries.jsonl", lambda row: row.text("text"))
    gains = _read_gains(qrels, queries, documents)
    judged = {query for query, _ in gains}
    asked = {name: text for name, text in queries.items() if name in judged}
    return with_fingerprint(
        Corpus(
            documents=Texts(tuple(documents), tuple(documents.values())),
            queries=Texts(tuple(asked), tuple(asked.values())),
            judgements=tuple((*ids, gain) for ids, gain in gains.items()),
            query_set=split,
        )
    )


def _by_id(path: Path, text: Callable[[Record], str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for row in read_records(path, ["_id", "text"]):
        name = row.name("_id")
        if name in texts:
            raise row.error(f"expected different ids, got {name!r} again")
        texts[name] = text(row)
    return texts


def _document(row: Record) -> str:
    """Put title and text together; one of them may be missing."""
    parts = [row.text(column) for column in ("title", "text") if row.cells.get(column)]
    return " ".join(parts) if parts else row.text("text")


def _read_gains(
    path: Path, queries: Mapping[str, str], documents: Mapping[str, str]
) -> dict[tuple[str, str], float]:
    """Read the gains above 0; a pair may be judged again only as it was before."""
    gains: dict[tuple[str, str], float] = {}
    for row in read_records(path, ["query-id", "corpus-id", "score"]):
        ids, gain = (row.name("query-id"), row.name("corpus-id")), row.number("score")
        for name, known, file in zip(ids, (queries, documents), ("queries", "corpus"), strict=True):
            if name not in known:
                raise row.error(f"expected an id of {file}.jsonl, got {name!r}")
        if gains.setdefault(ids, gain) != gain:
            raise row.error(f"expected one score for {' and '.join(ids)}, got {gains[ids]} before")
    above = {ids: gain for ids, gain in gains.items() if gain > 0}
    if not above:
        raise UserError(f"{path}: expected a score above 0, got none in {len(gains)} judgements")
    return above
