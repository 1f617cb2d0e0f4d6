"""`analyze`: closer looks at a run, or at anybody's embeddings."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress
from mrlbench.cli import options
from mrlbench.cli.evaluate import open_session
from mrlbench.cli.make import open_workshop
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.analyses import Analyst
    from mrlbench.stages import Workshop

KINDS = (
    *("training-cost", "robustness", "few-shot", "superclass", "oracle", "class-trends"),
    *("long-tail", "interpolation", "grad-cam"),
)
OF_A_RUN = ("training-cost", "robustness", "grad-cam")  # they need the model, not its vectors alone
CORRUPTIONS = ("noise", "blur", "contrast", "shift")


def analyze(
    run: options.RunFolder = None,
    what: Annotated[
        str, typer.Option(help=f"Any of {', '.join(KINDS)}, with commas between; or all.")
    ] = "all",
    embeddings: options.EmbeddingsDir = None,
    out: options.OutDir = None,
    queries: Annotated[
        list[str] | None,
        typer.Option(
            help="robustness: NAME=FOLDER with images in <class>/*, or one of "
            f"{', '.join(CORRUPTIONS)}. Can be repeated; the experiment's query_sets if left out, "
            "and all four if it has none."
        ),
    ] = None,
    superclasses: Annotated[
        Path | None, typer.Option(help="superclass: a file with lines of class,superclass.")
    ] = None,
    images: Annotated[str, typer.Option(help="grad-cam: rows of the queries, such as 3,17.")] = "",
    dims: options.Dims = "",
    methods: options.Methods = "",
    seed: options.Seeds = "",
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Look closer: robustness, few shots, superclasses, the oracle, class trends, and more.

    `all` does what the data allow; grad-cam only with --images.
    """
    progress.quiet = quiet
    options.Target(run, embeddings, out).check()
    if embeddings is None and out is not None:
        raise UserError(
            "--out: expected with --embeddings DIR, got a run, which has its own folder"
        )
    kinds = _kinds(what, images, embeddings is not None)
    rows = options.integers("--images", images)
    workshop = None
    if embeddings is None:
        workshop = open_workshop(run, threads, device, data_dir)
        workshop = workshop.only(options.words(methods), options.integers("--seed", seed))
    if workshop is not None and "grad-cam" in kinds:
        _check_images(workshop, rows)
    if "training-cost" in kinds and workshop is not None:
        _training_cost(workshop)
    measured = [kind for kind in kinds if kind not in ("training-cost", "grad-cam")]
    if measured:
        session = open_session(
            *(run, embeddings, out, dims, methods, seed, "", threads, device, data_dir, force),
            quiet,
        )
        from mrlbench.analyses import folder_analyst, run_analyst

        analyst = folder_analyst(session) if workshop is None else run_analyst(workshop, session)
        sets = queries or analyst.query_sets or CORRUPTIONS
        mapping = analyst.superclasses if superclasses is None else str(superclasses)
        analyst = replace(analyst, query_sets=sets, superclasses=mapping)
        for kind in measured:
            _measure(analyst, kind, strict=what.strip() != "all")
    if workshop is not None and "grad-cam" in kinds:
        _grad_cam(workshop, rows)


def _kinds(what: str, images: str, folder: bool) -> list[str]:
    """Read `--what`; `all` leaves out what cannot be done without more options."""
    wanted = options.words(what)
    for kind in wanted:
        if kind not in (*KINDS, "all"):
            raise UserError(f"--what: expected all or some of {', '.join(KINDS)}, got {kind!r}")
        if folder and kind in OF_A_RUN:
            raise UserError(
                f"--what {kind}: expected a run, whose model it needs, got --embeddings"
            )
    if not wanted:
        raise UserError(f"--what: expected all or some of {', '.join(KINDS)}, got nothing")
    if "all" not in wanted:
        return [kind for kind in KINDS if kind in wanted]
    left_out = OF_A_RUN if folder else () if images else ("grad-cam",)
    return [kind for kind in KINDS if kind not in left_out]


def _measure(analyst: "Analyst", kind: str, strict: bool) -> None:
    from mrlbench.reports.analysis_tables import analysis_table

    if strict:
        analyst.run(kind)
    else:
        analyst.run_if_possible(kind)
    output = analyst.session.output
    if not progress.quiet and (table := analysis_table(output, kind)):
        typer.echo(f"{kind}\n{table}\n")
    if kind == "class-trends" and not progress.quiet:
        _show_examples(analyst)


def _show_examples(analyst: "Analyst") -> None:
    """Show the classes that move most, by each source's kept table."""
    import pandas as pd

    from mrlbench.evaluation.analysis.class_trends import examples, kept_trends

    for source in analyst.session.sources:
        if (path := kept_trends(source)).is_file():
            typer.echo(f"{source.label}, {examples(pd.read_csv(path))}\n")


def _training_cost(workshop: "Workshop") -> None:
    from mrlbench import measurements
    from mrlbench.reports.tables import plain_table

    table = measurements.merge(workshop.run.csv("analysis"), workshop.training_cost())
    if not progress.quiet:
        typer.echo(f"training-cost\n{plain_table(table)}\n")


def _check_images(workshop: "Workshop", rows: list[int]) -> None:
    from mrlbench.evaluation.analysis.grad_cam import check_rows

    check_rows(rows, len(workshop.dataset.queries.labels))


def _grad_cam(workshop: "Workshop", rows: list[int]) -> None:
    from mrlbench.experiment import has_separate_networks
    from mrlbench.reports.grad_cam_figure import draw_grad_cam

    nested = [pair for pair in workshop.pairs if not has_separate_networks(pair[0])]
    if not nested:
        raise UserError("grad-cam: expected a method whose heads share one network, got none")
    for method, seed in nested:
        typer.echo(f"wrote {draw_grad_cam(workshop, method, seed, rows)}")


COMMANDS = {"analyze": analyze}
