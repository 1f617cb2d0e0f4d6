"""Two towers: images and texts in one space, so that each finds the other (ALIGN, CLIP)."""

import torch
from torch import Tensor, nn


class TwoTowers(nn.Module):
    """A backbone for pairs: floats are images, integers are token ids, a pair is both.

    A subclass gives `width` and the two encoders.
    """

    width: int

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed normalised images, (B, 3, H, W) -> (B, D), not normalised."""
        raise NotImplementedError

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Embed token ids, (B, L) -> (B, D), not normalised."""
        raise NotImplementedError

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Embed images or texts, (B, D), or pairs: (2 B, D), all images first."""
        if isinstance(inputs, tuple):
            images, tokens = inputs
            return torch.cat([self.encode_images(images), self.encode_texts(tokens)])
        is_images = inputs.is_floating_point()
        return self.encode_images(inputs) if is_images else self.encode_texts(inputs)


class TextTower(nn.Module):
    """A small transformer over words, or their average.

    Args:
        width: D.
        vocabulary: How many token ids there are; 0 fills up short texts.
        length: Most tokens of a text.
        hidden: Width of the word vectors.
        layers: Of the transformer; 0 averages the word vectors.
        heads: Of the attention.
    """

    def __init__(
        self, width: int, vocabulary: int, length: int, hidden: int, layers: int, heads: int
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, hidden, padding_idx=0)
        self.positions = nn.Parameter(torch.zeros(length, hidden)) if layers else None
        block = nn.TransformerEncoderLayer(
            hidden, heads, 4 * hidden, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.output = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed token ids, (B, L) -> (B, D)."""
        filling = tokens == 0  # (B, L)
        words = self.words(tokens)  # (B, L, hidden)
        if self.positions is not None:
            words = words + self.positions[: tokens.shape[1]]
            words = self.blocks(words, src_key_padding_mask=filling)
        kept = (~filling).unsqueeze(2).to(words.dtype)  # (B, L, 1)
        mean = (words * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
        embedded: Tensor = self.output(mean)
        return embedded


class CaptionedBackbone(TwoTowers):
    """An image model with a text tower of its width beside it."""

    def __init__(self, image_tower: nn.Module, text_tower: TextTower, width: int) -> None:
        super().__init__()
        self.image_tower, self.text_tower, self.width = image_tower, text_tower, width

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed normalised images, (B, 3, H, W) -> (B, D)."""
        embedded: Tensor = self.image_tower(images)
        return embedded

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Embed token ids, (B, L) -> (B, D)."""
        embedded: Tensor = self.text_tower(tokens)
        return embedded


def with_text_tower(backbone: nn.Module, width: int, **tower: int) -> TwoTowers:
    """Put a text tower beside an image model, unless it has one.

    Args:
        backbone: The image model.
        width: D, of the image model.
        tower: Arguments of `TextTower`.
    """
    if isinstance(backbone, TwoTowers):
        return backbone
    return CaptionedBackbone(backbone, TextTower(width, **tower), width)
