"""Sources: the vectors of a run, or anybody's folder, opened to be measured."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mrlbench.dims import check_dims, default_dims
from mrlbench.embedding.folder import Embeddings, open_embeddings, open_logits_only
from mrlbench.embedding.logits import open_logits_file
from mrlbench.errors import UserError
from mrlbench.evaluation.source import Source
from mrlbench.experiment import split_method, split_variant
from mrlbench.plugins import check_arguments
from mrlbench.runs import Output
from mrlbench.stages import Workshop, width_folder


def run_sources(
    workshop: Workshop, dims: Sequence[int] = (), baselines: Sequence[str] | None = None
) -> list[Source]:
    """Open the embeddings of each method and seed, making those that are missing.

    Args:
        workshop: The run.
        dims: To measure; empty takes the experiment's. A fixed model narrower than D is
            measured at its own dim only: among these, or in any case if none are given.
        baselines: Reducers of the fixed full-width model; None takes the experiment's.

    Raises:
        UserError: A dim that the vectors do not have, or nothing is left to measure.
    """
    experiment = workshop.run.experiment
    if dims:
        check_dims("--dims", dims, experiment.width)
    found = [
        source
        for method, seed in workshop.pairs
        if (own := _own_dims(workshop, method, dims))
        for source in _sources(workshop, method, seed, own, baselines)
    ]
    found += [
        _beside(workshop, name, folder, dims, baselines)
        for name, folder in workshop.beside().items()
    ]
    if not found:
        methods = ", ".join(experiment.training.methods)
        raise UserError(f"--dims: nothing of {methods} is measured at {list(dims)}")
    return found


def _own_dims(workshop: Workshop, method: str, dims: Sequence[int]) -> list[int]:
    experiment = workshop.run.experiment
    own = split_method(method)[1].get("dim", experiment.width)
    if workshop.is_separate(method):
        wanted = dims or experiment.evaluation.dims
        return [dim for dim in experiment.training_of(method).dims if dim in wanted]
    if own == experiment.width:
        heads = experiment.training_of(method).dims if split_variant(method)[1] else []
        return list(dims) or sorted({*experiment.evaluation.dims, *heads})
    return [own] if own in dims or not dims else []


def _sources(
    workshop: Workshop,
    method: str,
    seed: int,
    dims: Sequence[int],
    baselines: Sequence[str] | None,
) -> list[Source]:
    """Open the vectors of a method: one folder, or one for each dim that has its own."""
    whole = _source(workshop, method, seed, dims, baselines)
    if not workshop.is_separate(method):
        return [whole]
    return [_at_width(whole, dim) for dim in dims]


def _at_width(whole: Source, dim: int) -> Source:
    """Open the vectors of one width of a method whose widths are networks of their own."""
    embeddings = whole.embeddings
    if dim < embeddings.width:
        folder = width_folder(embeddings.folder, dim)
        embeddings = open_embeddings(folder, made_from=embeddings.made_from)
    return replace(
        whole,
        embeddings=embeddings,
        dims=(dim,),
        names={**whole.names, "dim": dim},
        label=f"{whole.label}-width-{dim}",
        full_width=False,  # there is nothing to cut, and nothing to rerank
    )


def _source(
    workshop: Workshop,
    method: str,
    seed: int,
    dims: Sequence[int],
    baselines: Sequence[str] | None,
) -> Source:
    run, experiment = workshop.run, workshop.run.experiment
    folder = workshop.embed_one(method, seed)
    embeddings = open_embeddings(folder, made_from=workshop.inputs(method, seed))
    base, variant = split_variant(method)
    names = {
        "run": run.name,
        "dataset": experiment.dataset.name,
        "queries": embeddings.meta.get("query_set"),
        "method": base,
        "variant": variant or None,
        "seed": seed,
    }
    reducers = experiment.evaluation.baselines if baselines is None else baselines
    width = split_method(method)[1].get("dim", 0)
    return Source(
        run,
        embeddings,
        tuple(dims),
        names,
        label=f"{method}-seed-{seed}",
        full_width=width in (0, experiment.width),
        baselines=tuple(reducers) if width == experiment.width and not variant else (),
        device=workshop.device.type,
        origin=workshop.origin(method, seed),
    )


def _beside(
    workshop: Workshop,
    name: str,
    folder: Path,
    dims: Sequence[int],
    baselines: Sequence[str] | None,
) -> Source:
    """Open somebody's embeddings folder that the experiment wants measured beside its own."""
    evaluation = workshop.run.experiment.evaluation
    reducers = evaluation.baselines if baselines is None else baselines
    width = open_embeddings(folder).width  # theirs may be narrower
    wanted = [dim for dim in dims or evaluation.dims if dim <= width]
    source = folder_source(folder, workshop.run, wanted, reducers, workshop.device)
    names = {**source.names, "dataset": workshop.run.experiment.dataset.name, "method": name}
    return replace(source, names=names, label=name)


def folder_source(
    folder: Path,
    output: Output,
    dims: Sequence[int],
    baselines: Sequence[str],
    device: torch.device,
) -> Source:
    """Open anybody's embeddings folder as something to measure.

    Args:
        folder: The embeddings; `logits.npz` alone is enough to measure classification.
        output: Where results go.
        dims: Empty takes those that `meta.json` says were trained, else 8, 16, … D.
        baselines: Reducers to measure besides the prefix.
        device: Where exact search computes.

    Raises:
        UserError: The folder, a dim or a reducer is not what it should be.
    """
    for reducer in baselines:
        check_arguments("reducers", reducer, {})
    embeddings, dims = _open_folder(folder, dims)
    check_dims("--dims", dims, embeddings.width)
    name = folder.resolve().name
    names = {"run": output.name, "dataset": name, "method": name}
    names["queries"] = embeddings.meta.get("query_set", "queries")
    return Source(
        output,
        embeddings,
        tuple(dims),
        names,
        label=name,
        baselines=tuple(baselines),
        device=device.type,
    )


def _open_folder(folder: Path, dims: Sequence[int]) -> tuple[Embeddings, Sequence[int]]:
    if (folder / "logits.npz").is_file() and not (folder / "database.npy").is_file():
        return open_logits_only(folder), dims or open_logits_file(folder).dims
    embeddings = open_embeddings(folder)
    trained = embeddings.meta.get("trained_dims")
    if trained is not None and not all(isinstance(dim, int) for dim in trained):
        raise UserError(f"{folder}/meta.json: expected trained_dims as numbers, got {trained!r}")
    return embeddings, dims or trained or default_dims(embeddings.width)
