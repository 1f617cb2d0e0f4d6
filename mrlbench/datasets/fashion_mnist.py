"""Fashion-MNIST: 60,000 + 10,000 photos of clothes, ten classes, 28 × 28, grey."""

from pathlib import Path

import numpy as np

from mrlbench.arrays import ByteArray
from mrlbench.downloads import Published
from mrlbench.images import ImageArray
from mrlbench.protocols import Dataset, Sizes, Split

# SHA-256 of the four files as unpacked: the same whoever compressed them
CHECKSUMS = {
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}
SIZES = Sizes(60_000, 60_000, 10_000, 10, (3, 28, 28))
FILES = Published(
    "fashion-mnist",
    "the four *-ubyte files (or *-ubyte.gz)",
    CHECKSUMS,
    package="dataset-fashion-mnist",
    package_folder=Path("usr/share/datasets/fashion-mnist"),
)
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
    FILES.get(raw, {"torchvision": _download})
    train, test = (_read_split(raw, part, padding) for part in ("train", "t10k"))
    return Dataset(
        train=train,
        database=train,
        queries=test,
        classes=CLASSES,
        mean=(0.2860, 0.2860, 0.2860),  # of the training pixels
        std=(0.3530, 0.3530, 0.3530),
        fingerprint=FILES.fingerprint,
    )


def _read_split(raw: Path, part: str, padding: int) -> Split:
    pixels = _idx(raw / f"{part}-images-idx3-ubyte", header=16).reshape(-1, 28, 28)
    labels = _idx(raw / f"{part}-labels-idx1-ubyte", header=8)
    return Split(ImageArray(pixels, padding), labels.astype(np.int64))


def _idx(path: Path, header: int) -> ByteArray:
    return np.frombuffer(path.read_bytes(), dtype=np.uint8, offset=header)


def _download(target: Path) -> None:
    from torchvision.datasets import FashionMNIST  # torch: only when there is no copy

    FashionMNIST(str(target), download=True)
    for name in CHECKSUMS:
        (target / "FashionMNIST" / "raw" / name).replace(target / name)
