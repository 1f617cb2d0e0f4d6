"""The cascades that are compared: rules, calibration, and how thresholds are found."""

from collections.abc import Iterator, Sequence

from mrlbench.arrays import BoolArray, IntArray
from mrlbench.cascade.confidence import RULES, Float64
from mrlbench.cascade.heads import Heads, of_split
from mrlbench.cascade.joint import JointSearch
from mrlbench.cascade.outcome import Outcome, run_splits
from mrlbench.cascade.thresholds import pairwise_thresholds

PAPER = "rule=max-softmax"
JOINT = ",thresholds=joint"
ALLOWED_LOSSES = (0.0, 0.005, 0.01, 0.02)  # targets below the widest head's tuning accuracy


def run_cascades(heads: Heads, targets: Sequence[float] = ()) -> Iterator[tuple[str, Outcome]]:
    """Run every cascade over every split; only tuning queries choose anything.

    Args:
        heads: The heads.
        targets: Accuracies that joint thresholds must reach on the tuning queries; empty takes
            that of the widest head there, less `ALLOWED_LOSSES`.

    Yields:
        The name, such as `rule=margin,calibrated`, with the outcome; the paper's own comes first.
        Joint thresholds are made for all heads together: look at their widest only.
    """
    for variant, grid, confidences in _confidences(heads):

        def by_pairs(place: IntArray, right: BoolArray, grid: Float64 = grid) -> list[IntArray]:
            return [pairwise_thresholds(place, right, len(grid))]

        yield variant, run_splits(confidences, heads.right, grid, by_pairs, heads.splits)[0]
        if variant == PAPER:
            yield from _run_joint(heads, grid, confidences, targets)


def _confidences(heads: Heads) -> Iterator[tuple[str, Float64, list[Float64]]]:
    """Give the name, the grid, and for each split how sure each head is, (Q, M)."""
    splits = range(len(heads.splits))
    for rule, (name, grid) in enumerate(RULES.items()):
        for calibration, known in (("", heads.plain), (",calibrated", heads.calibrated)):
            of_splits = [of_split(known, rule, split) for split in splits]
            yield f"rule={name}{calibration}", grid, of_splits


def _run_joint(
    heads: Heads, grid: Float64, confidences: Sequence[Float64], targets: Sequence[float]
) -> Iterator[tuple[str, Outcome]]:
    dims = heads.dims.tolist()

    def jointly(place: IntArray, right: BoolArray) -> list[IntArray]:
        search, widest = JointSearch(place, right, dims, len(grid)), float(right[:, -1].mean())
        wanted = targets or [widest - loss for loss in ALLOWED_LOSSES]
        return [search.thresholds(target) for target in wanted]

    outcomes = run_splits(confidences, heads.right, grid, jointly, heads.splits)
    for target, outcome in zip(_names(targets), outcomes, strict=True):
        yield f"{PAPER}{JOINT},target={target}", outcome


def _names(targets: Sequence[float]) -> list[str]:
    """Write targets with two digits after the point, or more where they have more."""
    if targets:
        return [f"{each:.2f}" if round(each, 2) == each else f"{each:g}" for each in targets]
    return [f"widest-{loss:g}" if loss else "widest" for loss in ALLOWED_LOSSES]
