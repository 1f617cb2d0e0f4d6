"""Imports point one way, plug-ins import no stage, and heavy packages wait."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mrlbench
from mrlbench.plugins import KINDS

ROOT = Path(mrlbench.__file__).parent
# Lower layers first; a module may import from its own layer and those before it.
LAYERS = [
    {
        "__init__",
        "errors",
        "arrays",
        "dims",
        "files",
        "progress",
        "intervals",
        "splits",
        "threads",
        "memory",
        "ranks",
        "http_client",
    },
    {"measurements"},
    {
        "protocols",
        "images",
        "tar_shards",
        "heads",
        "cifar",
        "imagenet",
        "faiss_index",
        "kernels",
        "index_server",
        "moments",
        "slimming",
    }
    | {"captions", "masking", "towers", "language_models"}
    | {"downloads", "records", "texts", "wordnet", "weights", "image_models", "open_clip_models"},
    set(KINDS),
    {"plugins"},
    {"costs"},
    {"experiment", "text_experiment"},
    {"experiment_file"},
    {"runs"},
    {"training", "embedding", "search", "cascade", "sentences"},
    {"evaluation"},
    {"recommend"},
    {"paper"},
    {"lending"},
    {"session", "stages", "text_stages", "sources"},
    {"authors"},
    {"more_queries", "analyses"},
    {"reports"},
    {"estimates", "text_estimates"},
    {"reproduce"},
    {"cli", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(ROOT.rglob("*.py"))


def room(module):
    """The file or folder right under mrlbench/ that a module stands in."""
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(module):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mrlbench"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [name.name for name in node.names]
        elif isinstance(node, ast.Import):
            yield from [n.name.split(".")[1] for n in node.names if n.name.startswith("mrlbench.")]


def test_every_room_has_a_layer():
    assert {room(module) for module in MODULES} == set(LEVEL)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(module):
    for imported in imported_rooms(module):
        if imported == "__version__":
            continue
        assert LEVEL[imported] <= LEVEL[room(module)], f"{module} imports {imported}"


@pytest.mark.parametrize("kind", KINDS)
def test_plugins_import_no_other_kind(kind):
    for module in (ROOT / kind).glob("*.py"):
        assert not set(imported_rooms(module)) & (set(KINDS) - {kind}), module


def test_the_command_line_starts_without_heavy_packages():
    code = (
        "import sys, mrlbench.cli; "
        "print([m for m in ('torch', 'faiss', 'pandas', 'sklearn', 'matplotlib', 'numba', 'scipy')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_in_the_tree_names_the_developers_shared_folder():
    for module in MODULES:
        assert "/shared" not in module.read_text()
