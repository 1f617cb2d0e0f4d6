"""A plan in PostgreSQL with pgvector: an index on an expression, and reranks around it."""

from mrlbench.recommend.plans import EXACT, Plan
from mrlbench.recommend.snippets.setting import Setting

TYPES = {"float32": "vector", "float16": "halfvec", "int8": "halfvec", "binary": "vector"}
INDEXED_DIMS = 2000  # most that pgvector indexes as `vector`; halves may have twice as many
LARGEST_EF = 1000  # of hnsw.ef_search
FURTHER = "-- goes on behind the largest ef_search\nSET hnsw.iterative_scan = strict_order;\n"
EXTENSION = "CREATE EXTENSION IF NOT EXISTS vector;\n"
NO_INT8 = "-- pgvector has no int8: halfvec takes twice the bytes of the plan's int8\n"
NOT_INDEXED = f"-- pgvector indexes up to {INDEXED_DIMS} dims of vector: the index has halves\n"
WHOLE, REDUCED = "embedding", "reduced"
CLIENT = "-- the client fills `reduced`: the principal components of the embedding\n"


def pgvector(setting: Setting) -> str:
    """Write a table, its index and a query whose parameters are the vectors that are asked.

    The first parameter is the vector as a rerank reads it; principal components are the second, or
    the only one where nothing is reranked.
    """
    plan = setting.plan
    int8 = "int8" in (plan.stage.dtype, plan.rerank.dtype if plan.rerank else "")
    notes = NO_INT8 if int8 else ""
    return f"{notes}{EXTENSION}{_table(setting)}{_index(setting)}{_query(setting)};\n"


def _table(setting: Setting) -> str:
    rerank, stage = setting.plan.rerank, setting.plan.stage
    columns, note = ["id bigint PRIMARY KEY"], ""
    if rerank or stage.reducer == "prefix":
        columns.append(f"{WHOLE} {_stored_kind(setting.plan)}({setting.stored_dim})")
    if stage.reducer != "prefix":
        columns.append(f"{REDUCED} {TYPES[stage.dtype]}({stage.dim})")
        note = CLIENT
    return f"{note}CREATE TABLE items ({', '.join(columns)});\n"


def _stored_kind(plan: Plan) -> str:
    """Name the type of the vectors that reranks read, or else the first stage."""
    return TYPES[plan.rerank.dtype if plan.rerank else plan.stage.dtype]


def _first_kind(plan: Plan) -> str:
    """Name the type that the first stage compares."""
    kind = TYPES[plan.stage.dtype]
    return "halfvec" if plan.index != EXACT and plan.stage.dim > INDEXED_DIMS else kind


def _first(setting: Setting, vector: str) -> str:
    """Give the first stage's vector, of a column or of a parameter, as an expression."""
    stage = setting.plan.stage
    narrow = vector
    if stage.reducer == "prefix" and stage.dim < setting.stored_dim:
        narrow = f"subvector({vector}, 1, {stage.dim})"
    if stage.dtype == "binary":
        return f"binary_quantize({narrow})::bit({stage.dim})"
    return f"{narrow}::{_first_kind(setting.plan)}({stage.dim})"


def _index(setting: Setting) -> str:
    plan = setting.plan
    if plan.index == EXACT:
        return "-- every row is compared: no index\n"
    column = WHOLE if plan.stage.reducer == "prefix" else REDUCED
    kind = _first_kind(plan)
    note = NOT_INDEXED if kind != TYPES[plan.stage.dtype] else ""
    expression = f"(({_first(setting, column)}) {kind}_cosine_ops)"
    if plan.index.name == "ivf":
        return (
            f"{note}-- after the rows are in\nCREATE INDEX ON items USING ivfflat {expression} "
            f"WITH (lists = {setting.cells});\nSET ivfflat.probes = {plan.effort};\n"
        )
    return (
        f"{note}CREATE INDEX ON items USING hnsw {expression} WITH (m = {plan.index.links}, "
        f"ef_construction = {max(40, 2 * plan.index.links)});\n"
        f"SET hnsw.ef_search = {min(plan.effort, LARGEST_EF)};\n"
        f"{FURTHER if plan.effort > LARGEST_EF else ''}"
    )


def _query(setting: Setting) -> str:
    plan, steps = setting.plan, setting.steps
    column, asked = WHOLE, f"$1::{_stored_kind(plan)}"
    if plan.stage.reducer != "prefix":
        column, asked = REDUCED, f"${2 if steps else 1}::{TYPES[plan.stage.dtype]}"
    operator = "<~>" if plan.stage.dtype == "binary" else "<=>"
    orders = [f"{_first(setting, column)} {operator} {_first(setting, asked)}"]
    orders += [_rerank(setting, dim) for _, dim in steps]
    limits = [*(length for length, _ in steps), setting.k]
    query = "items"
    for place, (order, limit) in enumerate(zip(orders, limits, strict=True)):
        columns = "id" if place == len(steps) else f"id, {WHOLE}"
        rows = query if place == 0 else f"(\n{_indent(query)}\n) AS shortlist"
        query = f"SELECT {columns} FROM {rows}\nORDER BY {order}\nLIMIT {limit}"
    return query


def _rerank(setting: Setting, dim: int) -> str:
    mine, theirs = WHOLE, f"$1::{_stored_kind(setting.plan)}"
    if dim < setting.stored_dim:
        mine, theirs = (f"subvector({each}, 1, {dim})" for each in (mine, theirs))
    return f"{mine} <=> {theirs}"


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
