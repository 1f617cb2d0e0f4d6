"""Commands that bring in the files that the paper's authors released."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench import progress
from mrlbench.cli import options
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.authors.arrays import Side

DEFAULT = "imagenet1k-resnet50"  # what the released models were trained by

Pair = tuple[Path, Path]
FILES = (
    "Vectors and labels: X.npy Y.npy, or arrays and columns such as X.npz:name and "
    "X.parquet:column; - in place of labels that there are not."
)
NONE = Path("-")


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A released state_dict.")],
    experiment: Annotated[
        str,
        typer.Argument(help=f"A TOML file or bare name; --run's own, else {DEFAULT}, if left out."),
    ] = "",
    as_: Annotated[
        str, typer.Option("--as", help="mrl, mrl-e or fixed-<d>; needed where keys cannot tell.")
    ] = "",
    run: options.RunOption = None,
    set_: options.Set = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed that it is kept under.")] = 0,
    data_dir: options.DataDir = None,
) -> None:
    """Take a released checkpoint over as a run's trained model; embed and eval-* go on from it."""
    from mrlbench import experiment_file, runs
    from mrlbench.authors.checkpoint import read_released
    from mrlbench.authors.install import install, plan_run
    from mrlbench.stages import Workshop
    from mrlbench.text_experiment import TextExperiment
    from mrlbench.training.devices import choose_device

    folder = run or runs.RESULTS / Path(experiment or DEFAULT).stem
    own = folder / "experiment.toml"
    resolved = experiment_file.read(experiment or (own if own.is_file() else DEFAULT), set_ or [])
    released = read_released(file)
    if isinstance(resolved, TextExperiment):
        raise UserError("expected an experiment that trains on images, got one of texts")
    method = released.choose_method(as_, resolved.width)
    planned = plan_run(folder, resolved, method, seed)
    workshop = Workshop(planned, options.data_folder(data_dir), choose_device("cpu"))
    typer.echo(f"wrote {install(workshop, released, method, seed)}")


def import_arrays(
    out: Annotated[Path, typer.Option("--out", help="The embeddings folder to write.")],
    folder: Annotated[
        Path | None, typer.Argument(help="Where arrays under the authors' names are.")
    ] = None,
    as_: Annotated[str, typer.Option("--as", help="Which of them: 1K, V2 or 4K.")] = "",
    model: Annotated[
        str, typer.Option(help="Which model's, such as mrl1_e0_ff2048, where there are several.")
    ] = "",
    database: Annotated[Pair | None, typer.Option(help=FILES)] = None,
    queries: Annotated[Pair | None, typer.Option(help=FILES)] = None,
    labels_from: Annotated[
        Pair | None,
        typer.Option(
            help="Image lists of database and queries in row order, `…/<class>/<name>` or "
            "`path label` a line: labels for float16 ones that have collapsed."
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Make an embeddings folder of arrays: the authors', .npy, .npz or Parquet."""
    progress.quiet = quiet
    from mrlbench.authors.arrays import Arrays, find_arrays, write_embeddings

    if folder is not None and as_ and database is None and queries is None:
        arrays = find_arrays(folder, as_, model)
    elif folder is None and not as_ and not model and database is not None and queries is not None:
        arrays = Arrays(_side(database), _side(queries))
    else:
        raise UserError(
            "expected either DIR --as 1K|V2|4K, or --database X.npy Y.npy --queries X.npy Y.npy"
        )
    write_embeddings(arrays, labels_from, out)
    typer.echo(f"wrote {out}")


def _side(pair: Pair) -> "Side":
    from mrlbench.authors.arrays import Side

    vectors, labels = pair
    return Side(vectors, None if labels == NONE else labels)


def import_neighbors(
    files: Annotated[list[Path], typer.Argument(help="CSV files without header, a row a query.")],
    embeddings: Annotated[
        Path, typer.Option("--embeddings", help="The embeddings folder that was searched.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the measurements go.")],
    dim: Annotated[
        int, typer.Option(min=0, help="The dim of a file whose name does not say it.")
    ] = 0,
    k: options.Ks = "",
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure neighbours that somebody else found: the metrics by our definitions."""
    progress.quiet = quiet
    from mrlbench.authors.neighbors import measure_files, read_name
    from mrlbench.files import check_writable
    from mrlbench.reports.tables import metrics_table
    from mrlbench.runs import Output
    from mrlbench.sources import folder_source
    from mrlbench.training.devices import choose_device

    lists = [read_name(path, dim) for path in files]
    check_writable(out)
    source = folder_source(embeddings, Output(out), [], [], choose_device("cpu"))
    ks = options.integers("--k", k)
    for csv in measure_files(source, lists, ks, force):
        if not quiet:
            typer.echo(metrics_table(csv, ["map@10", "precision@10", "recall@100", "top1"]))
        typer.echo(f"wrote {csv}")


COMMANDS = {
    "import-checkpoint": import_checkpoint,
    "import-arrays": import_arrays,
    "import-neighbors": import_neighbors,
}
