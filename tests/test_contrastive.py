"""Contrastive training of two towers: the loss, what is normalised, and zero-shot classes."""

import numpy as np
import pytest
import torch
from tiny_clip import PREPROCESS, write_tiny_clip

from mrlbench import experiment_file, measurements
from mrlbench.captions import captioned, word_tokenizer
from mrlbench.errors import UserError
from mrlbench.heads import cross_entropies
from mrlbench.methods.contrastive import contrastive
from mrlbench.plugins import load
from mrlbench.training.batches import to_input
from mrlbench.training.prepare import prepare

D, B = 16, 6
DIMS, WEIGHTS = [2, 4, 16], [1.0, 0.5, 2.0]
CPU = torch.device("cpu")
SMALL = [
    "--threads=1",
    "--set=model.stem_stride=4",
    "--set=training.epochs=3",
    "--set=training.methods=['contrastive', 'contrastive-512']",
    "--set=training.dims=[8, 64, 512]",
    "--set=training.precision='float32'",
]


@pytest.fixture
def embeddings():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2 * B, D, generator=generator, requires_grad=True)


def losses(head, embeddings):
    return cross_entropies(head(embeddings), torch.arange(B).repeat(2))


def info_nce(images, texts, scale):
    """Compute the symmetric loss of one width in float64, as ALIGN defines it."""
    images, texts = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (images, texts))
    logits = scale * images @ texts.T
    right = np.diag(logits)
    to_texts = np.log(np.exp(logits).sum(axis=1)) - right
    to_images = np.log(np.exp(logits).sum(axis=0)) - right
    return (to_texts.mean() + to_images.mean()) / 2


def test_the_loss_is_that_of_an_independent_computation(embeddings):
    head = contrastive(D, 0, DIMS, WEIGHTS)
    found = losses(head, embeddings)
    both = embeddings.detach().numpy().astype(np.float64)
    scale = np.exp(np.float64(head.log_scale.item()))
    expected = [info_nce(both[:B, :dim], both[B:, :dim], scale) for dim in DIMS]
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5)
    total = head.loss(found).item()
    assert total == pytest.approx(np.dot(WEIGHTS, expected), rel=1e-5)


def test_values_and_gradients_are_the_sums_over_separate_losses(embeddings):
    head = contrastive(D, 0, DIMS, WEIGHTS)
    wanted = [embeddings, head.log_scale]
    total = head.loss(losses(head, embeddings))
    together = torch.autograd.grad(total, wanted)
    value, apart = 0.0, [torch.zeros_like(each) for each in wanted]
    for dim, weight in zip(DIMS, WEIGHTS, strict=True):
        alone = contrastive(D, 0, DIMS, WEIGHTS, dim=dim)
        term = weight * alone.loss(losses(alone, embeddings))
        value += term
        parts = torch.autograd.grad(term, [embeddings, alone.log_scale])
        for sum_, part in zip(apart, parts, strict=True):
            sum_ += part
    torch.testing.assert_close(total, value)
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other)


def test_later_coordinates_do_not_scale_the_narrow_losses(embeddings):
    head = contrastive(D, 0, DIMS, WEIGHTS)
    scaled = embeddings.detach().clone()
    scaled[:, 4:] *= 1000
    before, after = losses(head, embeddings), losses(head, scaled)
    torch.testing.assert_close(before[:2], after[:2])
    assert abs(before[2] - after[2]) > 1e-3
    # normalised before they are cut, they would: the test can fail
    whole = torch.nn.functional.normalize(scaled, dim=1)[:, :4]
    cosines = whole[:B] @ whole[B:].T * head.scale()
    wrong = torch.nn.functional.cross_entropy(cosines, torch.arange(B))
    assert abs(wrong - before[1]) > 1e-2


def test_one_dim_is_the_separate_model_of_that_width(embeddings):
    head = contrastive(D, 0, DIMS, WEIGHTS, dim=4)
    assert head.dims == (4,)
    (gradient,) = torch.autograd.grad(head.loss(losses(head, embeddings)), embeddings)
    assert (gradient[:, 4:] == 0).all()
    assert (gradient[:, :4] != 0).all()


def test_zero_shot_averages_unit_prompts_of_each_class_and_normalises_again():
    head = contrastive(3, 0, [2, 3], [1.0, 1.0])
    texts = torch.tensor([[1.0, 0, 9], [0, 5, 9], [-2, 0, 9]])  # two prompts of class 0, one of 1
    images = torch.tensor([[3.0, 3, 0]])
    logits = head.zero_shot(images, texts, torch.tensor([0, 0, 1]))
    # at 2: class 0 is (0.5, 0.5), along the image; class 1 is (-1, 0): cos = -1/√2
    expected = head.scale() * torch.tensor([[1.0, -(0.5**0.5)]])
    torch.testing.assert_close(logits[0], expected)
    assert logits[1].shape == (1, 2)


def test_captions_are_drawn_from_the_templates_of_the_class():
    digits = load("datasets", "digits")(None)
    pairs = captioned(digits, ["a {} here", "the {}"], word_tokenizer(20, 8))
    words = sorted(["a", "here", "the", *(str(number) for number in range(10))])
    number = {word: row for row, word in enumerate(words, 1)}
    rows = np.arange(64)
    (images, tokens), labels = pairs.train.read(rows, np.random.default_rng(0))
    np.testing.assert_array_equal(labels, [*range(64), *range(64)])
    assert images.shape == (64, 3, 8, 8)
    seen = set()
    for row, ids in zip(rows, tokens, strict=True):
        digit = str(digits.train.labels[row])
        known = [
            [number[word] for word in text] + [0] * (3 - len(text))
            for text in (["a", digit, "here"], ["the", digit])
        ]
        seen.add(known.index(ids.tolist()))
    assert seen == {0, 1}
    assert pairs.texts.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    with pytest.raises(UserError, match="more than the 13 words"):
        captioned(digits, ["a {} here", "the {}"], word_tokenizer(13, 8))


def test_filling_words_do_not_change_a_text():
    from mrlbench.towers import TextTower

    for layers in (0, 1):
        tower = TextTower(8, vocabulary=20, length=9, hidden=16, layers=layers, heads=2).eval()
        short = torch.tensor([[3, 5, 7]])
        filled = torch.tensor([[3, 5, 7, 0, 0]])
        torch.testing.assert_close(tower(short), tower(filled), atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train and measure a small digits-contrastive experiment."""
    from mrlbench import cli

    folder = tmp_path_factory.mktemp("results") / "pairs"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        command = ["reproduce", "digits-contrastive", f"--run={folder}", *SMALL, "-q"]
        patch.setattr("sys.argv", ["mrlbench", *command])
        cli.main()
    assert not stopped.value.code
    return folder


def test_zero_shot_on_digits_is_far_above_chance(run):
    table = measurements.read(run / "classification.csv")
    top1 = table[table["metric"] == "top1"]
    assert set(top1["task"]) == {"zero-shot"}
    values = top1.set_index(["method", "dim"])["value"]
    assert set(values.index) == {
        *(("contrastive", dim) for dim in (8, 64, 512)),
        ("contrastive-512", 512),
    }
    assert values["contrastive", 512] > 0.5  # chance is 0.1
    assert values["contrastive", 64] > 0.5
    assert values["contrastive-512", 512] > 0.5


def test_cross_modal_retrieval_is_that_of_a_plain_computation(run):
    folder = run / "embeddings" / "contrastive" / "seed-0"
    images, texts = (np.load(folder / f"{n}.npy").astype(float) for n in ("queries", "texts"))
    labels = [np.load(folder / f"{name}_labels.npy") for name in ("queries", "texts")]
    table = measurements.read(run / "cross_modal.csv")
    for dim in (8, 512):
        units = [
            v[:, :dim] / np.linalg.norm(v[:, :dim], axis=1, keepdims=True) for v in (images, texts)
        ]
        cosines = units[0] @ units[1].T  # (Q, T)
        for task, scores, of, among in (
            ("image-to-text", cosines, labels[0], labels[1]),
            ("text-to-image", cosines.T, labels[1], labels[0]),
        ):
            order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
            hits = (among[order] == of[:, None]).any(axis=1).mean()
            chosen = table[(table["task"] == task) & (table["dim"] == dim)]
            chosen = chosen[(chosen["method"] == "contrastive") & (chosen["metric"] == "top5")]
            assert chosen["value"].item() == pytest.approx(hits, abs=0.01)
            assert chosen["n_database"].item() == len(among)


def test_images_are_measured_as_any_others(run):
    table = measurements.read(run / "knn.csv")
    values = table[table["reducer"] == "prefix"].set_index(["method", "dim"])["value"]
    assert values["contrastive", 512] > 0.6
    assert {"pca", "random-dims"} <= set(table[table["method"] == "contrastive-512"]["reducer"])


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


def test_an_open_clip_folder_gives_both_towers(clip_folder):
    folder, network = clip_folder
    model = load("models", "open-clip")(folder=str(folder)).eval()
    assert model.width == 24
    images = torch.randn(2, 3, 32, 32)
    tokens = torch.from_numpy(
        load("models", "open-clip").tokenizer(folder=str(folder))(["a photo of a cat", "dog"])
    )
    assert tokens.shape == (2, 12)
    expected = [network.encode_image(images), network.encode_text(tokens)]
    torch.testing.assert_close(model((images, tokens)), torch.cat(expected))
    torch.testing.assert_close(model(images), expected[0])
    torch.testing.assert_close(model(tokens), expected[1])
    with pytest.raises(UserError, match="expected images of 32 × 32, got 8 × 8"):
        model(torch.randn(2, 3, 8, 8))
    with pytest.raises(UserError, match="expected open_clip_config.json"):
        load("models", "open-clip")(folder="nowhere")


def test_a_frozen_open_clip_learns_a_nested_projection(clip_folder, tmp_path):
    from mrlbench.training import checkpoint, loop

    folder, network = clip_folder
    pixels = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    from PIL import Image

    for row, image in enumerate(pixels):
        path = tmp_path / ("train", "val")[row % 2] / ("cat", "dog")[row % 4 // 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    experiment = experiment_file.read(
        "digits-contrastive",
        [
            "dataset.name='image-folder'",
            "dataset.size=32",
            "model.name='open-clip'",
            f"model.folder='{folder}'",
            "model.projection=16",
            "training.dims=[4, 16]",
            "training.methods=['contrastive']",
            "training.epochs=1",
            "training.batch_size=10",
            "training.unfreeze=['image_projection', 'text_projection']",
        ],
    )
    assert experiment.width == 16
    images = load("datasets", "image-folder")(tmp_path, **experiment.dataset.arguments)
    dataset = prepare(images, experiment)
    assert dataset.mean == (0.4, 0.5, 0.6)  # the model's own
    inputs = to_input(dataset.queries.images.read(np.arange(1)), dataset, CPU)
    pixel = dataset.queries.images.read(np.arange(1))[0, :, 0, 0] / 255
    expected = (pixel - PREPROCESS["mean"]) / PREPROCESS["std"]
    np.testing.assert_allclose(inputs[0, :, 0, 0].numpy(), expected, rtol=1e-5, atol=1e-6)
    start = loop.Learner(experiment, "contrastive", 0, 2, CPU).backbone.state_dict()
    start = {key: each.clone() for key, each in start.items()}
    loop.train(experiment, dataset, "contrastive", 0, tmp_path / "model", CPU)
    trained = checkpoint.load(tmp_path / "model" / checkpoint.NAME, CPU)["backbone"]
    changed = {key for key in start if not torch.equal(start[key], trained[key])}
    assert changed == {"image_projection.weight", "text_projection.weight"}
    name = "visual.conv1.weight"
    torch.testing.assert_close(trained[f"network.{name}"], network.state_dict()[name])
