"""What a plan must reach and may cost, read as people write it."""

import math
import re
from dataclasses import dataclass

from mrlbench.costs.quantities import read_count
from mrlbench.errors import UserError
from mrlbench.plugins import label, names

RECALL = "recall_full"
SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZES |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
NUMBER = r"(\d+(?:\.\d+)?)"


@dataclass(frozen=True)
class Target:
    """What the results must be worth.

    Attributes:
        metric: `recall_full`, against exact search at full width, or a metric of the task.
        k: Results looked at.
        value: Above 0 the least mean; else at most that much below exact search at full width.
    """

    metric: str
    k: int
    value: float

    @property
    def name(self) -> str:
        """The metric as the CSV files call it."""
        return _named(self.metric, self.k)

    @property
    def relative(self) -> bool:
        """Whether exact search at full width is what results are compared with."""
        return self.value <= 0

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest that the score of a query, or such a difference, can be."""
        return (-1.0, 1.0) if self.relative else (0.0, 1.0)

    def __str__(self) -> str:
        """Write it as the command line takes it."""
        return f"{self.name}={self.value:g}"


@dataclass(frozen=True)
class LatencyLimit:
    """The most seconds that a percentile of single queries may take."""

    percentile: int
    seconds: float


@dataclass(frozen=True)
class Prices:
    """What memory and work cost.

    Attributes:
        gb_month: Of a decimal GB of memory and month.
        core_month: Of a core and month.
        unit: `GB-months` where no price was given, `per month` in the currency of the prices.
    """

    gb_month: float
    core_month: float
    unit: str


@dataclass(frozen=True)
class Constraints:
    """All that was asked.

    Attributes:
        target: What the results must be worth.
        vectors: N to plan for; 0 is that of the database.
        queries_per_day: The load.
        prices: What a plan's cost is made of.
        bytes_per_vector: The most, of vectors, index and rerank store; None for no limit.
        memory: The most bytes of all vectors; None for no limit.
        latency: None for no limit.
    """

    target: Target
    vectors: int
    queries_per_day: int
    prices: Prices
    bytes_per_vector: float | None = None
    memory: int | None = None
    latency: LatencyLimit | None = None


GB_OF_A_CORE = 8  # what a core costs in GB of memory, as in the usual sizes of rented machines
MONTH_HOURS = 365.25 / 12 * 24


def make_prices(gb_month: float | None, core_hour: float | None) -> Prices:
    """Take the prices that were given; one that was not follows from the other.

    A core counts as 8 GB of memory. Without any price, cost is in months of a GB.

    Raises:
        UserError: A price is no number, or everything is free: then no plan is cheaper.
    """
    for name, price in (("--price-gb-month", gb_month), ("--price-core-hour", core_hour)):
        if price is not None and not math.isfinite(price):
            raise UserError(f"{name}: expected a finite price, got {price:g}")
    if not (gb_month or core_hour) and (gb_month, core_hour) != (None, None):
        raise UserError("--price-gb-month, --price-core-hour: expected one above 0, got none")
    if core_hour is None:
        gb = 1.0 if gb_month is None else gb_month
        return Prices(gb, gb * GB_OF_A_CORE, "GB-months" if gb_month is None else "per month")
    core = core_hour * MONTH_HOURS
    return Prices(core / GB_OF_A_CORE if gb_month is None else gb_month, core, "per month")


def read_target(text: str) -> Target:
    """Read `recall_full@10=0.95` or `map@10=-0.005`.

    Raises:
        UserError: Not of that form, or no metric that is known.
    """
    form = "expected such as recall_full@10=0.95 or map@10=-0.005"
    parts = re.fullmatch(r"([a-z_]+?)@?(\d+)=(-?\d*\.?\d+)", text.strip(), re.ASCII)
    if parts is None:
        raise UserError(f"--target: {form}, got {text!r}")
    metric, k, value = parts[1], int(parts[2]), float(parts[3])
    known = [RECALL, *(label("metrics", name).removesuffix("{k}") for name in names("metrics"))]
    if metric not in known or k < 1:
        raise UserError(f"--target: expected one of {', '.join(known)} at k from 1, got {text!r}")
    if not -1 < value <= 1:
        raise UserError(f"--target: expected a value above -1 and up to 1, got {value:g}")
    return Target(metric, k, value)


def read_bytes(name: str, text: str) -> int:
    """Read `8GB`, `512MiB` or `2000`: decimal units, and binary ones with an i.

    Raises:
        UserError: Not of that form.
    """
    parts = re.fullmatch(NUMBER + r"\s*([kmgt]?i?)b?", text.strip().lower(), re.ASCII)
    if parts is None or parts[2] not in SIZES or float(parts[1]) == 0:
        raise UserError(f"{name}: expected bytes such as 8GB, 512MiB or 2000, got {text!r}")
    return round(float(parts[1]) * SIZES[parts[2]])


def read_duration(name: str, text: str) -> float:
    """Read `5ms`, `30s` or `10m` as seconds.

    Raises:
        UserError: Not of that form.
    """
    parts = re.fullmatch(NUMBER + r"\s*(us|ms|s|m|h)", text.strip(), re.ASCII)
    if parts is None or float(parts[1]) == 0:
        raise UserError(f"{name}: expected a time such as 5ms, 30s or 10m, got {text!r}")
    return float(parts[1]) * SECONDS[parts[2]]


def read_latency(text: str) -> LatencyLimit:
    """Read `p95=5ms`.

    Raises:
        UserError: Not of that form.
    """
    parts = re.fullmatch(r"p(50|95|99)=(.+)", text.strip(), re.ASCII)
    if parts is None:
        raise UserError(f"--max-latency: expected p50, p95 or p99 such as p95=5ms, got {text!r}")
    return LatencyLimit(int(parts[1]), read_duration("--max-latency", parts[2]))


def read_constraints(
    target: str,
    vectors: str,
    queries_per_day: str,
    prices: Prices,
    limits: tuple[str, str, str],
) -> Constraints:
    """Read what was asked; `limits` are bytes per vector, memory and latency, empty for none.

    Raises:
        UserError: One line about the first that is wrong.
    """
    per_vector, memory, latency = limits
    return Constraints(
        read_target(target),
        read_count("--vectors", vectors) if vectors else 0,
        read_count("--queries-per-day", queries_per_day),
        prices,
        read_bytes("--max-bytes-per-vector", per_vector) if per_vector else None,
        read_bytes("--max-memory", memory) if memory else None,
        read_latency(latency) if latency else None,
    )


def _named(metric: str, k: int) -> str:
    patterns = [label("metrics", name) for name in names("metrics")]
    joined = f"{metric}{k}" in [each.format(k=k) for each in patterns if "{k}" in each]
    return f"{metric}{k}" if joined else f"{metric}@{k}"
