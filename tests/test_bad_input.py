"""Bad input: one line that says what was expected and what came, exit status 2, no traceback."""

import json

import numpy as np
import pytest
from PIL import Image

from mrlbench.datasets.fashion_mnist import CHECKSUMS


@pytest.fixture
def refused(mrlbench):
    """Run a command that must be refused; returns its one line."""

    def run(*arguments):
        status, out, err = mrlbench(*arguments)
        assert status == 2, err
        assert out == ""
        lines = err.strip().splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("mrlbench: error: ")
        return lines[0]

    return run


@pytest.fixture
def measure(refused, folder, tmp_path):
    """Measure the embeddings folder with a command that must be refused."""

    def run(*arguments, command="eval-retrieval"):
        return refused(command, "--embeddings", folder, "--out", tmp_path / "out", *arguments)

    return run


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "training.epoch: unknown key; expected one of methods, dims"),
        ("trainin.epochs=3", "trainin: unknown key; expected one of seeds, seeds_of, dataset"),
        ("training.epochs=many", "training.epochs: Input should be a valid integer, got 'many'"),
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1, got 0"),
        ("training.dims=[8, 16, 1024]", "training.dims: expected dims from 1 to 512, got 1024"),
        ("training.dims=[8, 16, 16]", "training.dims: expected increasing dims, got 16 before 16"),
        ("training.dims=[0, 16]", "training.dims: expected dims from 1 to 512, got 0"),
        ("training.weights=[1.0]", "training.weights: expected 8 values"),
        (
            "training.methods=['mrl-x']",
            "no method 'mrl-x': expected one of contrastive, fixed-<d>, mrl, mrl-e",
        ),
        (
            "training.methods=['fixed-999']",
            "method fixed-999: expected dims from 1 to 512, got 999",
        ),
        ("training.methods=['fixed']", "methods fixed: dim: Field required"),
        ("evaluation.dims=[8, 700]", "evaluation.dims: expected dims from 1 to 512, got 700"),
        (
            "evaluation.baselines=['pcaa']",
            "no 'pcaa' among reducers: expected one of last-dims, pca",
        ),
        ("dataset.name=imagenot", "no 'imagenot' among datasets: expected one of cifar10"),
        ("dataset.size=3", "datasets digits: size: Extra inputs are not permitted"),
        ("model.depth=19", "models resnet: depth: Input should be 18, 34, 50 or 101, got 19"),
        ("search.indexes.0.m=16", "indexes exact: m: Extra inputs"),
        ("search.indexes.9.m=16", "--set search.indexes.9.m: expected a key"),
        ("training.epochs", "--set: expected key=value"),
        ("evaluation.k=[]", "evaluation.k: List should have at least 1 item"),
        ("evaluation.k=[0, 10]", "evaluation.k.0: Input should be greater than or equal to 1"),
        ("evaluation.k=[10, 5000]", "k: expected 1 to 1437, the rows of the database, got 5000"),
        ("evaluation.shortlist=2000", "k: expected 1 to 1437, the rows of the database, got 2000"),
        ("seeds=[-1]", "seeds.0: Input should be greater than or equal to 0, got -1"),
        (
            "evaluation.funnels=[{shortlist_dim=8, rerank_dims=[16, 9], lengths=[50, 10]}]",
            "funnel: expected increasing dims, got [8, 16, 9]",
        ),
    ],
)
def test_an_experiment_that_cannot_be(refused, tmp_path, override, message):
    assert message in refused("reproduce", "digits", "--run", tmp_path / "run", "--set", override)
    assert not (tmp_path / "run" / "models").exists()


def test_no_such_experiment(refused):
    line = refused("train", "nothing")
    assert "expected a TOML file or one of" in line
    assert "digits" in line
    assert "fashion-mnist" in line


def test_not_toml(refused, tmp_path):
    (tmp_path / "mine.toml").write_text("seeds = [0\n")
    assert "expected TOML" in refused("train", tmp_path / "mine.toml")


def test_a_dim_that_the_vectors_do_not_have(measure):
    assert "--dims: expected dims from 1 to 16, got 32" in measure("--dims", "8,32")


def test_dims_that_do_not_increase(measure):
    assert "--dims: expected increasing dims, got 8 before 4" in measure("--dims", "8,4")
    assert "--dims: expected whole numbers such as 16,64, got '8,x'" in measure("--dims", "8,x")


def test_more_neighbours_than_rows(measure):
    assert "k: expected 1 to 60, the rows of the database, got 100" in measure("--k", "10,100")
    assert "--k: expected numbers from 1, got 0" in measure("--k", "0,10")
    long = measure("--shortlist", "61", command="eval-adaptive-retrieval")
    assert "k: expected 1 to 60, the rows of the database, got 61" in long


def test_labels_of_one_side_only(measure, folder):
    (folder / "queries_labels.npy").unlink()
    assert "queries_labels.npy too, got only the other file" in measure()


def test_no_labels_at_all(measure, folder):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    assert "needs database_labels.npy and queries_labels.npy" in measure(command="eval-knn")


def test_labels_of_the_wrong_length(measure, folder):
    np.save(folder / "database_labels.npy", np.zeros(59, dtype=np.int64))
    assert "database_labels.npy: expected 60 labels, got shape (59,)" in measure()


def test_float16_labels(measure, folder):
    np.save(folder / "queries_labels.npy", np.zeros(20, dtype=np.float16))
    assert "expected integer labels, got float16" in measure()


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "NaN"), (np.inf, "an infinite value"), (0, "only zeros")]
)
@pytest.mark.parametrize("name", ["database", "queries"])
def test_vectors_without_a_direction(measure, folder, name, value, what):
    vectors = np.load(folder / f"{name}.npy")
    vectors[7] = value
    np.save(folder / f"{name}.npy", vectors)
    line = measure()
    assert f"{name}.npy: expected finite vectors that are not zero, got {what} in row 7" in line


def test_database_and_queries_of_different_width(measure, folder):
    np.save(folder / "queries.npy", np.ones((20, 8), dtype=np.float32))
    assert "expected database and queries of the same width, got 16 and 8" in measure()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((20, 16), dtype=np.int32), "got int32 of shape (20, 16)"),
        (np.ones(16, dtype=np.float32), "got float32 of shape (16,)"),
        (np.ones((0, 16), dtype=np.float32), "at least one row and one column, got (0, 16)"),
    ],
)
def test_arrays_that_are_not_vectors(measure, folder, array, message):
    np.save(folder / "database.npy", array)
    assert message in measure()


def test_files_that_are_not_arrays(measure, folder):
    (folder / "database.npy").write_bytes(b"")
    assert "expected a .npy file" in measure()
    (folder / "database.npy").write_text("hello, this is text\n")
    assert "expected a .npy file" in measure()
    (folder / "database.npy").unlink()
    assert "expected vectors in" in measure()


def test_no_such_folder(refused, tmp_path):
    line = refused("eval-knn", "--embeddings", tmp_path / "no", "--out", tmp_path / "out")
    assert "expected a folder of embeddings, got nothing" in line
    assert "got only one of them" in refused("eval-knn", "--embeddings", tmp_path)


def test_qrels_with_a_bad_line(measure, folder):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    (folder / "qrels.tsv").write_text("q1 0 d1 1\nq1 d2\n")
    assert "qrels.tsv needs" in measure()
    (folder / "database_ids.txt").write_text("".join(f"d{n}\n" for n in range(60)))
    (folder / "queries_ids.txt").write_text("".join(f"q{n}\n" for n in range(20)))
    assert "line 2: expected `query-id 0 doc-id gain`, got 'q1 d2'" in measure()
    (folder / "qrels.tsv").write_text("q1 0 d1 1\nq1 0 d99 1\n")
    assert "line 2: id 'd99' is in no ids file" in measure()
    (folder / "qrels.tsv").write_text("q1 0 d1 inf\n")
    assert "line 1: expected `query-id 0 doc-id gain`" in measure()
    (folder / "qrels.tsv").write_bytes(b"q1 0 d1 1\n\xff\n")
    assert "expected UTF-8" in measure()


def test_logits_missing_or_of_another_form(measure, folder):
    assert "expected logits in" in measure(command="eval-classification")
    labels, logits = np.zeros(20, dtype=np.int64), np.ones((20, 3), dtype=np.float32)

    def refused_as(**arrays):
        np.savez(folder / "logits.npz", **arrays)
        return measure("--dims", "8", command="eval-classification")

    assert "expected arrays named by dim, and labels" in refused_as(labels=labels, big=logits)
    assert "labels from 0 to 2, the columns at dim 8, got 0 to 3" in refused_as(
        labels=np.arange(20) % 4, **{"8": logits}
    )
    assert "expected (20, C) logits at dim 8, got (19, 3)" in refused_as(
        labels=labels, **{"8": logits[1:]}
    )
    wild = logits.copy()
    wild[5, 1] = np.nan
    assert "expected finite logits at dim 8, got others in row 5" in refused_as(
        labels=labels, **{"8": wild}
    )
    assert "no head for dim 8: expected some of 4" in refused_as(labels=labels, **{"4": logits})
    whole = (folder / "logits.npz").read_bytes()
    (folder / "logits.npz").write_bytes(whole[: len(whole) // 2])
    assert "expected an npz file" in measure(command="eval-classification")


def test_a_run_that_is_not_there(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no run under results/" in refused("eval-retrieval")
    assert "expected a run folder with an experiment.toml" in refused("eval-retrieval", tmp_path)
    assert "expected CSV files to plot" in refused("plot", _run_folder(tmp_path))


def test_a_run_that_is_not_trained(refused, tmp_path):
    line = refused("eval-retrieval", _run_folder(tmp_path))
    assert "expected a trained mrl with seed 0" in line
    assert line.endswith("run `mrlbench train`")


def _run_folder(tmp_path):
    from mrlbench import experiment_file, runs

    runs.create(experiment_file.read("digits"), tmp_path / "run")
    return tmp_path / "run"


def test_methods_and_seeds_that_the_experiment_does_not_have(refused, tmp_path):
    run = _run_folder(tmp_path)
    assert "--methods: expected some of mrl, mrl-e" in refused("embed", run, "--methods", "mlr")
    assert "--seed: expected some of 0, got 3" in refused("embed", run, "--seed", "3")


def test_a_checkpoint_that_is_not_one(refused, tmp_path):
    run = _run_folder(tmp_path)
    path = run / "models" / "mrl" / "seed-0" / "checkpoint.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing of the kind")
    assert "expected a checkpoint of mrlbench" in refused("embed", run, "--methods", "mrl")


def test_a_manifest_that_is_cut_off(refused, tmp_path):
    run = _run_folder(tmp_path)
    (run / "manifest.json").write_text(json.dumps({"run": "x"})[:-3])
    assert "expected JSON in" in refused("embed", run)


def test_a_results_folder_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    line = refused("reproduce", "digits", "--run", tmp_path / "results" / "digits")
    assert "expected a folder to write to" in line


def test_a_data_folder_without_images(refused, tmp_path):
    arguments = ("--set=dataset.name=image-folder", "--set=dataset.size=32", "--data-dir", tmp_path)
    command = ("train", "digits", "--run", tmp_path / "run", *arguments)
    assert "expected a folder of images by class, got nothing at" in refused(*command)
    for part in ("train", "val"):
        (tmp_path / part / "cat").mkdir(parents=True)
    assert "no images in" in refused(*command)
    for part in ("train", "val"):
        Image.new("RGB", (40, 40)).save(tmp_path / part / "cat" / "a.png")
    (tmp_path / "val" / "dog").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "val" / "dog" / "a.png")
    assert "expected the same classes" in refused(*command)


def test_an_image_that_cannot_be_read(refused, tmp_path):
    for part in ("train", "val"):
        (tmp_path / part / "cat").mkdir(parents=True)
        (tmp_path / part / "cat" / "a.png").write_bytes(b"not an image")
    line = refused(
        *("train", "digits", "--run", tmp_path / "run", "--data-dir", tmp_path, "-q"),
        *("--set=dataset.name=image-folder", "--set=training.batch_size=2"),
    )
    assert "expected an image, got an unreadable file" in line


def test_a_corrupted_download(refused, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in CHECKSUMS:
        (raw / name).write_bytes(b"half a file")
    command = ("train", "fashion-mnist", "--run", tmp_path / "run", "--data-dir", tmp_path)
    line = refused(*command)
    assert "corrupted file" in line
    assert "expected SHA-256" in line


def test_a_download_that_was_cut_off_is_said_among_the_ways_that_failed(
    refused, tmp_path, monkeypatch
):
    import gzip

    from mrlbench import downloads
    from mrlbench.datasets import fashion_mnist

    def no_network(*_):
        raise OSError("no network")

    monkeypatch.setattr(fashion_mnist, "_download", no_network)
    monkeypatch.setattr(downloads.Published, "_download_debian", no_network)
    monkeypatch.setattr(downloads, "SYSTEM", tmp_path / "none")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in CHECKSUMS:
        packed = gzip.compress(bytes(1000))
        (raw / f"{name}.gz").write_bytes(packed[: len(packed) // 2])
    line = refused("train", "fashion-mnist", "--run", tmp_path / "run", "--data-dir", tmp_path)
    assert "packed files in the data folder: Compressed file ended" in line


def test_options_of_the_other_kind_of_target(measure):
    assert "--methods and --seed: expected with a run" in measure("--methods", "mrl")
    assert "no 'nope' among reducers" in measure("--baselines", "nope")


def test_data_that_cannot_be_had_lists_the_ways_to_get_it(refused, tmp_path, monkeypatch):
    from mrlbench import downloads
    from mrlbench.datasets import fashion_mnist

    def no_network(*_):
        raise OSError("no network")

    monkeypatch.setattr(fashion_mnist, "_download", no_network)
    monkeypatch.setattr(downloads.Published, "_download_debian", no_network)
    monkeypatch.setattr(downloads, "SYSTEM", tmp_path / "none")
    command = ("train", "fashion-mnist", "--run", tmp_path / "run", "--data-dir", tmp_path)
    line = refused(*command)
    for way in ("*-ubyte.gz", "a network for torchvision", "apt-get install dataset-fashion-mnist"):
        assert way in line


def test_a_device_that_is_not_there(refused):
    assert "--device: expected auto, cpu or cuda, got 'tpu'" in refused(
        "train", "digits", "--device", "tpu"
    )


def test_an_unknown_kind_of_plugin(refused):
    assert "expected one of datasets, models" in refused("list", "things")
