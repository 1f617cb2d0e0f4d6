"""What the comparisons share: timing in turn, one row for each ratio, a CSV and a manifest."""

import csv
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer

from mrlbench.arrays import AnyFloatArray, FloatArray
from mrlbench.costs.machine import describe_machine
from mrlbench.embedding.folder import open_embeddings
from mrlbench.files import replacing
from mrlbench.intervals import median_interval

Call = Callable[[], object]
REPEATS = 5
GENERATED_AT_ONCE = 16_384
SECONDS_BETWEEN = 0.02


@dataclass(frozen=True)
class Ratio:
    """One comparison: how long ours and a peer took, in turn, and the ratio of the two.

    Attributes:
        what: The task.
        data: The vectors: a name, or synthetic.
        rows: N.
        queries: Q.
        dim: D, or Ds.
        k: Neighbours.
        ours: What of this program was timed.
        peer: What it was compared with.
        mode: Batch or single queries.
        threads: Of both.
        seconds_ours: Median of one whole call.
        seconds_peer: Likewise.
        ratio: Median of ours / peer over the pairs: below 1 ours is faster.
        ci_low: Of the ratio, 95%.
        ci_high: Of the ratio.
        repeats: Pairs.
        note: What else must be known.
    """

    what: str
    data: str
    rows: int
    queries: int
    dim: int
    k: int
    ours: str
    peer: str
    mode: str
    threads: int
    seconds_ours: float
    seconds_peer: float
    ratio: float
    ci_low: float
    ci_high: float
    repeats: int
    note: str = ""


def in_turn(ours: Call, peer: Call, repeats: int = REPEATS) -> dict[str, float | int]:
    """Time two things in turn, after one call of each that is not counted: the cells of a row."""
    ours()
    peer()
    first, second = [], []
    for _ in range(repeats):
        first.append(_seconds(ours))
        second.append(_seconds(peer))
    ratio = median_interval(np.array(first) / np.array(second))
    return {
        "seconds_ours": float(np.median(first)),
        "seconds_peer": float(np.median(second)),
        "ratio": ratio.value,
        "ci_low": ratio.low,
        "ci_high": ratio.high,
        "repeats": repeats,
    }


def vectors_of(
    folder: Path | None, size: int, queries: int
) -> tuple[AnyFloatArray, AnyFloatArray, str]:
    """Open database and queries of an embeddings folder, or make some up; and name them."""
    if folder is None:
        return synthetic(size, 2048, seed=0), synthetic(queries, 2048, seed=1), "synthetic"
    found = open_embeddings(folder)
    return np.array(found.database), np.array(found.queries[:queries]), str(folder)


def write(name: str, rows: list[Ratio], threads: int, out: Path) -> None:
    """Write `<name>.csv` and what is known of the machine, for the rows so far."""
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{name}.csv") as path, path.open("w", newline="") as file:
        table = csv.DictWriter(file, [each.name for each in fields(Ratio)], lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({key: _cell(value) for key, value in asdict(row).items()})
    manifest_path = out / "manifest.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {}
    manifest[name] = {
        "machine": describe_machine(),
        "threads": threads,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2),
    }
    with replacing(manifest_path) as path:
        path.write_text(json.dumps(manifest, indent=2) + "\n")


def tell(row: Ratio) -> Ratio:
    """Print a row, and give it back."""
    typer.echo(
        f"{row.what}, {row.data}, {row.rows:,} x {row.dim}, {row.queries:,} queries, "
        f"k = {row.k}, {row.mode}, {row.threads} threads: {row.ours} {row.seconds_ours:.4g} s, "
        f"{row.peer} {row.seconds_peer:.4g} s, ratio {row.ratio:.3f} "
        f"({row.ci_low:.3f} to {row.ci_high:.3f}) {row.note}"
    )
    return row


def write_record(name: str, content: dict[str, Any], threads: int, out: Path) -> None:
    """Print and write `<name>.json`: what is no comparison, with the machine."""
    out.mkdir(parents=True, exist_ok=True)
    typer.echo(json.dumps(content))
    content = content | {"threads": threads, "machine": describe_machine()}
    with replacing(out / f"{name}.json") as path:
        path.write_text(json.dumps(content, indent=2) + "\n")


class Peak:
    """Watches memory in a thread; pages of mapped files are not counted."""

    def __init__(self) -> None:
        self._highest, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """End, and give the highest number of bytes seen."""
        self._stopped.set()
        self._thread.join()
        return self._highest

    def _watch(self) -> None:
        while not self._stopped.wait(SECONDS_BETWEEN):
            self._highest = max(self._highest, anonymous_bytes())


def anonymous_bytes() -> int:
    """Read the bytes of memory that are no file's (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def synthetic(rows: int, dim: int, seed: int) -> FloatArray:
    """Make unit vectors whose first coordinates hold most of the energy: for timing only, (N, D).

    The standard deviation of coordinate j falls as (1 + j/4)^-0.75, in no more than 16,384
    clusters: so a shortlist of 100,000 rows holds nearly the same share of the true neighbours as
    that of the trained vectors in results/tiny-imagenet (200 at 32: 0.91; at 64: 0.97 and 0.96).
    """
    vectors = np.empty((rows, dim), dtype=np.float32)
    for start, part in synthetic_parts(rows, dim, seed):
        vectors[start : start + len(part)] = part
    return vectors


def synthetic_parts(rows: int, dim: int, seed: int) -> Iterator[tuple[int, FloatArray]]:
    """Make the vectors of `synthetic` in parts, (B, D), each with the row of its first."""
    scale = ((1 + np.arange(dim) / 4) ** -0.75).astype(np.float32)
    centres = np.random.default_rng(0).standard_normal((GENERATED_AT_ONCE, dim), dtype=np.float32)
    for start in range(0, rows, GENERATED_AT_ONCE):
        random = np.random.default_rng([seed, start])
        count = min(GENERATED_AT_ONCE, rows - start)
        chosen = centres[random.integers(0, len(centres), count)]
        part = (chosen + random.standard_normal((count, dim), dtype=np.float32)) * scale
        yield start, part / np.linalg.norm(part, axis=1, keepdims=True)


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
