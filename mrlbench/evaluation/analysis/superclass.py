"""Accuracy by superclass: that of the predicted class against that of the label."""

import csv
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.errors import UserError
from mrlbench.evaluation.analysis.classes import Classes
from mrlbench.evaluation.analysis.heads import open_heads
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row

REJECT = "reject"  # where classes go that have no superclass: n + 1 ways, as in the paper


@dataclass(frozen=True)
class Superclasses:
    """Which superclass each class belongs to.

    Attributes:
        names: S + 1 names, the last is `reject`.
        of_class: (C,), places among the names.
    """

    names: tuple[str, ...]
    of_class: IntArray


def superclass(source: Source, groups: Superclasses) -> list[Row]:
    """Measure how often the superclass of the predicted class is that of the label, at each dim.

    The heads are those of the classes: none is trained for superclasses.

    Returns:
        `top1` over all queries, and over those of each superclass with the variant
        `superclass=<name>`.
    """
    heads = open_heads(source)
    truth = groups.of_class[heads.labels]  # (Q,)
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for dim, predicted in zip(heads.dims, heads.predicted, strict=True):
        right = (groups.of_class[predicted] == truth).astype(np.float32)  # (Q,)
        template = source.row(task="superclass", dim=dim, n_database=None, dtype=None)
        rows += mean_rows(template, {"top1": right})
        for place, name in enumerate(groups.names):
            if (members := truth == place).any():
                one = replace(template, variant=f"superclass={name}")
                rows += mean_rows(one, {"top1": right[members]})
        raw[f"top1@dim{dim}"] = right
    source.save_raw("scores-superclass", raw)
    return rows


def built_in(dataset: str) -> Path | None:
    """Find the mapping that is shipped for a data set; None if there is none."""
    path = Path(str(files(__package__) / "superclasses" / f"{dataset}.tsv"))
    return path if path.is_file() else None


def read_superclasses(path: Path, classes: Classes, count: int) -> Superclasses:
    """Read a mapping of classes to superclasses.

    Args:
        path: Lines of class and superclass, parted by a tab in a `.tsv`, else by a comma; a header
            `class,superclass` and lines that begin with # are skipped. A class is given by its
            name, its WordNet id, or its number from 0.
        classes: Of the data set.
        count: C.

    Raises:
        UserError: Not there, not of that form, or a class that the data set does not have.
    """
    found: dict[int, str] = {}
    for number, cells in _lines(path):
        if len(cells) != 2 or not all(cells):
            raise UserError(f"{path}, line {number}: expected class and superclass, got {cells}")
        place = classes.find(cells[0], count)
        if place is None:
            raise UserError(
                f"{path}, line {number}: expected the name, WordNet id or number of one of {count} "
                f"classes, got {cells[0]!r}"
            )
        if found.setdefault(place, cells[1]) != cells[1]:
            raise UserError(
                f"{path}, line {number}: expected one superclass of {cells[0]}, got "
                f"{found[place]!r} and {cells[1]!r}"
            )
    if not found:
        raise UserError(f"{path}: expected lines of class and superclass, got none")
    names = (*sorted({*found.values()} - {REJECT}), REJECT)
    of_class = [names.index(found.get(place, REJECT)) for place in range(count)]
    return Superclasses(names, np.array(of_class, dtype=np.int64))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Split the lines that hold something, with their numbers."""
    try:
        text = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"expected a file of superclasses in {path}: {error}") from error
    mark = "\t" if path.suffix == ".tsv" else ","
    lines = []
    for number, line in enumerate(text, 1):
        if line.strip() and not line.startswith("#"):
            (cells,) = csv.reader([line], delimiter=mark)
            lines.append((number, [cell.strip() for cell in cells]))
    return lines[1:] if lines and lines[0][1] == ["class", "superclass"] else lines
