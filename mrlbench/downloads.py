"""Published files: found, downloaded or taken from a Debian package, and verified."""

import gzip
import hashlib
import logging
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from mrlbench.errors import UserError

log = logging.getLogger(__name__)

SYSTEM = Path("/")  # where a Debian package is installed
FETCH_ERRORS = (  # a file that is cut off, no network, a command that fails, a wrong checksum
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    subprocess.SubprocessError,
    UserError,
)
Fetch = Callable[[Path], None]  # writes the files into a folder
_fetching = ContextVar("_fetching", default=True)


@contextmanager
def only_reading() -> Iterator[None]:
    """Fetch and unpack nothing: data that are not in their folder are refused."""
    before = _fetching.set(False)
    try:
        yield
    finally:
        _fetching.reset(before)


def may_fetch() -> bool:
    """Tell whether what is missing may be fetched."""
    return _fetching.get()


def check_may_fetch(name: str, folder: Path) -> None:
    """Refuse to get what is missing in a folder where data are only read.

    Raises:
        UserError: They are.
    """
    if not may_fetch():
        raise UserError(f"{name} is not in {folder}, and is not fetched here")


@dataclass(frozen=True)
class Published:
    """Files whose content is known.

    Attributes:
        name: Of the plug-in that reads them, for messages.
        what: The files in words, such as `data.noun and data.verb`.
        checksums: SHA-256 of each file as unpacked: the same whoever compressed it.
        package: The Debian package that holds them, plain or as `*.gz`.
        package_folder: Where in the package, relative to the root.
    """

    name: str
    what: str
    checksums: Mapping[str, str]
    package: str
    package_folder: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content."""
        return hashlib.sha256("".join(self.checksums.values()).encode()).hexdigest()

    def get(self, folder: Path, downloads: Mapping[str, Fetch] | None = None) -> None:
        """Make sure that the files are in a folder, and are the published ones.

        Args:
            folder: Where they are, or are to be.
            downloads: Other ways to get them, tried before Debian's, by whose they are.

        Raises:
            UserError: They cannot be had, and why; or a file has another content.
        """
        if not all((folder / name).exists() for name in self.checksums):
            check_may_fetch(self.name, folder)
            self._fetch(folder, downloads or {})
        self._verify(folder)

    def _fetch(self, folder: Path, downloads: Mapping[str, Fetch]) -> None:
        """Try each source in turn, all files into a new folder first, then into place."""
        installed = SYSTEM / self.package_folder
        sources: dict[str, Fetch] = {
            "packed files in the data folder": lambda to: self._unpack(folder, to),
            "an installed Debian package": lambda to: self._unpack(installed, to),
            **{f"{whose}'s download": download for whose, download in downloads.items()},
            "Debian's package": self._download_debian,
        }
        reasons = []
        for source, fetch in sources.items():
            try:
                self._fetch_from(fetch, folder)
                log.info("%s: from %s", self.name, source)
                return
            except FETCH_ERRORS as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                reasons.append(f"{source}: {lines[-1]}")
        networks = "".join(f"a network for {whose}; " for whose in downloads)
        raise UserError(
            f"{self.name} is not in {folder} and could not be fetched ({'; '.join(reasons)}). "
            f"Expected one of: {self.what} in {folder}; {networks}on Debian or Ubuntu, "
            f"`apt-get install {self.package}`"
        )

    def _fetch_from(self, fetch: Fetch, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            fetch(Path(beside))
            self._verify(Path(beside))
            folder.mkdir(exist_ok=True)
            for name in self.checksums:
                (Path(beside) / name).replace(folder / name)

    def _verify(self, folder: Path) -> None:
        """Refuse a file whose content is not the published one."""
        for name, expected in self.checksums.items():
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if found != expected:
                raise UserError(
                    f"corrupted file {folder / name}: expected SHA-256 {expected[:12]}…, got "
                    f"{found[:12]}…; delete it and run the command again"
                )

    def _unpack(self, source: Path, target: Path) -> None:
        for name in self.checksums:
            plain, packed = source / name, source / f"{name}.gz"
            if plain.exists():
                shutil.copyfile(plain, target / name)
                continue
            with gzip.open(packed) as file:
                (target / name).write_bytes(file.read())

    def _download_debian(self, target: Path) -> None:
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise OSError("apt-get and dpkg are not on this machine")
        _run("apt-get", "download", self.package, folder=target)
        (package,) = target.glob("*.deb")
        _run("dpkg", "-x", package.name, "unpacked", folder=target)
        self._unpack(target / "unpacked" / self.package_folder, target)


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise OSError((done.stderr or done.stdout or "failed").strip().splitlines()[-1])
