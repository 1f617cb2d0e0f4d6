"""What an experiment with a text model will take, before anything is run."""

import inspect
import sys
from collections.abc import Callable

import torch

from mrlbench.costs.flops import multiply_adds_per_second
from mrlbench.estimates import (
    EMBEDDING_SHARE,
    FLOAT,
    FORWARD_AND_BACKWARD,
    PROGRAM,
    TRAINING_SHARE,
    Cost,
    Estimate,
    published_sizes,
    sizes_of,
)
from mrlbench.experiment import Plugin
from mrlbench.plugins import load
from mrlbench.protocols import Sizes
from mrlbench.stages import Workshop
from mrlbench.text_experiment import TextExperiment
from mrlbench.text_stages import TextWorkshop

TOKENS = 16  # of a text: a guess; the length is not known before the corpus is read
STATES = 4  # weights, gradients and AdamW's two moments
ACTIVATIONS = 24  # floats of a token in each layer and coordinate, kept for the gradient
TEXTS = 2  # of a pair
STEP_SECONDS = 3.5e-9  # of AdamW, for each byte of the weights; measured on one core
TEXT_SECONDS = 1e-4  # to cut a text into tokens and to keep its vector


def estimate_of(workshop: Workshop, dry: bool) -> Estimate:
    """Make the estimate that fits a run.

    Args:
        workshop: The run with its data.
        dry: Do with the published size of the data where a plug-in tells it.
    """
    experiment = workshop.run.experiment
    if isinstance(workshop, TextWorkshop):
        sizes = _published(workshop.experiment) if dry else None
        return TextEstimate(workshop.experiment, sizes or _sizes_of(workshop), workshop.device)
    sizes = published_sizes(experiment.dataset) if dry else None
    return Estimate(experiment, sizes or sizes_of(workshop.dataset), workshop.device)


class TextEstimate(Estimate):
    """The cost of each stage of a text model, from its weights; a token uses each of them once.

    Token vectors are looked up, which costs next to nothing.

    Args:
        experiment: Resolved.
        sizes: Of the corpus, and of the pairs to train on.
        device: Where it will run.
    """

    compares_steps = False
    judges_claims = False  # they are about images

    def __init__(self, experiment: TextExperiment, sizes: Sizes, device: torch.device) -> None:
        self._experiment, self.sizes, self._device = experiment, sizes, device
        pipeline = experiment.start("cpu").pipeline
        weights = sum(each.numel() for each in pipeline.parameters())
        looked_up = sum(
            each.weight.numel()
            for each in pipeline.modules()
            if isinstance(each, torch.nn.Embedding | torch.nn.EmbeddingBag)
        )
        self._weights = float(FLOAT * weights)
        self._per_text = TOKENS * max(weights - looked_up, experiment.width)

    def training(self, method: str) -> Cost:
        """Train one method: all epochs."""
        training = self._experiment.training
        work = FORWARD_AND_BACKWARD * TEXTS * self.sizes.train * training.epochs * self._per_text
        layers = self._per_text / TOKENS / (12 * self._experiment.width**2)  # of a transformer
        kept = layers * ACTIVATIONS * FLOAT * self._experiment.width
        activations = TEXTS * training.batch_size * TOKENS * kept
        seconds = work / (multiply_adds_per_second(self._device) * TRAINING_SHARE)
        seconds += training.epochs * self.sizes.train * TEXTS * TEXT_SECONDS
        steps = training.epochs * self.sizes.train / training.batch_size
        seconds += steps * STEP_SECONDS * self._weights
        return Cost(seconds, PROGRAM + STATES * self._weights + activations, self._weights)

    def embedding(self, method: str) -> Cost:
        """Embed documents and queries."""
        texts = self.sizes.database + self.sizes.queries
        vectors = FLOAT * texts * self._experiment.width
        speed = multiply_adds_per_second(self._device) * EMBEDDING_SHARE
        seconds = texts * (TEXT_SECONDS + self._per_text / speed)
        return Cost(seconds, PROGRAM + self._weights + vectors, 2 * vectors)

    def analyses(self) -> list[tuple[str, Cost]]:
        """There are none of texts without classes."""
        return []


def _sizes_of(workshop: TextWorkshop) -> Sizes:
    """Count what the corpora hold."""
    corpus = workshop.corpus
    counts = (len(workshop.training_pairs), len(corpus.documents), len(corpus.queries))
    return _sizes(*counts)


def _published(experiment: TextExperiment) -> Sizes | None:
    """Ask the corpora how much they give, where they say so before they are read."""
    evaluated, trained = _told(experiment.dataset), _told(experiment.training.pairs)
    if evaluated is None or trained is None:
        return None
    return _sizes(trained[1], *evaluated)


def _told(plugin: Plugin) -> tuple[int, int] | None:
    """Ask a corpus plug-in for its documents and queries: its module's `sizes`."""
    function = load("corpora", plugin.name)
    sizes: Callable[..., tuple[int, int]] | None
    sizes = getattr(sys.modules[function.__module__], "sizes", None)
    if sizes is None:
        return None
    taken = inspect.signature(sizes).parameters
    given = {key: each for key, each in plugin.arguments.items() if key in taken}
    told: tuple[int, int] = sizes(**given)
    return told


def _sizes(train: int, documents: int, queries: int) -> Sizes:
    return Sizes(train, documents, queries, classes=0, shape=(TOKENS,), same_classes=False)
