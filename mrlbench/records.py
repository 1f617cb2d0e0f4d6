"""Rows of text files, JSONL, CSV or TSV, each with where it stands so that a mistake is found."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrlbench.errors import UserError


@dataclass(frozen=True)
class Record:
    """One row of a file.

    Attributes:
        path: The file.
        line: Where the row begins, from 1.
        cells: What is in each column; text where the file is no JSON.
    """

    path: Path
    line: int
    cells: Mapping[str, object]

    def text(self, column: str) -> str:
        """Read a text as it is.

        Raises:
            UserError: It is empty, or something else.
        """
        value = self.cells[column]
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"expected a text in {column!r}, got {_shown(value)}")
        return self._encodable(column, value)

    def label(self, column: str) -> str:
        """Read a label; a whole number is one too.

        Raises:
            UserError: It is empty, or something else.
        """
        value = self.cells[column]
        is_number = isinstance(value, int) and not isinstance(value, bool)
        label = str(value) if isinstance(value, str) or is_number else ""
        if not label.strip():
            raise self.error(f"expected a name in {column!r}, got {_shown(value)}")
        return self._encodable(column, label)

    def name(self, column: str) -> str:
        """Read an id: a label without spaces, at which files of ids and judgements are split.

        Raises:
            UserError: It is empty, has spaces in it, or is something else.
        """
        name = self.label(column)
        if name.split() != [name]:
            raise self.error(f"expected a name without spaces in {column!r}, got {_shown(name)}")
        return name

    def number(self, column: str) -> float:
        """Read a finite number.

        Raises:
            UserError: It is none.
        """
        value = self.cells[column]
        try:
            number = float(value) if isinstance(value, str | int | float) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or isinstance(value, bool):
            raise self.error(f"expected a number in {column!r}, got {_shown(value)}")
        return number

    def error(self, message: str) -> UserError:
        """Say where a mistake is."""
        return UserError(f"{self.path}, line {self.line}: {message}")

    def _encodable(self, column: str, value: str) -> str:
        """Refuse half a character, which JSON can spell and no file can hold."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.error(f"expected UTF-8 in {column!r}: {error.reason}") from error
        return value


def read_records(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Read the rows of a file one after the other; blank lines are passed over.

    Args:
        path: `*.jsonl`, an object a line; `*.csv`; or `*.tsv`, in which quotes mean nothing. Both
            begin with the names of the columns.
        columns: Those that every row must have; there may be others.

    Raises:
        UserError: One line that says what was expected, with file and line.
    """
    readers: dict[str, Callable[[Path, Sequence[str]], Iterator[Record]]] = {
        ".jsonl": _read_json,
        ".csv": _read_table,
        ".tsv": _read_table,
    }
    if path.suffix not in readers:
        raise UserError(f"expected a file *.jsonl, *.csv or *.tsv, got {path}")
    if not path.is_file():
        raise UserError(f"expected rows of {', '.join(columns)} in {path}, got no such file")
    is_empty = True
    for record in readers[path.suffix](path, columns):
        yield record
        is_empty = False
    if is_empty:
        raise UserError(f"{path}: expected rows of {', '.join(columns)}, got none")


def _read_json(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except ValueError as error:
            reason = getattr(error, "msg", str(error))
            raise UserError(f"{path}, line {number}: expected JSON: {reason}") from error
        if not isinstance(cells, dict):
            raise UserError(f"{path}, line {number}: expected an object, got {_shown(cells)}")
        record = Record(path, number, cells)
        _check_columns(record, columns, cells)
        yield record


def _read_table(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    is_tabs = path.suffix == ".tsv"
    reader = csv.reader(
        _lines(path),
        delimiter="\t" if is_tabs else ",",
        quoting=csv.QUOTE_NONE if is_tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    header: list[str] = []
    begin = 1  # a quoted cell may go over several lines
    try:
        for cells in reader:
            record = Record(path, begin, dict(zip(header, cells, strict=False)))
            begin = reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = cells
                _check_columns(record, columns, header)
                continue
            if len(cells) != len(header):
                raise record.error(f"expected {len(header)} cells, got {len(cells)}")
            yield record
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from error


def _check_columns(record: Record, columns: Sequence[str], found: Iterable[str]) -> None:
    if not set(columns) <= set(found):
        raise record.error(f"expected {', '.join(columns)}, got {', '.join(found) or 'nothing'}")


def _lines(path: Path) -> Iterator[str]:
    """Decode line by line: a mistake has its line, and a large file is not held."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{path}, line {number}: expected UTF-8: {error.reason}") from error
            yield text


def _shown(value: object) -> str:
    """Show a cell as its file spells it, on one line and not at length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + "…"
