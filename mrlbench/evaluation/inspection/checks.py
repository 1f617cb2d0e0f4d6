"""What is wrong, what is only worth knowing, and which checks a continuous integration runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrlbench.embedding.folder import Embeddings
from mrlbench.errors import UserError
from mrlbench.evaluation.inspection.coordinates import Coordinates
from mrlbench.evaluation.inspection.lengths import Lengths, PrefixLength
from mrlbench.evaluation.inspection.order import NESTED, REVERSED, Verdict
from mrlbench.evaluation.inspection.scan import Copies, Leaks, Scan

MOST_DUPLICATES = 0.01  # of the rows
MOST_CONSTANT = 0.05  # of the coordinates
MOSTLY = 0.5  # of the rows have unit length: then all were meant to
NOTABLE_CHANGE = 0.005  # of the neighbours
ALIKE = 0.3  # a mean cosine of two rows from which on they all point much the same way
TRAINED_KEYS = ("trained_dims", "matryoshka_dimensions", "matryoshka_dims")
HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Check:
    """Something that must be so, and what was found."""

    name: str
    passed: bool
    found: str


def trained_dims(embeddings: Embeddings) -> tuple[int, ...]:
    """Read the dims that `meta.json` says were trained, increasing; empty where it does not say.

    Raises:
        UserError: They are no list of numbers that the vectors can have.
    """
    for key in TRAINED_KEYS:
        stated: Any = embeddings.meta.get(key)
        if stated is None:
            continue
        numbers = isinstance(stated, list) and all(type(dim) is int for dim in stated)
        if not numbers or not all(1 <= dim <= embeddings.width for dim in stated):
            raise UserError(
                f"{embeddings.folder}/meta.json: expected {key} as numbers from 1 to "
                f"{embeddings.width}, got {stated!r}"
            )
        return tuple(sorted(set(stated)))
    return ()


def run_checks(
    copies: Copies, leaks: Leaks, coordinates: Coordinates, lengths: Lengths, verdict: Verdict
) -> tuple[Check, ...]:
    """Check everything that can be wrong, whatever is expected."""
    still = coordinates.zero + coordinates.constant
    return (
        Check(
            "duplicates",
            copies.repeated <= MOST_DUPLICATES * copies.rows,
            f"{copies.repeated:,} of {copies.rows:,} database rows equal an earlier one"
            + (f"; the most frequent is there {copies.most:,} times" if copies.repeated else ""),
        ),
        Check(
            "leakage",
            leaks.same_direction == 0,
            f"{leaks.identical:,} of {leaks.queries:,} queries are rows of the database"
            f" ({leaks.same_direction:,} after normalisation)"
            + "".join(f"; query {query} is row {row}" for query, row in leaks.examples),
        ),
        Check(
            "constant coordinates",
            still <= MOST_CONSTANT * coordinates.width,
            f"{still} of {coordinates.width} never change: {coordinates.zero} are always 0",
        ),
        Check(
            "lengths",
            not _partly_unit(lengths),
            f"{lengths.unit_database:.2%} of the rows and {lengths.unit_queries:.2%} of the "
            "queries have unit length",
        ),
        Check("order", verdict.word != REVERSED, verdict.word),
    )


def check_expectation(verdict: Verdict, expected: str) -> tuple[Check, ...]:
    """Check that the verdict is the one that there must be; no check where any may be."""
    if not expected:
        return ()
    met = verdict.word == expected
    return (Check("expected", met, f"expected {expected}, got {verdict.word}"),)


def _partly_unit(lengths: Lengths) -> bool:
    """Tell whether most have unit length and some do not: two ways of making vectors were mixed."""
    return any(MOSTLY <= share < 1 for share in (lengths.unit_database, lengths.unit_queries))


def take_notes(
    scan: Scan,
    stored: np.dtype[Any],
    coordinates: Coordinates,
    lengths: Lengths,
    prefixes: Sequence[PrefixLength],
) -> tuple[str, ...]:
    """Say what is no mistake in itself, but is good to know."""
    notes = [*_on_lengths(lengths, prefixes, len(scan.low)), *_on_halves(scan, stored)]
    if coordinates.dead:
        notes.append(f"{coordinates.dead} coordinates hardly change")
    if coordinates.dominating:
        some = ", ".join(map(str, coordinates.dominating))
        notes.append(f"coordinates far larger than the others, largest first: {some}")
    if coordinates.mean_cosine > ALIKE:
        notes.append(
            f"the vectors point much the same way: the mean cosine of two rows is "
            f"{coordinates.mean_cosine:.2f}; centring may help"
        )
    return tuple(notes)


def note_training(trained: Sequence[int], width: int, verdict: Verdict) -> tuple[str, ...]:
    """Say that vectors do not look like what `meta.json` says of them."""
    if verdict.word == NESTED or not any(dim < width for dim in trained):
        return ()
    stated = ", ".join(map(str, trained))
    return (f"meta.json says that {stated} were trained, but the verdict is: {verdict.word}",)


def _on_lengths(lengths: Lengths, prefixes: Sequence[PrefixLength], width: int) -> list[str]:
    notes = []
    whole = [each for each in prefixes if each.dim == width]
    cut = [each for each in prefixes if each.dim < width]
    if lengths.unit != "all" and not _partly_unit(lengths):
        wrong = whole[0].changed if whole else 0.0
        notes.append(
            "the stored vectors are not of unit length"
            + (f": inner products miss {wrong:.1%} of the neighbours" if wrong > 0 else "")
        )
    worst = max(cut, key=lambda each: each.changed, default=None)
    if worst is not None and worst.low > NOTABLE_CHANGE:
        notes.append(
            f"prefixes must be normalised after cutting: at {worst.dim} dims, inner products of "
            f"raw ones miss {worst.changed:.1%} of the neighbours"
        )
    empty = [each for each in cut if each.empty]
    if empty:
        notes.append(
            f"the first {empty[0].dim} coordinates of {empty[0].empty:,} sampled rows are all "
            "zeros: they have no direction there"
        )
    return notes


def _on_halves(scan: Scan, stored: np.dtype[Any]) -> list[str]:
    largest = float(max(np.abs(scan.low).max(), np.abs(scan.high).max()))
    if stored == np.float16:
        notes = []
        if largest >= HALF:
            notes.append(f"some coordinates are {HALF:.0f}, where float16 ends: cut off?")
        if scan.norms.max() ** 2 > HALF:
            notes.append("squared lengths overflow in float16: compute in float32")
        return notes
    if largest > HALF:
        return [f"coordinates of up to {largest:.3g} do not fit float16"]
    return []
