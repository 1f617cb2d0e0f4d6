"""All snippets of one plan."""

from mrlbench.recommend.recommending import Recommendation
from mrlbench.recommend.snippets.elasticsearch import elasticsearch
from mrlbench.recommend.snippets.embedding_models import openai, sentence_transformers
from mrlbench.recommend.snippets.faiss_python import faiss_python
from mrlbench.recommend.snippets.milvus import milvus
from mrlbench.recommend.snippets.pgvector import pgvector
from mrlbench.recommend.snippets.qdrant import qdrant
from mrlbench.recommend.snippets.setting import Setting
from mrlbench.recommend.snippets.vespa import vespa

SNIPPETS = {
    "faiss.py": faiss_python,
    "pgvector.sql": pgvector,
    "milvus.py": milvus,
    "qdrant.txt": qdrant,
    "elasticsearch.txt": elasticsearch,
    "vespa.txt": vespa,
    "sentence_transformers.py": sentence_transformers,
    "openai.py": openai,
}


def snippets(found: Recommendation) -> dict[str, str]:
    """Write the plan for each engine: file names and their text."""
    setting = Setting(
        found.plan.plan,
        found.subject.width,
        found.constraints.target.k,
        found.subject.rows,
    )
    return {name: write(setting) for name, write in SNIPPETS.items()}
