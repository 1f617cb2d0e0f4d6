"""Released neighbours: a CSV without header, one row a query, measured by our definitions."""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrlbench import measurements
from mrlbench.arrays import IntArray
from mrlbench.errors import UserError
from mrlbench.evaluation.retrieval import cost_row
from mrlbench.evaluation.scores import mean_rows, metric_scores
from mrlbench.evaluation.source import Source
from mrlbench.experiment import Evaluation
from mrlbench.files import replacing
from mrlbench.measurements import Row
from mrlbench.progress import task
from mrlbench.search.adaptive import Schedule

log = logging.getLogger(__name__)

IDS_AT_ONCE = 2**22  # read from the CSV: 32 MB
VARIANT = "neighbors=imported"
PLAIN = re.compile(r"(?P<dim>\d+)dim[_-](?P<length>\d+)(shortlist|-NN)")
RERANKED = re.compile(r"(?P<dim>\d+)dim-reranked(?P<dims>\d+)_(?P<length>\d+)shortlist")
FUNNEL = re.compile(r"(?P<dim>\d+)dim-cascade\[(?P<dims>[^\]]+)\]_\w*\[(?P<length>[^\]]+)\]")
GRAPH = re.compile(r"hnsw_?(\d+)")


@dataclass(frozen=True)
class NeighborFile:
    """A CSV with what its name says.

    Attributes:
        path: The file.
        schedule: The dim searched at, and the reranks that followed.
        columns: Neighbours in a row; 0 where the name does not say.
        index: The graph searched, as the CSV files spell it; None for exact search.
    """

    path: Path
    schedule: Schedule
    columns: int
    index: str | None

    @property
    def csv(self) -> str:
        """Which CSV of measurements it belongs to."""
        return "adaptive_retrieval" if self.schedule.rerank_dims else "retrieval"


def read_name(path: Path, dim: int = 0) -> NeighborFile:
    """Learn from a name such as `exactl2_16dim_2048shortlist_1K.csv` what was searched.

    Reranked lists (`8dim-reranked2048_200shortlist_…`) and funnels
    (`8dim-cascade[16,32]_shortlist[200,100]_…`) are known too.

    Args:
        path: The file.
        dim: Given by the user; goes before the name, for a plain search.

    Raises:
        UserError: No such file, or neither the name nor the user says the dim.
    """
    if not path.is_file():
        raise UserError(f"expected neighbours in {path}, got no such file")
    graph = GRAPH.search(path.name)
    index = f"hnsw(m={graph[1]})" if graph else None
    if plain := PLAIN.search(path.name):
        searched = Schedule(dim or int(plain["dim"]), (), ())
        return NeighborFile(path, searched, int(plain["length"]), index)
    if dim:
        return NeighborFile(path, Schedule(dim, (), ()), 0, index)
    reranked = RERANKED.search(path.name) or FUNNEL.search(path.name)
    if reranked is None:
        raise UserError(
            f"{path}: expected a name such as exactl2_16dim_2048shortlist_1K.csv, or --dim"
        )
    dims, lengths = (tuple(_numbers(path, reranked[key])) for key in ("dims", "length"))
    if len(dims) != len(lengths):
        raise UserError(
            f"{path}: expected as many lengths as dims in its name, got {len(dims)} dims and "
            f"{len(lengths)} lengths"
        )
    columns = lengths[0] if len(lengths) == 1 else 0
    return NeighborFile(path, Schedule(int(reranked["dim"]), dims, lengths), columns, index)


def measure_files(
    source: Source, files: Sequence[NeighborFile], ks: Sequence[int], force: bool = False
) -> list[Path]:
    """Measure neighbours and keep them under `raw/`; what was measured before is left as it is.

    Args:
        source: The vectors that were searched, with labels or judgements.
        files: The neighbours.
        ks: Results looked at; empty takes the usual ones, as far as a file goes.
        force: Measure again.

    Returns:
        The CSV files that the rows are in.

    Raises:
        UserError: No labels, two files of one search, or a file that does not fit the vectors.
    """
    if source.embeddings.relevance is None:
        raise UserError(
            f"import-neighbors needs database_labels.npy and queries_labels.npy (or qrels.tsv) in "
            f"{source.embeddings.folder}, got neither"
        )
    _check_different(files)
    wanted = {each.path: _check(each, source, ks) for each in files}
    for each in files:
        with each.path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        stage = f"import-neighbors {each.path.name} {source.label}"
        inputs = [sha256, wanted[each.path], source.embeddings.fingerprint]
        if not force and source.output.is_done(stage, inputs):
            log.info("%s: done before (--force measures again)", stage)
            continue
        with source.output.stage(stage, inputs, imported_sha256=sha256):
            rows = measure(source, each, wanted[each.path])
            measurements.merge(source.output.csv(each.csv), rows)
    return sorted({source.output.csv(each.csv) for each in files})


def measure(source: Source, file: NeighborFile, ks: Sequence[int]) -> list[Row]:
    """Measure one file at every k; its cost is the paper's formula, for exact search."""
    assert source.embeddings.relevance is not None
    found = _keep(source, file, max(ks))
    scores = metric_scores(source.embeddings.relevance.judge(found), ks)
    source.save_raw(f"scores-imported-{file.path.stem}", scores)
    ladder, lengths = file.schedule.labels
    adaptive = {"rerank_dims": ladder, "shortlist": lengths} if ladder else {}
    template = source.row(
        task=file.csv.replace("_", "-"),
        variant=VARIANT,
        reducer="prefix",
        dim=file.schedule.shortlist_dim,
        index=file.index,
        **adaptive,
    )
    rows = mean_rows(template, scores)
    return rows if file.index else [*rows, cost_row(template, file.schedule)]


def _keep(source: Source, file: NeighborFile, k: int) -> IntArray:
    """Write all neighbours under `raw/`, block by block; give the first `k`, (Q, k)."""
    count, database = len(source.embeddings.queries), len(source.embeddings.database)
    columns, done = _columns(file.path), 0
    first = np.empty((count, k), dtype=np.int64)
    path = source.output.raw / f"neighbors-imported-{file.path.stem}-{source.label}.npy"
    with replacing(path) as beside, task(f"read {file.path.name}", count, "queries") as work:
        kept = np.lib.format.open_memmap(beside, mode="w+", dtype=np.int32, shape=(count, columns))
        for ids in _blocks(file.path, columns):
            rows = slice(done, done + len(ids))
            if rows.stop > count:
                _refuse_rows(file.path, count, "more: has it a header?")
            _check_ids(file, ids, done, database)
            kept[rows], first[rows] = ids, ids[:, :k]
            done = rows.stop
            work.advance(len(ids))
        kept.flush()
        if done < count:
            _refuse_rows(file.path, count, f"{done}: is it cut off?")
    return first


def _refuse_rows(path: Path, count: int, came: str) -> None:
    raise UserError(f"{path}: expected {count} rows, one for each query, got {came}")


def _blocks(path: Path, columns: int) -> Iterator[IntArray]:
    """Read a few rows at a time, (B, K)."""
    size = max(1, IDS_AT_ONCE // columns)
    try:
        with pd.read_csv(
            path, header=None, dtype=np.int64, chunksize=size, engine="c", skip_blank_lines=False
        ) as reader:
            for block in reader:
                yield block.to_numpy()
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: expected whole numbers, {columns} in each row: {reason}"
        ) from error


def _check_ids(file: NeighborFile, ids: IntArray, start: int, database: int) -> None:
    """Refuse ids that are no row of the database, and rows that name one twice.

    FAISS marks what a graph did not find by -1; exact search always finds.
    """
    lowest = -1 if file.index else 0
    wrong = (ids < lowest) | (ids >= database)  # (B, K)
    if wrong.any():
        row, column = (int(place[0]) for place in np.nonzero(wrong))
        raise UserError(
            f"{file.path}, row {start + row}: expected ids from 0 to {database - 1}, the rows of "
            f"the database, got {ids[row, column]}"
        )
    ordered = np.sort(ids.astype(np.int32), axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)  # (B,)
    if twice.any():
        raise UserError(
            f"{file.path}, row {start + int(twice.argmax())}: expected different ids, got one twice"
        )


def _check(file: NeighborFile, source: Source, ks: Sequence[int]) -> list[int]:
    """Compare a file with its name and the ks, and list the ks to measure."""
    columns = _columns(file.path)
    if file.columns not in (0, columns):
        raise UserError(
            f"{file.path}: expected {file.columns} neighbours in a row, as its name says, "
            f"got {columns}"
        )
    widest = max(file.schedule.shortlist_dim, *file.schedule.rerank_dims, 0)
    if widest > source.embeddings.width:
        raise UserError(
            f"{file.path}: expected dims up to {source.embeddings.width}, the width of the "
            f"vectors, got {widest}"
        )
    chosen = list(ks) or [k for k in Evaluation().k if k <= columns] or [columns]
    if not 1 <= min(chosen) <= max(chosen) <= columns:
        raise UserError(
            f"--k: expected numbers from 1 to {columns}, the neighbours in {file.path}, "
            f"got {list(ks)}"
        )
    return sorted({*chosen, *(k for k in (1, 5) if k < max(chosen))})


def _check_different(files: Sequence[NeighborFile]) -> None:
    known: dict[Any, Path] = {}
    for each in files:
        other = known.setdefault((each.schedule, each.index), each.path)
        if other is not each.path:
            raise UserError(
                f"expected one file for each search, got {other} and {each.path} of the same one"
            )


def _columns(path: Path) -> int:
    with path.open("rb") as file:
        line = file.readline()
    if not line.strip():
        raise UserError(f"{path}: expected ids separated by commas, got an empty line")
    return line.count(b",") + 1


def _numbers(path: Path, text: str) -> Iterator[int]:
    for part in text.split(","):
        if not part.strip().isdecimal():
            raise UserError(f"{path}: expected whole numbers in its name, got {part.strip()!r}")
        yield int(part)
