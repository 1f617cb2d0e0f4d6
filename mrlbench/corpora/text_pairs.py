"""Anybody's pairs of a query and the document that answers it."""

from pathlib import Path

from mrlbench.protocols import Corpus
from mrlbench.records import read_records
from mrlbench.texts import Pair, corpus_of_pairs


def text_pairs(path: str) -> Corpus:
    """Rows of query and document, each document searched for all queries.

    A text that occurs in several rows is one query, or one document, with several answers.

    Args:
        path: `*.jsonl`, `*.csv` or `*.tsv` with the columns `query` and `document`, and if you like
            `query_id` and `document_id`; without them a text's id is the line it is first in.
    """
    rows = read_records(Path(path), ["query", "document"])
    return corpus_of_pairs(
        Pair(
            row.name("query_id") if "query_id" in row.cells else str(row.line),
            row.text("query"),
            row.name("document_id") if "document_id" in row.cells else str(row.line),
            row.text("document"),
            row,
        )
        for row in rows
    )
