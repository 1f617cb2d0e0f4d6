"""The loss, the gradients, the schedule, and a training that is interrupted."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from mrlbench import experiment_file
from mrlbench.errors import UserError
from mrlbench.heads import cross_entropies
from mrlbench.methods.fixed import fixed
from mrlbench.methods.mrl import mrl
from mrlbench.methods.mrl_e import mrl_e
from mrlbench.plugins import load
from mrlbench.training import checkpoint, loop
from mrlbench.training.batches import training_batches
from mrlbench.training.devices import choose_device
from mrlbench.training.schedule import learning_rate

D, C, B = 32, 5, 16
DIMS, WEIGHTS = [4, 8, 32], [1.0, 0.5, 2.0]
CPU = torch.device("cpu")


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(B, D, generator=generator, requires_grad=True)
    return embeddings, torch.randint(0, C, (B,), generator=generator)


def nested_loss(head, embeddings, labels):
    return head.loss(cross_entropies(head(embeddings), labels))


def test_the_loss_with_one_dim_is_cross_entropy(batch):
    embeddings, labels = batch
    head = mrl(D, C, [D], [1.0])
    expected = functional.cross_entropy(head.classifiers[0](embeddings), labels)
    torch.testing.assert_close(nested_loss(head, embeddings, labels), expected)


def test_the_loss_at_each_dim_is_torchs_with_label_smoothing(batch):
    embeddings, labels = batch
    logits = mrl(D, C, DIMS, WEIGHTS)(embeddings)
    ours = cross_entropies(logits, labels, label_smoothing=0.1)
    theirs = [functional.cross_entropy(each, labels, label_smoothing=0.1) for each in logits]
    torch.testing.assert_close(ours, torch.stack(theirs))


def test_the_gradient_is_the_weighted_sum_of_the_gradients_of_each_dim(batch):
    embeddings, labels = batch
    head = mrl(D, C, DIMS, WEIGHTS)
    (together,) = torch.autograd.grad(nested_loss(head, embeddings, labels), embeddings)
    apart = torch.zeros_like(together)
    for dim, weight, classifier in zip(DIMS, WEIGHTS, head.classifiers, strict=True):
        alone = functional.cross_entropy(classifier(embeddings[:, :dim]), labels)
        apart += weight * torch.autograd.grad(alone, embeddings)[0]
    torch.testing.assert_close(together, apart)


def test_mrl_e_is_mrl_with_shared_weights(batch):
    embeddings, labels = batch
    shared = mrl_e(D, C, DIMS, WEIGHTS)
    separate = mrl(D, C, DIMS, WEIGHTS)
    with torch.no_grad():
        for dim, classifier in zip(DIMS, separate.classifiers, strict=True):
            classifier.weight.copy_(shared.classifier.weight[:, :dim])
            classifier.bias.copy_(shared.classifier.bias)
    for one, other in zip(shared(embeddings), separate(embeddings), strict=True):
        torch.testing.assert_close(one, other)
    losses = [nested_loss(head, embeddings, labels) for head in (shared, separate)]
    gradients = [torch.autograd.grad(loss, embeddings, retain_graph=True)[0] for loss in losses]
    torch.testing.assert_close(*gradients)
    # the shared weight's gradient is the sum of the separate ones', each on its columns
    (whole,) = torch.autograd.grad(losses[0], shared.classifier.weight)
    parts = torch.autograd.grad(losses[1], [each.weight for each in separate.classifiers])
    summed = sum(functional.pad(part, (0, D - part.shape[1])) for part in parts)
    torch.testing.assert_close(whole, summed)


def test_fixed_reads_the_first_features_only(batch):
    embeddings, labels = batch
    head = fixed(D, C, DIMS, WEIGHTS, dim=4)
    (gradient,) = torch.autograd.grad(nested_loss(head, embeddings, labels), embeddings)
    assert (gradient[:, :4] != 0).any()
    assert (gradient[:, 4:] == 0).all()


def test_the_schedule_rises_from_a_ten_thousandth_and_falls_to_zero():
    rates = [learning_rate(step, 400, 0.425, 0.05) for step in range(400)]
    assert rates[0] == pytest.approx(0.425e-4)
    assert rates[10] == pytest.approx(0.425 * (1e-4 + (1 - 1e-4) / 2))
    assert max(rates) == rates[20] == pytest.approx(0.425)
    assert rates[210] == pytest.approx(0.425 / 2)
    assert rates[-1] == pytest.approx(0.425 / 380)
    assert learning_rate(0, 10, 1.0, 0.0) == 1


def test_batches_are_shuffled_and_augmented_by_seed_epoch_and_number():
    split = load("datasets", "digits")(None).train
    first = list(training_batches(split, 100, seed=0, epoch=0))
    again = list(training_batches(split, 100, seed=0, epoch=0))
    other = list(training_batches(split, 100, seed=0, epoch=1))
    assert len(first) == len(split.labels) // 100
    for (images, labels), (same_images, same_labels) in zip(first, again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    assert any((a[1] != b[1]).any() for a, b in zip(first, other, strict=True))


@pytest.fixture
def small():
    return experiment_file.read(
        "digits",
        [
            "training.dims=[4, 64, 512]",
            "training.epochs=3",
            "training.batch_size=128",
            "training.methods=['mrl']",
        ],
    )


@pytest.fixture
def digits():
    return load("datasets", "digits")(None)


def weights(folder):
    state = checkpoint.load(folder / checkpoint.NAME, CPU)
    return {**state["backbone"], **{f"head.{key}": each for key, each in state["head"].items()}}


def test_an_interrupted_training_ends_with_the_same_weights(small, digits, tmp_path, monkeypatch):
    loop.train(small, digits, "mrl", 0, tmp_path / "whole", CPU)
    calls = []

    def interrupt(learner, *arguments):
        calls.append(1)
        if len(calls) == 15:  # in the second epoch, which has 11 steps
            raise KeyboardInterrupt
        return step(learner, *arguments)

    step = loop.Learner.step
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Learner, "step", interrupt)
        loop.train(small, digits, "mrl", 0, tmp_path / "cut", CPU)
    assert len(pd.read_csv(tmp_path / "cut" / "losses.csv")) == 1
    loop.train(small, digits, "mrl", 0, tmp_path / "cut", CPU)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key
    losses = [(tmp_path / each / "losses.csv").read_text() for each in ("whole", "cut")]
    assert losses[0] == losses[1]


def test_losses_have_a_loss_and_an_accuracy_at_each_dim_and_fall(small, digits, tmp_path):
    loop.train(small, digits, "mrl", 0, tmp_path, CPU)
    losses = pd.read_csv(tmp_path / "losses.csv")
    columns = [f"{what}@{dim}" for what in ("loss", "accuracy") for dim in (4, 64, 512)]
    assert list(losses.columns) == ["epoch", "learning_rate", *columns]
    assert losses["epoch"].tolist() == [1, 2, 3]
    assert losses["loss@64"].iloc[-1] < losses["loss@64"].iloc[0]
    assert losses["accuracy@64"].iloc[-1] > 0.5


def test_another_experiment_does_not_go_on_from_a_checkpoint(small, digits, tmp_path):
    loop.train(small, digits, "mrl", 0, tmp_path, CPU)
    first = weights(tmp_path)
    loop.train(small, digits, "mrl", 1, tmp_path, CPU)
    second = weights(tmp_path)
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_a_file_that_is_not_a_checkpoint_is_refused(small, digits, tmp_path):
    (tmp_path / checkpoint.NAME).write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="expected a checkpoint of mrlbench"):
        loop.train(small, digits, "mrl", 0, tmp_path, CPU)
    torch.save({"weights": torch.ones(2)}, tmp_path / checkpoint.NAME)
    with pytest.raises(UserError, match="expected a checkpoint of mrlbench"):
        loop.train(small, digits, "mrl", 0, tmp_path, CPU)


def test_a_loss_that_is_not_finite_stops_the_training(small, digits, tmp_path):
    wild = small.model_copy(
        update={"training": small.training.model_copy(update={"learning_rate": 1e30})}
    )
    with pytest.raises(FloatingPointError, match="lower training.learning_rate"):
        loop.train(wild, digits, "mrl", 0, tmp_path, CPU)


def test_batch_norms_are_not_decayed(small):
    learner = loop.Learner(small, "mrl", 0, 10, CPU)
    decayed, free = learner.optimizer.param_groups
    assert free["weight_decay"] == 0
    norms = [m for m in learner.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(free["params"]) == 2 * len(norms)
    every = sum(1 for module in (learner.backbone, learner.head) for _ in module.parameters())
    assert len(decayed["params"]) + len(free["params"]) == every


def test_methods_start_from_the_same_backbone(small):
    one, other = (
        loop.Learner(small, m, 0, 10, CPU).backbone.state_dict() for m in ("mrl", "fixed-64")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="expected auto, cpu or cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="expected a CUDA device"):
            choose_device("cuda")
