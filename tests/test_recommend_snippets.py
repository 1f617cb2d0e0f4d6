"""What is pasted: FAISS's code is executed, the others are read."""

import json
import re

import numpy as np
import pytest
from made_vectors import decaying

from mrlbench.recommend.confirming import find
from mrlbench.recommend.constraints import read_target
from mrlbench.recommend.first_stages import build
from mrlbench.recommend.plans import EXACT, IndexChoice, Plan, Rerank, Stage
from mrlbench.recommend.problem import Problem
from mrlbench.recommend.snippets.pasting import SNIPPETS
from mrlbench.recommend.snippets.setting import Setting
from mrlbench.recommend.tally import Tally

N, Q, D, K = 1500, 80, 32, 10
GRAPH, CELLS = IndexChoice("hnsw", 16), IndexChoice("ivf")
PLANS = [
    Plan(Stage("prefix", D, "float32"), EXACT),
    Plan(Stage("prefix", 8, "int8"), EXACT, 0, Rerank((D,), (50,), "int8")),
    Plan(Stage("prefix", 20, "binary"), EXACT, 0, Rerank((D,), (100,), "float16")),
    Plan(Stage("pca", 8, "float16"), CELLS, 8, Rerank((D,), (50,), "float32")),
    Plan(Stage("prefix", 8, "float32"), GRAPH, 80, Rerank((16, D), (80, 20), "float16")),
    Plan(Stage("prefix", 16, "int8"), GRAPH, 40, Rerank((D,), (20,), "float16")),
    Plan(Stage("prefix", D, "int8"), CELLS, 16),
]


@pytest.fixture(scope="module")
def vectors():
    made = decaying(N + Q, D)
    return made[:N], made[N:]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_faiss_code_finds_what_the_plan_finds(plan, vectors, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, each in zip(("database", "queries"), vectors, strict=True):
        np.save(f"{name}.npy", each)
    problem = Problem(vectors[0], read_target(f"recall_full@{K}=0.9"), tmp_path, 0, Tally())
    asked = problem.ask(vectors[1], None)
    ours = find(build(problem, plan.stage, plan.index), plan, asked)
    pasted: dict[str, np.ndarray] = {}
    exec(SNIPPETS["faiss.py"](Setting(plan, D, K, N)), pasted)
    assert pasted["ids"].shape == (Q, K)
    recalls = [problem.scores(asked, ids).mean() for ids in (ours, pasted["ids"])]
    # ties of signs, float32 sums, and ranges of int8 codes learnt before or after the cut
    assert recalls[1] == pytest.approx(
        recalls[0], abs=0.03 if plan.stage.dtype == "binary" else 0.015
    )
    assert recalls[1] > 0.3


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_snippet_says_the_plan(plan):
    text = {name: write(Setting(plan, D, K, N)) for name, write in SNIPPETS.items()}
    whole = plan.stage.reducer == "pca" or plan.rerank is not None
    stored = D if whole else plan.stage.dim
    assert f"truncate_dim={stored}" in text["sentence_transformers.py"]
    assert f"dimensions={stored}" in text["openai.py"]
    for name in ("faiss.py", "milvus.py", "sentence_transformers.py", "openai.py"):
        compile(text[name], name, "exec")
    for name in ("qdrant.txt", "elasticsearch.txt"):
        bodies = re.split(r"^(?:PUT|POST) .*$", text[name], flags=re.MULTILINE)[1:]
        assert len([json.loads(body) for body in bodies]) == 2
    assert text["vespa.txt"].count("{") == text["vespa.txt"].count("}")
    if plan.shortlist:
        assert f"rerank-count: {plan.shortlist}" in text["vespa.txt"]
        for name in ("faiss.py", "milvus.py", "qdrant.txt", "elasticsearch.txt", "pgvector.sql"):
            assert str(plan.shortlist) in text[name], name


def test_pgvector_searches_an_expression_and_reranks_around_it():
    text = SNIPPETS["pgvector.sql"](Setting(PLANS[4], D, K, N))
    assert text == (
        "CREATE TABLE items (id bigint PRIMARY KEY, embedding halfvec(32));\n"
        "CREATE INDEX ON items USING hnsw ((subvector(embedding, 1, 8)::vector(8)) "
        "vector_cosine_ops) WITH (m = 16, ef_construction = 40);\n"
        "SET hnsw.ef_search = 80;\n"
        "SELECT id, embedding FROM (\n"
        "  SELECT id, embedding FROM (\n"
        "    SELECT id, embedding FROM items\n"
        "    ORDER BY subvector(embedding, 1, 8)::vector(8) <=> "
        "subvector($1::halfvec, 1, 8)::vector(8)\n"
        "    LIMIT 80\n"
        "  ) AS shortlist\n"
        "  ORDER BY subvector(embedding, 1, 16) <=> subvector($1::halfvec, 1, 16)\n"
        "  LIMIT 20\n"
        ") AS shortlist\n"
        "ORDER BY embedding <=> $1::halfvec\n"
        "LIMIT 10;\n"
    )
