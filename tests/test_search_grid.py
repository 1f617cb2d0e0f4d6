"""A grid of searches: an index a process, what fails told in a line, the rest measured."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_folder
from numpy.testing import assert_array_equal

from mrlbench import measurements
from mrlbench.arrays import prefix
from mrlbench.costs.resident import CLEAR, forget_peak, peak_resident
from mrlbench.embedding.folder import open_embeddings
from mrlbench.errors import UserError
from mrlbench.evaluation.grid import kept, measure, worker
from mrlbench.evaluation.grid.fronts import FRONTS, pareto_front
from mrlbench.evaluation.grid.jobs import Job, Search
from mrlbench.evaluation.grid.process import WORKER, run_worker
from mrlbench.evaluation.grid.spec import builds, read_grid
from mrlbench.evaluation.source import Source
from mrlbench.reports import grid_plots
from mrlbench.reports.grid_tables import equal_bytes
from mrlbench.runs import Output

N, Q, D = 300, 40, 16
GRID = """
dims = [4, 16]
queries = 10
build_limit = 3000
search_limit = 3000

[[indexes]]
name = "exact"

[[indexes]]
name = "hnsw"
m = [4]
efforts = [1, 20]

[[indexes]]
name = "their-index"
efforts = [1, 3, 5]

[[pipelines]]
rerank_dims = [16]
lengths = [40]
"""
THEIRS = '''
import subprocess, sys, time
from pathlib import Path
import numpy as np
from mrlbench.arrays import Neighbors

class their_index:
    """Scan all; cannot build 16 dims, nor search with an effort of 3."""

    exact, lossy, beam = False, False, False

    def __init__(self, hang: str = "") -> None:
        self.hang = hang

    def build(self, database):
        if self.hang:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(self.hang).write_text(str(child.pid))
            time.sleep(600)
        if database.shape[1] == 16:
            raise RuntimeError("of two lines:\\n16 is too wide")
        self.rows = database

    def search(self, queries, k, effort):
        if effort == 3:
            raise ValueError("an effort of 3")
        scores = queries @ self.rows.T
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Neighbors(ids, np.take_along_axis(scores, ids, axis=1))

    def nbytes(self):
        return self.rows.nbytes

    def save(self, path):
        with path.open("wb") as file:
            np.save(file, self.rows)

    def load(self, path):
        self.rows = np.load(path)

    def distance_computations(self):
        return None
'''
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "their-indexes"
version = "1.5"

[project.entry-points."mrlbench.indexes"]
their-index = "their_indexes:their_index"

[tool.setuptools]
py-modules = ["their_indexes"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with another package installed in it, which brings an index."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "their_indexes.py").write_text(THEIRS)
    (folder / "pyproject.toml").write_text(PROJECT)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target")
    command = [sys.executable, "-m", "pip", "install", *options, folder / "site", folder]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder / "site"


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """An embeddings folder of five noisy clusters, one for each class."""
    folder, random = tmp_path_factory.mktemp("vectors") / "five", np.random.default_rng(0)
    folder.mkdir()
    centres = random.standard_normal((5, D))
    for name, count in (("database", N), ("queries", Q)):
        labels = random.integers(0, 5, count)
        rows = centres[labels] + random.standard_normal((count, D))
        np.save(folder / f"{name}.npy", rows.astype(np.float32))
        np.save(folder / f"{name}_labels.npy", labels)
    return folder


@pytest.fixture(scope="module")
def measured(site, vectors, tmp_path_factory):
    """The grid above, run once: its output folder, its exit status and what it said."""
    from mrlbench import cli

    folder = tmp_path_factory.mktemp("grid")
    (folder / "grid.toml").write_text(GRID)
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.syspath_prepend(site)
        arguments = ["--embeddings", vectors, "--out", out, "--grid", folder / "grid.toml"]
        patch.setattr(
            "sys.argv", ["mrlbench", "bench-search", *map(str, arguments), "-q", "--threads=1"]
        )
        cli.main()
    return out, stopped.value.code


def numbers(out, **cells):
    """The values of some rows by metric; timings of batches."""
    table = measurements.read(out / "search_speed.csv")
    for column, value in cells.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    table = table[table["mode"].isna() | (table["mode"] == "batch")]
    return dict(zip(table["metric"], table["value"], strict=True))


def brute_force(vectors, dim):
    database, queries = (np.load(vectors / f"{name}.npy") for name in ("database", "queries"))
    scores = prefix(queries, dim).astype(np.float64) @ prefix(database, dim).T.astype(np.float64)
    return np.argsort(-scores, axis=1)[:, :10]  # (Q, 10)


def share(found, truth):
    return np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)])


def test_what_fails_is_told_in_one_line_each_and_the_rest_is_measured(measured):
    out, status = measured
    assert status == 1
    errors = pd.read_csv(out / "search_errors.csv", keep_default_na=False)
    assert errors.values.tolist() == [
        ["their-index", 16, "", "16 is too wide"],
        ["their-index", 4, "k=10 effort=3", "ValueError: an effort of 3"],
        ["their-index", 4, "k=10 effort=3 rerank=40@16", "ValueError: an effort of 3"],
    ]
    table = measurements.read(out / "search_speed.csv")
    theirs = table[(table["index"] == "their-index") & (table["metric"] == "qps")]
    assert set(zip(theirs["dim"], theirs["effort"], strict=True)) == {(4, 1), (4, 5)}
    assert not list(out.rglob("index.part"))


def test_recall_is_that_of_brute_force(measured, vectors):
    out, _ = measured
    narrow, full = brute_force(vectors, 4), brute_force(vectors, 16)
    exact = numbers(out, index="exact", dim=4, k=10, rerank_dims=None)
    assert exact["recall_dim@10"] == exact["recall_dim_strict@10"] == 1
    assert exact["recall_full_strict@10"] == pytest.approx(share(narrow, full))
    theirs = numbers(out, index="their-index", dim=4, effort=5, rerank_dims=None)
    assert theirs["recall_full_strict@10"] == pytest.approx(share(narrow, full))
    assert theirs["recall_dim@10"] == 1
    labels = [np.load(vectors / f"{name}_labels.npy") for name in ("database", "queries")]
    hits = labels[0][narrow] == labels[1][:, None]  # (Q, 10)
    precision = hits.cumsum(axis=1) / np.arange(1, 11)
    relevant = np.minimum(10, (labels[0][None] == labels[1][:, None]).sum(axis=1))
    assert exact["map@10"] == pytest.approx(((precision * hits).sum(axis=1) / relevant).mean())


def test_a_pipeline_reranks_and_its_store_counts(measured, vectors):
    out, _ = measured
    reranked = numbers(out, index="exact", dim=4, rerank_dims="16", shortlist="40")
    truth = brute_force(vectors, 16)
    database, queries = (np.load(vectors / f"{name}.npy") for name in ("database", "queries"))
    narrow = prefix(queries, 4) @ prefix(database, 4).T
    shortlist = np.argsort(-narrow, axis=1)[:, :40]
    reached = np.mean([np.isin(b, a).mean() for a, b in zip(shortlist, truth, strict=True)])
    assert reranked["recall_full_strict@10"] == pytest.approx(reached)
    assert "recall_dim@10" not in reranked
    built = numbers(out, index="exact", dim=4, k=None)
    assert built["bytes"] == pytest.approx(N * 4 * 4, abs=100)
    assert reranked["bytes"] == built["bytes"] + N * 16 * 4
    assert built["build_s"] > 0
    wide = measurements.read(out / "search_speed.csv").query("dim == 16")
    assert wide["rerank_dims"].isna().all()  # the same vectors again would change nothing


def test_times_are_of_both_modes(measured):
    table = measurements.read(measured[0] / "search_speed.csv")
    for mode, metrics in (
        ("batch", {"us_per_query", "best_us_per_query", "qps"}),
        ("single", {"us_per_query", "qps", "p50_us", "p95_us", "p99_us"}),
    ):
        timed = table[(table["mode"] == mode) & (table["index"] == "hnsw(m=4)")]
        assert metrics <= set(timed["metric"])
        assert (timed.loc[timed["n"].notna(), "n"] == 5).all()
    graph = table[(table["index"] == "hnsw(m=4)") & table["effort"].notna()]
    assert set(graph.loc[graph["rerank_dims"].isna(), "effort"]) == {10, 20}  # a beam holds k
    assert set(graph.loc[graph["rerank_dims"].notna(), "effort"]) == {40}


@pytest.mark.parametrize(
    ("front", "mode"), [("recall_by_qps", "batch"), ("map_by_time", "single"), ("map_by_bytes", "")]
)
def test_the_fronts_in_the_csv_are_what_no_search_beats(measured, front, mode):
    table = measurements.read(measured[0] / "search_speed.csv").astype(object)
    table = table.where(table.notna(), "")
    quality, cost, less = FRONTS[front]
    keys = ["index", "dim", "effort", "rerank_dims", "k"]

    def of(metric, mode):
        some = table[(table["metric"] == metric) & (table["mode"] == mode) & (table["k"] != "")]
        return some.set_index(keys)["value"]

    good, dear, marks = of(f"{quality}@10", ""), of(cost, mode), of(f"pareto_{front}@10", mode)
    dear = dear if less else -dear
    assert len(marks) == len(good) == len(dear) == 12
    for key in marks.index:
        beaten = (
            (good >= good[key])
            & (dear.reindex(good.index) <= dear[key])
            & ((good > good[key]) | (dear.reindex(good.index) < dear[key]))
        )
        assert marks[key] == (0 if beaten.any() else 1), key


def test_a_front_equals_comparing_every_pair():
    random = np.random.default_rng(0)
    quality, cost = random.integers(0, 8, 60) / 8, random.integers(1, 9, 60) / 1.0
    as_good = (quality[None] >= quality[:, None]) & (cost[None] <= cost[:, None])
    better = (quality[None] > quality[:, None]) | (cost[None] < cost[:, None])
    assert_array_equal(pareto_front(quality, cost), ~(as_good & better).any(axis=1))


def test_the_table_of_exact_search_and_hnsw_has_every_dim(measured):
    table = pd.read_csv(measured[0] / "exact_hnsw.csv")
    assert table[["dim", "index"]].values.tolist() == [
        [4, "exact"],
        [4, "hnsw(m=4)"],
        [16, "exact"],
        [16, "hnsw(m=4)"],
    ]
    assert (table[["build_s", "bytes", "batch_us", "single_us"]] > 0).all(axis=None)


def test_codes_are_compared_at_equal_bytes():
    def row(index, dim, metric, value):
        cells = {"run": "r", "dataset": "d", "n_database": 1000, "k": 10}
        return measurements.Row(**cells, index=index, dim=dim, metric=metric, value=value)

    rows = [
        row(index, dim, metric, value)
        for index, dim, size, quality in (
            ("exact", 16, 64, 0.5),
            ("exact", 64, 256, 0.8),
            ("scalar-quantizer(code=int8)", 64, 64.3, 0.79),
            ("hnsw(m=32)", 4, 64, 0.9),  # its links are no codes
        )
        for metric, value in (("bytes", 1000 * size), ("map@10", quality))
    ]
    found = equal_bytes(measurements.to_frame(rows))
    told = found[["bytes_per_row", "index", "dim", "map@10"]].values.tolist()
    assert told == [[64, "scalar-quantizer(code=int8)", 64, 0.79], [64, "exact", 16, 0.5]]


def test_codes_are_drawn_by_the_bytes_of_the_index_a_panel_for_each_rerank(tmp_path):
    def row(index, dim, ladder, metric, value):
        shortlist, dims = ladder
        cells = {"run": "r", "dataset": "d", "n_database": 1000, "k": 10, "task": "search-grid"}
        search = {"index": index, "dim": dim, "shortlist": shortlist, "rerank_dims": dims}
        interval = {"ci_low": value, "ci_high": value} if metric == "map@10" else {}
        return measurements.Row(**cells, **search, metric=metric, value=value, **interval)

    output = Output(tmp_path)
    rows = [
        row(index, dim, ladder, metric, value)
        for index, dim, size, quality in (
            ("exact", 16, 64, 0.5),
            ("scalar-quantizer(code=int8)", 64, 65, 0.7),
        )
        for ladder, store in (((None, None), 0), (("200", "64"), 256))
        for metric, value in (("bytes", 1000 * (size + store)), ("map@10", quality + store / 1000))
    ]
    measurements.merge(output.csv("search_speed"), rows)
    figure = grid_plots.FIGURES["codes_by_bytes"](output)
    bare, reranked = figure.axes
    assert (bare.get_title(), "adds 256 bytes" in reranked.get_title()) == ("no rerank", True)
    for axes, quality in ((bare, [0.5, 0.7]), (reranked, [0.756, 0.956])):
        drawn = [line.get_xydata().tolist() for line in axes.lines]
        assert drawn == [[[64, pytest.approx(quality[0])]], [[65, pytest.approx(quality[1])]]]


def test_figures_fade_what_is_beaten_and_join_the_front(measured):
    out, _ = measured
    marks = numbers(out, metric="pareto_recall_by_qps@10")
    assert marks
    table = measurements.read(out / "search_speed.csv")
    on_front = table[(table["metric"] == "pareto_recall_by_qps@10") & (table["mode"] == "batch")]
    figure = grid_plots.FIGURES["pareto_recall_by_qps_batch"](Output(out))
    joined = figure.axes[0].lines[0]
    assert len(joined.get_xdata()) == on_front["value"].sum()
    drawn = {(kind.get_alpha(), len(kind.get_offsets())) for kind in figure.axes[0].collections[0:]}
    faded = sum(count for alpha, count in drawn if alpha == grid_plots.FADED)
    assert faded > 0
    assert grid_plots.FIGURES["codes_by_bytes"](Output(out)) is None  # one code alone


def test_points_of_a_front_that_lie_together_have_one_number(measured):
    figure = grid_plots.FIGURES["pareto_recall_by_qps_batch"](Output(measured[0]))
    axes, front = figure.axes[0], len(figure.axes[0].lines[0].get_xdata())
    numbered = [part for text in axes.texts for part in text.get_text().split("\u2013")]
    assert (numbered[0], numbered[-1]) == ("1", str(front))  # all are named, in order
    together = np.array([[0.1, 0.9], [0.12, 0.9], [0.14, 0.9], [0.14, 0.8], [0.16, 0.77]])
    assert grid_plots._neighbours(together) == [(0, 1), (2, 2), (3, 4)]


@pytest.fixture
def again(measured, site, vectors, tmp_path, monkeypatch, mrlbench):
    """Run the grid again on a copy of what it left; gives the jobs that were to be done."""
    out = tmp_path / "out"
    shutil.copytree(measured[0], out)
    monkeypatch.syspath_prepend(site)
    jobs = []

    def note(job, *_):
        jobs.append((Path(job.folder).name, [search.name for search in job.searches]))
        return "not run"

    monkeypatch.setattr(measure, "run_worker", note)

    def run():
        jobs.clear()
        grid = measured[0].parent / "grid.toml"
        mrlbench(
            "bench-search",
            "--embeddings",
            vectors,
            "--out",
            out,
            "--grid",
            grid,
            "-q",
            "--threads=1",
        )
        return jobs

    return out, run


def test_only_what_is_not_done_is_done_again(again):
    out, run = again
    before = (out / "search_speed.csv").read_bytes()
    failed = ["k=10 effort=3", "k=10 effort=3 rerank=40@16"]
    theirs = [("their-index-4", failed), ("their-index-4", failed[1:])]
    assert [job for job in run() if job[0] != "their-index-16"] == theirs
    assert (out / "search_speed.csv").read_bytes() == before
    (search,) = (out / "raw" / "search" / "five" / "exact-4").glob("*rerank*")
    search.unlink()  # as if interrupted there
    assert run()[0] == ("exact-4", ["k=10 effort=0 rerank=40@16"])


def test_what_another_version_of_a_library_made_is_made_anew(again, caplog):
    out, run = again
    facts = out / "raw" / "search" / "five" / "hnsw_m=4-16" / "built.json"
    content = json.loads(facts.read_text())
    assert "faiss-cpu" in content["versions"]
    content["versions"]["faiss-cpu"] = "0.1"
    facts.write_text(json.dumps(content))
    assert run()[0] == ("hnsw_m=4-16", ["k=10 effort=10", "k=10 effort=20"])
    assert "hnsw(m=4) at 16: measured anew: kept from faiss-cpu 0.1" in caplog.text


@pytest.fixture
def job(vectors, tmp_path):
    """Exact search at 4 dims."""
    searches = (Search(k=3, effort=0), Search(k=3, effort=0, rerank_dims=(8, 16), lengths=(20, 9)))
    return Job(
        *("exact", {}, 4, vectors, tmp_path / "exact-4", 1, 5, 5, "inputs", {"faiss-cpu": "1"}),
        searches,
    )


def test_a_job_survives_the_way_to_the_worker(job):
    assert Job.from_json(job.to_json()) == job


def test_an_index_that_cannot_be_read_is_told_and_deleted(job):
    job.built.mkdir(parents=True)
    (job.built / "index").write_bytes(b"IxFI and no more")
    with pytest.raises(UserError, match=r"expected an index that FAISS [\d.]+ can read: .+"):
        worker.work(job)
    assert not job.built.exists()


def test_a_full_disk_is_told_before_anything_is_written(job, monkeypatch):
    usage = shutil.disk_usage(job.embeddings)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"expected 4,8\d\d bytes of free disk .*, got 100"):
        worker.work(job)
    assert not job.built.exists()
    assert not job.facts.exists()


def test_a_worker_that_hangs_is_ended_with_all_that_it_started(job, site, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(site)
    child = tmp_path / "child"
    hanging = replace(job, index="their-index", arguments={"hang": str(child)})

    def limit():
        return 0.0 if child.exists() and child.read_text() else 300.0

    assert run_worker(hanging, lambda: 0, limit) == "took longer than 0 s"
    assert has_ended(int(child.read_text()))


def test_a_worker_ends_with_its_parent(job, site, tmp_path):
    child = tmp_path / "child"
    hanging = replace(job, index="their-index", arguments={"hang": str(child)})
    path = os.pathsep.join([str(site), *sys.path])
    worker = subprocess.Popen(
        [sys.executable, "-m", WORKER], stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    worker.stdin.write(hanging.to_json().encode() + b"\n")
    worker.stdin.flush()
    while not (child.exists() and child.read_text()):
        assert worker.poll() is None
        time.sleep(0.05)
    worker.stdin.close()  # as when the parent is killed
    assert worker.wait(60) == 1
    os.kill(int(child.read_text()), 9)


def has_ended(process):
    """Whether a process is no more, or only waits to be buried."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_crash_and_a_missing_file_are_reasons(job):
    missing = replace(job, embeddings=Path("nowhere"))
    assert run_worker(missing, lambda: 0, lambda: 300.0) == (
        "expected vectors in nowhere/database.npy, got no such file"
    )


def test_peak_memory_is_of_what_comes_after():
    if not CLEAR.exists():
        pytest.skip("only Linux tells")
    forget_peak()
    before = peak_resident()
    large = np.ones(50 * 2**20, dtype=np.uint8)
    assert 45 * 2**20 < peak_resident() - before < 80 * 2**20
    del large
    forget_peak()
    assert peak_resident() < before + 25 * 2**20


@pytest.fixture
def source(vectors, tmp_path):
    return Source(Output(tmp_path), open_embeddings(vectors), (4, 8, 16), {}, "five")


def grid_of(tmp_path, text):
    (tmp_path / "grid.toml").write_text(text)
    return read_grid(str(tmp_path / "grid.toml"))


def test_a_grid_is_the_product_of_its_lists(tmp_path, source):
    grid = grid_of(
        tmp_path,
        """
        k = [1, 10]
        indexes = [
          {name = "hnsw", m = [4, 8], ef_construction = [20, 40], efforts = [5, 30]},
          {name = "ivf", efforts = [1, 2]},
          {name = "scalar-quantizer"},
          {name = "exact", dims = [8]},
        ]
        pipelines = [{rerank_dims = [8, 16], lengths = [50, 20]}]
        """,
    )
    found = builds(grid, source)
    assert [each.label for each in found[:4]] == [
        "hnsw(m=4,ef_construction=20) at 16",
        "hnsw(m=4,ef_construction=20) at 8",
        "hnsw(m=4,ef_construction=20) at 4",
        "hnsw(m=4,ef_construction=40) at 16",
    ]
    names = {each.label: [search.name for search in each.searches] for each in found}
    ladder = "rerank=50@8>20@16"
    assert names["hnsw(m=8,ef_construction=40) at 4"] == [
        *("k=1 effort=5", "k=1 effort=30", "k=10 effort=10", "k=10 effort=30"),
        *(f"k=1 effort=50 {ladder}", f"k=10 effort=50 {ladder}"),  # the beam holds the shortlist
    ]
    assert names["ivf at 4"][:2] == ["k=1 effort=1", "k=1 effort=2"]  # cells are no beam
    assert names["ivf at 8"] == names["ivf at 16"] == names["ivf at 4"][:4]
    assert names["scalar-quantizer at 8"][-1] == f"k=10 effort=0 {ladder}"  # codes gain from rows
    assert ladder not in " ".join(names["scalar-quantizer at 16"])
    assert [label for label in names if "exact" in label] == ["exact at 8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("indexes = []", "grid.toml: indexes: List should have at least 1 item"),
        ("dims = [4", "grid.toml: expected TOML"),
        ("index = 3", "grid.toml: indexes: Field required"),
        ("indexes = [{name = 'hnsw'}]\nlimit = 3", "limit: unknown key; expected one of dims, k"),
        ("indexes = [{name = 'hnsv'}]", "no 'hnsv' among indexes: expected one of adanns-ivf"),
        ("indexes = [{name = 'hnsw', links = 4}]", "indexes hnsw: links: Extra inputs"),
        (
            "indexes = [{name = 'hnsw', m = [4, 4]}]",
            "expected each index once, got hnsw(m=4) at 16",
        ),
        (
            "indexes = [{name = 'exact'}]\ndims = [4, 32]",
            "dims: expected dims from 1 to 16, got 32",
        ),
        ("indexes = [{name = 'exact'}]\nk = [301]", "k: expected 1 to 300, the rows"),
        ("indexes = [{name = 'pgvector'}]", "got the server pgvector: measure it by bench-search"),
        ("indexes = [{name = 'exact'}]\nrepeats = 3", "repeats: Input should be greater than"),
        (
            "indexes = [{name = 'exact'}]\npipelines = [{rerank_dims = [16], lengths = [9]}]",
            "pipelines: expected a first length from 10, the largest k, to 300, the rows of the "
            "database, got 9",
        ),
        (
            "indexes = [{name = 'exact'}]\npipelines = [{rerank_dims = [16, 8], lengths = [9, 9]}]",
            "pipelines: expected increasing dims, got [16, 8]",
        ),
        (
            "indexes = [{name = 'exact'}]\npipelines = [{rerank_dims = [16], lengths = [20, 10]}]",
            "pipelines: expected a length for each of [16], got [20, 10]",
        ),
    ],
)
def test_a_grid_that_cannot_be(text, message, vectors, tmp_path, mrlbench):
    (tmp_path / "grid.toml").write_text(text)
    out = tmp_path / "out"
    arguments = ("--embeddings", vectors, "--out", out, "--grid", tmp_path / "grid.toml")
    status, printed, err = mrlbench("bench-search", *arguments)
    assert (status, printed) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not list(out.rglob("*.csv"))


def test_the_shipped_grids_fit_their_vectors(tmp_path):
    folder = Path(__file__).parents[1] / "experiments" / "search"
    for path in folder.glob("*.toml"):
        assert path.read_text().startswith("# mrlbench bench-search ")
        assert read_grid(path.stem) == read_grid(str(path))
    with pytest.raises(UserError, match="no grid 'nothing': expected a TOML file or one of digits"):
        read_grid("nothing")


def test_the_grid_of_tiny_imagenet_compares_all_at_every_dim(tmp_path):
    wide = write_folder(tmp_path / "wide", n=300, width=2048)
    found = builds(
        read_grid("tiny-imagenet"),
        Source(Output(tmp_path), open_embeddings(wide), (2048,), {}, "wide"),
    )
    dims = [8 << power for power in range(9)]
    types = ["exact", *(f"scalar-quantizer(code={code})" for code in ("float16", "int8"))]
    for label in (*types, "binary(fewest_bits=1)", "hnsw(m=32)", "ivf", "batched-ivf", "ivf-pq"):
        of_dim = {each.dim: each.searches for each in found if each.plugin.label == label}
        assert sorted(of_dim) == dims
        for dim, searches in of_dim.items():
            reranks = {search.rerank_dims for search in searches}
            gains = dim < 2048 or label not in ("exact", "hnsw(m=32)", "ivf", "batched-ivf")
            assert ((2048,) in reranks) == gains
            assert () in reranks


@pytest.mark.slow
def test_the_grid_of_tiny_imagenet_runs(mrlbench, tmp_path):
    wide, out = write_folder(tmp_path / "wide", n=500, q=30, width=2048), tmp_path / "out"
    common = ("--embeddings", wide, "--out", out, "--dims", "2048", "--threads", 1, "-q")
    status, _, err = mrlbench("bench-search", *common, "--grid", "tiny-imagenet")
    assert status == 0, err
    rows = measurements.read(out / "search_speed.csv")
    best = rows[rows["metric"] == "recall_full@10"].groupby("index")["value"].max()
    assert best["exact"] == best["scalar-quantizer(code=float16)"] == 1
    assert set(rows["index"]) >= {"batched-ivf", "ivf", "ivf-pq", "hnsw(m=32)"}


def test_versions_are_those_of_what_a_plugin_imports(site, monkeypatch):
    assert set(kept.library_versions("hnswlib")) >= {"hnswlib", "numpy"}
    assert "hnswlib" not in kept.library_versions("exact")


@pytest.mark.slow
def test_a_disk_that_is_full_stops_one_index_and_not_the_rest(tmp_path):
    """A limit on the size of files, as a disk that has no room for more."""
    rows = np.random.default_rng(0).standard_normal((20_000, 16), dtype=np.float32)
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "database.npy", rows)
    np.save(tmp_path / "vectors" / "queries.npy", rows[:20])
    indexes = "[{name = 'exact'}, {name = 'hnswlib', m = 4, efforts = [10]}]"
    (tmp_path / "grid.toml").write_text(f"dims = [4, 16]\nindexes = {indexes}\n")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)); "
        "from mrlbench.cli import main; main()"
    )
    arguments = ["--embeddings", "vectors", "--out", "out", "--grid", "grid.toml", "-q"]
    done = subprocess.run(
        [sys.executable, "-c", code, "bench-search", *arguments],
        *(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1, done.stderr
    errors = pd.read_csv(tmp_path / "out" / "search_errors.csv")
    assert list(zip(errors["index"], errors["dim"], strict=True)) == [
        ("exact", 16),
        ("hnswlib(m=4)", 16),
        ("hnswlib(m=4)", 4),
    ]
    assert errors["error"].str.contains("File too large|is it full", regex=True).all()
    assert set(measurements.read(tmp_path / "out" / "search_speed.csv")["dim"]) == {4}
    left = [path for path in (tmp_path / "out").rglob("*") if path.name.startswith("index")]
    assert left == []
