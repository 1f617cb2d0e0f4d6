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
from mrlbench.evaluation.inspection.sample import draw_sample
from mrlbench.evaluation.inspection.scan import Copies, Leaks, count_copies, count_leaks, scan_rows
from mrlbench.measurements import Row
from mrlbench.search.nested import check_k


@dataclass(frozen=True)
class Inspection:
    """What an inspection found.

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

    def untrained(self, dim: int) -> bool:
        """Tell whether a dim is not among those that were trained, where these are known."""
        return bool(self.trained) and dim not in self.trained


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
    scans = [scan_rows(each, common) for each in (embeddings.database, embeddings.queries)]
    sample = draw_sample(embeddings, most_rows, seed)
    found = search_prefixes(sample, dims)
    arms = measure_arms(sample, found, dims, seed)
    differences = compare_arms(arms, dims, sample.width)
    verdict = judge_order(arms, dims, sample.width)
    coordinates = measure_coordinates(sample.database, scans[0])
    lengths, prefixes = measure_lengths(*scans), measure_prefixes(sample, found, dims, K)
    copies, leaks = count_copies(scans[0]), count_leaks(*scans)
    return Inspection(
        name=embeddings.folder.resolve().name,
        rows=len(embeddings.database),
        queries=len(embeddings.queries),
        width=sample.width,
        dtype=str(embeddings.database.dtype),
        query_set=str(embeddings.meta.get("query_set", "queries")),
        sampled_rows=len(sample.database),
        sampled_queries=len(sample.queries),
        seed=seed,
        dims=tuple(dims),
        trained=trained,
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
        notes=(
            *take_notes(scans[0], embeddings.database.dtype, coordinates, lengths, prefixes),
            *note_training(trained, sample.width, verdict),
        ),
        checks=run_checks(*(copies, leaks, coordinates, sample.width, lengths, verdict, expected)),
    )


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Give all that was found as JSON can hold it; `passed` says whether nothing is wrong."""
    content = asdict(inspection)
    for table in ("points", "differences"):  # named tuples: asdict keeps them as lists
        content[table] = [each._asdict() for each in getattr(inspection, table)]
    content["lengths"]["unit"] = inspection.lengths.unit
    return content | {"passed": not inspection.failed}


def as_rows(inspection: Inspection, run: str) -> list[Row]:
    """Write the numbers as measurements; `n_database` is the rows that were searched."""
    template = Row(
        run,
        inspection.name,
        queries=inspection.query_set,
        n_database=inspection.sampled_rows,
        task="inspect",
        method=inspection.name,
        dtype=inspection.dtype,
    )
    return [replace(template, **cells) for cells in _cells(inspection)]


def _cells(inspection: Inspection) -> Iterator[dict[str, Any]]:
    for point in inspection.points:
        yield {
            **{"reducer": point.arm, "dim": point.dim, "k": K, "metric": point.measure},
            **{"value": point.value, "ci_low": point.low, "ci_high": point.high},
            "n": point.queries,
        }
    for each in inspection.differences:
        yield {
            **{"reducer": PREFIX, "variant": f"minus={each.against}", "dim": each.dim, "k": K},
            **{"metric": each.measure, "value": each.value},
            **{"ci_low": each.low, "ci_high": each.high},
        }
    for prefix in inspection.prefixes:
        cells = {"reducer": PREFIX, "dim": prefix.dim}
        yield cells | {"metric": "length_kept", "value": prefix.share, "n": inspection.sampled_rows}
        yield cells | {
            **{"metric": f"raw_changed@{K}", "k": K, "value": prefix.changed},
            **{"ci_low": prefix.low, "ci_high": prefix.high, "n": inspection.sampled_queries},
        }
    spectrum, width = inspection.spectrum, inspection.width
    for arm, shares in ((PREFIX, spectrum.prefix), (PCA, spectrum.pca)):
        for dim, value in zip(spectrum.dims, shares, strict=True):
            yield {"reducer": arm, "dim": dim, "metric": "variance_kept", "value": value}
    for metric in ("effective_rank", "participation_ratio"):
        yield {"dim": width, "metric": metric, "value": getattr(spectrum, metric)}
