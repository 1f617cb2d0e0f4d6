"""`recommend` against the whole grid, by work and by the clock, and its interval against the truth.

python experiments/recommend/held_to.py        # three kinds of made vectors, 200 repeats: minutes

Vectors are made up: what is shown is the search for a plan, not the quality of any embedding.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from mrlbench.arrays import FloatArray
from mrlbench.costs.machine import describe_machine
from mrlbench.files import write_json
from mrlbench.recommend.exhaustive import try_everything
from mrlbench.recommend.recommending import choose
from mrlbench.threads import use_threads

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from made_vectors import (
    Repeats,
    chooser_for,
    clustered,
    constraints,
    covers,
    decaying,
    rotated,
)

ROWS, QUERIES, WIDTH = 4000, 80, 64
DIMS = (8, 32, 64)
TARGET = "recall_full@10=0.9"


@dataclass(frozen=True)
class Against:
    """The search for a plan beside the whole grid, on one kind of vectors."""

    vectors: str
    plan: str
    plan_of_the_grid: str
    cost_ratio: float
    work_ratio: float
    seconds: float
    seconds_of_the_grid: float


def main(
    repeats: int = 200,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/recommend"),
) -> None:
    """Measure both, and write one file."""
    used = use_threads(threads)
    with TemporaryDirectory() as folder:
        compare(decaying, Path(folder), rows=1000)  # compiles
        compared = [compare(made, Path(folder)) for made in (decaying, rotated, clustered)]
        promise = Repeats(Path(folder))
        found = [promise.run(seed) for seed in range(repeats)]
    content = {
        "machine": {**describe_machine(), "threads": used},
        "whole_grid": [asdict(each) for each in compared],
        "intervals": {
            "repeats": repeats,
            "covered": sum(covers(*each) for each in found),
            "confirmed": sum(plan.meets for plan, _ in found),
            "different_plans": len({plan.plan for plan, _ in found}),
        },
    }
    write_json(out / "held_to.json", content)
    typer.echo(f"{content['whole_grid']}\n{content['intervals']}\nwrote {out / 'held_to.json'}")


def compare(made: Callable[[int, int], FloatArray], folder: Path, rows: int = ROWS) -> Against:
    """Choose by search and by trying everything."""
    vectors = made(rows + QUERIES, WIDTH)
    asked = constraints(TARGET, "1M")
    found, work, seconds = [], [], []
    for search in (lambda chooser: choose(chooser, math.inf, 0).leaders[0], try_everything):
        chooser = chooser_for(vectors[:rows], vectors[rows:], folder, asked, DIMS)
        started = time.perf_counter()
        found.append(search(chooser))
        seconds.append(time.perf_counter() - started)
        work.append(chooser.problem.tally.total)
    return Against(
        made.__name__,
        *(str(each.plan) for each in found),
        found[0].cost.total / found[1].cost.total,
        work[0] / work[1],
        *seconds,
    )


if __name__ == "__main__":
    typer.run(main)
