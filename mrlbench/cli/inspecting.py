"""`inspect`: is an embeddings folder nested, and is anything wrong with it?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress
from mrlbench.cli import encoding, options
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.evaluation.inspection.inspection import Inspection

EXPECTED = ("nested", "not nested")


def inspect(
    embeddings: Annotated[
        Path | None, typer.Option("--embeddings", help="The embeddings folder.")
    ] = None,
    model: encoding.Model = "",
    data: encoding.Data = "",
    set_: encoding.Settings = None,
    dims: Annotated[
        str, typer.Option(help="Dims, such as 16,64; those of meta.json or 8, 16, … if left out.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where files go, if any.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, and no tables.")
    ] = False,
    sample: Annotated[
        int, typer.Option(min=100, help="Database rows that are looked at closely.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Draws the sample and all else.")] = 0,
    expect: Annotated[
        str, typer.Option(help="The verdict that there must be: nested or 'not nested'.")
    ] = "",
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    quiet: options.Quiet = False,
) -> None:
    """Are vectors nested, and is anything wrong? Of a folder, or of --data by --model.

    Status 1 if a check fails, 2 if the vectors cannot be read at all (such as widths that differ).
    """
    progress.quiet = quiet
    if expect and expect not in EXPECTED:
        raise UserError(f"--expect: expected one of {', '.join(EXPECTED)}, got {expect!r}")
    wanted = options.integers("--dims", dims)
    if embeddings is not None and (model or data or set_):
        raise UserError(
            "expected --embeddings alone, or --data, --model and --set, got some of both"
        )
    if embeddings is None:
        if not data or out is None:
            raise UserError("expected --embeddings DIR, or --data CORPUS and --out DIR")
        embeddings = out / "embeddings"
        asked = encoding.Wanted(model, data, set_ or [], embeddings, None, "float32", 512)
        encoding.encode(asked, threads, device, data_dir)
    from mrlbench.embedding.folder import open_embeddings
    from mrlbench.evaluation.inspection import inspection as doctor
    from mrlbench.files import check_writable
    from mrlbench.threads import use_threads

    opened = open_embeddings(embeddings)
    chosen = doctor.choose_dims(opened, wanted)
    if out is not None:
        check_writable(out)
    use_threads(threads)
    found = doctor.inspect_embeddings(opened, chosen, sample, seed, expect)
    _show(found, as_json, quiet)
    if out is not None:
        for path in _write(found, out):
            typer.echo(f"wrote {path}", err=as_json)
    _fail(found)


def _fail(found: "Inspection") -> None:
    for check in found.failed:
        typer.echo(f"mrlbench: check failed: {check.name}: {check.found}", err=True)
    if found.failed:
        raise typer.Exit(1)


def _show(found: "Inspection", as_json: bool, quiet: bool) -> None:
    if as_json:
        from mrlbench.evaluation.inspection import inspection as doctor

        typer.echo(json.dumps(doctor.as_json(found), indent=2, allow_nan=False))
    elif not quiet:
        from mrlbench.reports.inspect_tables import inspection_text

        typer.echo(inspection_text(found))


def _write(found: "Inspection", out: Path) -> list[Path]:
    from mrlbench import measurements
    from mrlbench.evaluation.inspection import inspection as doctor
    from mrlbench.files import write_json
    from mrlbench.reports.inspect_figure import draw_inspection
    from mrlbench.runs import Output

    output = Output(out)
    write_json(out / "inspect.json", doctor.as_json(found))
    rows = doctor.as_rows(found, output.name)
    measurements.merge(output.csv("inspect"), rows, instead_of={"task": "inspect"})
    return [out / "inspect.json", output.csv("inspect"), draw_inspection(found, output)]


COMMANDS = {"inspect": inspect}
