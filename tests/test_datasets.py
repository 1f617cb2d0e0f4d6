"""Data sets from real files: the published one, and small ones in the published formats."""

import hashlib
import pickle
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from mrlbench.cifar import read_cifar
from mrlbench.datasets import fashion_mnist_lt as long_tailed
from mrlbench.datasets.fashion_mnist import CHECKSUMS, fashion_mnist
from mrlbench.datasets.image_folder import image_folder
from mrlbench.errors import UserError
from mrlbench.images import ImageArray, ImageFiles
from mrlbench.protocols import Dataset, Split


def test_grey_pixels_become_three_channels_and_evaluation_changes_nothing():
    pixels = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    read = ImageArray(pixels).read(np.array([1, 0]))
    assert read.shape == (2, 3, 4, 4)
    for channel in range(3):
        np.testing.assert_array_equal(read[:, channel], pixels[[1, 0]])


def test_training_shifts_and_mirrors():
    image = np.zeros((1, 8, 8), dtype=np.uint8)
    image[0, 4, 2] = 255  # one bright pixel at row 4, column 2
    array = ImageArray(np.repeat(image, 400, axis=0), padding=1)
    batch = array.read(np.arange(400), np.random.default_rng(0))
    places = {tuple(int(x) for x in place) for place in np.argwhere(batch[:, 0] == 255)[:, 1:]}
    # rows 3 to 5; columns 1 to 3, or mirrored 4 to 6
    assert places == {(row, column) for row in (3, 4, 5) for column in (1, 2, 3, 4, 5, 6)}


def test_without_padding_and_mirroring_training_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 6), dtype=np.uint8)
    array = ImageArray(pixels, padding=0, flip=False)
    batch = array.read(np.arange(5), np.random.default_rng(0))
    np.testing.assert_array_equal(batch, pixels)


def test_files_are_cropped_in_the_middle_for_evaluation(tmp_path):
    wide = np.zeros((64, 128, 3), dtype=np.uint8)
    wide[:, 32:96] = 200  # the middle square is bright
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = ImageFiles([tmp_path / "wide.png"], 32).read(np.array([0]))
    assert image.shape == (1, 3, 32, 32)
    assert (image == 200).all()


def test_files_are_cropped_at_random_for_training_and_repeat_by_seed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    files = ImageFiles([tmp_path / "a.png"], 24)
    one, same, other = (files.read(np.array([0]), np.random.default_rng(s)) for s in (0, 0, 1))
    assert one.shape == (1, 3, 24, 24)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_an_image_folder_has_its_classes_in_order(tmp_path):
    for part in ("train", "test"):
        for number, name in enumerate(("ant", "bee")):
            (tmp_path / "bugs" / part / name).mkdir(parents=True)
            pixels = np.full((30, 30, 3), 100 * number, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "bugs" / part / name / "1.png")
    data = image_folder(tmp_path, path="bugs", size=16)
    assert data.classes == ("ant", "bee")
    assert data.query_set == "test"
    assert data.queries.labels.tolist() == [0, 1]
    assert data.queries.images.read(np.array([1])).mean() == 100


class SmallCifar(CIFAR10):
    """Torchvision's reader on a small file of ours in the published format."""

    base_folder = "small"
    train_list: ClassVar[list] = []
    test_list: ClassVar[list] = []
    meta: ClassVar[dict] = {}


def write_cifar(folder):
    rng = np.random.default_rng(0)
    folder.mkdir()
    batches = {
        "data_batch_1": {
            "data": rng.integers(0, 256, (20, 3072), dtype=np.uint8),
            "labels": [0, 1] * 10,
        },
        "test_batch": {
            "data": rng.integers(0, 256, (4, 3072), dtype=np.uint8),
            "labels": [1, 0, 1, 0],
        },
        "batches.meta": {"label_names": ["cat", "dog"]},
    }
    sums = {}
    for name, batch in batches.items():
        (folder / name).write_bytes(pickle.dumps(batch))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    SmallCifar.train_list = [["data_batch_1", sums["data_batch_1"]]]
    SmallCifar.test_list = [["test_batch", sums["test_batch"]]]
    SmallCifar.meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": sums["batches.meta"],
    }
    return batches


def test_cifar_is_read_by_torchvision(tmp_path):
    batches = write_cifar(tmp_path / "small")
    data = read_cifar(SmallCifar, tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.queries.labels.tolist() == [1, 0, 1, 0]
    images = data.queries.images.read(np.arange(4))
    np.testing.assert_array_equal(images.reshape(4, -1), batches["test_batch"]["data"])


def test_cifar_that_is_not_there_and_cannot_be_downloaded_is_refused(tmp_path, monkeypatch):
    from urllib.error import URLError

    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", no_network)
    with pytest.raises(UserError, match="CIFAR10: expected cifar-10-batches-py or .*no network"):
        read_cifar(CIFAR10, tmp_path)


@pytest.mark.slow
def test_fashion_mnist_is_fetched_verified_and_found_again(tmp_path):
    data = fashion_mnist(tmp_path)
    assert len(data.train.labels) == 60_000
    assert len(data.queries.labels) == 10_000
    assert np.bincount(data.queries.labels).tolist() == [1000] * 10
    everything = data.train.images.read(np.arange(60_000))[:, 0]
    assert everything.mean() / 255 == pytest.approx(data.mean[0], abs=1e-3)
    assert everything.std() / 255 == pytest.approx(data.std[0], abs=1e-3)
    raw = tmp_path / "FashionMNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(CHECKSUMS)
    fashion_mnist(tmp_path)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"cut off")
    with pytest.raises(UserError, match="corrupted file"):
        fashion_mnist(tmp_path)


def test_training_crops_decode_a_large_photo_at_less(tmp_path, monkeypatch):
    from mrlbench import images

    down, across = np.mgrid[0:600, 0:800]
    pixels = np.stack([down // 3, across // 4, (down + across) // 6], axis=2).astype(np.uint8)
    path = tmp_path / "large.jpg"
    Image.fromarray(pixels).save(path, quality=95)
    with Image.open(path) as file:
        image, box = images._decode_smaller(file, (100, 40, 600, 440), 160)
    assert image.size == (400, 300)  # half; at a quarter the box would have 125 × 100 pixels
    assert box == (50, 20, 300, 220)
    reader, rows = ImageFiles([path], 96), np.zeros(8, dtype=np.int64)
    smaller = reader.read(rows, np.random.default_rng(0)).astype(float)
    monkeypatch.setattr(images, "_decode_smaller", lambda file, box, _: (file.convert("RGB"), box))
    whole = reader.read(rows, np.random.default_rng(0)).astype(float)
    assert np.abs(smaller - whole).mean() < 1.5
    assert np.abs(smaller - whole).max() < 12


def test_a_photo_smaller_than_its_crop_is_scaled_up(tmp_path):
    Image.new("RGB", (20, 12), (200, 10, 10)).save(tmp_path / "tiny.jpg", quality=95)
    crop = ImageFiles([tmp_path / "tiny.jpg"], 64).read(np.array([0]), np.random.default_rng(0))
    assert crop.shape == (1, 3, 64, 64)
    assert np.abs(crop[0, 0].astype(int) - 200).max() < 5


def test_batches_go_to_torch_without_a_warning_or_a_needless_copy():
    import torch

    from mrlbench.protocols import Dataset, Split
    from mrlbench.training.batches import to_input

    colour = np.arange(4 * 3 * 6 * 6, dtype=np.uint8).reshape(4, 3, 6, 6)
    split = Split(ImageArray(colour), np.zeros(4, dtype=np.int64))
    black, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    data = Dataset(split, split, split, ("a",), black, one, "0")
    colour.flags.writeable = False  # as a memory map is
    for array in (colour, colour[:, 0]):
        for side in (None, 3):
            batch = ImageArray(array).read(np.arange(4), np.random.default_rng(0), side)
            given = to_input(batch, data, torch.device("cpu"))  # a warning is an error here
            np.testing.assert_allclose(given.numpy() * 255, batch, atol=1e-4)
    assert ImageArray(colour).read(np.arange(4)).flags.writeable


def test_the_long_tail_falls_from_all_photos_to_a_thousandth():
    labels = np.tile(np.arange(10), 6000)
    rows = long_tailed.long_tail(labels, 10)
    counts = np.bincount(labels[rows])
    assert sorted(counts) == [6, 13, 28, 60, 129, 278, 600, 1293, 2785, 6000]
    assert list(counts) != sorted(counts, reverse=True)  # not in the order of the classes
    assert len(rows) == long_tailed.SIZES.train
    assert (np.diff(rows) > 0).all()


def test_the_long_tailed_photos_are_some_of_the_others(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    split = Split(ImageArray(pixels), np.array([0, 1, 0, 1, 0, 1]))
    whole = Dataset(split, split, split, ("a", "b"), (0, 0, 0), (1, 1, 1), "print")
    monkeypatch.setattr(long_tailed, "fashion_mnist", lambda *_: whole)
    some = long_tailed.fashion_mnist_lt(tmp_path)
    rows = long_tailed.long_tail(split.labels, 2)
    assert sorted(np.bincount(some.train.labels)) == [1, 3]  # of three: all, and the least
    read, among = some.train.images.read(np.arange(4)), split.images.read(rows)
    np.testing.assert_array_equal(read, among)
    assert some.database is some.train
    assert some.queries is split
    assert some.fingerprint != "print"
