"""A plan as Qdrant's requests: named vectors, and nested prefetches that are the ladder."""

import json
from typing import Any

from mrlbench.recommend.snippets.setting import Setting

TYPES = {"float32": "float32", "float16": "float16", "int8": "float16", "binary": "float32"}


def qdrant(setting: Setting) -> str:
    """Write the requests that make the collection and search it; vectors are cut by the client."""
    return (
        f"PUT /collections/items\n{json.dumps(_collection(setting), indent=2)}\n\n"
        f"POST /collections/items/points/query\n{json.dumps(_query(setting), indent=2)}\n"
    )


def _collection(setting: Setting) -> dict[str, Any]:
    stage, index = setting.plan.stage, setting.plan.index
    first: dict[str, Any] = {
        "size": stage.dim,
        "distance": "Cosine",
        "datatype": TYPES[stage.dtype],
        "hnsw_config": {"m": index.links, "ef_construct": 100},  # 0 links: every row is compared
    }
    if stage.dtype == "int8":
        first["quantization_config"] = {"scalar": {"type": "int8", "always_ram": True}}
    if stage.dtype == "binary":
        first["quantization_config"] = {"binary": {"always_ram": True}}
    vectors = {"first": first}
    for _, dim in setting.steps:
        vectors[f"rerank-{dim}"] = {
            "size": dim,
            "distance": "Cosine",
            "datatype": TYPES[setting.plan.rerank.dtype if setting.plan.rerank else "float32"],
            "hnsw_config": {"m": 0},
        }
    return {"vectors": vectors}


def _query(setting: Setting) -> dict[str, Any]:
    plan, steps = setting.plan, setting.steps
    exact = plan.index.name != "hnsw"  # Qdrant has no inverted file
    parameters: dict[str, Any] = {"exact": exact} if exact else {"hnsw_ef": plan.effort}
    query: dict[str, Any] = {
        "query": f"<the query cut to {plan.stage.dim}, or its principal components>",
        "using": "first",
        "limit": setting.length,
        "params": {**parameters, "quantization": {"rescore": False}},
    }
    lengths = [length for length, _ in steps[1:]] + [setting.k]
    for (_, dim), kept in zip(steps, lengths, strict=False):
        query = {
            "prefetch": query,
            "query": f"<the query cut to {dim}>",
            "using": f"rerank-{dim}",
            "limit": kept,
        }
    return query
