"""What an experiment will take in time, memory and disk, before anything is run."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod

import torch
from torch import nn

from mrlbench.costs.flops import multiply_adds, multiply_adds_per_second
from mrlbench.costs.memory import activation_bytes, largest_features
from mrlbench.embedding.extract import BATCH
from mrlbench.experiment import Experiment, Plugin, Training, split_method
from mrlbench.images import DECODERS, ImageFiles
from mrlbench.plugins import load, names
from mrlbench.protocols import Dataset, Sizes
from mrlbench.search.nested import MEMORY_LIMIT, bytes_per_query
from mrlbench.training.schedule import image_size

# Rough shares of the machine's matrix-product speed, from runs of this program on 2 cores
TRAINING_SHARE, EMBEDDING_SHARE, SEARCH_SHARE = 0.35, 0.3, 0.5
CUDA_SHARE = 0.15  # of bf16 products, for trainings on a GPU: a guess, not measured
FORWARD_AND_BACKWARD = 3  # a training step costs about three forward passes
LOOKS = ("few-shot", "superclass", "oracle", "class-trends", "long-tail")  # no search of their own
ANALYSIS_SECONDS = 5e-5  # per model, dim and query: most of it resamples for the intervals
CASCADE_SECONDS, LOGIT_SECONDS = 4, 6e-8  # of a model's cascades, at all and per logit
GRAPH_SECONDS = 2.5e-7  # to build and search a graph, per row and dim, both of two libraries
PROBE_TRIALS = 1.25  # of a step, for each iteration of L-BFGS
DECODE_SECONDS = 4.5e-3  # to read a JPEG of 500 × 375 pixels, on one core
PROGRAM = 800 * 2**20  # bytes of the program with its libraries
FLOAT = 4  # bytes
Shape = tuple[int, ...]
NEIGHBOR = 12  # bytes of an id and a score


@dataclass(frozen=True)
class Cost:
    """What a stage takes, roughly.

    Attributes:
        seconds: How long.
        memory: Bytes at the peak, beside files that are mapped; on a GPU, model and activations lie
            in its memory.
        disk: Bytes that it adds to the run folder.
    """

    seconds: float
    memory: float = PROGRAM
    disk: float = 0.0


def published_sizes(plugin: Plugin) -> Sizes | None:
    """Ask a data-set plug-in how large the published data are; None where it does not say.

    A plug-in says so in its module's `SIZES`; its argument `size` changes the side.
    """
    if plugin.name not in names("datasets"):  # a corpus
        return None
    function = load("datasets", plugin.name)
    sizes: Sizes | None = getattr(sys.modules[function.__module__], "SIZES", None)
    default = inspect.signature(function).parameters.get("size")
    side = plugin.arguments.get("size", default.default if default else None)
    return sizes if sizes is None or side is None else replace(sizes, shape=(3, side, side))


def sizes_of(dataset: Dataset) -> Sizes:
    """Count what a data set holds."""
    return Sizes(
        len(dataset.train.images),
        len(dataset.database.labels),
        len(dataset.queries.labels),
        len(dataset.classes),
        dataset.shape,
        files=isinstance(dataset.database.images, ImageFiles),
        same_classes=not dataset.database_classes,
    )


class Estimate:
    """The cost of each stage, from multiply–adds and a matrix product timed on this machine.

    Args:
        experiment: Resolved.
        sizes: Of the data set.
        device: Where it will run.
    """

    def __init__(self, experiment: Experiment, sizes: Sizes, device: torch.device) -> None:
        self._experiment, self.sizes, self._device = experiment, sizes, device
        with torch.device("meta"):
            self._module: nn.Module = load("models", experiment.model.name)(
                **experiment.model.arguments
            )
        self._weights = float(FLOAT * sum(each.numel() for each in self._module.parameters()))

    judges_claims = True  # whether the paper's claims are about such models

    @property
    def compares_steps(self) -> bool:
        """Whether training steps of nested and fixed models are timed in turn."""
        training = self._experiment.training
        return "mrl" in training.methods and not training.models

    def training(self, method: str) -> Cost:
        """Train one method: all epochs, at the size of the images in each."""
        training, sizes = self._experiment.training_of(method), self.sizes
        sides = [image_size(epoch, training.image_sizes) for epoch in range(training.epochs)]
        shapes = [self._shape(side) for side in sides]
        work = sizes.train * sum(self._work[shape] for shape in shapes)
        seconds = max(self._training_seconds(work), self._decoding(sizes.train * training.epochs))
        kept = (_states(training) - 1) * self._weights  # all but the gradients
        return Cost(seconds, self._training_memory(training, max(shapes)), kept)

    def training_cost(self) -> Cost:
        """Time training steps of two models in turn."""
        training, shape = self._experiment.training, self.sizes.shape
        work = 90 * training.batch_size * self._work[shape]
        another = _states(training) * self._weights  # steps of the two are taken in turn
        return Cost(self._training_seconds(work), self._training_memory(training, shape) + another)

    def embedding(self, method: str) -> Cost:
        """Embed database and queries, and write the logits of the queries."""
        sizes, width = self.sizes, self._experiment.width
        images = sizes.database + sizes.queries
        inputs = images / sizes.answers
        work = inputs * self._work[sizes.shape] / (self._speed * EMBEDDING_SHARE)
        pixels = prod(sizes.shape) * (2 + 3 * FLOAT)  # read ahead, and being normalised
        logits = self._logits(self._dims_of(method))
        batches = self._weights + BATCH * (3 * self._largest + pixels)
        vectors = FLOAT * sizes.queries * width + logits
        return Cost(
            max(work, self._decoding(images)),
            PROGRAM + self._images() + max(batches, vectors),
            (FLOAT * width + 8) * images + logits,
        )

    def measurements(self) -> list[tuple[str, Cost, str]]:
        """Name each measurement with its cost and the session's method, in order."""
        experiment = self._experiment
        methods, several = experiment.training.methods, len(experiment.evaluation.dims) > 1
        logits = PROGRAM + 1.5 * self._logits(experiment.training.dims)
        probes = self._probes()
        heads = Cost(1 + 0.3 * len(methods) + probes.seconds, max(logits, probes.memory))
        classification = [("eval-classification", heads, "classification")]
        pairs = [("eval-cross-modal", Cost(5), "cross_modal")]
        adaptive = [("eval-adaptive-retrieval", self._reranks(), "adaptive_retrieval")]
        return [
            *(classification if self.sizes.same_classes else []),
            ("eval-retrieval", self._retrieval(), "retrieval"),
            ("eval-knn", Cost(1 + 0.5 * self._searches, self._search_memory()), "knn"),
            *(adaptive if self._full and several else []),
            *(self._cascades() if self.sizes.same_classes else []),
            *(pairs if experiment.training.captions else []),
            ("bench-search", self._bench(), "speed"),
        ]

    def analyses(self) -> list[tuple[str, Cost]]:
        """Name each closer look with its cost; robustness where there are more query sets."""
        experiment, sizes = self._experiment, self.sizes
        models, dims = len(experiment.trainings), len(experiment.evaluation.dims)
        look = Cost(1 + models * dims * sizes.queries * ANALYSIS_SECONDS, self._search_memory())
        search = replace(self._retrieval(), disk=0)
        looks = [(name, look) for name in LOOKS if sizes.same_classes]
        sets = len(experiment.evaluation.query_sets)
        if sets:
            embedded = self.embedding(experiment.training.methods[0])
            each = search.seconds + models * embedded.seconds * sizes.queries / sizes.database
            memory = max(search.memory, embedded.memory)
            looks.append(("robustness", Cost(sets * each, memory)))
        return [*looks, ("interpolation", search)]

    def _cascades(self) -> list[tuple[str, Cost, str]]:
        """Tune and measure the cascades of the nested methods, if there are heads to go up."""
        training, sizes = self._experiment.training, self.sizes
        nested = [m for m, _ in self._experiment.trainings if "dim" not in split_method(m)[1]]
        if not nested or len(training.dims) < 2:
            return []
        logits = sizes.queries * len(training.dims) * sizes.classes
        seconds = len(nested) * (CASCADE_SECONDS + LOGIT_SECONDS * logits)
        if self._experiment.evaluation.tta:
            work = len(self._experiment.trainings) * sizes.queries * self._work[sizes.shape]
            seconds = 2 * seconds + work / (self._speed * EMBEDDING_SHARE)
        cost = Cost(seconds, PROGRAM + 1.5 * self._logits(training.dims))
        return [("eval-adaptive-classification", cost, "adaptive_classification")]

    def _retrieval(self) -> Cost:
        """Search exactly at every dim, for every model and baseline."""
        experiment, sizes = self._experiment, self.sizes
        evaluation, pairs = experiment.evaluation, sizes.database * sizes.queries
        products = self._searches * pairs * experiment.width
        keep = max(*evaluation.k, evaluation.shortlist)
        dims = sum(len(self._dims_of(m, measured=True)) for m in experiment.training.methods)
        cut = len(evaluation.baselines) * len(evaluation.dims)  # of the baselines
        scores = len(names("metrics")) * len(evaluation.k) * FLOAT * (dims + cut)
        kept = NEIGHBOR * (dims * keep + cut * max(evaluation.k)) + scores  # of each query
        return Cost(
            2 + products / (self._speed * SEARCH_SHARE),
            self._search_memory(),
            len(experiment.seeds) * sizes.queries * kept,
        )

    def _search_memory(self) -> float:
        """Add up results, and the queries searched together with their candidates."""
        evaluation, width = self._experiment.evaluation, self._experiment.width
        keep = max(*evaluation.k, evaluation.shortlist)
        queries, dims = self.sizes.queries, len(evaluation.dims)
        searching = min(MEMORY_LIMIT, queries * bytes_per_query([*evaluation.dims, width], keep))
        results = 2 * dims * queries * keep * NEIGHBOR  # parts, and put together
        return PROGRAM + results + searching

    def _probes(self) -> Cost:
        """Train a linear probe at each dim of each reduction of the full-width models."""
        evaluation, sizes, width = self._experiment.evaluation, self.sizes, self._experiment.width
        if not evaluation.probes:
            return Cost(0)
        rows = min(evaluation.probe_rows, sizes.database)
        each = rows * sizes.classes * sum(evaluation.dims) * evaluation.probe_iterations
        seconds = self._searches * 2 * PROBE_TRIALS * each / (self._speed * SEARCH_SHARE)
        return Cost(seconds, PROGRAM + 1.5 * FLOAT * width * (rows + sizes.queries))

    def _reranks(self) -> Cost:
        """Rerank every shortlist at every wider dim, and other lengths of it at full width."""
        evaluation, width = self._experiment.evaluation, self._experiment.width
        longest = max(evaluation.shortlists, default=0)
        reranked = self.sizes.queries * len(evaluation.dims) * (evaluation.shortlist + longest)
        seconds = len(self._full) * reranked * width * 1e-9
        if longest:  # they are searched for anew, and not kept
            pairs = len(self._full) * self.sizes.database * self.sizes.queries
            seconds += 2 * pairs * width / (self._speed * SEARCH_SHARE)
        return Cost(2 + seconds, self._search_memory())

    def _bench(self) -> Cost:
        """Build every index at every dim: rows, index, and the index serialised."""
        search, rows = self._experiment.search, self.sizes.database
        exact = sum(search.dims) * rows * search.queries * 6 / self._speed
        graphs = [index for index in search.indexes if index.name != "exact"]
        built = GRAPH_SECONDS * rows * sum(search.dims) * len(graphs)
        memory = 3 * FLOAT * rows * max(search.dims) + FLOAT * self.sizes.queries * max(search.dims)
        return Cost(5 + exact + built, PROGRAM + memory)

    def _training_memory(self, training: Training, shape: Shape) -> float:
        """Add up weights, their gradients and moments, activations, batches and logits."""
        at_once = min(training.micro_batch or training.batch_size, training.batch_size)
        activations = at_once * self._activations[shape]
        pixels = training.batch_size * prod(shape) * (3 + 3 * FLOAT)  # read ahead, normalised
        logits = 4 * FLOAT * len(training.dims) * at_once * self.sizes.classes
        weights = _states(training) * self._weights
        return PROGRAM + self._images() + weights + activations + pixels + logits

    def _shape(self, side: int | None) -> Shape:
        """Give the shape of a training image; vectors have one size only."""
        shape = self.sizes.shape
        return (3, side, side) if side and len(shape) == 3 else shape

    def _images(self) -> float:
        """Bytes of images that are kept in memory."""
        sizes = self.sizes
        return 0 if sizes.files else float((sizes.train + sizes.queries) * prod(sizes.shape))

    def _logits(self, dims: Sequence[int]) -> float:
        sizes = self.sizes
        return FLOAT * len(dims) * sizes.queries * sizes.classes if sizes.same_classes else 0

    def _dims_of(self, method: str, measured: bool = False) -> Sequence[int]:
        """List the dims of a method's heads, or those that its vectors are measured at."""
        experiment = self._experiment
        own = split_method(method)[1].get("dim")
        if own is not None and not (measured and own == experiment.width):
            return [own]
        heads = experiment.training_of(method).dims
        return sorted({*experiment.evaluation.dims, *heads}) if measured else heads

    @property
    def _full(self) -> list[str]:
        """List the methods that train the whole width."""
        width = self._experiment.width
        return [
            method
            for method in self._experiment.training.methods
            if split_method(method)[1].get("dim", width) == width
        ]

    @property
    def _searches(self) -> int:
        evaluation = self._experiment.evaluation
        return len(self._experiment.seeds) * (len(self._full) + len(evaluation.baselines))

    def _training_seconds(self, work: float) -> float:
        share = CUDA_SHARE if self._device.type == "cuda" else TRAINING_SHARE
        return work * FORWARD_AND_BACKWARD / (self._training_speed * share)

    def _decoding(self, images: int) -> float:
        """Seconds to decode images, which goes on beside the computing."""
        cores = min(DECODERS, os.cpu_count() or 1)
        return images * DECODE_SECONDS / cores if self.sizes.files else 0

    @cached_property
    def _largest(self) -> float:
        return largest_features(self._module, self.sizes.shape)

    @cached_property
    def _work(self) -> "_OfShapes":
        return _OfShapes(partial(multiply_adds, self._module))

    @cached_property
    def _activations(self) -> "_OfShapes":
        return _OfShapes(partial(activation_bytes, self._module))

    @cached_property
    def _speed(self) -> float:
        return multiply_adds_per_second(self._device)

    @cached_property
    def _training_speed(self) -> float:
        if self._device.type == "cuda":
            return multiply_adds_per_second(self._device, torch.bfloat16, 8192)
        return self._speed


class _OfShapes(dict[Shape, float]):
    """A number for each shape of an image, counted when it is first asked for."""

    def __init__(self, count: Callable[[Shape], float]) -> None:
        self._count = count

    def __missing__(self, shape: Shape) -> float:
        self[shape] = self._count(shape)
        return self[shape]


def _states(training: Training) -> int:
    """Count weights, gradients and moments, each as large as the weights."""
    return 4 if training.optimizer == "adamw" else 3
