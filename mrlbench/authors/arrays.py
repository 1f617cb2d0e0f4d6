"""Arrays, the authors' or anybody's, turned into an embeddings folder with whole labels."""

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.authors.labels import (
    as_integers,
    class_order,
    loss,
    read_labels,
    read_list,
    repair,
)
from mrlbench.dims import default_dims
from mrlbench.embedding.vector_files import VectorFile, open_vector_file
from mrlbench.errors import UserError
from mrlbench.files import check_writable, replacing, write_json
from mrlbench.progress import task

log = logging.getLogger(__name__)

FLAG = "0|1|True|False"  # their program writes either
NAME = re.compile(
    rf"(?P<data>[^_]+)_(?P<part>train|val)_"
    rf"(?P<model>mrl(?P<mrl>{FLAG})_e(?P<e>{FLAG})_ff(?P<dim>\d+|None))-X\.npy"
)
PARTS = ("database", "queries")
DATABASES = {"V2": "1K"}  # ImageNetV2 has queries only; they are asked of ImageNet-1K
QUERY_SETS = {"1K": "val", "V2": "imagenet-v2", "4K": "imagenet-4k"}


@dataclass(frozen=True)
class Side:
    """The two files of the database or of the queries; without labels there is one."""

    vectors: Path
    labels: Path | None


@dataclass(frozen=True)
class Arrays:
    """What an embeddings folder is made of.

    Attributes:
        database: Its files.
        queries: Their files.
        query_set: The name of the queries in the CSV files.
        name: Groups of the file name's pattern, as far as it says anything.
    """

    database: Side
    queries: Side
    query_set: str = "queries"
    name: dict[str, str] = field(default_factory=dict)


def find_arrays(folder: Path, data: str, model: str = "") -> Arrays:
    """Find the arrays of a data set by their names, `1K_train_mrl1_e0_ff2048-X.npy` and so on.

    Args:
        folder: Where they are.
        data: `1K`, `V2` or `4K`.
        model: Such as `mrl1_e0_ff2048`; may be empty where the folder has one model only.

    Raises:
        UserError: Nothing found, several models to choose from, or a file is missing.
    """
    if data not in QUERY_SETS:
        raise UserError(f"--as: expected one of {', '.join(QUERY_SETS)}, got {data!r}")
    if not folder.is_dir():
        raise UserError(f"expected a folder of arrays, got nothing at {folder}")
    found = [match for path in sorted(folder.iterdir()) if (match := NAME.fullmatch(path.name))]
    there = [each for each in found if each["data"] == data and each["part"] == "val"]
    models = [each["model"] for each in there]
    if not there:
        raise UserError(
            f"{folder}: expected {data}_val_mrl<0|1>_e<0|1>_ff<d>-X.npy, got no such file"
        )
    if model not in models and (model or len(models) > 1):
        raise UserError(f"--model: expected one of {', '.join(models)}, got {model or 'none'}")
    name = there[models.index(model)] if model else there[0]
    database = DATABASES.get(data, data)
    searched, asked = (
        Side(folder / f"{part}_{name['model']}-X.npy", folder / f"{part}_{name['model']}-y.npy")
        for part in (f"{database}_train", f"{data}_val")
    )
    return Arrays(searched, asked, QUERY_SETS[data], name.groupdict())


def write_embeddings(arrays: Arrays, lists: tuple[Path, Path] | None, out: Path) -> None:
    """Link or copy vectors, block by block, and write labels as integers.

    Args:
        arrays: The files.
        lists: Image lists of database and queries in row order; None where labels are whole.
        out: The embeddings folder, new or empty.

    Raises:
        UserError: Files that do not fit together, collapsed labels that no list repairs, lists that
            disagree with the labels, or a folder that holds something.
    """
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out: expected a new or empty folder, got {out} with files in it")
    sides = (arrays.database, arrays.queries)
    vectors = [open_vector_file(side.vectors) for side in sides]
    width = _width(arrays, vectors)
    labels = _labels(sides, [each.rows for each in vectors], lists)
    for each in vectors:
        each.check()
    check_writable(out)
    with task(f"copy to {out}", sum(each.rows for each in vectors), "rows") as work:
        for part, each in zip(PARTS, vectors, strict=True):
            each.write(out / f"{part}.npy", work)
        for part, own in zip(PARTS, labels, strict=False):
            with replacing(out / f"{part}_labels.npy") as beside, beside.open("wb") as file:
                np.save(file, own)
    write_json(out / "meta.json", _meta(arrays, width))


def _width(arrays: Arrays, vectors: list[VectorFile]) -> int:
    width, other = (each.width for each in vectors)
    if width != other:
        raise UserError(
            f"expected database and queries of the same width, got {width} in "
            f"{arrays.database.vectors} and {other} in {arrays.queries.vectors}"
        )
    named = arrays.name.get("dim", "None")
    if named.isdigit() and int(named) > width:
        raise UserError(
            f"{arrays.database.vectors}: expected {named} columns, as its name says, got {width}"
        )
    return width


def _labels(
    sides: tuple[Side, Side], rows: list[int], lists: tuple[Path, Path] | None
) -> list[IntArray]:
    """Read the labels of both sides as integers, from image lists where they are given."""
    paths = [side.labels for side in sides if side.labels is not None]
    if len(paths) == 1 or (lists and not paths):
        raise UserError(f"expected labels of database and queries, got only {paths or lists}")
    saved = [read_labels(path, n) for path, n in zip(paths, rows, strict=False)]
    if lists is None:
        return [as_integers(path, own) for path, own in zip(paths, saved, strict=True)]
    images = (read_list(lists[0]), read_list(lists[1]))
    order, repaired = class_order(images), []
    for path, own, listed in zip(paths, saved, images, strict=True):
        repaired.append(repair(path, own, listed.labels(order), listed.path))
    classes = 1 + max(int(own.max()) for own in repaired)
    for path, own, listed in zip(paths, saved, images, strict=True):
        if own.dtype == np.float16:
            log.warning("%s: %s; repaired from %s", path, loss(own, classes), listed.path)
    return repaired


def _meta(arrays: Arrays, width: int) -> dict[str, Any]:
    """Say where the folder comes from, and which model made it where the names tell."""
    sources = {
        f"{part}{what}": path.name
        for part, side in (("database", arrays.database), ("queries", arrays.queries))
        for what, path in (("", side.vectors), ("_labels", side.labels))
        if path is not None
    }
    meta: dict[str, Any] = {"query_set": arrays.query_set, "imported_from": sources}
    if arrays.name:
        nested = {"1", "True"} & {arrays.name["mrl"], arrays.name["e"]}
        dim = int(arrays.name["dim"]) if arrays.name["dim"].isdigit() else width
        method = "mrl-e" if arrays.name["e"] in ("1", "True") else "mrl"
        meta["model"] = method if nested else f"fixed-{dim}"
        meta["trained_dims"] = default_dims(width) if nested else [dim]
    return meta
