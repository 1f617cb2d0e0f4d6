"""Embeddings of known structure, and what choosing a plan for them needs."""

from pathlib import Path

import numpy as np

from mrlbench.recommend.constraints import make_prices, read_constraints
from mrlbench.recommend.costing import Costing
from mrlbench.recommend.plans import Grid
from mrlbench.recommend.problem import Problem
from mrlbench.recommend.recommending import make_chooser
from mrlbench.recommend.tally import Tally


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
