"""`recommend`: which width, dtype, index, shortlist and rerank, for vectors and a target."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress
from mrlbench.cli import options
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.embedding.folder import Embeddings
    from mrlbench.recommend.recommending import Recommendation

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="DATABASE.npy QUERIES.npy, or a run folder; the newest one under results/ if left out."
    ),
]


def recommend(
    paths: Paths = None,
    embeddings: options.EmbeddingsDir = None,
    out: options.OutDir = None,
    target: Annotated[
        str,
        typer.Option(
            help="recall_full@10=0.95 against exact search at full width, or a metric of the task: "
            "map@10=-0.005 is at most that much below it."
        ),
    ] = "recall_full@10=0.95",
    max_bytes_per_vector: Annotated[
        str, typer.Option(help="The most, with index and rerank store, such as 500 or 2KB.")
    ] = "",
    max_memory: Annotated[str, typer.Option(help="The most for all vectors, such as 8GB.")] = "",
    max_latency: Annotated[
        str, typer.Option(help="p50, p95 or p99 of single queries, such as p95=5ms.")
    ] = "",
    vectors: Annotated[
        str, typer.Option(help="N to plan for, such as 10M; that of the database if left out.")
    ] = "",
    queries_per_day: Annotated[str, typer.Option(help="The load, such as 300k.")] = "1M",
    price_gb_month: Annotated[
        float | None, typer.Option(min=0, help="Of a decimal GB of memory and month.")
    ] = None,
    price_core_hour: Annotated[
        float | None, typer.Option(min=0, help="Of a core and hour; 8 GB of memory if left out.")
    ] = None,
    dims: options.Dims = "",
    methods: options.Methods = "",
    budget: Annotated[
        str,
        typer.Option(
            help="The time for trying indexes; what is exact and the confirmation come on top."
        ),
    ] = "10m",
    seed: Annotated[int, typer.Option(min=0, help="Draws the queries to choose on.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, and no tables.")
    ] = False,
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
) -> None:
    """The cheapest plan that meets a target: width, dtype, index, shortlist, reranks, and code.

    Chosen on a fifth of the queries, confirmed on the others. Status 1 if no plan is confirmed.
    """
    progress.quiet = quiet
    from mrlbench.files import check_writable
    from mrlbench.recommend import recommending
    from mrlbench.recommend.constraints import make_prices, read_constraints, read_duration
    from mrlbench.threads import use_threads

    constraints = read_constraints(
        target,
        vectors,
        queries_per_day,
        make_prices(price_gb_month, price_core_hour),
        (max_bytes_per_vector, max_memory, max_latency),
    )
    request = recommending.Request(
        constraints,
        tuple(options.integers("--dims", dims)),
        read_duration("--budget", budget),
        seed,
    )
    use_threads(threads)
    opened, name = _open(paths or [], embeddings, options.words(methods), threads)
    request = recommending.check_request(request, opened)
    if out is not None:
        check_writable(out)
    found = recommending.recommend(opened, name, request)
    _show(found, as_json, quiet)
    if out is not None:
        for path in _write(found, out):
            typer.echo(f"wrote {path}", err=as_json)
    _fail(found)


def _open(
    paths: list[Path], embeddings: Path | None, methods: list[str], threads: int
) -> tuple["Embeddings", str]:
    """Open two .npy files, an embeddings folder, or the vectors of a run's first method.

    Raises:
        UserError: Something else, or several of them.
    """
    from mrlbench.embedding.folder import open_embeddings, open_pair

    if embeddings is not None and not paths:
        return open_embeddings(embeddings), embeddings.resolve().name
    if embeddings is None and len(paths) == 2:
        return open_pair(*paths), f"{paths[0].name}, {paths[1].name}"
    if embeddings is not None or len(paths) > 2:
        raise UserError(
            "expected DATABASE.npy QUERIES.npy, or a run folder, or --embeddings DIR, "
            f"got {len(paths)} paths{' and --embeddings' if embeddings else ''}"
        )
    from mrlbench.cli.make import open_workshop
    from mrlbench.sources import run_sources

    workshop = open_workshop(paths[0] if paths else None, threads, "auto", None).only(methods, [])
    sources = [each for each in run_sources(workshop) if each.full_width]
    if not sources:
        raise UserError("--methods: expected a method whose vectors have the full width, got none")
    return sources[0].embeddings, f"{workshop.run.name}, {sources[0].label}"


def _show(found: "Recommendation", as_json: bool, quiet: bool) -> None:
    if as_json:
        from mrlbench.recommend.record import as_json as record

        typer.echo(json.dumps(record(found), indent=2, allow_nan=False))
    elif not quiet:
        from mrlbench.reports.recommend_tables import recommendation_text

        typer.echo(recommendation_text(found))


def _write(found: "Recommendation", out: Path) -> list[Path]:
    import numpy as np

    from mrlbench.files import replacing, write_json, write_text
    from mrlbench.recommend.record import as_json
    from mrlbench.reports.recommend_page import recommendation_page
    from mrlbench.reports.recommend_tables import recommendation_text

    write_json(out / "recommend.json", as_json(found))
    write_text(out / "recommend.txt", recommendation_text(found) + "\n")
    write_text(out / "recommend.html", recommendation_page(found))
    scores = {f"plan_{place}": each.scores for place, each in enumerate(found.plans)}
    raw = out / "raw" / "scores-recommend.npz"
    with replacing(raw) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, queries=found.held_out, **scores)
    return [raw, *(out / f"recommend.{kind}" for kind in ("json", "txt", "html"))]


def _fail(found: "Recommendation") -> None:
    if found.meets:
        return
    plan, target = found.plan, found.constraints.target
    why = "was not confirmed" if found.found else "is the nearest that keeps the limits"
    if plan.meets and not found.found:
        why = "meets it and is slower than --max-latency"
    typer.echo(
        f"mrlbench: no plan meets {target}: {plan.plan} {why}, with {plan.value.value:.4f} "
        f"({plan.value.low:.4f} to {plan.value.high:.4f})",
        err=True,
    )
    raise typer.Exit(1)


COMMANDS = {"recommend": recommend}
