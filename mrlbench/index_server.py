"""What index plug-ins that keep their vectors in a database server share: where an index is."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrlbench.arrays import FloatArray, blocks
from mrlbench.errors import UserError
from mrlbench.files import write_json

HASHED_ROWS = 4096


@dataclass(frozen=True)
class Place:
    """Where an index is: what `save` writes, and what `load` looks for.

    Attributes:
        index: The plug-in.
        uri: Of the server; empty is this process's own, which ends with it.
        content: SHA-256 of the vectors and of how they were indexed, 24 digits.
        rows: N.
        dim: d.
        arguments: How they were indexed.
    """

    index: str
    uri: str
    content: str
    rows: int
    dim: int
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the table or collection: the same vectors, indexed the same way, have the same."""
        return f"mrlbench_{self.content}"

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, {"collection": self.name, **asdict(self)})


def place_of(index: str, uri: str, arguments: dict[str, Any], database: FloatArray) -> Place:
    """Name the place for an index of `database`, (N, d), by content."""
    rows, dim = database.shape
    content = hashlib.sha256(json.dumps([index, arguments, rows, dim]).encode())
    for block in blocks(rows, HASHED_ROWS):
        content.update(database[block].tobytes())
    return Place(index, uri, content.hexdigest()[:24], rows, dim, arguments)


def load_place(path: Path, index: str) -> Place:
    """Read what `Place.save` wrote.

    Raises:
        UserError: Not such a file, of another index, or of another version of mrlbench.
    """
    try:
        saved = json.loads(path.read_text())
        collection = saved.pop("collection")
        place = Place(**saved)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: expected what this version's {index} index saved") from error
    if (place.index, place.name) != (index, collection):
        raise UserError(f"{path}: expected a saved {index} index, got one of {place.index}")
    return place


def check_uri(index: str, uri: str, instead: str) -> None:
    """Refuse a password in an address: it would stand in every file that names the index.

    Raises:
        UserError: It has one; the message does not.
    """
    if re.search(r"//[^/@]*:[^@]+@|password\s*=", uri):
        raise UserError(
            f"indexes {index}: uri: expected no password in it, got one: set {instead} instead"
        )


def one_line(message: object) -> str:
    """Fold a server's explanation into one line."""
    return " ".join(str(message).split())
