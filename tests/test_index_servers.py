"""Indexes in database servers: a real PostgreSQL with pgvector, and Milvus Lite."""

import gc
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mrlbench import progress
from mrlbench.arrays import prefix
from mrlbench.errors import UserError
from mrlbench.experiment import IndexPlugin
from mrlbench.index_server import check_uri
from mrlbench.plugins import load
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, run_schedule
from mrlbench.search.pipeline import Pipeline

milvus_module = pytest.importorskip("mrlbench.indexes.milvus", exc_type=ImportError)
pgvector_module = pytest.importorskip("mrlbench.indexes.pgvector", exc_type=ImportError)
N, Q, D, K = 300, 10, 16, 5


@pytest.fixture(scope="module")
def vectors():
    """Unit vectors, (N, D) and (Q, D)."""
    random = np.random.default_rng(0)
    both = prefix(random.standard_normal((N + Q, D), dtype=np.float32), D)
    return both[:N], both[N:]


def brute_force(database, queries, k=K):
    scores = queries @ database.T
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(scores, ids, axis=1)


def during_insert(monkeypatch, happens):
    """Let something happen after the first rows of an insert were sent."""
    advance = progress.Task.advance

    def advanced(self, units, note=""):
        advance(self, units, note)
        if units:
            monkeypatch.setattr(progress.Task, "advance", advance)
            happens()

    monkeypatch.setattr(progress.Task, "advance", advanced)


def refusal(call):
    """Give the one line that a call is refused with."""
    with pytest.raises(UserError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


# PostgreSQL


def test_pgvector_shortlists_on_the_prefix_and_reranks_in_sql(vectors):
    database, queries = vectors
    index = load("indexes", "pgvector")(first_dim=4)
    index.build(database)
    plan = index._connection.execute("EXPLAIN " + index.sql(K, 20), {"query": queries[0]})
    assert f"Index Scan using {index._place.name}_subvector_idx" in str(plan.fetchall())
    index._connection.execute("SET enable_indexscan = off")  # the same SQL without the graph
    index._connection.execute("SET enable_seqscan = on")
    found = index.search(queries, K, 20)
    shortlist, _ = brute_force(prefix(database, 4), prefix(queries, 4), 20)
    for row in range(Q):
        scores = database[shortlist[row]] @ queries[row]
        order = np.argsort(-scores)[:K]
        assert_array_equal(found.ids[row], shortlist[row][order])
        assert_allclose(found.scores[row], scores[order], atol=1e-6)
    exact, _ = brute_force(database, queries)
    assert (found.ids != exact).any()  # 20 of a prefix of 4 are not enough


def test_pgvector_stores_wide_prefixes_as_halves_and_scores_with_whole_vectors():
    random = np.random.default_rng(0)
    wide = prefix(random.standard_normal((45, 2100), dtype=np.float32), 2100)
    index = load("indexes", "pgvector")()
    index.build(wide[:40])
    plan = index._connection.execute("EXPLAIN " + index.sql(K, 20), {"query": wide[40]})
    assert "Index Scan using" in str(plan.fetchall())
    assert index.server()["metric"].startswith("halfvec_cosine_ops")
    found = index.search(wide[40:], K, 40)
    ids, scores = brute_force(wide[:40], wide[40:])
    assert_array_equal(found.ids, ids)
    assert_allclose(found.scores, scores, atol=1e-6)  # halves would be off by 1e-5


def test_pgvector_says_what_answers(vectors):
    index = load("indexes", "pgvector")(m=8)
    index.build(vectors[0])
    server = index.server()
    assert server["version"].startswith("PostgreSQL 1")
    assert ", pgvector 0." in server["version"]
    assert server["index_type"] == "hnsw on subvector(v, 1, 16)::vector(16)"
    assert index.unmeasured() == set()


def test_a_table_goes_with_its_index_unless_it_was_saved(vectors, tmp_path, postgres):
    import psycopg

    def tables():
        with psycopg.connect(postgres) as connection:
            return str(connection.execute("SELECT relname FROM pg_class").fetchall())

    for round_, stays in enumerate((False, True, True)):  # the third finds what the second saved
        index = load("indexes", "pgvector")(m=5)
        index.build(vectors[0])
        name = index._place.name
        assert name in tables()
        assert index.unmeasured() == ({"build_s"} if round_ == 2 else set())
        if round_ == 1:
            index.save(tmp_path / "index.json")
        del index
        gc.collect()
        assert (name in tables()) == stays
    with psycopg.connect(postgres) as connection:
        connection.execute(f"DROP TABLE {name}")


def test_pgvector_refuses_what_it_cannot_index_in_one_line(vectors, tmp_path):
    pgvector = load("indexes", "pgvector")
    for wrong in (17, 4001):
        assert f"got {wrong} of 16" in refusal(
            lambda w=wrong: pgvector(first_dim=w).build(vectors[0])
        )
    gone = "postgresql://127.0.0.1:1/x?connect_timeout=2"
    assert "Connection refused" in refusal(lambda: pgvector(gone).build(vectors[0]))
    secret = "postgresql://me:secret@host/x"
    line = refusal(lambda: pgvector(secret))
    assert "PGPASSWORD" in line
    assert "secret" not in line


def test_pgvector_refuses_a_wrong_password_in_one_line(vectors, postgres, monkeypatch):
    import psycopg

    monkeypatch.setenv("PGPASSWORD", "wrong")
    with psycopg.connect(postgres, autocommit=True) as connection:
        rules = Path(connection.execute("SHOW hba_file").fetchone()[0])
        connection.execute("CREATE ROLE asked LOGIN PASSWORD 'right'")
        rules.write_text("local all asked scram-sha-256\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_sleep(0.2)")
    uri = postgres.replace("//postgres:@", "//asked@")
    line = refusal(lambda: load("indexes", "pgvector")(uri).build(vectors[0]))
    assert 'password authentication failed for user "asked"' in line


def test_a_saved_table_that_is_not_there_or_another_is_refused(vectors, tmp_path):
    path = tmp_path / "index.json"
    index = load("indexes", "pgvector")(m=6)
    index.build(vectors[0])
    index.save(path)
    name = index._place.name

    def loaded():
        return refusal(lambda: load("indexes", "pgvector")().load(path))

    index._connection.execute(f"DELETE FROM {name} WHERE id = 7")
    assert loaded().endswith(f"expected 300 rows in the table {name}, got 299")
    index._connection.execute(f"DROP TABLE {name}; CREATE TABLE {name} (v vector(32))")
    assert loaded().endswith("with vectors of 16, got vector(32)s")
    index._connection.execute(f"DROP TABLE {name}")
    assert loaded().endswith("with vectors of 16, got no such table")


@pytest.mark.parametrize("name", ["pgvector", "milvus"])
def test_a_saved_file_of_another_index_or_version_is_refused(name, tmp_path):
    path = tmp_path / "index.json"
    for content in (None, "{", "[]", json.dumps({"collection": "x", "uri": ""})):
        if content is not None:
            path.write_text(content)
        assert f"what this version's {name} index saved" in refusal(
            lambda: load("indexes", name)().load(path)
        )
    other = {"index": "other", "uri": "", "content": "", "rows": 1, "dim": 1, "arguments": {}}
    path.write_text(json.dumps({"collection": "mrlbench_", **other}))
    assert "got one of other" in refusal(lambda: load("indexes", name)().load(path))


def test_a_copy_that_the_server_ends_leaves_nothing(vectors, postgres, monkeypatch):
    import psycopg

    index = load("indexes", "pgvector")(m=7)

    def stop():
        with psycopg.connect(postgres, autocommit=True) as other:
            other.execute(f"SELECT pg_terminate_backend({index._connection.info.backend_pid})")

    during_insert(monkeypatch, stop)
    assert "indexes pgvector: own server: " in refusal(lambda: index.build(vectors[0]))
    with psycopg.connect(postgres) as other:
        assert other.execute(f"SELECT to_regclass('{index._place.name}')").fetchone() == (None,)


@pytest.fixture
def impatient(monkeypatch):
    """Wait for the locks of others for a second only."""
    monkeypatch.setattr(pgvector_module, "LOCK", 1)


@pytest.mark.usefixtures("impatient")
def test_a_lock_of_another_session_is_not_waited_for_for_ever(vectors, postgres, tmp_path, caplog):
    import psycopg

    line = "own server: expected no other session to lock what is built or read here, got a lock"
    refused = load("indexes", "pgvector")(m=9)
    name = index_name(refused, vectors)
    with psycopg.connect(postgres) as other:
        other.execute(f"CREATE TABLE {name} (id int)")
        assert line in refusal(lambda: refused.build(vectors[0]))
        other.rollback()
    index = load("indexes", "pgvector")(m=9)
    index.build(vectors[0])
    path = tmp_path / "index.json"
    index._place.save(path)
    with psycopg.connect(postgres) as other:
        other.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        assert line in refusal(lambda: load("indexes", "pgvector")().load(path))
        del index  # it drops its table
        gc.collect()
        assert f"the table {name} stays" in caplog.text
        other.execute(f"DROP TABLE {name}")


def index_name(index, vectors):
    """Name the table that an index will make, by making and dropping it."""
    index.build(vectors[0])
    name = index._place.name
    index._connection.execute(f"DROP TABLE {name}")
    index._owned.clear()
    return name


# Milvus


@pytest.mark.parametrize("index_type", ["IVF_FLAT", "FLAT"])
def test_every_type_of_milvus_finds_what_brute_force_finds(index_type, vectors):
    database, queries = vectors
    index = load("indexes", "milvus")(index_type=index_type)
    assert index.exact == (index_type == "FLAT")
    index.build(database)
    found = index.search(queries, K, N)
    ids, scores = brute_force(database, queries)
    assert_array_equal(found.ids, ids)
    assert_allclose(found.scores, scores, atol=1e-5)
    assert index.server()["index_type"] == index_type
    if index_type == "IVF_FLAT":  # 300 rows are 7 cells of 39 at least; one holds a part of them
        state = index._client.describe_index(index._place.name, "vector")
        assert state["params"] == {"nlist": 7}
        assert (index.search(queries, N, 1).ids < 0).any()


def test_milvus_inserts_flushes_indexes_waits_and_loads_in_this_order(vectors, monkeypatch):
    called = []
    steps = ("insert", "flush", "create_index", "describe_index", "load_collection")
    for step in steps:
        real = getattr(milvus_module.MilvusClient, step)

        def spied(self, *args, _step=step, _real=real, **kwargs):
            called.append(_step)
            return _real(self, *args, **kwargs)

        monkeypatch.setattr(milvus_module.MilvusClient, step, spied)
    load("indexes", "milvus")().build(vectors[0])
    assert tuple(called) == steps


def test_an_insert_that_was_interrupted_goes_on_where_it_was(vectors, monkeypatch):
    database, queries = vectors
    monkeypatch.setattr(milvus_module, "BATCH_BYTES", 100 * 4 * D)

    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        during_insert(patch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            load("indexes", "milvus")(m=7).build(database)
    sent = []
    insert = milvus_module.MilvusClient.insert
    monkeypatch.setattr(
        milvus_module.MilvusClient,
        "insert",
        lambda self, name, data, **more: sent.append(len(data)) or insert(self, name, data, **more),
    )
    index = load("indexes", "milvus")(m=7)
    index.build(database)
    assert sent == [100, 100]  # 100 were there
    assert "build_s" in index.unmeasured()
    assert_array_equal(index.search(queries, K, N).ids, brute_force(database, queries)[0])


def test_an_indexing_that_was_interrupted_leaves_no_collection(vectors, monkeypatch):
    from pymilvus import MilvusClient

    def interrupt(self):
        raise KeyboardInterrupt

    client = MilvusClient(milvus_module._own_file())
    for step in ("_index", "_wait"):
        with monkeypatch.context() as patch:
            patch.setattr(milvus_module.milvus, step, interrupt)
            index = load("indexes", "milvus")(m=11)
            with pytest.raises(KeyboardInterrupt):
                index.build(vectors[0])
        name = index._place.name
        assert client.get_collection_stats(name)["row_count"] == N
        del index
        gc.collect()
        assert not client.has_collection(name)


def test_a_collection_that_was_never_indexed_is_gone_on_with_and_goes(vectors, monkeypatch):
    """Killed between the insert and the index, so that nothing could drop it."""
    from pymilvus import MilvusClient

    database, queries = vectors
    client = MilvusClient(milvus_module._own_file())
    with monkeypatch.context() as patch:
        patch.setattr(milvus_module, "_leave", lambda client, owned: client.close())
        patch.setattr(milvus_module.milvus, "_index", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load("indexes", "milvus")(m=12).build(database)
    gc.collect()
    index = load("indexes", "milvus")(m=12)
    index.build(database)
    name = index._place.name
    assert_array_equal(index.search(queries, K, N).ids, brute_force(database, queries)[0])
    del index
    gc.collect()
    assert not client.has_collection(name)


def test_a_collection_goes_with_its_index_unless_it_was_saved_or_there_before(vectors, tmp_path):
    from pymilvus import MilvusClient

    client = MilvusClient(milvus_module._own_file())
    index = load("indexes", "milvus")(m=8)
    index.build(vectors[0])
    name = index._place.name
    del index
    gc.collect()
    assert not client.has_collection(name)
    for saves in (True, False):  # the second finds what the first saved
        index = load("indexes", "milvus")(m=8)
        index.build(vectors[0])
        if saves:
            index.save(tmp_path / "index.json")
        del index
        gc.collect()
        assert client.has_collection(name)
    client.drop_collection(name)
    line = refusal(lambda: load("indexes", "milvus")().load(tmp_path / "index.json"))
    assert line.endswith(f"expected a collection {name}, got none")


def test_milvus_refuses_a_server_that_is_not_there_and_keys_that_would_show(vectors, monkeypatch):
    milvus = load("indexes", "milvus")
    monkeypatch.setattr(milvus_module, "ANSWER", 2.0)
    assert "127.0.0.1:1" in refusal(lambda: milvus("http://127.0.0.1:1").build(vectors[0]))
    assert "no-such" in refusal(lambda: milvus("/no-such/folder/x.db").build(vectors[0]))
    line = refusal(lambda: milvus("http://me:secret@host:19530"))
    assert "MILVUS_TOKEN" in line
    assert "secret" not in line
    monkeypatch.setenv("MILVUS_TOKEN", "sec\nret")
    assert "MILVUS_TOKEN: expected" in refusal(lambda: milvus().build(vectors[0]))


def test_a_collection_of_another_width_is_refused(vectors):
    from pymilvus import MilvusClient

    index = load("indexes", "milvus")(m=9)
    index.build(vectors[0])
    name = index._place.name
    del index
    gc.collect()
    MilvusClient(milvus_module._own_file()).create_collection(name, dimension=32)
    line = refusal(lambda: load("indexes", "milvus")(m=9).build(vectors[0]))
    assert line.endswith(f"a collection {name} with vectors of 16, got 32")


# In a pipeline and in bench-search


@pytest.mark.parametrize(
    ("name", "arguments"), [("milvus", {"index_type": "FLAT"}), ("pgvector", {})]
)
def test_a_server_is_the_first_stage_of_a_pipeline(name, arguments, vectors):
    database, queries = vectors
    ladder = Schedule(4, (D,), (40,))
    first = load("indexes", name)(**arguments)
    first.build(prefix(database, 4))
    found = Pipeline(first, 4, N, database, ladder).search(queries, K)
    shortlist = nested_search(database, queries, [4], 40)[4].ids
    expected = run_schedule(database, queries, shortlist, ladder).first(K)
    assert_array_equal(found.ids, expected.ids)
    assert_allclose(found.scores, expected.scores, atol=1e-6)


def test_bench_search_names_the_server_and_times_no_stand_in(mrlbench, folder, tmp_path, caplog):
    out = tmp_path / "out"
    status, _, _ = mrlbench(
        *("bench-search", "--embeddings", folder, "--out", out, "--dims", "8,16", "-q"),
        *("--index", "milvus", "--set", "index.index_type=IVF_FLAT", "--set", "index.efforts=[1]"),
    )
    assert (status, "stands in for a server: not timed" in caplog.text) == (0, True)
    rows = pd.read_csv(out / "search_speed.csv")
    ours = rows[rows["index"] == "milvus(index_type=IVF_FLAT)"]
    assert set(ours["metric"]) == {"recall_dim@10", "recall_dim_strict@10"}
    assert set(ours["dim"]) == {8, 16}
    servers = json.loads((out / "manifest.json").read_text())["servers"]
    assert servers == {
        "milvus(index_type=IVF_FLAT)": {
            "version": servers["milvus(index_type=IVF_FLAT)"]["version"],
            "metric": "IP",
            "index_type": "IVF_FLAT",
            "consistency": "Strong",
            "not measured": ["build_s", "bytes", "time"],
        }
    }
    assert servers["milvus(index_type=IVF_FLAT)"]["version"].startswith("Milvus milvus_lite-")


def test_a_real_server_is_timed_and_its_address_is_not_published(
    mrlbench, folder, tmp_path, postgres
):
    out = tmp_path / "out"
    status, _, err = mrlbench(
        *("bench-search", "--embeddings", folder, "--out", out, "--dims", "16", "-q"),
        *("--index", "pgvector", "--set", f"index.uri='{postgres}'", "--set", "index.efforts=[60]"),
    )
    assert status == 0, err
    rows = pd.read_csv(out / "search_speed.csv")
    ours = rows[rows["index"] == "pgvector(uri=postgresql)"].set_index(["metric", "task"])["value"]
    assert ours["recall_dim@10", "search-speed"] == 1
    assert {"us_per_query", "build_s", "bytes"} <= {metric for metric, _ in ours.index}
    for path in out.rglob("*.*"):
        assert postgres not in path.read_text(errors="replace")


def test_an_index_for_bench_search_is_checked_before_work_starts(mrlbench, folder, tmp_path):
    common = ("bench-search", "--embeddings", folder, "--out", tmp_path / "out")
    for more, expected in (
        (("--set", "index.m=3"), "expected --index NAME"),
        (("--index", "milvus", "--set", "m=3"), "expected index.KEY=VALUE"),
        (("--index", "milvus", "--set", "index.trees=3"), "milvus takes uri, index_type"),
        (("--index", "milvus", "--set", "index.efforts=x"), "index.efforts"),
        (("--index", "none"), "no 'none' among indexes"),
    ):
        status, _, err = mrlbench(*common, *more)
        assert (status, expected in err, err.count("\n")) == (2, True, 1), err


@pytest.mark.parametrize(
    "command",
    [
        ["reproduce", "digits"],
        ["train", "nli-sentence-transformer"],
    ],
)
def test_a_password_in_an_experiment_is_refused_before_anything_is_written(
    command, mrlbench, tmp_path
):
    index = "{name = 'pgvector', uri = 'postgresql://me:secret@host/x'}"
    status, out, err = mrlbench(
        *command, "--run", tmp_path / "run", "--set", f"search.indexes=[{index}]"
    )
    assert (status, err.count("\n")) == (2, 1)
    assert "pgvector: uri: expected no password in it, got one: set PGPASSWORD instead" in err
    assert "secret" not in out + err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_password_for_bench_search_is_in_no_file(mrlbench, folder, tmp_path):
    grid, out = tmp_path / "grid.toml", tmp_path / "out"
    uri = "http://root:secret@host:19530"
    grid.write_text(f'[[indexes]]\nname = "milvus"\nuri = "{uri}"\n')
    for more in (
        ["--grid", grid],
        ["--index", "milvus", "--set", f"index.uri={uri}"],
    ):
        status, _, err = mrlbench("bench-search", "--embeddings", folder, "--out", out, *more)
        assert (status, err.count("\n")) == (2, 1)
        assert "expected no password in it, got one: set MILVUS_TOKEN instead" in err
        assert all("secret" not in path.read_text() for path in out.rglob("*") if path.is_file())


def test_the_label_of_an_index_says_the_kind_of_server_only():
    def label(uri):
        return IndexPlugin.model_validate({"name": "milvus", "uri": uri}).label

    assert label("http://host:19530") == "milvus(uri=http)"
    assert label("here/milvus.db") == "milvus(uri=file)"


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        ("postgresql://user:secret@host/db", True),
        ("postgresql://user:se/cret@host/db", True),
        ("http://root:Mil/vus@host:19530", True),
        ("host=h password = secret", True),
        ("postgresql://user@host:5432/db", False),
        ("http://host:19530", False),
        ("", False),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(uri, secret):
    if not secret:
        check_uri("milvus", uri, "MILVUS_TOKEN")
        return
    with pytest.raises(UserError, match="no password in it, got one: set") as raised:
        check_uri("milvus", uri, "MILVUS_TOKEN")
    assert "ret" not in str(raised.value)
    assert "vus@" not in str(raised.value)
