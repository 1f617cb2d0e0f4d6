"""A separate model of one dim: the ranking loss alone."""

from collections.abc import Sequence
from typing import Any

from torch import nn


def fixed(
    sentences: Any,  # noqa: ANN401 (a SentenceTransformer)
    dims: Sequence[int],
    weights: Sequence[float],
    dim: int,
) -> nn.Module:
    """Rank each pair's document before the others of the batch, at one dim only.

    At the model's width this is `MultipleNegativesRankingLoss`, the twin of a Matryoshka model.

    Args:
        sentences: The model, of width D.
        dims: Not used: there is one.
        weights: Not used.
        dim: From 1 to D.
    """
    from sentence_transformers.sentence_transformer import losses

    ranking = losses.MultipleNegativesRankingLoss(sentences)
    whole = dim == sentences.get_embedding_dimension()
    return ranking if whole else losses.MatryoshkaLoss(sentences, ranking, [dim])
