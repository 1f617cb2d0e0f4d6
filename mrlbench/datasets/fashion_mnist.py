"""Fashion-MNIST: 60,000 + 10,000 photos of clothes, ten classes, 28 × 28, grey."""

import gzip
import hashlib
import logging
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mrlbench.arrays import ByteArray
from mrlbench.errors import UserError
from mrlbench.images import ImageArray
from mrlbench.protocols import Dataset, Sizes, Split

log = logging.getLogger(__name__)

# SHA-256 of the four files as unpacked: the same whoever compressed them
CHECKSUMS = {
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}
FETCH_ERRORS = (  # a file that is cut off, no network, a command that fails, a wrong checksum
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    subprocess.SubprocessError,
    UserError,
)
SIZES = Sizes(60_000, 60_000, 10_000, 10, (3, 28, 28))
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist(data_dir: Path, padding: int = 0) -> Dataset:
    """Photos of clothes, 28 × 28; found, downloaded, or taken from a Debian package.

    Args:
        data_dir: Where `FashionMNIST/raw/` is, or is made (torchvision's layout).
        padding: Training shifts an image by up to this many pixels, besides mirroring half of
            them. The photos are centred, so short trainings do better without.
    """
    raw = data_dir / "FashionMNIST" / "raw"
    if not all((raw / name).exists() for name in CHECKSUMS):
        _fetch(raw)
    for name in CHECKSUMS:
        _verify(raw / name)
    train, test = (_read_split(raw, part, padding) for part in ("train", "t10k"))
    return Dataset(
        train=train,
        database=train,
        queries=test,
        classes=CLASSES,
        mean=(0.2860, 0.2860, 0.2860),  # of the training pixels
        std=(0.3530, 0.3530, 0.3530),
        fingerprint=hashlib.sha256("".join(CHECKSUMS.values()).encode()).hexdigest(),
    )


def _read_split(raw: Path, part: str, padding: int) -> Split:
    pixels = _idx(raw / f"{part}-images-idx3-ubyte", header=16).reshape(-1, 28, 28)
    labels = _idx(raw / f"{part}-labels-idx1-ubyte", header=8)
    return Split(ImageArray(pixels, padding), labels.astype(np.int64))


def _idx(path: Path, header: int) -> ByteArray:
    return np.frombuffer(path.read_bytes(), dtype=np.uint8, offset=header)


def _verify(path: Path) -> None:
    """Refuse a file whose content is not the published one."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != CHECKSUMS[path.name]:
        raise UserError(
            f"corrupted file {path}: expected SHA-256 {CHECKSUMS[path.name][:12]}…, got "
            f"{found[:12]}…; delete it and run the command again"
        )


def _fetch(raw: Path) -> None:
    """Try each source in turn, all four files into a new folder first, then into place."""
    sources: list[tuple[str, Callable[[Path], None]]] = [
        ("packed files in the data folder", lambda to: _unpack(raw, to)),
        ("an installed Debian package", lambda to: _unpack(Path("/") / DEBIAN_FOLDER, to)),
        ("torchvision's download", _download),
        ("Debian's package", _download_debian),
    ]
    reasons = []
    for source, fetch in sources:
        try:
            raw.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
                fetch(Path(folder))
                for name in CHECKSUMS:
                    _verify(Path(folder) / name)
                raw.mkdir(exist_ok=True)
                for name in CHECKSUMS:
                    (Path(folder) / name).replace(raw / name)
            log.info("fashion-mnist: from %s", source)
            return
        except FETCH_ERRORS as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reasons.append(f"{source}: {lines[-1]}")
    raise UserError(
        f"fashion-mnist is not in {raw} and could not be fetched ({'; '.join(reasons)}). Expected "
        f"one of: the four *-ubyte files (or *-ubyte.gz) in {raw}; a network for torchvision; on "
        f"Debian or Ubuntu, `apt-get install {DEBIAN_PACKAGE}`"
    )


def _unpack(source: Path, target: Path) -> None:
    for name in CHECKSUMS:
        plain, packed = source / name, source / f"{name}.gz"
        if plain.exists():
            shutil.copyfile(plain, target / name)
            continue
        with gzip.open(packed) as file:
            (target / name).write_bytes(file.read())


def _download(target: Path) -> None:
    from torchvision.datasets import FashionMNIST  # torch: only when there is no copy

    FashionMNIST(str(target), download=True)
    for name in CHECKSUMS:
        (target / "FashionMNIST" / "raw" / name).replace(target / name)


def _download_debian(target: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise OSError("apt-get and dpkg are not on this machine")
    _run("apt-get", "download", DEBIAN_PACKAGE, folder=target)
    (package,) = target.glob("*.deb")
    _run("dpkg", "-x", package.name, "unpacked", folder=target)
    _unpack(target / "unpacked" / DEBIAN_FOLDER, target)


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise OSError((done.stderr or done.stdout or "failed").strip().splitlines()[-1])
