"""The grid, one index after another: what is done is skipped, what fails is told and left."""

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mrlbench import measurements
from mrlbench.evaluation.grid import kept
from mrlbench.evaluation.grid.failures import Failure, write_failures
from mrlbench.evaluation.grid.fronts import PARETO, front_rows
from mrlbench.evaluation.grid.jobs import Job, Search
from mrlbench.evaluation.grid.process import run_worker
from mrlbench.evaluation.grid.rows import Judge, build_rows, search_rows
from mrlbench.evaluation.grid.spec import Build, Grid, builds
from mrlbench.evaluation.source import Source
from mrlbench.files import digest
from mrlbench.progress import Task, task

log = logging.getLogger(__name__)

CSV, TASK = "search_speed", "search-grid"


@dataclass(frozen=True)
class GridRun:
    """A grid on some vectors.

    Attributes:
        source: The vectors.
        grid: What is built and searched.
        threads: Of every library.
        force: Build and search again what is done.
    """

    source: Source
    grid: Grid
    threads: int
    force: bool = False

    def measure(self) -> list[Failure]:
        """Measure all that is not done, and find the Pareto fronts of all that is.

        The rows of an index are written when its searches are done; the result of each search is
        kept, so that an interrupted grid goes on with the search that it was at.

        Returns:
            What failed; `search_errors.csv` has it too.

        Raises:
            UserError: The grid does not fit the vectors or the plug-ins.
        """
        every, output = builds(self.grid, self.source), self.source.output
        settings = self.grid.model_dump(mode="json")
        stage = f"search-grid {self.source.label}"
        with output.stage(stage, [settings, self.source.embeddings.fingerprint]):
            failures = self._measure_all(every)
            write_failures(output, failures)
            self._mark_fronts()
        output.note(search_grid=settings)
        return failures

    def _measure_all(self, every: Sequence[Build]) -> list[Failure]:
        judge = Judge(self.source, {build.dim for build in every}, max(self.grid.k))
        failures: list[Failure] = []
        with task("search grid", sum(len(build.searches) for build in every), "searches") as work:
            for build in every:
                work.advance(0, build.label)
                for failure in self._measure(build, judge, work):
                    log.warning("%s", failure)
                    failures.append(failure)
        return failures

    def _measure(self, build: Build, judge: Judge, work: Task) -> list[Failure]:
        """Measure one index at one dim, and write the rows of what went well."""
        job, path = self._job(build), self.source.output.csv(CSV)
        if self.force:
            shutil.rmtree(job.folder, ignore_errors=True)
        if reason := kept.clear_if_stale(job):
            log.info("%s: measured anew: %s", build.label, reason)
        left = kept.pending(job)
        work.skip(len(job.searches) - len(left))
        if not left and path.is_file() and kept.is_merged(job):
            return []
        failures = self._run(build, job, left, work)
        unmeasured = set(kept.pending(job))
        done = [search for search in job.searches if search not in unmeasured]
        template = self._template(build)
        rows = [row for search in done for row in search_rows(template, job, search, judge)]
        if done:
            measurements.merge(path, build_rows(template, job) + rows)
        if not failures:
            kept.note_merged(job)
            if not self.grid.keep_indexes:
                shutil.rmtree(job.built, ignore_errors=True)
        return failures

    def _run(self, build: Build, job: Job, left: Sequence[Search], work: Task) -> list[Failure]:
        """Run worker after worker until every search has a result or has failed."""
        failures: list[Failure] = []
        while left:
            reason = self._run_worker(replace(job, searches=tuple(left)), work)
            if not job.built.is_dir():
                return [*failures, Failure(build, None, reason)]
            failed = {failure.search for failure in failures}
            left = [search for search in kept.pending(job) if search not in failed]
            if left:  # the first of them is what the process was at
                failures.append(Failure(build, left.pop(0), reason))
        return failures

    def _run_worker(self, job: Job, work: Task) -> str:
        """Run one worker, with the limit of the step that it is at."""
        told = 0

        def steps_done() -> int:
            nonlocal told
            searched = len(job.searches) - len(kept.pending(job))
            work.advance(searched - told)
            told = searched
            return searched + job.built.is_dir()

        def limit() -> float:
            return self.grid.search_limit if job.built.is_dir() else self.grid.build_limit

        try:
            return run_worker(job, steps_done, limit)
        finally:
            steps_done()
            shutil.rmtree(job.unfinished, ignore_errors=True)

    def _job(self, build: Build) -> Job:
        grid, source = self.grid, self.source
        plugin = build.plugin
        settings = [plugin.name, plugin.arguments, self.threads, grid.queries, grid.repeats]
        inputs = digest([source.embeddings.fingerprint, build.dim, *settings])
        readable = re.sub(r"[^\w.=,-]+", "_", plugin.label).strip("_")
        kept_in = source.output.raw.resolve() / "search" / source.label
        return Job(
            index=plugin.name,
            arguments=plugin.arguments,
            dim=build.dim,
            embeddings=source.embeddings.folder.resolve(),
            folder=kept_in / f"{readable}-{build.dim}",
            threads=self.threads,
            queries=grid.queries,
            repeats=grid.repeats,
            inputs=inputs,
            versions=kept.library_versions(plugin.name),
            searches=build.searches,
        )

    def _template(self, build: Build) -> measurements.Row:
        names = {"task": TASK, "reducer": "prefix", "index": build.plugin.label}
        return self.source.row(**names, dim=build.dim, threads=self.threads)

    def _mark_fronts(self) -> None:
        """Say anew of every search whether another one beats it."""
        path = self.source.output.csv(CSV)
        if path.is_file():
            table = measurements.read(path)
            marks = front_rows(table[table["task"] == TASK])
            stale = {"task": TASK, "metric": re.compile(f"{PARETO}.*")}
            measurements.merge(path, marks, stale)
