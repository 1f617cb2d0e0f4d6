"""Milvus: a collection of prefixes on a server, or in Milvus Lite, which stands in for one."""

import atexit
import logging
import os
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

# isort: split
# behind pymilvus, which brings it: where both are missing, pymilvus is named
from grpc import RpcError

from mrlbench.arrays import FloatArray, IntArray, Neighbors, blocks
from mrlbench.errors import UserError
from mrlbench.faiss_index import cells_for
from mrlbench.http_client import clean_key
from mrlbench.index_server import Place, check_uri, load_place, one_line, place_of
from mrlbench.progress import task

TOKEN = "MILVUS_TOKEN"
BATCH_BYTES = 4 * 2**20  # of vectors that are sent together; a message may have 64 MiB
QUERIES = 1000  # that are sent together
ANSWER, WORK = 30.0, 600.0  # seconds without an answer, or without progress, that are given up on
FIELD = "vector"
# Milvus Lite hangs up on a client that asks every 10 s whether it is there, as pymilvus does
SELDOM = {"grpc.keepalive_time_ms": 600_000}

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs errors that it raises too
logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)


class milvus:
    """Search a collection (Milvus, or Milvus Lite); effort is ef, or nprobe.

    An insert that was interrupted goes on where it was. A collection with all rows goes when the
    index object does, indexed or not, unless it was saved, or was there before. The metric is IP,
    of unit vectors the cosine.

    Args:
        uri: `http://host:19530` of a server or cluster, its token in MILVUS_TOKEN; a file
            `NAME.db` of Milvus Lite; empty is one that ends with this process.
        index_type: HNSW, IVF_FLAT or FLAT, which is exact.
        m: Links per node (HNSW).
        ef_construction: Candidates weighed while linking a node (HNSW).
        cells: How many (IVF_FLAT); 0 takes 4·√N, and no more than one for each 39 rows.
        consistency: Strong sees every row; see Milvus for the others.
    """

    lossy = False
    resumed = False

    def __init__(
        self,
        uri: str = "",
        index_type: Literal["HNSW", "IVF_FLAT", "FLAT"] = "HNSW",
        m: int = 32,
        ef_construction: int = 100,
        cells: int = 0,
        consistency: Literal["Strong", "Bounded", "Session", "Eventually"] = "Strong",
    ) -> None:
        check_uri("milvus", uri, TOKEN)
        self._uri, self._m, self._ef_construction, self._cells = uri, m, ef_construction, cells
        self._index_type, self._consistency = index_type, consistency
        self.exact, self.beam = index_type == "FLAT", index_type == "HNSW"
        self._owned: list[str] = []  # collections that go when this object does

    def build(self, database: FloatArray) -> None:
        """Insert the rows of `database`, (N, d), flush, index, wait and load, in this order.

        In another order a search may be answered by another index, or without one.
        """
        of_type: dict[str, dict[str, int]] = {
            "HNSW": {"M": self._m, "efConstruction": self._ef_construction},
            "IVF_FLAT": {"nlist": self._cells or cells_for(len(database))},
            "FLAT": {},
        }
        arguments = {
            "index_type": self._index_type,
            "consistency": self._consistency,
            "params": of_type[self._index_type],
        }
        self._open(place_of("milvus", self._uri, arguments, database))
        with _asking(self._place.uri):
            there = self._rows_there()
            self._insert(database, there)
            indexes = self._client.list_indexes(self._place.name, FIELD, timeout=ANSWER)
            if there < len(database) or FIELD not in indexes:  # a whole one is somebody's
                self._owned.append(self._place.name)
            if FIELD not in indexes:
                self._index()
            self._wait()
            self._client.load_collection(self._place.name, timeout=WORK)

    def _open(self, place: Place) -> None:
        """Connect to the server of a place."""
        self._place, remote = place, "://" in place.uri
        with _asking(place.uri):
            self._client = MilvusClient(
                place.uri or _own_file(),
                token=clean_key(TOKEN, os.environ.get(TOKEN, "")),
                timeout=ANSWER,
                grpc_options={} if remote else SELDOM,
            )
            self._version = self._client.get_server_version(timeout=ANSWER)
        leave = weakref.finalize(self, _leave, self._client, self._owned)
        leave.atexit = False
        if remote:  # Milvus Lite, in this process, answers no more when it exits
            atexit.register(leave)

    def _rows_there(self) -> int:
        """Make the collection, or count the rows that an interrupted build left in it."""
        name = self._place.name
        if self._client.has_collection(name, timeout=ANSWER):
            self._check_width()
            self._client.flush(name, timeout=WORK)  # only what is flushed is counted
            self.resumed = True
            return self._count()
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field(FIELD, DataType.FLOAT_VECTOR, dim=self._place.dim)
        self._client.create_collection(
            name,
            schema=schema,
            num_shards=1,  # so that a batch is inserted as a whole or not at all
            consistency_level=self._consistency,
            timeout=ANSWER,
        )
        return 0

    def _insert(self, database: FloatArray, done: int) -> None:
        """Insert the rows behind the first `done`, and make sure that all are there."""
        rows, dim = database.shape
        with task("milvus: insert", rows, "rows") as work:
            work.advance(done)
            for block in blocks(rows - done, max(1, BATCH_BYTES // (4 * dim))):
                here = range(done + block.start, done + block.stop)
                data = [{"id": row, FIELD: database[row]} for row in here]
                self._client.insert(self._place.name, data, timeout=ANSWER)
                work.advance(len(here))
        self._client.flush(self._place.name, timeout=WORK)
        if self._count() != rows:
            raise UserError(
                f"indexes milvus: expected {rows:,} rows in {self._place.name}, got "
                f"{self._count():,}: drop the collection and build again"
            )

    def _index(self) -> None:
        index = self._client.prepare_index_params()
        index.add_index(
            FIELD,
            index_name=FIELD,
            index_type=self._place.arguments["index_type"],
            metric_type="IP",
            # nested, as servers have always taken them: Milvus Lite reads them in no other place
            params={"params": self._place.arguments["params"]},
        )
        self._client.create_index(self._place.name, index, timeout=WORK, sync=False)

    def _wait(self) -> None:
        """Wait until all vectors are indexed; others would be searched without the index."""
        name, rows = self._place.name, self._place.rows
        done, since = 0, time.monotonic()
        with task("milvus: index", rows, "rows") as work:
            while done < rows:
                state = self._client.describe_index(name, FIELD, timeout=ANSWER)
                if (now := int(state["indexed_rows"])) > done:
                    work.advance(now - done)
                    done, since = now, time.monotonic()
                elif state["state"] == "Failed" or time.monotonic() - since > WORK:
                    raise UserError(
                        f"indexes milvus: expected {rows:,} indexed rows, got {done:,}: "
                        f"{state['state']}"
                    )
                else:
                    time.sleep(0.2)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k), or in `effort` cells."""
        params = self._place.arguments["params"]
        effort_of: dict[str, dict[str, int]] = {
            "HNSW": {"ef": max(effort, k)},
            "IVF_FLAT": {"nprobe": max(1, min(effort, params.get("nlist", 1)))},
            "FLAT": {},
        }
        ids: IntArray = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        with _asking(self._place.uri):
            for block in blocks(len(queries), QUERIES):
                found = self._client.search(
                    self._place.name,
                    data=list(queries[block]),
                    limit=k,
                    anns_field=FIELD,
                    search_params={
                        "metric_type": "IP",
                        "params": effort_of[self._place.arguments["index_type"]],
                    },
                    consistency_level=self._place.arguments["consistency"],
                    timeout=ANSWER,
                )
                for row, hits in enumerate(found, block.start):
                    ids[row, : len(hits)] = [hit["id"] for hit in hits]
                    scores[row, : len(hits)] = [hit["distance"] for hit in hits]
        return Neighbors(ids, scores)

    def nbytes(self) -> int:
        """Bytes of the vectors with their ids; what Milvus adds it does not say."""
        return self._place.rows * (4 * self._place.dim + 8)

    def unmeasured(self) -> set[str]:
        """Name what must not be published: an embedded stand-in's times are not a server's."""
        if self._version.startswith("milvus_lite"):
            return {"bytes", "build_s", "time"}
        return {"bytes", "build_s"} if self.resumed else {"bytes"}

    def server(self) -> Mapping[str, str]:
        """Say what answers the searches."""
        arguments = self._place.arguments
        return {
            "version": f"Milvus {self._version}",
            "metric": "IP",
            "index_type": arguments["index_type"],
            "consistency": arguments["consistency"],
        }

    def save(self, path: Path) -> None:
        """Write where the collection is; it stays, without a uri until this process ends."""
        self._place.save(path)
        self._owned.clear()

    def load(self, path: Path) -> None:
        """Read what `save` wrote, look whether the collection is there, and load it."""
        self._open(load_place(path, "milvus"))
        name = self._place.name
        with _asking(self._place.uri):
            if not self._client.has_collection(name, timeout=ANSWER):
                raise UserError(f"{path}: expected a collection {name}, got none")
            self._check_width()
            if self._count() != self._place.rows:
                raise UserError(
                    f"{path}: expected {self._place.rows:,} rows in the collection {name}, "
                    f"got {self._count():,}"
                )
            self._client.load_collection(name, timeout=WORK)

    def _check_width(self) -> None:
        fields = self._client.describe_collection(self._place.name, timeout=ANSWER)["fields"]
        widths = [int(each["params"]["dim"]) for each in fields if each["name"] == FIELD]
        if widths != [self._place.dim]:
            raise UserError(
                f"indexes milvus: expected a collection {self._place.name} with vectors of "
                f"{self._place.dim}, got {widths[0] if widths else 'none'}"
            )

    def _count(self) -> int:
        """Count the rows that are flushed."""
        stats = self._client.get_collection_stats(self._place.name, timeout=ANSWER)
        return int(stats["row_count"])

    def distance_computations(self) -> int | None:
        """None: Milvus does not count them."""
        return None


def _leave(client: Any, owned: list[str]) -> None:  # noqa: ANN401 (its classes are not typed here)
    with suppress(MilvusException, RpcError):  # a server that is gone
        for name in owned:
            client.drop_collection(name, timeout=ANSWER)
    client.close()


@contextmanager
def _asking(uri: str) -> Iterator[None]:
    """Say in one line what a server refused, or that it is not there."""
    try:
        yield
    except (MilvusException, RpcError) as error:
        reason = one_line(getattr(error, "message", "") or error)
        raise UserError(f"indexes milvus: {uri or 'Milvus Lite'}: {reason}") from error


@cache
def _own_file() -> str:
    """Name a Milvus Lite file that ends with this process."""
    folder = mkdtemp(prefix="mrlbench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(Path(folder) / "milvus.db")
