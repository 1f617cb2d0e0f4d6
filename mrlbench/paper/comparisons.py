"""What each claim compares, found in any table with the CSV's columns: the paper's or a run's.

Every function takes a table and lists the comparisons that it has the rows for, none if it lacks
them. So the same lines of code work out what the published values say and what a run says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from mrlbench.paper.cells import Cells, Comparison

Compare = Callable[[pd.DataFrame], list[Comparison]]
PAPER_CASCADE = 37.5 / 512  # an expected dim that rounds to 37, against the fixed model of 512


def nested(task: str, metric: str, method: str = "mrl") -> Cells:
    """Name a number of a nested method at any dim."""
    return Cells(task, metric, method, reducer=None if task == "classification" else "prefix")


def against_fixed(task: str, metric: str) -> Compare:
    """Compare MRL with the separate model of each dim, at every dim that has one."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        pairs = []
        for dim in nested(task, metric).dims(table):
            mrl = replace(nested(task, metric), dim=dim)
            fixed = replace(mrl, method=f"fixed-{dim}")
            if len(fixed.of(table)):
                pairs.append(Comparison(str(dim), mrl, fixed))
        return pairs

    return compare


def among(datasets: Sequence[str], inner: Compare) -> Compare:
    """Compare on some data sets only: elsewhere the claim says nothing."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        return inner(table[table["dataset"].isin(list(datasets))])

    return compare


def mrl_e_against_mrl(from_dim: int) -> Compare:
    """Compare the linear accuracy of MRL-E with that of MRL at every dim from one on."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        mrl, mrl_e = (nested("classification", "top1", method) for method in ("mrl", "mrl-e"))
        shared = [dim for dim in mrl.dims(table) if dim in mrl_e.dims(table) and dim >= from_dim]
        return [
            Comparison(str(dim), replace(mrl_e, dim=dim), replace(mrl, dim=dim)) for dim in shared
        ]

    return compare


def against_cuts(table: pd.DataFrame) -> list[Comparison]:
    """Compare MRL with every way to cut the fixed full-width model, by mAP@10 below full width."""
    mrl = nested("retrieval", "map@10")
    dims = mrl.dims(table)
    fixed = replace(mrl, method=f"fixed-{max(dims, default=0)}")
    pairs = []
    for reducer in sorted(fixed.of(table, "dim", "reducer")["reducer"].dropna().unique()):
        cut, name = replace(fixed, reducer=reducer), "first-k" if reducer == "prefix" else reducer
        for dim in cut.dims(table):
            if dim in dims[:-1]:
                pair = replace(mrl, dim=dim), replace(cut, dim=dim)
                pairs.append(Comparison(f"{dim}, {name}", *pair))
    return pairs


def interpolated(table: pd.DataFrame) -> list[Comparison]:
    """Compare 1-NN accuracy at a dim between two trained ones with that at the lower of them."""
    trained = nested("knn", "top1")
    between, known = replace(trained, variant="interpolated"), trained.dims(table)
    pairs = []
    for dim in between.dims(table):
        narrower = [each for each in known if each < dim < max(known)]
        if narrower:
            pair = replace(between, dim=dim), replace(trained, dim=max(narrower))
            pairs.append(Comparison(str(dim), *pair))
    return pairs


def cascade(table: pd.DataFrame) -> list[Comparison]:
    """Compare a cascade with fixed-512 at an expected dim of 37, or with the widest fixed model.

    Of the cascades whose expected dim is in the same proportion to the fixed model's or less, it is
    the one with the largest. The paper's rule, with mirror images where it was run so.
    """
    fixed = Cells("classification", "top1", "")
    methods = fixed.of(table, "dim", "method")["method"].unique()
    widths = [int(each.removeprefix("fixed-")) for each in methods if each.startswith("fixed-")]
    width = 512 if 512 in widths else max(widths, default=0)
    expected = [(dim, cells) for dim, cells in _cascades(table) if dim <= PAPER_CASCADE * width]
    if not expected:
        return []
    dim, cells = max(expected, key=lambda each: each[0])
    right = replace(fixed, method=f"fixed-{width}", dim=width)
    return [Comparison(f"{dim:.1f} against {width}", cells, right)]


def _cascades(table: pd.DataFrame) -> list[tuple[float, Cells]]:
    """List cascades with their expected dims: a column of the paper's table, rows of a run's."""
    top1 = Cells("adaptive-classification", "top1", "mrl", variant="rule=max-softmax,tta")
    if "expected_dim" in table:
        dims = top1.of(table)["expected_dim"].dropna()
        return [(float(dim), replace(top1, expected_dim=float(dim))) for dim in dims]
    for variant in ("rule=max-softmax,tta", "rule=max-softmax"):
        cells = replace(top1, variant=variant, metric="expected_dim")
        found = [replace(cells, dim=dim) for dim in cells.dims(table)]
        if found:
            return [
                (float(each.of(table)["value"].mean()), replace(each, metric="top1"))
                for each in found
            ]
    return []


def boost(table: pd.DataFrame) -> list[Comparison]:
    """Compare the narrowest dim's accuracy with and without a doubled loss weight."""
    plain = Cells("classification", "top1", "mrl")
    boosted = replace(plain, variant="weights=8-boost")
    dims = [dim for dim in plain.dims(table) if dim in boosted.dims(table)]
    return [
        Comparison(str(dim), replace(boosted, dim=dim), replace(plain, dim=dim)) for dim in dims[:1]
    ]


def analysis(task: str) -> Compare:
    """Compare MRL with the separate model of each dim on each set or variant of an analysis."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        rows = table[(table["task"] == task) & (table["metric"] == "top1")]
        rows = rows[rows["method"] == "mrl"].dropna(subset="dim")
        columns = ["queries", "variant", "reducer", "dim"]
        found = []
        for each in rows[columns].drop_duplicates().to_dict("records"):
            known = {name: None if pd.isna(value) else value for name, value in each.items()}
            mrl = Cells(task, "top1", "mrl", **{**known, "dim": int(each["dim"])})  # type: ignore[arg-type]
            fixed = replace(mrl, method=f"fixed-{mrl.dim}")
            if len(fixed.of(table)):
                named = (mrl.queries, mrl.variant, mrl.dim)
                found.append(Comparison(", ".join(str(name) for name in named if name), mrl, fixed))
        return found

    return compare


def oracle(table: pd.DataFrame) -> list[Comparison]:
    """Compare the accuracy of the best dim for each image with that of the widest."""
    rows = table[(table["task"] == "oracle") & (table["method"] == "mrl")]
    rows = rows[(rows["metric"] == "oracle_accuracy") & rows["variant"].isna()]
    dims = Cells("classification", "top1", "mrl").dims(table)
    if rows.empty or not dims:
        return []
    first = rows.iloc[0]
    dim, reducer = (None if pd.isna(first[name]) else first[name] for name in ("dim", "reducer"))
    best = Cells("oracle", "oracle_accuracy", "mrl", dim, reducer)
    widest = Cells("classification", "top1", "mrl", max(dims))
    return [Comparison(f"best dim against {max(dims)}", best, widest)]


def training_step(table: pd.DataFrame) -> list[Comparison]:
    """Take how much longer a training step is with nested heads than with one."""
    ratio = Cells("training-cost", "step_ratio", "mrl")
    rows = ratio.of(table, "dim", "variant").dropna(subset="dim")
    return [
        Comparison(
            str(variant).removeprefix("over="),
            replace(ratio, dim=int(dim), variant=str(variant)),
            how="saving",
        )
        for dim, variant in zip(rows["dim"], rows["variant"], strict=True)
    ]
