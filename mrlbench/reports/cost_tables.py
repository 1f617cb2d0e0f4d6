"""The arithmetic of `cost` as tables: bytes, MFLOPs per query, and money where prices are given."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mrlbench.costs.storage import Overhead, row_bytes
from mrlbench.evaluation.cluster_plan import Stage
from mrlbench.search.adaptive import Schedule

GB, GIB = 10**9, 2**30
DAYS = 365.25 / 12  # of a month
SECONDS = 3600


@dataclass(frozen=True)
class Plan:
    """What is to be stored and searched.

    Attributes:
        vectors: N.
        dims: Increasing; the last is D, where shortlists are reranked.
        dtypes: How vectors are stored.
        indexes: Over the vectors.
        shortlist: K.
        queries_per_day: None leaves out what depends on it.
        core_rate: Multiply–adds that one core does in a second of searching.
        price_gb_month: Of a decimal GB; None leaves money out.
        price_core_hour: None leaves money out.
    """

    vectors: int
    dims: Sequence[int]
    dtypes: Sequence[str]
    indexes: Sequence[Overhead]
    shortlist: int
    queries_per_day: int | None
    core_rate: float
    price_gb_month: float | None
    price_core_hour: float | None

    @property
    def schedules(self) -> list[Schedule]:
        """The scan at each dim alone, widest first, then each narrower one with a rerank at D."""
        *narrow, full = self.dims
        scans = [Schedule(dim, (), ()) for dim in reversed(self.dims)]
        return scans + [Schedule(dim, (full,), (self.shortlist,)) for dim in narrow]


def stage_table(stages: Sequence[Stage]) -> pd.DataFrame:
    """Say what each stage takes on each machine, a line for each and one for all."""
    total = Stage(
        "in all",
        sum(each.multiply_adds for each in stages),
        sum(each.seconds for each in stages),
        max(each.memory for each in stages),
        sum(each.disk for each in stages),
    )
    return pd.DataFrame(
        {
            "of each machine": each.name,
            "10¹² multiply–adds": _amount(each.multiply_adds / 1e12),
            "hours": _amount(each.seconds / SECONDS),
            "memory, GB": _amount(each.memory / GB),
            "disk, GB": _amount(each.disk / GB),
        }
        for each in (*stages, total)
    )


def storage_table(plan: Plan) -> pd.DataFrame:
    """Count the bytes of the vectors and of each index, a line for each dim and dtype."""
    lines = []
    for dim in plan.dims:
        for dtype in plan.dtypes:
            own = plan.vectors * row_bytes(dim, dtype)
            line: dict[str, object] = {"dim": dim, "dtype": dtype}
            line |= {"vectors, bytes": f"{own:,}", "GB": _amount(own / GB)}
            line |= {"GiB": _amount(own / GIB)}
            sizes = {each.label: each.bytes(plan.vectors, dim, dtype) for each in plan.indexes}
            line |= {f"{label}, GB": _amount(size / GB) for label, size in sizes.items()}
            if plan.price_gb_month is not None:
                for label, size in {"vectors": own, **sizes}.items():
                    line[f"{label}, per month"] = _amount(size / GB * plan.price_gb_month)
            lines.append(line)
    return pd.DataFrame(lines)


def overhead_table(plan: Plan) -> pd.DataFrame:
    """Say what each index was measured to store beside the vectors."""
    return pd.DataFrame(
        {
            "index": each.label,
            "library": f"{each.library} {each.version}",
            "bytes per vector": f"{each.per_vector:.1f}",
            "and": "centroids" if each.has_cells else "",
        }
        for each in plan.indexes
    )


def search_table(plan: Plan) -> pd.DataFrame:
    """Count multiply–adds per query by the paper's formula, and the break-even with a full scan."""
    full = Schedule(plan.dims[-1], (), ()).mflops(plan.vectors)
    lines = []
    for each in plan.schedules:
        mflops = each.mflops(plan.vectors)
        line: dict[str, object] = {"search": _name(each), "MFLOPs/query": f"{mflops:,.6g}"}
        line["a full scan is"] = f"{full / mflops:.4g} times it"
        line["cheaper from N ="] = f"{int(each.break_even) + 1:,}" if each.rerank_dims else ""
        if plan.queries_per_day is not None:
            hours = mflops * 1e6 * plan.queries_per_day / plan.core_rate / SECONDS
            line["core-hours/day"] = _amount(hours)
            if plan.price_core_hour is not None:
                line["per month"] = _amount(hours * DAYS * plan.price_core_hour)
        lines.append(line)
    return pd.DataFrame(lines)


def _name(schedule: Schedule) -> str:
    if not schedule.rerank_dims:
        return f"scan at {schedule.shortlist_dim}"
    ladder, lengths = schedule.labels
    return f"scan at {schedule.shortlist_dim}, rerank {lengths} at {ladder}"


def _amount(value: float) -> str:
    """Write hundredths, and of small amounts four digits."""
    return f"{value:,.2f}" if value >= 10 else f"{value:.4g}"
