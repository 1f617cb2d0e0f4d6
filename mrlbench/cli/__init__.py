"""The command line. A command reads files, calls one function, writes files."""

import logging
import sys

import typer

from mrlbench import progress, ranks
from mrlbench.cli import (
    analyze,
    arena,
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
from mrlbench.cli.terminating import ending_in_order
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
    arena,
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


TOGETHER = ("train", "embed", "eval-knn", "eval-retrieval")  # that several processes can share


@app.callback()
def version_and_logs(context: typer.Context) -> None:
    """Set up logs; they go to stderr, results to stdout and files."""
    progress.quiet = False
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("mrlbench").setLevel(logging.INFO if ranks.is_first() else logging.ERROR)
    if context.invoked_subcommand not in TOGETHER:
        ranks.expect_one(str(context.invoked_subcommand))


def main() -> None:
    """Run the command line: 0 done, 1 the work failed, 2 the request was wrong, 143 SIGTERM."""
    try:
        with ending_in_order(), ranks.joined():
            app()
    except UserError as error:
        _fail(f"error: {error}", 2)
    except (OSError, FloatingPointError, MemoryError) as error:
        _fail(f"failed: {error}", 1)


def _fail(line: str, status: int) -> None:
    if ranks.fails_first():
        typer.echo(f"mrlbench: {line}", err=True)
    sys.exit(status)
