"""Experiment files: found by path or by name, overridden, read and checked."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mrlbench.errors import UserError
from mrlbench.experiment import Experiment
from mrlbench.text_experiment import TextExperiment

Model = TypeVar("Model", bound=BaseModel)


def read(name: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a file or by bare name, override leaves, and check it.

    Args:
        name: A path, or a name such as `digits` among the shipped experiments.
        overrides: `key.sub=value` with a TOML value, such as `training.epochs=5`.

    Raises:
        UserError: No such file, not TOML, or an unknown or impossible key.
    """
    path = find(name)
    table = read_toml(path)
    for override in sorted(
        overrides, key=lambda each: ".name=" not in each
    ):  # names reset arguments
        _override(table, override)
    return parse(table, str(path)).resolved()


def parse(table: dict[str, Any], source: str) -> Experiment:
    """Check a table against the experiment's schema.

    Raises:
        UserError: The first key that does not fit.
    """
    return validate(_schema(table), table, source)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UserError: It is none.
    """
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected TOML: {error}") from error


def validate(schema: type[Model], table: dict[str, Any], source: str) -> Model:
    """Check a table against a schema.

    Raises:
        UserError: The first key that does not fit.
    """
    try:
        return schema.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        came = (
            "" if first["type"] in ("missing", "extra_forbidden") else f", got {first['input']!r}"
        )
        raise UserError(f"{source}: {key}: {problem}{came}{_known_keys(schema, first)}") from error


def find(name: str | Path, kind: str = "experiment", folder: str = ".") -> Path:
    """Find an experiment, or another file, by path, or by bare name among the shipped ones.

    Args:
        name: A path or a bare name.
        kind: What it is called.
        folder: Where such files are among the shipped experiments.

    Raises:
        UserError: There is none; the shipped ones are named.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {each.stem: each for each in sorted((_shipped() / folder).glob("*.toml"))}
    if path.suffix == "" and path.name == str(name) and path.name in shipped:
        return shipped[path.name]
    raise UserError(f"no {kind} {str(name)!r}: expected a TOML file or one of {', '.join(shipped)}")


PART = re.compile(r""""[^"]*"|'[^']*'|[^."']+""")
ASSIGNED = re.compile(r"""((?:"[^"]*"|'[^']*'|[^="'])+)=(.*)""", re.DOTALL)


def _shipped() -> Path:
    package = Path(__file__).parent
    inside = package / "experiments"  # in a wheel; in a checkout they stand beside the package
    return inside if inside.is_dir() else package.parent / "experiments"


def read_override(override: str, example: str = "training.epochs=5") -> tuple[str, Any]:
    """Split `key.sub=value` and read the value: TOML, and a bare word is a string.

    A part of the key in quotes may have dots and equals signs, such as the name of a variant.

    Raises:
        UserError: There is no value.
    """
    found = ASSIGNED.fullmatch(override)
    if not found:
        raise UserError(f"--set: expected key=value such as {example}, got {override!r}")
    key, text = found.groups()
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key, text


def _override(table: dict[str, Any], override: str) -> None:
    key, value = read_override(override)
    *parents, leaf = (part.strip("\"'") for part in PART.findall(key))
    place: Any = table
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(leaf) if isinstance(place, list) else leaf] = value
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"--set {key}: expected a key of the experiment, got no such place"
        ) from error
    if key in ("dataset.name", "model.name"):
        table[parents[0]] = {"name": value}  # the old plug-in's arguments do not fit the new one


def _schema(table: dict[str, Any]) -> type[Experiment]:
    """Tell an experiment that trains a text model from others: by its pairs."""
    training = table.get("training")
    return TextExperiment if isinstance(training, dict) and "pairs" in training else Experiment


def _known_keys(schema: type[BaseModel], error: Any) -> str:  # noqa: ANN401 (pydantic's details)
    """Name the keys that the table does take, after an unknown one."""
    if error["type"] != "extra_forbidden":
        return ""
    model: Any = schema
    for part in error["loc"][:-1]:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is None or not isinstance(field.annotation, type):
            return ""
        model = field.annotation
    return f"; expected one of {', '.join(model.model_fields)}" if model else ""
