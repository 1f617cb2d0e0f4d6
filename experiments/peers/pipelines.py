"""The "14×", for real: adaptive pipelines against HNSW at full width, at equal quality.

python experiments/peers/pipelines.py --embeddings DIR     # labelled vectors: at equal mAP@10
python experiments/peers/pipelines.py --size 100000        # made-up ones: at equal recall_full@10

(a) like for like, as the paper has it: a graph at Ds with a rerank of 200 at D, against the graph
of the same library at D; (b) best against best: any pipeline here against the fastest of the graphs
at D, each mode (a batch, one query at a time) with the pipeline and the graph that are fastest in
it. Each is taken at the lowest effort that reaches the goal on both halves of the tuning queries,
and a pipeline on the others too: of hundreds, the first that reaches it on some may just be lucky.
Graphs and cells are built outside the clock; queries at D come normalised, a pipeline cuts and
normalises inside it.

A graph of a million rows takes an hour: `--keep DIR` holds the made-up vectors and what was built
from them (20 GB at a million), so that a run that was stopped goes on; `--build-only` stops there.
"""

import csv
import itertools
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from choosing import Choice, Data, K, best, build, like_for_like, lowest
from common import Ratio, in_turn, synthetic, tell, write

from mrlbench.arrays import FloatArray, prefix
from mrlbench.embedding.folder import open_embeddings
from mrlbench.files import replacing
from mrlbench.search import nested_search
from mrlbench.search.pipeline import Pipeline
from mrlbench.threads import use_threads

GRAPHS = ("hnsw", "hnswlib", "usearch")  # each with 32 links and 40 candidates, as in the paper
FIRSTS = "batched-ivf:int16,batched-ivf:int16/2,batched-ivf:int16/4,batched-ivf,ivf,ivf-pq,hnsw"
DIMS = (16, 32, 64, 128)
MODES = ("batch", "single")
SINGLE = 500  # queries that are asked one at a time


def main(
    embeddings: Path | None = None,
    size: int = 100_000,
    queries: int = 10_000,
    graphs: str = ",".join(GRAPHS),
    firsts: str = FIRSTS,
    dims: str = ",".join(map(str, DIMS)),
    repeats: int = 5,
    name: str = "pipelines",
    out: Path = Path("results/peers"),
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Folder for what was built.")] = None,
    build_only: bool = False,
) -> None:
    """Build, choose, and time in turn."""
    used = use_threads(threads)
    narrow_dims = list(map(int, dims.split(",")))
    if build_only:
        database = _made_up(size, keep)
        for graph, dim in itertools.product(graphs.split(","), (database.shape[1], *narrow_dims)):
            build(graph, database, dim, keep)
        return
    data = _data(embeddings, size, queries, keep)
    width = data.database.shape[1]
    unit = prefix(data.queries, width)
    rows: list[Ratio] = []
    stages: list[dict[str, Any]] = []
    plain: list[Choice] = []
    narrow: list[Choice] = []
    for graph in graphs.split(","):
        index = Pipeline(build(graph, data.database, width, keep), width, 0, data.database)
        choice = lowest(data, f"{graph} at {width}", index, unit)
        if choice is None:
            continue
        plain.append(choice)
        candidates = like_for_like(data, graph, narrow_dims, keep)
        for first in sorted(candidates, key=lambda each: each.seconds)[:1]:
            narrow.append(first)
            _compare("like for like", data, first, choice, used, repeats, rows, stages, MODES)
            write(name, rows, used, out)
    firsts_there = list(itertools.product(narrow_dims, firsts.split(",")))
    finalists = [*best(data, width, firsts_there, keep), *narrow]
    if not plain or not finalists:
        raise SystemExit("no graph at full width, or no pipeline, reaches the goal")
    for count, mode in itertools.product(sorted({1, used}), MODES):
        use_threads(count)
        winner, fastest = (
            min(choices, key=lambda each: _seconds(each, data, mode))
            for choices in (finalists, plain)
        )
        what = "best against best"
        _compare(what, data, winner, fastest, count, repeats, rows, stages, [mode])
        write(name, rows, used, out)
    use_threads(used)
    with replacing(out / f"{name}_stages.csv") as path, path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(stages[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(stages)


def _data(folder: Path | None, size: int, queries: int, keep: Path | None) -> Data:
    if keep is not None and folder is not None:
        raise typer.BadParameter("--keep is for made-up vectors: leave --embeddings out")
    if folder is None:
        database, asked = _made_up(size, keep), synthetic(queries, 2048, seed=1)
        name, relevance = "synthetic", None
    else:
        found = open_embeddings(folder)
        database = prefix(found.database, found.width)  # unit rows: cosines stay the same
        asked = np.array(found.queries)
        name, relevance = str(folder), found.relevance
    width = database.shape[1]
    truth = nested_search(database, asked, [width], K)[width]
    return Data(name, database, asked, truth, relevance)


def _made_up(size: int, keep: Path | None) -> FloatArray:
    """Make the database, or map the kept one: its pages need not stay in memory."""
    if keep is None:
        return synthetic(size, 2048, seed=0)
    kept = keep / f"database_{size}.npy"
    if not kept.exists():
        keep.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as path, path.open("wb") as file:
            np.save(file, synthetic(size, 2048, seed=0))
    return np.load(kept, mmap_mode="r")  # type: ignore[no-any-return]


def _asked(mode: str, data: Data) -> list[slice]:
    """Say what is asked at once in a mode: all queries, or some one at a time."""
    if mode == "batch":
        return [slice(None)]
    return [slice(row, row + 1) for row in range(min(SINGLE, len(data.queries)))]


def _seconds(choice: Choice, data: Data, mode: str) -> float:
    times = []
    for _ in range(4):
        started = time.perf_counter()
        for asked in _asked(mode, data):
            choice.search(data, asked)
        times.append(time.perf_counter() - started)
    return float(np.median(times[1:]))


def _compare(
    what: str,
    data: Data,
    ours: Choice,
    peer: Choice,
    threads: int,
    repeats: int,
    rows: list[Ratio],
    stages: list[dict[str, Any]],
    modes: Sequence[str],
) -> None:
    """Time a pipeline and a graph in turn, in a batch or one query at a time."""
    reached = [
        float(data.quality(each.search(data, slice(None)))[data.reporting].mean())
        for each in (ours, peer)
    ]
    measure = "recall_full@10" if data.relevance is None else "mAP@10"
    quality = f"{measure} {reached[0]:.4f} against {reached[1]:.4f}, exact {data.exact:.4f}"
    for mode in modes:
        asked = _asked(mode, data)
        count = len(data.queries) if mode == "batch" else len(asked)
        times: dict[str, Any] = in_turn(
            lambda asked=asked: [ours.search(data, each) for each in asked],
            lambda asked=asked: [peer.search(data, each) for each in asked],
            repeats,
        )
        micro = [times[key] / count * 1e6 for key in ("seconds_ours", "seconds_peer")]
        rows.append(
            tell(
                Ratio(
                    what=f"adaptive retrieval, {what}",
                    data=data.name,
                    rows=len(data.database),
                    queries=count,
                    dim=data.database.shape[1],
                    k=K,
                    ours=ours.name,
                    peer=peer.name,
                    mode=mode,
                    threads=threads,
                    note=f"{1 / times['ratio']:.1f} times as fast: {micro[0]:.1f} us per query "
                    f"against {micro[1]:.1f}; {quality}",
                    **times,
                )
            )
        )
    if "batch" not in modes:
        return
    for label, choice in (("ours", ours), ("peer", peer)):
        for cost in choice.pipeline.costs(data.queries, K):
            cells = {"what": what, "threads": threads, "side": label, "pipeline": choice.name}
            stages.append(cells | asdict(cost))


if __name__ == "__main__":
    typer.run(main)
