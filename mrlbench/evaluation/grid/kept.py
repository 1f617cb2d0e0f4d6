"""What earlier processes left of an index: gone on with where it is of the same inputs."""

import json
import shutil
import sys
from functools import cache
from importlib.metadata import packages_distributions, version
from types import ModuleType
from typing import Any

from mrlbench.evaluation.grid.jobs import Job, Search
from mrlbench.files import write_json
from mrlbench.plugins import load

MERGED = "merged.json"


def clear_if_stale(job: Job) -> str:
    """Delete what is kept of other inputs, or was written by other versions of the packages.

    Returns:
        What differs, in one line; empty where nothing was deleted.
    """
    facts = read_facts(job)
    versions = dict(job.versions)
    if facts.get("inputs") == job.inputs and facts.get("versions") == versions:
        return ""
    there = job.folder.is_dir()
    shutil.rmtree(job.folder, ignore_errors=True)
    if not there or not facts:
        return ""
    then = facts.get("versions", {})
    other = [f"{name} {then.get(name)}" for name in versions if then.get(name) != versions[name]]
    return f"kept from {', '.join(other)}" if other else "kept from other vectors or settings"


def read_facts(job: Job) -> dict[str, Any]:
    """Read what building an index took; empty where that is not known."""
    try:
        facts: dict[str, Any] = json.loads(job.facts.read_text())
    except (OSError, ValueError):
        return {}
    return facts


def pending(job: Job) -> list[Search]:
    """List the searches without a result, in order."""
    return [search for search in job.searches if not search.result(job.folder).is_file()]


def is_merged(job: Job) -> bool:
    """Tell whether the rows of all searches have been written."""
    path = job.folder / MERGED
    merged = json.loads(path.read_text()) if path.is_file() else []
    return {search.name for search in job.searches} <= set(merged)


def note_merged(job: Job) -> None:
    """Note that the rows of all searches have been written."""
    write_json(job.folder / MERGED, [search.name for search in job.searches])


def library_versions(index: str) -> dict[str, str]:
    """Say which packages the module of an index plug-in imports, and their versions."""
    module: ModuleType = sys.modules[load("indexes", index).__module__]
    parts = [getattr(each, "__module__", None) or "" for each in vars(module).values()]
    parts += [each.__name__ for each in vars(module).values() if isinstance(each, ModuleType)]
    tops = {part.partition(".")[0] for part in parts} & set(_distributions())
    names = {_distributions()[top][0] for top in tops}
    return {name: version(name) for name in sorted(names)}


@cache
def _distributions() -> dict[str, list[str]]:
    """Map importable names to packages, once: it reads the metadata of all that is installed."""
    return {top: list(names) for top, names in packages_distributions().items()}
