"""The grid's file: TOML, checked at once, and every build and search that it stands for."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mrlbench.dims import check_dims
from mrlbench.errors import UserError
from mrlbench.evaluation.bench import different_efforts
from mrlbench.evaluation.grid.jobs import Search
from mrlbench.evaluation.source import Source
from mrlbench.experiment import IndexPlugin, Strict, check_ladder
from mrlbench.experiment_file import find, read_toml, validate
from mrlbench.plugins import make
from mrlbench.protocols import Index
from mrlbench.search.nested import check_k


class GridIndex(IndexPlugin):
    """An index of the grid; the values of a build argument may be a list, which are all taken."""

    dims: list[int] = Field(default=[])  # empty: the grid's


class Ladder(Strict):
    """The reranks of a pipeline, after a shortlist by any index at a narrower dim."""

    rerank_dims: list[int] = Field(min_length=1)
    lengths: list[int] = Field(min_length=1)  # the i-th is how many are reranked at the i-th dim


class Grid(Strict):
    """What is built and searched: the product of all lists."""

    dims: list[int] = Field(default=[])  # empty: those of the vectors
    k: list[Annotated[int, Field(ge=1)]] = Field(default=[10], min_length=1)
    queries: int = Field(default=1000, ge=1)  # how many are timed; quality is that of all
    repeats: int = Field(default=5, ge=5)
    build_limit: float = Field(default=3600, gt=0)  # seconds, after which a build is given up
    search_limit: float = Field(default=600, gt=0)  # seconds of one search with all its repeats
    keep_indexes: bool = False  # else an index is deleted when all its searches are done
    indexes: list[GridIndex] = Field(min_length=1)
    pipelines: list[Ladder] = Field(default=[])  # beside the search without a rerank


@dataclass(frozen=True)
class Build:
    """One index at one dim, and how it is searched."""

    plugin: IndexPlugin
    dim: int
    searches: tuple[Search, ...]

    @property
    def label(self) -> str:
        """Such as `hnsw(m=32) at 64`."""
        return f"{self.plugin.label} at {self.dim}"


def read_grid(name: str) -> Grid:
    """Read a grid from a file, or by bare name among the shipped ones.

    Raises:
        UserError: No such file, not TOML, or an unknown or impossible key.
    """
    path: Path = find(name, "grid", "search")
    return validate(Grid, read_toml(path), str(path))


def builds(grid: Grid, source: Source) -> list[Build]:
    """List what a grid stands for on some vectors, in the file's order, dims from the widest.

    Raises:
        UserError: Something of the grid does not fit the vectors or the plug-ins.
    """
    embeddings = source.embeddings
    dims = grid.dims or list(source.dims)
    for asked in (dims, *(table.dims for table in grid.indexes if table.dims)):
        check_dims("dims", asked, embeddings.width)
    for k in grid.k:
        check_k(k, len(embeddings.database))
    for ladder in grid.pipelines:
        _check_ladder(ladder, max(grid.k), embeddings.width, len(embeddings.database))
    found = [
        Build(plugin, dim, tuple(_searches(grid, plugin, dim)))
        for table in grid.indexes
        for plugin in _variants(table)
        for dim in reversed(table.dims or dims)
    ]
    labels = [build.label for build in found]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise UserError(f"indexes: expected each index once, got {min(twice)} twice")
    return found


def _variants(table: IndexPlugin) -> Iterator[IndexPlugin]:
    """Take every combination of the build arguments that are lists."""
    arguments = {
        key: value if isinstance(value, list) else [value] for key, value in table.arguments.items()
    }
    for values in product(*arguments.values()):
        chosen = dict(zip(arguments, values, strict=True))
        yield IndexPlugin.model_validate({"name": table.name, "efforts": table.efforts, **chosen})


def _searches(grid: Grid, plugin: IndexPlugin, dim: int) -> Iterator[Search]:
    index: Index = make("indexes", plugin.name, plugin.arguments)
    if hasattr(index, "server"):  # it outlives the process, and a stand-in is not timed
        raise UserError(
            f"indexes: expected indexes of this process, got the server {plugin.name}: measure it "
            f"by bench-search --index {plugin.name}"
        )
    for k in grid.k:
        for effort in different_efforts(index, plugin.efforts, k):
            yield Search(k, effort)
    for ladder in grid.pipelines:
        # the same rows with the same vectors would keep their order
        if dim > ladder.rerank_dims[0] or (dim == ladder.rerank_dims[0] and not index.lossy):
            continue
        for k in grid.k:
            for effort in different_efforts(index, plugin.efforts, ladder.lengths[0]):
                yield Search(k, effort, tuple(ladder.rerank_dims), tuple(ladder.lengths))


def _check_ladder(ladder: Ladder, k: int, width: int, rows: int) -> None:
    check_ladder("pipelines", ladder.rerank_dims, ladder.rerank_dims, ladder.lengths)
    check_dims("pipelines", ladder.rerank_dims, width)
    if not k <= ladder.lengths[0] <= rows:
        raise UserError(
            f"pipelines: expected a first length from {k}, the largest k, to {rows}, the rows of "
            f"the database, got {ladder.lengths[0]}"
        )
