"""The paper's claims as a table on the terminal."""

from collections.abc import Sequence
from itertools import groupby

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mrlbench.paper.cells import Point
from mrlbench.paper.claims import Claim
from mrlbench.paper.verdicts import FAILS, HOLDS, NOT_RUN, OPEN, Finding, Judgement

WIDTH = 120
COLOURS = {HOLDS: "green", FAILS: "red"}
READING = (
    "Differences are in points (percent of all queries). Intervals are 95%; those of one claim "
    "hold together. A claim holds, or does not, when the whole interval is on that side of what "
    "it needs. (ours): the paper gives no tolerance. claims.csv has every dim, notes and methods."
)


def claims_table(judgements: Sequence[Judgement], colour: bool = False) -> str:
    """Show what the published values and a run say about each claim, 120 columns wide.

    What is missing is listed below the table, by the command that makes it.
    """
    table = Table(box=SIMPLE, show_lines=True, width=WIDTH, pad_edge=False)
    table.add_column("the paper's claim", ratio=9)
    table.add_column("needs", ratio=4)
    table.add_column("published values", ratio=6, overflow="fold")
    table.add_column("this run", ratio=9, overflow="fold")
    table.add_column("verdict", ratio=3)
    for each in judgements:
        verdict = Text(each.ours.verdict, style=COLOURS.get(each.ours.verdict, ""))
        published = _finding(each.claim, each.published)
        if each.published.verdict == FAILS:
            published += f"\n({FAILS})"
        ours = _finding(each.claim, each.ours)
        cells = each.claim.statement, _needs(each.claim), published, ours
        table.add_row(*map(Text, cells), verdict)
    console = Console(width=WIDTH, color_system="standard" if colour else None, highlight=False)
    with console.capture() as captured:
        console.print(table)
        console.print(Text(READING))
    return "\n".join([captured.get().rstrip(), *_missing(judgements)])


def _missing(judgements: Sequence[Judgement]) -> list[str]:
    """List the commands that make what is missing, each with its claims."""
    lines: list[str] = []
    for title, verdict in (
        ("not run; the rows are made by", NOT_RUN),
        ("cannot be told from rows that are not paired; paired scores are kept by", OPEN),
    ):
        some = [each for each in judgements if each.ours.verdict == verdict and each.command]
        lines += ["", title] if some else []
        for command, group in groupby(sorted(some, key=_command), key=_command):
            lines.append(f"  {command}\n      for {', '.join(each.claim.name for each in group)}")
    return lines


def _command(judgement: Judgement) -> str:
    return judgement.command


def _needs(claim: Claim) -> str:
    which = "at some" if claim.quantifier == "some" else "at every"
    bound = f"≥ {_number(claim, claim.bound)}"
    ours = " (ours)" if claim.tolerance_from == "ours" and claim.tolerance else ""
    return f"{bound} {which}{ours}" if claim.unit == "points" else f"{bound}{ours}"


def _finding(claim: Claim, finding: Finding) -> str:
    point = finding.decisive
    if point is None:
        return "–"
    places, rank = len(finding.points), "worst" if claim.quantifier == "every" else "best"
    among = f", {rank} of {places}" if places > 1 else ""
    # no-break spaces: a schedule wraps where it must, not after "at"
    return f"{_number(claim, point.value)}{_interval(claim, point)}\nat\u00a0{point.at}{among}"


def _interval(claim: Claim, point: Point) -> str:
    if point.low == point.high:
        return ""
    return f" [{_number(claim, point.low)}, {_number(claim, point.high)}]"


def _number(claim: Claim, value: float) -> str:
    """Write points and percent with their sign, factors with three digits.

    A value that two decimals would not tell from the bound has three.
    """
    if claim.unit == "times":
        return f"{value:.3g}×"
    close = value != claim.bound and round(value, 2) == round(claim.bound, 2)
    sign, places = "" if value == 0 else "+", 3 if close else 2
    return f"{value:{sign}.{places}f}{'%' if claim.unit == '%' else ''}"
