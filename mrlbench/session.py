"""Measuring: sources of vectors in, rows in CSV files out, nothing measured twice."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from mrlbench import measurements, ranks
from mrlbench.embedding.folder import has_logits
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
from mrlbench.evaluation.analysis.task import Analysis
from mrlbench.evaluation.arena.contest import Contest
from mrlbench.evaluation.arena.differences import DIFFERENCE, difference_rows
from mrlbench.evaluation.arena.measuring import check_contest, evaluate_arena
from mrlbench.evaluation.bench import Bench
from mrlbench.evaluation.classification import check_heads, evaluate_classification
from mrlbench.evaluation.cross_modal import evaluate_cross_modal
from mrlbench.evaluation.grid.failures import Failure
from mrlbench.evaluation.grid.measure import GridRun
from mrlbench.evaluation.grid.spec import Grid
from mrlbench.evaluation.kept_scores import KeptScores, main_queries
from mrlbench.evaluation.linear_probes import VARIANT as PROBE
from mrlbench.evaluation.linear_probes import evaluate_probes
from mrlbench.evaluation.retrieval import evaluate_knn, evaluate_retrieval
from mrlbench.evaluation.scores import ARENA
from mrlbench.evaluation.shortlist_ablation import evaluate_shortlists
from mrlbench.evaluation.source import Source
from mrlbench.evaluation.speed import bench_search
from mrlbench.evaluation.sts import evaluate_sts
from mrlbench.evaluation.svd_classifier import evaluate_svd_classifier
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
        """Linear top-1 and top-5 of each head, of its SVD, and of probes if they are asked for."""
        asked = self.evaluation
        probes = {"probes": [asked.probe_rows, asked.probe_iterations]} if asked.probes else {}

        def is_probed(source: Source) -> bool:
            return bool(probes) and source.full_width and not source.names.get("variant")

        def rows(source: Source) -> list[Row]:
            found: list[Row] = []
            if has_logits(source.embeddings.folder) or not probes:
                found += evaluate_classification(source) + evaluate_svd_classifier(source)
            if is_probed(source):
                found += evaluate_probes(source, asked.probe_rows, asked.probe_iterations)
            return found

        # vectors beside a run's need not have heads
        with_heads = self._with_heads("classification")
        known = [s for s in with_heads if has_logits(s.embeddings.folder) or is_probed(s)]
        sources = known or with_heads
        if not probes and sources:
            check_heads(sources, self.asked)
        if sources:
            settings = {"also": ["svd-classifier"], **probes}
            self._measure("classification", sources, rows, settings)

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
            {"ks": ks, "metrics": names("metrics")},
        )

    def sts(self) -> None:
        """Correlations of the cosines of pairs with their scores at each dim."""
        self._measure("sts", self.sources, evaluate_sts)

    def cross_modal(self) -> None:
        """Image-to-text and text-to-image retrieval at each dim."""
        ks = sorted(self.evaluation.k)
        self._measure(
            "cross_modal",
            self.sources,
            lambda source: evaluate_cross_modal(source, ks),
            {"ks": ks},
        )

    def adaptive_retrieval(self) -> None:
        """The (Ds, Dr) grid, the funnels and other lengths of shortlists, of full-width models."""
        shortlist, funnels = self.evaluation.shortlist, self.evaluation.funnels
        others = [length for length in self.evaluation.shortlists if length != shortlist]

        def rows(source: Source) -> list[Row]:
            grid = evaluate_adaptive_retrieval(source, shortlist, funnels)
            is_ablation = bool(source.names.get("variant"))  # one ablation at a time
            return grid if is_ablation else grid + evaluate_shortlists(source, others)

        settings = {
            "shortlist": shortlist,
            "funnels": [funnel.model_dump() for funnel in funnels],
            **({"shortlists": others} if others else {}),
        }
        full = [source for source in self.sources if source.full_width]
        self._measure("adaptive_retrieval", full, rows, settings)

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
        self._measure("adaptive_classification", sources, rows, settings)

    def search_grid(self, grid: Grid) -> list[Failure]:
        """All that a grid names, on one source; returns what failed."""
        if self.asked:
            grid = grid.model_copy(update={"dims": list(self.asked)})
        return GridRun(self._first, grid, self.threads, self.force).measure()

    @property
    def _first(self) -> Source:
        """The source that is searched against the clock: time does not depend on the method."""
        return next((each for each in self.sources if each.full_width), self.sources[0])

    def speed(self) -> None:
        """Every index at every dim, on one source."""
        shortlist = self.evaluation.shortlist

        def rows(source: Source) -> list[Row]:
            return bench_search(Bench(source, self.search, shortlist, self.threads))

        search = self.search.model_dump()
        settings = {"shortlist": shortlist, "search": search, "threads": self.threads}
        self._measure("search_speed", [self._first], rows, settings)

    def arena(self, contest: Contest) -> None:
        """Every reduction in every type at every dim, and what each has more than the prefix."""
        sources = [source for source in self.sources if not source.names.get("variant")]
        for source in sources:
            check_contest(source, contest)

        def rows(source: Source) -> list[Row]:
            found = evaluate_arena(source, contest)
            self._drop(ARENA, source, {"task": ARENA})  # other dims, or other queries
            return found

        self._measure(ARENA, sources, rows, asdict(contest))
        if self.pending is None:
            path = self.output.csv(ARENA)
            known = [
                row for row in measurements.to_rows(measurements.read(path)) if not row.variant
            ]
            kept = KeptScores(self.output.raw, main_queries(known))
            measurements.merge(path, difference_rows(known, kept), {"variant": DIFFERENCE})
            self.output.note(arena=asdict(contest))

    def analysis(self, analysis: Analysis) -> None:
        """One of the closer looks, at each of its sources."""
        self._measure(
            analysis.csv,
            analysis.sources,
            analysis.measure,
            analysis.settings,
            name=analysis.name,
            cells=analysis.cells,
        )

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
        settings: Mapping[str, object] | None = None,
        name: str = "",
        cells: Mapping[str, object] | None = None,
    ) -> None:
        """Measure each source and merge its rows, unless that was done.

        Rows of vectors that are no longer there, as after another training, are dropped.

        Args:
            csv: Where the rows go.
            sources: What is measured.
            rows: Measures one source.
            settings: All else that the rows depend on.
            name: Tells the stage from others that write to the same file.
            cells: What tells its rows from those of others, beside method, seed and queries.
        """
        if not sources:
            raise UserError(f"{csv}: expected a model trained at full width, got none")
        path = self.output.csv(csv)
        there = path.is_file()  # asked once: the first source writes the file
        for source in sources:
            stage = " ".join(part for part in (csv, name, source.label) if part)
            vectors = digest(source.embeddings.fingerprint)
            inputs = json.dumps([vectors, source.dims, source.baselines, settings or {}])
            if not self.force and ranks.same(self.output.is_done(stage, inputs) and there):
                if self.pending is None:
                    log.info("%s: done before (--force measures again)", stage)
            elif self.pending is not None:
                self.pending.append(stage)
            else:
                with self.output.stage(stage, inputs, vectors=vectors):
                    found = rows(source)
                    if not ranks.is_first():
                        continue
                    earlier = self.output.manifest().get("stages", {}).get(stage, {})
                    if earlier.get("vectors", vectors) != vectors:
                        self._drop(csv, source, cells)
                    measurements.merge(path, found)

    def _drop(self, csv: str, source: Source, cells: Mapping[str, object] | None) -> None:
        """Drop the rows of vectors that are no longer there: those of an analysis by its cells."""
        gone = {key: source.names.get(key) for key in VECTORS}
        variants = [gone.pop("variant")]
        if "dim" in source.names:  # one of several networks
            gone["dim"] = source.names["dim"]
        if csv == "adaptive_classification":  # how a cascade works stands in it too
            variants = [cascades_of(source)]
        elif csv == "classification" and not variants[0]:
            variants.append(PROBE)
        if cells:
            measurements.merge(self.output.csv(csv), [], gone | dict(cells))
            return
        for variant in variants:
            measurements.merge(self.output.csv(csv), [], gone | {"variant": variant})
