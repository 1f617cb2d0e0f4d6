"""Memory of exact search over a database that is larger than it: streamed from a float16 file.

python experiments/peers/memory.py                     # 10 million x 256, 5 GB of disk, minutes
"""

import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mrlbench.costs.machine import describe_machine
from mrlbench.files import replacing
from mrlbench.search import nested_search
from mrlbench.threads import use_threads

DIMS = [16, 64, 256]
ROWS_AT_ONCE = 100_000
SECONDS_BETWEEN = 0.02


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
        before = _anonymous()
        peak = _Peak()
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
        "threads": used,
        "machine": describe_machine(),
    }
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "memory.json") as path:
        path.write_text(json.dumps(content, indent=2) + "\n")
    typer.echo(json.dumps({key: content[key] for key in content if key != "machine"}))


class _Peak:
    """Watches memory in a thread; pages of mapped files are not counted."""

    def __init__(self) -> None:
        self._highest, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """End, and give the highest number of bytes seen."""
        self._stopped.set()
        self._thread.join()
        return self._highest

    def _watch(self) -> None:
        while not self._stopped.wait(SECONDS_BETWEEN):
            self._highest = max(self._highest, _anonymous())


def _anonymous() -> int:
    """Read the bytes of memory that are no file's (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    typer.run(main)
