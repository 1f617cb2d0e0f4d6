"""Measure what each index stores beside the vectors, as a TSV on stdout.

    python scripts/measure_index_overhead.py > mrlbench/costs/index_overhead.tsv
    python scripts/measure_index_overhead.py opq annoy      # only these

Every index plug-in that can be loaded is built at two sizes and two dims; those with links (`m`)
for several m, those with `cells` for one number of them. Those that a server keeps are left out:
their size is the server's to say. The four sizes as serialised fix the four numbers of

    bytes = N·(dim·bytes_per_coordinate + bytes_per_vector) + fixed + dim·fixed_per_dim

and a fifth build, between the others, says how far that is from the truth (`error`, a fraction).
Indexes that it, or a much wider one, finds more than 2% from the truth are named on stderr.
"""

import ast
import inspect
import sys
from importlib.metadata import packages_distributions, version
from typing import Any

import numpy as np

from mrlbench.arrays import prefix
from mrlbench.errors import UserError
from mrlbench.plugins import load, names, parameters
from mrlbench.protocols import Index, ServedIndex
from mrlbench.threads import use_threads

SIZES = (3000, 12000)
DIMS = (16, 64)
CHECK = (6000, 32)  # (N, dim)
WIDE = (3000, 512)  # far beyond the others
LINKS = (4, 8, 16, 32, 64)
CELLS = 64  # FAISS wants 39 rows for each
LARGEST_ERROR = 0.02  # with more, the four numbers do not describe an index
COLUMNS = (
    *("index", "library", "version", "argument", "setting", "bytes_per_coordinate"),
    *("bytes_per_vector", "fixed", "fixed_per_dim", "error"),
)


def library(name: str) -> tuple[str, str]:
    """Name the package that an index plug-in wraps, with its version."""
    source = inspect.getsource(sys.modules[load("indexes", name).__module__])
    imported = [
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (
            node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")]
        )
    ]
    ours = {"mrlbench", "numpy", *sys.stdlib_module_names}
    packages = packages_distributions()
    found = sorted(packages[each][0] for each in imported if each in packages and each not in ours)
    return (found[0], version(found[0])) if found else ("", "")


def settings(name: str) -> list[dict[str, int]]:
    """List the build arguments to measure an index with."""
    known = parameters("indexes", name)
    if "m" in known:
        return [{"m": m} for m in LINKS]
    return [{"cells": CELLS}] if "cells" in known else [{}]


def measure(name: str, arguments: dict[str, int], rows: int, dim: int) -> int:
    """Build an index on synthetic vectors and give its bytes."""
    vectors = np.random.default_rng(0).standard_normal((rows, dim), dtype=np.float32)
    index: Index = load("indexes", name)(**arguments)
    if isinstance(index, ServedIndex):
        raise UserError("a server keeps it")
    index.build(prefix(vectors, dim))
    return index.nbytes()


def fit(name: str, arguments: dict[str, int]) -> list[float]:
    """Solve for the four numbers, and say how far they miss the fifth build."""
    points = [(rows, dim) for rows in SIZES for dim in DIMS]
    terms = np.array([_terms(*point) for point in points])  # (4, 4)
    solved = np.linalg.solve(terms, [measure(name, arguments, *point) for point in points])
    near, far = (_miss(name, arguments, solved, *point) for point in (CHECK, WIDE))
    if max(near, far) > LARGEST_ERROR:
        raise UserError(
            f"its size is not of this form: {near:.1%} off at {CHECK}, {far:.1%} {WIDE}"
        )
    return [*solved, near]


def _miss(name: str, arguments: dict[str, int], solved: Any, rows: int, dim: int) -> float:  # noqa: ANN401
    """Say how far the four numbers are from another build, a fraction."""
    true = measure(name, arguments, rows, dim)
    return float(abs(_terms(rows, dim) @ solved - true) / true)


def _terms(rows: int, dim: int) -> Any:  # noqa: ANN401
    return np.array([rows * dim, rows, 1, dim], dtype=np.float64)


def main() -> None:
    """Write the TSV; indexes that cannot be loaded or built are named on stderr."""
    use_threads(1)
    print("\t".join(COLUMNS))  # noqa: T201
    for name in sys.argv[1:] or names("indexes"):
        try:
            for arguments in settings(name):
                numbers = [
                    f"{number:.4f}".rstrip("0").rstrip(".") for number in fit(name, arguments)
                ]
                ((argument, setting),) = arguments.items() or (("", ""),)
                cells = [name, *library(name), argument, str(setting), *numbers]
                print("\t".join("0" if cell == "-0" else cell for cell in cells))  # noqa: T201
        except (UserError, RuntimeError, TypeError, ValueError) as error:
            print(f"skipped {name}: {error}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
