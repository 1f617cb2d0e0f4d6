"""Time `eval-adaptive-classification` on synthetic logits of ImageNet's size.

    python benchmarks/cascade.py      # 50,000 queries x 9 heads x 1000 classes, 1.8 GB on disk

Prints the seconds and the peak memory of the whole command (reading the file, three rules plain
and calibrated, joint thresholds, 30 splits, bootstrap intervals), and the seconds of the paper's
own cascade alone. The logits are made up: they say nothing about accuracy.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mrlbench.cascade.confidence import RULES, confidences
from mrlbench.cascade.outcome import draw_splits, run_splits
from mrlbench.cascade.thresholds import pairwise_thresholds
from mrlbench.cascade.variants import PAPER
from mrlbench.costs.machine import describe_machine
from mrlbench.embedding.logits import open_logits_file
from mrlbench.evaluation.classification import top_k
from mrlbench.threads import use_threads


def main(
    queries: int = 50_000,
    classes: int = 1000,
    dims: str = "8,16,32,64,128,256,512,1024,2048",
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Where to write the logits.")] = None,
) -> None:
    """Make the logits, run the command, run the paper's cascade alone."""
    widths = [int(dim) for dim in dims.split(",")]
    used = use_threads(threads)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        write_logits(Path(name) / "logits.npz", queries, classes, widths)
        seconds, worked, peak = run_command(Path(name), used)
        alone = run_paper_only(Path(name))
    machine = describe_machine()
    typer.echo(f"{queries:,} queries x {len(widths)} heads x {classes:,} classes, synthetic")
    typer.echo(f"machine: {machine['cpu']}, {used} threads, load {os.getloadavg()[0]:.1f}")
    typer.echo(f"paper's cascade alone: {alone[0]:.1f} s ({alone[1]:.1f} s of processor time)")
    typer.echo(f"whole command: {seconds:.1f} s ({worked:.1f} s of processor time)")
    typer.echo(f"peak memory of the command: {peak / 2**30:.2f} GiB")


def write_logits(path: Path, queries: int, classes: int, dims: list[int]) -> None:
    """Write normal noise with a raised label; wider heads raise it more."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, queries)
    arrays = {}
    for place, dim in enumerate(dims):
        logits = random.standard_normal((queries, classes), dtype=np.float32)
        logits[np.arange(queries), labels] += 3 + 3 * random.random(queries) + place / 10
        arrays[str(dim)] = 2 * logits
    np.savez(path, labels=labels, **arrays)


def run_command(folder: Path, threads: int) -> tuple[float, float, int]:
    """Run the command in a process of its own; gives seconds, processor seconds and bytes."""
    command = [sys.executable, "-m", "mrlbench", "eval-adaptive-classification", "--quiet"]
    target = ["--embeddings", folder, "--out", folder / "out", "--threads", threads]
    started = time.perf_counter()
    subprocess.run([*command, *map(str, target)], check=True)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def run_paper_only(folder: Path) -> tuple[float, float]:
    """Read the logits and run the paper's cascade on 30 splits; gives seconds, as above."""
    started, worked = time.perf_counter(), time.process_time()
    file, rule = open_logits_file(folder), list(RULES).index(PAPER.removeprefix("rule="))
    sure, right = [], []
    for dim in file.dims:
        logits = file.read(dim)
        sure.append(confidences(logits)[rule])
        right.append(top_k(logits, file.labels, 1) > 0)
    grid, splits = list(RULES.values())[rule], draw_splits(len(file.labels))
    run_splits(
        [np.stack(sure, axis=1)] * len(splits),
        np.stack(right, axis=1),
        grid,
        lambda place, tuned: [pairwise_thresholds(place, tuned, len(grid))],
        splits,
    )
    return time.perf_counter() - started, time.process_time() - worked


if __name__ == "__main__":
    typer.run(main)
