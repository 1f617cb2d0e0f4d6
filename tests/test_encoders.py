"""Encoders: their vectors against other implementations, and what is refused."""

import importlib
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest

from mrlbench.errors import UserError
from mrlbench.plugins import load, make, names

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


def test_every_encoder_is_found_by_its_file():
    assert {"wordllama"} <= set(names("encoders"))
