"""A plan in FAISS, with the reranks in NumPy."""

from mrlbench.faiss_index import QUANTIZERS
from mrlbench.recommend.snippets.setting import CUT, Setting, read_files, rerank_lines


def faiss_python(setting: Setting) -> str:
    """Write a script that ends with `ids`, (Q, k)."""
    return "\n".join(
        [
            "import faiss\nimport numpy as np\n\n",
            CUT,
            "",
            read_files(setting),
            _search(setting),
            rerank_lines(setting),
        ]
    )


def _search(setting: Setting) -> str:
    if setting.plan.stage.dtype == "binary":
        dim = setting.plan.stage.dim
        bits = -(-dim // 8) * 8  # FAISS's binary vectors are whole bytes; the rest are zeros
        return (
            "bits, asked_bits = np.packbits(rows > 0, axis=1), np.packbits(asked > 0, axis=1)\n"
            f"index = faiss.IndexBinaryFlat({bits})\n"
            "index.add(bits)\n"
            f"_, ids = index.search(asked_bits, {setting.length})\n"
        )
    return (
        f"{_index(setting)}"
        "index.train(rows)\n"
        "index.add(rows)\n"
        f"_, ids = index.search(asked, {setting.length})\n"
    )


def _index(setting: Setting) -> str:
    stage, index, effort = setting.plan.stage, setting.plan.index, setting.plan.effort
    dim, inner = stage.dim, "faiss.METRIC_INNER_PRODUCT"
    code = QUANTIZERS.get(stage.dtype, "")
    code = code and f"faiss.ScalarQuantizer.{code}"
    if index.name == "hnsw":
        kind = f"HNSWSQ({dim}, {code}, {index.links}" if code else f"HNSWFlat({dim}, {index.links}"
        return (
            f"index = faiss.Index{kind}, {inner})\n"
            "index.hnsw.efConstruction = 40\n"
            f"index.hnsw.efSearch = {effort}\n"
        )
    if index.name == "ivf":
        cells = f"faiss.IndexFlatIP({dim}), {dim}, {setting.cells}"
        kind = (
            f"IVFScalarQuantizer({cells}, {code}, {inner}, False)"
            if code
            else f"IVFFlat({cells}, {inner})"
        )
        return (
            f"index = faiss.Index{kind}\n"
            "index.cp.spherical, index.cp.seed = True, 0\n"
            f"index.nprobe = {effort}\n"
        )
    if code:
        return f"index = faiss.IndexScalarQuantizer({dim}, {code}, {inner})\n"
    return f"index = faiss.IndexFlatIP({dim})\n"
