"""`claims`: what the paper claims, what its own numbers say, and what a run says."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mrlbench.cli import options


def claims(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run, or any folder with CSV files; the newest run if left out."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """The paper's claims: its published values, this run's, and a verdict on each."""
    from mrlbench import runs
    from mrlbench.files import check_writable
    from mrlbench.paper import verdicts
    from mrlbench.reports.claims_table import claims_table

    output = runs.Output(run) if run and any(run.glob("*.csv")) else runs.open_run(run)
    check_writable(output.folder)
    judgements = verdicts.judge_run(output)
    path = verdicts.write(judgements, output.folder)
    if not quiet:
        typer.echo(claims_table(judgements, colour=sys.stdout.isatty()))
    typer.echo(f"wrote {path}")


COMMANDS = {"claims": claims}
