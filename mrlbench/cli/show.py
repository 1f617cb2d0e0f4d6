"""Commands that show what was measured."""

from pathlib import Path
from typing import Annotated

import typer

from mrlbench.cli import options
from mrlbench.errors import UserError


def plot(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run, or any folder with CSV files; the newest run if left out."),
    ] = None,
) -> None:
    """Draw every figure that the CSV files of a run allow, as PNG and SVG.

    Where something was trained with several seeds, seeds.csv has mean, spread, and each of them.
    """
    from mrlbench import runs
    from mrlbench.files import check_writable
    from mrlbench.reports.plots import draw_all
    from mrlbench.reports.seeds import write_seeds

    output = runs.Output(run) if run and any(run.glob("*.csv")) else runs.open_run(run)
    check_writable(output.plots)
    drawn = draw_all(output)
    if not drawn:
        raise UserError(
            f"expected CSV files to plot in {output.folder}, got none: run eval-* first"
        )
    for path in [*drawn, *filter(None, [write_seeds(output)])]:
        typer.echo(f"wrote {path}")


def report(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run, or any folder with CSV files; the newest run if left out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The HTML file; RUN/report.html if left out.")
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Write one HTML file about a run that opens anywhere, without a network."""
    from mrlbench import runs
    from mrlbench.files import check_writable
    from mrlbench.reports.page.page import write_page

    output = runs.Output(run) if run and any(run.glob("*.csv")) else runs.open_run(run)
    path = out or output.folder / "report.html"
    check_writable(path.parent)
    write_page(output, options.data_folder(data_dir), path)
    typer.echo(f"wrote {path}")


COMMANDS = {"plot": plot, "report": report}
