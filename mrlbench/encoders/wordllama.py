"""WordLlama: means of token vectors that were trained with a Matryoshka loss; no network."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench.arrays import FloatArray
from mrlbench.errors import UserError
from mrlbench.protocols import Encoder, Role

MODEL = "l2_supercat"  # the one whose weights are in the package
WIDTH = 256


def wordllama() -> Encoder:
    """Average the vectors of a text's tokens, 256 dims; the weights come with the package.

    The package's files are read, and its code is not run: that sets up logging when imported.

    Raises:
        UserError: The package is not installed, or has no weights.
    """
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise UserError("encoders wordllama: needs the package: pip install wordllama")
    folder = Path(found.origin).parent
    weights = folder / "weights" / f"{MODEL}_{WIDTH}.safetensors"
    if not weights.is_file():
        raise UserError(f"encoders wordllama: expected weights in {weights}, got no such file")
    return _WordLlama(folder, weights)


class _WordLlama:
    identity: Mapping[str, str]
    trained_dims: tuple[int, ...]
    steps: tuple[str, ...] = ("mean of token vectors",)

    def __init__(self, folder: Path, weights: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        tokenizer = folder / "tokenizers" / f"{MODEL}_tokenizer_config.json"
        self._tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._vectors: FloatArray = load_file(weights)["embedding.weight"].astype(np.float32)
        training = tomllib.loads((folder / "config" / "train" / f"{MODEL}.toml").read_text())
        trained = training["matryoshka"]["dims"]
        self.trained_dims = tuple(sorted(dim for dim in trained if dim <= WIDTH))
        self.identity = {
            "encoder": "wordllama",
            "model": f"wordllama {MODEL} {WIDTH}",
            "revision": version("wordllama"),
        }

    def encode(self, items: Sequence[str], role: Role) -> FloatArray:
        """Average each text's token vectors; the role makes no difference."""
        # start and end marks are no part of a mean that was trained without them
        encoded = self._tokenizer.encode_batch(list(items), add_special_tokens=False)
        vectors = np.zeros((len(items), WIDTH), dtype=np.float32)
        for row, each in enumerate(encoded):
            if each.ids:
                vectors[row] = self._vectors[each.ids].mean(axis=0)
        return vectors
