"""Choosing a plan on the tuning queries: bounds first, then the measurement of what is left.

Plans with an exact first stage come in the order of their cost, which is arithmetic; those whose
shortlist is known to miss too much are not measured. Approximate indexes follow in `halving`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mrlbench.arrays import AnyFloatArray
from mrlbench.progress import task
from mrlbench.recommend.candidates import Candidate, Choice, Gate
from mrlbench.recommend.costing import Cost, Costing
from mrlbench.recommend.first_stages import ExactLists, build
from mrlbench.recommend.plans import EXACT, Grid, IndexChoice, Plan, Rerank, Stage
from mrlbench.recommend.problem import Asked, Problem

PLANS = 3  # the plan and two runners-up


@dataclass(frozen=True)
class Chooser:
    """All that choosing needs.

    Attributes:
        problem: The database.
        asked: The tuning queries.
        lists: What first stages find when every row is compared.
        grid: What may be recommended.
        costing: What it costs.
        gate: Whether it is good enough.
        quick: Whether a plan keeps the limit of latency.
    """

    problem: Problem
    asked: Asked
    lists: ExactLists
    grid: Grid
    costing: Costing
    gate: Gate
    quick: Callable[[Candidate], bool]

    def exact_plans(self) -> Choice:
        """Find the cheapest plans without an approximate index, of different first stages."""
        choice = Choice()
        plans = self.by_cost(EXACT, self.grid.stages)
        begun = set[Stage]()
        with task("exact first stages", len({plan.stage for plan in plans}), "stages") as work:
            for plan in plans:  # the first plan of a stage takes the time
                work.advance(int(plan.stage not in begun))
                begun.add(plan.stage)
                if all(plan.stage != each.plan.stage for each in choice.leaders):
                    self._try(plan, choice)
                if len(choice.leaders) == PLANS:
                    break
        return choice

    def _try(self, plan: Plan, choice: Choice) -> None:
        if not self.may_meet(plan.stage, plan.rerank):
            return
        candidate = self.measure(plan)
        choice.seen.append(candidate.point)
        if self.meets(plan, candidate.scores) and self.quick(candidate):
            choice.offer(candidate)

    def measure(self, plan: Plan) -> Candidate:
        """Measure a plan whose first stage is exact."""
        ids = self.problem.rerank(self.asked.queries, self.lists.of(plan.stage), plan.rerank)
        scores = self.problem.scores(self.asked, ids)
        built = build(self.problem, plan.stage, EXACT)
        return Candidate(plan, self.costing.cost(plan), scores, built)

    def meets(self, plan: Plan, scores: AnyFloatArray) -> bool:
        """Tell whether a plan can be expected to be confirmed; the yardstick need not be."""
        return self.problem.is_yardstick(plan) or self.gate.meets(scores)

    def may_meet(self, stage: Stage, rerank: Rerank | None) -> bool:
        """Tell whether the best order of a shortlist, or the first stage itself, is enough."""
        return self.gate.may_meet(self.bound(stage, rerank))

    def bound(self, stage: Stage, rerank: Rerank | None) -> AnyFloatArray:
        """Score the best that can follow a first stage that is exact, (T,)."""
        if rerank is None:
            return self.lists.alone(stage)
        return self.lists.ceilings(stage)[rerank.lengths[0]]

    def scored(self) -> Iterator[tuple[Plan, Cost, float]]:
        """Give the plans that bounds are measurements of: whole float32 vectors rerank."""
        for stage, length, scores in self.lists.scored():
            plan = Plan(stage, EXACT, 0, Rerank((self.grid.width,), (length,), "float32"))
            cost = self.costing.cost(plan)
            if not self.costing.broken(cost):
                yield plan, cost, float(scores.mean())

    def by_cost(self, index: IndexChoice, stages: Sequence[Stage]) -> list[Plan]:
        """List plans that keep the limits of memory, the cheapest first."""
        plans = [
            Plan(stage, index, 0, rerank) for stage in stages for rerank in self.grid.reranks(stage)
        ]
        costs = {plan: self.costing.cost(plan) for plan in plans}
        kept = [plan for plan in plans if not self.costing.broken(costs[plan])]
        return sorted(kept, key=lambda plan: (costs[plan].total, str(plan)))
