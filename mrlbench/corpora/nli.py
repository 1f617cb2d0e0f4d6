"""Natural-language inference as retrieval: what follows from a premise."""

from collections.abc import Iterator
from pathlib import Path

from mrlbench.errors import UserError
from mrlbench.protocols import Corpus
from mrlbench.records import read_records
from mrlbench.texts import Pair, corpus_of_pairs


def nli(path: str, entailment: str = "entailment") -> Corpus:
    """Premises that ask for the hypotheses which they entail; other rows are left out.

    A premise that occurs in several rows is one query, a hypothesis one document.

    Args:
        path: `*.jsonl`, `*.csv` or `*.tsv` with the columns `premise`, `hypothesis` and `label`.
        entailment: The label of entailment: `0` where labels are the usual numbers.
    """
    return corpus_of_pairs(_entailed(Path(path), entailment))


def _entailed(path: Path, entailment: str) -> Iterator[Pair]:
    labels = set()
    for row in read_records(path, ["premise", "hypothesis", "label"]):
        label, texts = row.label("label"), (row.text("premise"), row.text("hypothesis"))
        labels.add(label)
        if label == entailment:
            yield Pair(str(row.line), texts[0], str(row.line), texts[1], row)
    if entailment not in labels:
        raise UserError(
            f"{path}: expected rows with the label {entailment!r}, got {sorted(labels)}"
        )
