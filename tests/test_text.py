"""Masked text: what is hidden, that it is always the same, and that a small BERT learns it."""

import numpy as np
import pytest
import torch
from conftest import WORDS
from torch.nn import functional

from mrlbench import experiment_file, measurements
from mrlbench.errors import UserError
from mrlbench.heads import cross_entropies
from mrlbench.masking import MaskedBlocks, Vocabulary, masked_split
from mrlbench.plugins import load
from mrlbench.training import checkpoint, loop
from mrlbench.training.batches import to_input, training_batches
from mrlbench.training.prepare import prepare

CPU = torch.device("cpu")
VOCABULARY = Vocabulary(size=1000, start=2, end=3, mask=4, ordinary=np.arange(5, 1000))
EXPERIMENT = """
[dataset]
name = "masked-text"
path = "text"
vocabulary = 200
length = 18
masked = 0.15
valid = 0.3
evaluated = 200
[model]
name = "bert"
hidden_size = 32
layers = 1
heads = 2
vocabulary = 200
length = 18
[training]
methods = ["mrl", "fixed-8"]
dims = [4, 8, 32]
epochs = 3
batch_size = 16
optimizer = "adamw"
learning_rate = 0.01
label_smoothing = 0.0
precision = "float32"
[evaluation]
steps = ["eval-classification"]
"""


@pytest.fixture
def blocks():
    rng = np.random.default_rng(0)
    return MaskedBlocks(rng.choice(VOCABULARY.ordinary, (400, 100)), VOCABULARY, 0.15)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write a text whose lines repeat one word, so that neighbours tell a hidden one."""
    folder = tmp_path_factory.mktemp("data") / "text"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("one.txt", "two.txt"):
        lines = [" ".join([WORDS[word]] * 16) for word in rng.integers(0, 40, 300)]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder.parent


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "mlm.toml"
    path.write_text(EXPERIMENT)
    return path


def test_a_block_hides_the_shares_of_bert(blocks):
    rows = np.arange(len(blocks))
    (ids, places), right = blocks.mask(rows, np.random.default_rng(1))
    assert ids.shape == (400, 102)
    assert places.shape == right.shape == (400, 15)
    assert (ids[:, 0] == VOCABULARY.start).all()
    assert (ids[:, -1] == VOCABULARY.end).all()
    assert (np.diff(places, axis=1) > 0).all()  # no place twice
    assert places.min() == 1
    assert places.max() == 100
    text = blocks._blocks
    np.testing.assert_array_equal(right, np.take_along_axis(text, places - 1, axis=1))
    shown = np.take_along_axis(ids, places, axis=1)
    total = shown.size  # 6,000: 4 standard deviations of 0.8 are 0.021, of 0.1 0.016
    assert (shown == VOCABULARY.mask).mean() == pytest.approx(0.8, abs=0.021)
    assert (shown == right).mean() == pytest.approx(0.1, abs=0.016)
    others = (shown != right) & (shown != VOCABULARY.mask)
    assert others.sum() / total == pytest.approx(0.1, abs=0.016)
    assert shown[others].min() >= 5
    elsewhere = np.ones_like(ids, dtype=bool)
    np.put_along_axis(elsewhere, places, False, axis=1)
    elsewhere[:, [0, -1]] = False
    np.testing.assert_array_equal(ids[elsewhere], np.pad(text, ((0, 0), (1, 1)))[elsewhere])
    counts = np.bincount(places.ravel(), minlength=101)[1:]  # every place as often: 60 each
    assert counts.min() > 60 - 5 * 60**0.5
    assert counts.max() < 60 + 5 * 60**0.5


def test_masks_depend_on_seed_epoch_and_batch_and_those_of_evaluation_never_change(blocks):
    split = masked_split(blocks)
    first, again = (list(training_batches(split, 100, seed=0, epoch=0)) for _ in range(2))
    other = list(training_batches(split, 100, seed=0, epoch=1))
    for ((ids, places), right), ((ids2, places2), right2) in zip(first, again, strict=True):
        for one, two in ((ids, ids2), (places, places2), (right, right2)):
            np.testing.assert_array_equal(one, two)
    assert (first[0][0][1] != other[0][0][1]).any()
    assert first[0][1].shape == (1500,)
    (ids, places), right = blocks.mask(np.arange(400))
    alone = blocks.mask(np.array([7]))
    np.testing.assert_array_equal(alone[0][0][0], ids[7])
    np.testing.assert_array_equal(alone[1][0], right[7])
    np.testing.assert_array_equal(split.labels, right.ravel())
    assert (places[0] != places[1]).any()


def test_bert_gives_the_hidden_states_at_the_places():
    bert = load("models", "bert")(
        hidden_size=16, layers=1, heads=2, vocabulary=50, length=12, dropout=0.0
    ).eval()
    ids = torch.randint(0, 50, (3, 12))
    places = torch.tensor([[1, 4], [2, 3], [7, 10]])
    hidden = bert.network(input_ids=ids).last_hidden_state
    expected = [hidden[row, place] for row in range(3) for place in places[row]]
    torch.testing.assert_close(bert((ids, places)), torch.stack(expected))


def test_the_nested_loss_of_masked_tokens_is_the_sum_of_separate_losses():
    bert = load("models", "bert")(
        hidden_size=16, layers=1, heads=2, vocabulary=50, length=12, dropout=0.0
    )
    dims, weights = [4, 8, 16], [1.0, 0.5, 2.0]
    head = load("methods", "mrl")(16, 50, dims, weights)
    inputs = (torch.randint(0, 50, (3, 12)), torch.tensor([[1, 4], [2, 3], [7, 10]]))
    labels = torch.randint(0, 50, (6,))
    parameters = list(bert.network.embeddings.parameters())
    together = head.loss(cross_entropies(head(bert(inputs)), labels))
    whole = torch.autograd.grad(together, parameters)
    apart, summed = 0.0, [torch.zeros_like(each) for each in parameters]
    for dim, weight, classifier in zip(dims, weights, head.classifiers, strict=True):
        alone = weight * functional.cross_entropy(classifier(bert(inputs)[:, :dim]), labels)
        apart += alone
        for total, part in zip(summed, torch.autograd.grad(alone, parameters), strict=True):
            total += part
    torch.testing.assert_close(together, apart)
    for one, other in zip(whole, summed, strict=True):
        torch.testing.assert_close(one, other)


def test_a_small_bert_predicts_hidden_words_better_than_their_frequency(
    mrlbench, data, experiment, tmp_path
):
    run = tmp_path / "run"
    status, _, err = mrlbench(
        *("reproduce", experiment, "--run", run, "--data-dir", data),
        *("--device", "cpu", "--threads", "1", "-q"),
    )
    assert status == 0, err
    assert not (run / "retrieval.csv").exists()  # the experiment names its steps
    labels = np.load(run / "embeddings" / "mrl" / "seed-0" / "queries_labels.npy")
    assert len(np.load(run / "embeddings" / "mrl" / "seed-0" / "queries.npy")) == len(labels)
    unigram = np.bincount(labels).max() / len(labels)
    table = measurements.read(run / "classification.csv")
    top1 = table[table["metric"] == "top1"].set_index(["method", "dim"])["value"]
    assert set(top1.index) == {("mrl", 4), ("mrl", 8), ("mrl", 32), ("fixed-8", 8)}
    assert unigram < 0.1
    assert top1["mrl", 32] > 3 * unigram
    assert top1["fixed-8", 8] > 2 * unigram


def test_an_interrupted_training_with_dropout_ends_with_the_same_weights(
    data, experiment, tmp_path, monkeypatch
):
    overrides = ["training.epochs=2", "training.batch_size=64", "training.methods=['mrl']"]
    small = experiment_file.read(experiment, overrides)
    dataset = prepare(load("datasets", "masked-text")(data, **small.dataset.arguments), small)
    loop.train(small, dataset, "mrl", 0, tmp_path / "whole", CPU)
    step, calls = loop.Learner.step, []

    def interrupt(learner, *arguments):
        calls.append(1)
        if len(calls) == 8:  # in the second epoch, which has 5 steps
            raise KeyboardInterrupt
        return step(learner, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Learner, "step", interrupt)
        loop.train(small, dataset, "mrl", 0, tmp_path / "cut", CPU)
    loop.train(small, dataset, "mrl", 0, tmp_path / "cut", CPU)
    one, other = (
        checkpoint.load(tmp_path / each / checkpoint.NAME, CPU) for each in ("whole", "cut")
    )
    for part in ("backbone", "head"):
        for key in one[part]:
            assert torch.equal(one[part][key], other[part][key]), key


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(data, experiment):
    found = []
    for part in (0, 4):
        overrides = [f"training.micro_batch={part}", "model.dropout=0.0"]
        small = experiment_file.read(experiment, overrides)
        dataset = prepare(load("datasets", "masked-text")(data, **small.dataset.arguments), small)
        inputs, labels = dataset.train.read(np.arange(16), np.random.default_rng(0))
        learner = loop.Learner(small, "mrl", 0, len(dataset.classes), CPU)
        answers = torch.from_numpy(labels)
        losses, right = learner.step(to_input(inputs, dataset, CPU), answers, 0.0)
        gradients = [each.grad for each in learner.backbone.parameters() if each.grad is not None]
        found.append([losses, right, *gradients])
    assert len(found[0]) > 10
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts)


def test_an_unknown_step_is_refused_with_those_that_there_are(mrlbench, data, experiment, tmp_path):
    steps = "--set=evaluation.steps=['eval-nothing']"
    folders = ("--run", tmp_path / "run", "--data-dir", data)
    status, _, err = mrlbench("reproduce", experiment, *folders, steps, "--dry-run")
    assert status == 2
    assert "expected some of eval-classification, eval-retrieval" in err


def test_the_tokenizer_learns_from_the_training_part_only(tmp_path):
    lines = ["plain words come first\n"] * 90 + ["zebra quagga okapi\n"] * 10
    (tmp_path / "text.txt").write_text("".join(lines))
    data = load("datasets", "masked-text")(tmp_path, path="text.txt", vocabulary=100, length=6)
    assert "plain" in data.classes
    assert not {"zebra", "quagga", "okapi"} & set(data.classes)


def test_a_tokenizer_and_a_bert_from_folders(tmp_path, data):
    made = load("datasets", "masked-text")(data, path="text", vocabulary=120, length=18)
    (tmp_path / "kept").mkdir()
    source = min((data / "masked-text").glob("*/tokenizer.json"))
    (tmp_path / "kept" / "tokenizer.json").write_bytes(source.read_bytes())
    arguments = {"path": "text", "tokenizer": str(tmp_path / "kept"), "length": 18}
    again = load("datasets", "masked-text")(data, **arguments)
    assert "[MASK]" in again.classes
    assert len(made.queries.labels) == len(made.queries.images) * 2  # 15% of 16
    bert = load("models", "bert")(
        hidden_size=16, layers=1, heads=2, vocabulary=len(again.classes), length=18
    )
    bert.network.save_pretrained(tmp_path / "bert")
    loaded = load("models", "bert")(folder=str(tmp_path / "bert"))
    assert loaded.width == 16
    assert loaded.vocabulary == len(again.classes)
    inputs = to_input(again.queries.images.read(np.arange(2)), again, CPU)
    torch.testing.assert_close(loaded.eval()(inputs), bert.eval()(inputs))
    with torch.device("meta"):
        assert load("models", "bert")(folder=str(tmp_path / "bert")).width == 16


def test_what_does_not_fit_is_refused_in_one_line(data, experiment, tmp_path):
    text = load("datasets", "masked-text")

    def check(*overrides):
        read = experiment_file.read(experiment, overrides)
        prepare(load("datasets", read.dataset.name)(data, **read.dataset.arguments), read)

    with pytest.raises(UserError, match="expected a vocabulary of at least the .* tokens"):
        check("model.vocabulary=20")
    with pytest.raises(UserError, match="is text: expected a model of text, got resnet"):
        check("model.name='resnet'")
    with pytest.raises(UserError, match="expected a data set of it, got digits"):
        check("dataset.name='digits'")
    with pytest.raises(UserError, match=r"expected \[training.captions\]"):
        check("training.methods=['contrastive']")
    with pytest.raises(UserError, match=f"with \\*.txt, got {tmp_path}/nothing"):
        text(tmp_path, path="nothing")
    (tmp_path / "short.txt").write_text("only a few words\n" * 3)
    with pytest.raises(UserError, match="expected at least 126 tokens in the train part"):
        text(tmp_path, path="short.txt")
    with pytest.raises(UserError, match="tokenizer.json"):
        text(data, path="text", tokenizer="nowhere")
    with pytest.raises(UserError, match="length from 4"):
        text(data, path="text", length=2)
    with pytest.raises(UserError, match="with config.json, got nowhere"):
        load("models", "bert")(folder="nowhere")
