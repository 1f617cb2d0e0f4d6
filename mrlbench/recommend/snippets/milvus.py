"""A plan in Milvus: the first stage is a collection, the reranks are NumPy's."""

from mrlbench.recommend.plans import EXACT, Plan
from mrlbench.recommend.snippets.setting import CUT, Setting, read_files, rerank_lines

FLOATS = "# Milvus stores 4 bytes of each coordinate here, more than the plan\n"
FLOAT, SIGNS = "FLOAT_VECTOR", "BINARY_VECTOR"


def milvus(setting: Setting) -> str:
    """Write a script that ends with `ids`, (Q, k); Milvus has no prefix search of its own."""
    signs = setting.plan.stage.dtype == "binary"
    kind, metric = (SIGNS, "HAMMING") if signs else (FLOAT, "IP")
    rows, asked = ("signs(rows)", "signs(asked)") if signs else ("list(rows)", "list(asked)")
    packing = (
        "def signs(vectors):\n"
        "    return [row.tobytes() for row in np.packbits(vectors > 0, axis=1)]\n\n"
    )
    dim = setting.plan.stage.dim
    dim = -(-dim // 8) * 8 if signs else dim
    index, build, search = _index(setting)
    needs_faiss = "import faiss\n" if setting.plan.stage.reducer == "pca" else ""
    return "\n".join(
        [
            f"{_note(setting.plan)}{needs_faiss}import numpy as np\n"
            "from pymilvus import DataType, MilvusClient\n\n",
            CUT,
            f"\n{packing}" if signs else "",
            read_files(setting),
            'client = MilvusClient("http://127.0.0.1:19530")',
            "schema = client.create_schema()",
            'schema.add_field("id", DataType.INT64, is_primary=True)',
            f'schema.add_field("vector", DataType.{kind}, dim={dim})',
            "parameters = client.prepare_index_params()",
            f'parameters.add_index("vector", index_type="{index}", metric_type="{metric}", '
            f"params={{'params': {build}}})",
            'client.create_collection("items", schema=schema)',
            f"vectors = {rows}",
            "for start in range(0, len(vectors), 1000):",
            "    part = enumerate(vectors[start : start + 1000], start)",
            '    client.insert("items", [{"id": i, "vector": each} for i, each in part])',
            'client.flush("items")  # before the index is made: otherwise another one answers',
            'client.create_index("items", parameters)',
            'client.load_collection("items")',
            f'found = client.search("items", {asked}, limit={setting.length}, '
            f"search_params={search})",
            'lists = [[hit["id"] for hit in hits] for hits in found]',
            f"ids = np.array([each + [-1] * ({setting.length} - len(each)) for each in lists])",
            rerank_lines(setting),
        ]
    )


def _note(plan: Plan) -> str:
    """Say where Milvus has no such codes."""
    dtype = plan.stage.dtype
    return FLOATS if dtype == "float16" or (dtype == "int8" and plan.index == EXACT) else ""


def _index(setting: Setting) -> tuple[str, dict[str, object], dict[str, object]]:
    """Name the index, its build and its search parameters; codes are Milvus's own."""
    plan = setting.plan
    int8 = plan.stage.dtype == "int8"
    if plan.stage.dtype == "binary":
        return "BIN_FLAT", {}, {}
    if plan.index.name == "hnsw":
        links: dict[str, object] = {"M": plan.index.links, "efConstruction": 40}
        codes: dict[str, object] = {"sq_type": "SQ8"} if int8 else {}
        return "HNSW_SQ" if int8 else "HNSW", links | codes, {"params": {"ef": plan.effort}}
    if plan.index.name == "ivf":
        kind = "IVF_SQ8" if int8 else "IVF_FLAT"
        return kind, {"nlist": setting.cells}, {"params": {"nprobe": plan.effort}}
    return "FLAT", {}, {}
