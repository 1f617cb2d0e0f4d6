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

from mrlbench.costs.flops import multiply_adds
from mrlbench.dims import check_dims, default_dims
from mrlbench.embedding.extract import Extractor, is_written
from mrlbench.embedding.folder import (
    Embeddings,
    open_embeddings,
    open_logits_only,
)
from mrlbench.embedding.head import NAME as HEAD
from mrlbench.embedding.head import write_head
from mrlbench.embedding.logits import MIRRORED, open_logits_file
from mrlbench.errors import UserError
from mrlbench.evaluation.source import Origin, Source
from mrlbench.evaluation.training_cost import training_cost
from mrlbench.experiment import has_separate_networks, split_method, split_variant
from mrlbench.files import digest
from mrlbench.heads import NestedHead
from mrlbench.lending import check_lent, lender
from mrlbench.measurements import Row
from mrlbench.plugins import check_arguments, load
from mrlbench.protocols import Dataset
from mrlbench.runs import Output, Run
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
        if there and run.is_done(stage, _with_import(inputs, imported)):
            log.info("%s: done before", stage)
            return
        if there and imported:
            raise UserError(
                f"{folder}: expected the experiment that the checkpoint was imported for, got "
                "another: import it again elsewhere, or delete the folder to train anew"
            )
        if imported:  # its file was deleted: from here on the model is trained, even if interrupted
            run.forget(stage)
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
        if is_written(folder, inputs):
            self._add_head(method, seed, folder)
            return folder
        backbone, head = self.trained(method, seed)
        what, width = f"{method} seed {seed}", run.experiment.width
        with run.stage(f"embed {method} seed-{seed}", inputs):
            # full width last: when its folder is whole, the others are
            for dim in head.dims[:-1] if head.separate else ():
                self._embed(width_folder(folder, dim), inputs, head.alone(backbone, dim), dim, what)
            self._embed(folder, inputs, head.alone(backbone, width), width, what)
            write_head(folder, head.state_dict())
        return folder

    def _add_head(self, method: str, seed: int, folder: Path) -> None:
        """Write the head beside vectors that an earlier version embedded without it."""
        path = self.run.model(method, seed) / checkpoint.NAME
        if path.is_file() and not (folder / HEAD).is_file():
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
        if not is_written(folder, inputs):
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

    def sources(
        self, dims: Sequence[int] = (), baselines: Sequence[str] | None = None
    ) -> list[Source]:
        """Open the embeddings of each method and seed, making those that are missing.

        Args:
            dims: To measure; empty takes the experiment's. A fixed model narrower than D is
                measured at its own dim only: among these, or in any case if none are given.
            baselines: Reducers of the fixed full-width model; None takes the experiment's.

        Raises:
            UserError: A dim that the vectors do not have, or nothing is left to measure.
        """
        experiment = self.run.experiment
        if dims:
            check_dims("--dims", dims, experiment.width)
        found = [
            source
            for method, seed in self.pairs
            if (own := self._own_dims(method, dims))
            for source in self._sources(method, seed, own, baselines)
        ]
        found += [
            self._beside(name, Path(folder), dims, baselines)
            for name, folder in experiment.evaluation.beside.items()
        ]
        if not found:
            methods = ", ".join(experiment.training.methods)
            raise UserError(f"--dims: nothing of {methods} is measured at {list(dims)}")
        return found

    def _own_dims(self, method: str, dims: Sequence[int]) -> list[int]:
        experiment = self.run.experiment
        own = split_method(method)[1].get("dim", experiment.width)
        if has_separate_networks(method):
            wanted = dims or experiment.evaluation.dims
            return [dim for dim in experiment.training_of(method).dims if dim in wanted]
        if own == experiment.width:
            heads = experiment.training_of(method).dims if split_variant(method)[1] else []
            return list(dims) or sorted({*experiment.evaluation.dims, *heads})
        return [own] if own in dims or not dims else []

    def _sources(
        self, method: str, seed: int, dims: Sequence[int], baselines: Sequence[str] | None
    ) -> list[Source]:
        """Open the vectors of a method: one folder, or one for each dim that has its own."""
        whole = self._source(method, seed, dims, baselines)
        if not has_separate_networks(method):
            return [whole]
        return [self._at_width(whole, dim) for dim in dims]

    def _at_width(self, whole: Source, dim: int) -> Source:
        """Open the vectors of one width of a method whose widths are networks of their own."""
        embeddings = whole.embeddings
        if dim < embeddings.width:
            folder = width_folder(embeddings.folder, dim)
            embeddings = open_embeddings(folder, made_from=embeddings.made_from)
        return replace(
            whole,
            embeddings=embeddings,
            dims=(dim,),
            names={**whole.names, "dim": dim},
            label=f"{whole.label}-width-{dim}",
            full_width=False,  # there is nothing to cut, and nothing to rerank
        )

    def _source(
        self, method: str, seed: int, dims: Sequence[int], baselines: Sequence[str] | None
    ) -> Source:
        run, experiment = self.run, self.run.experiment
        folder = self.embed_one(method, seed)
        embeddings = open_embeddings(folder, made_from=self.inputs(method, seed))
        base, variant = split_variant(method)
        names = {
            "run": run.name,
            "dataset": experiment.dataset.name,
            "queries": embeddings.meta.get("query_set"),
            "method": base,
            "variant": variant or None,
            "seed": seed,
        }
        reducers = experiment.evaluation.baselines if baselines is None else baselines
        width = split_method(method)[1].get("dim", 0)
        return Source(
            run,
            embeddings,
            tuple(dims),
            names,
            label=f"{method}-seed-{seed}",
            full_width=width in (0, experiment.width),
            baselines=tuple(reducers) if width == experiment.width and not variant else (),
            device=self.device.type,
            origin=Origin(self.image_multiply_adds, partial(self.mirror_one, method, seed)),
        )

    def _beside(
        self, name: str, folder: Path, dims: Sequence[int], baselines: Sequence[str] | None
    ) -> Source:
        """Open somebody's embeddings folder that the experiment wants measured beside its own."""
        evaluation = self.run.experiment.evaluation
        reducers = evaluation.baselines if baselines is None else baselines
        source = folder_source(folder, self.run, dims or evaluation.dims, reducers, self.device)
        names = {**source.names, "dataset": self.run.experiment.dataset.name, "method": name}
        return replace(source, names=names, label=name)

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


def folder_source(
    folder: Path,
    output: Output,
    dims: Sequence[int],
    baselines: Sequence[str],
    device: torch.device,
) -> Source:
    """Open anybody's embeddings folder as something to measure.

    Args:
        folder: The embeddings; `logits.npz` alone is enough to measure classification.
        output: Where results go.
        dims: Empty takes those that `meta.json` says were trained, else 8, 16, … D.
        baselines: Reducers to measure besides the prefix.
        device: Where exact search computes.

    Raises:
        UserError: The folder, a dim or a reducer is not what it should be.
    """
    for reducer in baselines:
        check_arguments("reducers", reducer, {})
    embeddings, dims = _open_folder(folder, dims)
    check_dims("--dims", dims, embeddings.width)
    name = folder.resolve().name
    names = {"run": output.name, "dataset": name, "method": name}
    names["queries"] = embeddings.meta.get("query_set", "queries")
    return Source(
        output,
        embeddings,
        tuple(dims),
        names,
        label=name,
        baselines=tuple(baselines),
        device=device.type,
    )


def _open_folder(folder: Path, dims: Sequence[int]) -> tuple[Embeddings, Sequence[int]]:
    if (folder / "logits.npz").is_file() and not (folder / "database.npy").is_file():
        return open_logits_only(folder), dims or open_logits_file(folder).dims
    embeddings = open_embeddings(folder)
    trained = embeddings.meta.get("trained_dims")
    if trained is not None and not all(isinstance(dim, int) for dim in trained):
        raise UserError(f"{folder}/meta.json: expected trained_dims as numbers, got {trained!r}")
    return embeddings, dims or trained or default_dims(embeddings.width)


def _with_import(inputs: str, sha256: str) -> str:
    return digest([inputs, sha256]) if sha256 else inputs


def _check_known(what: str, wanted: Sequence[Any], known: Sequence[Any]) -> None:
    for each in wanted:
        if each not in known:
            expected = ", ".join(str(one) for one in known)
            raise UserError(f"{what}: expected some of {expected}, got {each}")
