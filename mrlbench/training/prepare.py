"""Make what a data set gives and what a model takes fit, before anything is trained."""

from dataclasses import replace
from typing import Any

import torch

from mrlbench import ranks
from mrlbench.captions import captioned, word_tokenizer
from mrlbench.errors import UserError
from mrlbench.experiment import Experiment, split_method
from mrlbench.plugins import load
from mrlbench.protocols import Dataset


def prepare(dataset: Dataset, experiment: Experiment) -> Dataset:
    """Give images their captions and the model's mean and std, and check that the two fit.

    Raises:
        UserError: Text for an image model, images for a text model, more tokens than the model
            knows, pairs without captions, or more processes than can share a batch.
    """
    model, captions = experiment.model, experiment.training.captions
    plugin = load("models", model.name)
    _check_methods(experiment)
    _check_processes(experiment, len(dataset.train.images))
    with torch.device("meta"):
        module = plugin(**model.arguments)
    _check_vocabulary(dataset, experiment, getattr(module, "vocabulary", 0))
    if hasattr(module, "mean"):
        dataset = replace(dataset, mean=module.mean, std=module.std)
    if captions is None:
        return dataset
    brings = getattr(plugin, "tokenizer", None)
    tokenize = (
        brings(**model.arguments)
        if brings
        else word_tokenizer(captions.vocabulary, captions.length)
    )
    return captioned(dataset, captions.templates, tokenize)


def _check_methods(experiment: Experiment) -> None:
    """Refuse methods that learn from pairs without captions, and the other way round."""
    captions = experiment.training.captions
    for method in experiment.training.methods:
        plugin: Any = load("methods", split_method(method)[0])
        if plugin.paired and captions is None:
            raise UserError(f"method {method}: expected [training.captions], got none")
        if plugin.paired and experiment.training.micro_batch:
            raise UserError(
                f"training.micro_batch: expected 0 with {method}, which compares all pairs of a "
                f"batch, got {experiment.training.micro_batch}"
            )
        if captions is not None and not plugin.paired:
            raise UserError(
                f"training.captions: expected a method that learns from pairs, such as "
                f"contrastive, got {method}"
            )


def _check_processes(experiment: Experiment, examples: int) -> None:
    """Refuse what several processes cannot share."""
    for method in experiment.training.methods:
        training = experiment.training_of(method)
        plugin: Any = load("methods", split_method(method)[0])
        if ranks.count() > min(training.batch_size, examples):
            raise UserError(
                f"method {method}: expected at most {min(training.batch_size, examples)} "
                f"processes, one for each image of a batch, got {ranks.count()}"
            )
        if training.micro_batch % ranks.count():
            raise UserError(
                f"training.micro_batch: expected a multiple of the {ranks.count()} processes, "
                f"got {training.micro_batch}"
            )
        batch = min(training.batch_size, examples)
        last = batch % training.micro_batch if training.micro_batch else 0
        if 0 < last < ranks.count():  # those without an image in it would take one part less
            raise UserError(
                f"training.micro_batch: expected an image for each of the {ranks.count()} "
                f"processes in all parts of a batch of {batch}, got {last} in the last"
            )
        if plugin.paired:  # all pairs of a batch are compared
            ranks.expect_one(f"method {method}")


def _check_vocabulary(dataset: Dataset, experiment: Experiment, known: int) -> None:
    text, names = dataset.is_text, (experiment.dataset.name, experiment.model.name)
    if text and not known:
        raise UserError(f"dataset {names[0]} is text: expected a model of text, got {names[1]}")
    if known and not text:
        raise UserError(f"model {names[1]} reads text: expected a data set of it, got {names[0]}")
    if text and len(dataset.classes) > known:
        raise UserError(
            f"model {names[1]}: expected a vocabulary of at least the {len(dataset.classes)} "
            f"tokens of {names[0]}, got {known}"
        )
