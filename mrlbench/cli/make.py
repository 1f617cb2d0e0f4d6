"""Commands that make things: train, embed, and reproduce, which does all in order."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress, ranks
from mrlbench.cli import encoding, options
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.stages import Workshop

DEFAULT = "fashion-mnist"


def train(
    experiment: options.Experiment = DEFAULT,
    run: options.RunOption = None,
    set_: options.Set = None,
    methods: options.Methods = "",
    seed: options.Seeds = "",
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    quiet: options.Quiet = False,
) -> None:
    """Train the experiment's methods; goes on where an interrupted training was."""
    progress.quiet = quiet
    workshop = _new_workshop(experiment, run, set_, threads, device, data_dir)
    narrowed = workshop.only(options.words(methods), options.integers("--seed", seed))
    for method, each in narrowed.pairs:
        narrowed.train_one(method, each)
        typer.echo(f"wrote {workshop.run.model(method, each)}")


def embed(
    run: options.RunFolder = None,
    methods: options.Methods = "",
    seed: options.Seeds = "",
    model: encoding.Model = "",
    data: encoding.Data = "",
    set_: encoding.Settings = None,
    out: options.OutDir = None,
    cache: encoding.Cache = None,
    dtype: encoding.DType = "float32",
    batch: encoding.Batch = 512,
    verify_dimensions: encoding.VerifyDimensions = 0,
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    quiet: options.Quiet = False,
) -> None:
    """Write embeddings: of a run's database and queries, or of --data by --model into --out."""
    progress.quiet = quiet
    settings = list(set_ or [])
    if verify_dimensions:
        settings.append(f"model.verify_dimensions={verify_dimensions}")
    if model or data or settings or out or cache or (dtype, batch) != ("float32", 512):
        if run or methods or seed:
            raise UserError("expected a run, or --model, --data and --out, got some of both")
        ranks.expect_one("embed --model")
        wanted = encoding.Wanted(model, data, settings, out, cache, dtype, batch)
        encoding.encode(wanted, threads, device, data_dir)
        return
    workshop = open_workshop(run, threads, device, data_dir)
    narrowed = workshop.only(options.words(methods), options.integers("--seed", seed))
    for method, each in narrowed.pairs:
        typer.echo(f"wrote {narrowed.embed_one(method, each)}")


def reproduce(
    experiment: options.Experiment = DEFAULT,
    run: options.RunOption = None,
    set_: options.Set = None,
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    force: options.Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Do all of an experiment in order: train, embed, measure, plot; skip what is done."""
    progress.quiet = quiet
    from mrlbench.reports.seeds import write_seeds
    from mrlbench.reports.tables import main_table
    from mrlbench.reproduce import format_plan, plan
    from mrlbench.threads import use_threads

    workshop = _new_workshop(experiment, run, set_, threads, device, data_dir, dry_run)
    steps = plan(workshop, use_threads(threads), force, dry_run)
    if dry_run or not quiet:
        typer.echo(format_plan(steps))
    if dry_run:
        return
    for step in steps:
        step.run()
    write_seeds(workshop.run)
    if not quiet:
        typer.echo(main_table(workshop.run))
    typer.echo(f"tables: {workshop.run.folder}/*.csv   figures: {workshop.run.plots}/*.png")


def open_workshop(run: Path | None, threads: int, device: str, data_dir: Path | None) -> "Workshop":
    """Open a run that is there."""
    from mrlbench import runs, text_stages
    from mrlbench.threads import use_threads
    from mrlbench.training.devices import choose_device

    use_threads(threads)
    folder = options.data_folder(data_dir)
    return text_stages.open_workshop(runs.open_run(run), folder, choose_device(device))


def _new_workshop(
    experiment: str,
    run: Path | None,
    overrides: list[str] | None,
    threads: int,
    device: str,
    data_dir: Path | None,
    dry_run: bool = False,
) -> "Workshop":
    """Make or go on with the run of an experiment."""
    from mrlbench import experiment_file, runs, text_stages
    from mrlbench.threads import use_threads
    from mrlbench.training.devices import choose_device

    chosen = choose_device(device)
    resolved = experiment_file.read(experiment, overrides or [])
    use_threads(threads)
    folder = run or runs.RESULTS / Path(experiment).stem
    opened = runs.Run(folder, resolved) if dry_run else runs.create(resolved, folder)
    return text_stages.open_workshop(opened, options.data_folder(data_dir), chosen)


COMMANDS = {"train": train, "embed": embed, "reproduce": reproduce}
