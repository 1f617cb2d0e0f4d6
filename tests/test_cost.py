"""The arithmetic of `cost`: bytes, MFLOPs and break-evens worked by hand, overheads by building."""

import re

import numpy as np
import pytest

from mrlbench.arrays import prefix
from mrlbench.costs.quantities import read_count
from mrlbench.costs.storage import measured, overhead, row_bytes
from mrlbench.errors import UserError
from mrlbench.plugins import load
from mrlbench.search.adaptive import Schedule


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("10M", 10_000_000),
        ("1.5B", 1_500_000_000),
        ("300k", 300_000),
        ("0.3K", 300),
        ("1_000", 1000),
        ("7", 7),
        ("0.1B", 100_000_000),  # 0.1 · 10⁹ in decimal, not 100000000.00000001
    ],
)
def test_counts_as_people_write_them(text, count):
    assert read_count("--vectors", text) == count


@pytest.mark.parametrize("text", ["", "10X", "M", "-3", "1e6", "0", "1.5", "0.0001k", "1,5M", "٣"])
def test_bad_counts_are_one_line(text):
    with pytest.raises(UserError, match="--vectors: expected a") as error:
        read_count("--vectors", text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dim", "dtype", "expected"),
    [
        (768, "float32", 3072),
        (768, "float16", 1536),
        (768, "int8", 768),
        (768, "binary", 96),
        (10, "binary", 2),  # whole bytes
    ],
)
def test_bytes_of_a_vector(dim, dtype, expected):
    assert row_bytes(dim, dtype) == expected


@pytest.mark.parametrize(
    ("index", "arguments", "off"),
    [
        ("hnsw", {"m": 16}, 0.01),
        ("hnsw", {"m": 24}, 0.01),
        ("hnswlib", {"m": 8}, 0.01),
        ("exact", {}, 0.01),
        ("ivf", {}, 0.01),
        ("adanns-ivf", {}, 0.01),
        ("scalar-quantizer", {}, 0.01),
        ("ivf-pq", {}, 0.03),  # each cell is filled up to 32 codes
    ],
)
def test_an_index_that_is_built_has_the_bytes_that_are_foretold(index, arguments, off):
    """At a size and a dim, of other vectors, that the overheads were not measured at."""
    rows, dim = 5000, 24
    vectors = np.random.default_rng(7).standard_normal((rows, dim), dtype=np.float32)
    built = load("indexes", index)(**arguments)
    built.build(prefix(vectors, dim))
    foretold = overhead(index, arguments.get("m", 32)).bytes(rows, dim, "float32")
    assert foretold == pytest.approx(built.nbytes(), rel=off)


def test_the_overhead_of_a_graph_is_that_of_its_layout():
    """FAISS: 2m links of 4 bytes, a level, an offset; 1 of m nodes is a level up, and so on."""
    m = 32
    by_hand = 4 * 2 * m + 4 + 8 + 4 * m / (m - 1)
    assert overhead("hnsw", m).per_vector == pytest.approx(by_hand, abs=0.5)


def test_m_between_two_measured_ones_lies_between():
    low, high = overhead("hnsw", 16).per_vector, overhead("hnsw", 32).per_vector
    assert overhead("hnsw", 20).per_vector == pytest.approx(low + (high - low) / 4)
    assert overhead("hnsw", 20).label == "hnsw(m=20)"


@pytest.mark.parametrize(
    ("index", "links", "said"), [("annoying", 32, "hnsw"), ("hnsw", 3, "4 to 64")]
)
def test_what_was_not_measured_is_refused(index, links, said):
    with pytest.raises(UserError, match=said):
        overhead(index, links)


def test_every_measured_overhead_fits_and_names_its_library():
    assert {each.index for each in measured()} >= {"exact", "hnsw", "hnswlib", "ivf"}
    for each in measured():
        assert each.library
        assert re.match(r"\d+\.", each.version)
        assert each.error < 0.01


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(64, (768,), (200,)),
        Schedule(64, (512,), (7,)),  # 7·512/448 = 8 exactly: equal there
        Schedule(16, (32, 64, 2048), (800, 400, 200)),
    ],
)
def test_the_break_even_is_where_the_costs_cross(schedule):
    full = Schedule(schedule.rerank_dims[-1], (), ())
    rows = int(schedule.break_even)
    assert schedule.mflops(rows) >= full.mflops(rows)
    assert schedule.mflops(rows + 1) < full.mflops(rows + 1)


def test_the_break_even_by_hand():
    assert Schedule(64, (768,), (200,)).break_even == pytest.approx(200 * 768 / 704)
    assert Schedule(64, (), ()).break_even == float("inf")


def test_ten_million_vectors_on_the_terminal(mrlbench):
    status, out, _ = mrlbench("cost", "--vectors=10M", "--dims=64,768", "--dtype=float32,binary")
    assert status == 0
    (line,) = [each for each in out.splitlines() if each.split()[:2] == ["768", "float32"]]
    cells = line.split()
    assert cells[2:5] == ["30,720,000,000", "30.72", "28.61"]  # 30.72e9 / 2**30 = 28.610
    assert cells[7] == "30.72"  # an exact index holds nothing else
    assert float(cells[5]) == pytest.approx(30.72 + 2.723, abs=0.01)  # 272.3 bytes of links each
    assert re.search(r"scan at 768 +7,680 +1 times", out)
    assert re.search(r"scan at 64, rerank 200 at 768 +640\.154 +12 times it +219", out)
    assert "month" not in out
    assert "core-hours" not in out


def test_money_where_prices_are_given(mrlbench):
    status, out, _ = mrlbench(
        *("cost", "--vectors=10M", "--dim=768", "--dtype=float32", "--index="),
        *("--queries-per-day=1M", "--price-gb-month=0.1", "--price-core-hour=0.05"),
        "--core-gflops=2",
    )
    assert status == 0
    assert "vectors, per month" in out
    assert out.splitlines()[2].split()[-1] == "3.072"  # 30.72 GB at 0.1
    # 7.68e9 · 1e6 / 2e9 / 3600 = 1066.67 hours a day; 30.4375 days at 0.05
    assert re.search(r"scan at 768 .* 1,066\.67 +1,623\.33", out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vectors=ten"], "--vectors: expected a count such as"),
        (["--dim=768", "--dims=64,768"], "got both"),
        (["--dims=768,64"], "increasing"),
        (["--dtype=float8"], "--dtype: expected some of float32"),
        (["--index=faster"], "--index: expected some of adanns-ivf, batched-ivf, exact"),
        (["--m=1000"], "--m: expected 4 to 64"),
        (["--price-core-hour=1"], "--queries-per-day"),
        (["--core-gflops=0"], "--core-gflops"),
    ],
)
def test_bad_requests_are_one_line(mrlbench, arguments, said):
    status, out, err = mrlbench("cost", *arguments)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
