"""The published values are all there, with their sources, and in this project's own terms."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mrlbench.measurements import COLUMNS
from mrlbench.paper.published import curve, published, schedules_by_cost
from mrlbench.reports.paper_curves import paper_costs, paper_curves
from mrlbench.search.adaptive import Schedule

DATABASE = {"imagenet1k": 1_281_167, "imagenet4k": 4_202_000}
# How many values each item has and their sum, added up from the collected file by another program
ITEMS = {
    ("Table 1", "%"): (53, 3117.08),
    ("Table 2", "%"): (54, 3205.074),
    ("Fig. 5", "%"): (8, 558.06),
    ("Table 4", "%"): (35, 2145.14),
    ("Table 5", "%"): (12, 777.963),
    ("Table 7", "fraction"): (14, 8.8996),
    ("Fig. 7 / Table 8", "%"): (54, 2799.2904),
    ("Table 11 / Fig. 8a", "%"): (45, 2912.32),
    ("Table 11 / Fig. 8a", "MFLOP"): (45, 10389.10),
    ("Table 12 / Fig. 8b", "%"): (45, 654.7432),
    ("Table 12 / Fig. 8b", "MFLOP"): (45, 34059.58),
    ("Table 10", "%"): (9, 119.3732),
    ("Table 13 / Fig. 8a", "%"): (3, 195.02),
    ("Table 14 / Fig. 8b", "%"): (2, 33.4948),
    ("Fig. 6", "%"): (7, 530.90),
}


@pytest.mark.parametrize(("item", "unit"), ITEMS)
def test_no_value_was_lost_or_changed(item, unit):
    table = published()
    rows = table[(table["paper_item"] == item) & (table["unit"] == unit)]
    count, total = ITEMS[item, unit]
    assert len(rows) == count
    assert rows["value"].sum() == pytest.approx(total, abs=1e-6)


def test_there_are_431_values_each_with_its_source():
    table = published()
    assert len(table) == 431 == sum(count for count, _ in ITEMS.values())
    assert table["value"].notna().all()
    assert table["source"].str.fullmatch(r"RAIVNLab/MRL@[0-9a-f]{40}:Visualization/.+\.csv").all()
    sources = table.groupby("paper_item")["source"].nunique()
    assert (sources == 1).all()


def test_no_two_values_have_the_same_name():
    own = ["dataset", "backbone", "published_as", "expected_dim"]
    named = [*own, *(name for name in COLUMNS if name not in ("value", "dataset"))]
    assert not published().duplicated(named).any()


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ({"task": "classification", "method": "mrl", "dim": 8}, 66.63),
        ({"task": "classification", "method": "fixed-64", "dim": 64}, 75.27),
        ({"task": "classification", "reducer": "svd-classifier", "dim": 128}, 67.24),
        ({"task": "classification", "variant": "probe=linear", "dim": 16}, 11.29),
        ({"task": "knn", "variant": "interpolated", "dim": 12}, 65.89),
        ({"task": "retrieval", "dataset": "imagenet4k", "dim": 2048}, 17.2018),
        ({"task": "adaptive-classification", "expected_dim": 37.19}, 76.29),
        ({"rerank_dims": "32>64>128>256>2048", "shortlist": "200>100>50>25>10"}, 65.19),
    ],
)
def test_values_have_the_names_that_a_runs_rows_have(cells, value):
    table = published()
    table = table[table["backbone"] == "ResNet50"]
    for column, cell in cells.items():
        table = table[(table[column] == cell).fillna(False)]
    assert table["value"].tolist() == [value]
    assert table["fraction"].tolist() == [pytest.approx(value / 100)]


def test_fractions_stay_fractions():
    bert = published()[published()["backbone"] == "BERT-Base"]
    assert len(bert) == 14
    pd.testing.assert_series_equal(bert["fraction"], bert["value"], check_names=False)


def test_our_cost_function_gives_all_90_published_mflops():
    table = published()
    costs = table[table["metric"] == "mflops"]
    assert len(costs) == 90
    for row in costs.itertuples():
        lengths = tuple(int(each) for each in row.shortlist.split(">"))
        ladder = tuple(int(each) for each in row.rerank_dims.split(">"))
        ours = Schedule(int(row.dim), ladder, lengths).mflops(DATABASE[row.dataset])
        # the published number, written with as many digits as it has
        digits = max(0, len(f"{row.value:.10g}".partition(".")[2]))
        assert round(ours, digits) == pytest.approx(row.value, abs=0.5 * 10**-digits), row


def test_the_curves_are_those_of_the_main_experiment():
    assert curve("knn", "mrl", "top1")["dim"].tolist() == [2**n for n in range(3, 12)]
    assert curve("classification", "fixed", "top1")["fraction"].iloc[0] == pytest.approx(0.6529)
    assert curve("retrieval", "mrl", "recall@10").empty


def test_reranks_by_cost_are_told_from_exact_search():
    exact, reranked = schedules_by_cost("imagenet1k")
    assert exact["dim"].tolist() == [2**n for n in range(3, 12)]
    assert reranked["dim"].tolist() == [2**n for n in range(3, 11)]
    assert exact["mflops"].is_monotonic_increasing


def test_the_published_curves_are_drawn_where_most_dims_agree():
    drawn = {}
    for dims in ([2, 4, 8, 16, 32, 64], [12, 24, 48], [2, 4, 8]):
        axes = Figure().add_subplot()
        paper_curves(axes, "knn", "top1", dims)
        drawn[tuple(dims)] = [each.get_xdata().tolist() for each in axes.get_lines()]
    shared = [8, 16, 32, 64]
    assert drawn == {(2, 4, 8, 16, 32, 64): [shared, shared], (12, 24, 48): [], (2, 4, 8): []}


def test_published_costs_are_drawn_on_the_same_data_set_only():
    for dataset, lines in (("imagenet1k", 1), ("fashion-mnist", 0)):
        axes = Figure().add_subplot()
        paper_costs(axes, [dataset])
        assert len(axes.get_lines()) == lines
    paper_costs(axes, ["imagenet1k"])
    (line,) = axes.get_lines()
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (10.25, pytest.approx(0.568, abs=0.001))
