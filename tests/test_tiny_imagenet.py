"""Tiny-ImageNet in its authors' layout, made small; and what training on it needs."""

import hashlib
import os
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mrlbench import memory, progress
from mrlbench.datasets import tiny_imagenet as module
from mrlbench.datasets.tiny_imagenet import tiny_imagenet
from mrlbench.errors import UserError
from mrlbench.runs import Output

WNIDS = ["n02000002", "n01000001"]  # not in order, as in the published file


@pytest.fixture
def photos(tmp_path):
    """Two classes of three training photos, two validation photos; one is grey."""
    root = tmp_path / module.NAME
    rng = np.random.default_rng(0)
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (root / "words.txt").write_text("n01000001\tgoldfish, Carassius auratus\nn09\tnot used\n")
    for wnid in WNIDS:
        (root / "train" / wnid / "images").mkdir(parents=True)
        for number in (0, 2, 10):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).convert("L" if number == 2 else "RGB")
            image.save(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG")
    lines = []
    for number, wnid in ((0, "n02000002"), (1, "n01000001")):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "val" / "images" / f"val_{number}.JPEG")
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t63\t63")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return root


def decoded(path):
    return np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)


def test_the_authors_layout(photos):
    dataset = tiny_imagenet(photos.parent)
    assert dataset.wnids == ("n01000001", "n02000002")
    assert dataset.classes == ("goldfish", "n02000002")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.queries.labels.tolist() == [1, 0]
    assert dataset.query_set == "val"
    files = [
        photos / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
        for wnid in sorted(WNIDS)
        for number in (0, 2, 10)  # by number, not by spelling
    ]
    read = dataset.database.images.read(np.arange(6))
    np.testing.assert_array_equal(read, np.stack([decoded(path) for path in files]))
    val = [photos / "val" / "images" / f"val_{number}.JPEG" for number in (0, 1)]
    content = b"".join(path.read_bytes() for path in [*files, *val])
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest()


def test_pixels_are_decoded_once_and_the_same_later(photos, monkeypatch):
    first = tiny_imagenet(photos.parent)
    monkeypatch.setattr(module, "_read", lambda path: pytest.fail("decoded again"))
    again = tiny_imagenet(photos)  # the folder itself will do
    assert again.fingerprint == first.fingerprint
    rows = np.arange(2)
    np.testing.assert_array_equal(again.queries.images.read(rows), first.queries.images.read(rows))


def test_scaled_down(photos):
    read = tiny_imagenet(photos.parent, size=48).queries.images.read(np.arange(2))
    assert read.shape == (2, 3, 48, 48)


def test_the_zip_is_unpacked(photos, tmp_path):
    data = tmp_path / "elsewhere"
    data.mkdir()
    with zipfile.ZipFile(data / f"{module.NAME}.zip", "w") as packed:
        for path in photos.rglob("*"):
            packed.write(path, path.relative_to(photos.parent))
    assert len(tiny_imagenet(data).train.labels) == 6


def test_other_photos_than_the_published_are_refused(photos, monkeypatch):
    monkeypatch.setattr(module, "TRAIN_PER_CLASS", 6 / 200)  # so that six photos are all
    monkeypatch.setattr(module, "QUERIES", 2)
    with pytest.raises(UserError, match="corrupted photos"):
        tiny_imagenet(photos.parent)
    assert not (photos / "pixels.json").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: (r / "words.txt").unlink(), "expected .*words.txt"),
        (lambda r: shutil.rmtree(r / "train" / WNIDS[0]), "expected photos in"),
        (lambda r: (r / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn03"), "n03"),
        (lambda r: (r / "val" / "images" / "val_1.JPEG").write_bytes(b"no"), "unreadable file"),
        (
            lambda r: Image.new("RGB", (32, 64)).save(r / "val" / "images" / "val_1.JPEG"),
            "expected 64 × 64",
        ),
    ],
)
def test_a_folder_that_is_not_right(photos, spoil, said):
    spoil(photos)
    with pytest.raises(UserError, match=said) as error:
        tiny_imagenet(photos.parent)
    assert "\n" not in str(error.value)
    assert not list(photos.glob(".*"))  # nothing half written


def test_a_folder_that_cannot_be_written_is_decoded_in_memory(photos, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    dataset = tiny_imagenet(photos.parent)
    assert dataset.queries.images.read(np.arange(2)).shape == (2, 3, 64, 64)
    assert not (photos / "pixels.json").exists()


def test_freed_memory_is_kept_where_there_is_a_glibc():
    kept = memory.keep_freed_memory()
    assert kept == (os.confstr("CS_GNU_LIBC_VERSION") is not None)


def test_commands_that_finish_stages_at_once_lose_none(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "quiet", True)
    output = Output(tmp_path)

    def finish(number):
        with output.stage(f"stage {number}", number):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(finish, range(24)))
    assert len(output.manifest()["stages"]) == 24
