"""The stages of a run that trains a text model: trainings and vectors, measured as all are."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from mrlbench import ranks
from mrlbench.embedding.corpus import Writing, check_corpus, embed_corpus
from mrlbench.errors import UserError
from mrlbench.evaluation.source import Origin
from mrlbench.experiment import Plugin
from mrlbench.files import digest
from mrlbench.plugins import make
from mrlbench.protocols import Corpus, Dataset, Encoder
from mrlbench.runs import Run
from mrlbench.sentences.pairs import Pairs, training_pairs
from mrlbench.stages import Workshop
from mrlbench.text_experiment import MODEL, UNTUNED, TextExperiment

log = logging.getLogger(__name__)

MADE_FROM = "made_from"  # in `meta.json`: what vectors depend on, hashed


class TextWorkshop(Workshop):
    """A run that trains a text model on pairs, with what its stages need."""

    @property
    def experiment(self) -> TextExperiment:
        """The run's experiment."""
        experiment = self.run.experiment
        assert isinstance(experiment, TextExperiment)  # see `open_workshop`
        return experiment

    @cached_property
    def dataset(self) -> Dataset:
        """Refuse: there are texts, and no classes."""
        raise UserError(
            f"expected a run with classes, got {self.run.name}, which is trained on pairs of texts"
        )

    @cached_property
    def corpus(self) -> Corpus:
        """What is evaluated on, read (and fetched) when it is first needed."""
        corpus = self._read(self.experiment.dataset)
        check_corpus(corpus)
        return corpus

    @cached_property
    def training_pairs(self) -> Pairs:
        """What is trained on: nothing that the evaluation asks about."""
        return training_pairs(self._read(self.experiment.training.pairs), self.corpus)

    def _read(self, plugin: Plugin) -> Corpus:
        corpus: Corpus = make("corpora", plugin.name, plugin.arguments, data_dir=self.data_dir)
        return corpus

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Hash corpus, pairs and the model to begin with, or look up what is known of them."""
        known: dict[str, str] = self.run.manifest().get("data", {})
        names = (self.experiment.dataset.name, "training pairs", "model")
        if set(names) <= known.keys():
            return known
        content = self.experiment.start(self.device.type).content
        found = (self.corpus.fingerprint, self.training_pairs.fingerprint, content)
        data = dict(zip(names, found, strict=True))
        if self.run.folder.is_dir():  # not there when only the plan is asked for
            self.run.note(data=data, training_pairs=len(self.training_pairs))
        return data

    def only(self, methods: Sequence[str], seeds: Sequence[int]) -> Workshop:
        """Narrow the run to some methods and seeds, without the encoders; empty keeps all."""
        narrowed = super().only(methods, seeds)
        if not methods:
            return narrowed
        experiment = narrowed.run.experiment
        evaluation = experiment.evaluation.model_copy(update={"encoders": []})
        experiment = experiment.model_copy(update={"evaluation": evaluation})
        return replace(narrowed, run=replace(narrowed.run, experiment=experiment))

    def train_one(self, method: str, seed: int) -> None:
        """Train one method, unless it is trained."""
        inputs, stage = self.inputs(method, seed), f"train {method} seed-{seed}"
        if self.is_trained(method, seed, inputs):
            log.info("%s: done before", stage)
            return
        pairs = self.training_pairs
        try:
            from mrlbench.sentences.trainer import Lesson, fine_tune
        except ModuleNotFoundError as error:
            raise UserError(
                f"training a text model needs the package {error.name!r}: "
                "pip install 'mrlbench[text]'"
            ) from error
        lesson = Lesson(self.experiment, pairs, method, seed, inputs)
        with self.run.stage(stage, inputs):
            fine_tune(lesson, self.run.model(method, seed), self.device)

    def embed_one(self, method: str, seed: int) -> Path:
        """Write the embeddings of one trained method at full width, unless they are there.

        Raises:
            UserError: The method is not trained, or was with another experiment.
        """
        inputs, folder = self.inputs(method, seed), self.run.embeddings(method, seed)
        if self.is_embedded(method, seed, inputs):
            return folder
        model = self.run.model(method, seed) / MODEL
        if not self.is_trained(method, seed, inputs):
            raise UserError(
                f"expected {method} with seed {seed}, trained by this experiment, in {model}: "
                "run `mrlbench train`"
            )
        with self.run.stage(f"embed {method} seed-{seed}", inputs):
            self._embed_with("sentence-transformers", {"name": str(model)}, folder, inputs)
        return folder

    def beside(self) -> dict[str, Path]:
        """Embed with the encoders that the experiment names; folders that it names are there."""
        folders = super().beside()
        for name in self.experiment.evaluation.encoders:
            folders[name] = self.run.folder / "embeddings" / name
            inputs = digest([self.fingerprints, name, self.experiment.model.model_dump()])
            if not _is_written(folders[name], inputs):
                with self.run.stage(f"embed {name}", inputs):
                    self._embed_beside(name, folders[name], inputs)
        return folders

    def _embed_beside(self, name: str, folder: Path, inputs: str) -> None:
        if name != UNTUNED:
            self._embed_with(name, {}, folder, inputs)
            return
        start = self.run.folder / "models" / UNTUNED / MODEL
        self.experiment.start(self.device.type).pipeline.save_pretrained(
            str(start), create_model_card=False
        )
        self._embed_with("sentence-transformers", {"name": str(start)}, folder, inputs)

    def _embed_with(self, name: str, arguments: dict[str, str], folder: Path, inputs: str) -> None:
        encoder: Encoder = make("encoders", name, arguments, device=self.device.type)
        embed_corpus(encoder, self.corpus, Writing(folder, about={MADE_FROM: inputs}))

    def inputs(self, method: str, seed: int) -> str:
        """Hash all that a model and its embeddings depend on."""
        experiment = self.experiment
        training = experiment.training.model_dump(exclude={"methods", "pairs"})
        model = experiment.model.model_dump()
        return digest([self.fingerprints, model, training, method, seed])

    def is_trained(self, method: str, seed: int, inputs: str) -> bool:
        """Tell whether a method was trained with these inputs, and its model is there."""
        there = (self.run.model(method, seed) / MODEL).is_dir()
        return there and self.run.is_done(f"train {method} seed-{seed}", inputs)

    def is_embedded(self, method: str, seed: int, inputs: str) -> bool:
        """Tell whether the embeddings of a method are whole and made from these inputs."""
        return _is_written(self.run.embeddings(method, seed), inputs)

    def is_separate(self, method: str) -> bool:
        """A text model has one network for all dims."""
        return False

    def origin(self, method: str, seed: int) -> Origin | None:
        """A text model has no images to look at."""
        return None


def open_workshop(run: Run, data_dir: Path, device: torch.device) -> Workshop:
    """Open the stages that fit a run's experiment."""
    if not isinstance(run.experiment, TextExperiment):
        return Workshop(run, data_dir, device)
    ranks.expect_one("a text model")
    return TextWorkshop(run, data_dir, device)


def _is_written(folder: Path, inputs: str) -> bool:
    """Tell whether the folder holds whole embeddings made from these inputs."""
    meta = folder / "meta.json"
    return meta.is_file() and json.loads(meta.read_text()).get(MADE_FROM) == inputs
