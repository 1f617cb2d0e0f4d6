"""A plan in PostgreSQL with pgvector: an index on an expression, and reranks around it."""

from mrlbench.recommend.snippets.setting import Setting

TYPES = {"float32": "vector", "float16": "halfvec", "int8": "halfvec"}
NO_INT8 = "-- pgvector has no int8: halfvec takes twice the bytes of the plan's int8\n"
WHOLE = "embedding"
REDUCED = "-- the client fills this column: the principal components of the embedding\n"


def pgvector(setting: Setting) -> str:
    """Write a table, its index and a query whose parameters are the vectors that are asked."""
    plan = setting.plan
    int8 = "int8" in (plan.stage.dtype, plan.rerank.dtype if plan.rerank else "")
    return (NO_INT8 if int8 else "") + _table(setting) + _index(setting) + _query(setting) + ";\n"


def _table(setting: Setting) -> str:
    rerank, stage = setting.plan.rerank, setting.plan.stage
    kind = TYPES[rerank.dtype] if rerank else TYPES.get(stage.dtype, "vector")
    columns = f"id bigint PRIMARY KEY, {WHOLE} {kind}({setting.stored_dim})"
    if stage.reducer != "prefix":
        columns += f", reduced {TYPES.get(stage.dtype, 'vector')}({stage.dim})"
        return f"{REDUCED}CREATE TABLE items ({columns});\n"
    return f"CREATE TABLE items ({columns});\n"


def _first(setting: Setting, vector: str) -> str:
    """Give the first stage's vector, of a column or of a parameter, as an expression."""
    stage = setting.plan.stage
    narrow = vector
    if stage.reducer == "prefix" and stage.dim < setting.stored_dim:
        narrow = f"subvector({vector}, 1, {stage.dim})"
    if stage.dtype == "binary":
        return f"binary_quantize({narrow})::bit({stage.dim})"
    return f"{narrow}::{TYPES[stage.dtype]}({stage.dim})"


def _index(setting: Setting) -> str:
    plan = setting.plan
    column = WHOLE if plan.stage.reducer == "prefix" else "reduced"
    expression = f"(({_first(setting, column)}) {TYPES.get(plan.stage.dtype)}_cosine_ops)"
    if plan.index.name == "hnsw":
        return (
            f"CREATE INDEX ON items USING hnsw {expression} WITH (m = {plan.index.links}, "
            f"ef_construction = {max(40, 2 * plan.index.links)});\n"
            f"SET hnsw.ef_search = {plan.effort};\n"
        )
    if plan.index.name == "ivf":
        return (
            f"-- after the rows are in\nCREATE INDEX ON items USING ivfflat {expression} "
            f"WITH (lists = {setting.cells});\nSET ivfflat.probes = {plan.effort};\n"
        )
    return "-- every row is compared: no index\n"


def _query(setting: Setting) -> str:
    plan, steps = setting.plan, setting.steps
    column, parameter = (WHOLE, "$1") if plan.stage.reducer == "prefix" else ("reduced", "$2")
    kind = TYPES[plan.rerank.dtype] if plan.rerank else TYPES.get(plan.stage.dtype, "vector")
    asked = f"{parameter}::{TYPES.get(plan.stage.dtype, 'vector')}"
    asked = f"{parameter}::{kind}" if plan.stage.reducer == "prefix" else asked
    operator = "<~>" if plan.stage.dtype == "binary" else "<=>"
    lengths = [length for length, _ in steps[1:]] + [setting.k]
    query = (
        f"SELECT id, {WHOLE} FROM items\n"
        f"ORDER BY {_first(setting, column)} {operator} {_first(setting, asked)}\n"
        f"LIMIT {setting.length}"
    )
    for (_, dim), kept in zip(steps, lengths, strict=False):
        mine, theirs = WHOLE, f"$1::{kind}"
        if dim < setting.stored_dim:
            mine, theirs = (f"subvector({each}, 1, {dim})" for each in (mine, theirs))
        query = (
            f"SELECT id, {WHOLE} FROM (\n{_indent(query)}\n) AS shortlist\n"
            f"ORDER BY {mine} <=> {theirs}\nLIMIT {kept}"
        )
    return query


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
