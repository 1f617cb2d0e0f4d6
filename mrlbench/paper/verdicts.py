"""Judge the paper's claims by its published values and by a run, one table of both."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from mrlbench.files import replacing
from mrlbench.paper.cells import Point, published_points
from mrlbench.paper.claims import CLAIMS, Claim
from mrlbench.paper.evidence import UNPAIRED, Evidence
from mrlbench.paper.published import published
from mrlbench.runs import Output

Verdict = Literal["holds", "does not hold", "cannot be told", "not run"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
OPEN: Verdict = "cannot be told"
NOT_RUN: Verdict = "not run"
NAME = "claims.csv"


@dataclass(frozen=True)
class Finding:
    """What a set of numbers says about a claim.

    Attributes:
        verdict: Of all of them.
        decisive: The number that decides: the worst for `every`, the best for `some`.
        points: All.
    """

    verdict: Verdict
    decisive: Point | None
    points: Sequence[Point]


@dataclass(frozen=True)
class Judgement:
    """A claim with what the published values and a run say about it.

    Attributes:
        claim: The claim.
        published: By the published values.
        ours: By the run.
        command: Makes the rows that are missing, or paired scores where the verdict lacks them.
    """

    claim: Claim
    published: Finding
    ours: Finding
    command: str


def judge_run(output: Output, claims: Sequence[Claim] = CLAIMS) -> list[Judgement]:
    """Judge every claim by a run, or by any folder with CSV files."""
    evidence = Evidence(output)
    judged = []
    for claim in claims:
        ours = find(claim, evidence.points(claim.compare(evidence.table)))
        command = _missing(claim, ours).format(run=output.folder)
        judged.append(Judgement(claim, judge_published(claim), ours, command))
    return judged


def _missing(claim: Claim, ours: Finding) -> str:
    """Name the command that would tell more, if there is one: `{run}` is the run folder."""
    if ours.decisive is None:
        return claim.command
    undecided = ours.verdict == OPEN and ours.decisive.basis == UNPAIRED
    return f"{claim.command} --force" if undecided and claim.paired else ""


def judge_published(claim: Claim) -> Finding:
    """Judge a claim by the values that the paper's authors published for it."""
    table, (dataset, backbone) = published(), claim.published
    own = table[(table["dataset"] == dataset) & (table["backbone"] == backbone)]
    return find(claim, published_points(own, claim.compare(own)))


def find(claim: Claim, points: Sequence[Point]) -> Finding:
    """Join the verdicts of several numbers.

    `every`: it holds if all of them do, and does not if one does not. `some`: it holds if one
    does, and does not if none does.
    """
    if not points:
        return Finding(NOT_RUN, None, ())
    order: list[Verdict] = [FAILS, OPEN, HOLDS]
    worst_first = sorted(
        points, key=lambda point: (order.index(verdict(claim, point)), point.low + point.high)
    )
    decisive = worst_first[0 if claim.quantifier == "every" else -1]
    return Finding(verdict(claim, decisive), decisive, tuple(points))


def verdict(claim: Claim, point: Point) -> Verdict:
    """Tell on which side of the claim's bound a whole interval lies.

    A published number has no interval: it is on one side.
    """
    if point.low >= claim.bound:
        return HOLDS
    return FAILS if point.high < claim.bound else OPEN


@dataclass(frozen=True)
class ClaimRow:
    """A row of `claims.csv`: a claim as a whole, or one of its numbers.

    Attributes:
        claim: Its name.
        statement: What the paper says.
        item: Where in the paper, if its published values have it.
        scope: `claim`, or `point` for one number.
        at: Where the number was taken: a dim or a schedule; for `claim`, of the decisive one.
        goal: In `unit`.
        tolerance: How far below the goal still counts, in `unit`.
        tolerance_from: `paper`, or `ours` where the paper gives none.
        quantifier: `every` or `some`.
        unit: `points` of accuracy, `times`, or `%`.
        published: From the published values alone; empty where they do not have it.
        published_at: Where, if not `at`.
        published_verdict: Of the published values.
        ours: Of this run.
        ci_low: Of the 95% interval; those of one claim hold together.
        ci_high: Of the same.
        difference: ours - published.
        basis: What the interval is made from.
        n: Queries.
        seeds: Trainings.
        verdict: Of this run.
        command: Makes what is missing: the rows, or scores to pair.
        note: What a reader should know.
    """

    claim: str
    statement: str
    item: str
    scope: Literal["claim", "point"]
    at: str
    goal: float
    tolerance: float
    tolerance_from: str
    quantifier: str
    unit: str
    published: float | None = None
    published_at: str = ""
    published_verdict: str = ""
    ours: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    difference: float | None = None
    basis: str = ""
    n: int | None = None
    seeds: int | None = None
    verdict: str = ""
    command: str = ""
    note: str = ""


def rows(judgement: Judgement) -> list[ClaimRow]:
    """Give the claim's row, then one for each place where either side has a number."""
    claim, ours, theirs = judgement.claim, judgement.ours, judgement.published
    whole = _row(claim, "claim", ours.decisive, theirs.decisive)
    extra = {"verdict": ours.verdict, "command": judgement.command, "note": claim.note}
    published_verdict = theirs.verdict if theirs.decisive else ""
    found = [ClaimRow(**{**asdict(whole), **extra, "published_verdict": published_verdict})]
    known = {point.at: point for point in theirs.points}
    for point in ours.points:
        found.append(_row(claim, "point", point, known.pop(point.at, None)))
    return found + [_row(claim, "point", None, point) for point in known.values()]


def _row(
    claim: Claim, scope: Literal["claim", "point"], ours: Point | None, theirs: Point | None
) -> ClaimRow:
    numbers: dict[str, object] = {}
    if theirs is not None:
        numbers |= {"published": theirs.value, "published_verdict": verdict(claim, theirs)}
        numbers["published_at"] = theirs.at
    if ours is not None:
        numbers |= {"ours": ours.value, "ci_low": ours.low, "ci_high": ours.high}
        numbers |= {"basis": ours.basis, "n": ours.n, "seeds": ours.seeds}
        numbers["verdict"] = verdict(claim, ours)
    if ours is not None and theirs is not None:
        numbers["difference"] = ours.value - theirs.value
    return ClaimRow(
        claim=claim.name,
        statement=claim.statement,
        item=claim.item,
        scope=scope,
        at=ours.at if ours else theirs.at if theirs and scope == "point" else "",
        goal=claim.goal,
        tolerance=claim.tolerance,
        tolerance_from=claim.tolerance_from,
        quantifier=claim.quantifier,
        unit=claim.unit,
        **numbers,  # type: ignore[arg-type]
    )


def write(judgements: Sequence[Judgement], folder: Path) -> Path:
    """Write `claims.csv` into a folder, whole or not at all."""
    table = pd.DataFrame([asdict(row) for each in judgements for row in rows(each)])
    table = table.astype({"n": "Int64", "seeds": "Int64"})
    with replacing(folder / NAME) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    return folder / NAME


def write_claims(output: Output) -> list[Judgement]:
    """Judge a run and write its `claims.csv`."""
    judgements = judge_run(output)
    write(judgements, output.folder)
    return judgements
