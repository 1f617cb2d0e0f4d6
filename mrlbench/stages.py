"""The stages of a run, in order; each reads what earlier ones wrote and is skipped when done."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mrlbench import ranks
from mrlbench.costs.flops import multiply_adds
from mrlbench.embedding.extract import Extractor, is_written
from mrlbench.embedding.head import NAME as HEAD
from mrlbench.embedding.head import write_head
from mrlbench.embedding.logits import MIRRORED
from mrlbench.errors import UserError
from mrlbench.evaluation.source import Origin
from mrlbench.evaluation.training_cost import training_cost
from mrlbench.experiment import has_separate_networks
from mrlbench.files import digest
from mrlbench.heads import NestedHead
from mrlbench.lending import check_lent, lender
from mrlbench.measurements import Row
from mrlbench.plugins import load
from mrlbench.protocols import Dataset
from mrlbench.runs import Run
from mrlbench.training import checkpoint
from mrlbench.training.batches import to_input
from mrlbench.training.loop import load_trained, train, training_inputs
from mrlbench.training.prepare import prepare

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """A run with what its stages need: the data set, where it is kept, and a device.

    Attributes:
        run: The run.
        data_dir: Where data sets are kept.
        device: Where to train, embed and search.
    """

    run: Run
    data_dir: Path
    device: torch.device

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, read (and fetched) when it is first needed."""
        plugin = self.run.experiment.dataset
        with ranks.in_turn(str(self.data_dir)):
            loaded: Dataset = load("datasets", plugin.name)(self.data_dir, **plugin.arguments)
        dataset = prepare(loaded, self.run.experiment)
        if self.run.folder.is_dir():  # not there when only the plan is asked for
            self.run.note(data={plugin.name: dataset.fingerprint})
        return dataset

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Each method with each of its seeds."""
        return self.run.experiment.trainings

    def only(self, methods: Sequence[str], seeds: Sequence[int]) -> "Workshop":
        """Narrow the run to some methods and seeds; empty keeps all.

        Raises:
            UserError: A method or seed that the experiment does not have.
        """
        experiment = self.run.experiment
        _check_known("--methods", methods, experiment.training.methods)
        _check_known("--seed", seeds, experiment.seeds)
        chosen = {"methods": list(methods) or experiment.training.methods}
        training = experiment.training.model_copy(update=chosen)
        update: dict[str, Any] = {
            "training": training,
            "seeds": list(seeds) or experiment.seeds,
        }
        if methods:
            update["evaluation"] = experiment.evaluation.model_copy(update={"beside": {}})
        return replace(self, run=replace(self.run, experiment=experiment.model_copy(update=update)))

    def train_one(self, method: str, seed: int) -> None:
        """Train one method, unless it is trained.

        Raises:
            UserError: The run uses another's models.
        """
        run = self.run
        if run.experiment.training.models:
            raise UserError(
                f"training.models: these models are trained in {run.experiment.training.models}: "
                "expected `mrlbench train` with its experiment"
            )
        inputs = training_inputs(run.experiment, self.dataset.fingerprint, method, seed)
        stage, folder = f"train {method} seed-{seed}", run.model(method, seed)
        imported = self._imported(method, seed)
        there = (folder / checkpoint.NAME).is_file()
        if ranks.same(there and run.is_done(stage, _with_import(inputs, imported))):
            log.info("%s: done before", stage)
            return
        if there and imported:
            raise UserError(
                f"{folder}: expected the experiment that the checkpoint was imported for, got "
                "another: import it again elsewhere, or delete the folder to train anew"
            )
        run.forget(stage)  # its model is gone from here on, even if this training is interrupted
        start = self._start(method, seed)
        with run.stage(stage, inputs):
            train(run.experiment, self.dataset, method, seed, folder, self.device, start)

    def _start(self, method: str, seed: int) -> Path | None:
        """Find the checkpoint that a method begins with, if it does not begin anew."""
        first = self.run.experiment.training_of(method).start_from
        if not first:
            return None
        self.train_one(first, seed)
        return self.run.model(first, seed) / checkpoint.NAME

    def embed_one(self, method: str, seed: int) -> Path:
        """Write the embeddings of one trained method, unless they are there.

        Returns:
            The embeddings folder.

        Raises:
            UserError: The method is not trained, or was with another experiment.
        """
        run, folder = self.run, self.run.embeddings(method, seed)
        inputs = self.inputs(method, seed)
        if ranks.same(is_written(folder, inputs)):
            self._add_head(method, seed, folder)
            return folder
        backbone, head = self.trained(method, seed)
        what, width = f"{method} seed {seed}", run.experiment.width
        with run.stage(f"embed {method} seed-{seed}", inputs):
            # full width last: when its folder is whole, the others are
            for dim in head.dims[:-1] if head.separate else ():
                self._embed(width_folder(folder, dim), inputs, head.alone(backbone, dim), dim, what)
            self._embed(folder, inputs, head.alone(backbone, width), width, what)
            if ranks.is_first():
                write_head(folder, head.state_dict())
            ranks.wait()
        return folder

    def _add_head(self, method: str, seed: int, folder: Path) -> None:
        """Write the head beside vectors that an earlier version embedded without it."""
        path = self.run.model(method, seed) / checkpoint.NAME
        if ranks.is_first() and path.is_file() and not (folder / HEAD).is_file():
            earlier = checkpoint.load(path, self.device)
            if earlier["inputs"] == self.inputs(method, seed):
                write_head(folder, earlier["head"])

    def mirror_one(self, method: str, seed: int) -> None:
        """Write the logits of one trained method summed over images and their mirror images.

        Raises:
            UserError: As for `embed_one`.
        """
        folder, inputs = self.embed_one(method, seed), self.inputs(method, seed)
        if (folder / MIRRORED).is_file():
            return
        backbone, head = self.trained(method, seed)
        network = head.alone(backbone, self.run.experiment.width)
        extractor = Extractor(*network, self.dataset, self.device)
        with self.run.stage(f"embed-mirrored {method} seed-{seed}", inputs):
            extractor.write_mirrored(folder, inputs, f"{method} seed {seed}, mirrored")

    def is_trained(self, method: str, seed: int, inputs: str) -> bool:
        """Tell whether a method was trained with these inputs, and its model is there."""
        there = (self.run.model(method, seed) / checkpoint.NAME).is_file()
        return there and self.run.is_done(f"train {method} seed-{seed}", inputs)

    def is_embedded(self, method: str, seed: int, inputs: str) -> bool:
        """Tell whether the embeddings of a method are whole and made from these inputs."""
        return is_written(self.run.embeddings(method, seed), inputs)

    def is_separate(self, method: str) -> bool:
        """Tell whether each dim of a method has a network, and so vectors, of its own."""
        return has_separate_networks(method)

    def origin(self, method: str, seed: int) -> Origin | None:
        """Say how to look closer at the model behind the vectors."""
        return Origin(self.image_multiply_adds, partial(self.mirror_one, method, seed))

    def beside(self) -> dict[str, Path]:
        """Name the embeddings folders that are measured beside the run's own."""
        return {name: Path(each) for name, each in self.run.experiment.evaluation.beside.items()}

    def image_multiply_adds(self) -> int:
        """Count the multiply–adds of one image through the backbone."""
        model = self.run.experiment.model
        with torch.device("meta"):
            module = load("models", model.name)(**model.arguments)
        return multiply_adds(module, self.dataset.shape)

    def trained(self, method: str, seed: int) -> tuple[nn.Module, NestedHead]:
        """Load backbone and head of a method, from the run that lends its models if another does.

        Raises:
            UserError: It is not trained, or was with another experiment.
        """
        run, maker = self.run, self._lender(method) or self
        trained, path = maker.inputs(method, seed), maker.run.model(method, seed) / checkpoint.NAME
        if not path.is_file():
            raise UserError(
                f"expected a trained {method} with seed {seed} in {path}: run `mrlbench train`"
            )
        state = checkpoint.load(path, self.device)
        epochs = run.experiment.training_of(method).epochs
        if state["inputs"] != trained or state["epoch"] != epochs:
            raise UserError(
                f"{path}: expected {epochs} epochs of this experiment, got {state['epoch']}"
                f"{'' if state['inputs'] == trained else ' of another'}: run `mrlbench train`"
            )
        return load_trained(run.experiment, self.dataset, method, seed, path, self.device)

    def _embed(
        self,
        folder: Path,
        inputs: str,
        network: tuple[nn.Module, NestedHead],
        width: int,
        what: str,
    ) -> None:
        if not ranks.same(is_written(folder, inputs)):
            Extractor(*network, self.dataset, self.device).write(folder, inputs, width, what)

    def inputs(self, method: str, seed: int) -> str:
        """Hash all that a model and its embeddings depend on."""
        run = self.run
        known = run.manifest().get("data", {}).get(run.experiment.dataset.name)
        fingerprint = known or self.dataset.fingerprint
        inputs = training_inputs(run.experiment, fingerprint, method, seed)
        if other := self._lender(method):
            return digest([inputs, other.inputs(method, seed)])
        return _with_import(inputs, self._imported(method, seed))

    def _lender(self, method: str) -> "Workshop | None":
        """Open the run whose models this one uses, if it does not train its own."""
        other = lender(self.run)
        if other is None:
            return None
        check_lent(self.run, other, method)
        return replace(self, run=other)

    def imported_inputs(self, method: str, seed: int, sha256: str) -> str:
        """Hash what an imported model depends on: the file too."""
        fingerprint = self.dataset.fingerprint
        inputs = training_inputs(self.run.experiment, fingerprint, method, seed)
        return _with_import(inputs, sha256)

    def _imported(self, method: str, seed: int) -> str:
        """Look up the SHA-256 of the file that a model was imported from; empty if trained here."""
        stages = self.run.manifest().get("stages", {})
        sha256: str = stages.get(f"train {method} seed-{seed}", {}).get("imported_sha256", "")
        return sha256

    def training_cost(self) -> list[Row]:
        """Measure what MRL adds to a training step."""
        dataset, run = self.dataset, self.run
        rows = np.arange(min(run.experiment.training.batch_size, len(dataset.train.images)))
        inputs, labels = dataset.train.read(rows, np.random.default_rng(0))
        batch = to_input(inputs, dataset, self.device), torch.from_numpy(labels).to(self.device)
        return training_cost(run.experiment, run.name, batch, len(dataset.classes), self.device)


def width_folder(folder: Path, dim: int) -> Path:
    """Say where the vectors of a narrower network stand, under those of the full width."""
    return folder / f"width-{dim}"


def _with_import(inputs: str, sha256: str) -> str:
    return digest([inputs, sha256]) if sha256 else inputs


def _check_known(what: str, wanted: Sequence[Any], known: Sequence[Any]) -> None:
    for each in wanted:
        if each not in known:
            expected = ", ".join(str(one) for one in known)
            raise UserError(f"{what}: expected some of {expected}, got {each}")
