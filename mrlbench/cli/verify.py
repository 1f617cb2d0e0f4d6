"""`verify`: are the numbers of a run those of its raw files?"""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run, or any folder with CSV files; the newest run if left out."),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="The vectors, where they are not the run's own."),
    ] = None,
) -> None:
    """Recompute every metric and interval from raw/, and check the hashes of the manifest.

    Exit status 1 if something does not match, one line each.
    """
    from mrlbench import runs
    from mrlbench.evaluation import verifying

    output = runs.open_run(None) if run is None else runs.Output(run)
    report = verifying.verify(output, embeddings)
    for line in report.wrong:
        typer.echo(f"does not match: {line}")
    for reason, count in report.unchecked.items():
        typer.echo(f"not checked: {reason} ({count:,})")
    for kind, count in report.checked.items():
        typer.echo(f"checked: {count:,} {kind}")
    verdict = f"{len(report.wrong)} do not match" if report.wrong else "all match"
    typer.echo(f"verify {output.name}: {sum(report.checked.values()):,} checked, {verdict}")
    if report.wrong:
        raise typer.Exit(1)


COMMANDS = {"verify": verify}
