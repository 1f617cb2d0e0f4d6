"""A run folder: where each file stands, what is done, and on which machine."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mrlbench import experiment_file, ranks
from mrlbench.costs.machine import describe_machine
from mrlbench.errors import UserError
from mrlbench.experiment import Experiment
from mrlbench.files import check_writable, digest, locked, write_json, write_text

RESULTS = Path("results")


@dataclass(frozen=True)
class Output:
    """A folder that measurements are written to."""

    folder: Path

    @property
    def name(self) -> str:
        """What the rows call the run."""
        return self.folder.resolve().name

    @property
    def plots(self) -> Path:
        """Figures."""
        return self.folder / "plots"

    @property
    def raw(self) -> Path:
        """Neighbours and per-query scores behind the CSV files."""
        return self.folder / "raw"

    def csv(self, name: str) -> Path:
        """Where the rows of one kind are."""
        return self.folder / f"{name}.csv"

    def manifest(self) -> dict[str, Any]:
        """Read the manifest; empty when there is none."""
        path = self.folder / "manifest.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        except json.JSONDecodeError as error:
            raise UserError(f"expected JSON in {path}: {error}; delete it to start anew") from error
        return content

    def note(self, **entries: Any) -> None:  # noqa: ANN401 (JSON)
        """Add entries to the manifest, with the machine as it is now."""
        with locked(self.folder):
            self._note(entries)

    def _note(self, entries: dict[str, Any]) -> None:
        if not ranks.is_first():
            return
        manifest = self.manifest() | {"run": self.name, "machine": describe_machine()} | entries
        write_json(self.folder / "manifest.json", manifest)

    def is_done(self, stage: str, inputs: Any) -> bool:  # noqa: ANN401 (JSON)
        """Tell whether a stage was finished with these inputs."""
        done = self.manifest().get("stages", {}).get(stage)
        return bool(done) and done["inputs"] == digest(inputs)

    def forget(self, stage: str) -> None:
        """Drop what was noted of a stage."""
        with locked(self.folder):
            stages = self.manifest().get("stages", {})
            self._note({"stages": {key: each for key, each in stages.items() if key != stage}})

    @contextmanager
    def stage(self, stage: str, inputs: Any, **entries: str) -> Iterator[None]:  # noqa: ANN401
        """Time a stage and note it, with more entries, when its body ends without an error."""
        started, worked = time.perf_counter(), time.process_time()
        yield
        done = {
            "inputs": digest(inputs),
            **entries,
            "seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - worked, 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **{key: describe_machine()[key] for key in ("cpu", "gpu", "threads", "commit")},
        }
        with locked(self.folder):  # another command may be at work on another stage
            self._note({"stages": self.manifest().get("stages", {}) | {stage: done}})


@dataclass(frozen=True)
class Run(Output):
    """The folder of one experiment."""

    experiment: Experiment

    def model(self, method: str, seed: int) -> Path:
        """Folder of a trained model."""
        return self.folder / "models" / method / f"seed-{seed}"

    def embeddings(self, method: str, seed: int) -> Path:
        """Folder of a model's embeddings."""
        return self.folder / "embeddings" / method / f"seed-{seed}"


def create(experiment: Experiment, folder: Path) -> Run:
    """Make a run folder for an experiment, or go on in the one that is there.

    Raises:
        UserError: The folder cannot be written.
    """
    run = Run(folder, experiment)
    if ranks.is_first():
        check_writable(folder)
        write_text(folder / "experiment.toml", experiment.to_toml())
        run.note(seeds=experiment.seeds)
    ranks.wait()
    return run


def open_run(folder: Path | None) -> Run:
    """Open a run folder; None opens the newest one under `results/`.

    Raises:
        UserError: There is none.
    """
    if folder is None:
        found = sorted(RESULTS.glob("*/experiment.toml"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UserError(
                "no run under results/: expected `mrlbench train` first, a RUN folder, or "
                "--embeddings DIR --out DIR"
            )
        folder = found[-1].parent
    if not (folder / "experiment.toml").is_file():
        raise UserError(f"expected a run folder with an experiment.toml, got {folder}")
    return Run(folder, experiment_file.read(folder / "experiment.toml"))
