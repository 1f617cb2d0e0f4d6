"""Check the plan of `mrlbench cost --machines 1` against real runs: made-up vectors in shards.

python experiments/cluster/check_plan.py --rows 100000,1000000,10000000 --dims 8,16,32,64

Prints for each number of rows what was planned, what it took, and the error. On a machine that does
other work too the rates, and so the plan, are off.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import typer

from mrlbench.embedding.folder import open_database
from mrlbench.evaluation.cluster_plan import Job, measure_rates, plan_stages
from mrlbench.search import nested_search
from mrlbench.threads import use_threads

SHARD_ROWS = 250_000


def write_shards(folder: Path, rows: int, width: int) -> float:
    """Write random vectors as shards; returns the seconds of writing alone."""
    random, seconds = np.random.default_rng(0), 0.0
    (folder / "database").mkdir()
    for number, start in enumerate(range(0, rows, SHARD_ROWS)):
        block = random.standard_normal((min(SHARD_ROWS, rows - start), width), dtype=np.float32)
        started = time.perf_counter()
        with (folder / "database" / f"{number:05d}.npy").open("wb") as file:
            np.save(file, block)
            file.flush()
            os.fsync(file.fileno())  # as the plan counts it: on the disk
        seconds += time.perf_counter() - started
    return seconds


def main(
    rows: str = "100000,1000000", dims: str = "8,16,32,64", queries: int = 256, k: int = 100
) -> None:
    """Compare planned with measured seconds."""
    chosen = [int(dim) for dim in dims.split(",")]
    asked = np.random.default_rng(1).standard_normal((queries, chosen[-1]), dtype=np.float32)
    typer.echo(f"{use_threads(0)} threads, dims {chosen}, {queries} queries, k = {k}")
    for count in (int(each) for each in rows.split(",")):
        written, searched, _ = plan_stages(
            Job(count, chosen, queries, k, machines=1), measure_rates(chosen, k)
        )
        with tempfile.TemporaryDirectory() as name:
            write_seconds = write_shards(Path(name), count, chosen[-1])
            database = open_database(Path(name))
            started = time.perf_counter()
            nested_search(database, asked, chosen, k)
            search_seconds = time.perf_counter() - started
        for what, planned, took in (
            ("write", written.seconds, write_seconds),
            ("search", searched.seconds, search_seconds),
        ):
            typer.echo(
                f"{count:>10,} rows {what:>6}: {planned:.2f} s planned, {took:.2f} s, "
                f"{planned / took - 1:+.0%}"
            )


if __name__ == "__main__":
    typer.run(main)
