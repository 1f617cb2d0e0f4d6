"""All of an experiment, in order: the plan with its estimated times, and the doing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from mrlbench import measurements
from mrlbench.costs.flops import multiply_adds
from mrlbench.embedding.extract import is_written
from mrlbench.experiment import Experiment
from mrlbench.plugins import load
from mrlbench.reports.plots import draw_all
from mrlbench.session import Session
from mrlbench.stages import Workshop
from mrlbench.training.loop import training_inputs

# Rough shares of the machine's matrix-product speed, from runs of this program on 2 cores
TRAINING_SHARE, EMBEDDING_SHARE, SEARCH_SHARE = 0.35, 0.3, 0.5
FORWARD_AND_BACKWARD = 3  # a training step costs about three forward passes
GRAPH_SECONDS = 2.5e-7  # to build and search a graph, per row and dim, both of two libraries


@dataclass(frozen=True)
class Step:
    """One stage of the plan.

    Attributes:
        name: What it does.
        seconds: How long it may take, a rough estimate.
        done: Whether it was done before with the same inputs.
        run: Does it.
    """

    name: str
    seconds: float
    done: bool
    run: Callable[[], object]


def plan(workshop: Workshop, threads: int, force: bool = False) -> list[Step]:
    """List the stages of a run with what each may cost; nothing is run yet."""
    run, estimate = workshop.run, _Estimate(workshop)
    steps: list[Step] = []
    for method, seed in workshop.pairs:
        inputs = training_inputs(run.experiment, workshop.dataset.fingerprint, method, seed)
        name = f"train {method} seed-{seed}"
        done = run.is_done(name, inputs)
        train = partial(workshop.train_one, method, seed)
        steps.append(Step(name, estimate.training(), done, train))
        name, folder = f"embed {method} seed-{seed}", run.embeddings(method, seed)
        embed = partial(workshop.embed_one, method, seed)
        steps.append(Step(name, estimate.embedding(), is_written(folder, inputs), embed))
    for name, seconds, measure in estimate.measurements():
        steps.append(
            Step(name, seconds, False, partial(_measure, workshop, threads, force, measure))
        )
    if "mrl" in run.experiment.training.methods:
        steps.append(_cost_step(workshop, estimate, force))
    return [*steps, Step("plot", 8, False, partial(draw_all, run))]


def format_plan(steps: list[Step]) -> str:
    """Show the plan as a table."""
    lines = [f"{'stage':34} {'estimated':>10}"]
    for step in steps:
        lines.append(f"{step.name:34} {'done' if step.done else f'{step.seconds:.0f} s':>10}")
    total = sum(step.seconds for step in steps if not step.done)
    return "\n".join([*lines, f"{'in all, about':34} {total / 60:>6.1f} min"])


def _measure(
    workshop: Workshop, threads: int, force: bool, measure: Callable[[Session], None]
) -> None:
    experiment = workshop.run.experiment
    sources = workshop.sources()
    measure(
        Session(workshop.run, sources, experiment.evaluation, experiment.search, threads, force)
    )


def _cost_step(workshop: Workshop, estimate: "_Estimate", force: bool) -> Step:
    run, table = workshop.run, workshop.run.experiment.model_dump(include={"model", "training"})

    def measure() -> None:
        if force or not run.is_done("training-cost", table):
            with run.stage("training-cost", table):
                measurements.merge(run.csv("analysis"), workshop.training_cost())

    done = run.is_done("training-cost", table) and not force
    return Step("training-cost", estimate.training_cost(), done, measure)


class _Estimate:
    """Seconds per stage, from multiply–adds and a matrix product timed on this machine."""

    def __init__(self, workshop: Workshop) -> None:
        self._experiment: Experiment = workshop.run.experiment
        dataset, model = workshop.dataset, self._experiment.model
        self._train, self._rows, self._queries = (
            len(split.labels) for split in (dataset.train, dataset.database, dataset.queries)
        )
        image = dataset.queries.images.read(torch.arange(1).numpy())
        with torch.device("meta"):
            module = load("models", model.name)(**model.arguments)
        self._image = multiply_adds(module, image.shape[1:])
        self._speed = _multiply_adds_per_second(workshop.device)

    def training(self) -> float:
        images = self._train * self._experiment.training.epochs
        return images * self._image * FORWARD_AND_BACKWARD / (self._speed * TRAINING_SHARE)

    def embedding(self) -> float:
        return (self._rows + self._queries) * self._image / (self._speed * EMBEDDING_SHARE)

    def training_cost(self) -> float:
        images = 90 * self._experiment.training.batch_size
        return images * self._image * FORWARD_AND_BACKWARD / (self._speed * TRAINING_SHARE)

    def measurements(self) -> list[tuple[str, float, Callable[[Session], None]]]:
        """Name each measurement with its seconds and what does it, in order."""
        experiment, dims = self._experiment, self._experiment.search.dims
        methods = experiment.training.methods
        full = [m for m in methods if m in ("mrl", "mrl-e", f"fixed-{experiment.width}")]
        searches = len(experiment.seeds) * (len(full) + len(experiment.evaluation.baselines))
        pairs = self._rows * self._queries
        search = searches * pairs * experiment.width / (self._speed * SEARCH_SHARE)
        rerank = len(full) * self._queries * len(dims) * experiment.evaluation.shortlist
        exact = sum(dims) * self._rows * experiment.search.queries * 6 / self._speed
        graphs = [index for index in experiment.search.indexes if index.name != "exact"]
        built = GRAPH_SECONDS * self._rows * sum(dims) * len(graphs)
        return [
            ("eval-classification", 1 + 0.3 * len(methods), Session.classification),
            ("eval-retrieval", 2 + search, Session.retrieval),
            ("eval-knn", 1 + 0.5 * searches, Session.knn),
            (
                "eval-adaptive-retrieval",
                2 + rerank * experiment.width * 1e-9,
                Session.adaptive_retrieval,
            ),
            ("bench-search", 5 + exact + built, Session.speed),
        ]


def _multiply_adds_per_second(device: torch.device) -> float:
    matrix = torch.ones(1024, 1024, device=device)
    (matrix @ matrix).sum().item()
    started = time.perf_counter()
    (matrix @ matrix).sum().item()
    return 1024**3 / (time.perf_counter() - started)
