"""Vectors of several formats through `import-arrays`: the same numbers, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mrlbench.embedding import vector_files
from mrlbench.embedding.folder import open_embeddings

ROWS, WIDTH = 50, 6
VECTORS = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
LABELS = np.arange(ROWS) % 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Read seven rows at a time, so that there are several blocks and a rest."""
    monkeypatch.setattr(vector_files, "_rows_at_once", lambda width: 7)


@pytest.fixture
def run(mrlbench, tmp_path):
    """Import one file as database and queries."""

    def once(vectors, labels="-", out="out", queries=None):
        asked = queries or (vectors, labels)
        given = ("--database", vectors, labels, "--queries", *asked)
        return mrlbench("import-arrays", *given, "--out", tmp_path / out, "-q")

    return once


@pytest.fixture
def refused(run, tmp_path):
    def once(message, *arguments, **more):
        status, out, err = run(*arguments, **more)
        assert (status, out) == (2, "")
        assert message in err
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "out").exists()

    return once


def table(path, vectors, **columns):
    """Write a Parquet file of several row groups; returns its path."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"vector": vectors, **columns}), path, row_group_size=20)
    return path


def lists(vectors, kind="list"):
    pyarrow = pytest.importorskip("pyarrow")
    number = pyarrow.from_numpy_dtype(np.asarray(vectors).dtype)
    make = {
        "list": pyarrow.list_(number),
        "large": pyarrow.large_list(number),
        "fixed": pyarrow.list_(number, np.asarray(vectors).shape[1]),
    }
    return pyarrow.array(list(vectors), make[kind])


def test_an_npy_is_linked_and_not_copied(run, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, VECTORS)
    status, _, err = run(path)
    assert status == 0, err
    assert (tmp_path / "out" / "database.npy").samefile(path)
    opened = open_embeddings(tmp_path / "out")
    assert_array_equal(opened.queries, VECTORS)
    assert opened.relevance is None


def test_where_there_are_no_links_it_is_copied(run, tmp_path, monkeypatch):
    def no_link(*_):
        raise OSError("another disk")

    path = tmp_path / "x.npy"
    np.save(path, VECTORS.astype(np.float16))
    monkeypatch.setattr("os.link", no_link)
    status, _, err = run(path)
    assert status == 0, err
    copied = tmp_path / "out" / "database.npy"
    assert not copied.samefile(path)
    assert np.load(copied).dtype == np.float16
    assert_array_equal(np.load(copied), VECTORS.astype(np.float16))


def test_columns_are_turned_into_rows(run, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.asfortranarray(VECTORS))
    status, _, err = run(path)
    assert status == 0, err
    found = np.load(tmp_path / "out" / "database.npy")
    assert_array_equal(found, VECTORS)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_read_by_name_or_when_it_has_one_array(run, tmp_path, save):
    save(tmp_path / "x.npz", x=VECTORS.astype(np.float64), y=LABELS)
    save(tmp_path / "one.npz", VECTORS)
    status, _, err = run(
        f"{tmp_path / 'x.npz'}:x",
        f"{tmp_path / 'x.npz'}:y",
        queries=(tmp_path / "one.npz", f"{tmp_path / 'x.npz'}:y"),
    )
    assert status == 0, err
    found = open_embeddings(tmp_path / "out")
    assert found.database.dtype == np.float64
    assert_array_equal(found.database, VECTORS.astype(np.float64))
    assert_array_equal(found.queries, VECTORS)
    assert_array_equal(found.relevance.database, LABELS)


@pytest.mark.parametrize("kind", ["list", "large", "fixed"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parquet_of_every_kind_of_list(run, tmp_path, kind, dtype):
    vectors = VECTORS.astype(dtype)
    path = table(tmp_path / "x.parquet", lists(vectors, kind), label=LABELS, other=LABELS)
    status, _, err = run(path, f"{path}:label")  # there is one column of lists
    assert status == 0, err
    found = open_embeddings(tmp_path / "out")
    assert found.database.dtype == dtype
    assert_array_equal(found.database, vectors)
    assert_array_equal(found.relevance.queries, LABELS)


def test_parquet_as_pandas_writes_it(run, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.pq"
    pandas.DataFrame({"text": ["a"] * ROWS, "embedding": list(VECTORS)}).to_parquet(path)
    status, _, err = run(f"{path}:embedding")
    assert status == 0, err
    assert_array_equal(np.load(tmp_path / "out" / "database.npy"), VECTORS)


def test_memory_holds_one_block(tmp_path, monkeypatch):
    """Give the blocks of each format: none is larger than was asked for."""
    np.savez(tmp_path / "x.npz", VECTORS)
    np.save(tmp_path / "x.npy", VECTORS)
    table(tmp_path / "x.parquet", lists(VECTORS))
    for name in ("x.npz", "x.npy", "x.parquet"):
        sizes = [len(block) for block in vector_files.open_vector_file(tmp_path / name).read()]
        assert sum(sizes) == ROWS, name
        assert max(sizes) <= 7, name


def test_rows_that_are_no_vectors(refused, tmp_path):
    path = tmp_path / "x.parquet"
    ragged = [*VECTORS.tolist()[:30], [1.0, 2.0], *VECTORS.tolist()[31:]]
    table(path, ragged)
    refused("x.parquet:vector: expected 6 values in each row, got 2 in row 30", path)
    table(path, [*VECTORS.tolist()[:9], None, *VECTORS.tolist()[10:]])
    refused("expected 6 values in each row, got none in row 9", path)
    table(path, [*VECTORS.tolist()[:9], [1.0, None, 2.0, 3.0, 4.0, 5.0], *VECTORS.tolist()[10:]])
    refused("expected a vector, got a missing value in row 9", path)
    wrong = VECTORS.copy()
    wrong[41, 2] = np.nan
    table(path, lists(wrong))
    refused("expected finite vectors that are not zero, got NaN in row 41", path)
    np.savez_compressed(tmp_path / "x.npz", wrong)
    refused("got NaN in row 41", tmp_path / "x.npz")
    wrong[41] = 0
    np.savez(tmp_path / "x.npz", wrong)
    refused("got only zeros in row 41", tmp_path / "x.npz")


def test_files_that_are_something_else(refused, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([[1, 2], [3]], dtype=object), allow_pickle=True)
    refused("expected a .npy file in", path)
    np.save(path, VECTORS[0])
    refused("expected float16, float32 or float64 of shape (rows, width), got float32", path)
    path = tmp_path / "x.npz"
    np.savez(path, x=np.array([[1, 2], [3]], dtype=object), y=VECTORS.astype(int), z=VECTORS.T)
    refused("x.npz:x: expected float16, float32 or float64", f"{path}:x")
    refused("x.npz:y: expected float16, float32 or float64", f"{path}:y")
    refused("x.npz:z: expected rows one after another, got columns", f"{path}:z")
    refused("x.npz:<array> with one of x, y, z, got no name", path)
    refused("x.npz:<array> with one of x, y, z, got w", f"{path}:w")
    path.write_bytes(path.read_bytes()[:300])
    refused("expected a .npz file in", f"{path}:x")
    refused("got no such file", tmp_path / "none.npz")
    path = table(tmp_path / "x.parquet", lists(VECTORS), two=lists(VECTORS), label=LABELS)
    refused("<column> with one of vector, two, got no name", path)
    refused("<column> with one of vector, two, got label", f"{path}:label")
    table(path, lists(VECTORS.astype(np.int32)))
    refused("x.parquet:vector: expected float16, float32 or float64", path)
    table(path, lists(VECTORS)[:0])
    refused("expected at least one row, got none", path)
    path.write_bytes(b"no table")
    refused("expected a .parquet file in", path)


def test_sides_that_do_not_fit(refused, tmp_path):
    path, other = tmp_path / "x.npz", tmp_path / "y.npy"
    np.savez(path, x=VECTORS, y=LABELS, short=LABELS[:9])
    np.save(other, VECTORS[:, :4])
    refused(
        "expected database and queries of the same width, got 6",
        f"{path}:x",
        "-",
        queries=(other, "-"),
    )
    refused("expected 50 labels, one for each vector, got shape (9,)", f"{path}:x", f"{path}:short")
    refused(
        "expected labels of database and queries",
        f"{path}:x",
        f"{path}:y",
        queries=(f"{path}:x", "-"),
    )
    table(tmp_path / "x.parquet", lists(VECTORS), name=["a"] * ROWS)
    labelled = (tmp_path / "x.parquet", f"{tmp_path / 'x.parquet'}:name")
    refused("expected numbers as labels, got object", *labelled)
