"""Put a released checkpoint into a run, as if it had been trained there; the manifest says not."""

import logging
from pathlib import Path

import torch

from mrlbench import experiment_file, runs
from mrlbench.authors.checkpoint import Released
from mrlbench.errors import UserError
from mrlbench.experiment import Experiment, check_method
from mrlbench.runs import Run
from mrlbench.stages import Workshop
from mrlbench.training import checkpoint
from mrlbench.training.loop import Learner

log = logging.getLogger(__name__)


def plan_run(folder: Path, experiment: Experiment, method: str, seed: int) -> Run:
    """Add an imported method and seed to a run; nothing is written.

    A new run holds what is imported and no other method.

    Raises:
        UserError: The folder is the run of another experiment.
    """
    check_method(method, experiment.width)
    path = folder / "experiment.toml"
    pairs = [(method, seed)]
    if path.is_file():
        earlier = experiment_file.read(path)
        if _settings(earlier) != _settings(experiment):
            raise UserError(
                f"{folder}: expected a run of the same experiment, got one with other settings: "
                "leave EXPERIMENT and --set out, or choose another --run"
            )
        pairs = [*earlier.trainings, *pairs]
    methods, seeds = (list(dict.fromkeys(each)) for each in zip(*pairs, strict=True))
    own = {name: [each for each in seeds if (name, each) in pairs] for name in methods}
    update: dict[str, object] = {
        "training": experiment.training.model_copy(update={"methods": methods}),
        "seeds": seeds,
        "seeds_of": {name: some for name, some in own.items() if some != seeds},
    }
    return Run(folder, experiment.model_copy(update=update).resolved())


def install(workshop: Workshop, released: Released, method: str, seed: int) -> Path:
    """Write a released checkpoint as the trained model of a method and seed.

    The training counts as finished: all epochs done, no losses, and an optimizer that has not
    begun. The stage's entry in the manifest has the file's name and SHA-256, on which the
    embeddings then depend.

    Returns:
        The model's folder.

    Raises:
        UserError: The file does not fit the experiment, or a model is there already.
    """
    run, dataset = workshop.run, workshop.dataset
    folder = run.model(method, seed)
    learner = Learner(run.experiment, method, seed, len(dataset.classes), torch.device("cpu"))
    learner.backbone.load_state_dict(released.backbone(learner.backbone.state_dict()))
    learner.head.load_state_dict(released.heads(learner.head.state_dict()))
    inputs = workshop.imported_inputs(method, seed, released.sha256)
    if (folder / checkpoint.NAME).is_file():
        if workshop.inputs(method, seed) == inputs:
            log.info("%s: imported before", folder)
            return folder
        raise UserError(
            f"expected no model yet in {folder}, got one: delete it, or choose another --seed or "
            "--run"
        )
    epochs = run.experiment.training_of(method).epochs
    finished = {
        "inputs": inputs,
        "epoch": epochs,
        "losses": [],
        "precision": "float32",
    }  # as stored
    runs.create(run.experiment, run.folder)
    run.note(data={run.experiment.dataset.name: dataset.fingerprint})
    entries = {"imported": released.path.name, "imported_sha256": released.sha256}
    with run.stage(f"train {method} seed-{seed}", inputs, **entries):
        checkpoint.save(folder / checkpoint.NAME, learner.state() | finished)
    return folder


def _settings(experiment: Experiment) -> dict[str, object]:
    """Give all but which methods and seeds are run."""
    return experiment.model_dump(exclude={"seeds": True, "seeds_of": True, "training": {"methods"}})
