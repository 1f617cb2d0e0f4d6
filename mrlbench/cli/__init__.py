"""The command line. A command reads files, calls one function, writes files."""

import logging
import sys

import typer

from mrlbench import progress
from mrlbench.cli import (
    analyze,
    claims,
    compare,
    cost,
    evaluate,
    importing,
    inspecting,
    listing,
    make,
    recommending,
    show,
    verify,
)
from mrlbench.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="How much of an embedding do you really need? Train Matryoshka representations, measure "
    "every nested width, and search with what is enough.",
)
for module in (
    make,
    evaluate,
    analyze,
    inspecting,
    recommending,
    show,
    claims,
    importing,
    compare,
    cost,
    verify,
    listing,
):
    for name, command in module.COMMANDS.items():
        app.command(name)(command)


@app.callback()
def version_and_logs() -> None:
    """Set up logs; they go to stderr, results to stdout and files."""
    progress.quiet = False
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("mrlbench").setLevel(logging.INFO)


def main() -> None:
    """Run the command line: 0 done, 1 the work failed, 2 the request was wrong."""
    try:
        app()
    except UserError as error:
        typer.echo(f"mrlbench: error: {error}", err=True)
        sys.exit(2)
    except (OSError, FloatingPointError, MemoryError) as error:
        typer.echo(f"mrlbench: failed: {error}", err=True)
        sys.exit(1)
