"""The HTML report: its numbers are those of the CSV files, and it needs nothing but itself."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mrlbench import measurements
from mrlbench.measurements import Row
from mrlbench.reports.page.axes import label, scale_of
from mrlbench.reports.page.blocks import Axis, Chart, Look, Point, Series
from mrlbench.reports.page.classes import by_class
from mrlbench.reports.page.disagreement import disagreement
from mrlbench.reports.page.measured import METHODS
from mrlbench.reports.page.page import render, write_page
from mrlbench.reports.page.speed import _built as built_table
from mrlbench.reports.page.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, svg
from mrlbench.reports.page.things import things_of
from mrlbench.runs import Output

PUBLISHED = Path(__file__).parents[1] / "results" / "tiny-imagenet"
HOSTILE = "<img src=x onerror=alert(1)>'\"&"


class Page(HTMLParser):
    """Elements with their attributes, and tables by caption: rows of texts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.tables, self.texts, self._rows, self._in = [], {}, [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        self._in = tag if tag in ("td", "th", "caption") else self._in

    def handle_endtag(self, tag):
        if tag == "table":
            self.tables[self._caption.strip()] = self._rows
        if tag == self._in:
            self._in = ""

    def handle_data(self, data):
        self.texts.append(data)
        if self._in == "caption":
            self._caption += data
        elif self._in:
            self._rows[-1][-1] += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(Output(PUBLISHED), path.parent, path)
    return path.read_text()


@pytest.fixture(scope="module")
def digits(digits_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(Output(digits_run), path.parent, path)
    return Page(path.read_text())


def value(csv, **cells):
    table = measurements.read(PUBLISHED / f"{csv}.csv")
    table = table[table["variant"].isna()]
    for column, cell in cells.items():
        table = table[table[column] == cell]
    return table.iloc[0]


def test_scales_by_hand():
    linear = scale_of(Axis("", low=0, high=10), [3])
    assert [linear.place(each) for each in (0, 2.5, 10, 99)] == [0, 0.25, 1, 1]
    assert linear.ticks == [0, 2, 4, 6, 8, 10]
    dims = scale_of(Axis("", "dims", (8, 32, 512)), [8, 512])
    assert dims.place(64) == pytest.approx(0.5)  # 8 · 8 and 512 / 8
    assert dims.ticks == [8, 32, 512]
    assert scale_of(Axis("", "log"), [1, 1000]).ticks == [1, 3, 10, 30, 100, 300, 1000]
    assert [label(each) for each in (0.005, 2048, 20000, 3e6)] == ["0.005", "2048", "20k", "3M"]


def test_a_point_stands_where_its_value_is():
    x, y = (Axis(name, low=0, high=10) for name in "xy")
    chart = Chart("title", x, y, [Series("line", [Point(2.5, 5, 4, 6, "here")], Look(0))])
    (point,) = ElementTree.fromstring(svg(chart)).iter("use")
    assert float(point.get("x")) == pytest.approx(LEFT + 0.25 * (WIDTH - LEFT - RIGHT), abs=0.06)
    assert float(point.get("y")) == pytest.approx((TOP + HEIGHT - BOTTOM) / 2, abs=0.06)
    assert point.get("data-tip") == "line\nhere\nx 2.5\ny 5 (4 to 6)"


def test_the_main_numbers_are_those_of_the_csv_files(published):
    page = Page(published)
    (kept,) = [rows for name, rows in page.tables.items() if name.startswith("What mrl keeps")]
    rows = {row[0]: row for row in kept}
    top1 = value("classification", metric="top1", method="mrl", dim=16)
    full = value("classification", metric="top1", method="mrl", dim=2048)
    assert rows["16"][1] == (
        f"{100 * top1['value']:.4g} ({100 * top1['ci_low']:.4g} to {100 * top1['ci_high']:.4g}), "
        f"{top1['value'] / full['value']:.0%}"
    )
    grid = page.tables["mrl: mAP@10, %, shortlists of 200"]
    cell = value(
        *("adaptive_retrieval",),
        **{"metric": "map@10", "method": "mrl", "dim": 16, "rerank_dims": "2048"},
        shortlist="200",
    )
    column = grid[0].index("2048")
    assert [row[column] for row in grid if row[0] == "16"] == [f"{100 * cell['value']:.2f}"]
    exact = value("retrieval", metric="map@10", method="mrl", dim=2048, reducer="prefix")
    assert grid[-1][column] == f"{100 * exact['value']:.2f}"  # nothing is reranked


def test_the_verdicts_are_those_of_the_run(published):
    verdicts = pd.read_csv(PUBLISHED / "claims.csv").drop_duplicates("claim")["verdict"]
    shown = [row[-1][2:] for row in Page(published).tables["Verdicts"][1:]]
    assert shown == verdicts.tolist()


def test_every_number_that_is_drawn_stands_in_the_table_behind(published):
    figures = re.findall(r'<figure class="chart">.*?</figure>', published, re.DOTALL)
    assert len(figures) >= 12
    for figure in figures:
        page = Page(figure)
        (rows,) = page.tables.values()
        drawn = [use for use in page.of("use") if "data-tip" in use]
        assert len(drawn) == len(rows) - 1
        for use, row in zip(drawn, rows[1:], strict=True):
            name, *_, last = use["data-tip"].split("\n")
            assert row[0] == name
            assert last.split(" (")[0].endswith(f" {row[2]}")


def test_it_needs_nothing_but_itself(published):
    assert len(published) < 1_500_000
    page = Page(published)
    targets = [a[key] for _, a in page.elements for key in ("src", "href", "action") if key in a]
    assert targets and all(each.startswith(("#", "data:")) for each in targets)
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    style, script = (
        re.search(f"<{tag}>(.*?)</{tag}>", published, re.DOTALL)[1] for tag in ("style", "script")
    )
    assert not re.search(r"url\(|@import", style)
    assert not re.search(r"fetch|XMLHttpRequest|import\(|https?:", script)


def test_its_structure_is_one_that_readers_of_all_kinds_can_use(published):
    page = Page(published)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.of("a")} <= set(ids)
    assert all(a.get("scope") in ("row", "col") for a in page.of("th"))
    assert len(page.of("table")) == len(page.of("caption"))
    assert all("aria-label" in a for a in page.of("svg") if a.get("role") == "img")
    assert len(page.of("h1")) == len(page.of("main")) == 1
    assert page.of("html")[0]["lang"] == "en"


def write(folder, csv, *rows):
    folder.mkdir(exist_ok=True)
    measurements.merge(folder / f"{csv}.csv", rows)
    return Output(folder)


def test_what_others_wrote_is_text_and_never_markup(tmp_path, mrlbench):
    common = {"dataset": HOSTILE, "task": "knn", "metric": "top1", "reducer": "prefix"}
    folder = tmp_path / "run"
    rows = [Row("run", **common, method=HOSTILE, dim=dim, value=0.5, n=3) for dim in (2, 4)]
    write(folder, "knn", *rows)
    (folder / "experiment.toml").write_text(f"seeds = [0]\n[dataset]\nname = '''{HOSTILE}'''\n")
    (folder / "recommend.json").write_text(json.dumps({HOSTILE: HOSTILE, "a": {"b": 1}}))
    (folder / "manifest.json").write_text(json.dumps({"stages": {HOSTILE: {"seconds": 1}}}))
    status, out, err = mrlbench("report", folder, "--out", tmp_path / "page.html")
    assert (status, err) == (0, "") and "page.html" in out
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert len(page.of("script")) == 1 and not page.of("img")
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert "".join(page.texts).count(HOSTILE) > 5
    assert page.tables["What was recommended"][1:] == [[HOSTILE, HOSTILE], ["a: b", "1"]]


def test_what_is_missing_is_said_with_its_command(tmp_path, mrlbench):
    common = {"task": "knn", "metric": "top1", "reducer": "prefix", "method": "mrl"}
    output = write(tmp_path / "run", "knn", Row("run", "data", **common, dim=8, value=0.5))
    write_page(output, tmp_path, output.folder / "report.html")
    text = (output.folder / "report.html").read_text()
    for command in (
        *("recommend", "eval-classification", "eval-retrieval", "eval-adaptive-retrieval"),
        *("eval-adaptive-classification", "bench-search", "claims"),
    ):
        assert f"<code>mrlbench {command}" in text, command
    empty = tmp_path / "empty"
    empty.mkdir()
    status, _, err = mrlbench("report", empty)
    assert status == 2 and err.count("\n") == 1 and not (empty / "report.html").exists()


def test_the_loss_of_a_class_by_hand():
    scores = np.array([[0.0, 1.0], [0.5, 0.5], [0.2, 0.6], [0.4, 0.6]])  # (Q=4, M=2)
    found = by_class(scores, np.array([7, 3, 3, 7]))
    assert found.numbers.tolist() == [7, 3]  # 7 loses more
    assert found.means == pytest.approx(np.array([[0.2, 0.8], [0.35, 0.55]]))
    assert found.lost[:, 0] == pytest.approx([0.6, 0.2])
    assert found.lost[0, 1:] == pytest.approx([0.2, 1.0])  # two queries: either one twice
    assert found.counts.tolist() == [2, 2]


def timed(dim, us, **cells):
    usual = {"task": "search-speed", "index": "exact", "metric": "us_per_query", "mode": "batch"}
    common = {"n_database": 1000, "method": "mrl", "reducer": "prefix", "seed": 0, "threads": 1}
    return Row("run", "data", **common, dim=dim, value=us, **{**usual, **cells})


def test_an_index_that_was_measured_again_has_one_line(tmp_path):
    """With other threads, or by a grid, whose rows are of another task."""
    common = {"dataset": "d", "method": "mrl", "index": "hnsw", "dim": 8}
    for task, threads, value in (("search-speed", 1, 3e6), ("search-speed", 8, 4e6)):
        for metric in ("build_s", "bytes"):
            row = Row("run", **common, task=task, threads=threads, metric=metric, value=value, n=1)
            write(tmp_path / "run", "search_speed", row)
    grid = Row("run", **common, task="search-grid", metric="bytes", value=9e6, n=1)
    (line,) = built_table(write(tmp_path / "run", "search_speed", grid)).rows
    assert line == ["hnsw, 8 dims", "4,000,000", "4"]


def test_flops_against_the_clock_by_hand(tmp_path):
    graph = {"index": "hnsw", "dim": 8}
    visits = {"metric": "distances_per_query", "mode": None}
    pipeline = {"task": "adaptive-pipeline", "rerank_dims": "64", "shortlist": "100"}
    output = write(
        *(tmp_path / "run", "search_speed", timed(8, 50.0), timed(64, 100.0)),
        *(timed(us=us, effort=ef, **graph) for ef, us in ((16, 10.0), (32, 20.0))),
        *(timed(us=n, effort=ef, **graph, **visits) for ef, n in ((16, 500), (32, 1000))),
        timed(us=90.0, effort=24, **graph, **pipeline),
    )
    tables = {each.caption: each for each in disagreement(output) if each.kind == "table"}
    (speedups,) = [each for name, each in tables.items() if name.startswith("Exact search")]
    assert speedups.rows[0] == [8, "8×", "2×", "50", "6.25"]  # 50 µs for 8,000 multiply–adds
    (stages,) = [each for name, each in tables.items() if name.startswith("Which stage")]
    first, second = (row[1:] for row in stages.rows)
    assert first == ["graph at 8", "0.004 to 0.008", "10 to 20", "2.5"]
    assert second == ["rerank at 64", "0.0064", "70 to 80", "10.9 to 12.5"]


def test_who_suffers_first_in_a_run(digits, digits_run):
    vectors = digits_run / "embeddings" / "mrl" / "seed-0"
    labels = np.load(vectors / "queries_labels.npy")
    with np.load(digits_run / "raw" / "scores-retrieval-prefix-mrl-seed-0.npz") as raw:
        lost = pd.Series(raw["map@10@dim512"] - raw["map@10@dim4"]).groupby(labels).mean()
    (name,) = [each for each in digits.tables if each.startswith("Points of mAP@10")]
    rows = digits.tables[name][1:]
    order = lost.sort_values(ascending=False)
    assert [float(row[2].split(" ")[0]) for row in rows] == [
        pytest.approx(100 * each, abs=0.051) for each in order
    ]
    assert int(rows[0][0]) == order.index[0]


def test_examples_show_the_neighbours_that_were_found(digits, digits_run):
    pixels = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    labels = load_digits().target
    pictures = [decoded(each["src"]) for each in digits.of("img")]
    marks = [a["class"].split()[1:] for _, a in digits.elements if "item" in a.get("class", "")]
    assert len(pictures) == len(marks) >= 16
    place = 0
    raw = digits_run / "raw"
    ids = {}
    for dim in (4, 128, 512):  # 128 is nearest to 64
        with np.load(raw / f"neighbors-prefix-{dim}-mrl-seed-0.npz") as found:
            ids[dim] = found["ids"][:, :5]
    for _ in range(len(pictures) // 16):
        query = row_of(pictures[place], pixels[-360:])
        place += 1
        for each in ids.values():
            for row in each[query]:
                assert (pictures[place] == pixels[row]).all()
                assert marks[place] == ["right" if labels[row] == labels[-360:][query] else "wrong"]
                place += 1


@pytest.fixture
def asked(monkeypatch):
    """Who asked the network, or for a package; nobody gets an answer."""
    found = list[object]()
    for function in ("socket.socket.connect", "socket.getaddrinfo", "mrlbench.downloads._run"):
        monkeypatch.setattr(function, lambda *given, **_: found.append(given))
    return found


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "tiny-imagenet", "wordnet"])
def test_data_that_are_not_there_are_not_fetched(name, tmp_path, asked, caplog):
    data, run = tmp_path / "data", tmp_path / "run"
    for folder in (data, run):
        folder.mkdir()
    (run / "experiment.toml").write_text(f'[dataset]\nname = "{name}"\n')
    things = things_of(Output(run), data)
    assert not things.known and str(data) in things.reason
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("report: no examples: ") and str(data) in line and "\n" not in line
    assert list(data.iterdir()) == asked == []


def test_a_page_without_its_data_has_no_pictures(digits_run, mrlbench, tmp_path, asked, caplog):
    run, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(digits_run, run)
    text = (run / "experiment.toml").read_text()
    (run / "experiment.toml").write_text(text.replace('name = "digits"', 'name = "cifar10"', 1))
    status, _, _ = mrlbench("report", run, "--data-dir", data)
    (line,) = [each for each in caplog.messages if each.startswith("report: no examples: ")]
    assert (status, asked) == (0, []) and str(data) in line
    page = Page((run / "report.html").read_text())
    assert not page.of("img")
    assert "Examples are not shown: " in "".join(page.texts)


def decoded(address):
    content = base64.b64decode(address.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)))[:, :, 0]


def row_of(picture, pixels):
    (found,) = np.flatnonzero((pixels == picture).all(axis=(1, 2)))
    return found


def test_every_kind_of_number_that_is_published_says_how_it_was_measured():
    files = [each for folder in PUBLISHED.parent.iterdir() for each in measurements.files(folder)]
    assert {task for each in files for task in measurements.read(each)["task"]} <= set(METHODS)


def test_an_empty_page_is_a_page():
    assert "<h1>a &amp; b</h1>" in render("a & b", [])
