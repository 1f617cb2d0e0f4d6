"""Released arrays: vectors come through as they were, labels as whole numbers or not at all."""

import json

import numpy as np
import pytest

from mrlbench import measurements
from mrlbench.authors.arrays import find_arrays, write_embeddings
from mrlbench.authors.labels import most_classes, surviving
from mrlbench.embedding.folder import open_embeddings
from mrlbench.errors import UserError

CLASSES = 4202  # of ImageNet-4K
WIDTH = 16


def wnid(label):
    return f"n{1000000 + 7 * label:08d}"


def save(folder, name, labels, width=WIDTH, dtype=np.float16):
    """Write vectors and labels as the authors' program does; returns the vectors."""
    folder.mkdir(exist_ok=True)
    vectors = np.random.default_rng(len(labels)).random((len(labels), width), dtype=np.float32)
    np.save(folder / f"{name}-X.npy", vectors)
    np.save(folder / f"{name}-y.npy", np.asarray(labels, dtype=dtype).reshape(-1, 1))
    return vectors


@pytest.fixture
def refused(mrlbench):
    def run(*arguments):
        status, out, err = mrlbench("import-arrays", *arguments)
        assert status == 2, err
        assert out == ""
        (line,) = err.strip().splitlines()
        return line

    return run


@pytest.fixture
def released(tmp_path):
    """ImageNet-4K in miniature: one row of each class in the database, some as queries."""
    folder = tmp_path / "released"
    queries = np.arange(0, CLASSES, 40)[::-1]
    order = np.random.default_rng(0).permutation(CLASSES)
    vectors = save(folder, "4K_train_mrl1_e0_ff2048", order), queries
    save(folder, "4K_val_mrl1_e0_ff2048", queries)
    lists = []
    for part, labels in (("train", order), ("val", queries)):
        lists.append(tmp_path / f"{part}.txt")
        lines = [f"imagenet-4k/{part}/{wnid(n)}/{wnid(n)}_{i}.JPEG\n" for i, n in enumerate(labels)]
        lists[-1].write_text("".join(lines))
    for part in ("train", "val"):  # the vectors' true width stands in the name
        for what in "Xy":
            old = folder / f"4K_{part}_mrl1_e0_ff2048-{what}.npy"
            old.rename(folder / f"4K_{part}_mrl1_e0_ff16-{what}.npy")
    return folder, lists, order, queries, vectors[0]


def test_float16_tells_3099_of_4202_classes_apart():
    assert surviving(CLASSES) == 3099
    assert surviving(2049) == 2049
    assert surviving(2050) == 2049  # 2049 becomes 2048
    assert most_classes(4200) == 4203  # 4,202 is half way to 4,204 and becomes 4,200 too
    assert most_classes(2048) == 2050


def test_collapsed_labels_are_refused_with_how_many_are_lost(refused, released, tmp_path):
    folder, *_ = released
    line = refused(folder, "--as", "4K", "--out", tmp_path / "out")
    assert "4K_train_mrl1_e0_ff16-y.npy: float16 labels do not tell integers above 2,048" in line
    assert "up to 4,203 classes (the largest label is 4,200) became 3,099, 1,104 are lost" in line
    assert "expected --labels-from DATABASE_LIST QUERIES_LIST" in line
    assert not (tmp_path / "out").exists()


def test_image_lists_repair_collapsed_labels(mrlbench, released, tmp_path, caplog):
    folder, lists, order, queries, vectors = released
    out = tmp_path / "out"
    status, _, err = mrlbench(
        "import-arrays", folder, "--as", "4K", "--labels-from", *lists, "--out", out
    )
    assert status == 0, err
    warning = "4,202 classes (the largest label is 4,200) became 3,099, 1,103 are lost; repaired"
    assert sum(warning in message for message in caplog.messages) == 2
    embeddings = open_embeddings(out)
    np.testing.assert_array_equal(embeddings.database, vectors)
    np.testing.assert_array_equal(embeddings.relevance.database, order)
    np.testing.assert_array_equal(embeddings.relevance.queries, queries)
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["model"], meta["trained_dims"], meta["query_set"]) == (
        *("mrl", [8, 16]),
        "imagenet-4k",
    )
    assert meta["imported_from"]["queries_labels"] == "4K_val_mrl1_e0_ff16-y.npy"
    status, _, err = mrlbench("eval-knn", "--embeddings", out, "--out", tmp_path / "knn", "-q")
    assert status == 0, err
    table = measurements.read(tmp_path / "knn" / "knn.csv")
    assert set(table["dim"]) == {8, 16}
    assert (table["queries"] == "imagenet-4k").all()


def test_lists_with_labels_repair_too(released, tmp_path):
    folder, _, order, queries, _ = released
    lists = tmp_path / "a.txt", tmp_path / "b.txt"
    for path, labels in zip(lists, (order, queries), strict=True):
        path.write_text("".join(f"some where/{i}.JPEG\t{n}\n" for i, n in enumerate(labels)))
    write_embeddings(find_arrays(folder, "4K"), lists, tmp_path / "out")
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "database_labels.npy"), order)
    assert np.load(tmp_path / "out" / "queries_labels.npy").dtype == np.int64


def test_lists_that_disagree_with_the_labels(refused, released, tmp_path):
    folder, lists, order, _, _ = released
    lines = lists[0].read_text().splitlines(keepends=True)
    far = int(np.argmax(order == 100)), int(np.argmax(order == 3000))
    lines[far[0]], lines[far[1]] = lines[far[1]], lines[far[0]]
    lists[0].write_text("".join(lines))
    command = (folder, "--as", "4K", "--labels-from", *lists, "--out", tmp_path / "out")
    line = refused(*command)
    first = min(far)
    expected, got = (100, 3000) if first == far[0] else (3000, 100)
    assert "2 of 4,202 labels disagree with" in line
    assert f"in row {first} expected one that rounds to {expected}, got {got}" in line
    lists[0].write_text("".join(lines[:-1]))
    assert "expected 4202 images, one for each label in" in refused(*command)
    lists[0].write_text("image.JPEG\n")
    assert "line 1: expected `…/<class>/<name>`, got 'image.JPEG'" in refused(*command)
    lists[0].write_text("a.JPEG 1\nb.JPEG\n")
    assert "line 2: expected `path label`, got 'b.JPEG'" in refused(*command)
    lists[0].write_text("\n")
    assert "got an empty file" in refused(*command)
    lists[0].write_bytes(b"\xff\xfe\x00")
    assert "expected a text file" in refused(*command)
    lists[0].unlink()
    assert "expected an image list in" in refused(*command)


def test_labels_of_1000_classes_need_no_repair_and_v2_is_asked_of_1k(mrlbench, tmp_path):
    folder, labels = tmp_path / "released", np.arange(1000)
    database = save(folder, "1K_train_mrl0_e0_ff8", np.r_[labels, labels])
    save(folder, "1K_val_mrl0_e0_ff8", labels)
    save(folder, "V2_val_mrl0_e0_ff8", labels[::-1])
    save(folder, "V2_val_mrl0_e1_ff2048", labels)
    out = tmp_path / "out"
    command = ("import-arrays", folder, "--as", "V2", "--out", out)
    status, _, err = mrlbench(*command)
    assert status == 2
    assert "--model: expected one of mrl0_e0_ff8, mrl0_e1_ff2048, got none" in err
    status, _, err = mrlbench(*command, "--model", "mrl0_e0_ff8")
    assert status == 0, err
    np.testing.assert_array_equal(np.load(out / "database.npy"), database)
    np.testing.assert_array_equal(np.load(out / "queries_labels.npy"), labels[::-1])
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["model"], meta["trained_dims"]) == ("fixed-8", [8])  # the first 8 of 16
    assert meta["query_set"] == "imagenet-v2"
    status, _, err = mrlbench(*command, "--model", "mrl0_e0_ff8")
    assert "--out: expected a new or empty folder, got" in err
    numbers = tmp_path / "v2.txt"
    numbers.write_text("".join(f"v2/{n}/x.jpeg\n" for n in labels[::-1]))  # folders 0, 1, … 999
    words = tmp_path / "1k.txt"
    words.write_text("".join(f"train/{wnid(n)}/x.JPEG\n" for n in (*labels, *labels)))
    arrays = find_arrays(folder, "V2", "mrl0_e0_ff8")
    write_embeddings(arrays, (words, numbers), tmp_path / "again")
    again = np.load(tmp_path / "again" / "queries_labels.npy")
    np.testing.assert_array_equal(again, labels[::-1])


def test_files_by_path(mrlbench, refused, tmp_path):
    vectors = save(tmp_path, "mine", [0, 1, 2], dtype=np.int32)
    pair = (tmp_path / "mine-X.npy", tmp_path / "mine-y.npy")
    given = ("--database", *pair, "--queries", *pair)
    status, _, err = mrlbench("import-arrays", *given, "--out", tmp_path / "out")
    assert status == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "queries.npy"), vectors)
    assert "trained_dims" not in json.loads((tmp_path / "out" / "meta.json").read_text())
    either = "expected either DIR --as 1K|V2|4K, or --database X.npy Y.npy --queries X.npy Y.npy"
    other = tmp_path / "other"
    assert either in refused(*given, "--as", "1K", "--out", other)
    assert either in refused("--database", *pair, "--out", other)
    assert either in refused(tmp_path, "--out", other)


def test_folders_without_the_files(refused, tmp_path):
    out = ("--out", tmp_path / "out")
    assert "expected a folder of arrays, got nothing" in refused(tmp_path / "x", "--as", "1K", *out)
    assert "--as: expected one of 1K, V2, 4K, got '2K'" in refused(tmp_path, "--as", "2K", *out)
    assert "expected 1K_val_mrl<0|1>_e<0|1>_ff<d>-X.npy" in refused(tmp_path, "--as", "1K", *out)
    save(tmp_path, "1K_val_mrl1_e0_ff16", [1])
    line = refused(tmp_path, "--as", "1K", *out)
    assert "1K_train_mrl1_e0_ff16-X.npy, got no such file" in line
    save(tmp_path, "1K_train_mrl1_e0_ff16", [1], width=8)
    line = refused(tmp_path, "--as", "1K", *out)
    assert "expected database and queries of the same width, got 8 in" in line
    save(tmp_path, "1K_val_mrl1_e0_ff16", [1], width=8)
    line = refused(tmp_path, "--as", "1K", *out)
    assert "expected 16 columns, as its name says, got 8" in line


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1.5], np.float16), "whole numbers from 0 as labels, got 1.5 in row 1"),
        (np.array([-1, 1], np.float16), "whole numbers from 0 as labels, got -1.0 in row 0"),
        (np.array([1, np.inf], np.float16), "whole numbers from 0 as labels, got inf in row 1"),
        (
            np.array([[1, 2]], np.float16),
            "expected 2 labels, one for each vector, got shape (1, 2)",
        ),
        (np.array(["a", "b"]), "expected numbers as labels, got <U1"),
        (np.array([1, 2**24], np.float32), "does not tell integers above 2**24 apart"),
    ],
)
def test_labels_that_are_none(refused, tmp_path, labels, message):
    save(tmp_path, "mine", [0, 1])
    np.save(tmp_path / "mine-y.npy", labels)
    pair = (tmp_path / "mine-X.npy", tmp_path / "mine-y.npy")
    line = refused("--database", *pair, "--queries", *pair, "--out", tmp_path / "out")
    assert message in line


def test_files_that_are_cut_off_or_hold_no_directions(refused, tmp_path):
    vectors = save(tmp_path, "mine", np.arange(50))
    x, y = pair = (tmp_path / "mine-X.npy", tmp_path / "mine-y.npy")
    command = ("--database", *pair, "--queries", *pair, "--out", tmp_path / "out")
    whole, labels = x.read_bytes(), y.read_bytes()
    x.write_bytes(whole[:-100])
    assert "mine-X.npy" in refused(*command)
    x.write_bytes(whole)
    y.write_bytes(labels[:-10])
    assert "expected a .npy file in" in refused(*command)
    y.unlink()
    assert "expected labels in" in refused(*command)
    y.write_bytes(labels)
    vectors[7] = np.nan
    np.save(x, vectors)
    assert "expected finite vectors that are not zero, got NaN in row 7" in refused(*command)
    assert not (tmp_path / "out").exists()


def test_an_archive_is_no_labels(tmp_path):
    save(tmp_path, "1K_val_mrl1_e0_ff16", [0])
    save(tmp_path, "1K_train_mrl1_e0_ff16", [0])
    with (tmp_path / "1K_train_mrl1_e0_ff16-y.npy").open("wb") as file:
        np.savez(file, a=np.zeros(1))
    with pytest.raises(UserError, match="expected one array"):
        write_embeddings(find_arrays(tmp_path, "1K"), None, tmp_path / "out")
