"""What is known of a model by its name, and what its provider's own steps leave in the vectors."""

from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import FloatArray
from mrlbench.embedding.folder import Embeddings

MOST_DECIMALS = 6
CODES = 256  # of a byte
ROWS = 500  # that are looked at for their values
CENTRED = 1e-4  # of a row's root mean square: a mean this small is no chance


@dataclass(frozen=True)
class Known:
    """A model of which there is something to know.

    Attributes:
        name: Part of the model's name, in lower case.
        width: Coordinates of its whole vectors.
        note: What its authors or its provider say.
        source: Where.
    """

    name: str
    width: int
    note: str
    source: str


KNOWN = (
    Known(
        "text-embedding-ada-002",
        1536,
        "not offered at fewer dims",
        "platform.openai.com/docs/guides/embeddings",
    ),
    Known(
        "text-embedding-3-small",
        1536,
        "its `dimensions` cuts and normalises, as is done here: ask for all",
        "platform.openai.com/docs/guides/embeddings",
    ),
    Known(
        "text-embedding-3-large",
        3072,
        "its `dimensions` cuts and normalises, as is done here: ask for all",
        "platform.openai.com/docs/guides/embeddings",
    ),
    Known(
        "gemini-embedding-001",
        3072,
        "of unit length at 3072 only: normalise what it gives at fewer",
        "ai.google.dev/gemini-api/docs/embeddings",
    ),
    Known(
        "nomic-embed-text-v1",
        768,
        "often called nested; v1.5 is the one trained so",
        "huggingface.co/nomic-ai/nomic-embed-text-v1.5",
    ),
    Known(
        "nomic-embed-text-v1.5",
        768,
        "trained at 64, 128, 256, 512 and 768, with a layer norm over all coordinates before the "
        "cut",
        "huggingface.co/nomic-ai/nomic-embed-text-v1.5",
    ),
    Known(
        "embed-v4.0",
        1536,
        "offered at 256, 512, 1024 and 1536",
        "docs.cohere.com/docs/cohere-embed",
    ),
    Known(
        "voyage-3-large",
        2048,
        "offered at 256, 512, 1024 and 2048; what it gives unasked is 1024 wide",
        "docs.voyageai.com/docs/embeddings",
    ),
)
LAYER_NORMED = "nomic-embed-text-v1.5"


def known_model(embeddings: Embeddings) -> Known | None:
    """Find what is known of the model that `meta.json` names: the longest name that is part of it.

    None where it names none, or one of which nothing is known.
    """
    model = str(embeddings.meta.get("model", "")).lower()
    return max(
        (each for each in KNOWN if each.name in model),
        key=lambda each: len(each.name),
        default=None,
    )


def note_quirks(embeddings: Embeddings, database: FloatArray) -> tuple[str, ...]:
    """Say what is known of the model, and how the vectors were treated before they came here.

    Args:
        embeddings: For their name, width and stored values.
        database: A sample of them, (N, D).
    """
    known = known_model(embeddings)
    centred = _centred(database)
    notes = []
    if known is not None:
        notes.append(f"{known.name}: {known.note} ({known.source})")
        if embeddings.width < known.width:
            notes.append(
                f"{known.name} has {known.width} coordinates, and here are {embeddings.width}: "
                "these were cut before"
            )
        if known.name == LAYER_NORMED and centred != (embeddings.width == known.width):
            notes.append(
                "rows have a mean of 0, so the layer norm came after the cut"
                if centred
                else "rows do not have a mean of 0, so the layer norm was left out"
            )
    elif centred:
        notes.append(
            "the coordinates of each row have a mean of 0: a layer norm was applied, which has to "
            "come before a cut"
        )
    if (database >= 0).all():
        notes.append("no coordinate is ever negative: signs (binary codes) would say nothing")
    return (*notes, *_on_values(embeddings))


def _centred(database: FloatArray) -> bool:
    sizes = np.sqrt(np.einsum("nd,nd->n", database, database, dtype=np.float64) / database.shape[1])
    return bool((np.abs(database.mean(axis=1, dtype=np.float64)) <= CENTRED * sizes).all())


def _on_values(embeddings: Embeddings) -> tuple[str, ...]:
    """Tell codes and rounded numbers from real ones, by the values as they are stored."""
    some = np.asarray(embeddings.database[:ROWS])
    values = np.unique(some)
    if len(values) <= CODES < some.size:
        return (
            f"there are only {len(values)} different values: codes, not the model's own vectors",
        )
    if some.dtype == np.float16:
        return ()  # too coarse to tell rounded decimals from any
    for decimals in range(1, MOST_DECIMALS + 1):
        if (np.abs(values - np.round(values, decimals)) <= np.spacing(np.abs(values))).all():
            return (f"all values are rounded to {decimals} decimals",)
    return ()
