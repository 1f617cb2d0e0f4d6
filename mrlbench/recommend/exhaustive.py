"""The whole grid, measured: what the search for a plan is held to."""

from mrlbench.recommend.candidates import Candidate
from mrlbench.recommend.choosing import Chooser
from mrlbench.recommend.first_stages import build
from mrlbench.recommend.plans import EXACT, Plan, fits


def try_everything(chooser: Chooser) -> Candidate | None:
    """Measure every plan of the grid on the tuning queries and take the cheapest that is enough.

    An index is built once for all its efforts, and searched once for all reranks of an effort.
    """
    best: Candidate | None = None
    problem, asked, grid = chooser.problem, chooser.asked, chooser.grid
    exact = [(stage, EXACT) for stage in grid.stages]
    for stage, index in [*exact, *grid.families]:
        built = build(problem, stage, index)
        for effort in grid.efforts(index, grid.rows):
            ids, counted = built.search(asked.queries, max(grid.lengths), effort)
            for rerank in grid.reranks(stage):
                plan = Plan(stage, index, effort, rerank)
                if not fits(plan):
                    continue
                cost = chooser.costing.cost(plan, counted)
                scores = problem.scores(asked, problem.rerank(asked.queries, ids, rerank))
                good = chooser.meets(plan, scores) and not chooser.costing.broken(cost)
                if good and (best is None or cost.total < best.cost.total):
                    best = Candidate(plan, cost, scores, built, counted)
    return best
