"""Time judging and every ranking metric at four k, on synthetic neighbours of ImageNet's size.

python benchmarks/metrics.py        # 50,000 queries x 100 neighbours, 1,281,167 database rows
"""

import os
import resource
import time
from statistics import median
from typing import Annotated

import numpy as np
import typer

from mrlbench.costs.machine import describe_machine
from mrlbench.embedding.relevance import Labels
from mrlbench.evaluation.scores import metric_scores
from mrlbench.threads import use_threads

KS = (10, 25, 50, 100)
WARM_UP, REPEATS = 1, 9


def main(
    queries: int = 50_000,
    rows: int = 1_281_167,
    classes: int = 1000,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
) -> None:
    """Judge the neighbours by their labels and score them."""
    used = use_threads(threads)
    random = np.random.default_rng(0)
    labels = Labels(random.integers(0, classes, rows), random.integers(0, classes, queries))
    ids = random.integers(0, rows, (queries, max(KS)))
    judging, scoring, worked = [], [], []
    for _ in range(WARM_UP + REPEATS):
        started, processor = time.perf_counter(), time.process_time()
        judged = labels.judge(ids)
        between = time.perf_counter()
        metric_scores(judged, KS)
        judging.append(between - started)
        scoring.append(time.perf_counter() - between)
        worked.append(time.process_time() - processor)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    typer.echo(f"{queries:,} queries x {max(KS)} neighbours, k = {KS}, synthetic")
    machine = describe_machine()["cpu"]
    typer.echo(f"machine: {machine}, {used} threads, load {os.getloadavg()[0]:.1f}")
    for what, seconds in (
        ("judging", judging),
        ("metrics", scoring),
        ("processor time of both", worked),
    ):
        timed = sorted(seconds[WARM_UP:])
        typer.echo(f"{what}: median {median(timed):.3f} s, fastest {timed[0]:.3f} s")
    typer.echo(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    typer.run(main)
