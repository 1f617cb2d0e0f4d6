"""Tables on the terminal, from the CSV files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mrlbench import measurements
from mrlbench.runs import Output

MAIN = (
    ("classification", "top1", "linear top-1"),
    ("knn", "top1", "1-NN top-1"),
    ("retrieval", "map@10", "mAP@10"),
)


def metrics_table(path: Path, metrics: Sequence[str], variants: Sequence[str] | None = None) -> str:
    """Show some metrics side by side, one line for each measured thing; of some variants only."""
    table = measurements.read(path)
    table = table if variants is None else table[table["variant"].isin(list(variants))]
    table = table[table["metric"].isin(list(metrics))]
    if table.empty:
        return f"none of {', '.join(metrics)} is in {path}"
    varied = [c for c in measurements.KEY if c not in ("metric", "k") and table[c].nunique() > 1]
    keys = ["method", "dim", *(column for column in varied if column not in ("method", "dim"))]
    text = table.assign(**{key: table[key].astype("string").fillna("") for key in keys})
    order = pd.MultiIndex.from_frame(text[keys].drop_duplicates())
    wide = text.pivot_table(index=keys, columns="metric", values="value", sort=False)
    wide = wide.reindex(order)
    return _text(wide[[m for m in metrics if m in wide.columns]].reset_index())


def plain_table(table: pd.DataFrame) -> str:
    """Show the columns of a table that hold anything."""
    return _text(table.dropna(axis=1, how="all"))


def main_table(output: Output) -> str:
    """Show accuracy, 1-NN and mAP@10 at each dim, a column for each method.

    Fixed models are one column: at each dim the separate model of that dim. The baselines of the
    fixed full-width model are columns of their own. Rows with a variant (ablations, linear probes)
    are not shown.
    """
    parts = {title: _wide(output, csv, metric) for csv, metric, title in MAIN}
    shown = [_text(wide.reset_index(), title) for title, wide in parts.items() if len(wide)]
    return "\n\n".join(shown) or "nothing measured yet"


def markdown_claims(output: Output) -> str:
    """Show each claim, what the published values say of it, and what a run does, as Markdown."""
    table = pd.read_csv(output.csv("claims")).drop_duplicates("claim")
    lines = ["| the paper's claim | its own values say | this run (95% interval) | verdict |"]
    lines += ["|---|---|---|---|"]
    for row in table.to_dict("records"):
        unit = {"points": "", "times": " times", "%": "%"}[row["unit"]]
        theirs = f"{row['published']:.3g}{unit}: {row['published_verdict']}"
        ours = f"{row['ours']:.3g}{unit} ({row['ci_low']:.3g} to {row['ci_high']:.3g})"
        cells = (
            row["statement"].removeprefix("… "),
            theirs if pd.notna(row["published"]) else "",
            ours if pd.notna(row["ours"]) else "",
            row["verdict"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _wide(output: Output, csv: str, metric: str) -> pd.DataFrame:
    """Put one metric into a table with a line for each dim and a column for each series."""
    path = output.csv(csv)
    table = measurements.read(path) if path.is_file() else measurements.to_frame([])
    table = table[(table["metric"] == metric) & table["variant"].isna()]
    labelled = table.assign(label=series_labels(table))
    wide = labelled.pivot_table(index="dim", columns="label", values="value")
    order = sorted(wide.columns, key=lambda label: (" " in label, label == "fixed", label))
    return wide[order]


def series_labels(table: pd.DataFrame) -> list[str]:
    """Name the line that each measurement belongs to."""
    columns = zip(*(table[c] for c in ("method", "reducer", "dim", "variant")), strict=True)
    return [series_label(*each) for each in columns]


def series_label(method: str, reducer: object, dim: object, variant: object = None) -> str:
    """Name the line that a measurement belongs to.

    A fixed model at its own dim belongs to `fixed`; the full-width one cut to fewer dims is the
    first-k baseline, at its own dim too where a variant tells it from the model itself. What was
    varied stands behind, in brackets.
    """
    known = reducer if isinstance(reducer, str) else "prefix"
    varied = isinstance(variant, str) and variant != ""
    base = method if known == "prefix" else f"{method} {known}"
    if method.startswith("fixed-") and known == "prefix":
        base = "fixed" if method == f"fixed-{dim}" and not varied else f"{method} first-k"
    return f"{base} [{variant}]" if varied else base


def _text(table: pd.DataFrame, title: str = "") -> str:
    text = table.to_string(index=False, float_format=_number, na_rep="")
    return f"{title}\n{text}" if title else text


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def markdown_table(output: Output) -> str:
    """Write the main numbers of a run as Markdown, for a README: accuracies in percent by dim."""
    shown = (MAIN[0], MAIN[-1])  # 1-NN is close to mAP@10 and would make the table too wide
    parts = {title: _wide(output, csv, metric) for csv, metric, title in shown}
    joined = pd.concat(parts, axis=1).sort_index() * 100
    head = " | ".join(": ".join(names) for names in joined.columns)
    lines = [f"| dims | {head} |", "|---" * (len(joined.columns) + 1) + "|"]
    for dim, numbers in joined.iterrows():
        cells = " | ".join("" if pd.isna(number) else f"{number:.2f}" for number in numbers)
        lines.append(f"| {dim} | {cells} |")
    return "\n".join(lines)
