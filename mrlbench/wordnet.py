"""WordNet's data files: what each line says of a synset (the manual page wndb(5WN))."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mrlbench.errors import UserError


class Pointer(NamedTuple):
    """Says how another synset is related; `@` is a hypernym."""

    symbol: str
    offset: str
    part: str


@dataclass(frozen=True)
class Synset:
    """Words of one meaning.

    Attributes:
        offset: Eight digits: its id among those of the same part of speech.
        part: `n`, `v`, `a`, `s` (an adjective that is like another one) or `r` (an adverb).
        words: As spelled, with `_` for a space.
        pointers: To other synsets.
        gloss: Definition and examples.
    """

    offset: str
    part: str
    words: tuple[str, ...]
    pointers: tuple[Pointer, ...]
    gloss: str


def read_synsets(path: Path) -> Iterator[Synset]:
    """Read a data file, such as `data.noun`, a line at a time.

    Raises:
        UserError: A line is not of that form.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("  ") or not line.strip():  # the licence
                    continue
                try:
                    yield _synset(line)
                except (ValueError, IndexError) as error:
                    raise UserError(
                        f"{path}, line {number}: expected a synset of WordNet, got {line[:40]!r}"
                    ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8: {error}") from error


def _synset(line: str) -> Synset:
    data, _, gloss = line.partition(" | ")
    cells = data.split()
    offset, part, count = cells[0], cells[2], int(cells[3], 16)
    words = cells[4 : 4 + 2 * count : 2]  # each is followed by a number
    link_cells = 4 * int(cells[4 + 2 * count])  # the fourth is not needed
    links = cells[5 + 2 * count :][:link_cells]
    pointers = map(Pointer._make, zip(links[::4], links[1::4], links[2::4], strict=False))
    is_whole = len(words) == count and len(links) == link_cells
    if not is_whole or len(offset) != 8 or not offset.isdigit() or not gloss.strip():
        raise ValueError(line)
    return Synset(offset, part, tuple(words), tuple(pointers), gloss.strip())
