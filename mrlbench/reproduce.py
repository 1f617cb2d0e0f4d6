"""All of an experiment, in order: the plan with its estimated costs, and the doing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mrlbench import measurements
from mrlbench.analyses import Analyst, run_analyst
from mrlbench.errors import UserError
from mrlbench.estimates import Cost, Estimate
from mrlbench.paper.verdicts import write_claims
from mrlbench.reports.plots import draw_all
from mrlbench.search.nested import check_k
from mrlbench.session import Session
from mrlbench.sources import run_sources
from mrlbench.stages import Workshop
from mrlbench.text_estimates import estimate_of

# stages that look at neighbours, of which there must be enough
NEIGHBOURS = ("eval-retrieval", "eval-adaptive-retrieval", "bench-search")
PLOT, CLAIMS = Cost(8), Cost(10)


@dataclass(frozen=True)
class Step:
    """One stage of the plan.

    Attributes:
        name: What it does.
        cost: What it may take, a rough estimate.
        done: Whether it was done before with the same inputs.
        run: Does it.
    """

    name: str
    cost: Cost
    done: bool
    run: Callable[[], object]


def plan(workshop: Workshop, threads: int, force: bool = False, dry: bool = False) -> list[Step]:
    """List the stages of a run with what each may cost; nothing is run yet.

    Args:
        workshop: The run with its data set.
        threads: Of every library.
        force: Do again what is done.
        dry: Do with the published size of the data set where its plug-in tells it, so that a plan
            needs no data.

    Raises:
        UserError: The data set has fewer rows than the experiment looks at.
    """
    run, evaluation = workshop.run, workshop.run.experiment.evaluation
    estimate = estimate_of(workshop, dry)
    begun = not dry or bool(run.manifest().get("data"))  # else nothing can be done
    wants = partial(_wants, evaluation.steps)
    for k in (
        *evaluation.k,
        evaluation.shortlist,
        *(each.lengths[0] for each in evaluation.funnels),
    ):
        if any(map(wants, NEIGHBOURS)):
            check_k(k, estimate.sizes.database)
    steps: list[Step] = []
    for method, seed in workshop.pairs:
        inputs = workshop.inputs(method, seed) if begun else ""
        if not run.experiment.training.models:
            steps.append(_training_step(workshop, estimate, method, seed, inputs))
        name, embed = f"embed {method} seed-{seed}", partial(workshop.embed_one, method, seed)
        done = begun and workshop.is_embedded(method, seed, inputs)
        steps.append(Step(name, estimate.embedding(method), done, embed))
    session = _Later(workshop, threads, force)
    embedded = all(step.done for step in steps)
    later = _measuring_steps(session, estimate, embedded)
    if estimate.compares_steps:
        later.append(_cost_step(workshop, estimate, force))
    steps += [step for step in later if wants(step.name)]
    _check_steps(evaluation.steps, [step.name for step in later])
    steps.append(Step("plot", PLOT, False, partial(draw_all, run)))
    if estimate.judges_claims:
        steps.append(Step("claims", CLAIMS, False, partial(write_claims, run)))
    return steps


def _measuring_steps(session: "_Later", estimate: Estimate, embedded: bool) -> list[Step]:
    """List measurements and analyses, done only where the embeddings are."""
    steps = []
    for name, cost, measure in estimate.measurements():
        done = embedded and session.open().is_done(measure)
        steps.append(Step(name, cost, done, partial(session.measure, measure)))
    for name, cost in estimate.analyses():
        done = embedded and session.analyst().is_done(name)
        analyse = partial(session.analyse, name)
        steps.append(Step(f"analyze {name}", cost, done, analyse))
    return steps


def _wants(steps: Sequence[str], name: str) -> bool:
    """Tell whether an experiment that names its steps, or none for all, wants this one."""
    return not steps or name in steps


def _check_steps(steps: Sequence[str], known: Sequence[str]) -> None:
    for step in steps:
        if step not in known:
            raise UserError(f"evaluation.steps: expected some of {', '.join(known)}, got {step!r}")


def format_plan(steps: list[Step]) -> str:
    """Show the plan as a table."""
    lines = [f"{'stage':34} {'estimated':>10} {'memory':>9} {'disk':>9}"]
    for step in steps:
        cost = step.cost
        numbers = f"{_time(cost.seconds):>10} {_bytes(cost.memory):>9} {_bytes(cost.disk):>9}"
        shown = f"{'done':>10}" if step.done else numbers
        lines.append(f"{step.name:34} {shown}")
    left = [step.cost for step in steps if not step.done]
    seconds, disk = sum(cost.seconds for cost in left), sum(cost.disk for cost in left)
    memory = max(cost.memory for cost in left)
    lines.append(f"{'in all, about':34} {_time(seconds):>10} {_bytes(memory):>9} {_bytes(disk):>9}")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    """Show seconds in the unit that suits them."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _bytes(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**20 * 50 else f"{count / 2**20:.0f} MB"


def _training_step(
    workshop: Workshop, estimate: Estimate, method: str, seed: int, inputs: str
) -> Step:
    done = workshop.is_trained(method, seed, inputs)
    train = partial(workshop.train_one, method, seed)
    return Step(f"train {method} seed-{seed}", estimate.training(method), done, train)


class _Later:
    """The session of a run, opened when its embeddings are there and then kept."""

    def __init__(self, workshop: Workshop, threads: int, force: bool) -> None:
        self._workshop, self._threads, self._force = workshop, threads, force
        self._session: Session | None = None

    def open(self) -> Session:
        """Open the embeddings."""
        if self._session is None:
            run, experiment = self._workshop.run, self._workshop.run.experiment
            sources, evaluation = run_sources(self._workshop), experiment.evaluation
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


def _cost_step(workshop: Workshop, estimate: Estimate, force: bool) -> Step:
    run = workshop.run
    inputs = run.experiment.model_dump(include={"dataset", "model", "training"})

    def measure() -> None:
        if force or not run.is_done("training-cost", inputs):
            with run.stage("training-cost", inputs):
                measurements.merge(run.csv("analysis"), workshop.training_cost())

    done = run.is_done("training-cost", inputs) and not force
    return Step("training-cost", estimate.training_cost(), done, measure)
