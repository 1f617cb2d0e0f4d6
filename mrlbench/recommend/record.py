"""A recommendation as JSON."""

from dataclasses import asdict
from typing import Any

from mrlbench.recommend.alternatives import Alternative
from mrlbench.recommend.candidates import Point
from mrlbench.recommend.confirming import Confirmed, Growth
from mrlbench.recommend.constraints import Constraints
from mrlbench.recommend.latency import Latency
from mrlbench.recommend.plans import Plan
from mrlbench.recommend.recommending import Recommendation


def as_json(found: Recommendation) -> dict[str, Any]:
    """Give everything that was found; costs are per month and at the planned size."""
    each = zip(found.plans, found.latencies, strict=True)
    plan, *others = [_confirmed(*one) for one in each]
    return {
        "subject": asdict(found.subject),
        "constraints": _constraints(found.constraints),
        "meets": found.meets,
        "met_on_tuning_queries": found.found,
        "plan": plan,
        "runners_up": others,
        "front": [_point(point) for point in found.front],
        "alternatives": [_alternative(one) for one in found.alternatives],
        "growth": found.growth and _growth(found.growth),
        "finished": found.finished,
        "families_tried": found.tried,
        "families_built": found.built,
        "multiply_adds": found.multiply_adds,
        "seconds": found.seconds,
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """Spell out a plan."""
    return {
        "text": str(plan),
        **asdict(plan.stage),
        "index": plan.index.label,
        "effort": plan.effort,
        "shortlist": plan.shortlist,
        "rerank": plan.rerank and asdict(plan.rerank),
    }


def _confirmed(one: Confirmed, latency: Latency) -> dict[str, Any]:
    return {
        "plan": plan_json(one.plan),
        "cost": asdict(one.cost),
        "value": one.value.value,
        "ci_low": one.value.low,
        "ci_high": one.value.high,
        "tuning": one.tuning,
        "meets": one.meets,
        "single_query_seconds": asdict(latency),
    }


def _constraints(constraints: Constraints) -> dict[str, Any]:
    return {**asdict(constraints), "target": str(constraints.target)}


def _point(point: Point) -> dict[str, Any]:
    return {"plan": plan_json(point.plan), "cost": asdict(point.cost), "tuning": point.mean}


def _alternative(one: Alternative) -> dict[str, Any]:
    return {
        "name": one.name,
        "plan": plan_json(one.plan),
        "cost": asdict(one.cost),
        "tuning": one.mean,
        "reason": one.reason,
    }


def _growth(growth: Growth) -> dict[str, Any]:
    return {
        "rows": list(growth.rows),
        "values": list(growth.values),
        "planned": growth.planned,
        "effort": growth.effort,
        "expected": growth.expected.value,
        "low": growth.expected.low,
        "high": growth.expected.high,
    }
