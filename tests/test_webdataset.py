"""WebDataset shards, on disk and from a real server on this machine."""

import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mrlbench.datasets.webdataset import webdataset
from mrlbench.errors import UserError
from mrlbench.images import ImageFiles
from mrlbench.tar_shards import expand, find_shards

PER_SHARD = 40


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    """Digits in three shards, and the same images as files; returns pixels' paths and labels."""
    bunch = load_digits()
    (tmp_path / "files").mkdir()
    for number in range(3):
        with tarfile.open(tmp_path / f"digits-{number:03d}.tar", "w") as tar:
            for row in range(number * PER_SHARD, (number + 1) * PER_SHARD):
                path = tmp_path / "files" / f"{row:05d}.png"
                pixels = np.rint(bunch.images[row] * (255 / 16)).astype(np.uint8)
                Image.fromarray(pixels).resize((20, 20)).save(path)
                add(tar, f"some/{row:05d}.cls", str(bunch.target[row]).encode())
                add(tar, f"some/{row:05d}.png", path.read_bytes())
                add(tar, f"some/{row:05d}.json", b"{}")  # what else stands there is not looked at
    return sorted((tmp_path / "files").iterdir()), bunch.target[: 3 * PER_SHARD]


@pytest.fixture
def address(tmp_path):
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    handler.func.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


TRAIN, QUERIES = "digits-{000..001}.tar", "digits-002.tar"


def test_images_and_labels_are_those_of_the_files(shards, tmp_path):
    paths, labels = shards
    dataset = webdataset(tmp_path, TRAIN, QUERIES, size=16)
    np.testing.assert_array_equal(dataset.train.labels, labels[: 2 * PER_SHARD])
    np.testing.assert_array_equal(dataset.queries.labels, labels[2 * PER_SHARD :])
    files, rows = ImageFiles(paths, 16), np.array([41, 3, 79, 0])
    np.testing.assert_array_equal(dataset.train.images.read(rows), files.read(rows))
    random = partial(np.random.default_rng, 0)
    augmented = dataset.train.images.read(rows, random())
    np.testing.assert_array_equal(augmented, files.read(rows, random()))


def test_an_address_gives_what_the_disk_gives_and_is_asked_once(shards, tmp_path, address):
    here = webdataset(tmp_path, TRAIN, QUERIES, size=16)
    cache = tmp_path / "cache"
    there = [webdataset(cache, f"{address}/{TRAIN}", f"{address}/{QUERIES}", size=16)]
    (tmp_path / "digits-000.tar").unlink()  # it is in the cache
    there.append(webdataset(cache, f"{address}/{TRAIN}", f"{address}/{QUERIES}", size=16))
    for each in there:
        assert each.fingerprint == here.fingerprint
        np.testing.assert_array_equal(each.train.labels, here.train.labels)
        rows = np.arange(PER_SHARD, 2 * PER_SHARD)
        np.testing.assert_array_equal(each.train.images.read(rows), here.train.images.read(rows))


def test_a_shard_that_is_not_there_leaves_nothing(shards, tmp_path, address):
    cache = tmp_path / "cache"
    with pytest.raises(UserError, match=r"expected a shard at http.*003.tar: HTTP Error 404"):
        webdataset(cache, f"{address}/digits-{{002..003}}.tar", QUERIES)
    found = [path.name for path in cache.rglob("*") if path.is_file()]
    assert found == ["digits-002.tar"]
    with pytest.raises(UserError, match=r"expected shards digits-\{002..003\}.tar in .*003.tar"):
        webdataset(tmp_path, "digits-{002..003}.tar", QUERIES)
    with pytest.raises(UserError, match="got no file"):
        webdataset(tmp_path, "nothing-*.tar", QUERIES)


def test_damaged_shards_are_refused_by_name(shards, tmp_path):
    content = (tmp_path / "digits-002.tar").read_bytes()
    with tarfile.open(tmp_path / "digits-002.tar") as tar:
        after = tar.getmembers()[3].offset  # the first sample has three files
    for size, why in (
        (after, "cut off"),
        (after + 100, "cut off"),
        (after + 520, "unexpected end"),
    ):
        (tmp_path / "cut.tar").write_bytes(content[:size])
        with pytest.raises(UserError, match=f"whole, uncompressed tar file in .*cut.tar: .*{why}"):
            webdataset(tmp_path, TRAIN, "cut.tar")
    flipped = bytearray(content)
    flipped[after] ^= 1  # of a header: tarfile would take it for the end
    (tmp_path / "cut.tar").write_bytes(flipped)
    with pytest.raises(UserError, match="cut.tar: it was cut off or is damaged"):
        webdataset(tmp_path, TRAIN, "cut.tar")
    assert find_shards(str(tmp_path / "digits-*.tar"), tmp_path / "elsewhere")
    with pytest.raises(UserError, match="the first is larger"):
        find_shards("http://127.0.0.1/t-{9..3}.tar", tmp_path)
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        add(tar, "a.png", b"")
    with pytest.raises(UserError, match="whole, uncompressed tar file in .*packed.tar"):
        webdataset(tmp_path, TRAIN, "packed.tar")
    for files, got in (
        ({"a.png": b"x"}, "got png"),
        ({"a.png": b"x", "a.cls": b"cat"}, "got cls, png with 'cat'"),
        ({"a.cls": b"3"}, "got cls with '3'"),
    ):
        with tarfile.open(tmp_path / "bad.tar", "w") as tar:
            for name, each in files.items():
                add(tar, name, each)
        with pytest.raises(UserError, match=f"bad.tar: expected one image and a class.*{got}"):
            webdataset(tmp_path, TRAIN, "bad.tar")


def test_an_image_that_does_not_decode_is_named_by_its_shard(shards, tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        add(tar, "a.png", b"no image")
        add(tar, "a.cls", b"0")
    dataset = webdataset(tmp_path, TRAIN, "odd.tar", size=16)
    with pytest.raises(UserError, match=r"unreadable file: .*odd.tar/byte 512"):
        dataset.queries.images.read(np.arange(1))


def test_patterns_are_spelled_out():
    assert expand("a.tar") == ["a.tar"]
    assert expand("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expand("{0..1}/{5..6}") == ["0/5", "0/6", "1/5", "1/6"]


@pytest.mark.slow
def test_a_model_is_trained_and_its_vectors_are_written(shards, tmp_path, mrlbench):
    run = tmp_path / "run"
    settings = [
        *("dataset.name=webdataset", f"dataset.train={TRAIN}", f"dataset.queries={QUERIES}"),
        *("dataset.size=16", "training.methods=['mrl']", "training.epochs=1"),
        *("training.dims=[4, 512]", "search.dims=[4, 512]", "evaluation.k=[1]"),
    ]
    overrides = [f"--set={each}" for each in settings]
    status, _, err = mrlbench("train", "digits", "--run", run, "--data-dir", tmp_path, *overrides)
    assert status == 0, err
    status, _, err = mrlbench("embed", run, "--data-dir", tmp_path)
    assert status == 0, err
    vectors = np.load(run / "embeddings" / "mrl" / "seed-0" / "database.npy")
    assert vectors.shape == (2 * PER_SHARD, 512)
