"""Rows with a variant stay out of the main tables and figures; the baselines' own figures."""

import pytest

from mrlbench import measurements
from mrlbench.measurements import Row
from mrlbench.reports.baseline_plots import FIGURES
from mrlbench.reports.selections import adaptive_schedules
from mrlbench.reports.series import read, series
from mrlbench.reports.style import looks
from mrlbench.reports.tables import main_table, markdown_table, series_label
from mrlbench.runs import Output

COMMON = {"run": "r", "dataset": "photos", "queries": "test", "seed": 0, "n": 50}


def row(method, dim, value, **cells):
    interval = {"ci_low": value - 0.01, "ci_high": value + 0.01}
    return Row(**COMMON, **interval, method=method, dim=dim, value=value, **cells)


@pytest.fixture
def output(tmp_path):
    linear = {"task": "classification", "metric": "top1"}
    rows = [
        row("mrl", 8, 0.5, **linear),
        row("mrl", 16, 0.6, **linear),
        row("mrl", 8, 0.9, variant="weights=8-boost", **linear),
        row("mrl", 8, 0.7, variant="probe=linear", reducer="prefix", **linear),
        row("fixed-16", 16, 0.4, **linear),
        row("fixed-16", 16, 0.8, variant="probe=linear", reducer="prefix", **linear),
        row("fixed-16", 8, 0.3, variant="probe=linear", reducer="prefix", **linear),
        row("fixed-16", 8, 0.2, reducer="svd-classifier", **linear),
    ]
    measurements.merge(tmp_path / "classification.csv", rows)
    found = {"task": "retrieval", "reducer": "prefix", "n_database": 900}
    retrieval = [row("mrl", dim, dim / 100, metric="map@10", **found) for dim in (8, 16)]
    retrieval += [row("mrl", dim, dim / 1000, metric="mflops", **found) for dim in (8, 16)]
    measurements.merge(tmp_path / "retrieval.csv", retrieval)
    adaptive = []
    for ladder, length in (("16", 100), ("16", 200), ("16", 400), ("12", 200), ("12>16", 200)):
        lengths = f"{length}>10" if ">" in ladder else str(length)
        cells = {"rerank_dims": ladder, "shortlist": lengths, "n_database": 900}
        for metric, value in (("map@10", length / 1000), ("mflops", length / 1e4)):
            adaptive.append(row("mrl", 8, value, task="adaptive-retrieval", metric=metric, **cells))
    grid = {"rerank_dims": "16", "shortlist": "200", "n_database": 900}  # no curve: one length
    adaptive.append(row("mrl", 12, 0.3, task="adaptive-retrieval", metric="map@10", **grid))
    measurements.merge(tmp_path / "adaptive_retrieval.csv", adaptive)
    return Output(tmp_path)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (("mrl", None, 8, None), "mrl"),
        (("mrl", "prefix", 8, "weights=8-boost"), "mrl [weights=8-boost]"),
        (("mrl", "prefix", 8, "probe=linear"), "mrl [probe=linear]"),
        (("fixed-64", None, 64, None), "fixed"),
        (("fixed-64", "prefix", 8, None), "fixed-64 first-k"),
        (("fixed-64", "prefix", 64, "probe=linear"), "fixed-64 first-k [probe=linear]"),
        (("fixed-64", "pca", 8, "probe=linear"), "fixed-64 pca [probe=linear]"),
        (("fixed-64", "svd-classifier", 8, None), "fixed-64 svd-classifier"),
        (("slimmable", "prefix", 8, None), "slimmable"),
    ],
)
def test_every_line_has_a_name_of_its_own(row, label):
    assert series_label(*row) == label


def test_rows_with_a_variant_are_not_averaged_into_the_main_numbers(output):
    lines = dict(series(read(output, "classification", "top1")))
    assert {name: line["value"].tolist() for name, line in lines.items()} == {
        "mrl": [0.5, 0.6],
        "fixed": [0.4],
        "fixed-16 svd-classifier": [0.2],
    }
    table = main_table(output)
    assert "0.5000" in table
    assert not any(number in table for number in ("0.7000", "0.9000", "0.8000"))
    assert "50.00" in markdown_table(output)
    assert "90.00" not in markdown_table(output)


def test_the_figure_of_probes_shows_them_beside_the_heads_and_no_ablation(output):
    figure = FIGURES["linear_by_dim"](output)
    drawn = {each.get_label(): each.get_ydata().tolist() for each in figure.axes[0].lines}
    assert drawn == {
        "mrl": [0.5, 0.6],
        "fixed": [0.4],
        "fixed-16 svd-classifier": [0.2],
        "probe: mrl": [0.7],
        "probe: fixed-16 first-k": [0.3, 0.8],
    }


def test_the_figure_of_shortlists_has_every_length_and_the_exact_result(output):
    figure = FIGURES["map_by_shortlist"](output)
    curve, exact = figure.axes[0].lines
    assert curve.get_label() == "Ds = 8"
    assert curve.get_xdata().tolist() == [100, 200, 400]
    assert curve.get_ydata().tolist() == [0.1, 0.2, 0.4]
    assert list(exact.get_ydata()) == [0.16, 0.16]


def test_the_grid_of_reranks_is_drawn_at_one_length(output):
    drawn = adaptive_schedules(output)
    assert set(zip(drawn["rerank_dims"], drawn["shortlist"], strict=True)) == {
        ("16", "200"),
        ("12", "200"),
        ("12>16", "200>10"),
    }


def test_figures_without_their_rows_are_not_drawn(tmp_path):
    assert [draw(Output(tmp_path)) for draw in FIGURES.values()] == [None, None]


def test_no_two_of_fourteen_lines_look_the_same():
    chosen = [tuple(look.values()) for look, _ in zip(looks(), range(14), strict=False)]
    assert len(set(chosen)) == 14
