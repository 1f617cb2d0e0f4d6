"""Adaptive classification: the paper's cascade and others, by accuracy, expected dim and MFLOPs.

Every number is the mean over the splits. Its 95% interval is a bootstrap over the queries with the
thresholds of each split held, like the interval of a single head's accuracy; how much the numbers
vary with the queries that the thresholds were learned on is what the standard deviation over
splits says (`top1_std`, `expected_dim_std`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import AnyFloatArray, IntArray
from mrlbench.cascade.confidence import RULES, Float64
from mrlbench.cascade.heads import Heads, calibrated, uncalibrated
from mrlbench.cascade.outcome import Outcome, draw_splits, up_to
from mrlbench.cascade.variants import JOINT, run_cascades
from mrlbench.embedding.logits import MIRRORED, LogitsFile, open_logits_file
from mrlbench.errors import UserError
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.intervals import ratio_intervals
from mrlbench.measurements import Row
from mrlbench.progress import task

TASK = "adaptive-classification"
FEWEST_QUERIES = 10  # to learn thresholds on a fifth of them and report on the rest


@dataclass(frozen=True)
class Cascades:
    """Which cascades are measured.

    Attributes:
        dims: The heads; empty takes all that there are.
        tta: Also with logits summed over each image and its mirror image.
        targets: Of joint thresholds, see `run_cascades`.
    """

    dims: Sequence[int] = ()
    tta: bool = False
    targets: Sequence[float] = ()


def has_cascade(source: Source) -> bool:
    """Tell whether a model has heads to go up: a fixed model has one."""
    return len(open_logits_file(source.embeddings.folder).dims) > 1


def cascades_of(source: Source) -> "re.Pattern[str]":
    """Match the column `variant` of every cascade of a source, whatever the rule."""
    trained = source.names.get("variant")
    return re.compile((re.escape(f"{trained},") if trained else "") + "rule=.*")


def check_cascade(source: Source, cascades: Cascades) -> None:
    """Refuse what cannot be measured, before any work.

    Raises:
        UserError: A head that is not there, fewer than two heads, or too few queries.
    """
    file = open_logits_file(source.embeddings.folder)
    known = ", ".join(str(each) for each in file.dims)
    for dim in cascades.dims:
        if dim not in file.dims:
            raise UserError(f"--dims: no head for dim {dim}: expected some of {known}")
    if len(cascades.dims or file.dims) < 2:
        which = ", ".join(str(each) for each in cascades.dims or file.dims)
        raise UserError(f"{file.path}: a cascade needs heads at two dims or more, got {which}")
    if len(file.labels) < FEWEST_QUERIES:
        raise UserError(
            f"{file.path}: expected at least {FEWEST_QUERIES} queries, a fifth of them to learn "
            f"thresholds on, got {len(file.labels)}"
        )
    if cascades.tta and source.origin is None:
        _check_mirrored(source)


def evaluate_adaptive_classification(source: Source, cascades: Cascades) -> list[Row]:
    """Measure the cascades of a model with several heads, without TTA and, if asked, with it."""
    rows = _cascades(source, _read(source, cascades), cascades)
    if cascades.tta:
        heads = _read(source, cascades, mirrored=True)
        rows += [*_single_heads(source, heads), *_cascades(source, heads, cascades, mirrored=True)]
    return rows


def evaluate_mirrored_head(source: Source) -> list[Row]:
    """Measure a fixed model's own accuracy with TTA, which cascades with TTA compare with."""
    file = _open(source, mirrored=True)
    (dim,) = file.dims
    right = top_k(file.read(dim), file.labels, 1)
    return mean_rows(_row(source, dim, "rule=none,tta"), {"top1": right})


def _check_mirrored(source: Source) -> None:
    """Refuse anybody's folder without mirrored logits, or with those of other heads or queries."""
    folder = source.embeddings.folder
    if not (folder / MIRRORED).is_file():
        raise UserError(
            "--tta: expected logits summed over each image and its mirror image in "
            f"{folder / MIRRORED}, got no such file"
        )
    plain, mirrored = open_logits_file(folder), open_logits_file(folder, MIRRORED)
    if mirrored.dims != plain.dims or not np.array_equal(mirrored.labels, plain.labels):
        raise UserError(
            f"{mirrored.path}: expected the heads and labels of {plain.path}, got others"
        )


def _open(source: Source, mirrored: bool) -> LogitsFile:
    """Open the logits of a source; a run's mirrored ones are made where they are missing."""
    folder = source.embeddings.folder
    if not mirrored:
        return open_logits_file(folder)
    if source.origin is not None:
        source.origin.write_mirrored_logits()
    return open_logits_file(folder, MIRRORED)


@dataclass(frozen=True)
class _Priced:
    """Heads with the multiply–adds of each, (M,), and of what comes before them, if known."""

    heads: Heads
    costs: Float64
    backbone: int | None


def _read(source: Source, cascades: Cascades, mirrored: bool = False) -> _Priced:
    """Read one head after the other: the logits of only one are in memory at a time."""
    file = _open(source, mirrored)
    splits = draw_splits(len(file.labels))
    tunings, dims = [split.tuning for split in splits], cascades.dims or file.dims
    right, costs, as_they_are, fitted = [], [], [], []
    with task(f"confidences {source.label}", len(dims), "heads") as work:
        for dim in dims:
            logits = file.read(dim)
            right.append(top_k(logits, file.labels, 1) > 0)  # (Q,)
            costs.append(dim * logits.shape[1])
            as_they_are.append(uncalibrated(logits, len(splits)))
            fitted.append(calibrated(logits, file.labels, tunings))
            work.advance(1)
    known = np.array(dims, dtype=np.int64), np.stack(right, axis=1)
    images = 2 if mirrored else 1
    backbone = source.origin.image_multiply_adds() * images if source.origin else None
    heads = Heads(*known, as_they_are, fitted, splits)
    return _Priced(heads, np.array(costs, dtype=np.float64) * images, backbone)


def _row(source: Source, dim: int, variant: str) -> Row:
    """Make a row; how the model was trained, where that was varied, stands before the rule."""
    trained = source.names.get("variant")
    named = f"{trained},{variant}" if trained else variant
    return source.row(task=TASK, dim=dim, variant=named, n_database=None, dtype=None)


def _single_heads(source: Source, priced: _Priced) -> list[Row]:
    """Measure each head alone on all queries."""
    rows: list[Row] = []
    heads = priced.heads
    for dim, right in zip(heads.dims.tolist(), heads.right.T, strict=True):
        scores = {"top1": right.astype(np.float32)}
        rows += mean_rows(_row(source, dim, "rule=none,tta"), scores)
    return rows


@dataclass(frozen=True)
class _Number:
    """One number of a cascade.

    Attributes:
        row: Where it goes, without the value.
        by_split: (S,).
        by_query: (Q,), its sum over the splits that report on a query.
    """

    row: Row
    by_split: Float64
    by_query: AnyFloatArray | IntArray

    def rows(self, interval: tuple[float, float]) -> list[Row]:
        """Give the mean over splits; of accuracy and expected dim also the standard deviation."""
        low, high = interval
        row = replace(self.row, value=float(self.by_split.mean()), ci_low=low, ci_high=high)
        if self.row.metric not in ("top1", "expected_dim"):
            return [row]
        spread = float(self.by_split.std(ddof=1))
        return [row, replace(self.row, metric=f"{self.row.metric}_std", value=spread)]


def _cascades(
    source: Source, priced: _Priced, cascades: Cascades, mirrored: bool = False
) -> list[Row]:
    outcomes = {
        _with_tta(variant) if mirrored else variant: outcome
        for variant, outcome in run_cascades(priced.heads, cascades.targets)
    }
    _keep(source, priced.heads, outcomes, "-tta" if mirrored else "")
    numbers = [
        number
        for variant, outcome in outcomes.items()
        for number in _numbers(source, priced, variant, outcome)
    ]
    reported = next(iter(outcomes.values())).ends.sum(axis=1)  # (Q,), the same for all
    by_query: AnyFloatArray = np.stack([number.by_query for number in numbers], axis=1)
    intervals = ratio_intervals(by_query, reported)
    pairs = zip(numbers, intervals, strict=True)
    return [row for number, interval in pairs for row in number.rows(interval)]


def _with_tta(variant: str) -> str:
    """Name a cascade with TTA: `rule=margin,calibrated` -> `rule=margin,tta,calibrated`."""
    rule, *others = variant.split(",")
    return ",".join([rule, "tta", *others])


def _numbers(source: Source, priced: _Priced, variant: str, outcome: Outcome) -> Iterator[_Number]:
    """Give the numbers of one cascade with heads up to each but the first; joint ones with all."""
    dims = priced.heads.dims
    accuracy, hits = outcome.accuracy(), outcome.hits()
    measured = {"top1": (accuracy, hits)} | {
        metric: (outcome.expected(costs), outcome.ends @ up_to(costs))
        for metric, costs in _costs(priced).items()
    }
    for place in range(len(dims) - 1 if JOINT in variant else 1, len(dims)):
        row = _row(source, int(dims[place]), variant)
        for metric, (by_split, by_query) in measured.items():
            template = replace(row, metric=metric, n=len(by_split))
            yield _Number(template, by_split[:, place], by_query[:, place])


def _costs(priced: _Priced) -> Mapping[str, AnyFloatArray]:
    """Say what it costs to end at each head, (M,): its dim; the dims of all tried; MFLOPs.

    A cascade pays for the backbone once and for every head that it tried, C x d each. For anybody's
    logits the backbone is not known: `mflops_heads` is the heads' share alone.
    """
    dims = priced.heads.dims.astype(np.float64)
    tried = priced.costs.cumsum()
    name = "mflops_heads" if priced.backbone is None else "mflops"
    mflops = (tried + (priced.backbone or 0)) / 1e6
    return {"expected_dim": dims, "expected_dim_all_heads": dims.cumsum(), name: mflops}


def _keep(source: Source, heads: Heads, outcomes: Mapping[str, Outcome], tta: str) -> None:
    """Keep what the numbers can be computed again from: thresholds and temperatures per split."""
    raw: dict[str, AnyFloatArray] = {"right": heads.right.astype(np.float32)}
    raw["dims"] = heads.dims.astype(np.float64)
    raw["temperatures"] = np.stack([h.temperatures[h.chosen] for h in heads.calibrated], axis=1)
    for place, rule in enumerate(RULES):
        known = [head.by_temperature[0, place] for head in heads.plain]
        raw[f"confidence rule={rule}"] = np.stack(known, axis=1)  # (Q, M)
    raw |= {f"thresholds {name}": outcome.thresholds for name, outcome in outcomes.items()}
    source.save_raw(f"cascade{tta}", raw)
