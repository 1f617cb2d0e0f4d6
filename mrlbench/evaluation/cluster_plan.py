"""What exact evaluation of many vectors takes on several machines like this one, by its rates."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrlbench.arrays import FloatArray
from mrlbench.search.nested import MEMORY_LIMIT, bytes_per_query, nested_search

SAMPLE_QUERIES = 256
SAMPLE_BYTES = 256 * 2**20  # searched, and written and read to time the disk
MOST_ROWS, PART, REPEATS = 2**19, 4, 3  # the sample, and a quarter of it
SHARD_BYTES = 4 * 2**30
NETWORK = 1.25e9  # bytes a second: 10 Gbit/s, which is assumed
MERGED = 2e7  # results that a core sorts in a second
NEIGHBOR = 12  # bytes of an id and a score


@dataclass(frozen=True)
class Rates:
    """What this machine does in a second.

    Attributes:
        products: Multiply–adds of exact search at all dims together, on all cores.
        written: Bytes to the disk of the temporary folder.
        read: Bytes from it, when they are not in memory.
    """

    products: float
    written: float
    read: float


@dataclass(frozen=True)
class Job:
    """What is to be evaluated.

    Attributes:
        vectors: N.
        dims: Increasing; the last is D.
        queries: Q.
        k: Neighbours of each.
        machines: Like this one; each has N / machines rows.
    """

    vectors: int
    dims: Sequence[int]
    queries: int
    k: int
    machines: int

    @property
    def rows(self) -> int:
        """Rows of one machine, at most."""
        return -(-self.vectors // self.machines)

    @property
    def bytes(self) -> int:
        """Of the vectors of one machine, float32."""
        return self.rows * self.dims[-1] * 4

    @property
    def shards(self) -> int:
        """Files of at most 4 GiB, of all machines."""
        return self.machines * max(1, -(-self.bytes // SHARD_BYTES))


@dataclass(frozen=True)
class Stage:
    """One stage on each of the machines, which do it at the same time.

    Attributes:
        name: What it does.
        multiply_adds: Of one machine.
        seconds: How long.
        memory: Bytes beside mapped files.
        disk: Bytes that it adds.
    """

    name: str
    multiply_adds: float
    seconds: float
    memory: float
    disk: float


def plan_stages(job: Job, rates: Rates) -> list[Stage]:
    """List the stages from vectors in memory, as an encoder gives them, to merged neighbours."""
    each = bytes_per_query(job.dims, job.k)
    searching = min(MEMORY_LIMIT, job.queries * each)
    passes = -(-job.queries * each // MEMORY_LIMIT)
    products = float(job.rows) * job.queries * job.dims[-1]
    # blocks are read while the last one computes
    search = max(products / rates.products, passes * job.bytes / rates.read)
    results = len(job.dims) * job.queries * job.k * job.machines  # of all, at each
    sent = (job.machines - 1) / job.machines * results * NEIGHBOR
    merge = sent / NETWORK + (results / MERGED if job.machines > 1 else 0)
    at_once = job.queries * job.k * job.machines * NEIGHBOR  # one dim after the other
    return [
        Stage("write the vectors", 0, job.bytes / rates.written, 0, job.bytes),
        Stage("search exactly at every dim", products, search, searching, 0),
        Stage("merge", 0, merge, at_once, len(job.dims) * job.queries * job.k * NEIGHBOR),
    ]


def measure_rates(dims: Sequence[int], k: int) -> Rates:
    """Time searches of made-up vectors, and the disk; a few seconds.

    A search costs something for each row, and something for the k that every query keeps, which a
    large database makes no dearer: the rate is that of the rows that a sample has more than a part
    of it.
    """
    random = np.random.default_rng(0)
    rows = min(MOST_ROWS, SAMPLE_BYTES // (4 * dims[-1]))
    database = random.standard_normal((rows, dims[-1]), dtype=np.float32)
    queries = random.standard_normal((SAMPLE_QUERIES, dims[-1]), dtype=np.float32)
    part = database[: rows // PART]
    nested_search(part, queries, dims, min(k, len(part)))  # compiles
    few, all_rows = (
        min(_seconds(each, queries, dims, k) for _ in range(REPEATS)) for each in (part, database)
    )
    whole = database.size * SAMPLE_QUERIES / all_rows
    rate = whole * (1 - len(part) / rows) / max(1 - few / all_rows, 1e-9)
    products = float(np.clip(rate, whole, PART * whole))  # other processes may disturb one of them
    with tempfile.TemporaryDirectory() as folder:
        written, read = _disk(Path(folder) / "sample")
    return Rates(products, written, read)


def _seconds(database: FloatArray, queries: FloatArray, dims: Sequence[int], k: int) -> float:
    started = time.perf_counter()
    nested_search(database, queries, dims, min(k, len(database)))
    return time.perf_counter() - started


def _disk(path: Path) -> tuple[float, float]:
    """Write and read a file, (bytes a second, bytes a second)."""
    piece = os.urandom(2**20)
    started = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(SAMPLE_BYTES // len(piece)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        written = SAMPLE_BYTES / (time.perf_counter() - started)
        if hasattr(os, "posix_fadvise"):  # else the file is read from memory
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    with path.open("rb") as file:
        while file.read(2**24):
            pass
    return written, SAMPLE_BYTES / (time.perf_counter() - started)
