"""The whole inspection of an embeddings folder, and the rows made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mrlbench.dims import check_dims, default_dims
from mrlbench.embedding.folder import Embeddings
from mrlbench.evaluation.inspection.arms import (
    PCA,
    PREFIX,
    K,
    Point,
    mean_points,
    measure_arms,
    search_prefixes,
)
from mrlbench.evaluation.inspection.checks import (
    Check,
    check_expectation,
    note_training,
    run_checks,
    take_notes,
    trained_dims,
)
from mrlbench.evaluation.inspection.coordinates import (
    Coordinates,
    Spectrum,
    measure_coordinates,
    measure_spectrum,
)
from mrlbench.evaluation.inspection.lengths import (
    Lengths,
    PrefixLength,
    measure_lengths,
    measure_prefixes,
)
from mrlbench.evaluation.inspection.order import (
    Difference,
    Verdict,
    advise_on_pca,
    compare_arms,
    judge_order,
)
from mrlbench.evaluation.inspection.quirks import note_quirks
from mrlbench.evaluation.inspection.sample import Sample, draw_sample
from mrlbench.evaluation.inspection.scan import Copies, Leaks, count_copies, count_leaks, scan_rows
from mrlbench.measurements import Row
from mrlbench.search.nested import check_k


@dataclass(frozen=True)
class Subject:
    """What is inspected, and how closely.

    Attributes:
        name: The folder's.
        rows: N, of the database.
        queries: Q.
        width: D.
        dtype: Of the database as stored.
        query_set: What the queries are called.
        sampled_rows: Of the database, looked at closely.
        sampled_queries: Likewise.
        seed: Drew the sample, the random dims and the rotations.
        dims: Measured.
        trained: The dims that `meta.json` says were trained; empty where it does not say.
    """

    name: str
    rows: int
    queries: int
    width: int
    dtype: str
    query_set: str
    sampled_rows: int
    sampled_queries: int
    seed: int
    dims: tuple[int, ...]
    trained: tuple[int, ...]

    def untrained(self, dim: int) -> bool:
        """Tell whether a dim is not among those that were trained, where these are known."""
        return bool(self.trained) and dim not in self.trained


@dataclass(frozen=True)
class Inspection:
    """What an inspection found.

    Attributes:
        subject: Of what.
        lengths: Of all rows.
        prefixes: Lengths of the prefixes at each dim.
        spectrum: How variance is spread.
        coordinates: Those out of the ordinary.
        copies: Rows that are there twice.
        leaks: Queries that are rows.
        points: What each arm keeps at each dim.
        differences: The prefix less each other arm.
        verdict: On the order of the coordinates.
        advice: Where PCA keeps more.
        notes: What is good to know.
        checks: What must be so.
    """

    subject: Subject
    lengths: Lengths
    prefixes: tuple[PrefixLength, ...]
    spectrum: Spectrum
    coordinates: Coordinates
    copies: Copies
    leaks: Leaks
    points: tuple[Point, ...]
    differences: tuple[Difference, ...]
    verdict: Verdict
    advice: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]


def choose_dims(embeddings: Embeddings, wanted: Sequence[int]) -> tuple[int, ...]:
    """Take the dims asked for, else those trained, else 8, 16, … D.

    Raises:
        UserError: Dims that the vectors do not have.
    """
    if wanted:
        check_dims("--dims", wanted, embeddings.width)
        return tuple(wanted)
    return trained_dims(embeddings) or tuple(default_dims(embeddings.width))


def inspect_embeddings(
    embeddings: Embeddings, dims: Sequence[int], most_rows: int, seed: int, expected: str = ""
) -> Inspection:
    """Look at every row once, and at a sample closely.

    Args:
        embeddings: The vectors.
        dims: Increasing; from `choose_dims`.
        most_rows: Of the database in the sample, at least 10.
        seed: Draws the sample, the random dims and the rotations.
        expected: The verdict that there must be; empty for any.

    Raises:
        UserError: The database has fewer than 10 rows, or `meta.json` is not as it should be.
    """
    check_k(K, len(embeddings.database))
    trained = trained_dims(embeddings)
    common = np.result_type(embeddings.database, embeddings.queries)
    rows, asked = (scan_rows(each, common) for each in (embeddings.database, embeddings.queries))
    sample = draw_sample(embeddings, most_rows, seed)
    found = search_prefixes(sample, dims)
    arms = measure_arms(sample, found, dims, seed)
    differences = compare_arms(arms, dims, sample.width)
    verdict = judge_order(arms, dims, sample.width)
    coordinates = measure_coordinates(sample.database, rows)
    lengths, prefixes = measure_lengths(rows, asked), measure_prefixes(sample, found, dims, K)
    copies, leaks = count_copies(rows), count_leaks(rows, asked)
    stored = embeddings.database.dtype
    return Inspection(
        subject=_subject(embeddings, sample, tuple(dims), trained, seed),
        lengths=lengths,
        prefixes=prefixes,
        spectrum=measure_spectrum(sample.database, dims),
        coordinates=coordinates,
        copies=copies,
        leaks=leaks,
        points=mean_points(arms),
        differences=differences,
        verdict=verdict,
        advice=advise_on_pca(differences, sample.width),
        notes=take_notes(rows, stored, coordinates, lengths, prefixes)
        + note_training(trained, sample.width, verdict)
        + note_quirks(embeddings, sample.database),
        checks=run_checks(copies, leaks, coordinates, lengths, verdict)
        + check_expectation(verdict, expected),
    )


def _subject(
    embeddings: Embeddings,
    sample: Sample,
    dims: tuple[int, ...],
    trained: tuple[int, ...],
    seed: int,
) -> Subject:
    return Subject(
        name=embeddings.folder.resolve().name,
        rows=len(embeddings.database),
        queries=len(embeddings.queries),
        width=embeddings.width,
        dtype=str(embeddings.database.dtype),
        query_set=str(embeddings.meta.get("query_set", "queries")),
        sampled_rows=len(sample.database),
        sampled_queries=len(sample.queries),
        seed=seed,
        dims=dims,
        trained=trained,
    )


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Give all that was found as JSON can hold it; `passed` says whether nothing is wrong."""
    content = asdict(inspection)
    for table in ("points", "differences"):  # named tuples: asdict keeps them as lists
        content[table] = [each._asdict() for each in getattr(inspection, table)]
    content["lengths"]["unit"] = inspection.lengths.unit
    subject: dict[str, Any] = content.pop("subject")
    return subject | content | {"passed": not inspection.failed}


def as_rows(inspection: Inspection, run: str) -> list[Row]:
    """Write the numbers as measurements; `n_database` is the rows that were searched."""
    subject = inspection.subject
    template = Row(
        run,
        subject.name,
        queries=subject.query_set,
        n_database=subject.sampled_rows,
        task="inspect",
        method=subject.name,
        dtype=subject.dtype,
    )
    kept = replace(template, k=K, n=subject.sampled_queries)
    return [
        *_point_rows(kept, inspection.points),
        *_difference_rows(kept, inspection.differences),
        *_length_rows(template, kept, inspection.prefixes),
        *_spectrum_rows(template, inspection.spectrum, subject.width),
    ]


def _point_rows(template: Row, points: Sequence[Point]) -> Iterator[Row]:
    for each in points:
        row = replace(template, reducer=each.arm, dim=each.dim, metric=each.measure)
        yield replace(row, value=each.value, ci_low=each.low, ci_high=each.high, n=each.queries)


def _difference_rows(template: Row, differences: Sequence[Difference]) -> Iterator[Row]:
    for each in differences:
        less = f"minus={each.against}"
        row = replace(template, reducer=each.arm, variant=less, dim=each.dim, metric=each.measure)
        yield replace(row, value=each.value, ci_low=each.low, ci_high=each.high, n=each.queries)


def _length_rows(template: Row, kept: Row, prefixes: Sequence[PrefixLength]) -> Iterator[Row]:
    for each in prefixes:
        row = replace(template, reducer=PREFIX, dim=each.dim, n=template.n_database)
        yield replace(row, metric="length_kept", value=each.share)
        row = replace(kept, reducer=PREFIX, dim=each.dim, metric=f"raw_changed@{K}")
        yield replace(row, value=each.changed, ci_low=each.low, ci_high=each.high)


def _spectrum_rows(template: Row, spectrum: Spectrum, width: int) -> Iterator[Row]:
    for arm, shares in ((PREFIX, spectrum.prefix), (PCA, spectrum.pca)):
        for dim, value in zip(spectrum.dims, shares, strict=True):
            yield replace(template, reducer=arm, dim=dim, metric="variance_kept", value=value)
    for metric in ("effective_rank", "participation_ratio"):
        yield replace(template, dim=width, metric=metric, value=getattr(spectrum, metric))
