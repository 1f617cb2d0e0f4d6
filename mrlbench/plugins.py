"""Find plug-ins by file name, and other packages' by entry point.

The one rule: module `mrlbench/<kind>/<name>.py` holds a function or class called `<name>`. Adding a
plug-in means adding that file; nothing else is edited. Other packages add theirs with the
entry-point group `mrlbench.<kind>`. Only the plug-in that is asked for is imported.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Any, Literal, get_args, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from mrlbench.errors import UserError

Kind = Literal[
    "datasets",
    "models",
    "methods",
    "reducers",
    "indexes",
    "metrics",
    "encoders",
    "corpora",
    "text_models",
    "text_losses",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
# given by the program, not the user
PROVIDED = {"data_dir", "width", "classes", "dims", "weights", "device", "sentences"}


def public(name: str) -> str:
    """Spell a plug-in's name as the command line, TOML and CSV do: with hyphens."""
    return name.replace("_", "-")


def names(kind: Kind) -> list[str]:
    """List the plug-ins of one kind, built in and installed, without importing them."""
    built_in = [public(module) for module in _files(kind)]
    return sorted({*built_in, *(public(entry) for entry in _entries(kind))})


def load(kind: Kind, name: str) -> Callable[..., Any]:
    """Import one plug-in.

    Raises:
        UserError: No such plug-in, or it needs a package that is not installed.
    """
    module, entries = name.replace("-", "_"), _entries(kind)
    try:
        if module in _files(kind):
            plugin: Callable[..., Any] = getattr(import_module(f"mrlbench.{kind}.{module}"), module)
            return plugin
        if name in entries or module in entries:
            plugin = (entries.get(name) or entries[module]).load()
            return plugin
    except ModuleNotFoundError as error:
        raise UserError(
            f"{kind} {name}: needs the package {error.name!r}: pip install {error.name}"
        ) from error
    raise UserError(f"no {name!r} among {kind}: expected one of {', '.join(names(kind))}")


def make(kind: Kind, name: str, arguments: Mapping[str, Any], **provided: object) -> Any:  # noqa: ANN401 (whatever the kind gives)
    """Call a plug-in with the user's arguments, checked, and with what it takes of `provided`.

    Raises:
        UserError: No such plug-in, or arguments that it does not take.
    """
    check_arguments(kind, name, arguments)
    plugin = load(kind, name)
    taken = inspect.signature(plugin).parameters
    return plugin(**{key: each for key, each in provided.items() if key in taken}, **arguments)


def label(kind: Kind, name: str) -> str:
    """Say what a plug-in is called in the CSV: its module's LABEL, else its name."""
    module = sys.modules[load(kind, name).__module__]
    return str(getattr(module, "LABEL", public(name)))


def summary(kind: Kind, name: str) -> str:
    """Give the first line of the plug-in's docstring."""
    return (inspect.getdoc(load(kind, name)) or "").split("\n")[0]


def parameters(kind: Kind, name: str) -> dict[str, inspect.Parameter]:
    """List the arguments that a user may give to a plug-in."""
    signature = inspect.signature(load(kind, name))
    return {key: value for key, value in signature.parameters.items() if key not in PROVIDED}


def check_arguments(kind: Kind, name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the plug-in does not take, or of the wrong type.

    Raises:
        UserError: One line that names the argument, what is known, and what came.
    """
    known, hints = parameters(kind, name), _hints(load(kind, name))
    fields: dict[str, Any] = {
        key: (hints.get(key, Any), ... if each.default is each.empty else each.default)
        for key, each in known.items()
    }
    model = create_model(f"{name} arguments", __config__=ConfigDict(extra="forbid"), **fields)
    try:
        model(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        takes = ", ".join(known) or "no arguments"
        raise UserError(
            f"{kind} {name}: {key}: {first['msg']}, got {first['input']!r}; {name} takes {takes}"
        ) from error


def _hints(plugin: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(plugin.__init__ if inspect.isclass(plugin) else plugin)


def _files(kind: Kind) -> list[str]:
    package = import_module(f"mrlbench.{kind}")
    return [module.name for module in iter_modules(package.__path__)]


def _entries(kind: Kind) -> dict[str, EntryPoint]:
    return _entries_on(kind, tuple(sys.path))


@cache
def _entries_on(kind: Kind, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Read every installed package's metadata, which takes 10 ms, once for each search path."""
    return {entry.name: entry for entry in entry_points(group=f"mrlbench.{kind}")}
