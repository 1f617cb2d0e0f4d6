"""`embed --model`: from a pretrained encoder and a corpus, or photos, to an embeddings folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mrlbench.cli import options
from mrlbench.errors import UserError

FOLDER = "image-folder"  # the corpus of a bare folder
TEXT_MODEL = "wordllama"  # its weights come with its package: no network

Model = Annotated[str, typer.Option(help=f"The encoder of --data; {TEXT_MODEL} if left out.")]
Data = Annotated[
    str, typer.Option(help="A corpus to encode in place of a run, or a folder of photos.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Of --model and --data: model.KEY=VALUE, data.KEY=VALUE."),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Where what was encoded is kept, for several folders; --out's own if left out."
    ),
]
DType = Annotated[str, typer.Option(help="Of the written vectors: float32 or float16.")]
Batch = Annotated[int, typer.Option(min=1, help="Texts or images handed over at once.")]


VerifyDimensions = Annotated[
    int, typer.Option(min=0, help="Ask a provider for this width too, and compare with the cut.")
]


@dataclass(frozen=True)
class Wanted:
    """What `embed` was asked to encode, as it was typed."""

    model: str
    data: str
    settings: Sequence[str]
    out: Path | None
    cache: Path | None
    dtype: str
    batch: int


def encode(wanted: Wanted, threads: int, device: str, data_dir: Path | None) -> None:
    """Open the corpus and the encoder, and write the folder."""
    if not wanted.data or wanted.out is None:
        raise UserError("expected --data CORPUS and --out DIR (and --model), got only some of them")
    name = wanted.model or TEXT_MODEL
    from mrlbench.embedding.corpus import Writing, embed_corpus
    from mrlbench.embedding.encoding import unit
    from mrlbench.plugins import make
    from mrlbench.threads import use_threads
    from mrlbench.training.devices import choose_device

    given = arguments(wanted.settings)
    data = corpus_name(wanted.data, given["data"])
    about = {
        "encoder": {"name": name, **given["model"]},
        "corpus": {"name": data, **given["data"]},
    }
    writing = Writing(wanted.out, wanted.cache, wanted.dtype, wanted.batch, about)
    place, folder = choose_device(device).type, options.data_folder(data_dir)
    use_threads(threads)
    corpus = make("corpora", data, given["data"], data_dir=folder)
    encoder = make("encoders", name, given["model"], device=place)
    done = embed_corpus(encoder, corpus, writing)
    typer.echo(f"steps: {', '.join(encoder.steps)}")
    typer.echo(f"encoded {done.now} of {done.all} {unit(corpus)}; wrote {wanted.out}")


def corpus_name(data: str, given: dict[str, Any]) -> str:
    """Name the corpus of --data; a folder is one of photos, and its path goes to `given`."""
    from mrlbench.plugins import names

    if data in names("corpora") or not Path(data).expanduser().is_dir():
        return data
    given.setdefault("path", data)
    return FOLDER


def arguments(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read `model.key=value` and `data.key=value` into the arguments of the two plug-ins.

    Raises:
        UserError: A key of something else.
    """
    from mrlbench.experiment_file import read_override

    found: dict[str, dict[str, Any]] = {"model": {}, "data": {}}
    for setting in settings:
        key, value = read_override(setting, "data.path=FILE")
        part, _, name = key.partition(".")
        if part not in found or not name:
            raise UserError(f"--set: expected model.KEY=VALUE or data.KEY=VALUE, got {setting!r}")
        found[part][name] = value
    return found
