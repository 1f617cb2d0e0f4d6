"""Examples: queries that few dims fail, with their neighbours at few, some and all dims."""

from collections.abc import Sequence

import numpy as np

from mrlbench.arrays import BoolArray, IntArray, Neighbors
from mrlbench.reports.page.blocks import Block, Example, Examples, Item, Paragraph
from mrlbench.reports.page.evidence import Evidence, neighbors
from mrlbench.reports.page.things import Things
from mrlbench.runs import Output

COUNT, NEIGHBOURS = 6, 5
SAYING = (
    "Queries that the narrowest prefix fails and the widest does not, the largest losses of "
    "different classes first. They are chosen for that, and do not stand for the average."
)


def examples(output: Output, found: Evidence, things: Things) -> list[Block]:
    """Show some queries with their nearest rows at three widths."""
    kept = {dim: neighbors(output, found.label, dim) for dim in found.shown}
    known = {dim: each.first(NEIGHBOURS) for dim, each in kept.items() if each is not None}
    command = "mrlbench eval-retrieval RUN --force"
    if len(known) < len(kept) or found.embeddings is None:
        return [Paragraph("Neighbours or vectors are not kept in this run; made by:", command)]
    if not things.known:
        return [Paragraph(f"Examples are not shown: {things.reason}")]
    chosen = _choose(found)
    if not len(chosen):
        return [Paragraph("The narrowest prefix loses nothing on any query.")]
    relevance = found.embeddings.relevance
    judged = {
        dim: relevance.judge(each.ids).gains > 0 if relevance else None
        for dim, each in known.items()
    }
    shown = []
    for query in chosen:
        columns = [
            (f"{dim} dims", _items(each, judged[dim], int(query), things))
            for dim, each in known.items()
        ]
        shown.append(Example(things.query(int(query)), columns))
    return [Paragraph(SAYING), Examples(f"Neighbours at {_listed(found.shown)} dims", shown)]


def _choose(found: Evidence) -> IntArray:
    """Take the queries that lose most, of different classes as long as there are."""
    losses = found.scores[:, -1] - found.scores[:, 0]  # (Q,)
    order = np.argsort(-losses, kind="stable")
    order = order[losses[order] > 0]
    if found.labels is None:
        return order[:COUNT]
    _, first = np.unique(found.labels.queries[order], return_index=True)
    of_classes = order[np.sort(first)]
    others = order[~np.isin(order, of_classes)]
    return np.concatenate([of_classes, others])[:COUNT]


def _items(found: Neighbors, judged: BoolArray | None, query: int, things: Things) -> list[Item]:
    none: list[bool | None] = [None] * found.ids.shape[1]
    relevant = none if judged is None else judged[query].tolist()
    pairs = zip(found.ids[query], found.scores[query], relevant, strict=True)
    return [things.row(int(row), relevant=r, score=float(s)) for row, s, r in pairs if row >= 0]


def _listed(dims: Sequence[int]) -> str:
    *most, last = map(str, dims)
    return f"{', '.join(most)} and {last}"
