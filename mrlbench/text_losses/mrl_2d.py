"""Matryoshka in two directions: fewer dims, and fewer layers."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from mrlbench.errors import UserError


def mrl_2d(
    sentences: Any,  # noqa: ANN401 (a SentenceTransformer)
    dims: Sequence[int],
    weights: Sequence[float],
) -> nn.Module:
    """Rank as `mrl` does, at one drawn dim and after one drawn layer in each step besides the last.

    This is sentence-transformers' `Matryoshka2dLoss` around its `MultipleNegativesRankingLoss`
    (Li et al., "2D Matryoshka Sentence Embeddings", arXiv 2402.14776).

    Args:
        sentences: The model, a transformer.
        dims: M.
        weights: The paper's c_m, one for each dim.

    Raises:
        UserError: The model has no layers.
    """
    from sentence_transformers.sentence_transformer import losses

    if sentences.transformers_model is None:
        raise UserError("method mrl-2d: expected a model with layers, a transformer, got none")
    ranking = losses.MultipleNegativesRankingLoss(sentences)
    return losses.Matryoshka2dLoss(sentences, ranking, list(dims), list(weights))
