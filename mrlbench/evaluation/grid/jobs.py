"""What the process of one index is asked to do, and the files that it leaves; light to import."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Search:
    """One way to search a built index.

    Attributes:
        k: Neighbours asked for.
        effort: The index's dial; 0 where it has none.
        rerank_dims: Of the ladder that follows; empty without one.
        lengths: The i-th is how many rows are reranked at the i-th dim.
    """

    k: int
    effort: int
    rerank_dims: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Tell it from others of the same index: `k=10 effort=200 rerank=200@2048`."""
        steps = zip(self.lengths, self.rerank_dims, strict=True)
        ladder = ">".join(f"{length}@{dim}" for length, dim in steps)
        return f"k={self.k} effort={self.effort}" + (f" rerank={ladder}" if ladder else "")

    def result(self, folder: Path) -> Path:
        """Where its neighbours and times are: `ids`, `scores`, `distances`, `batch`, `singles`."""
        return folder / f"{self.name.replace(' ', ',').replace('>', '+')}.npz"


@dataclass(frozen=True)
class Job:
    """One index at one dim: to be built if it is not there, and searched.

    Attributes:
        index: The plug-in.
        arguments: Of its build.
        dim: d.
        embeddings: The folder of the vectors.
        folder: Where the built index and the results go.
        threads: Of every library.
        queries: How many are timed; all are searched.
        repeats: Of each timing.
        inputs: All that the results depend on, hashed.
        versions: Of the packages that the plug-in stands on.
        searches: In order.
    """

    index: str
    arguments: Mapping[str, Any]
    dim: int
    embeddings: Path
    folder: Path
    threads: int
    queries: int
    repeats: int
    inputs: str
    versions: Mapping[str, str]
    searches: tuple[Search, ...]

    @property
    def built(self) -> Path:
        """The saved index, a folder that is whole or not there."""
        return self.folder / "index"

    @property
    def unfinished(self) -> Path:
        """Where the index is written to before it is whole."""
        return self.folder / "index.part"

    @property
    def facts(self) -> Path:
        """What building it took, JSON; written before the index is called whole."""
        return self.folder / "built.json"

    def to_json(self) -> str:
        """Write it on one line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read what `to_json` wrote."""
        cells = json.loads(text)
        searches = [
            Search(each["k"], each["effort"], tuple(each["rerank_dims"]), tuple(each["lengths"]))
            for each in cells.pop("searches")
        ]
        for key in ("embeddings", "folder"):
            cells[key] = Path(cells[key])
        return cls(**cells, searches=tuple(searches))
