"""Several trainings of one thing: the mean, the spread, and each of them."""

from pathlib import Path

import pandas as pd

from mrlbench import measurements
from mrlbench.files import replacing
from mrlbench.reports.tables import MAIN, series_labels
from mrlbench.runs import Output

NAME = "seeds.csv"
KEYS = ["measure", "series", "dim"]


def seeds_table(output: Output) -> pd.DataFrame:
    """Put each main number that has two seeds or more on a line.

    Returns:
        The columns measure, series, dim, seeds (how many), mean, std (of a sample, n - 1), and the
        values, `seed 0`, …; no rows where nothing was trained twice.
    """
    parts = []
    for csv, metric, title in MAIN:
        path = output.csv(csv)
        if not path.is_file():
            continue
        rows = measurements.read(path)
        rows = rows[(rows["metric"] == metric) & rows["variant"].isna() & rows["seed"].notna()]
        if len(rows):
            parts.append(rows.assign(measure=title, series=series_labels(rows)))
    if not parts:
        return pd.DataFrame(columns=[*KEYS, "seeds", "mean", "std"])
    values = pd.concat(parts).pivot_table(
        index=KEYS, columns="seed", values="value", aggfunc="first", sort=False
    )
    values = values[values.count(axis=1) > 1]
    values = values[sorted(values.columns)].rename(columns=lambda seed: f"seed {int(seed)}")
    numbers = {
        "seeds": values.count(axis=1),
        "mean": values.mean(axis=1),
        "std": values.std(axis=1),
    }
    return pd.concat([pd.DataFrame(numbers), values], axis=1).reset_index()


def write_seeds(output: Output) -> Path | None:
    """Write `seeds.csv`, if anything was trained with several seeds."""
    table = seeds_table(output)
    if table.empty:
        return None
    path = output.folder / NAME
    with replacing(path) as beside:
        table.to_csv(beside, index=False, float_format="%.8g")
    return path
