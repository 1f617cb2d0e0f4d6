"""`list`: the plug-ins, built in and installed."""

from typing import Annotated

import typer

from mrlbench.errors import UserError


def list_plugins(
    kind: Annotated[
        str, typer.Argument(help="datasets, models, methods, …; all if left out.")
    ] = "",
) -> None:
    """List the plug-ins with what they are and which arguments they take."""
    from mrlbench.plugins import KINDS, names, parameters, summary

    kinds = [each for each in KINDS if kind in ("", each)]
    if not kinds:
        raise UserError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
    for each in kinds:
        typer.echo(each)
        for name in names(each):
            try:
                known, what = parameters(each, name), summary(each, name)
            except UserError as error:  # a package that it needs is missing: say so and go on
                known, what = {}, str(error)
            takes = f"  ({', '.join(known)})" if known else ""
            typer.echo(f"  {name:18} {what}{takes}")


COMMANDS = {"list": list_plugins}
