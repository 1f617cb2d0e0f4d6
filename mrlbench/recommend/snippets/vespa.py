"""A plan as a Vespa schema and query: the last rerank is the second phase."""

from mrlbench.recommend.snippets.setting import Setting

CELLS = {"float32": "float", "float16": "bfloat16", "int8": "bfloat16", "binary": "int8"}


def vespa(setting: Setting) -> str:
    """Write the schema and the query; vectors are cut and normalised by the client."""
    plan = setting.plan
    stage, graph = plan.stage, plan.index.name == "hnsw"
    size, metric = (stage.dim, "prenormalized-angular")
    if stage.dtype == "binary":
        size, metric = (-(-stage.dim // 8), "hamming")  # eight signs in a cell
    first = f"tensor<{CELLS[stage.dtype]}>(x[{size}])"
    links = f"            index: hnsw {{ max-links-per-node: {plan.index.links} }}\n"
    index, approximate = (links, "true") if graph else ("", "false")
    explore = max(plan.effort - setting.length, 0) if graph else 0
    return (
        "schema item {\n    document item {\n"
        f"        field first type {first} {{\n            indexing: attribute | index\n"
        f"            attribute {{ distance-metric: {metric} }}\n{index}        }}\n"
        f"{_rerank_field(setting)}    }}\n"
        f"    rank-profile plan {{\n        inputs {{\n            query(asked) {first}\n"
        f"{_rerank_input(setting)}        }}\n"
        "        first-phase { expression: closeness(field, first) }\n"
        f"{_second_phase(setting)}    }}\n}}\n\n"
        f"select * from item where {{targetHits: {setting.length}, approximate: {approximate}, "
        f"hnsw.exploreAdditionalHits: {explore}}}nearestNeighbor(first, asked)\n"
        f"&ranking.profile=plan&hits={setting.k}\n"
    )


def _wide(setting: Setting) -> str:
    rerank = setting.plan.rerank
    return f"tensor<{CELLS[rerank.dtype]}>(x[{rerank.dims[-1]}])" if rerank else ""


def _rerank_field(setting: Setting) -> str:
    if not setting.steps:
        return ""
    kind = _wide(setting)
    return f"        field whole type {kind} {{\n            indexing: attribute\n        }}\n"


def _rerank_input(setting: Setting) -> str:
    return f"            query(whole) {_wide(setting)}\n" if setting.steps else ""


def _second_phase(setting: Setting) -> str:
    if not setting.steps:
        return ""
    return (
        f"        second-phase {{\n            rerank-count: {setting.steps[0][0]}\n"
        "            expression: sum(query(whole) * attribute(whole))\n        }\n"
    )
