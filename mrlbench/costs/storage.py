"""Bytes of vectors and of the indexes over them: arithmetic, with overheads that were measured."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mrlbench.errors import UserError

BITS = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}
FLOAT32 = BITS["float32"] // 8
LINKS, CELLS = "m", "cells"  # the arguments that an index's size depends on


def row_bytes(dim: int, dtype: str) -> int:
    """Count the bytes of one vector; binary codes are filled up to whole bytes.

    Raises:
        UserError: Not a dtype that is known.
    """
    if dtype not in BITS:
        raise UserError(f"--dtype: expected some of {', '.join(BITS)}, got {dtype!r}")
    return -(-dim * BITS[dtype] // 8)


@dataclass(frozen=True)
class Measured:
    """What one index was measured to store, with one setting of one argument.

    bytes = N·(dim·per_coordinate + per_vector) + fixed + dim·fixed_per_dim
    """

    index: str
    library: str
    version: str
    argument: str
    setting: int
    per_coordinate: float
    per_vector: float
    fixed: float
    fixed_per_dim: float
    error: float


@dataclass(frozen=True)
class Overhead:
    """What an index stores beside the vectors.

    Attributes:
        index: The plug-in.
        label: With its argument, as in the CSV files.
        library: The package.
        version: Of the package that was measured.
        per_coordinate: Bytes that it stores of each; 4 where it keeps the vectors as they are.
        per_vector: Bytes beside them.
        per_cell: Bytes of each cell of an inverted file, beside those that grow with dim.
        per_cell_coordinate: Bytes of each cell for each dim: 4 where it is a centroid alone.
        has_cells: Whether it is an inverted file.
    """

    index: str
    label: str
    library: str
    version: str
    per_coordinate: float
    per_vector: float
    per_cell: float = 0.0
    per_cell_coordinate: float = 0.0
    has_cells: bool = False

    def bytes(self, count: int, dim: int, dtype: str) -> int:
        """Count the bytes of an index of `count` vectors: N·(dim·itemsize + overhead).

        A lossy code is as long as it is for every dtype, and so are the cells.
        """
        keeps = abs(self.per_coordinate - FLOAT32) < 0.01
        own = row_bytes(dim, dtype) if keeps else dim * self.per_coordinate
        cells = _cells(count) if self.has_cells else 0
        return round(
            count * (own + self.per_vector)
            + cells * (dim * self.per_cell_coordinate + self.per_cell)
        )


def overhead(index: str, links: int) -> Overhead:
    """Look up what an index was measured to store.

    Args:
        index: The plug-in.
        links: m of a graph; between two measured ones the overhead is on the line between theirs.

    Raises:
        UserError: It was not measured, or not as far as this m.
    """
    rows = [each for each in measured() if each.index == index]
    if not rows:
        known = ", ".join(dict.fromkeys(each.index for each in measured()))
        raise UserError(f"--index: expected some of {known}, got {index!r}")
    first = rows[0]
    common = (first.library, first.version, first.per_coordinate)
    if first.argument == LINKS:
        label = f"{index}(m={links})"
        return Overhead(index, label, *common, _between(rows, links))
    if first.argument == CELLS:
        cell = (first.fixed / first.setting, first.fixed_per_dim / first.setting)
        return Overhead(index, index, *common, first.per_vector, *cell, has_cells=True)
    return Overhead(index, index, *common, first.per_vector)


def _between(rows: Sequence[Measured], links: int) -> float:
    known = {each.setting: each.per_vector for each in rows}
    if not min(known) <= links <= max(known):
        raise UserError(f"--m: expected {min(known)} to {max(known)}, as measured, got {links}")
    low = max(each for each in known if each <= links)
    high = min(each for each in known if each >= links)
    share = (links - low) / (high - low) if high > low else 0.0
    return known[low] + share * (known[high] - known[low])


def _cells(count: int) -> int:
    from mrlbench.faiss_index import cells_for  # the one rule; it imports FAISS

    return cells_for(count)


@cache
def measured() -> tuple[Measured, ...]:
    """Read what `scripts/measure_index_overhead.py` measured."""
    text = (files(__package__) / "index_overhead.tsv").read_text()
    rows = csv.reader(text.splitlines()[1:], delimiter="\t")
    return tuple(
        Measured(index, library, version, argument, int(setting or 0), *map(float, numbers))
        for index, library, version, argument, setting, *numbers in rows
    )
