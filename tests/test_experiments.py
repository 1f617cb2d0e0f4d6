"""Every shipped experiment: its opening comment, its plan, and the paper's recipe."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import WORDS, write_folder
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn

from mrlbench import experiment_file
from mrlbench.costs.memory import activation_bytes, largest_features
from mrlbench.estimates import published_sizes
from mrlbench.text_experiment import TextExperiment
from mrlbench.training.loop import Training
from mrlbench.training.schedule import image_size

ALL = sorted((Path(__file__).parents[1] / "experiments").glob("*.toml"))
PAPER = ["imagenet1k-resnet50", "imagenet4k", "imagenet-v2"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_experiment_opens_with_its_command_and_what_to_expect(path):
    comment = "".join(re.findall(r"\A(?:#.*\n)+", path.read_text()))
    command = "" if path.stem == "fashion-mnist" else f" {path.stem}"  # it is the default
    assert re.search(rf"mrlbench reproduce{command}\b", comment)
    assert "Expected" in comment
    time = r"(\d+|half an|an|a) (minute|second|hour)s?|under a minute|--dry-run` says how long"
    assert re.search(time, comment.replace("\n# ", " "), re.IGNORECASE)


def write_inputs(folder):
    """What a user brings to the experiments on vectors, texts and pairs of their own."""
    write_folder(folder / "photos", n=300, width=1280)
    write_folder(folder / "results/tiny-imagenet/embeddings/fixed-2048/seed-0", n=300, width=2048)
    (folder / "nli").mkdir()
    for part in ("train", "test"):
        lines = [
            f"{part} {n} {word},some {word} {n} {part},entailment"
            for n in range(3)
            for word in WORDS
        ]
        (folder / "nli" / f"{part}.csv").write_text("\n".join(["premise,hypothesis,label", *lines]))
    (folder / "text").mkdir()
    (folder / "text" / "all.txt").write_text("\n".join([" ".join(WORDS)] * 9000))
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(WORDS, trainers.WordPieceTrainer(special_tokens=special))
    (folder / "tokenizer").mkdir()
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))


@pytest.mark.parametrize(
    "name", ["photos-head", "frozen-head", "nli-sentence-transformer", "bert-mlm"]
)
def test_an_experiment_on_what_the_user_brings_has_a_plan(name, mrlbench, tmp_path, monkeypatch):
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ("reproduce", name, "--dry-run", "--run", "run", "--data-dir", tmp_path)
    status, out, err = mrlbench(*command, "--threads=1")
    assert status == 0, err
    assert out.splitlines()[-1].startswith("in all, about")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_experiment_has_a_plan_without_its_data_and_without_a_network(
    path, mrlbench, tmp_path, monkeypatch
):
    def no_network(*_, **__):
        raise AssertionError("a plan downloads nothing")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    folder = tmp_path / "run"
    experiment = experiment_file.read(path)
    command = ("reproduce", path, "--dry-run", "--run", folder, "--data-dir", tmp_path)
    monkeypatch.chdir(tmp_path)
    status, out, err = mrlbench(*command, "--threads=1")
    if status == 2:  # the user's own vectors or text, which are not there and have no known size
        assert published_sizes(experiment.dataset) is None
        (line,) = err.splitlines()
        assert experiment.dataset.name in line
        assert "expected" in line
        assert out == ""
        return
    assert status == 0, err
    heading, *stages, total = out.splitlines()
    assert heading.split() == ["stage", "estimated", "memory", "disk"]
    assert total.startswith("in all, about")
    names = [line.split()[0] for line in stages]
    assert {"embed", "plot"} <= set(names)
    assert ("claims" in names) == (not isinstance(experiment, TextExperiment))
    steps = experiment.evaluation.steps or ["eval-retrieval"]
    assert {step.split()[0] for step in steps} <= set(names)
    pairs = len(experiment.trainings)
    assert names.count("embed") == pairs
    assert names.count("train") == (0 if experiment.training.models else pairs)
    assert not folder.exists()


def test_data_that_are_not_there_and_whose_size_is_not_known_give_one_line(mrlbench, tmp_path):
    status, out, err = mrlbench(
        *("reproduce", "digits", "--dry-run", "--set=dataset.name=image-folder"),
        *("--data-dir", tmp_path, "--run", tmp_path / "run"),
    )
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert "expected a folder of images by class, got nothing at" in line


def test_a_plan_refuses_more_neighbours_than_the_published_database_has(mrlbench, tmp_path):
    status, _, err = mrlbench(
        *("reproduce", "imagenet1k-resnet50", "--dry-run", "--run", tmp_path / "run"),
        "--set=evaluation.shortlist=2000000",
    )
    assert status == 2
    assert "k: expected 1 to 1281167, the rows of the database, got 2000000" in err


def test_the_side_of_the_images_is_that_of_the_experiment():
    sizes = published_sizes(experiment_file.read("tiny-imagenet").dataset)
    assert (sizes.database, sizes.queries, sizes.classes) == (100_000, 10_000, 200)
    assert sizes.shape == (3, 48, 48)
    assert published_sizes(experiment_file.read("imagenet4k").dataset).shape == (3, 224, 224)


def test_the_models_of_the_other_run_are_described_alike():
    first, *others = [experiment_file.read(name) for name in PAPER]
    same = set(Training.model_fields) - {"methods", "models"}
    for other in others:
        assert other.model == first.model
        assert set(other.training.methods) <= set(first.training.methods)
        assert other.training.model_dump(include=same) == first.training.model_dump(include=same)


@pytest.mark.parametrize("name", ["ablations", "finetune", "slimmable"])
def test_the_other_trainings_on_imagenet_follow_the_same_recipe(name):
    own, first = (experiment_file.read(f"imagenet1k-{each}") for each in (name, "resnet50"))
    same = set(Training.model_fields) - {"methods", "variants"}
    assert own.training.model_dump(include=same) == first.training.model_dump(include=same)
    assert own.dataset == first.dataset
    assert (own.model == first.model) == (name != "slimmable")  # which has no BlurPool


def test_the_images_of_the_recipe_grow_as_the_papers():
    """From 160 at epoch 29 to 192 at epoch 34, epochs from 0, to the nearest multiple of 32."""
    sizes = experiment_file.read("imagenet1k-resnet50").training.image_sizes
    ramp = np.interp(np.arange(40), [29, 34], [160, 192])
    expected = (np.round(ramp / 32) * 32).astype(int).tolist()
    assert [image_size(epoch, sizes) for epoch in range(40)] == expected
    assert set(expected) == {160, 192}


def test_what_a_step_keeps_for_the_gradient():
    with torch.device("meta"):
        module = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 7))
    # the pixels for the first layer's weight, the second layer's input: 12 + 5 floats
    assert activation_bytes(module, (3, 2, 2)) == 4 * (12 + 5)
    assert largest_features(module, (3, 2, 2)) == 4 * 12
