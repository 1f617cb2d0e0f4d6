"""`analyze`: which analyses there are, what each needs, and the doing."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mrlbench.errors import UserError
from mrlbench.evaluation.analysis.class_trends import class_trends
from mrlbench.evaluation.analysis.classes import Classes
from mrlbench.evaluation.analysis.few_shot import DRAWS, SHOTS, few_shot, why_not_few_shot
from mrlbench.evaluation.analysis.heads import open_heads, why_not_heads
from mrlbench.evaluation.analysis.interpolation import (
    INTERPOLATED,
    interpolated_classification,
    interpolated_knn,
    interpolated_retrieval,
    why_not_interpolation,
)
from mrlbench.evaluation.analysis.long_tail import long_tail, why_not_long_tail
from mrlbench.evaluation.analysis.oracle import oracle
from mrlbench.evaluation.analysis.robustness import robustness, why_not_robustness
from mrlbench.evaluation.analysis.superclass import built_in, read_superclasses, superclass
from mrlbench.evaluation.analysis.task import Analysis
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row
from mrlbench.more_queries import is_embedded, open_query_sets, query_set_source
from mrlbench.session import Session
from mrlbench.stages import Workshop

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Analyst:
    """Sources to look closer at, and what the analyses need besides.

    Attributes:
        session: The sources.
        classes: The classes of the queries.
        dataset: Its name finds the superclasses that are shipped for it.
        superclasses: A file of superclasses; empty takes the one that is shipped.
        query_sets: `NAME=FOLDER`, or names of corruptions.
        workshop: The run; None for anybody's embeddings.
    """

    session: Session
    classes: Classes
    dataset: str
    superclasses: str = ""
    query_sets: Sequence[str] = ()
    workshop: Workshop | None = None

    def run(self, name: str) -> None:
        """Do one analysis of all sources that allow it; what is done is not done again.

        Raises:
            UserError: None of them does, or an input is not what it should be.
        """
        for analysis in ANALYSES[name](self):
            self.session.analysis(analysis)

    def run_if_possible(self, name: str) -> None:
        """Do one analysis, or say why it is left out."""
        try:
            analyses = ANALYSES[name](self)
        except UserError as error:
            log.info("analyze %s: left out: %s", name, error)
            return
        for analysis in analyses:
            self.session.analysis(analysis)

    def is_done(self, name: str) -> bool:
        """Tell whether all that is possible of an analysis was done with the same inputs."""
        pending: list[str] = []
        session = replace(self.session, pending=pending)
        try:
            if name == "robustness" and not self._queries_are_embedded():
                return False
            for analysis in ANALYSES[name](self):
                session.analysis(analysis)
        except UserError:
            return True  # it is left out
        return not pending

    def _queries_are_embedded(self) -> bool:
        if self.workshop is None or not self.query_sets:
            return True
        sets = open_query_sets(self.workshop, self.query_sets)
        sources = self.fit(why_not_robustness)
        return all(is_embedded(source, each) for source in sources for each in sets)

    def fit(self, why_not: Callable[[Source], str | None]) -> list[Source]:
        """Keep the sources that can be analysed.

        Raises:
            UserError: None can, and why the first one cannot.
        """
        reasons = [why_not(source) for source in self.sources]
        if all(reasons):
            raise UserError(str(reasons[0]))
        pairs = zip(self.sources, reasons, strict=True)
        return [source for source, reason in pairs if reason is None]

    @property
    def sources(self) -> list[Source]:
        """The session's sources without those of a variant, whose cell the rows need.

        Raises:
            UserError: None is left.
        """
        plain = [each for each in self.session.sources if not each.names.get("variant")]
        if not plain:
            raise UserError("analyze: expected a method without a variant, got none")
        return plain


def run_analyst(workshop: Workshop, session: Session) -> Analyst:
    """Make the analyst of a run, with the query sets and superclasses of its experiment."""
    experiment = workshop.run.experiment
    evaluation = experiment.evaluation
    return Analyst(
        session,
        Classes.of(workshop.dataset),
        experiment.dataset.name,
        _found(evaluation.superclasses, workshop.data_dir),
        evaluation.query_sets,
        workshop,
    )


def folder_analyst(session: Session) -> Analyst:
    """Make the analyst of anybody's embeddings; `meta.json` may name the classes in `classes`."""
    (source,) = session.sources
    names = source.embeddings.meta.get("classes", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        path = source.embeddings.folder / "meta.json"
        raise UserError(f"{path}: expected classes as a list of names, got {names!r}")
    return Analyst(session, Classes(tuple(names)), str(source.names["dataset"]))


def _found(path: str, data_dir: Path) -> str:
    """Look for a relative path here, then in the data folder."""
    return path if not path or Path(path).is_file() else str(data_dir / path)


def _robustness(analyst: Analyst) -> list[Analysis]:
    workshop = analyst.workshop
    if workshop is None:
        raise UserError("robustness: expected a run, whose model embeds other queries")
    if not analyst.query_sets:
        raise UserError("robustness: expected --queries NAME=FOLDER or a corruption such as noise")
    sets = open_query_sets(workshop, analyst.query_sets)
    trained = analyst.fit(why_not_robustness)
    main = Analysis("robustness", trained, robustness, cells=_cells("robustness"))
    analyses = [main]
    for queries in sets:
        measure = partial(robustness, classes=queries.classes)
        sources = [query_set_source(workshop, s, queries) for s in trained]
        analyses.append(replace(main, sources=sources, measure=measure))
    return analyses


def _few_shot(analyst: Analyst) -> list[Analysis]:
    settings = {"shots": SHOTS, "draws": DRAWS}
    sources = analyst.fit(why_not_few_shot)
    return [Analysis("few-shot", sources, few_shot, cells=_cells("few-shot"), settings=settings)]


def _superclass(analyst: Analyst) -> list[Analysis]:
    sources = analyst.fit(why_not_heads)
    path = Path(analyst.superclasses) if analyst.superclasses else built_in(analyst.dataset)
    if path is None:
        raise UserError(
            f"superclass: none are shipped for {analyst.dataset}: expected --superclasses FILE "
            "with lines of class,superclass"
        )
    count = len(analyst.classes.names) or open_heads(sources[0]).classes
    groups = read_superclasses(path, analyst.classes, count)

    def measure(source: Source) -> list[Row]:
        return superclass(source, groups)

    settings = {"names": groups.names, "of_class": groups.of_class.tolist()}
    cells = _cells("superclass")
    return [Analysis("superclass", sources, measure, cells=cells, settings=settings)]


def _oracle(analyst: Analyst) -> list[Analysis]:
    sources = analyst.fit(lambda source: why_not_heads(source, 2))
    return [Analysis("oracle", sources, oracle, cells=_cells("oracle"))]


def _class_trends(analyst: Analyst) -> list[Analysis]:
    def measure(source: Source) -> list[Row]:
        return class_trends(source, analyst.classes)

    sources = analyst.fit(lambda source: why_not_heads(source, 2))
    return [Analysis("class-trends", sources, measure, cells=_cells("class-trends"))]


def _long_tail(analyst: Analyst) -> list[Analysis]:
    sources = analyst.fit(why_not_long_tail)
    return [Analysis("long-tail", sources, long_tail, cells=_cells("long-tail"))]


def _interpolation(analyst: Analyst) -> list[Analysis]:
    sources = analyst.fit(why_not_interpolation)
    variant = {"variant": INTERPOLATED}
    by_vectors = Analysis(
        "interpolation", sources, interpolated_retrieval, csv="retrieval", cells=variant
    )
    analyses = [by_vectors, replace(by_vectors, csv="knn", measure=interpolated_knn)]
    shared = [source for source in sources if source.names["method"] == "mrl-e"]
    if analyst.workshop is not None and shared:
        measure = _shared_head(analyst.workshop)
        linear = replace(by_vectors, csv="classification", sources=shared, measure=measure)
        analyses.append(linear)
    return analyses


def _shared_head(workshop: Workshop) -> Callable[[Source], list[Row]]:
    """Slice MRL-E's one classifier, which no other method has."""

    def measure(source: Source) -> list[Row]:
        _, head = workshop.trained(source.names["method"], source.names["seed"])
        weights = (head.state_dict()[f"classifier.{name}"] for name in ("weight", "bias"))
        weight, bias = (each.float().cpu().numpy() for each in weights)
        return interpolated_classification(source, weight, bias)

    return measure


def _cells(task: str) -> dict[str, object]:
    return {"task": task}


ANALYSES: dict[str, Callable[[Analyst], list[Analysis]]] = {
    "robustness": _robustness,
    "few-shot": _few_shot,
    "superclass": _superclass,
    "oracle": _oracle,
    "class-trends": _class_trends,
    "long-tail": _long_tail,
    "interpolation": _interpolation,
}
