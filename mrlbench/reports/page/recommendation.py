"""What `mrlbench recommend` says of the run, if it was asked."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mrlbench.errors import UserError
from mrlbench.reports.page.blocks import Block, Paragraph, Section, Table
from mrlbench.reports.page.numbers import number
from mrlbench.runs import Output

NAME = "recommend.json"
TITLE = "Recommendation"


def recommendation(output: Output) -> Section:
    """Show `recommend.json`: its facts as a table, its lists of plans as tables of their own.

    Raises:
        UserError: The file is not a JSON object.
    """
    path = output.folder / NAME
    if not path.is_file():
        missing = Paragraph(
            "No recommendation was asked for. One says which dims, index and shortlist reach a "
            "goal at the least cost:",
            "mrlbench recommend RUN --out RUN",
        )
        return Section("recommendation", TITLE, [missing])
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"expected JSON in {path}: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object, got a {type(content).__name__}")
    facts = [[name, value] for name, value in _facts(content)]
    blocks: list[Block] = [Table("What was recommended", ["", ""], facts)] if facts else []
    return Section("recommendation", TITLE, [*blocks, *_lists(content)])


def _facts(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Flatten objects: `goal.map@10`; lists of objects are left to tables."""
    for name, value in content.items():
        key = f"{above}{name}".replace("_", " ")
        if isinstance(value, dict):
            yield from _facts(value, f"{key}: ")
        elif not _is_table(value):
            listed = value if isinstance(value, list) else [value]
            yield key, ", ".join(number(each) for each in listed)


def _lists(content: Mapping[str, Any]) -> Iterator[Table]:
    for name, value in content.items():
        if _is_table(value):
            flat = [dict(_facts(each)) for each in value]
            columns = list(dict.fromkeys(key for each in flat for key in each))
            rows = [[each.get(column, "") for column in columns] for each in flat]
            yield Table(name.replace("_", " "), columns, rows, folded=True)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
