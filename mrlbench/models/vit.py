"""Vision transformers: torchvision's, ViT-B/16 unless told otherwise."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vision_transformer import VisionTransformer

from mrlbench.errors import UserError


class vit(nn.Module):
    """A vision transformer without its classifier; D = `hidden`, 768 for ViT-B/16.

    Args:
        image_size: Side in pixels that the position embeddings are made for; images of other
            sizes, as in a training whose images grow, see them interpolated.
        patch_size: Side of a patch in pixels.
        layers: Transformer blocks.
        heads: Attention heads; they divide `hidden`.
        hidden: D, the width of every token.
        mlp_width: Hidden width of the blocks' perceptrons; 0 takes 4 D.
    """

    def __init__(
        self,
        image_size: int = 224,
        patch_size: int = 16,
        layers: int = 12,
        heads: int = 12,
        hidden: int = 768,
        mlp_width: int = 0,
    ) -> None:
        super().__init__()
        if image_size % patch_size or hidden % heads:
            raise UserError(
                f"models vit: expected patch_size to divide image_size and heads to divide hidden, "
                f"got {patch_size} and {image_size}, {heads} and {hidden}"
            )
        self.network = VisionTransformer(
            image_size, patch_size, layers, heads, hidden, mlp_width or 4 * hidden
        )
        self.width = hidden
        self.network.heads = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalised images, (B, 3, H, W) -> (B, D): the class token after the last norm."""
        network = self.network
        patches = network.conv_proj(images)  # (B, D, rows, columns)
        positions = self._positions(patches.shape[2], patches.shape[3])
        tokens = patches.flatten(2).transpose(1, 2)  # (B, rows × columns, D)
        first = network.class_token.expand(len(images), -1, -1)
        tokens = torch.cat([first, tokens], dim=1) + positions
        encoder = network.encoder
        result: Tensor = encoder.ln(encoder.layers(encoder.dropout(tokens)))
        return result[:, 0]

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Give the position embeddings for a grid of patches, (1, 1 + rows × columns, D)."""
        known: Tensor = self.network.encoder.pos_embedding
        side = self.network.image_size // self.network.patch_size
        if (rows, columns) == (side, side):
            return known
        grid = known[:, 1:].transpose(1, 2).reshape(1, -1, side, side)  # (1, D, side, side)
        resized = functional.interpolate(grid, (rows, columns), mode="bicubic", antialias=True)
        return torch.cat([known[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
