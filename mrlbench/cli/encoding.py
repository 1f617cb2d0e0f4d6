"""`embed --model`: from a pretrained encoder and a corpus, or photos, to an embeddings folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mrlbench.cli import options
from mrlbench.errors import UserError

FOLDER = "image-folder"  # the corpus of a bare folder

Model = Annotated[str, typer.Option(help="An encoder, such as wordllama, in place of a run.")]
Data = Annotated[str, typer.Option(help="The corpus that --model encodes, or a folder of photos.")]
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
    if not wanted.model or not wanted.data or wanted.out is None:
        raise UserError("expected --model NAME, --data CORPUS and --out DIR, got only some of them")
    from mrlbench.embedding.corpus import Writing, embed_corpus
    from mrlbench.embedding.encoding import unit
    from mrlbench.plugins import make
    from mrlbench.threads import use_threads
    from mrlbench.training.devices import choose_device

    given = arguments(wanted.settings)
    data = corpus_name(wanted.data, given["data"])
    about = {
        "encoder": {"name": wanted.model, **given["model"]},
        "corpus": {"name": data, **given["data"]},
    }
    writing = Writing(wanted.out, wanted.cache, wanted.dtype, wanted.batch, about)
    place, folder = choose_device(device).type, options.data_folder(data_dir)
    use_threads(threads)
    corpus = make("corpora", data, given["data"], data_dir=folder)
    encoder = make("encoders", wanted.model, given["model"], device=place)
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
