"""Progress on stderr: what, how far, how long still. A bar on a terminal, lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mrlbench import ranks

SECONDS_BETWEEN_LINES = 30
quiet = False  # set once by the command line; of several processes only the first speaks


class Task:
    """One piece of long work that is counted in units.

    Args:
        what: Shown in front.
        total: How many units there are.
        unit: What is counted, such as "images".
    """

    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done, self._before, self._note = 0, 0, ""
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None

    def skip(self, units: int) -> None:
        """Count `units` that were done before: they tell nothing of how long others take."""
        self._before += units
        self.advance(units)

    def advance(self, units: int, note: str = "") -> None:
        """Count `units` more, with a word on how it goes."""
        self._done, self._note = self._done + units, note or self._note
        if self._bar is not None:
            note = f"{self._note} {self._rate()}"
            self._bar.update(self._bar.task_ids[0], completed=self._done, note=note)
        elif not _silent() and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)  # noqa: T201 (a log, on stderr)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        done = self._done - self._before
        rate = done / seconds
        return (
            f"{rate:,.0f} {self._unit}/s" if rate >= 1 else f"{seconds / max(done, 1):.0f} s each"
        )

    def _line(self) -> str:
        seconds = time.monotonic() - self._started
        left = seconds / max(self._done - self._before, 1) * (self._total - self._done)
        return (
            f"{self._what}: {self._done:,} of {self._total:,} {self._unit} {self._note} "
            f"({self._rate()}, {seconds:.0f} s, {left:.0f} s left)"
        )


def _silent() -> bool:
    return quiet or not ranks.is_first()


@contextmanager
def task(what: str, total: int, unit: str = "") -> Iterator[Task]:
    """Show the progress of one piece of work."""
    work = Task(what, total, unit)
    if _silent() or not sys.stderr.isatty():
        yield work
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=total, note="")
        work._bar = bar
        yield work
