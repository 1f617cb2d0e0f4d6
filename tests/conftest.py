"""Shared helpers: the command line in this process, and one small run on real images."""

from pathlib import Path

import numpy as np
import pytest

from mrlbench import cli

WORDS = [first + second for first in "bdfgklmn" for second in ("ack", "ell", "ino", "oop", "ush")]
SMALL = [
    "--set=training.epochs=1",
    "--set=training.methods=['mrl', 'mrl-e', 'fixed-512', 'fixed-16']",
    "--set=training.dims=[4, 16, 128, 512]",
    "--set=search.dims=[16, 512]",
    "--set=search.queries=40",
]


@pytest.fixture
def mrlbench(monkeypatch, capsys):
    """Run the command line; returns (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["mrlbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


@pytest.fixture(scope="session")
def postgres():
    """The address of a real PostgreSQL with pgvector; it ends with this process."""
    return pytest.importorskip("mrlbench.indexes.pgvector", exc_type=ImportError)._own_server()


@pytest.fixture(scope="session")
def small():
    """The overrides that make the digits experiment small."""
    return SMALL


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A whole reproduction of a small digits experiment."""
    folder = tmp_path_factory.mktemp("results") / "digits"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(
            "sys.argv", ["mrlbench", "reproduce", "digits", f"--run={folder}", *SMALL, "-q"]
        )
        cli.main()
    assert not stopped.value.code
    return folder


@pytest.fixture
def folder(tmp_path):
    """An embeddings folder with labels, 60 × 16 and 20 × 16."""
    return write_folder(tmp_path / "mine")


def write_folder(path: Path, n: int = 60, q: int = 20, width: int = 16, classes: int = 3) -> Path:
    """Write random embeddings with labels."""
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    np.save(path / "database.npy", rng.standard_normal((n, width), dtype=np.float32))
    np.save(path / "queries.npy", rng.standard_normal((q, width), dtype=np.float32))
    np.save(path / "database_labels.npy", rng.integers(0, classes, n))
    np.save(path / "queries_labels.npy", rng.integers(0, classes, q))
    return path
