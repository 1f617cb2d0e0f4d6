"""The options that mean the same in every command."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mrlbench.errors import UserError

Experiment = Annotated[
    str, typer.Argument(help="A TOML file, or the bare name of a shipped experiment.")
]
RunFolder = Annotated[
    Path | None, typer.Argument(help="A run folder; the newest one under results/ if left out.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key, such as training.epochs=5. Can be repeated."),
]
RunOption = Annotated[Path | None, typer.Option("--run", help="Run folder to write to.")]
Methods = Annotated[str, typer.Option(help="Methods, such as mrl,fixed-64; all if left out.")]
Seeds = Annotated[str, typer.Option("--seed", help="Seeds, such as 0,1; all if left out.")]
Dims = Annotated[str, typer.Option(help="Dims, such as 16,64,2048; the experiment's if left out.")]
Ks = Annotated[str, typer.Option("--k", help="Results looked at, such as 10,100.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of every library; 0 takes all cores.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data sets are; MRLBENCH_DATA, else a user cache folder."),
]
EmbeddingsDir = Annotated[
    Path | None, typer.Option("--embeddings", help="Measure this embeddings folder, not a run.")
]
OutDir = Annotated[Path | None, typer.Option("--out", help="Where its results go.")]
Baselines = Annotated[
    str | None,
    typer.Option(
        help="Reducers beside the prefix, such as pca, of the fixed full-width model or of "
        "--embeddings; '' for none, random-dims and pca if left out."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Do it again even if it is done.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables.")]


@dataclass(frozen=True)
class Target:
    """What an `eval-*` command measures: a run, or a folder of embeddings with an output folder.

    Of a run, the results go into its own folder unless another is given.
    """

    run: Path | None
    embeddings: Path | None
    out: Path | None

    def check(self) -> None:
        """Refuse a run together with a folder, and a folder without an output.

        Raises:
            UserError: One line.
        """
        if self.embeddings is not None and self.out is None:
            raise UserError(
                "expected --embeddings DIR together with --out DIR, got only one of them"
            )
        if self.embeddings is not None and self.run is not None:
            raise UserError("expected a run folder or --embeddings DIR --out DIR, got both")


def integers(name: str, text: str) -> list[int]:
    """Read `16,64,2048`.

    Raises:
        UserError: Not whole numbers.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UserError(f"{name}: expected whole numbers such as 16,64, got {text!r}") from error


def fractions(name: str, text: str) -> list[float]:
    """Read `0.7,0.75`.

    Raises:
        UserError: Not numbers above 0 and up to 1.
    """
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UserError(f"{name}: expected fractions such as 0.7,0.75, got {text!r}") from error
    for each in found:
        if not 0 < each <= 1:
            raise UserError(f"{name}: expected fractions above 0 and up to 1, got {each:g}")
    return found


def words(text: str) -> list[str]:
    """Read `mrl,fixed-64`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def data_folder(given: Path | None) -> Path:
    """Find the data folder: the option, MRLBENCH_DATA, or a user cache folder."""
    if given is not None:
        return given
    if "MRLBENCH_DATA" in os.environ:
        return Path(os.environ["MRLBENCH_DATA"])
    from platformdirs import user_cache_path

    return user_cache_path("mrlbench") / "data"
