"""The per-query scores that a run keeps behind its rows, found by the row's cells."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench.arrays import FloatArray
from mrlbench.evaluation.analysis.interpolation import INTERPOLATED
from mrlbench.evaluation.linear_probes import VARIANT as PROBE
from mrlbench.evaluation.scores import raw_key
from mrlbench.evaluation.svd_classifier import NAME as SVD_CLASSIFIER
from mrlbench.measurements import Row

SAME = 1e-6  # between a CSV's mean, of 8 digits, and that of the raw scores behind it
RETRIEVAL = ("retrieval", "knn")  # one search gives both
VARIED_LATER = ("few-shot", "superclass", "long-tail", "class-trends")  # by the analysis


@dataclass(frozen=True)
class Kept:
    """Scores behind a row: which array of which file, and its content, (Q,)."""

    file: Path
    key: str
    scores: FloatArray

    def is_of(self, row: Row) -> bool:
        """Tell whether their mean is the row's value: an interrupted run may have left others."""
        return abs(float(self.scores.mean(dtype=np.float64)) - row.value) < SAME


@dataclass(frozen=True)
class KeptScores:
    """Reads `raw/` of a run, each file once.

    Attributes:
        raw: The folder.
        queries: The run's main query set; the files of others have their name.
    """

    raw: Path
    queries: str | None
    _files: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def of(self, row: Row) -> Kept | None:
        """Find the scores behind a row; None where none were kept."""
        for path in self.files(row):
            arrays = self.read(path)
            for key in _keys(row):
                if key in arrays:
                    return Kept(path, key, arrays[key])
        return None

    def files(self, row: Row) -> list[Path]:
        """List the files that may hold them."""
        label = label_of(row, self.queries)
        return [
            self.raw / f"{kind}-{label}{width}.npz"
            for kind in _kinds(row)
            for width in ("", f"-width-{row.dim}")  # separate networks have files of their own
        ]

    def read(self, path: Path) -> dict[str, Any]:
        """Read the arrays of a file by name; empty where it is missing or damaged."""
        if path not in self._files:
            self._files[path] = read_arrays(path) or {}
        return self._files[path]


def read_arrays(path: Path) -> dict[str, Any] | None:
    """Read all arrays of a file; None where it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def main_queries(rows: Sequence[Row]) -> str | None:
    """Name the query set that most rows are about."""
    names = [row.queries for row in rows if row.queries is not None]
    return max(dict.fromkeys(names), key=names.count, default=None)


def label_of(row: Row, queries: str | None) -> str:
    """Name the vectors behind a row as raw files do: `mrl@variant-seed-0-noise`.

    A variant that the measurement made, and not the training, is not part of it.
    """
    later = row.variant in (None, INTERPOLATED, PROBE) or row.task in VARIED_LATER
    trained = "" if later else f"@{row.variant}"
    seed = "" if row.seed is None else f"-seed-{row.seed}"
    others = "" if row.queries in (None, queries) else f"-{row.queries}"
    return f"{row.method}{trained}{seed}{others}"


def _kinds(row: Row) -> Iterator[str]:
    if row.task in RETRIEVAL:
        yield f"scores-retrieval-{row.reducer}"
    elif row.variant == PROBE:
        yield f"scores-probes-{row.reducer}"
    elif row.task == "classification" and row.reducer == SVD_CLASSIFIER:
        yield f"scores-classification-{SVD_CLASSIFIER}"
    elif row.task == "zero-shot":
        yield "scores-classification"
    else:
        yield f"scores-{row.task}"
        if row.task == "adaptive-retrieval":
            yield "scores-shortlists"


def _keys(row: Row) -> list[str]:
    """Name the array: as rows usually do, with an analysis's variant, or without a dim (oracle)."""
    if row.task == "oracle":
        return [row.metric]
    if row.task in VARIED_LATER and row.variant:
        return [f"{row.metric}@{row.variant.replace('=', '')}@dim{row.dim}"]
    return [raw_key(row)]
