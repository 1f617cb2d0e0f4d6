"""`arena`: reductions against types, at equal bytes and at equal FLOPs."""

from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress
from mrlbench.cli import options
from mrlbench.cli.evaluate import open_session

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.session import Session


def arena(
    run: options.RunFolder = None,
    embeddings: options.EmbeddingsDir = None,
    out: options.OutDir = None,
    dims: options.Dims = "",
    reducers: Annotated[
        str,
        typer.Option(
            help="Ways from D to d beside the prefix, which is always there; pca, "
            "random-projection, random-dims and last-dims if left out."
        ),
    ] = "",
    dtypes: Annotated[
        str,
        typer.Option(
            help="Types beside float32, which is always there; float16, int8, binary (signs), "
            "binary-mean (signs of what is above the mean) and pq (eight coordinates a byte) if "
            "left out."
        ),
    ] = "",
    shortlist: Annotated[int, typer.Option(min=10, help="How many are reranked at D.")] = 200,
    queries: Annotated[
        int, typer.Option(min=0, help="Queries that are asked, drawn by seed; 0 takes all.")
    ] = 0,
    methods: options.Methods = "",
    seed: options.Seeds = "",
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Do bits beat dimensions? Each reduction in each type, without and with a rerank.

    Codes and projections are learnt from the database. Computed reductions go to a temporary file
    of 4·N·D bytes in the output folder.
    """
    session = open_session(
        *(run, embeddings, out, dims, methods, seed, "", threads, device, data_dir, force, quiet)
    )
    from mrlbench.evaluation.arena.codes import DTYPES, FLOAT32
    from mrlbench.evaluation.arena.contest import PREFIX, REDUCERS, Contest

    session.arena(
        Contest(
            reducers=_with(PREFIX, options.words(reducers) or REDUCERS),
            dtypes=_with(FLOAT32, options.words(dtypes) or DTYPES),
            shortlist=shortlist,
            queries=queries,
        )
    )
    _show(session)


def _with(first: str, others: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([first, *others]))


def _show(session: "Session") -> None:
    from mrlbench.reports.arena_figure import draw_arena
    from mrlbench.reports.arena_tables import arena_text

    if not progress.quiet:
        typer.echo(arena_text(session.output))
    for path in (session.output.csv("arena"), *draw_arena(session.output)):
        typer.echo(f"wrote {path}")


COMMANDS = {"arena": arena}
