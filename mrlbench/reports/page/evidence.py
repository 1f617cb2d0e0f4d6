"""What a run keeps about single queries: scores, neighbours and what is relevant."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrlbench import measurements
from mrlbench.arrays import AnyFloatArray, Neighbors
from mrlbench.embedding.folder import Embeddings, open_embeddings
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.kept_scores import KeptScores, label_of, main_queries, read_arrays
from mrlbench.measurements import Row
from mrlbench.reports.series import read
from mrlbench.runs import Output

METRIC = "map@10"
MIDDLE = 64  # dims of the middle column of examples, or the next that there is


@dataclass(frozen=True)
class Evidence:
    """The kept scores of one method's prefixes.

    Attributes:
        label: Names its raw files.
        dims: Those with scores, increasing, M of them.
        scores: Average precision at 10, (Q, M).
        embeddings: The vectors; None where they are not kept.
    """

    label: str
    dims: Sequence[int]
    scores: AnyFloatArray
    embeddings: Embeddings | None

    @property
    def labels(self) -> Labels | None:
        """The class of each query and row, where relevance is by class."""
        relevance = self.embeddings.relevance if self.embeddings else None
        return relevance if isinstance(relevance, Labels) else None

    @property
    def shown(self) -> list[int]:
        """The dims of examples: the narrowest, one in the middle, and the widest."""
        middle = min(self.dims, key=lambda dim: abs(np.log(dim / MIDDLE)))
        return sorted({self.dims[0], middle, self.dims[-1]})


def evidence(output: Output, method: str) -> Evidence | None:
    """Read what is kept of a method's first seed; None where no scores are.

    Args:
        output: The run.
        method: Such as `mrl`.
    """
    table = read(output, "retrieval", METRIC)
    own = table[(table["method"] == method) & (table["reducer"] == "prefix")]
    rows = measurements.to_rows(own.sort_values(["seed", "dim"]))
    rows = [row for row in rows if row.seed == rows[0].seed]
    kept = KeptScores(output.raw, main_queries(rows))
    found = [(row, scores) for row in rows if (scores := kept.of(row)) and scores.is_of(row)]
    if len(found) < 2:
        return None
    label = label_of(found[0][0], kept.queries)
    dims = [int(row.dim or 0) for row, _ in found]
    stacked = np.stack([each.scores for _, each in found], axis=1)  # (Q, M)
    return Evidence(label, dims, stacked, _embeddings(output, rows[0]))


def _embeddings(output: Output, row: Row) -> Embeddings | None:
    folder = output.folder / "embeddings" / str(row.method) / f"seed-{row.seed}"
    try:
        return open_embeddings(folder, made_from="a run")  # its rows were checked when measured
    except UserError:
        return None


def neighbors(output: Output, label: str, dim: int) -> Neighbors | None:
    """Read the kept neighbours at one dim, (Q, K); None where they are not kept."""
    arrays = read_arrays(output.raw / f"neighbors-prefix-{dim}-{label}.npz")
    return None if arrays is None else Neighbors(arrays["ids"], arrays["scores"])
