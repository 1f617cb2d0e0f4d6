"""Any model of the sentence-transformers package, from a folder or by its name."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mrlbench.arrays import FloatArray
from mrlbench.errors import UserError
from mrlbench.language_models import (
    ModelFolder,
    count_longer,
    find_model,
    open_pipeline,
    set_length,
)
from mrlbench.protocols import Encoder, Role

LAYER_NORM = "nomic-embed-text-v1.5"  # its authors normalise so before they cut
DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # as models call them
WORDS = {"Normalize": "length 1", "StaticEmbedding": "mean of token vectors"}


def sentence_transformers(
    name: str,
    revision: str = "",
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    batch: int = 32,
    dtype: Literal["float32", "bf16"] = "float32",
    max_length: int = 0,
    layer_norm: bool | None = None,
    trust_remote_code: bool = False,
    device: str = "cpu",
) -> Encoder:
    """Encode as the model's own files say, at full width.

    Args:
        name: A folder, an installed package with a model in it, or a name of the Hugging Face hub.
        revision: A commit or tag of the hub; empty takes the newest.
        query_prompt: Put before each query; None takes the model's own.
        document_prompt: Put before each document; None takes the model's own.
        batch: Texts computed at once, of like lengths.
        dtype: What the model computes in; vectors are float32.
        max_length: Tokens that are read of a text; 0 takes the model's limit.
        layer_norm: Whether vectors get a layer norm before anything is cut from them; None does so
            where the name says nomic-embed-text-v1.5.
        trust_remote_code: Whether to run code that comes with the model.
        device: Where it computes.

    Raises:
        UserError: No such model, no network, no weights, or a number that cannot be.
    """
    if batch < 1 or max_length < 0:
        raise UserError(
            "encoders sentence-transformers: expected batch from 1 and max_length from 0, "
            f"got {batch} and {max_length}"
        )
    files = find_model(name, revision)
    normalised = LAYER_NORM in name.lower() if layer_norm is None else layer_norm
    model = open_pipeline(files, device, dtype, trust_remote_code)
    set_length(model, max_length)
    given: dict[Role, str | None] = {"query": query_prompt, "document": document_prompt}
    return _SentenceTransformers(files, model, given, batch, normalised, dtype)


class _SentenceTransformers:
    identity: Mapping[str, str]
    trained_dims: tuple[int, ...]
    steps: tuple[str, ...]

    def __init__(
        self,
        files: ModelFolder,
        model: Any,  # noqa: ANN401
        prompts: Mapping[Role, str | None],
        batch: int,
        layer_norm: bool,
        dtype: str,
    ) -> None:
        self._model, self._batch, self._layer_norm = model, batch, layer_norm
        own = {"query": ("query",), "document": DOCUMENT_PROMPTS}
        self._prompts = {
            role: _own_prompt(model.prompts, own[role]) if given is None else given
            for role, given in prompts.items()
        }
        limit = model.max_seq_length
        self.max_length = int(limit) if limit and np.isfinite(limit) else 0  # 0 reads all
        self.trained_dims = files.trained_dims(model.get_embedding_dimension() or 0)
        self.steps = (*_steps(model), *(("layer norm",) if layer_norm else ()))
        self.identity = {
            "encoder": "sentence-transformers",
            **files.identity,
            **{f"{role}_prompt": prompt for role, prompt in self._prompts.items()},
            "dtype": dtype,
            "max_length": str(self.max_length),
            "layer_norm": str(layer_norm),
        }

    def encode(self, items: Sequence[str], role: Role) -> FloatArray:
        """Encode with the prompt of the role."""
        from torch.nn.functional import layer_norm

        encode = self._model.encode_query if role == "query" else self._model.encode_document
        vectors = encode(
            list(items),
            prompt=self._prompts[role],
            batch_size=self._batch,
            show_progress_bar=False,
            convert_to_tensor=True,
        ).float()  # (B, D)
        if self._layer_norm:
            vectors = layer_norm(vectors, vectors.shape[1:])
        result: FloatArray = vectors.cpu().numpy()
        return result

    def count_cut(self, items: Sequence[str], role: Role) -> int:
        """Count the texts that are longer than the model's limit."""
        if not self.max_length:
            return 0
        texts = [self._prompts[role] + item for item in items]
        return count_longer(self._model.tokenizer, texts, self.max_length)


def _own_prompt(prompts: Mapping[str, str], names: Sequence[str]) -> str:
    return next((prompts[name] for name in names if prompts.get(name)), "")


def _steps(model: Any) -> list[str]:  # noqa: ANN401
    """Name the modules of the pipeline in words."""
    steps = []
    for module in model:
        kind = type(module).__name__
        mode = getattr(module, "pooling_mode", None)
        modes = [mode] if isinstance(mode, str) else list(mode or [])
        steps.append(f"{' and '.join(modes)} pooling" if modes else WORDS.get(kind, kind.lower()))
    return steps
