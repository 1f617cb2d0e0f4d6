"""Released neighbours: measured by our definitions, checked against the vectors' labels."""

import json

import numpy as np
import pandas as pd
import pytest

from mrlbench import measurements
from mrlbench.authors import neighbors
from mrlbench.authors.neighbors import read_name
from mrlbench.errors import UserError
from mrlbench.search.adaptive import Schedule

N, Q, K = 60, 20, 30  # the folder of conftest.py has 60 × 16 and 20 × 16


@pytest.fixture
def ids(folder):
    """The exact neighbours at 4 dims, (Q, K)."""
    cut = [np.load(folder / f"{part}.npy")[:, :4] for part in ("queries", "database")]
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in cut]
    return np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :K]


@pytest.fixture
def write(tmp_path):
    def run(table, name="exactl2_4dim_30shortlist_1K.csv"):
        pd.DataFrame(table).to_csv(tmp_path / name, header=False, index=False)
        return tmp_path / name

    return run


@pytest.fixture
def take(mrlbench, folder, tmp_path):
    def run(*arguments):
        target = ("--embeddings", folder, "--out", tmp_path / "out")
        return mrlbench("import-neighbors", *arguments, *target)

    return run


@pytest.fixture
def refused(take):
    def run(*arguments):
        status, out, err = take(*arguments)
        assert status == 2, err
        assert out == ""
        (line,) = err.strip().splitlines()
        return line

    return run


def numbers(path, **cells):
    table = measurements.read(path)
    for column, value in cells.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    return dict(zip(table["metric"], table["value"], strict=True))


def by_the_paper(folder, ids, k):
    """mAP@k, P@k and top-1 by a loop over queries, divided by the constant k."""
    database, queries = (np.load(folder / f"{part}_labels.npy") for part in ("database", "queries"))
    precision, average, first = [], [], []
    for own, row in zip(queries, ids, strict=True):
        hits = [int(database[each] == own) for each in row[:k]]
        precision.append(sum(hits) / k)
        at = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(k) if hits[rank]]
        average.append(sum(at) / k)
        first.append(hits[0])
    names = (f"map@{k}", f"precision@{k}", "top1")
    return dict(zip(names, map(np.mean, (average, precision, first)), strict=True))


def test_neighbours_give_the_metrics_of_the_paper(take, mrlbench, folder, write, ids, tmp_path):
    status, out, err = take(write(ids), "--k", "5,10")
    assert status == 0, err
    assert "map@10" in out
    csv = tmp_path / "out" / "retrieval.csv"
    found = numbers(csv, variant="neighbors=imported", dim=4)
    for k in (5, 10):
        for metric, expected in by_the_paper(folder, ids, k).items():
            assert found[metric] == pytest.approx(expected, abs=1e-6), metric
    assert found["mflops"] == pytest.approx(N * 4 / 1e6)
    target = ("--embeddings", folder, "--out", tmp_path / "out")
    status, _, err = mrlbench(
        "eval-retrieval", *target, "--dims", "4", "--k", "5,10", "--baselines", "", "-q"
    )
    assert status == 0, err
    ours = numbers(csv, variant=None, dim=4)
    assert numbers(csv, variant="neighbors=imported", dim=4) == found  # both stand side by side
    assert {metric: ours[metric] for metric in found} == pytest.approx(found)


def test_all_neighbours_and_scores_are_kept(take, write, ids, folder, tmp_path):
    path = write(ids)
    status, _, err = take(path, "-q")
    assert status == 0, err
    raw = tmp_path / "out" / "raw"
    kept = np.load(raw / "neighbors-imported-exactl2_4dim_30shortlist_1K-mine.npy")
    np.testing.assert_array_equal(kept, ids)
    with np.load(raw / "scores-imported-exactl2_4dim_30shortlist_1K-mine.npz") as scores:
        mean = scores["map@10"].mean()
    assert numbers(tmp_path / "out" / "retrieval.csv")["map@10"] == pytest.approx(mean)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["stages"][f"import-neighbors {path.name} mine"]["imported_sha256"]) == 64


def test_what_is_done_is_done_again_only_for_another_file(take, write, ids, caplog):
    path = write(ids)
    assert take(path, "-q")[0] == 0
    assert take(path, "-q")[0] == 0
    assert "done before (--force measures again)" in caplog.text
    caplog.clear()
    write(ids[:, ::-1])
    assert take(path, "-q")[0] == 0
    assert take(path, "-q", "--force")[0] == 0
    assert "done before" not in caplog.text


def test_a_file_is_read_in_blocks(take, write, ids, tmp_path, monkeypatch, refused):
    monkeypatch.setattr(neighbors, "IDS_AT_ONCE", 3 * K)
    path = write(ids)
    assert take(path, "-q")[0] == 0
    raw = tmp_path / "out" / "raw"
    kept = np.load(raw / "neighbors-imported-exactl2_4dim_30shortlist_1K-mine.npy")
    np.testing.assert_array_equal(kept, ids)
    wrong = ids.copy()
    wrong[13, 29] = N
    write(wrong)
    assert "row 13: expected ids from 0 to 59, the rows of the database, got 60" in refused(path)
    wrong[13, 29] = wrong[13, 2]
    write(wrong)
    assert "row 13: expected different ids, got one twice" in refused(path)


def test_reranked_lists_and_funnels_are_adaptive_retrieval(take, folder, write, ids, tmp_path):
    reranked = write(ids, "4dim-reranked16_30shortlist_1K_exactl2.csv")
    funnel = write(ids[:, :10], "4dim-cascade[8,16]_shortlist[30,10]_1K_exactl2.csv")
    status, _, err = take(reranked, funnel, "-q")
    assert status == 0, err
    csv = tmp_path / "out" / "adaptive_retrieval.csv"
    for ladder, lengths, cost in (
        ("16", "30", N * 4 + 30 * 16),
        ("8>16", "30>10", N * 4 + 30 * 8 + 10 * 16),
    ):
        found = numbers(csv, dim=4, rerank_dims=ladder, shortlist=lengths)
        assert found["mflops"] == pytest.approx(cost / 1e6)
        for metric, expected in by_the_paper(folder, ids, 10).items():
            assert found[metric] == pytest.approx(expected, abs=1e-6)
    assert not (tmp_path / "out" / "retrieval.csv").exists()


def test_a_graph_may_leave_places_empty_and_has_no_formula_for_its_cost(take, write, ids, tmp_path):
    ids[:, 25:] = -1
    status, _, err = take(write(ids, "hnsw32_4dim_30shortlist_1K.csv"), "-q")
    assert status == 0, err
    found = numbers(tmp_path / "out" / "retrieval.csv", index="hnsw(m=32)")
    assert "map@10" in found
    assert "mflops" not in found


@pytest.mark.parametrize(
    ("name", "schedule", "columns", "index"),
    [
        ("exactl2_16dim_2048shortlist_1K.csv", Schedule(16, (), ()), 2048, None),
        ("exactl2_16dim-2048-NN_imagenet1k.csv", Schedule(16, (), ()), 2048, None),
        ("hnsw32_8dim_200shortlist_4K.csv", Schedule(8, (), ()), 200, "hnsw(m=32)"),
        ("8dim-reranked2048_200shortlist_V2_exactl2.csv", Schedule(8, (2048,), (200,)), 200, None),
        (
            "16dim-cascade[32, 64, 2048]_[800, 400, 10]shortlist_4K_exactl2.csv",
            Schedule(16, (32, 64, 2048), (800, 400, 10)),
            0,
            None,
        ),
    ],
)
def test_names(tmp_path, name, schedule, columns, index):
    (tmp_path / name).touch()
    read = read_name(tmp_path / name)
    assert (read.schedule, read.columns, read.index) == (schedule, columns, index)


def test_names_that_say_nothing(tmp_path, take, write, ids):
    path = write(ids, "mine.csv")
    with pytest.raises(UserError, match="expected a name such as exactl2_16dim_2048shortlist"):
        read_name(path)
    assert take(path, "--dim", "4", "-q")[0] == 0
    (tmp_path / "8dim-cascade[16,x]_[9,3]shortlist.csv").touch()
    with pytest.raises(UserError, match="expected whole numbers in its name, got 'x'"):
        read_name(tmp_path / "8dim-cascade[16,x]_[9,3]shortlist.csv")
    (tmp_path / "8dim-cascade[16]_[9,3]shortlist.csv").touch()
    with pytest.raises(UserError, match="got 1 dims and 2 lengths"):
        read_name(tmp_path / "8dim-cascade[16]_[9,3]shortlist.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids: np.where(ids == ids[0, 3], -1, ids), "expected ids from 0 to 59"),
        (lambda ids: ids[:-1], "expected 20 rows, one for each query, got 19: is it cut off?"),
        (lambda ids: np.r_[ids, ids[:1]], "one for each query, got more: has it a header?"),
        (lambda ids: ids[:, :-1], "expected 30 neighbours in a row, as its name says, got 29"),
        (lambda ids: ids + 0.5, "expected whole numbers, 30 in each row"),
        (lambda ids: np.char.add("n", ids.astype(str)), "expected whole numbers, 30 in each row"),
        (lambda ids: ids.astype(object) + 2**63, "expected whole numbers, 30 in each row"),
    ],
)
def test_tables_that_do_not_fit(refused, write, ids, change, message, tmp_path):
    assert message in refused(write(change(ids)))
    assert not (tmp_path / "out" / "retrieval.csv").exists()


def test_files_that_do_not_fit(refused, write, ids, folder, tmp_path):
    path = write(ids)
    assert "expected one file for each search" in refused(
        path, write(ids, "exactl2_4dim_30shortlist_copy.csv")
    )
    assert "--k: expected numbers from 1 to 30, the neighbours in" in refused(path, "--k", "31")
    assert "--k: expected numbers from 1 to 30" in refused(path, "--k", "0")
    wide = write(ids, "exactl2_32dim_30shortlist_1K.csv")
    assert "expected dims up to 16, the width of the vectors, got 32" in refused(wide)
    assert "got no such file" in refused(tmp_path / "none_4dim_30shortlist.csv")
    text = path.read_text()
    path.write_text(text[: len(text) - 10])  # the last row is cut off
    assert "expected whole numbers, 30 in each row" in refused(path)
    path.write_text("")
    assert "expected ids separated by commas, got an empty line" in refused(path)
    path.write_text(text)
    for part in ("database", "queries"):
        (folder / f"{part}_labels.npy").unlink()
    assert "needs database_labels.npy and queries_labels.npy" in refused(path)
