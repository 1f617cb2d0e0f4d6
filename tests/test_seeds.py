"""Several seeds: mean, spread and each of them, by hand."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mrlbench import measurements
from mrlbench.cli import app
from mrlbench.measurements import Row
from mrlbench.reports.seeds import seeds_table
from mrlbench.runs import Output

COMMON = {"run": "r", "dataset": "photos", "queries": "test", "n": 50, "dim": 8}


def write(folder, **values):
    rows = [
        Row(**COMMON, task="classification", metric="top1", method=method, seed=seed, value=value)
        for method, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    measurements.merge(folder / "classification.csv", rows)
    return Output(folder)


def test_mean_and_spread_by_hand(tmp_path):
    table = seeds_table(write(tmp_path, mrl=[0.5, 0.6, 0.7], alone=[0.4], pair=[0.1, 0.3]))
    assert table["series"].tolist() == ["mrl", "pair"]  # what was trained once has no spread
    assert table["seeds"].tolist() == [3, 2]
    assert table["mean"].tolist() == pytest.approx([0.6, 0.2])
    assert table["std"].tolist() == pytest.approx([0.1, 0.02**0.5])
    assert table.loc[0, ["seed 0", "seed 1", "seed 2"]].tolist() == [0.5, 0.6, 0.7]


def test_plot_writes_them_where_there_are_several(tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    for folder, values in ((once, [0.4]), (twice, [0.4, 0.5])):
        folder.mkdir()
        write(folder, mrl=values)
        result = CliRunner().invoke(app, ["plot", str(folder)])
        assert result.exit_code == 0, result.output
    assert not (once / "seeds.csv").exists()
    assert pd.read_csv(twice / "seeds.csv")["mean"].tolist() == pytest.approx([0.45])
    assert str(Path("twice") / "seeds.csv") in result.output.replace("\n", "")
