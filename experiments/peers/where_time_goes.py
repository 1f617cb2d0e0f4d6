"""Where each stage of `reproduce` spends its time: the model, the product, the disk, or elsewhere.

python experiments/peers/where_time_goes.py            # the default experiment again, in minutes

Every stage runs under Python's profiler in a new run folder. The time of a compiled function counts
for the Python function that called it. Threads that read ahead are not seen: what the main thread
waits for them counts as waiting.
"""

import cProfile
import csv
import pstats
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from common import write_record

from mrlbench import experiment_file, progress, runs
from mrlbench.cli.options import data_folder
from mrlbench.files import replacing
from mrlbench.reproduce import plan
from mrlbench.stages import Workshop
from mrlbench.threads import use_threads
from mrlbench.training.devices import choose_device

# first match wins: (kind, parts of "file:function")
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "disk",
        (
            "serialization.py",
            "/numpy/lib/_npyio",
            "/numpy/lib/_format",
            "/numpy/lib/format",
            "memmap",
            "zipfile",
            "zlib",
            "gzip",
            "posix",
            "_io.",
            "'flush' of",
            "'read' of",
            "'write' of",
            "'tofile' of",
            "fromfile",
            "_hashlib",
            "hashlib",
            "downloads.py",
            "mrlbench/datasets/",
            "pandas/io",
        ),
    ),
    (
        "product",
        (
            "mrlbench/search/",
            "mrlbench/indexes/",
            "faiss",
            "hnswlib",
            "'matmul'",
            "numpy.dot",
        ),
    ),
    (
        "model",
        (
            "/torch/",
            "torch.",
            "torch._",
            "TensorBase",
            "run_backward",
            "mrlbench/models/",
            "mrlbench/heads.py",
            "mrlbench/training/",
        ),
    ),
    ("waiting", ("'acquire' of", "sleep")),
    ("compiling", ("/numba/", "/llvmlite/")),
)
LARGEST = 3


def main(
    experiment: str = "fashion-mnist",
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    data_dir: Path | None = None,
    out: Path = Path("results/peers"),
) -> None:
    """Run every stage under the profiler; write seconds and shares, a row per stage."""
    progress.quiet = True
    used = use_threads(threads)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        run = runs.create(experiment_file.read(experiment, []), Path(folder) / experiment)
        workshop = Workshop(run, data_folder(data_dir), choose_device("cpu"))
        for step in plan(workshop, used):
            profile = cProfile.Profile()
            started = time.perf_counter()
            profile.runcall(step.run)
            seconds = time.perf_counter() - started
            rows.append({"stage": step.name, "seconds": round(seconds, 2), **_shares(profile)})
            typer.echo(rows[-1])
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "where_time_goes.csv") as path, path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    total = sum(float(str(row["seconds"])) for row in rows)
    content = {"experiment": experiment, "seconds": round(total, 1), "stages": len(rows)}
    write_record("where_time_goes", content, used, out)


def _shares(profile: cProfile.Profile) -> dict[str, object]:
    """Give the share of each kind in a stage's time, and the largest of what is elsewhere."""
    kinds = dict.fromkeys([*(kind for kind, _ in KINDS), "elsewhere"], 0.0)
    elsewhere: dict[str, float] = {}
    for name, seconds in _times(profile):
        kind = next((kind for kind, parts in KINDS if any(p in name for p in parts)), "elsewhere")
        kinds[kind] += seconds
        if kind == "elsewhere":
            elsewhere[name] = elsewhere.get(name, 0.0) + seconds
    whole = sum(kinds.values()) or 1.0
    largest = sorted(elsewhere.items(), key=lambda pair: -pair[1])[:LARGEST]
    shares: dict[str, object] = {kind: round(each / whole, 3) for kind, each in kinds.items()}
    shares["largest_elsewhere"] = "; ".join(f"{name} {each / whole:.3f}" for name, each in largest)
    return shares


def _times(profile: cProfile.Profile) -> Iterator[tuple[str, float]]:
    """Give the own time of every function, named by its file below the packages' folder."""
    measured = pstats.Stats(profile)
    for (file, _, function), times in measured.stats.items():  # type: ignore[attr-defined]
        short = file.rsplit("site-packages", 1)[-1]
        if "/mrlbench/" in short:
            short = "mrlbench/" + short.rsplit("/mrlbench/", 1)[1]
        elif "/lib/python" in short:
            short = short.rsplit("/", 1)[1]
        yield f"{short}:{function}" if file != "~" else function, times[2]


if __name__ == "__main__":
    typer.run(main)
