"""Memory of exact search over a database that is larger than it: streamed from a float16 file.

python experiments/peers/memory.py                     # 10 million x 256, 5 GB of disk, minutes
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from common import Peak, anonymous_bytes, write_record

from mrlbench.search import nested_search
from mrlbench.threads import use_threads

DIMS = [16, 64, 256]
ROWS_AT_ONCE = 100_000


def main(
    rows: int = 10_000_000,
    queries: int = 1000,
    k: int = 10,
    memory_limit_gb: float = 2.0,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Write made-up vectors, search them, and record the peak of memory that is not file pages."""
    used = use_threads(threads)
    random = np.random.default_rng(0)
    asked = random.standard_normal((queries, DIMS[-1]), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "database.npy"
        shape = (rows, DIMS[-1])
        database = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, rows, ROWS_AT_ONCE):
            part = database[start : start + ROWS_AT_ONCE]
            part[:] = random.standard_normal(part.shape, dtype=np.float32)
        database.flush()
        del database, part
        nested_search(asked[:64], asked[:2], DIMS, 1)  # compiles
        before = anonymous_bytes()
        peak = Peak()
        started = time.perf_counter()
        found = nested_search(
            np.load(path, mmap_mode="r"), asked, DIMS, k, memory_limit=int(memory_limit_gb * 2**30)
        )
        seconds = time.perf_counter() - started
        highest = peak.stop()
    content = {
        "data": "synthetic, float16 on disk",
        "rows": rows,
        "dims": DIMS,
        "queries": queries,
        "k": k,
        "seconds": round(seconds, 1),
        "memory_limit_gib": memory_limit_gb,
        "anonymous_gib_before": round(before / 2**30, 3),
        "anonymous_gib_peak": round(highest / 2**30, 3),
        "best_score": round(float(found[DIMS[-1]].scores[:, 0].max()), 4),
    }
    write_record("memory", content, used, out)


if __name__ == "__main__":
    typer.run(main)
