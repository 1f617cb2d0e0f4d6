"""Files that are whole or not there: written beside, then moved into place."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrlbench.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and move it into place when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait for other processes that read, change and write files of a folder; then keep them out.

    A system without file locks goes on unprotected.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):  # no locks there
                raise
        yield


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 (whatever JSON can hold)
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def digest(content: Any) -> str:  # noqa: ANN401 (whatever JSON can hold)
    """Hash a value by its JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def check_writable(folder: Path) -> None:
    """Make a folder and make sure that files can be written there.

    Raises:
        UserError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"expected a folder to write to, got {folder}: {reason}") from error
