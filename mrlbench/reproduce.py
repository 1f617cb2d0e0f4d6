"""All of an experiment, in order: the plan with its estimated times, and the doing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from mrlbench import measurements
from mrlbench.analyses import Analyst, run_analyst
from mrlbench.costs.flops import multiply_adds
from mrlbench.embedding.extract import is_written
from mrlbench.experiment import Experiment
from mrlbench.plugins import load
from mrlbench.reports.plots import draw_all
from mrlbench.search.nested import check_k
from mrlbench.session import Session
from mrlbench.stages import Workshop
from mrlbench.training import checkpoint

# Rough shares of the machine's matrix-product speed, from runs of this program on 2 cores
TRAINING_SHARE, EMBEDDING_SHARE, SEARCH_SHARE = 0.35, 0.3, 0.5
FORWARD_AND_BACKWARD = 3  # a training step costs about three forward passes
PLOT_SECONDS = 8
LOOKS = ("few-shot", "superclass", "oracle", "class-trends", "long-tail")  # no search of their own
ANALYSIS_SECONDS = 5e-5  # per model, dim and query: most of it resamples for the intervals
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
    """List the stages of a run with what each may cost; nothing is run yet.

    Raises:
        UserError: The data set has fewer rows than the experiment looks at.
    """
    run, estimate = workshop.run, _Estimate(workshop)
    evaluation, rows = run.experiment.evaluation, len(workshop.dataset.database.labels)
    for k in (
        *evaluation.k,
        evaluation.shortlist,
        *(each.lengths[0] for each in evaluation.funnels),
    ):
        check_k(k, rows)
    steps: list[Step] = []
    for method, seed in workshop.pairs:
        inputs = workshop.inputs(method, seed)
        name, trained = f"train {method} seed-{seed}", run.model(method, seed) / checkpoint.NAME
        done = run.is_done(name, inputs) and trained.is_file()
        train = partial(workshop.train_one, method, seed)
        steps.append(Step(name, estimate.training(), done, train))
        name, folder = f"embed {method} seed-{seed}", run.embeddings(method, seed)
        embed = partial(workshop.embed_one, method, seed)
        steps.append(Step(name, estimate.embedding(), is_written(folder, inputs), embed))
    session = _Later(workshop, threads, force)
    embedded = all(step.done for step in steps)
    for name, seconds, measure in estimate.measurements():
        done = embedded and session.open().is_done(measure)
        steps.append(Step(name, seconds, done, partial(session.measure, measure)))
    for name, seconds in estimate.analyses():
        done = embedded and session.analyst().is_done(name)
        analyse = partial(session.analyse, name)
        steps.append(Step(f"analyze {name}", seconds, done, analyse))
    if "mrl" in run.experiment.training.methods:
        steps.append(_cost_step(workshop, estimate, force))
    return [*steps, Step("plot", PLOT_SECONDS, False, partial(draw_all, run))]


def format_plan(steps: list[Step]) -> str:
    """Show the plan as a table."""
    lines = [f"{'stage':34} {'estimated':>10}"]
    for step in steps:
        lines.append(f"{step.name:34} {'done' if step.done else f'{step.seconds:.0f} s':>10}")
    total = sum(step.seconds for step in steps if not step.done)
    return "\n".join([*lines, f"{'in all, about':34} {total / 60:>6.1f} min"])


class _Later:
    """The session of a run, opened when its embeddings are there and then kept."""

    def __init__(self, workshop: Workshop, threads: int, force: bool) -> None:
        self._workshop, self._threads, self._force = workshop, threads, force
        self._session: Session | None = None

    def open(self) -> Session:
        """Open the embeddings."""
        if self._session is None:
            run, experiment = self._workshop.run, self._workshop.run.experiment
            sources, evaluation = self._workshop.sources(), experiment.evaluation
            threads, search = self._threads, experiment.search
            self._session = Session(run, sources, evaluation, search, threads, self._force)
        return self._session

    def measure(self, name: str) -> None:
        """Make one measurement."""
        getattr(self.open(), name)()

    def analyst(self) -> Analyst:
        """Open the embeddings for the closer looks."""
        return run_analyst(self._workshop, self.open())

    def analyse(self, name: str) -> None:
        """Do one analysis, as far as the data allow it."""
        self.analyst().run_if_possible(name)


def _cost_step(workshop: Workshop, estimate: "_Estimate", force: bool) -> Step:
    run = workshop.run
    inputs = run.experiment.model_dump(include={"dataset", "model", "training"})

    def measure() -> None:
        if force or not run.is_done("training-cost", inputs):
            with run.stage("training-cost", inputs):
                measurements.merge(run.csv("analysis"), workshop.training_cost())

    done = run.is_done("training-cost", inputs) and not force
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

    def measurements(self) -> list[tuple[str, float, str]]:
        """Name each measurement with its seconds and the session's method, in order."""
        experiment, dims = self._experiment, self._experiment.search.dims
        methods, evaluation = experiment.training.methods, experiment.evaluation
        full = [m for m in methods if m in ("mrl", "mrl-e", f"fixed-{experiment.width}")]
        searches = len(experiment.seeds) * (len(full) + len(evaluation.baselines))
        pairs = self._rows * self._queries
        search = searches * pairs * experiment.width / (self._speed * SEARCH_SHARE)
        reranked = len(full) * self._queries * len(evaluation.dims) * evaluation.shortlist
        exact = sum(dims) * self._rows * experiment.search.queries * 6 / self._speed
        graphs = [index for index in experiment.search.indexes if index.name != "exact"]
        built = GRAPH_SECONDS * self._rows * sum(dims) * len(graphs)
        rerank = ("eval-adaptive-retrieval", 2 + reranked * experiment.width * 1e-9)
        return [
            ("eval-classification", 1 + 0.3 * len(methods), "classification"),
            ("eval-retrieval", 2 + search, "retrieval"),
            ("eval-knn", 1 + 0.5 * searches, "knn"),
            *([(*rerank, "adaptive_retrieval")] if full and len(evaluation.dims) > 1 else []),
            ("bench-search", 5 + exact + built, "speed"),
        ]

    def analyses(self) -> list[tuple[str, float]]:
        """Name each analysis with its seconds; robustness where there are more query sets."""
        experiment = self._experiment
        models = len(experiment.seeds) * len(experiment.training.methods)
        sets, dims = len(experiment.evaluation.query_sets), len(experiment.evaluation.dims)
        pairs = self._rows * self._queries
        search = 2 + models * pairs * experiment.width / (self._speed * SEARCH_SHARE)
        look = 1 + models * dims * self._queries * ANALYSIS_SECONDS
        asked = [("robustness", sets * (search + models * self.embedding()))] if sets else []
        return [(name, look) for name in LOOKS] + [("interpolation", search), *asked]


def _multiply_adds_per_second(device: torch.device) -> float:
    matrix = torch.ones(1024, 1024, device=device)
    (matrix @ matrix).sum().item()
    started = time.perf_counter()
    (matrix @ matrix).sum().item()
    return 1024**3 / (time.perf_counter() - started)
