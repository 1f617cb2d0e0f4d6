"""What of a grid could not be measured: one line each, on stderr and in `search_errors.csv`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mrlbench.evaluation.grid.jobs import Search
from mrlbench.evaluation.grid.spec import Build
from mrlbench.files import replacing
from mrlbench.runs import Output

CSV = "search_errors"


@dataclass(frozen=True)
class Failure:
    """What could not be measured.

    Attributes:
        build: The index and its dim.
        search: None where the index could not be built.
        reason: One line.
    """

    build: Build
    search: Search | None
    reason: str

    def __str__(self) -> str:
        """Say it in one line."""
        where = f", {self.search.name}" if self.search else ""
        return f"{self.build.label}{where}: {self.reason}"


def write_failures(output: Output, failures: Sequence[Failure]) -> None:
    """Write the failures of a grid, or delete those of an earlier run where there are none."""
    path = output.csv(CSV)
    if not failures:
        path.unlink(missing_ok=True)
        return
    lines = [
        {
            "index": each.build.plugin.label,
            "dim": each.build.dim,
            "search": each.search.name if each.search else "",
            "error": each.reason,
        }
        for each in failures
    ]
    with replacing(path) as beside:
        pd.DataFrame(lines).to_csv(beside, index=False)
