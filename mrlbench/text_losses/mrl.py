"""Matryoshka: the ranking loss at each nested dim."""

from collections.abc import Sequence
from typing import Any

from torch import nn


def mrl(
    sentences: Any,  # noqa: ANN401 (a SentenceTransformer)
    dims: Sequence[int],
    weights: Sequence[float],
) -> nn.Module:
    """Rank each pair's document before the others of the batch, summed over the nested dims.

    This is sentence-transformers' `MatryoshkaLoss` around its `MultipleNegativesRankingLoss`.

    Args:
        sentences: The model.
        dims: M.
        weights: The paper's c_m, one for each dim.
    """
    from sentence_transformers.sentence_transformer import losses

    return losses.MatryoshkaLoss(
        sentences, losses.MultipleNegativesRankingLoss(sentences), dims, weights
    )
