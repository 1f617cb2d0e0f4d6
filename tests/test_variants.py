"""Ablations: variants of the training, fine-tuning, heads on frozen embeddings."""

import numpy as np
import pytest
import torch

from mrlbench import experiment_file, measurements
from mrlbench.datasets.embeddings import embeddings
from mrlbench.errors import UserError
from mrlbench.images import ImageArray
from mrlbench.training import checkpoint
from mrlbench.training.loop import Learner, training_inputs
from mrlbench.training.schedule import image_size

CPU = torch.device("cpu")
VARIANTS = [
    "--set=training.variants={boost={weights=[2, 1, 1, 1]}, start16={dims=[16, 128, 512]}, "
    "fc={start_from='fixed-512', unfreeze=[], epochs=1, learning_rate=0.1}}",
]


def small_experiment(small, *more):
    overrides = [each.removeprefix("--set=") for each in [*small, *VARIANTS, *more]]
    return experiment_file.read("digits", overrides)


def test_a_variant_changes_only_its_keys(small):
    experiment = small_experiment(small)
    boost = experiment.training_of("mrl@boost")
    assert boost.weights == [2, 1, 1, 1]
    assert boost.dims == experiment.training.dims
    start = experiment.training_of("mrl@start16")
    assert (start.dims, start.weights) == ([16, 128, 512], [1, 1, 1])
    assert experiment.training_of("mrl") == experiment.training


def test_a_variant_that_changes_nothing_is_the_same_training(small):
    experiment = small_experiment(
        small, "training.variants.same={epochs=1}", "training.methods=['mrl', 'mrl@same']"
    )
    same, plain = (training_inputs(experiment, "", each, 0) for each in ("mrl@same", "mrl"))
    assert same == plain
    assert training_inputs(experiment, "", "mrl@boost", 0) != plain


def test_a_fine_tuning_depends_on_what_it_starts_from(small):
    start = small_experiment(small)
    other = small_experiment(small, "training.variants.fc.start_from='fixed-16'")
    assert training_inputs(start, "", "mrl@fc", 0) != training_inputs(other, "", "mrl@fc", 0)


def test_some_methods_can_have_fewer_seeds(small):
    experiment = small_experiment(
        small, "seeds=[0, 2]", "seeds_of={mrl-e=[0]}", "training.methods=['mrl', 'mrl-e']"
    )
    assert experiment.trainings == [("mrl", 0), ("mrl-e", 0), ("mrl", 2)]
    with pytest.raises(UserError, match="seeds_of.mrl-e"):
        small_experiment(small, "seeds_of={mrl-e=[3]}")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "training.methods=['mrl@none']",
            "no variant 'none' in training.variants",
        ),
        ("training.variants.boost={wieghts=[1]}", "boost: wieghts"),
        ("training.variants.boost={weights=[1]}", "expected 4 values"),
        ("training.variants.boost={dims=[16, 8]}", "increasing dims"),
        ("training.variants.boost={start_from='fixed-3'}", "start_from: expected one of"),
        ("training.variants.boost={unfreeze=['layer9']}", "unfreeze: expected modules"),
    ],
)
def test_bad_variants_are_refused_in_one_line(small, override, said):
    methods = "training.methods=['mrl', 'fixed-512', 'mrl@boost']"
    with pytest.raises(UserError, match=said) as error:
        small_experiment(small, methods, override)
    assert "\n" not in str(error.value)


def test_frozen_modules_keep_weights_and_batch_statistics(small):
    experiment = small_experiment(
        small,
        "training.methods=['mrl@fc', 'fixed-512']",
        "training.variants.fc.unfreeze=['network.layer4']",
    )
    learner = Learner(experiment, "mrl@fc", 0, 10, CPU)
    learner.train_mode()
    before = {name: each.clone() for name, each in learner.backbone.state_dict().items()}
    images = torch.randn(16, 3, 8, 8)
    learner.step(images, torch.arange(16) % 10, rate=0.1)
    for name, each in learner.backbone.state_dict().items():
        if each.dtype.is_floating_point:
            changed = not torch.equal(each, before[name])
            assert changed == name.startswith("network.layer4"), name


def test_fine_tuning_heads_alone_leaves_the_trained_backbone(mrlbench, small, tmp_path):
    run = tmp_path / "run"
    methods = "--set=training.methods=['mrl@fc', 'fixed-512', 'mrl@start16']"
    common = ["digits", f"--run={run}", *small, *VARIANTS, methods, "-q"]
    code, _, err = mrlbench("train", *common)
    assert code == 0, err
    start, tuned = (
        checkpoint.load(run / "models" / method / "seed-0" / checkpoint.NAME, CPU)["backbone"]
        for method in ("fixed-512", "mrl@fc")
    )
    assert all(torch.equal(start[name], tuned[name]) for name in start)
    assert mrlbench("eval-classification", run, "-q")[0] == 0
    assert mrlbench("eval-knn", run, "-q")[0] == 0
    table = measurements.read(run / "classification.csv")
    tuned_rows = table[(table["method"] == "mrl") & (table["variant"] == "fc")]
    assert sorted(tuned_rows[tuned_rows["metric"] == "top1"]["dim"]) == [4, 16, 128, 512]
    assert tuned_rows[tuned_rows["metric"] == "top1"]["value"].max() > 0.3  # a real head
    started = table[table["variant"] == "start16"]
    assert sorted(started[started["metric"] == "top1"]["dim"]) == [16, 128, 512]
    knn = measurements.read(run / "knn.csv")
    plain = knn[(knn["method"] == "fixed-512") & (knn["reducer"] == "prefix")]
    frozen = knn[knn["variant"] == "fc"]
    assert list(plain["value"]) == list(frozen["value"])  # the same vectors


def test_an_mrl_head_on_frozen_embeddings_beats_their_prefix(mrlbench, tmp_path):
    """The class is in the last coordinates: a prefix knows nothing, PCA sees the loud noise."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 8))
    for part, rows in (("database", 800), ("queries", 200)):
        labels = rng.integers(0, 4, rows)
        noise = 5 * rng.standard_normal((rows, 24))
        signal = centres[labels] + 0.2 * rng.standard_normal((rows, 8))
        np.save(folder / f"{part}.npy", np.hstack([noise, signal]).astype(np.float32))
        np.save(folder / f"{part}_labels.npy", labels)
    run = tmp_path / "run"
    code, _, err = mrlbench(
        *("reproduce", "frozen-head", f"--run={run}", "-q"),
        *(f"--set=dataset.path={folder}", "--set=model.features=32"),
        *("--set=training.methods=['mrl']", "--set=training.dims=[4, 8, 16, 32]"),
        *("--set=training.variants={}", f"--set=evaluation.beside={{frozen='{folder}'}}"),
        *("--set=training.epochs=10", "--set=training.batch_size=64"),
        *("--set=evaluation.k=[10]", "--set=evaluation.shortlist=20", "--set=search.dims=[4]"),
        *("--set=search.queries=20", "--set=search.indexes=[{name='exact', efforts=[0]}]"),
    )
    assert code == 0, err
    knn = measurements.read(run / "knn.csv")
    at4 = knn[knn["dim"] == 4].fillna({"reducer": "prefix"}).set_index(["method", "reducer"])
    assert at4.loc[("mrl", "prefix"), "value"] > 0.9
    assert at4.loc[("frozen", "prefix"), "value"] < 0.5
    assert at4.loc[("frozen", "pca"), "value"] < 0.5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "database_labels.npy").unlink(), "expected labels to train on"),
        (lambda f: np.save(f / "queries.npy", np.ones((20, 3), np.float32)), "same width"),
        (lambda f: np.save(f / "queries_labels.npy", np.zeros(3, int)), "expected 20 labels"),
        (lambda f: np.save(f / "database.npy", np.ones((60, 16), int)), "expected floats"),
        (lambda f: np.save(f / "queries_labels.npy", np.zeros(20, "f2")), "integers"),
    ],
)
def test_frozen_embeddings_that_do_not_fit(folder, tmp_path, spoil, said):
    spoil(folder)
    with pytest.raises(UserError, match=said):
        embeddings(tmp_path, str(folder))


def test_the_papers_ramp():
    """FFCV: sizes between epochs 29 and 34, counted from 0, are interpolated and rounded to 32."""
    ramp = [[1, 160], [33, 192]]
    for epoch in range(40):
        exact = np.interp(epoch, [29, 34], [160, 192])
        assert image_size(epoch, ramp) == round(exact / 32) * 32
    assert image_size(0, []) is None
    assert image_size(0, [[2, 32]]) is None


def test_smaller_images_are_averages():
    pixels = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    pixels[:, :, :, 4:] = 200
    halves = ImageArray(pixels, size=4).read(np.array([0]))
    assert halves.shape == (1, 3, 4, 4)
    assert halves[0, 0, 0, 0] == 0
    assert halves[0, 0, 0, 3] == 200
    assert abs(float(halves.mean()) - 100) <= 1
    assert ImageArray(pixels).read(np.array([0]), size=2).shape == (1, 3, 2, 2)


def test_a_training_with_a_ramp_has_its_sizes(mrlbench, small, tmp_path, monkeypatch):
    seen = []
    original = ImageArray.read

    def read(self, rows, random=None, size=None, part=slice(None)):
        result = original(self, rows, random, size)
        seen.append((random is not None, result.shape[2]))
        return result

    monkeypatch.setattr(ImageArray, "read", read)
    code, _, err = mrlbench(
        *("train", "digits", f"--run={tmp_path / 'run'}", *small, "-q"),
        *("--set=training.methods=['fixed-16']", "--set=training.epochs=2"),
        "--set=training.image_sizes=[[1, 8], [2, 16]]",
    )
    assert code == 0, err
    sizes = [size for training, size in seen if training]
    assert set(sizes) == {8, 16}
    assert sizes == sorted(sizes)


def test_losses_of_a_variant_are_at_its_dims(small):
    experiment = small_experiment(small, "training.methods=['mrl@start16']")
    learner = Learner(experiment, "mrl@start16", 0, 10, CPU)
    assert learner.head.dims == (16, 128, 512)
