"""Any encoder of the transformers package, whose last hidden states are pooled here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mrlbench.arrays import FloatArray, blocks
from mrlbench.errors import UserError
from mrlbench.language_models import (
    ModelFolder,
    check_length,
    check_own_code,
    count_longer,
    find_model,
    loading,
)
from mrlbench.protocols import Encoder, Role

if TYPE_CHECKING:  # heavy: not to list encoders
    from torch import Tensor

Pooling = Literal["mean", "cls", "max"]


def hf_transformers(
    name: str,
    revision: str = "",
    pooling: Pooling = "mean",
    query_prompt: str = "",
    document_prompt: str = "",
    batch: int = 32,
    dtype: Literal["float32", "bf16"] = "float32",
    max_length: int = 0,
    trust_remote_code: bool = False,
    device: str = "cpu",
) -> Encoder:
    """Pool the last hidden states of a model over the tokens of each text.

    Args:
        name: A folder, or a name of the Hugging Face hub.
        revision: A commit or tag of the hub; empty takes the newest.
        pooling: The mean of all tokens' states, that of the first (cls), or the largest of each
            coordinate (max); padding is no part of them.
        query_prompt: Put before each query.
        document_prompt: Put before each document.
        batch: Texts computed at once, of like lengths.
        dtype: What the model computes in; vectors are float32.
        max_length: Tokens that are read of a text; 0 takes the model's limit.
        trust_remote_code: Whether to run code that comes with the model.
        device: Where it computes.

    Raises:
        UserError: No such model, no network, no weights or not all, or a number that cannot be.
    """
    if batch < 1 or max_length < 0:
        raise UserError(
            "encoders hf-transformers: expected batch from 1 and max_length from 0, "
            f"got {batch} and {max_length}"
        )
    files = find_model(name, revision)
    check_own_code(files, trust_remote_code)
    tokenizer, model = _open(files, dtype, trust_remote_code)
    check_length(max_length, model.config)
    limit = max_length or _limit(tokenizer, model.config)
    prompts: dict[Role, str] = {"query": query_prompt, "document": document_prompt}
    encoder = _Transformers(files, prompts, pooling, limit, dtype)
    encoder.use(tokenizer, model.to(device).eval(), batch)
    return encoder


def _open(files: ModelFolder, dtype: str, trusted: bool) -> tuple[Any, Any]:
    """Load tokenizer and model; neither is typed here."""
    with loading(files):
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        how = {"local_files_only": not trusted, "trust_remote_code": trusted}
        tokenizer = transformers.AutoTokenizer.from_pretrained(files.path, **how)
        model, loaded = transformers.AutoModel.from_pretrained(
            files.path,
            **how,
            dtype=torch.bfloat16 if dtype == "bf16" else torch.float32,
            output_loading_info=True,
        )
    # the library would draw them at random and go on; the pooler's are not used here
    missing = sorted(key for key in loaded["missing_keys"] if "pooler" not in key)
    if missing:
        raise UserError(
            f"expected all weights of the model in {files.path}, got none for {missing[0]} "
            f"and {len(missing) - 1} others"
        )
    if tokenizer.pad_token is None:  # as of decoders; padding is masked, whatever it is
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model.get_encoder() if model.config.is_encoder_decoder else model


def _limit(tokenizer: Any, config: Any) -> int:  # noqa: ANN401
    """Find the model's limit; a tokenizer that states none states 1e30."""
    positions = getattr(config, "max_position_embeddings", 0) or tokenizer.model_max_length
    return int(min(tokenizer.model_max_length, positions))


class _Transformers:
    identity: Mapping[str, str]
    trained_dims: tuple[int, ...]
    steps: tuple[str, ...]

    def __init__(
        self,
        files: ModelFolder,
        prompts: Mapping[Role, str],
        pooling: Pooling,
        limit: int,
        dtype: str,
    ) -> None:
        self._files, self._prompts, self._pooling = files, prompts, pooling
        self.max_length = limit
        self.steps = ("transformer", f"{pooling} pooling")
        self.identity = {
            "encoder": "hf-transformers",
            **files.identity,
            **{f"{role}_prompt": prompt for role, prompt in prompts.items()},
            "pooling": pooling,
            "dtype": dtype,
            "max_length": str(limit),
        }

    def use(self, tokenizer: Any, model: Any, batch: int) -> None:  # noqa: ANN401
        """Take what computes."""
        self._tokenizer, self._model, self._batch = tokenizer, model, batch
        self.trained_dims = self._files.trained_dims(model.config.hidden_size)

    def encode(self, items: Sequence[str], role: Role) -> FloatArray:
        """Encode with the prompt of the role, texts of like lengths together."""
        texts = [self._prompts[role] + item for item in items]
        order = np.argsort([-len(text) for text in texts], kind="stable")  # (B,)
        vectors = np.empty((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for rows in blocks(len(texts), self._batch):
            vectors[order[rows]] = self._embed([texts[row] for row in order[rows]])
        return vectors

    def count_cut(self, items: Sequence[str], role: Role) -> int:
        """Count the texts that are longer than the limit."""
        texts = [self._prompts[role] + item for item in items]
        return count_longer(self._tokenizer, texts, self.max_length)

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        import torch

        inputs = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            padding=True,
            return_tensors="pt",
        ).to(self._model.device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state.float()  # (B, L, D)
        pooled: FloatArray = pool(states, inputs["attention_mask"], self._pooling).cpu().numpy()
        return pooled


def pool(states: "Tensor", mask: "Tensor", pooling: Pooling) -> "Tensor":
    """Pool hidden states (B, L, D) where the mask (B, L) is 1 -> (B, D)."""
    import torch

    there = mask.unsqueeze(2)  # (B, L, 1)
    if pooling == "mean":
        return (states * there).sum(dim=1) / there.sum(dim=1)
    if pooling == "max":
        return states.masked_fill(there == 0, -torch.inf).amax(dim=1)
    first = mask.argmax(dim=1)  # (B,); padding may stand on the left
    return states[torch.arange(len(states), device=states.device), first]
