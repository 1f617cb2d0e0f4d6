"""The arena: codes against FAISS and numpy, costs by hand, differences against the files."""

import json
import re
import shutil
from typing import NamedTuple

import faiss
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mrlbench import cli, measurements
from mrlbench.arrays import prefix
from mrlbench.cli.evaluate import open_session
from mrlbench.costs.scanning import scan_operations
from mrlbench.evaluation.arena import differences
from mrlbench.evaluation.arena.codes import DTYPES, Codec, code_bytes, search_codes
from mrlbench.evaluation.arena.contest import Contest, Entrant, Store, reference_dims
from mrlbench.intervals import paired_intervals
from mrlbench.measurements import Row
from mrlbench.plugins import load, names
from mrlbench.reports import arena_figure
from mrlbench.reports.arena_tables import answers, arena_text
from mrlbench.runs import Output

N, Q, D, CLASSES = 1200, 90, 32, 8
DIMS = [8, 16, 32]
FLOATS = {"reducer": "prefix", "dtype": "float32", "dim": D}
CODES = [dtype for dtype in DTYPES if dtype != "float32"]


def made(seed=0):
    """Vectors of classes, the first coordinates worth most, and none centred on 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, N + Q)
    both = rng.standard_normal((CLASSES, D))[labels] + 1.5 * rng.standard_normal((N + Q, D))
    both = (both + 0.3) / np.sqrt(np.arange(1, D + 1))
    return both[:N].astype("f"), both[N:].astype("f"), labels


def write(folder, queries=slice(None)):
    database, asked, labels = made()
    folder.mkdir(parents=True)
    np.save(folder / "database.npy", database)
    np.save(folder / "queries.npy", asked[queries])
    np.save(folder / "database_labels.npy", labels[:N])
    np.save(folder / "queries_labels.npy", labels[N:][queries])
    return folder


def measure(folder, out, dims, **settings):
    """Measure what the command does, without its figures."""
    options = {"dims": dims, "baselines": "", "threads": 1, "quiet": True}  # as `arena` opens it
    session = open_session(embeddings=folder, out=out, **options)
    session.arena(Contest(**{"shortlist": 40, **settings}))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The arena of made vectors: (the embeddings, the output)."""
    base = tmp_path_factory.mktemp("arena")
    folder = write(base / "mine")
    typed = ["arena", f"--embeddings={folder}", f"--out={base / 'out'}", "--dims=8,16,32", "-q"]
    typed += ["--shortlist=40", "--threads=1"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr("sys.argv", ["mrlbench", *typed])
        cli.main()
    assert not stopped.value.code
    return folder, base / "out"


def table(out, **cells):
    rows = measurements.read(out / "arena.csv")
    for column, value in cells.items():
        rows = rows[rows[column].isna() if value is None else rows[column] == value]
    return rows


def value(out, **cells):
    (number,) = table(out, **{"variant": None, "shortlist": None, **cells})["value"]
    return number


# Codes


def codec_and_ids(dtype, dim, k=20):
    database, queries, _ = made()
    codec = Codec(dtype, prefix(database, dim))
    return codec, search_codes(database, queries, codec, k).ids


@pytest.mark.parametrize("dim", [8, 12, 32])
def test_signs_are_ordered_by_their_hamming_distance_and_ties_by_id(dim):
    database, queries, _ = made()
    different = (database[:, :dim] > 0) != (queries[:, None, :dim] > 0)  # (Q, N, d)
    expected = np.argsort(different.sum(axis=2), axis=1, kind="stable")[:, :20]
    assert_array_equal(codec_and_ids("binary", dim)[1], expected)


@pytest.mark.parametrize("dim", [8, 32])
def test_signs_above_the_mean_are_those_of_what_is_left_when_it_is_subtracted(dim):
    database, queries, _ = (np.abs(each) for each in made())  # as after a ReLU: all signs are alike
    unit = [prefix(each, dim) for each in (database, queries)]
    mean = unit[0].mean(axis=0)
    different = (unit[0] > mean) != (unit[1][:, None, :] > mean)  # (Q, N, d)
    expected = np.argsort(different.sum(axis=2), axis=1, kind="stable")[:, :20]
    codec = Codec("binary-mean", unit[0])
    assert_array_equal(search_codes(database, queries, codec, 20).ids, expected)
    signs = Codec("binary", unit[0])
    assert codec.table_bytes == signs.table_bytes + 4 * dim  # the mean is kept beside them
    alike = search_codes(database, queries, signs, 20).ids
    assert_array_equal(alike, np.tile(np.arange(20), (len(queries), 1)))  # ties, by id


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_numbers_of_fewer_bits_are_found_as_by_faiss(dtype):
    database, queries, _ = made()
    index = load("indexes", "scalar-quantizer")(code=dtype)
    index.build(prefix(database, 16))
    expected = index.search(prefix(queries, 16), 20, 0)
    assert (codec_and_ids(dtype, 16)[1] == expected.ids).mean() > 0.998  # equal but for rounding


def test_product_codes_are_found_as_by_faiss():
    database, queries, _ = made()
    index = faiss.IndexPQ(16, 2, 8, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.seed, index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 0, 10, 4
    index.train(prefix(database, 16))
    index.add(prefix(database, 16))
    codec, ids = codec_and_ids("pq", 16, 1)
    stood_for = codec.rounded(prefix(database, 16))
    assert_allclose(stood_for, index.reconstruct_n(0, N))
    products = prefix(queries, 16).astype(np.float64) @ stood_for.T
    found = np.take_along_axis(products, ids, axis=1)
    assert_allclose(found[:, 0], products.max(axis=1), atol=1e-6)
    scores, _ = index.search(prefix(queries, 16), 1)
    assert_allclose(found, scores, atol=1e-6)
    by_cosine = (products / np.linalg.norm(stood_for, axis=1)).argmax(axis=1)
    assert (by_cosine != products.argmax(axis=1)).any()  # the lengths of codes do matter


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("dim", [1, 2, 5, 8, 12, 16, 32])
def test_bytes_are_those_that_faiss_writes_and_no_code_stands_for_more_than_its_place(dtype, dim):
    database, queries, _ = made()
    codec = Codec(dtype, prefix(database, dim))
    assert codec._index.sa_code_size() == code_bytes(dim, dtype)
    squares = np.square(codec.rounded(prefix(np.concatenate([database, queries]), dim))).sum(axis=1)
    assert squares.max() <= 1.01 * dim


def test_bytes_by_hand():
    by_dtype = {dtype: [code_bytes(dim, dtype) for dim in (4, 12, 64)] for dtype in DTYPES}
    assert by_dtype == {
        "float32": [16, 48, 256],
        "float16": [8, 24, 128],
        "int8": [4, 12, 64],
        "binary": [1, 2, 8],
        "binary-mean": [1, 2, 8],
        "pq": [1, 3, 8],  # 8 coordinates share a byte, or as many as divide d
    }


# Reductions and costs


@pytest.mark.parametrize("name", names("reducers"))
def test_a_reducer_that_does_not_mix_picks_coordinates(name):
    database, _, _ = made()
    reducer = load("reducers", name)()
    reducer.fit(database)
    reduced = np.asarray(reducer.transform(database[:5]))
    picked = np.array_equal(np.sort(reduced, axis=1), np.sort(database[:5], axis=1))
    assert picked is not reducer.mixes


def test_the_last_dims_are_the_first_of_the_reverse():
    reducer = load("reducers", "last-dims")()
    assert_array_equal(reducer.transform(np.arange(6.0).reshape(2, 3))[:, :2], [[2, 1], [5, 4]])


def test_operations_of_a_scan_by_hand():
    assert scan_operations(1000, 100, "int8", 100) == 100_000
    assert scan_operations(1000, 100, "binary", 13) == 2000  # two words of 64 bits
    assert scan_operations(1000, 64, "pq", 8) == 8000 + 256 * 64


def test_costs_by_hand():
    store = Store(rows=1000, width=64, full_bytes=128)  # float16 on disk
    costs = Entrant("pca", True, 16, "int8", rerank=20, table_bytes=500).costs(store)
    assert costs == {
        "bytes_per_vector": 16,
        "bytes_per_vector_whole": 16 + 128,
        "bytes": 1000 * 144 + 500 + 4 * 64 * 16,
        "mflops": (64 * 16 + 1000 * 16 + 20 * 64) / 1e6,
    }
    plain = Entrant("prefix", False, 16, "float32").costs(store)
    assert plain["bytes"] == 64_000
    assert plain["mflops"] == 0.016


def test_float32_is_measured_where_others_have_its_bytes_or_flops():
    contest = Contest(dtypes=("float32", "int8", "binary"), shortlist=50)
    # int8 has 4 and 16 bytes, those of 1 and 4 floats. A rerank adds 50·64/1000 = 3.2 floats to a
    # scan: 4 + 3, 16 + 3, and 1 + 3 where signs are one word
    store = Store(1000, 64, 256)
    assert reference_dims([4, 16], contest, store) == [1, 4, 7, 16, 19]
    assert reference_dims([64], contest, store)[-1] == 64


# What is measured


def test_float32_is_what_eval_retrieval_measures(measured, mrlbench, tmp_path):
    folder, out = measured
    options = ("--dims=8,16,32", "--k=10", "--baselines=pca,last-dims,random-projection", "-q")
    status, _, err = mrlbench("eval-retrieval", "--embeddings", folder, "--out", tmp_path, *options)
    assert status == 0, err
    expected = measurements.read(tmp_path / "retrieval.csv")
    compared = 0
    for row in expected[expected["metric"].isin(["map@10", "recall_full@10"])].itertuples():
        cells = {"reducer": row.reducer, "dim": row.dim, "dtype": "float32", "metric": row.metric}
        (found,) = table(out, variant=None, shortlist=None, **cells).itertuples()
        told = (found.value, found.ci_low, found.ci_high, found.n)
        assert told == pytest.approx((row.value, row.ci_low, row.ci_high, Q), abs=1e-6)
        compared += 1
    assert compared == 2 * 4 * len(DIMS)


def test_signs_are_scored_as_by_hand(measured):
    _, out = measured
    database, queries, labels = made()
    different = (database[:, :16] > 0) != (queries[:, None, :16] > 0)
    ids = np.argsort(different.sum(axis=2), axis=1, kind="stable")[:, :40]
    cells = {"reducer": "prefix", "dtype": "binary", "dim": 16}
    unit = [prefix(each, D).astype(np.float64) for each in (database, queries)]
    cosines = unit[1] @ unit[0].T
    truth = np.argsort(-cosines, axis=1, kind="stable")[:, :10]
    order = np.argsort(-np.take_along_axis(cosines, ids, axis=1), axis=1, kind="stable")
    for found, shortlist in ((ids, None), (np.take_along_axis(ids, order, axis=1), "40")):
        first = found[:, :10]
        hits = labels[first] == labels[N:, None]
        map10 = ((hits.cumsum(axis=1) / np.arange(1, 11)) * hits).sum(axis=1) / 10
        kept = [len(set(a) & set(b)) / 10 for a, b in zip(first, truth, strict=True)]
        own = {**cells, "shortlist": shortlist}
        assert value(out, metric="map@10", **own) == pytest.approx(map10.mean(), abs=1e-6)
        assert value(out, metric="recall_full@10", **own) == pytest.approx(np.mean(kept), abs=1e-6)


def test_every_entrant_is_there_with_its_costs(measured):
    _, out = measured
    quality = table(out, variant=None, metric="map@10")
    grid = quality[quality["dim"].isin(DIMS)]
    kinds = ["reducer", "dtype", "dim"]
    assert set(grid["reducer"]) == {
        *("prefix", "pca", "random-projection", "random-dims", "last-dims"),
    }
    assert set(grid["dtype"]) == set(DTYPES)
    for stage in (grid["shortlist"].isna(), grid["shortlist"] == "40"):
        assert len(grid[stage]) == len(grid[stage].drop_duplicates(kinds)) == 5 * 6 * len(DIMS)
    assert set(grid["rerank_dims"].dropna()) == {"32"}
    for metric in ("bytes_per_vector", "bytes_per_vector_whole", "bytes", "mflops"):
        assert len(table(out, metric=metric)) == len(quality)
    cells = {"reducer": "pca", "dim": 16, "dtype": "int8", "shortlist": "40"}
    assert value(out, metric="bytes_per_vector_whole", **cells) == 16 + 4 * D
    assert value(out, metric="mflops", **cells) == (D * 16 + N * 16 + 40 * D) / 1e6


def test_differences_are_those_of_the_kept_scores(measured):
    _, out = measured
    with np.load(out / "raw" / "scores-arena-mine.npz") as kept:
        scores = {name: kept[name] for name in kept.files}

    def of(reducer, dtype, dim, reranked):
        return scores[f"map@10@{reducer}@{dtype}@dim{dim}" + (">32@40" if reranked else "")]

    pairs = {  # int8 at 16 dims has the bytes of 4 floats; 16 + 40·32/1200 is 17.07 floats' FLOPs
        ("pca", "int8", 16, False, "equal=bytes"): ("prefix", "float32", 4, False),
        ("pca", "int8", 16, True, "equal=bytes"): ("prefix", "float32", 4, True),
        ("prefix", "int8", 16, True, "equal=mflops"): ("prefix", "float32", 17, False),
        ("pca", "int8", 16, True, "equal=dim"): ("prefix", "int8", 16, True),
        ("last-dims", "pq", 32, False, "at=full"): ("prefix", "float32", 32, False),
        ("prefix", "binary", 32, False, "equal=bytes"): ("prefix", "float32", 1, False),
    }
    for (reducer, dtype, dim, reranked, kind), other in pairs.items():
        cells = {"reducer": reducer, "dtype": dtype, "dim": dim, "variant": f"minus=mine,{kind}"}
        (row,) = table(out, shortlist="40" if reranked else None, **cells).itertuples()
        less = of(reducer, dtype, dim, reranked) - of(*other)
        (expected,) = paired_intervals(less[None, :, None])
        assert (row.value, row.ci_low, row.ci_high) == pytest.approx(tuple(expected), rel=1e-6)
        assert (row.metric, row.n) == ("map@10", Q)


def test_an_entrant_is_not_compared_with_itself(measured):
    _, out = measured
    for shortlist in (None, "40"):
        own = table(out, reducer="prefix", dtype="float32", dim=16, shortlist=shortlist)
        kinds = set(own["variant"].dropna().str.rpartition(",")[2])
        assert kinds == ({"at=full", "equal=mflops"} if shortlist else {"at=full"})


def test_every_number_is_verified_by_the_kept_scores(measured, mrlbench):
    folder, out = measured
    status, printed, _ = mrlbench("verify", out, "--embeddings", folder)
    assert status == 0
    quality = table(out, variant=None)["ci_low"].notna().sum()
    assert f"checked: {quality} rows against their per-query scores" in printed


def test_figures_and_settings_are_kept(measured):
    _, out = measured
    for name in ("arena_by_bytes", "arena_by_mflops"):
        for suffix in ("png", "svg"):
            assert (out / "plots" / f"{name}.{suffix}").stat().st_size > 20_000
    kept = json.loads((out / "manifest.json").read_text())["arena"]
    assert (kept["shortlist"], kept["queries"], kept["dtypes"]) == (40, 0, list(DTYPES))
    assert not [each for each in out.iterdir() if each.name.startswith("tmp")]


def test_some_queries_are_drawn_and_replace_all_of_them(tmp_path):
    """As many numbers as before, and those of the 30 queries alone."""
    chosen = np.sort(np.random.default_rng(0).choice(Q, 30, replace=False))
    whole, few = write(tmp_path / "mine"), write(tmp_path / "few" / "mine", chosen)
    kinds = {"reducers": ("prefix", "pca"), "dtypes": ("float32", "int8")}
    measure(whole, tmp_path / "a" / "out", "16,32", **kinds)
    measure(whole, tmp_path / "a" / "out", "8,32", **kinds, queries=30)
    measure(few, tmp_path / "b" / "out", "8,32", **kinds)
    first, second = (pd.read_csv(tmp_path / each / "out" / "arena.csv") for each in "ab")
    assert set(first["n"].dropna()) == {30}
    pd.testing.assert_frame_equal(first, second)
    assert 16 not in set(first.loc[first["reducer"] == "pca", "dim"])  # of the earlier dims


def test_what_is_done_is_not_done_again(measured, caplog):
    folder, out = measured
    before = (out / "arena.csv").read_bytes()
    with caplog.at_level("INFO", "mrlbench"):
        measure(folder, out, "8,16,32")
    assert "arena mine: done before" in caplog.text
    assert (out / "arena.csv").read_bytes() == before
    printed = arena_text(Output(out))
    lines = re.findall(r"prefix +float32 .*", printed)
    assert len(lines) == 2
    assert lines[0].endswith(f" {value(out, **FLOATS, metric='map@10'):.3f}")
    assert "Do bits beat dimensions? Prefixes of mine against its float32 prefix" in printed


def test_without_relevance_the_neighbours_at_full_width_are_the_truth(tmp_path):
    folder, out = write(tmp_path / "mine"), tmp_path / "out"
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    kinds = {"reducers": ("prefix",), "dtypes": ("float32", "binary"), "shortlist": 5000}
    measure(folder, out, "8,32", **kinds)
    assert "differences in recall_full@10, 90 queries" in arena_text(Output(out))
    everything = table(out, variant=None, metric="recall_full@10", shortlist=str(N))
    assert (everything["value"] == 1).all()  # all rows were reranked
    assert len(everything) > 4


def test_models_of_one_narrow_dim_take_part_in_a_run(digits_run, mrlbench, tmp_path, monkeypatch):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    options = (
        "--dims=16,512",
        "--reducers=pca",
        "--dtypes=int8,binary",
        "--queries=60",
        "--threads=1",
    )
    status, printed, err = mrlbench("arena", run, *options, "--methods=mrl,fixed-16,fixed-512")
    assert status == 0, err
    narrow = table(run, method="fixed-16")
    assert set(narrow["dim"]) == {16}
    assert narrow["rerank_dims"].isna().all()
    assert set(narrow["dtype"]) == {"float32", "int8", "binary"}
    assert set(table(run)["variant"].dropna().str.partition(",")[0]) == {"minus=mrl"}
    cells = {"dim": 16, "dtype": "binary", "shortlist": None, "metric": "map@10"}
    (less,) = table(run, variant="minus=mrl,equal=dim", method="fixed-16", **cells)["value"]
    both = (value(run, method=m, reducer="prefix", **cells) for m in ("fixed-16", "mrl"))
    assert less == pytest.approx(next(both) - next(both), abs=1e-6)
    assert re.search(r"^  separate models, binary: .* at 16 dims", printed, re.MULTILINE)
    assert re.search(r"^  pca of fixed-512, float32: .* dims", printed, re.MULTILINE)
    figures = []
    monkeypatch.setattr(arena_figure, "save_figure", lambda figure, *_: figures.append(figure))
    arena_figure.draw_arena(Output(run))
    drawn = [line for axes in figures[0].axes for line in axes.lines]
    colours = {(line.get_label(), line.get_color()) for line in drawn}
    assert {"prefix", "separate models", "pca"} < {label for label, _ in colours}
    assert len(colours) == len({label for label, _ in colours})  # the legend holds for all panels


class Kept:
    """Scores by method and seed, as if read from `raw/`."""

    def __init__(self, **scores):
        self._scores = {name: np.array(each, np.float32) for name, each in scores.items()}

    def of(self, row):
        return Scores(self._scores[f"{row.method}_{row.seed}"])


class Scores(NamedTuple):
    scores: np.ndarray


def test_seeds_are_paired_and_what_has_none_is_compared_with_the_first():
    rows = []
    for method, seeds in {"mrl": [0, 1], "fixed-64": [0, 1], "beside": [None]}.items():
        for seed in seeds:
            cells = {"method": method, "seed": seed}
            rows += [*entrant("float32", 64, **cells), *entrant("float32", 64, True, **cells)]
    kept = Kept(
        mrl_0=[1, 0, 0], mrl_1=[0, 0, 0], beside_None=[1, 1, 1],
        **{"fixed-64_0": [1, 1, 0], "fixed-64_1": [1, 1, 1]},
    )  # fmt: skip
    found = {
        (row.method, row.seed): (row.value, row.n)
        for row in differences.difference_rows(rows, kept)
        if row.rerank_dims is None and row.variant == "minus=mrl,equal=dim"
    }
    # (0 + 1 + 0) / 3 of seed 0 and 1 of seed 1; (0 + 1 + 1) / 3 against seed 0
    assert found == {
        ("fixed-64", None): (pytest.approx(2 / 3), 3),
        ("beside", None): (pytest.approx(2 / 3), 3),
    }


# Words


def quality(dtype, dim, value, reranked=False, metric="map@10", **cells):
    shortlist = {"rerank_dims": "64", "shortlist": "20"} if reranked else {}
    found = {"reducer": "prefix", "method": "mine", "task": "arena", "n": 50, **shortlist, **cells}
    return Row("out", "mine", dim=dim, dtype=dtype, metric=metric, value=value, **found)


def entrant(dtype, dim, reranked=False, **cells):
    """Rows of one entrant: its quality, and its costs."""
    yield quality(dtype, dim, 0.5, reranked, **cells)
    for metric in ("bytes_per_vector", "bytes_per_vector_whole", "mflops"):
        added = 256 if reranked and metric.endswith("whole") else 0
        yield quality(dtype, dim, code_bytes(dim, dtype) + added, reranked, metric, **cells)


def difference(dtype, dim, kind, interval, reranked=False, **cells):
    value, low, high = interval
    ends = {"variant": f"minus=mine,{kind}", "ci_low": low, "ci_high": high}
    return quality(dtype, dim, value, reranked, **ends, **cells)


def test_answers_say_what_intervals_allow():
    rows = []
    for dtype, dims in (("float32", [8, 64]), ("int8", [8, 16, 32, 64])):
        for dim in dims:
            rows += [*entrant(dtype, dim), *entrant(dtype, dim, reranked=True)]
    rows += entrant("float32", 8, reducer="pca")
    told = [(0.2, 0.1, 0.3), (-0.01, -0.02, -0.003), (0, -0.001, 0.001), (0.01, -0.01, 0.03)]
    for dim, interval in zip([8, 16, 32, 64], told, strict=True):
        rows.append(difference("int8", dim, differences.BYTES, interval))
        rows.append(difference("int8", dim, differences.FULL, interval, reranked=True))
    rows.append(difference("float32", 8, differences.DIM, (-0.1, -0.2, -0.001), reducer="pca"))
    said = answers(rows)
    assert said[0].startswith("differences in map@10, 50 queries")
    assert said[2] == (
        "  int8: better at 8; worse at 16; the same at 32; cannot be told at 64 bytes "
        "(+0.200, +0.100 to +0.300 at 8)"
    )
    assert "  pca of mine, float32: worse at 8 dims (-0.100, -0.200 to -0.001 at 8)" in said
    assert said[-1] == (
        "  int8: not 0.002 worse than exact search at full width from 8 bytes on, 8 dims "
        "(+0.200, +0.100 to +0.300); 264 bytes with the vectors that are reranked"
    )


@pytest.mark.parametrize(
    ("methods", "chosen"),
    [
        (["fixed-64", "mrl", "mrl-e"], "mrl"),
        (["fixed-64", "mrl-e"], "mrl-e"),
        (["untuned", "wordllama"], "untuned"),
        (["fixed-64"], "fixed-64"),
    ],
)
def test_the_nested_model_is_the_reference(methods, chosen):
    rows = [quality("float32", 8, 0.5, reranked=True, method=method) for method in methods]
    rows.append(quality("float32", 8, 0.5, method="a-narrow-one"))
    assert differences.reference_method(rows) == chosen


# Requests that cannot be met


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--dtypes=int4"],
            "--dtypes: expected some of float32, float16, int8, binary, binary-mean, pq, got",
        ),
        (
            ["--reducers=tsne", "--dtypes=int8"],
            "no 'tsne' among reducers: expected one of last-dims, pca",
        ),
        (["--dims=8,64"], "--dims: expected dims from 1 to 16, got 64"),
        ([], "--dtypes: pq needs at least 1,024 rows of a database, got 60"),
    ],
)
def test_requests_that_cannot_be_met(mrlbench, folder, tmp_path, options, message):
    out = tmp_path / "out"
    status, _, err = mrlbench("arena", "--embeddings", folder, "--out", out, *options)
    assert status == 2
    assert message in err
    assert not (out / "arena.csv").exists()
