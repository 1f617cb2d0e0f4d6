"""The obvious alternatives, and why each was not recommended."""

from collections.abc import Iterator
from dataclasses import dataclass

from mrlbench.recommend.choosing import Chooser
from mrlbench.recommend.costing import Cost
from mrlbench.recommend.plans import EXACT, IndexChoice, Plan, Stage

GRAPH = IndexChoice("hnsw", 32)  # the paper's


@dataclass(frozen=True)
class Alternative:
    """A plan that many would think of first.

    Attributes:
        name: What it is called.
        plan: The plan.
        cost: At the planned size; of a graph the least that it could be.
        mean: On the tuning queries; None where it did not need to be measured.
        reason: Why it was not recommended.
    """

    name: str
    plan: Plan
    cost: Cost
    mean: float | None
    reason: str


def judge_alternatives(chooser: Chooser, chosen: Plan, price: Cost) -> tuple[Alternative, ...]:
    """Say of each what speaks against it: a limit, the target, or its cost."""
    return tuple(
        _judge(chooser, name, plan, price)
        for name, plan in _obvious(chooser, chosen)
        if plan != chosen and plan.stage in chooser.grid.stages
    )


def _obvious(chooser: Chooser, chosen: Plan) -> Iterator[tuple[str, Plan]]:
    width, dims = chooser.grid.width, chooser.grid.dims
    narrow = max((dim for dim in dims if dim <= width // 4), default=width)
    yield "exact search at full width", Plan(Stage("prefix", width, "float32"), EXACT)
    yield "a graph at full width", Plan(Stage("prefix", width, "float32"), GRAPH, chooser.grid.k)
    yield "a quarter of the coordinates", Plan(Stage("prefix", narrow, "float32"), EXACT)
    yield "PCA to a quarter", Plan(Stage("pca", narrow, "float32"), EXACT)
    yield "int8 at full width", Plan(Stage("prefix", width, "int8"), EXACT)
    yield "one bit a coordinate", Plan(Stage("prefix", width, "binary"), EXACT)
    if chosen.rerank is not None:
        yield "its first stage alone, every row compared", Plan(chosen.stage, EXACT)


def _judge(chooser: Chooser, name: str, plan: Plan, price: Cost) -> Alternative:
    cost = chooser.costing.cost(plan)
    times = f"costs {cost.total / price.total:.3g} times as much"
    reason = chooser.costing.broken(cost)
    if plan.index != EXACT:
        least = f"{times} at least, by its counted work"
        return Alternative(name, plan, cost, None, reason or least)
    scores = chooser.bound(plan.stage, None)
    if not reason and not chooser.meets(plan, scores):
        reason = "misses the target, or is too near it to be confirmed"
    return Alternative(name, plan, cost, float(scores.mean()), reason or times)
