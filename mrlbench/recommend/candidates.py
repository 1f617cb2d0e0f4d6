"""Plans that were measured, and whether they are good enough."""

import math
from dataclasses import dataclass, field

from mrlbench.arrays import AnyFloatArray
from mrlbench.intervals import SAME, constant_interval
from mrlbench.recommend.constraints import Target
from mrlbench.recommend.costing import Cost, Counted
from mrlbench.recommend.first_stages import Built
from mrlbench.recommend.plans import Plan

SURE = 1.645  # a plan is expected to be confirmed in 95 of 100 cases
HALF_WIDTH = 1.96  # of a 95% interval, in standard errors


@dataclass(frozen=True)
class Gate:
    """Decides on the tuning queries whether the held-out ones can be expected to confirm a plan.

    Attributes:
        target: The target.
        held_out: How many queries will confirm.
    """

    target: Target
    held_out: int

    def meets(self, scores: AnyFloatArray) -> bool:
        """Tell whether the interval of the held-out queries will lie above the target.

        Where all scores are the same, theirs will be, and so few bound only so much.
        """
        if float(scores.std()) < SAME:
            interval = constant_interval(float(scores[0]), self.held_out, self.target.bounds)
            return interval.low >= self.target.value - 1e-9
        return self.may_meet(scores)

    def may_meet(self, bounds: AnyFloatArray) -> bool:
        """Tell whether scores up to these could be enough; they may be lower, and vary.

        Both means vary around the truth, the tuning one and the held-out one; and the lower half of
        the held-out interval must lie above the target, too.
        """
        spread = float(bounds.std(ddof=1)) if len(bounds) > 1 else 0.0
        error = spread * math.sqrt(1 / len(bounds) + 1 / self.held_out)
        margin = SURE * error + HALF_WIDTH * spread / math.sqrt(self.held_out)
        return float(bounds.mean()) - margin >= self.target.value - 1e-9


@dataclass(frozen=True)
class Candidate:
    """A plan that was measured.

    Attributes:
        plan: The plan.
        cost: At the planned size.
        scores: Of the tuning queries, (T,).
        built: Its first stage.
        counted: What an approximate index did; None where every row is compared.
    """

    plan: Plan
    cost: Cost
    scores: AnyFloatArray
    built: Built
    counted: Counted | None = None

    @property
    def mean(self) -> float:
        """Over the tuning queries."""
        return float(self.scores.mean())

    @property
    def point(self) -> "Point":
        """What is kept of it when it is not chosen."""
        return Point(self.plan, self.cost, self.mean)


@dataclass(frozen=True)
class Point:
    """What a plan costs, and what it reached on the tuning queries."""

    plan: Plan
    cost: Cost
    mean: float


@dataclass
class Choice:
    """What was found so far.

    Attributes:
        leaders: The cheapest plan of each family that meets the target, by cost.
        seen: Every plan that was measured on the whole database.
        tried: How many families of approximate indexes could be cheaper than the best exact plan.
        built: How many of them were built on the whole database.
        finished: Whether the budget was enough.
    """

    leaders: list[Candidate] = field(default_factory=list)
    seen: list[Point] = field(default_factory=list)
    tried: int = 0
    built: int = 0
    finished: bool = True

    @property
    def best(self) -> float:
        """The least cost that meets the target."""
        return self.leaders[0].cost.total if self.leaders else math.inf

    def offer(self, candidate: Candidate) -> None:
        """Take in a plan that meets the target; it is the cheapest of its family."""
        self.leaders = sorted([*self.leaders, candidate], key=lambda each: each.cost.total)
