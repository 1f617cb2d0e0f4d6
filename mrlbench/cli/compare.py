"""`compare` and `gate`: what one run has more of than another, and whether that may pass."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress
from mrlbench.cli import options
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.evaluation.comparing import Difference


def compare(
    run_a: Annotated[Path, typer.Argument(help="A run, or any folder with CSV files.")],
    run_b: Annotated[
        Path | None, typer.Argument(help="Another; the same one if left out, with --methods A:B.")
    ] = None,
    what: Annotated[
        str, typer.Option(help="CSV files, such as retrieval,knn,classification; all if left out.")
    ] = "",
    methods: Annotated[
        str,
        typer.Option(
            help="Such as mrl, or mrl:mrl-e to compare two; fixed is the model of each dim."
        ),
    ] = "",
    metrics: Annotated[str, typer.Option(help="Such as map@10,top1; all if left out.")] = "",
    across_machines: Annotated[
        bool, typer.Option("--across-machines", help="Compare timings of different machines too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where compare.csv and compare.png go.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """B - A of every number that two runs share, paired over queries, with 95% intervals."""
    progress.quiet = quiet
    from mrlbench.evaluation import comparing
    from mrlbench.evaluation.measured import read_measured
    from mrlbench.files import check_writable
    from mrlbench.reports.comparison import comparison_table, write_comparison
    from mrlbench.runs import Output

    asked, names = _methods(methods), options.words(metrics)
    if run_b is None and all(left == right for left, right in asked.items()):
        raise UserError("expected two runs, or one with --methods A:B, got one run")
    a, b = (read_measured(Output(each), options.words(what)) for each in (run_a, run_b or run_a))
    a, b = (each.only(names) if names else each for each in (a, b))
    pairs = comparing.match(a, b, asked)
    if out is not None:
        check_writable(out)
    found = comparing.compare(a, b, pairs, across_machines)
    if not quiet:
        typer.echo(f"A is {a.name}, B is {b.name}\n{comparison_table(found, names)}")
        typer.echo(_summary(found))
    for path in write_comparison(found, (a.name, b.name), out) if out is not None else ():
        typer.echo(f"wrote {path}")


def gate(
    baseline: Annotated[
        Path, typer.Option("--baseline", help="The run, or folder with CSV files, to hold up to.")
    ],
    run: Annotated[
        Path | None, typer.Argument(help="What is to pass; the newest run if left out.")
    ] = None,
    metrics: Annotated[str, typer.Option(help="Quality that must not be lost.")] = "map@10,top1",
    max_loss: Annotated[
        float, typer.Option(min=0, help="A loss fails when its whole interval is beyond this.")
    ] = 0.002,
    max_slowdown: Annotated[
        float, typer.Option(min=1, help="A ratio of times fails likewise; on one machine only.")
    ] = 1.2,
    methods: Annotated[str, typer.Option(help="Such as mrl, or mrl:mrl-e.")] = "",
) -> None:
    """For CI: exit status 1 if quality or speed is surely worse than a baseline's, else 0."""
    from mrlbench import runs
    from mrlbench.evaluation import comparing, gating
    from mrlbench.evaluation.measured import read_measured

    asked, names = _methods(methods), options.words(metrics)
    output = runs.open_run(None) if run is None else runs.Output(run)
    a, b = (read_measured(each) for each in (runs.Output(baseline), output))
    a, b = (each.only([*names, gating.TIME]) for each in (a, b))
    pairs = comparing.match(a, b, asked)
    found = comparing.compare(a, b, pairs)
    limits = gating.Limits(max_loss, max_slowdown)
    failed = [line for each in found if (line := gating.failure(each, limits))]
    for line in failed:
        typer.echo(line)
    typer.echo(gating.summary(a, b, found, len(failed), asked))
    if failed:
        raise typer.Exit(1)


def _summary(found: "Sequence[Difference]") -> str:
    from mrlbench.evaluation.comparing import OTHER_MACHINE

    counts = Counter(each.verdict for each in found)
    told = ", ".join(f"{counts[v]} {v}" for v in ("better", "worse", "no difference told"))
    lines = [f"{len(found)} numbers: {told}; each interval is a 95% one of its own"]
    if elsewhere := sum(each.basis == OTHER_MACHINE for each in found):
        lines.append(
            f"{elsewhere} timings are of different machines, or of unknown ones: no ratio is given "
            "(--across-machines gives it)"
        )
    return "\n".join(lines)


def _methods(text: str) -> dict[str, str]:
    """Read `mrl,mrl:mrl-e`.

    Raises:
        UserError: Not of that form.
    """
    found: dict[str, str] = {}
    for word in options.words(text):
        left, _, right = word.partition(":")
        if not left or word.count(":") > 1 or (":" in word and not right) or left in found:
            raise UserError(f"--methods: expected names or pairs such as mrl:mrl-e, got {text!r}")
        found[left] = right or left
    return found


COMMANDS = {"compare": compare, "gate": gate}
