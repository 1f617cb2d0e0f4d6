"""Approximate indexes: measured on a part of the database, the best of them on more (halving).

A family is a first stage with an index. Those that could be cheaper than the best exact plan are
built on a sixteenth of the rows, the best quarter of them on a fourth, the best quarter of those on
all rows. Costs are those of the planned size throughout.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mrlbench.arrays import IntArray, blocks
from mrlbench.progress import task
from mrlbench.recommend.candidates import Candidate, Choice
from mrlbench.recommend.choosing import Chooser
from mrlbench.recommend.first_stages import Built, build, ceilings
from mrlbench.recommend.plans import IndexChoice, Plan, Rerank, Stage, fits
from mrlbench.recommend.problem import Asked, Problem
from mrlbench.threads import threads_in_use

PARTS = (16, 4)  # of the database, before all of it
FEWEST_ROWS = 1000  # of a part that says something about the whole
KEPT = 4  # one family in so many goes on, and at least so many
GAIN = 0.97  # of the best cost: less is not looked for
DOUBT = 1.1  # times its cost on a part is what a family may cost on all rows

Family = tuple[Stage, IndexChoice]
Options = Mapping[Family, Sequence[Rerank | None]]


def part_of(rows: int, size: int, seed: int) -> IntArray:
    """Draw rows of a database, in order; a smaller part is inside a larger one."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:size])


@dataclass
class Halving:
    """The measurement of approximate indexes.

    Attributes:
        chooser: What is chosen from, and how.
        choice: What was found so far; gets the new plans.
        deadline: By `time.monotonic`.
        seed: Draws the parts of the database.
    """

    chooser: Chooser
    choice: Choice
    deadline: float
    seed: int
    _costs: dict[Family, float] = field(default_factory=dict)  # on the last part
    _seconds: dict[Family, float] = field(default_factory=dict)  # that a row took to build

    def run(self) -> None:
        """Measure what could be cheaper than what was found."""
        options = dict(self._options())
        families, rows = list(options), len(self.chooser.problem.database)
        self.choice.tried = len(families)
        for size in (rows // part for part in PARTS if rows // part >= FEWEST_ROWS):
            families = self._halve(families, options, size)
        chooser = self.chooser
        for built in self._built(chooser.problem, families):
            self.choice.built += 1
            found, best = self._measured(built, chooser.asked, options[built.stage, built.choice])
            self.choice.seen += [each.point for each in found]
            if best:
                self.choice.offer(best)

    def _options(self) -> Iterator[tuple[Family, list[Rerank | None]]]:
        """List the reranks with which each family could be cheaper and meet the target."""
        for family in self.chooser.grid.families:
            stage, index = family
            if self._least(stage, index, None) >= GAIN * self.choice.best:
                continue
            options = [
                rerank
                for rerank in self.chooser.grid.reranks(stage)
                if self._least(stage, index, rerank) < GAIN * self.choice.best
                and self.chooser.may_meet(stage, rerank)
            ]
            if options:
                yield family, options

    def _least(self, stage: Stage, index: IndexChoice, rerank: Rerank | None) -> float:
        """Give the least that a plan could cost, infinite where it breaks a limit."""
        costing = self.chooser.costing
        cost = costing.cost(Plan(stage, index, 1, rerank))
        return math.inf if costing.broken(cost) else cost.total

    def _halve(self, families: list[Family], options: Options, size: int) -> list[Family]:
        """Keep the families that are cheapest on a part of the database."""
        chooser, rows = self.chooser, len(self.chooser.problem.database)
        drawn = part_of(rows, size, self.seed)
        problem, whole = chooser.problem.part(drawn), chooser.asked
        everyone = np.arange(len(whole.queries))
        relevance = whole.relevance and whole.relevance.of(drawn, everyone)
        asked = problem.ask(whole.queries, relevance)
        costs = dict[Family, float]()
        for built in self._built(problem, families):
            family = built.stage, built.choice
            _, best = self._measured(built, asked, options[family])
            costs[family] = best.cost.total if best else math.inf
        self._costs = costs
        good = sorted((cost, family) for family, cost in costs.items() if cost < math.inf)
        return [family for _, family in good[: max(KEPT, len(families) // KEPT)]]

    def _built(self, problem: Problem, families: Sequence[Family]) -> Iterator[Built]:
        """Build families, as many at a time as there are threads, while there is time."""
        rows, threads = len(problem.database), threads_in_use()
        with (
            task(f"indexes over {rows:,} rows", len(families), "indexes") as work,
            ThreadPoolExecutor(threads) as pool,
        ):
            for group in blocks(len(families), threads):
                promising = [each for each in families[group] if self._is_promising(each)]
                wanted = [each for each in promising if self._affordable(each, rows)]
                # all of them, before any is timed: a build beside it would slow a search down
                for built in list(pool.map(lambda family: build(problem, *family), wanted)):
                    self._seconds[built.stage, built.choice] = built.seconds / rows
                    yield built
                work.advance(len(families[group]))

    def _is_promising(self, family: Family) -> bool:
        """Tell whether what a family cost on a part of the rows can still be the best of all."""
        return self._costs.get(family, 0.0) < DOUBT * self.choice.best

    def _affordable(self, family: Family, rows: int) -> bool:
        """Tell whether a build will end in time; it grows a little faster than the rows do."""
        expected = 1.5 * rows * self._seconds.get(family, 0.0)
        if time.monotonic() + expected < self.deadline:
            return True
        self.choice.finished = False
        return False

    def _measured(
        self, built: Built, asked: Asked, options: Sequence[Rerank | None]
    ) -> tuple[list[Candidate], Candidate | None]:
        """Measure a family at each effort: what was seen, and the cheapest that is good enough.

        What costs more than a plan that is good is left out.
        """
        seen, best = list[Candidate](), None
        limit = self.choice.best
        for effort in self.chooser.grid.efforts(built.choice, len(built.problem.database)):
            for candidate in self._at_effort(built, asked, options, effort, limit):
                seen.append(candidate)
                if self._good(candidate):
                    best, limit = candidate, candidate.cost.total
                    break
        return seen, best

    def _at_effort(
        self,
        built: Built,
        asked: Asked,
        options: Sequence[Rerank | None],
        effort: int,
        limit: float,
    ) -> Iterator[Candidate]:
        """Search once, and measure what may follow below a limit of cost, the cheapest first."""
        chooser, problem, index = self.chooser, built.problem, built.choice
        plans = [Plan(built.stage, index, effort, rerank) for rerank in options]
        plans = [plan for plan in plans if fits(plan) and chooser.costing.cost(plan).total < limit]
        if not plans:
            return
        length = max(chooser.grid.k, *(plan.shortlist for plan in plans))
        ids, counted = built.search(asked.queries, min(length, len(problem.database)), effort)
        costs = {plan: chooser.costing.cost(plan, counted) for plan in plans}
        kept = [
            plan
            for plan, cost in costs.items()
            if cost.total < limit and not chooser.costing.broken(cost)
        ]
        bounds = ceilings(problem, asked, ids, sorted({plan.shortlist for plan in kept} - {0}))
        enough = {0, *(length for length, each in bounds.items() if chooser.gate.may_meet(each))}
        for plan in sorted(kept, key=lambda plan: (costs[plan].total, str(plan))):
            if plan.shortlist in enough:
                results = problem.rerank(asked.queries, ids, plan.rerank)
                scores = problem.scores(asked, results)
                yield Candidate(plan, costs[plan], scores, built, counted)

    def _good(self, candidate: Candidate) -> bool:
        """Tell whether a plan is good enough; on a part of the database, whether it may be."""
        chooser = self.chooser
        if candidate.built.problem is not chooser.problem:
            return chooser.gate.may_meet(candidate.scores)
        return chooser.meets(candidate.plan, candidate.scores) and chooser.quick(candidate)
