"""What a run, or any folder with CSV files, has measured: its rows, its data, its machine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mrlbench import measurements
from mrlbench.errors import UserError
from mrlbench.evaluation.kept_scores import main_queries
from mrlbench.measurements import Row
from mrlbench.runs import Output

MACHINE = ("cpu", "cores", "gpu", "cpu_capability")  # what a manifest says of it


@dataclass(frozen=True)
class Measured:
    """One side of a comparison.

    Attributes:
        output: The folder.
        rows: Its rows.
        queries: The query set that most of all its rows are about.
    """

    output: Output
    rows: tuple[Row, ...]
    queries: str | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.output.name

    @property
    def raw(self) -> Path:
        """Where per-query scores are."""
        return self.output.raw

    @property
    def is_folder(self) -> bool:
        """Whether anybody's vectors were measured, and no experiment."""
        return not (self.output.folder / "experiment.toml").is_file()

    @cached_property
    def methods(self) -> list[str]:
        """The methods of its rows, in order."""
        return sorted({row.method for row in self.rows if row.method is not None})

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the folder says about itself."""
        return self.output.manifest()

    @property
    def data(self) -> dict[str, str]:
        """The fingerprint of each data set."""
        found: dict[str, str] = self.manifest.get("data", {})
        return found

    @property
    def machine(self) -> tuple[object, ...] | None:
        """What tells its machine from others; None where it is not known."""
        known = self.manifest.get("machine")
        return tuple(known.get(key) for key in MACHINE) if known else None

    def only(self, metrics: Sequence[str]) -> "Measured":
        """Keep the rows of some metrics.

        Raises:
            UserError: There are none.
        """
        rows = tuple(row for row in self.rows if row.metric in metrics)
        if not rows:
            known = ", ".join(dict.fromkeys(row.metric for row in self.rows))
            raise UserError(
                f"--metrics: expected some of {known} of {self.name}, got {', '.join(metrics)}"
            )
        return replace(self, rows=rows)


def read_measured(output: Output, what: Sequence[str] = ()) -> Measured:
    """Read a folder's rows.

    Args:
        output: The folder.
        what: Names of CSV files, with hyphens or underscores; empty takes all.

    Raises:
        UserError: No such folder, or no such file of measurements in it.
    """
    if not output.folder.is_dir():
        raise UserError(
            f"expected a run or a folder with CSV files, got nothing at {output.folder}"
        )
    known = {path.stem: path for path in measurements.files(output.folder)}
    if not known:
        raise UserError(f"expected CSV files of measurements in {output.folder}, got none")
    wanted = [each.replace("-", "_") for each in what] or list(known)
    for each in wanted:
        if each not in known:
            raise UserError(
                f"--what: expected some of {', '.join(known)} of {output.folder}, got {each!r}"
            )
    rows = {stem: measurements.to_rows(measurements.read(path)) for stem, path in known.items()}
    everything = [row for part in rows.values() for row in part]
    chosen = tuple(row for stem in wanted for row in rows[stem])
    return Measured(output, chosen, main_queries(everything))
