"""Text models trained on pairs: their losses, what is held out, resuming, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlbench import experiment_file, measurements
from mrlbench.arrays import prefix
from mrlbench.corpora.wordnet import is_held_out, wordnet
from mrlbench.errors import UserError
from mrlbench.plugins import load, make
from mrlbench.progress import Task
from mrlbench.protocols import Corpus, Texts
from mrlbench.sentences.pairs import training_pairs

pytest.importorskip("datasets")
pytest.importorskip("sentence_transformers")

LETTERS = [chr(97 + number) for number in range(26)]
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *(first + second for first in LETTERS for second in "xyz"),
]
WIDTH = 16
EXPERIMENT = """
[dataset]
name = "text-pairs"
path = "{folder}/test.csv"
[model]
name = "sentence-transformers"
model = "{model}"
[training]
methods = ["mrl", "fixed-16"]
dims = [4, 8, 16]
epochs = 2
batch_size = 8
learning_rate = 0.1
[training.pairs]
name = "text-pairs"
path = "{folder}/train.csv"
[evaluation]
k = [1, 10]
shortlist = 10
steps = ["eval-retrieval"]
"""


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return words


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """Save the mean of random token vectors."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    module = StaticEmbedding(tokenizer(), embedding_dim=WIDTH)
    folder = tmp_path_factory.mktemp("models") / "static"
    SentenceTransformer(modules=[module], device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Save a BERT of random weights with dropout, and mean pooling."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    inner, folder = (tmp_path_factory.mktemp("models") / name for name in ("inner", "bert"))
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    transformers.BertModel(config).save_pretrained(inner)
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(), model_max_length=16, **marks
    ).save_pretrained(inner)
    modules = [Transformer(str(inner)), Pooling(WIDTH, "mean")]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


@pytest.fixture
def experiment(tmp_path, static):
    """Write an experiment on pairs whose query and document share a letter."""
    rows = [
        (f"{letter}x {other}x", f"{letter}y {letter}z {other}z")
        for letter in LETTERS
        for other in LETTERS[:6]
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    for name, some in (("test", order[:20]), ("train", order[20:])):
        table = pd.DataFrame([rows[row] for row in some], columns=["query", "document"])
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    path = tmp_path / "pairs.toml"
    path.write_text(EXPERIMENT.format(folder=tmp_path, model=static))
    return path


def weights(run, method):
    from safetensors.numpy import load_file

    return load_file(run / "models" / method / "seed-0" / "model" / "model.safetensors")


def test_a_whole_run(experiment, mrlbench, tmp_path, static):
    from sentence_transformers import SentenceTransformer

    run = tmp_path / "run"
    status, out, err = mrlbench("reproduce", experiment, "--run", run, "--threads=1", "-q")
    assert status == 0, err
    table = measurements.read(run / "retrieval.csv")
    found = table[table["metric"] == "map@10"].set_index(["method", "reducer", "dim"])["value"]
    assert set(found.index.unique("method")) == {"mrl", "fixed-16", "untuned"}
    for method in ("fixed-16", "untuned"):
        assert (method, "pca", 8) in found.index
    assert (table.loc[table["metric"] == "map@10", ["ci_low", "ci_high"]].notna()).all(axis=None)
    for dim in (4, 8, 16):  # what is learned of letters serves pairs that were not seen
        assert found["mrl", "prefix", dim] > found["untuned", "prefix", dim] + 0.1
    folder = run / "models" / "mrl" / "seed-0" / "model"
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert config["matryoshka_dims"] == [4, 8, 16]
    losses = pd.read_csv(run / "models" / "mrl" / "seed-0" / "losses.csv")
    assert list(losses.columns) == ["step", "epoch", "learning_rate", "loss"]
    assert losses["loss"].iloc[-1] < losses["loss"].iloc[0]
    texts = pd.read_csv(tmp_path / "test.csv")["query"].tolist()
    queries = np.load(run / "embeddings" / "mrl" / "seed-0" / "queries.npy")
    for dim in (4, 8, 16):
        cut = SentenceTransformer(str(folder), truncate_dim=dim, device="cpu").encode(texts)
        assert cut.shape == (20, dim)
        np.testing.assert_allclose(prefix(cut, dim), prefix(queries, dim), atol=1e-6)
    # the untuned vectors are those of the model that the training began with
    own = SentenceTransformer(str(static), device="cpu").encode(texts)
    untuned = np.load(run / "embeddings" / "untuned" / "queries.npy")
    np.testing.assert_allclose(own, untuned, atol=1e-6)
    status, out, _ = mrlbench("reproduce", experiment, "--run", run, "--threads=1", "--dry-run")
    assert out.count("done") == 5  # two trainings, two embeddings, one measurement


def test_the_losses_are_those_of_sentence_transformers(static, bert):
    from sentence_transformers.sentence_transformer import losses

    started = make("text_models", "sentence-transformers", {"model": str(bert)})
    given = {"sentences": started.pipeline, "dims": [4, 16], "weights": [2.0, 1.0]}
    nested = make("text_losses", "mrl", {}, **given)
    assert type(nested) is losses.MatryoshkaLoss
    assert type(nested.loss) is losses.MultipleNegativesRankingLoss
    assert dict(zip(nested.matryoshka_dims, nested.matryoshka_weights, strict=True)) == {
        4: 2.0,
        16: 1.0,
    }
    assert type(make("text_losses", "mrl-2d", {}, **given)) is losses.Matryoshka2dLoss
    twin = make("text_losses", "fixed", {"dim": 16}, **given)
    assert type(twin) is losses.MultipleNegativesRankingLoss
    narrow = make("text_losses", "fixed", {"dim": 4}, **given)
    assert (type(narrow), narrow.matryoshka_dims) == (losses.MatryoshkaLoss, (4,))
    flat = make("text_models", "sentence-transformers", {"model": str(static)})
    with pytest.raises(UserError, match="mrl-2d: expected a model with layers"):
        make("text_losses", "mrl-2d", {}, **{**given, "sentences": flat.pipeline})


@pytest.mark.parametrize("method", ["mrl", "mrl-2d", "fixed-16"])
def test_an_interrupted_training_ends_with_the_same_weights(
    experiment, bert, mrlbench, tmp_path, monkeypatch, method
):
    common = ("train", experiment, "--threads=1", "-q", f"--set=model.model={bert}")
    common = (*common, "--set=training.learning_rate=0.001")
    common = (*common, f"--set=training.methods=['{method}', 'fixed-8']", "--methods", method)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert mrlbench(*common, "--run", whole)[0] == 0
    steps = 0

    def interrupted(self, units, note=""):
        nonlocal steps
        steps += units
        if steps == 22:
            raise OSError("pulled the plug")

    with monkeypatch.context() as patch:
        patch.setattr(Task, "advance", interrupted)
        status, _, err = mrlbench(*common, "--run", cut)
    assert (status, steps) == (1, 22)
    assert "pulled the plug" in err
    counted = []
    monkeypatch.setattr(Task, "advance", lambda self, units, note="": counted.append(units))
    assert mrlbench(*common, "--run", cut)[0] == 0
    assert counted[0] == 21  # of 34 steps, a checkpoint every 3
    assert counted[1:] == [1] * 13
    one, other = weights(whole, method), weights(cut, method)
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    assert not (cut / "models" / method / "seed-0" / "checkpoints").exists()


def test_other_settings_begin_anew(experiment, mrlbench, tmp_path):
    run = tmp_path / "run"
    common = ("train", experiment, "--run", run, "--threads=1", "-q", "--methods=mrl")
    assert mrlbench(*common)[0] == 0
    first = weights(run, "mrl")
    stamp = (run / "models/mrl/seed-0/model/model.safetensors").stat().st_mtime_ns
    assert mrlbench(*common)[0] == 0
    assert (run / "models/mrl/seed-0/model/model.safetensors").stat().st_mtime_ns == stamp
    assert mrlbench(*common, "--set=training.weights=[9, 1, 1]")[0] == 0
    second = weights(run, "mrl")
    assert any((first[name] != second[name]).any() for name in first)


def test_a_static_embedding_averages_the_larger_models_token_vectors(bert):
    import torch

    started = make("text_models", "static-embedding", {"tokens": str(bert)})
    larger = make("text_models", "sentence-transformers", {"model": str(bert)}).pipeline
    table = larger.transformers_model.get_input_embeddings().weight.detach().numpy()
    found = started.pipeline.encode(["ax by", "cz"])
    rows = [[WORDS.index(word) for word in text.split()] for text in ("ax by", "cz")]
    np.testing.assert_allclose(found, [table[each].mean(axis=0) for each in rows], atol=1e-6)
    assert started.width == WIDTH
    assert isinstance(started.pipeline[0].embedding, torch.nn.EmbeddingBag)


def corpus(*pairs):
    queries, documents = (tuple(dict.fromkeys(each)) for each in zip(*pairs, strict=True))
    return Corpus(
        Texts(documents, documents), Texts(queries, queries), tuple((*p, 1.0) for p in pairs)
    )


def test_pairs_that_the_evaluation_asks_about_are_left_out():
    evaluated = corpus(("dog", "it barks"))
    trained = corpus(
        ("Dog ", "a hot one"), ("hound", "It  barks"), ("cat", "it purrs"), ("ox", "lows")
    )
    kept = training_pairs(trained, evaluated)
    assert list(zip(kept.queries, kept.documents, strict=True)) == [
        ("cat", "it purrs"),
        ("ox", "lows"),
    ]
    with pytest.raises(UserError, match="training.pairs: expected pairs that .* got 0 of 1"):
        training_pairs(evaluated, evaluated)


SYNSETS = [  # of lemmas that are held out and not, and of both
    [word] for word in (f"word{number}" for number in range(60))
] + [[f"word{number}", f"word{number + 1}"] for number in range(0, 59)]


def test_held_out_lemmas_of_wordnet_and_their_glosses_are_not_trained_on(tmp_path):
    lines = [
        f"{number:08d} 03 n {len(words):02x} {' '.join(f'{word} 0' for word in words)} 000 "
        f"| meaning {number}\n"
        for number, words in enumerate(SYNSETS)
    ]
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text("".join(lines) if part == "noun" else "")
    given = {"data_dir": tmp_path, "path": str(tmp_path), "rows": 0, "queries": 0}
    test = wordnet(**given, split="test")
    answers = {document for _, document, _ in test.judgements}
    for seed in (0, 1):
        train = wordnet(**given, split="train", disjoint=True, seed=seed)
        assert len(train.queries) > 20
        assert not set(train.queries.ids) & set(test.queries.ids)
        assert not set(train.documents.ids) & answers
        assert not any(map(is_held_out, train.queries.ids))
        again = wordnet(**given, split="train", disjoint=True, seed=seed)
        assert again.fingerprint == train.fingerprint
    shared = wordnet(**given, split="train")  # without `disjoint`, answers are in both
    assert set(shared.documents.ids) & answers


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.dims=[4, 32]", "training.dims: expected .*16"),
        ("training.methods=['fixed-32']", "fixed-32"),
        ("training.methods=['mrl-e']", "expected one of fixed-<d>, mrl, mrl-2d"),
        ("training.momentum=0.5", "training.momentum: expected none with training.pairs, got 0.5"),
        ("training.methods=['mrl-2d']", "mrl-2d: expected a model with layers"),
        ("training.pairs.name=nonsense", "no 'nonsense' among corpora"),
        ("training.nonsense=1", "training.nonsense: unknown key"),
        ("evaluation.encoders=['nonsense']", "no 'nonsense' among encoders"),
    ],
)
def test_bad_experiments_give_one_line(experiment, mrlbench, tmp_path, setting, expected):
    run = tmp_path / "run"
    status, out, err = mrlbench("train", experiment, "--run", run, "-q", f"--set={setting}")
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert re.search(expected, line), line
    assert not (run / "models").exists()


def test_a_folder_without_weights_and_a_corpus_without_pairs_give_one_line(
    experiment, mrlbench, tmp_path, static
):
    bare = tmp_path / "bare"
    shutil.copytree(static, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "labels.csv").write_text("text,label\nax,1\nbx,2\ncx,1\ndx,2\n")
    (tmp_path / "empty.csv").write_text("query,document\n")
    for setting, expected in (
        (f"model.model={bare}", "expected a model's weights in"),
        (f"training.pairs.path={tmp_path}/gone.csv", "gone.csv"),
        (f"training.pairs.path={tmp_path}/empty.csv", "expected"),
    ):
        run = tmp_path / "run"
        status, _, err = mrlbench("train", experiment, "--run", run, "-q", f"--set={setting}")
        assert status == 2, err
        (line,) = err.splitlines()
        assert expected in line
        assert not (run / "models").exists()


def test_an_installed_package_that_carries_a_model_is_found(static, tmp_path, monkeypatch):
    package = tmp_path / "theirs" / "their_model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('not to be run')\n")
    shutil.copytree(static, package / "model")
    monkeypatch.syspath_prepend(tmp_path / "theirs")
    assert load("text_models", "sentence-transformers")("their-model").width == WIDTH
    with pytest.raises(UserError, match="revision: expected none"):
        make("text_models", "sentence-transformers", {"model": "their-model", "revision": "1"})


def test_a_text_run_says_what_it_cannot_do(experiment, mrlbench, tmp_path):
    run = tmp_path / "run"
    assert mrlbench("train", experiment, "--run", run, "-q", "--methods=mrl")[0] == 0
    status, _, err = mrlbench("analyze", run, "--what=few-shot", "-q")
    assert status == 2
    assert "expected" in err.splitlines()[-1]
    status, _, err = mrlbench("embed", run, "--methods=fixed-16", "-q")
    assert status == 2
    assert "run `mrlbench train`" in err.splitlines()[-1]
    assert Path(experiment_file.find(experiment)) == experiment
