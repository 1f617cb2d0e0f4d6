"""What a manifest states: the hashes of what models were trained with, and of measured vectors."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mrlbench import experiment_file
from mrlbench.errors import UserError
from mrlbench.evaluation.kept_scores import KeptScores, label_of, read_arrays
from mrlbench.files import digest
from mrlbench.measurements import Row
from mrlbench.runs import Output
from mrlbench.training.loop import training_inputs

STAGES = "stages of the manifest"
RAW = "raw files"
Finding = tuple[str, list[str]]


def check(output: Output, rows: Sequence[Row], kept: KeptScores) -> Iterator[Finding]:
    """Compare the manifest with the experiment, the rows and the raw files.

    Args:
        output: The run.
        rows: Of all its CSV files.
        kept: Its per-query scores.

    Yields:
        The kind of check with what does not match.
    """
    try:
        manifest = output.manifest()
    except UserError as error:
        yield STAGES, [f"manifest.json: {error}"]
        manifest = {}
    for finding in (_names(manifest, rows), *_trained(output, manifest)):
        if finding is not None:
            yield finding
    yield from _raw_files(manifest, rows, kept)


def _names(manifest: dict[str, Any], rows: Sequence[Row]) -> Finding | None:
    """The rows are of the run and of the data that the manifest names."""
    if not manifest:
        return None
    wrong = [
        f"manifest.json: run {manifest.get('run')!r}, but {run!r} in the CSV files"
        for run in sorted({row.run for row in rows} - {manifest.get("run")})
    ]
    return "names of the manifest", wrong


def _trained(output: Output, manifest: dict[str, Any]) -> Iterator[Finding]:
    """Each model was trained with this experiment on these data.

    What was imported, and what another run lends, has inputs that are not all here.
    """
    path, stages = output.folder / "experiment.toml", manifest.get("stages", {})
    if not path.is_file():
        return
    try:
        experiment = experiment_file.read(path)
    except UserError as error:
        yield STAGES, [f"experiment.toml: {error}"]
        return
    fingerprint = manifest.get("data", {}).get(experiment.dataset.name)
    if fingerprint is None or experiment.training.models:
        return
    for method, seed in experiment.trainings:
        for kind in ("train", "embed"):
            stage = f"{kind} {method} seed-{seed}"
            if stage in stages and not _imported(stages, method, seed):
                right = digest(training_inputs(experiment, fingerprint, method, seed))
                yield STAGES, _stage_differs(stage, stages[stage], right)


def _imported(stages: dict[str, Any], method: str, seed: int) -> bool:
    return "imported" in stages.get(f"train {method} seed-{seed}", {})


def _stage_differs(stage: str, stated: dict[str, Any], right: str) -> list[str]:
    inputs = str(stated.get("inputs"))
    if inputs == right:
        return []
    return [
        f"manifest.json: stage {stage}: inputs {inputs[:12]}…, but experiment.toml and the data "
        f"that it states give {right[:12]}…"
    ]


def _raw_files(
    manifest: dict[str, Any], rows: Sequence[Row], kept: KeptScores
) -> Iterator[Finding]:
    """Each raw file can be read, and is of the vectors that the manifest says were measured."""
    stages = manifest.get("stages", {})
    labels = {label_of(row, kept.queries) for row in rows if row.method is not None}
    for path in sorted(kept.raw.glob("*.npz")):
        arrays = read_arrays(path)
        if arrays is None:
            yield RAW, [f"raw/{path.name}: damaged: it cannot be read"]
            continue
        own = [label for label in labels if path.stem.endswith(f"-{label}")]
        vectors = digest(json.loads(str(arrays.get("fingerprint", "null"))))
        label = max(own, key=len, default=None)
        stated = {
            stage: each["vectors"]
            for stage, each in stages.items()
            if label and stage.endswith(f" {label}") and "vectors" in each
        }
        wrong = [
            f"raw/{path.name}: of vectors {vectors[:12]}…, but stage {stage} of manifest.json "
            f"states {known[:12]}…"
            for stage, known in stated.items()
            if known != vectors
        ]
        yield RAW, wrong[:1]
