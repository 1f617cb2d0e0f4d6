"""Every shipped experiment that needs much, run small: its own file, less data, fewer epochs."""

import pickle

import numpy as np
import pytest
from conftest import WORDS

from mrlbench import measurements
from mrlbench.datasets.masked_text import masked_text


@pytest.fixture
def reproduced(mrlbench, tmp_path):
    """Run a shipped experiment with overrides; returns a reader of its measurements."""

    def run(name, *overrides):
        settings = [f"--set={each}" for each in overrides]
        folders = ("--run", tmp_path / name, "--data-dir", tmp_path)
        status, _, err = mrlbench("reproduce", name, *folders, *settings, "--threads=1", "-q")
        assert status == 0, err
        return lambda csv: measurements.read(tmp_path / name / f"{csv}.csv")

    return run


@pytest.fixture
def text(tmp_path):
    """A text in which a word says which comes next, and a tokenizer's folder."""
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 2, (400, 12)).cumsum(axis=1) + rng.integers(0, 40, (400, 1))
    lines = [" ".join(WORDS[step % len(WORDS)] for step in line) for line in steps]
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "all.txt").write_text("\n".join(lines))
    classes = masked_text(tmp_path, path="text", vocabulary=150, length=16).classes
    (source,) = (tmp_path / "masked-text").glob("*/tokenizer.json")
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_bytes(source.read_bytes())
    return len(classes)


@pytest.mark.slow
def test_bert_of_the_papers_width_on_a_small_text(reproduced, text):
    read = reproduced(
        "bert-mlm",
        *("dataset.length=16", "dataset.valid=0.3", "dataset.evaluated=40", "model.layers=1"),
        *(f"model.vocabulary={text}", "model.length=16", "training.epochs=1"),
        *("training.batch_size=16", "training.methods=['mrl', 'fixed-12']"),
    )
    table = read("classification").query("metric == 'top1' and variant.isna()")
    assert sorted(table[table["method"] == "mrl"]["dim"]) == [12, 24, 48, 96, 192, 384, 768]
    assert (table["n"] == 80).all()  # two of the fourteen tokens of each block


def test_the_language_reference_of_python(reproduced):
    read = reproduced(
        "python-mlm",
        *("dataset.evaluated=30", "training.epochs=1", "training.methods=['mrl', 'fixed-12']"),
    )
    table = read("classification").query("metric == 'top1' and method == 'mrl'")
    assert set(table["dim"]) == {12, 24, 48, 96}


@pytest.mark.slow
def test_cifar100_in_its_own_files(reproduced, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, count in (("train", 200), ("test", 100)):
        labels = np.arange(count) % 100
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        content = {"data": pixels, "fine_labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(content))
    names = {"fine_label_names": [f"kind {number}" for number in range(100)]}
    (folder / "meta").write_bytes(pickle.dumps(names))
    # only the real files have the checksums that torchvision knows
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    read = reproduced(
        "cifar100",
        *("model.blocks=[1, 1, 1, 1]", "model.width_per_group=4", "training.epochs=1"),
        *("training.batch_size=50", "training.methods=['mrl', 'fixed-8']", "search.queries=20"),
        *("evaluation.shortlist=20", "search.dims=[8, 2048]", "evaluation.k=[2]"),
        "evaluation.steps=['eval-classification', 'eval-knn', 'eval-retrieval']",
    )
    knn = read("knn").query("method == 'mrl' and metric == 'top1' and reducer == 'prefix'")
    assert {8, 16, 32, 64, 128, 256, 512, 1024, 2048} <= set(knn["dim"])
    assert set(knn["n_database"]) == {200}


SMALL_IMAGES = ("dataset.name=digits", "model.width_per_group=4", "evaluation.k=[5]")


def test_the_slimmable_network(reproduced):
    read = reproduced("slimmable", *SMALL_IMAGES, "training.dims=[64, 2048]")
    table = read("retrieval").query("method == 'slimmable' and metric == 'map@5'")
    assert set(table["dim"]) == {64, 2048}


@pytest.mark.slow
def test_the_stages_of_fine_tuning(reproduced):
    read = reproduced("finetune", *SMALL_IMAGES)
    table = read("classification").query("metric == 'top1' and dim == 2048")
    stages = {"finetune=fc", "finetune=conv3", "finetune=conv2", "finetune=block"}
    assert stages <= set(table["variant"].dropna())


FEW = ("training.pairs.rows=200", "training.pairs.queries=60", "dataset.rows=200")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wordnet", "wordnet-static"])
def test_text_models_on_a_little_of_wordnet(reproduced, name):
    read = reproduced(
        name,
        *(*FEW, "dataset.queries=40", "training.batch_size=16", "evaluation.encoders=['untuned']"),
        *("evaluation.k=[10]", "evaluation.shortlist=50"),
    )
    table = read("retrieval").query("metric == 'map@10' and reducer == 'prefix'")
    assert {"mrl", "fixed-384", "untuned"} <= set(table["method"])
    # forty lemmas ask for their glosses among 200: guessing finds one in twenty among ten
    assert (table.query("dim == 384")["value"] > 0.2).all()


@pytest.mark.slow
def test_premises_and_hypotheses(reproduced, tmp_path):
    lines = ["premise,hypothesis,label"]
    things = ("cat", "dog", "horse", "train", "house", "boat", "tree", "child")
    places = ("hill", "beach", "road", "roof", "field", "bridge")
    for thing in things:
        for place in places:
            lines.append(f"a {thing} is on the {place},the {place} has a {thing} on it,entailment")
            lines.append(f"a {thing} is on the {place},there is nothing at all,contradiction")
    (tmp_path / "nli").mkdir()
    for part, some in (("train", lines), ("test", [lines[0], *lines[1::4]])):
        (tmp_path / "nli" / f"{part}.csv").write_text("\n".join(some))
    read = reproduced(
        "nli-sentence-transformer",
        *(f"training.pairs.path={tmp_path}/nli/train.csv", f"dataset.path={tmp_path}/nli/test.csv"),
        *("training.batch_size=16", "evaluation.encoders=['untuned']", "evaluation.k=[1]"),
        "evaluation.shortlist=10",
    )
    table = read("retrieval").query("metric == 'map@1' and reducer == 'prefix'")
    assert {"mrl", "mrl-2d", "fixed-384", "untuned"} <= set(table["method"])
    assert (table.query("dim == 384")["value"] > 0.5).all()
