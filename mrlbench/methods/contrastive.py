"""Contrastive Matryoshka: images find their texts, and texts their images, at each nested dim."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mrlbench.heads import NestedHead

START, LARGEST = 1 / 0.07, 100.0  # of the inverse temperature, as in CLIP


class contrastive(NestedHead):
    """Symmetric InfoNCE summed over nested dims, each prefix normalised on its own (ALIGN).

    The logits at m are cosines between the first m coordinates of both towers, over a temperature
    that is learned with the rest; a batch is B pairs, and so the classes are its B members.
    Normalising before cutting would let the later coordinates scale the narrow losses (paper,
    sec. 3: the normalisation is handled independently for each nested dim).

    Args:
        width: D.
        classes: Not used: there is no classifier.
        dims: M.
        weights: The paper's c_m.
        dim: Train this one dim only, the separate model of a fixed width; 0 trains all of M.
    """

    paired = True

    def __init__(
        self,
        width: int,
        classes: int,
        dims: Sequence[int],
        weights: Sequence[float],
        dim: int = 0,
    ) -> None:
        super().__init__([dim] if dim else dims, [1.0] if dim else weights)
        self.log_scale = nn.Parameter(torch.tensor(math.log(START)))

    def scale(self) -> Tensor:
        """Give the inverse temperature, at most 100."""
        return self.log_scale.exp().clamp(max=LARGEST)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        """Compare images, the first half of (2 B, D), with texts, the second.

        Returns:
            One (2 B, B) for each dim: the images' logits over texts, then the texts' over images.
        """
        images, texts = embeddings.float().chunk(2)
        with torch.autocast(embeddings.device.type, enabled=False):  # bf16 tells cosines badly
            pairs = [self._cosines(images, texts, dim) for dim in self.dims]
            return [torch.cat([each, each.T]) * self.scale() for each in pairs]

    def zero_shot(self, images: Tensor, texts: Tensor, classes: Tensor) -> list[Tensor]:
        """Classify images by the texts that describe each class, without training for it.

        At each dim the texts of a class are cut, normalised, averaged, and normalised again.

        Args:
            images: (B, D).
            texts: (T, D).
            classes: The class of each text, (T,), from 0 to C - 1, all of them present.

        Returns:
            One (B, C) of logits for each dim.
        """
        members = functional.one_hot(classes).to(texts.dtype).T  # (C, T)
        counts = members.sum(dim=1, keepdim=True)
        logits = []
        for dim in self.dims:
            averages = members @ _unit(texts, dim) / counts  # (C, dim)
            logits.append(self._cosines(images, averages, dim) * self.scale())
        return logits

    def _cosines(self, some: Tensor, others: Tensor, dim: int) -> Tensor:
        return _unit(some, dim) @ _unit(others, dim).T


def _unit(vectors: Tensor, dim: int) -> Tensor:
    """Cut to the first `dim` coordinates, then normalise."""
    return functional.normalize(vectors[:, :dim], dim=1)
