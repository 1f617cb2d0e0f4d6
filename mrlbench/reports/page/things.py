"""What queries and database rows are: pictures with their classes, or texts."""

import base64
import io
import logging
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mrlbench.downloads import only_reading
from mrlbench.errors import UserError
from mrlbench.images import opened
from mrlbench.plugins import load, make, names
from mrlbench.protocols import Corpus, Dataset, Items, Split, Texts
from mrlbench.reports.page.blocks import Item
from mrlbench.runs import Output

log = logging.getLogger(__name__)

SIDE = 64  # pixels of the longer side of a thumbnail
QUALITY = 80  # of its JPEG
LONGEST = 200  # characters of a text


@dataclass(frozen=True)
class Things:
    """A data set or a corpus, or why there is none.

    Attributes:
        content: What was loaded; None if nothing was.
        reason: Why not.
    """

    content: Dataset | Corpus | None = None
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether single queries and rows can be shown."""
        return self.content is not None

    def class_name(self, number: int) -> str:
        """Name a class; by its number where names are not known."""
        known = self._classes
        return f"{known[number]}" if number < len(known) else f"class {number}"

    @property
    def _classes(self) -> tuple[str, ...]:
        if not isinstance(self.content, Dataset):
            return ()
        return self.content.database_classes or self.content.classes

    def query(self, number: int) -> Item:
        """Show a query."""
        if isinstance(self.content, Dataset):
            return self._picture(self.content.queries, number)
        return _of_corpus(self._corpus.queries, number)

    def row(self, number: int, relevant: bool | None, score: float) -> Item:
        """Show a database row as a neighbour."""
        if isinstance(self.content, Dataset):
            shown = self._picture(self.content.database, number)
        else:
            shown = _of_corpus(self._corpus.documents, number)
        return Item(shown.name, shown.picture, shown.text, relevant, score)

    @property
    def _corpus(self) -> Corpus:
        assert isinstance(self.content, Corpus)  # callers ask `known` first
        return self.content

    def _picture(self, split: Split, number: int) -> Item:
        pixels = split.images.read(np.array([number]))
        assert isinstance(pixels, np.ndarray)  # see `_load`
        image = Image.fromarray(pixels[0].transpose(1, 2, 0))
        return Item(self.class_name(int(split.labels[number])), _address(image))


def things_of(output: Output, data_dir: Path) -> Things:
    """Load the data set or the corpus of a run, if it is at hand and the one that was run."""
    path = output.folder / "experiment.toml"
    if not path.is_file():
        return Things(reason="the folder has no experiment.toml that names a data set.")
    plugin = tomllib.loads(path.read_text(encoding="utf-8")).get("dataset", {})
    name = str(plugin.pop("name", ""))
    try:
        with only_reading():
            content = _load(name, plugin, data_dir)
    except (UserError, OSError) as error:
        log.warning("report: no examples: %s", error)
        return Things(reason=f"{error} (--data-dir says where data sets are).")
    noted = output.manifest().get("data", {}).get(name)
    if noted not in (None, content.fingerprint):
        return Things(reason=f"{name} in {data_dir} is not the data that the run used.")
    return Things(content)


def _load(name: str, arguments: dict[str, Any], data_dir: Path) -> Dataset | Corpus:
    if name in names("corpora"):
        corpus: Corpus = make("corpora", name, arguments, data_dir=data_dir)
        return corpus
    dataset: Dataset = load("datasets", name)(data_dir, **arguments)
    if dataset.is_text or len(dataset.shape) != 3:
        raise UserError(f"{name} holds no pictures and no whole texts")
    return dataset


def _of_corpus(items: Items, number: int) -> Item:
    if isinstance(items, Texts):
        text = items.texts[number]
        return Item(items.ids[number], text=text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
    with opened(items.paths[number]) as image:
        return Item(items.ids[number], _address(image.convert("RGB")))


def _address(image: Image.Image) -> str:
    """Write a thumbnail as a `data:` address: PNG where it is tiny, else JPEG."""
    image.thumbnail((SIDE, SIDE))
    kind = "png" if max(image.size) <= SIDE // 2 else "jpeg"
    file = io.BytesIO()
    image.save(file, kind, **({"quality": QUALITY} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
