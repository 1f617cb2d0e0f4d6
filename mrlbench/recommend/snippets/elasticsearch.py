"""A plan as Elasticsearch's requests: a narrow dense_vector, rescored by a wider one."""

import json
from typing import Any

from mrlbench.recommend.snippets.setting import Setting

GRAPHS = {"float32": "hnsw", "float16": "hnsw", "int8": "int8_hnsw", "binary": "bbq_hnsw"}
SCANS = {"float32": "flat", "float16": "flat", "int8": "int8_flat", "binary": "bbq_flat"}


def elasticsearch(setting: Setting) -> str:
    """Write the mapping and the search; a ladder of several steps is one rescore for each."""
    return (
        f"PUT /items\n{json.dumps({'mappings': {'properties': _fields(setting)}}, indent=2)}\n\n"
        f"POST /items/_search\n{json.dumps(_search(setting), indent=2)}\n"
    )


def _fields(setting: Setting) -> dict[str, Any]:
    stage, index = setting.plan.stage, setting.plan.index
    options: dict[str, Any] = {"type": SCANS[stage.dtype]}
    if index.name == "hnsw":
        options = {"type": GRAPHS[stage.dtype], "m": index.links, "ef_construction": 100}
    first = {"type": "dense_vector", "dims": stage.dim, "similarity": "cosine"}
    fields: dict[str, Any] = {"first": {**first, "index": True, "index_options": options}}
    for _, dim in setting.steps:
        fields[f"rerank_{dim}"] = {"type": "dense_vector", "dims": dim, "index": False}
    return fields


def _search(setting: Setting) -> dict[str, Any]:
    plan = setting.plan
    knn = {
        "field": "first",
        "query_vector": f"<the query cut to {plan.stage.dim}, or its principal components>",
        "k": setting.length,
        "num_candidates": max(plan.effort if plan.index.links else 0, setting.length),
    }
    search: dict[str, Any] = {"size": setting.k, "query": {"knn": knn}}
    if setting.steps:
        search["rescore"] = [_rescore(length, dim) for length, dim in setting.steps]
    return search


def _rescore(length: int, dim: int) -> dict[str, Any]:
    script = {
        "source": f"cosineSimilarity(params.query, 'rerank_{dim}') + 1.0",
        "params": {"query": f"<the query cut to {dim}>"},
    }
    return {
        "window_size": length,
        "query": {
            "query_weight": 0,
            "rescore_query_weight": 1,
            "rescore_query": {"script_score": {"query": {"match_all": {}}, "script": script}},
        },
    }
