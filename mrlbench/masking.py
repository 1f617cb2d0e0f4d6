"""Masked text: blocks of tokens in which some are hidden, to be predicted (BERT)."""

from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import WHOLE, Inputs, IntArray
from mrlbench.protocols import Split

HIDDEN, RANDOM = 0.8, 0.1  # shares of the chosen tokens; the rest stay as they are (BERT, sec. 3.1)


@dataclass(frozen=True)
class Vocabulary:
    """The token ids that masking needs.

    Attributes:
        size: How many there are.
        start: Opens a block.
        end: Closes it.
        mask: Hides a token.
        ordinary: Ids of tokens of text, which a hidden one may be replaced by.
    """

    size: int
    start: int
    end: int
    mask: int
    ordinary: IntArray


class MaskedBlocks:
    """Blocks of L tokens, m of which are chosen at random: 80% hidden, 10% random, 10% as they are.

    Without a random generator, each block has masks of its own that never change, for evaluation.

    Args:
        blocks: (N, L - 2), tokens of consecutive text.
        vocabulary: Of these tokens.
        share: Of the tokens that are chosen; every block has as many.
    """

    def __init__(self, blocks: IntArray, vocabulary: Vocabulary, share: float = 0.15) -> None:
        self._blocks, self._vocabulary, self._share = blocks, vocabulary, share
        self.masks = max(1, round(share * blocks.shape[1]))  # m

    def __len__(self) -> int:
        """Count the blocks."""
        return len(self._blocks)

    def first(self, count: int) -> "MaskedBlocks":
        """Keep the first blocks."""
        return MaskedBlocks(self._blocks[:count], self._vocabulary, self._share)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> Inputs:
        """Read blocks by row: token ids (B, L), and which places to predict (B, m), both int64."""
        (ids, places), _ = self.mask(rows, random)
        return ids[part], places[part]

    def mask(
        self, rows: IntArray, random: np.random.Generator | None = None
    ) -> tuple[tuple[IntArray, IntArray], IntArray]:
        """Read blocks by row, with the right tokens (B, m) besides."""
        if random is None:
            each = [self._mask(rows[i : i + 1], _of_row(row)) for i, row in enumerate(rows)]
            ids, places, right = (np.concatenate(parts) for parts in zip(*each, strict=True))
        else:
            ids, places, right = self._mask(rows, random)
        return (ids, places), right

    def _mask(
        self, rows: IntArray, random: np.random.Generator
    ) -> tuple[IntArray, IntArray, IntArray]:
        vocabulary, text = self._vocabulary, np.asarray(self._blocks[rows], dtype=np.int64)
        ids = np.pad(text, ((0, 0), (1, 1)))  # (B, L)
        ids[:, 0], ids[:, -1] = vocabulary.start, vocabulary.end
        order = np.argsort(random.random(text.shape), axis=1)[:, : self.masks]  # no place twice
        places = np.sort(order, axis=1) + 1  # (B, m)
        right = np.take_along_axis(ids, places, axis=1)
        fate = random.random(places.shape)
        others = random.choice(vocabulary.ordinary, places.shape)
        shown = np.where(fate < HIDDEN + RANDOM, others, right)
        np.put_along_axis(ids, places, np.where(fate < HIDDEN, vocabulary.mask, shown), axis=1)
        return ids, places, right


@dataclass(frozen=True)
class MaskedSplit(Split):
    """Masked blocks with the tokens to predict: (N · m,) of the masks that never change.

    In a training split only the number of labels counts: they are drawn anew with the masks.
    """

    images: MaskedBlocks

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> tuple[Inputs, IntArray]:
        """Read blocks with new masks, and the right tokens, (B · m,)."""
        (ids, places), right = self.images.mask(rows, random)
        return (ids[part], places[part]), right[part].reshape(-1)


def masked_split(blocks: MaskedBlocks) -> MaskedSplit:
    """Look up the answers to the masks that never change."""
    _, right = blocks.mask(np.arange(len(blocks)))
    return MaskedSplit(blocks, right.reshape(-1))


def training_split(blocks: MaskedBlocks) -> MaskedSplit:
    """Give blocks whose masks are drawn when they are read."""
    return MaskedSplit(blocks, np.broadcast_to(np.int64(0), len(blocks) * blocks.masks))


def _of_row(row: int) -> np.random.Generator:
    return np.random.default_rng([15, int(row)])
