"""The 30-split cascade on logits of ImageNet's size, against the same procedure as a NumPy loop.

python experiments/peers/cascade.py        # 50,000 images, nine heads, 1000 classes: minutes
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from common import Peak, Ratio, anonymous_bytes, in_turn, tell, write, write_record

from mrlbench.arrays import BoolArray
from mrlbench.cascade.confidence import RULES, Float64
from mrlbench.cascade.outcome import SplitRows, draw_splits, run_splits
from mrlbench.cascade.thresholds import pairwise_thresholds
from mrlbench.evaluation.adaptive_classification import (
    Cascades,
    evaluate_adaptive_classification,
)
from mrlbench.runs import Output
from mrlbench.sources import folder_source
from mrlbench.threads import use_threads
from mrlbench.training.devices import choose_device

DIMS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
GRID = RULES["max-softmax"]


def main(
    images: int = 50_000,
    classes: int = 1000,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Measure every rule, with and without calibration; compare the paper's thresholds alone."""
    used = use_threads(threads)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "mine"
        folder.mkdir()
        _write_logits(folder / "logits.npz", images, classes)
        before, peak, started = anonymous_bytes(), Peak(), time.perf_counter()
        output = Output(Path(made) / "out")
        source = folder_source(folder, output, [], [], choose_device("cpu"))
        rows = evaluate_adaptive_classification(source, Cascades())
        seconds, highest = time.perf_counter() - started, peak.stop()
        with np.load(next((Path(made) / "out" / "raw").glob("cascade-*.npz"))) as raw:
            confidence = raw["confidence rule=max-softmax"].astype(np.float64)
            right = raw["right"] > 0
    content: dict[str, Any] = {
        "what": "eval-adaptive-classification: 3 rules, calibrated too, and joint thresholds",
        "data": "synthetic logits, float32 on disk",
        "shape": [images, len(DIMS), classes],
        "splits": len(draw_splits(images)),
        "seconds": round(seconds, 1),
        "numbers": len(rows),
        "anonymous_gib_before": round(before / 2**30, 3),
        "anonymous_gib_peak": round(highest / 2**30, 3),
    }
    write_record("cascade", content, used, out)
    splits = draw_splits(images)
    ours, theirs = _ours(confidence, right, splits), _loop(confidence, right, splits)
    np.testing.assert_array_equal(ours, theirs)
    times: dict[str, Any] = in_turn(
        lambda: _ours(confidence, right, splits),
        lambda: _loop(confidence, right, splits),
        repeats,
    )
    row = Ratio(
        what=f"the paper's cascade, {len(splits)} splits, {len(DIMS)} heads",
        data="synthetic",
        rows=0,
        queries=images,
        dim=DIMS[-1],
        k=1,
        ours="thresholds, ends and accuracies",
        peer="the same as a NumPy loop over splits, pairs and thresholds",
        mode="batch",
        threads=used,
        **times,
    )
    write("cascade", [tell(row)], used, out)


def _write_logits(path: Path, images: int, classes: int) -> None:
    """Write heads that are right more often the wider they are."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, images)
    heads = {}
    for place, dim in enumerate(DIMS):
        logits = random.standard_normal((images, classes), dtype=np.float32)
        logits[np.arange(images), labels] += 2 + 0.3 * place
        heads[str(dim)] = logits
    np.savez(path, labels=labels, **heads)


def _ours(confidence: Float64, right: BoolArray, splits: list[SplitRows]) -> Float64:
    """Give the accuracy of each split with heads up to each, (S, M)."""
    outcome = run_splits(
        [confidence] * len(splits),
        right,
        GRID,
        lambda place, hits: [pairwise_thresholds(place, hits, len(GRID))],
        splits,
    )[0]
    return outcome.accuracy()


def _loop(confidence: Float64, right: BoolArray, splits: list[SplitRows]) -> Float64:
    """Do the same as one would write it: every threshold of every pair tried on the tuning rows."""
    accuracies = np.empty((len(splits), len(DIMS)))
    for split, (tuning, reporting) in enumerate(splits):
        thresholds = []
        for head in range(len(DIMS) - 1):
            sure, hits = confidence[tuning, head], right[tuning]
            found = [np.where(sure > t, hits[:, head], hits[:, head + 1]).mean() for t in GRID]
            thresholds.append(GRID[int(np.argmax(found))])
        answer = right[reporting, 0]
        accuracies[split, 0] = answer.mean()
        for last in range(1, len(DIMS)):
            answer = right[reporting, last]
            for head in range(last - 1, -1, -1):
                kept = confidence[reporting, head] > thresholds[head]
                answer = np.where(kept, right[reporting, head], answer)
            accuracies[split, last] = answer.mean()
    return accuracies


if __name__ == "__main__":
    typer.run(main)
