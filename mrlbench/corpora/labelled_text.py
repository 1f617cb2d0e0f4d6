"""Anybody's texts with a label: texts of the same label are relevant to each other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.errors import UserError
from mrlbench.protocols import Corpus, Texts
from mrlbench.records import Record, read_records
from mrlbench.texts import draw_queries, with_fingerprint

COLUMNS = ("text", "label")


def labelled_text(path: str, queries_path: str = "", share: float = 0.1, seed: int = 0) -> Corpus:
    """Texts of some classes; the queries are a part of them, or a file of their own.

    The id of a text is the line of its file that it begins in.

    Args:
        path: `*.jsonl`, `*.csv` or `*.tsv` with the columns `text` and `label`.
        queries_path: A file like it with the queries; empty draws them from the first.
        share: Of the texts that are drawn as queries; every label keeps a document.
        seed: Draws them.
    """
    rows = list(read_records(Path(path), COLUMNS))
    if queries_path:
        return _corpus(rows, list(read_records(Path(queries_path), COLUMNS)))
    drawn = draw_queries([row.label("label") for row in rows], share, seed)
    if not drawn:
        raise UserError(f"{path}: expected a label of several texts to draw queries from, got none")
    parts: tuple[list[Record], list[Record]] = ([], [])
    for place, row in enumerate(rows):
        parts[place in drawn].append(row)
    return _corpus(*parts)


def _corpus(documents: Sequence[Record], queries: Sequence[Record]) -> Corpus:
    numbers = {name: n for n, name in enumerate(sorted({row.label("label") for row in documents}))}
    for row in queries:
        if row.label("label") not in numbers:
            raise row.error(f"expected a label that a document has, got {row.label('label')!r}")

    def labels(rows: Sequence[Record]) -> IntArray:
        return np.array([numbers[row.label("label")] for row in rows], dtype=np.int64)

    return with_fingerprint(
        Corpus(
            documents=_texts(documents),
            queries=_texts(queries),
            document_labels=labels(documents),
            query_labels=labels(queries),
        )
    )


def _texts(rows: Sequence[Record]) -> Texts:
    return Texts(tuple(str(row.line) for row in rows), tuple(row.text("text") for row in rows))
