"""Captions made of class names: image data sets become pairs of image and text."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import WHOLE, InputArray, Inputs, IntArray
from mrlbench.errors import UserError
from mrlbench.images import only_images
from mrlbench.protocols import Dataset, Split

Tokenizer = Callable[[Sequence[str]], IntArray]  # T texts -> (T, L), 0 fills up


class Tokens:
    """Token ids of texts; there is nothing to augment.

    Args:
        ids: (T, L) int64.
    """

    def __init__(self, ids: IntArray) -> None:
        self._ids = ids

    def __len__(self) -> int:
        """Count the texts."""
        return len(self._ids)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> InputArray:
        """Read texts by row, (B, L) int64."""
        return self._ids[rows[part]]


@dataclass(frozen=True)
class CaptionedSplit(Split):
    """Images that are read with a caption of their class.

    The answers to a batch of B pairs are 0 … B - 1 twice: each image is to find its own caption,
    and each caption its own image. Another caption of the same class in the batch counts as wrong,
    as in ALIGN and CLIP, which do not know of classes.

    Attributes:
        captions: Token ids of each class in each template, (C, T, L).
    """

    captions: IntArray

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> tuple[Inputs, IntArray]:
        """Read images (B, 3, H, W) with tokens (B, L), the template drawn from `random`."""
        images, labels = only_images(self.images.read(rows, random, size, part)), self.labels[rows]
        count = self.captions.shape[1]
        chosen = 0 if random is None else random.integers(0, count, len(rows))
        captions = self.captions[labels, chosen][part]
        return (images, captions), np.tile(np.arange(len(rows))[part], 2)


def captioned(dataset: Dataset, templates: Sequence[str], tokenize: Tokenizer) -> Dataset:
    """Make captions of the class names, to train on and as prompts for zero-shot classification.

    Args:
        dataset: Images with class names.
        templates: Such as `a photo of a {}`.
        tokenize: Turns texts into token ids.

    Returns:
        The same images; `train` gives pairs, `texts` are all captions with their class.
    """
    prompts = [template.replace("{}", name) for name in dataset.classes for template in templates]
    ids = tokenize(prompts)  # (C · T, L)
    captions = ids.reshape(len(dataset.classes), len(templates), -1)
    train = CaptionedSplit(dataset.train.images, dataset.train.labels, captions)
    labels = np.repeat(np.arange(len(dataset.classes)), len(templates))
    return replace(dataset, train=train, texts=Split(Tokens(ids), labels))


def word_tokenizer(vocabulary: int, length: int) -> Tokenizer:
    """Number the words of the texts in alphabetical order, from 1.

    Args:
        vocabulary: Token ids that there may be; too many words are refused.
        length: Words that are read of a text.
    """

    def tokenize(texts: Sequence[str]) -> IntArray:
        split = [re.findall(r"\w+|[^\w\s]", text.lower())[:length] for text in texts]
        words = sorted({word for text in split for word in text})
        if len(words) >= vocabulary:
            raise UserError(
                f"training.captions.vocabulary: expected more than the {len(words)} words of all "
                f"captions, got {vocabulary}"
            )
        number = {word: row for row, word in enumerate(words, 1)}
        ids = np.zeros((len(texts), max(len(text) for text in split)), dtype=np.int64)
        for row, text in enumerate(split):
            ids[row, : len(text)] = [number[word] for word in text]
        return ids

    return tokenize
