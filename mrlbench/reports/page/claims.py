"""The paper's claims, what its own values say, and what this run says."""

import pandas as pd

from mrlbench.paper.verdicts import NAME
from mrlbench.reports.page.blocks import Block, Paragraph, Section, Table
from mrlbench.reports.page.numbers import Record
from mrlbench.runs import Output

TITLE = "The paper's claims"
SIGNS = {"holds": "✓", "does not hold": "✗", "cannot be told": "?", "not run": "–"}
UNITS = {"points": " points", "times": "×", "%": "%"}
READING = (
    "Differences are in points, percent of all queries; intervals are 95%. A claim holds, or "
    "does not, when the whole interval is on that side of what it needs; where it is of every "
    "width, the row is the width that decides."
)


def claims(output: Output) -> Section:
    """Show a verdict on each claim, and every number behind it."""
    path = output.folder / NAME
    if not path.is_file():
        missing = Paragraph("The claims were not judged in this run.", "mrlbench claims RUN")
        return Section("claims", TITLE, [missing])
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    whole, points = (table[table["scope"] == scope] for scope in ("claim", "point"))
    columns = ["the paper's claim", "needs", "its own values", "this run (95%)", "verdict"]
    counts = whole["verdict"].value_counts()
    found = ", ".join(f"{counts[name]} {name}" for name in SIGNS if name in counts)
    rows = [_claim(row) for row in whole.to_dict("records")]
    blocks: list[Block] = [
        Paragraph(f"Of {len(whole)} claims: {found}."),
        Table("Verdicts", columns, rows, note=READING),
        *_missing(whole),
        _points(points),
    ]
    return Section("claims", TITLE, blocks)


def _claim(row: Record) -> list[str]:
    theirs = _number(row, "published")
    if theirs:
        theirs += f": {row['published_verdict']}"
    verdict = str(row["verdict"])
    return [
        str(row["statement"]).removeprefix("… "),
        _needs(row),
        theirs,
        f"{_number(row, 'ours')}{_interval(row)}{_at(row)}",
        f"{SIGNS[verdict]} {verdict}",
    ]


def _needs(row: Record) -> str:
    bound = float(str(row["goal"])) - float(str(row["tolerance"]))
    ours = " (our tolerance)" if row["tolerance_from"] == "ours" and row["tolerance"] else ""
    return f"≥ {bound:.3g}{UNITS[str(row['unit'])]}{ours}"


def _number(row: Record, column: str) -> str:
    value = float(str(row[column]))
    return "" if value != value else f"{value:.3g}{UNITS[str(row['unit'])]}"  # NaN is not itself


def _interval(row: Record) -> str:
    low, high = float(str(row["ci_low"])), float(str(row["ci_high"]))
    return f" ({low:.3g} to {high:.3g})" if low < high else ""


def _at(row: Record) -> str:
    return f" at {row['at']}" if isinstance(row["at"], str) else ""


def _missing(whole: pd.DataFrame) -> list[Block]:
    known = whole[whole["command"].notna()]
    found: list[Block] = []
    for command, rows in known.groupby("command"):
        names = ", ".join(rows["claim"])
        found.append(Paragraph(f"What is missing of {names} is made by:", str(command)))
    return found


def _points(points: pd.DataFrame) -> Table:
    columns = ["claim", "at", "its own values", "this run (95%)", "basis", "queries", "verdict"]
    rows = [
        [
            str(row["claim"]),
            str(row["at"]),
            _number(row, "published"),
            f"{_number(row, 'ours')}{_interval(row)}",
            str(row["basis"]),
            "" if row["n"] != row["n"] else int(row["n"]),
            str(row["verdict"]),
        ]
        for row in points.to_dict("records")
    ]
    return Table("Every number behind the verdicts", columns, rows, folded=True)
