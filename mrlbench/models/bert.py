"""BERT by transformers: hidden states at the masked places of a text."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mrlbench.errors import UserError

if find_spec("transformers") is None:  # looked for and not imported: that takes seconds
    raise ModuleNotFoundError("transformers is not installed", name="transformers")


class bert(nn.Module):
    """A BERT encoder without its heads; D is the hidden size.

    The classifier of masked tokens is the method's, over the last hidden states. It is not tied
    to the input embeddings; `mrl-e`, one matrix for all dims, is nearest to that.

    Args:
        folder: A model that transformers saved (`config.json` and weights), to go on from; it then
            says all of the following. Empty begins anew.
        hidden_size: D.
        layers: Of the encoder.
        heads: Of the attention.
        intermediate_size: Of the feed-forward parts; 0 is 4 D.
        vocabulary: Token ids that are known.
        length: Most tokens of a block.
        dropout: Of hidden states and attention.
    """

    def __init__(
        self,
        folder: str = "",
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        intermediate_size: int = 0,
        vocabulary: int = 30522,
        length: int = 512,
        dropout: float = 0.1,
    ) -> None:
        import transformers

        super().__init__()
        if folder:
            self.network = _open(Path(folder))
        else:
            config = transformers.BertConfig(
                vocab_size=vocabulary,
                hidden_size=hidden_size,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=intermediate_size or 4 * hidden_size,
                max_position_embeddings=length,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            )
            self.network = transformers.BertModel(config, add_pooling_layer=False)
        self.width: int = self.network.config.hidden_size
        self.vocabulary: int = self.network.config.vocab_size
        self.length: int = self.network.config.max_position_embeddings

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Embed token ids (B, L) at the places (B, m) -> (B · m, D)."""
        ids, places = inputs
        hidden = self.network(input_ids=ids).last_hidden_state  # (B, L, D)
        chosen = places.unsqueeze(2).expand(-1, -1, hidden.shape[2])  # (B, m, D)
        embedded: Tensor = hidden.gather(1, chosen).flatten(0, 1)
        return embedded


def _open(folder: Path) -> Any:  # noqa: ANN401 (transformers is not typed here)
    """Load a local folder; only its shape where nothing is to be allocated."""
    import transformers

    if not (folder / "config.json").is_file():
        raise UserError(
            f"model bert: expected a folder that transformers saved, with config.json, got {folder}"
        )
    if torch.get_default_device().type == "meta":
        config = transformers.BertConfig.from_pretrained(folder)
        return transformers.BertModel(config, add_pooling_layer=False)
    transformers.utils.logging.disable_progress_bar()
    return transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
