"""One index in a process of its own: built, measured, saved and searched (see `process`).

The job comes as a line on stdin, which stays open for as long as the parent lives.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, Neighbors, blocks, prefix
from mrlbench.costs.resident import forget_peak, peak_resident
from mrlbench.embedding.folder import open_vectors
from mrlbench.evaluation.grid.jobs import Job, Search
from mrlbench.evaluation.timing import time_batch, time_single
from mrlbench.files import replacing, write_json
from mrlbench.plugins import load
from mrlbench.protocols import Index

BLOCK_BYTES = 2**20  # small ones, as the allocator keeps what is freed


def main() -> None:
    """Do the job on stdin, and end when the parent does."""
    job = Job.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(job)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not by way of sys.stdin, whose lock the end would wait for
    os._exit(1)


def work(job: Job) -> None:
    """Build an index, or load what an earlier process built, and search it.

    Each search leaves its file as soon as it is done.
    """
    index: Index = load("indexes", job.index)(**job.arguments)
    if job.built.is_dir():
        _load(job, index)
    else:
        _build(job, index)
    queries = open_vectors(job.embeddings / "queries.npy")
    asked = prefix(queries, job.dim)  # (Q, d)
    for search in job.searches:
        _measure(job, index, search, _search_of(job, index, search, queries, asked))


def _load(job: Job, index: Index) -> None:
    try:
        index.load(job.built / "index")
    except Exception:  # whatever a library raises: a file that cannot be read is of no use
        shutil.rmtree(job.built)
        raise


def _build(job: Job, index: Index) -> None:
    """Build and save an index, and write what that took.

    Raises:
        OSError: There is no room for it.
    """
    database = unit_prefixes(job.embeddings / "database.npy", job.dim)
    forget_peak()
    before = peak_resident()
    started = time.perf_counter()
    index.build(database)
    seconds = time.perf_counter() - started
    facts: dict[str, object] = {"build_s": seconds}
    peak = peak_resident()
    if before is not None and peak is not None:
        facts |= {"peak_rss_bytes": peak, "build_rss_bytes": peak - before}
    del database
    size = index.nbytes()
    _save(job, index, size)
    told = {"inputs": job.inputs, "versions": dict(job.versions), "bytes": size}
    write_json(job.facts, {**told, **facts})
    job.unfinished.rename(job.built)


def _save(job: Job, index: Index, size: int) -> None:
    shutil.rmtree(job.unfinished, ignore_errors=True)
    job.unfinished.mkdir(parents=True)
    free = shutil.disk_usage(job.unfinished).free
    if free < size:  # some libraries would write a part of it and say nothing
        raise OSError(f"expected {size:,} bytes of free disk to save the index, got {free:,}")
    index.save(job.unfinished / "index")


def unit_prefixes(path: Path, dim: int) -> FloatArray:
    """Read the unit prefixes of a file of vectors, (N, d), without its pages staying in memory."""
    rows, width = open_vectors(path).shape
    units = np.empty((rows, dim), dtype=np.float32)
    for part in blocks(rows, max(1, BLOCK_BYTES // (8 * width))):
        # a map of its own for each block: pages of one that is kept would count as resident
        units[part] = prefix(open_vectors(path)[part], dim)
    return units


def _search_of(
    job: Job, index: Index, search: Search, queries: AnyFloatArray, asked: FloatArray
) -> Callable[[slice], Neighbors]:
    """Give the search of some rows of the queries, with its reranks."""
    if not search.rerank_dims:
        return lambda rows: index.search(asked[rows], search.k, search.effort)
    from mrlbench.search.adaptive import Schedule  # numba: not for those without a rerank
    from mrlbench.search.pipeline import Pipeline

    ladder = Schedule(job.dim, search.rerank_dims, search.lengths)
    database = open_vectors(job.embeddings / "database.npy")
    pipeline = Pipeline(index, job.dim, search.effort, database, ladder, job.threads)
    return lambda rows: pipeline.search(queries[rows], search.k, asked[rows])


def _measure(job: Job, index: Index, search: Search, run: Callable[[slice], Neighbors]) -> None:
    """Search all queries, time some, and write neighbours and times."""
    every = len(open_vectors(job.embeddings / "queries.npy"))
    timed = min(job.queries, every)
    found = run(slice(every))
    counted = index.distance_computations()
    batch, single = (time(run, timed, job.repeats) for time in (time_batch, time_single))
    arrays: dict[str, Any] = {
        "ids": found.ids,
        "scores": found.scores,
        "distances": np.array(np.nan if counted is None else counted / every),
        "batch": batch.per_query,
        "singles": single.singles,
    }
    with replacing(search.result(job.folder)) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)


if __name__ == "__main__":
    main()
