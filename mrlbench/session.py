"""Measuring: sources of vectors in, rows in CSV files out, nothing measured twice."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mrlbench import measurements
from mrlbench.evaluation.adaptive_retrieval import evaluate_adaptive_retrieval
from mrlbench.evaluation.bench import Bench
from mrlbench.evaluation.classification import evaluate_classification
from mrlbench.evaluation.retrieval import evaluate_knn, evaluate_retrieval
from mrlbench.evaluation.source import Source
from mrlbench.evaluation.speed import bench_search
from mrlbench.experiment import Evaluation, Search
from mrlbench.measurements import Row
from mrlbench.plugins import names
from mrlbench.runs import Output

log = logging.getLogger(__name__)


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
    """

    output: Output
    sources: Sequence[Source]
    evaluation: Evaluation
    search: Search
    threads: int
    force: bool = False

    def classification(self) -> None:
        """Linear top-1 and top-5 of each head."""
        self._measure("classification", self.sources, evaluate_classification)

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
            [source for source in self.sources if source.at_full_width],
            lambda source: evaluate_adaptive_retrieval(source, shortlist, funnels),
            shortlist=shortlist,
            funnels=[funnel.model_dump() for funnel in funnels],
        )

    def speed(self) -> None:
        """Every index at every dim, on the first source: time does not depend on the method."""

        def rows(source: Source) -> list[Row]:
            return bench_search(Bench(source, self.search, self.evaluation.shortlist, self.threads))

        settings = {"search": self.search.model_dump(), "threads": self.threads}
        self._measure("search_speed", self.sources[:1], rows, **settings)

    def _measure(
        self,
        csv: str,
        sources: Sequence[Source],
        rows: Callable[[Source], list[Row]],
        **settings: object,
    ) -> None:
        for source in sources:
            stage = f"{csv} {source.label}"
            inputs = json.dumps(
                [source.embeddings.fingerprint, source.dims, source.baselines, settings]
            )
            if (
                not self.force
                and self.output.is_done(stage, inputs)
                and self.output.csv(csv).is_file()
            ):
                log.info("%s: done before (--force measures again)", stage)
                continue
            with self.output.stage(stage, inputs):
                measurements.merge(self.output.csv(csv), rows(source))
