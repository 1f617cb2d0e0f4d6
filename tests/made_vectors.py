"""Embeddings of known structure, and what choosing a plan for them needs."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrlbench.recommend.confirming import Confirmed, confirm, find
from mrlbench.recommend.constraints import make_prices, read_constraints
from mrlbench.recommend.costing import Costing
from mrlbench.recommend.plans import EXACT, Grid, IndexChoice, Plan
from mrlbench.recommend.problem import Problem
from mrlbench.recommend.recommending import choose, make_chooser
from mrlbench.recommend.tally import Tally
from mrlbench.splits import tuning_split


def decaying(rows: int, width: int, seed: int = 0) -> np.ndarray:
    """Coordinate i has the deviation i**-0.7: prefixes are good, as in a nested embedding."""
    drawn = np.random.default_rng(seed).standard_normal((rows, width))
    return (drawn / np.arange(1, width + 1) ** 0.7).astype(np.float32)


def rotated(rows: int, width: int, seed: int = 0) -> np.ndarray:
    """The same, turned at random: prefixes are poor, principal components are not."""
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((width, width)))[0]
    return decaying(rows, width, seed) @ turn.astype(np.float32)


def clustered(rows: int, width: int, seed: int = 0) -> np.ndarray:
    """Fifty tight clouds: cells are good."""
    centres = np.random.default_rng(6).standard_normal((50, width))
    random = np.random.default_rng(seed)
    cloud = 0.5 * random.standard_normal((rows, width))
    return (centres[random.integers(0, 50, rows)] + cloud).astype(np.float32)


def constraints(target: str, vectors: str = "", limits: tuple[str, str, str] = ("", "", "")):
    """Read constraints without prices, at a million queries a day."""
    return read_constraints(target, vectors, "1M", make_prices(None, None), limits)


def chooser_for(
    database: np.ndarray, queries: np.ndarray, folder: Path, asked, dims: tuple[int, ...]
):
    """Put together the choice of a plan on some queries, to be confirmed on four times as many."""
    rows, width = database.shape
    problem = Problem(database, asked.target, folder, 0, Tally())
    grid = Grid(width, rows, asked.target.k, dims)
    tuning = problem.ask(queries, None)
    return make_chooser(problem, tuning, grid, Costing(asked, rows, width), 4 * len(queries))


class Repeats:
    """The promise of the interval, tried again and again: other queries, the same database.

    Args:
        folder: For stores.
    """

    def __init__(self, folder: Path) -> None:
        self._target = constraints("recall_full@10=0.9")
        database = decaying(600, 16)
        self._problem = Problem(database, self._target.target, folder, 0, Tally())
        self._everyone = self._problem.ask(decaying(200_000, 16, seed=1000), None)
        indexes = (EXACT, IndexChoice("ivf"))
        self._grid = Grid(16, 600, 10, (4, 8, 16), indexes=indexes)
        self._costing = Costing(replace(self._target, vectors=10**6), 600, 16)
        self._truths: dict[Plan, float] = {}

    def run(self, seed: int) -> tuple[Confirmed, float]:
        """Choose on 60 queries, confirm on 240: the plan, and what it is truly worth."""
        queries = decaying(300, 16, seed=2000 + seed)
        tuning, held_out = (
            self._problem.ask(queries[rows], None) for rows in tuning_split(300, seed)
        )
        chooser = make_chooser(self._problem, tuning, self._grid, self._costing, 240)
        candidate = choose(chooser, math.inf, seed).leaders[0]
        found = confirm(candidate, held_out)
        if found.plan not in self._truths:
            ids = find(candidate.built, found.plan, self._everyone)
            scores = self._problem.scores(self._everyone, ids)
            self._truths[found.plan] = float(scores.mean())
        return found, self._truths[found.plan]


def covers(found: Confirmed, truth: float) -> bool:
    """Tell whether the interval holds what the plan is truly worth."""
    return found.value.low <= truth <= found.value.high
