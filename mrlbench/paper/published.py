"""The values that the paper's authors published, in this project's own names.

`published.csv` has one value a row. `task`, `method`, `variant`, `reducer`, `dim`, `rerank_dims`,
`shortlist` and `metric` mean what they mean in a run's CSV files, so that the two can be joined;
`published_as` is the paper's name of the method, `value` and `unit` are as published (`%`,
`fraction` or `MFLOP`), `expected_dim` is a cascade's, and `source` is repository@commit:file.
"""

from functools import cache
from importlib import resources

import pandas as pd

from mrlbench.measurements import COLUMNS, DTYPES

IMAGENET, IMAGENET_4K = "imagenet1k", "imagenet4k"
RESNET, BERT = "ResNet50", "BERT-Base"
TYPES = {"dim": "Int64", "expected_dim": "float64", "value": "float64"}
FRACTION_OF = {"%": 0.01, "fraction": 1.0}  # accuracies are fractions; the rest stays as it is


@cache
def published() -> pd.DataFrame:
    """Read every published value; `fraction` is the value in the unit of this project's rows.

    Returns:
        431 rows with the file's columns, those that only a run's rows have (empty), and
        `fraction`; not to be changed, it is read once.
    """
    path = resources.files("mrlbench.paper") / "published.csv"
    with path.open(encoding="utf-8") as file:
        names = pd.read_csv(file, nrows=0).columns
    types = {name: TYPES.get(name, "string") for name in names}
    with path.open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=types, keep_default_na=False, na_values=[""])
    scale = table["unit"].map(FRACTION_OF).fillna(1.0).astype("float64")
    absent = [name for name in COLUMNS if name not in table]
    empty = pd.DataFrame(index=table.index, columns=absent).astype({n: DTYPES[n] for n in absent})
    return pd.concat([table.assign(fraction=table["value"] * scale), empty], axis=1)


def curve(task: str, method: str, metric: str) -> pd.DataFrame:
    """Give a curve of the main experiment, ImageNet-1K with ResNet50, over dims.

    Args:
        task: Such as `knn`.
        method: `mrl`, or `fixed` for the separate model of each dim.
        metric: Such as `map@10`.

    Returns:
        `dim` and `fraction`, by dim; empty where nothing was published.
    """
    table = published()
    chosen = (
        (table["dataset"] == IMAGENET)
        & (table["backbone"] == RESNET)
        & (table["task"] == task)
        & (table["metric"] == metric)
        & table["variant"].isna()
        & table["published_as"].isin(["FF"] if method == "fixed" else [method.upper()])
    )
    return table.loc[chosen, ["dim", "fraction"]].sort_values("dim")


def cascade() -> pd.DataFrame:
    """Give the paper's cascade on ImageNet-1K with mirror images (Fig. 6).

    Returns:
        `expected_dim` and `fraction`, by expected dim.
    """
    table = published()
    chosen = (table["task"] == "adaptive-classification") & table["expected_dim"].notna()
    chosen &= table["metric"] == "top1"
    return table.loc[chosen, ["expected_dim", "fraction"]].sort_values("expected_dim")


def schedules_by_cost(dataset: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give MRL's mAP@10 (`fraction`) and `mflops`: of exact search by dim, and of reranks at D."""
    table = published()
    table = table[(table["dataset"] == dataset) & (table["task"] == "adaptive-retrieval")]
    keys = ["dim", "rerank_dims", "shortlist"]
    cost = table[table["metric"] == "mflops"][[*keys, "value"]]
    quality = table[table["metric"] == "map@10"][[*keys, "fraction"]]
    joined = quality.merge(cost.rename(columns={"value": "mflops"}), on=keys).sort_values("dim")
    single = joined["rerank_dims"] == joined["dim"].astype("string")
    widest = joined["rerank_dims"] == str(joined["dim"].max())
    return joined[single], joined[widest & ~single]
