"""A plan where the vectors are made: sentence-transformers' and OpenAI's own short vectors."""

from mrlbench.recommend.snippets.setting import Setting

PRECISIONS = {"int8": "int8", "binary": "ubinary"}


def sentence_transformers(setting: Setting) -> str:
    """Write how to encode; one encoding serves the first stage and the reranks."""
    stage = setting.plan.stage
    lines = [
        "from sentence_transformers import SentenceTransformer",
        "",
        f'model = SentenceTransformer("MODEL", truncate_dim={setting.stored_dim})',
        "vectors = model.encode(texts, normalize_embeddings=True)",
    ]
    if stage.dtype in PRECISIONS and not setting.steps:
        lines[0] += "\nfrom sentence_transformers.quantization import quantize_embeddings"
        lines.append(f'codes = quantize_embeddings(vectors, precision="{PRECISIONS[stage.dtype]}")')
    if stage.dim < setting.stored_dim and stage.reducer == "prefix":
        lines.append(f"short = vectors[:, :{stage.dim}]  # and normalise again")
    return "\n".join(lines) + "\n"


def openai(setting: Setting) -> str:
    """Write the request; its `dimensions` are the cut, normalised."""
    return (
        "from openai import OpenAI\n\n"
        "answer = OpenAI().embeddings.create(\n"
        f'    model="text-embedding-3-large", input=texts, dimensions={setting.stored_dim}\n)\n'
        "vectors = [each.embedding for each in answer.data]\n"
    )
