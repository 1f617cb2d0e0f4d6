"""Measuring: sources of vectors in, rows in CSV files out, nothing measured twice."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mrlbench import measurements
from mrlbench.errors import UserError
from mrlbench.evaluation.adaptive_classification import (
    Cascades,
    cascades_of,
    check_cascade,
    evaluate_adaptive_classification,
    evaluate_mirrored_head,
    has_cascade,
)
from mrlbench.evaluation.adaptive_retrieval import evaluate_adaptive_retrieval
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
        sources = self._with_heads("classification")
        # vectors beside a run's need not have logits
        sources = [s for s in sources if (s.embeddings.folder / "logits.npz").is_file()] or sources
        if sources:
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

    def adaptive_classification(self) -> None:
        """Cascades of every model with several heads; of the others only their TTA accuracy."""
        evaluation = self.evaluation
        targets = evaluation.target_accuracies
        cascades = Cascades(self.asked, evaluation.tta, targets)
        known = [s for s in self.sources if (s.embeddings.folder / "logits.npz").is_file()]
        nested = [source for source in known if has_cascade(source)]
        for source in nested or self.sources[:1]:
            check_cascade(source, cascades)

        def rows(source: Source) -> list[Row]:
            if has_cascade(source):
                return evaluate_adaptive_classification(source, cascades)
            return evaluate_mirrored_head(source)

        sources = known if evaluation.tta else nested
        settings = {"heads": self.asked, "tta": evaluation.tta, "targets": targets}
        self._measure("adaptive_classification", sources, rows, **settings)

    def speed(self) -> None:
        """Every index at every dim, on one source: time does not depend on the method."""
        first = next((each for each in self.sources if each.full_width), self.sources[0])
        shortlist = self.evaluation.shortlist

        def rows(source: Source) -> list[Row]:
            return bench_search(Bench(source, self.search, shortlist, self.threads))

        settings = {"search": self.search.model_dump(), "threads": self.threads}
        self._measure("search_speed", [first], rows, shortlist=shortlist, **settings)

    def _with_heads(self, csv: str) -> list[Source]:
        """Leave out sources whose queries have other classes than the training, and say so."""
        sources = [source for source in self.sources if source.has_heads]
        for source in self.sources:
            if not source.has_heads:
                log.info(
                    "%s %s: skipped: its queries have other classes than the heads were trained on",
                    csv,
                    source.label,
                )
        return sources

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
        **settings: object,
    ) -> None:
        """Measure each source and merge its rows, unless that was done.

        Rows of vectors that are no longer there, as after another training, are dropped.
        """
        if not sources:
            raise UserError(f"{csv}: expected a model trained at full width, got none")
        for source in sources:
            stage, vectors = f"{csv} {source.label}", digest(source.embeddings.fingerprint)
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
                    cells = {key: source.names.get(key) for key in VECTORS}
                    if csv == "adaptive_classification":  # how a cascade works stands in it too
                        cells["variant"] = cascades_of(source)
                    measurements.merge(path, rows(source), instead_of=cells if changed else None)
