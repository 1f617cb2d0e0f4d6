"""Models that another run has trained: found, and checked to be those that are described here."""

from pathlib import Path

from mrlbench.errors import UserError
from mrlbench.runs import Run, open_run

OF_THE_RUN = {"methods", "variants", "models"}  # keys that say nothing about one trained model


def lender(run: Run) -> Run | None:
    """Open the run that `training.models` names; None where a run trains its own.

    Raises:
        UserError: It is not a run.
    """
    named = run.experiment.training.models
    if not named:
        return None
    if not (Path(named) / "experiment.toml").is_file():
        raise UserError(
            f"training.models: expected a run in {named}, got none: run `mrlbench train` with its "
            "experiment first"
        )
    return open_run(Path(named))


def check_lent(run: Run, other: Run, method: str) -> None:
    """Make sure that a model of the other run is as it is described in this run.

    Raises:
        UserError: It was trained otherwise, or not at all.
    """
    ours, theirs = (_describing(each, method) for each in (run, other))
    for key, value in ours.items():
        if theirs[key] != value:
            raise UserError(
                f"training.models: expected {other.folder} to have trained {method} with "
                f"{key} = {value!r}, got {theirs[key]!r}"
            )
    if other.experiment.dataset.name not in other.manifest().get("data", {}):
        raise UserError(f"training.models: expected a trained {method} in {other.folder}, got none")


def _describing(run: Run, method: str) -> dict[str, object]:
    """List what describes a trained model, by key."""
    training = run.experiment.training_of(method).model_dump(exclude=OF_THE_RUN)
    keys = {f"training.{key}": value for key, value in training.items()}
    return {"model": run.experiment.model.model_dump(), **keys}
