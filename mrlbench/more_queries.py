"""Other query sets of a run's models: embedded beside the main ones, and opened as sources."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mrlbench.embedding.extract import Extractor, is_written
from mrlbench.embedding.folder import open_query_vectors
from mrlbench.embedding.query_sets import QuerySet, open_query_set
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.source import Source
from mrlbench.files import digest
from mrlbench.stages import Workshop


def open_query_sets(workshop: Workshop, texts: Sequence[str]) -> list[QuerySet]:
    """Open query sets by `NAME=FOLDER` or the name of a corruption.

    Raises:
        UserError: One of them is not what it should be, or is called as another.
    """
    sets = [open_query_set(text, workshop.dataset, workshop.data_dir) for text in texts]
    names = [workshop.dataset.query_set, *(each.name for each in sets)]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--queries: expected a name of its own for each set, got {name} twice")
    return sets


def is_embedded(source: Source, queries: QuerySet) -> bool:
    """Tell whether the vectors of a query set are there."""
    return is_written(_folder(source, queries), _inputs(source, queries))


def embed_queries(workshop: Workshop, source: Source, queries: QuerySet) -> Path:
    """Write the vectors of a query set by the model of a source, unless they are there.

    Returns:
        `queries-<name>` inside the source's embeddings folder.
    """
    method, seed = source.names["method"], source.names["seed"]
    folder, inputs = _folder(source, queries), _inputs(source, queries)
    if not is_embedded(source, queries):
        backbone, head = workshop.trained(method, seed)
        with workshop.run.stage(f"embed {method} seed-{seed} {queries.name}", inputs):
            width = source.embeddings.width
            network = head.alone(backbone, width)
            extractor = Extractor(*network, workshop.dataset, workshop.device)
            extractor.write_queries(folder, inputs, width, queries.split, queries.name)
    return folder


def query_set_source(workshop: Workshop, source: Source, queries: QuerySet) -> Source:
    """Look at the database of a source with other queries, embedding them where it is needed."""
    folder = embed_queries(workshop, source, queries)
    relevance = source.embeddings.relevance
    if not isinstance(relevance, Labels):
        raise UserError(f"robustness: expected labels in {source.embeddings.folder}, got none")
    embeddings = replace(
        source.embeddings,
        folder=folder,
        queries=open_query_vectors(folder),
        relevance=Labels(relevance.database, queries.split.labels),
        made_from=_inputs(source, queries),
    )
    names = {**source.names, "queries": queries.name}
    label = f"{source.label}-{queries.name}"
    return replace(source, embeddings=embeddings, names=names, label=label, baselines=())


def _folder(source: Source, queries: QuerySet) -> Path:
    return source.embeddings.folder / f"queries-{queries.name}"


def _inputs(source: Source, queries: QuerySet) -> str:
    return digest([source.embeddings.made_from, queries.name, queries.fingerprint])
