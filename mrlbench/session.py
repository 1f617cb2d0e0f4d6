"""Measuring: sources of vectors in, rows in CSV files out, nothing measured twice."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mrlbench import measurements
from mrlbench.errors import UserError
from mrlbench.evaluation.adaptive_retrieval import evaluate_adaptive_retrieval
from mrlbench.evaluation.analysis.task import Analysis
from mrlbench.evaluation.bench import Bench
from mrlbench.evaluation.classification import check_heads, evaluate_classification
from mrlbench.evaluation.retrieval import evaluate_knn, evaluate_retrieval
from mrlbench.evaluation.source import Source
from mrlbench.evaluation.speed import bench_search
from mrlbench.experiment import Evaluation, Search
from mrlbench.files import digest
from mrlbench.measurements import Row
from mrlbench.plugins import names
from mrlbench.runs import Output

log = logging.getLogger(__name__)

VECTORS = ("method", "variant", "seed", "queries")  # cells that tell vectors apart


@dataclass(frozen=True)
class Session:
    """Sources to measure, with the settings of every measurement.

    Attributes:
        output: Where the CSV files are.
        sources: The vectors.
        evaluation: Ks, the shortlist, funnels.
        search: What `bench-search` compares.
        threads: Of every library.
        force: Measure again what is done.
        asked: Dims that were asked for by name; empty where they are the experiment's.
        pending: When given, nothing is measured: it collects what would be.
    """

    output: Output
    sources: Sequence[Source]
    evaluation: Evaluation
    search: Search
    threads: int
    force: bool = False
    asked: Sequence[int] = ()
    pending: list[str] | None = None

    def classification(self) -> None:
        """Linear top-1 and top-5 of each head."""
        has_heads = [s for s in self.sources if (s.embeddings.folder / "logits.npz").is_file()]
        sources = has_heads or self.sources  # vectors beside a run's need not have heads
        check_heads(sources, self.asked)
        self._measure("classification", sources, evaluate_classification)

    def knn(self) -> None:
        """1-NN accuracy at each dim."""
        self._measure("knn", self.sources, evaluate_knn)

    def retrieval(self) -> None:
        """mAP@k, precision, recall and the rest at each dim."""
        ks, keep = sorted(self.evaluation.k), self.evaluation.shortlist
        self._measure(
            "retrieval",
            self.sources,
            lambda source: evaluate_retrieval(source, ks, keep),
            ks=ks,
            metrics=names("metrics"),
        )

    def adaptive_retrieval(self) -> None:
        """The (Ds, Dr) grid and the funnels, of every model trained at full width."""
        shortlist, funnels = self.evaluation.shortlist, self.evaluation.funnels
        self._measure(
            "adaptive_retrieval",
            [source for source in self.sources if source.full_width],
            lambda source: evaluate_adaptive_retrieval(source, shortlist, funnels),
            shortlist=shortlist,
            funnels=[funnel.model_dump() for funnel in funnels],
        )

    def speed(self) -> None:
        """Every index at every dim, on one source: time does not depend on the method."""
        first = next((each for each in self.sources if each.full_width), self.sources[0])
        shortlist = self.evaluation.shortlist

        def rows(source: Source) -> list[Row]:
            return bench_search(Bench(source, self.search, shortlist, self.threads))

        self._measure(
            "search_speed",
            [first],
            rows,
            shortlist=shortlist,
            search=self.search.model_dump(),
            threads=self.threads,
        )

    def analysis(self, analysis: Analysis) -> None:
        """One of the closer looks, at each of its sources."""
        self._measure(
            analysis.csv,
            analysis.sources,
            analysis.measure,
            name=analysis.name,
            cells=analysis.cells,
            settings=analysis.settings,
        )

    def is_done(self, measure: str) -> bool:
        """Tell whether a measurement was done before with the same inputs."""
        pending: list[str] = []
        getattr(replace(self, pending=pending), measure)()
        return not pending

    def _measure(
        self,
        csv: str,
        sources: Sequence[Source],
        rows: Callable[[Source], list[Row]],
        *,
        name: str = "",
        cells: Mapping[str, object] | None = None,
        **settings: object,
    ) -> None:
        """Measure each source and merge its rows, unless that was done.

        Rows of vectors that are no longer there, as after another training, are dropped.

        Args:
            csv: Where the rows go.
            sources: What is measured.
            rows: Measures one source.
            name: Tells the stage from others that write to the same file.
            cells: What tells its rows from those of others, beside method, seed and queries.
            settings: All else that the rows depend on.
        """
        if not sources:
            raise UserError(f"{csv}: expected a model trained at full width, got none")
        for source in sources:
            stage = " ".join(part for part in (csv, name, source.label) if part)
            vectors = digest(source.embeddings.fingerprint)
            inputs = json.dumps([vectors, source.dims, source.baselines, settings])
            path = self.output.csv(csv)
            if not self.force and self.output.is_done(stage, inputs) and path.is_file():
                if self.pending is None:
                    log.info("%s: done before (--force measures again)", stage)
            elif self.pending is not None:
                self.pending.append(stage)
            else:
                with self.output.stage(stage, inputs, vectors=vectors):
                    earlier = self.output.manifest().get("stages", {}).get(stage, {})
                    changed = earlier.get("vectors", vectors) != vectors
                    gone = {key: source.names.get(key) for key in VECTORS}
                    if cells:
                        del gone["variant"]
                        gone |= cells
                    measurements.merge(path, rows(source), instead_of=gone if changed else None)
