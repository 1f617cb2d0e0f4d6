"""Anybody's photos: a folder of images, whose sub-folders are classes where it has any."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.errors import UserError
from mrlbench.images import DECODERS, SUFFIXES, opened
from mrlbench.progress import Task, task
from mrlbench.protocols import Corpus, Items, Pictures, Texts
from mrlbench.texts import draw_queries, with_fingerprint

QUERY_PARTS = ("val", "test")


def image_folder(
    path: str, queries_path: str = "", caption: str = "", share: float = 0.1, seed: int = 0
) -> Corpus:
    """Photos in `<class>/*`, or in a flat folder without labels; some are drawn as queries.

    A folder that holds `train` and `val` (or `test`) has its queries in the latter. The id of an
    image is its path in the folder. Hidden files and those without an image's suffix are left out.
    Every file is read once for its hash, by which its vector is known again.

    Args:
        path: The folder.
        queries_path: A folder like it with the queries; empty draws them from the first.
        caption: Such as `a photo of a {}`: the queries are texts, one of each class, whose name
            stands for the braces. For an encoder with two towers.
        share: Of the images that are drawn as queries; every class keeps an image.
        seed: Draws them.

    Raises:
        UserError: No folder, no images, a file that is none, images beside classes, or a class of
            the queries that the documents do not have.
    """
    if caption and (queries_path or caption.count("{}") != 1):
        raise UserError(
            "corpora image-folder: caption: expected {} once for the class, and no queries_path, "
            f"got {caption!r} and {queries_path!r}"
        )
    documents, queries = _sides(Path(path).expanduser(), queries_path)
    names = sorted(set(documents.classes))
    if caption:
        if not any(names):
            raise UserError(f"{path}: expected a sub-folder of each class to caption, got none")
        texts = Texts(tuple(names), tuple(_caption(caption, name) for name in names))
        return _corpus(documents, texts, names, names)
    if queries is None:
        documents, queries = documents.drawn(share, seed)
    return _corpus(documents, queries, queries.classes, names)


@dataclass(frozen=True)
class _Photos:
    """Files of a folder with the class of each, which is empty in a flat folder."""

    root: Path
    files: Sequence[Path]

    @property
    def classes(self) -> list[str]:
        """Name the sub-folder of each file."""
        parts = (file.relative_to(self.root).parts for file in self.files)
        return [each[0] if len(each) > 1 else "" for each in parts]

    def drawn(self, share: float, seed: int) -> "tuple[_Photos, _Photos]":
        """Split documents and queries."""
        drawn = draw_queries(self.classes, share, seed)
        if not drawn:
            raise UserError(
                f"{self.root}: expected a class of several images to draw queries from, got none"
            )
        sides: tuple[list[Path], list[Path]] = ([], [])
        for row, file in enumerate(self.files):
            sides[row in drawn].append(file)
        return _Photos(self.root, sides[0]), _Photos(self.root, sides[1])

    def read(self, work: Task) -> Pictures:
        """Hash every file, and look that its header is an image's."""
        contents = []
        with ThreadPoolExecutor(DECODERS) as pool:
            for content in pool.map(_hash, self.files):
                contents.append(content)
                work.advance(1)
        ids = tuple(file.relative_to(self.root).as_posix() for file in self.files)
        return Pictures(ids, tuple(self.files), tuple(contents))


def _sides(root: Path, queries_path: str) -> tuple[_Photos, _Photos | None]:
    """List the documents, and the queries where they have a folder of their own."""
    if queries_path:
        return _list(root), _list(Path(queries_path).expanduser())
    parts = [part for part in QUERY_PARTS if (root / part).is_dir()]
    if parts and (root / "train").is_dir():
        return _list(root / "train"), _list(root / parts[0])
    return _list(root), None


def _list(root: Path) -> _Photos:
    if not root.is_dir():
        raise UserError(f"expected a folder of images, got nothing at {root}")
    inside = sorted(root.rglob("*"), key=lambda file: file.relative_to(root).parts)
    files = [
        file
        for file in inside
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
        and file.is_file()
    ]
    if not files:
        raise UserError(f"expected images such as *.jpg or *.png in {root}, got none")
    photos = _Photos(root, files)
    classes = photos.classes
    if "" in classes and any(classes):
        alone = files[classes.index("")]
        raise UserError(f"expected {alone} in a sub-folder of its class, as other images are")
    return photos


def _corpus(
    documents: _Photos, queries: _Photos | Texts, asked: Sequence[str], names: Sequence[str]
) -> Corpus:
    """Read the files and number the classes.

    Args:
        documents: To be read.
        queries: To be read, or captions.
        asked: The class of each query.
        names: Of the classes.
    """
    known = set(names)
    if unknown := next((each for each in asked if each not in known), None):
        raise UserError(
            f"{documents.root}: expected the classes of the queries, got no images of {unknown!r}"
        )
    if "" in asked and names != [""]:
        raise UserError(
            f"{documents.root}: expected queries in sub-folders too, got a flat folder of them"
        )
    count = len(documents.files) + (0 if isinstance(queries, Texts) else len(queries.files))
    with task("read files", count, "images") as work:
        searched = documents.read(work)
        asking: Items = queries if isinstance(queries, Texts) else queries.read(work)
    labels = [_numbers(each, names) if any(names) else None for each in (documents.classes, asked)]
    return with_fingerprint(
        Corpus(searched, asking, document_labels=labels[0], query_labels=labels[1])
    )


def _numbers(classes: Sequence[str], names: Sequence[str]) -> IntArray:
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[each] for each in classes], dtype=np.int64)


def _caption(caption: str, name: str) -> str:
    return caption.replace("{}", name.replace("_", " "))


def _hash(path: Path) -> str:
    with opened(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
