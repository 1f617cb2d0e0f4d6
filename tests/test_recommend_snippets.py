"""What is pasted: FAISS's, pgvector's and Milvus's is executed, the others are read."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from made_vectors import decaying

from mrlbench.arrays import prefix
from mrlbench.recommend.confirming import find
from mrlbench.recommend.constraints import read_target
from mrlbench.recommend.first_stages import build
from mrlbench.recommend.plans import EXACT, IndexChoice, Plan, Rerank, Stage
from mrlbench.recommend.problem import Problem
from mrlbench.recommend.snippets.pasting import SNIPPETS
from mrlbench.recommend.snippets.setting import Setting
from mrlbench.recommend.tally import Tally

N, Q, D, K = 1500, 80, 64, 10
GRAPH, CELLS = IndexChoice("hnsw", 16), IndexChoice("ivf")
FULL, NARROW = Stage("prefix", D, "float32"), Stage("prefix", 16, "float32")
PLANS = [
    Plan(FULL, EXACT),
    Plan(NARROW, EXACT, 0, Rerank((D,), (50,), "float32")),
    Plan(Stage("prefix", 16, "int8"), EXACT, 0, Rerank((D,), (50,), "int8")),
    Plan(Stage("prefix", 20, "binary"), EXACT, 0, Rerank((D,), (100,), "float16")),
    Plan(Stage("prefix", 24, "float16"), EXACT),
    Plan(Stage("pca", 16, "float16"), CELLS, 8, Rerank((D,), (50,), "float32")),
    Plan(Stage("pca", 32, "float32"), GRAPH, 80),
    Plan(FULL, GRAPH, 80),
    Plan(NARROW, GRAPH, 80, Rerank((32, D), (80, 20), "float16")),
    Plan(Stage("prefix", 32, "int8"), GRAPH, 80, Rerank((D,), (40,), "float16")),
    Plan(Stage("prefix", 32, "float16"), GRAPH, 80),
    Plan(Stage("prefix", D, "int8"), CELLS, 16),
]
SERVED = [plan for plan in PLANS if plan.stage.dtype != "binary"]  # by Milvus Lite


@pytest.fixture(scope="module")
def vectors():
    made = decaying(N + Q, D)
    return made[:N], made[N:]


@pytest.fixture
def problem(vectors, tmp_path):
    return Problem(vectors[0], read_target(f"recall_full@{K}=0.9"), tmp_path, 0, Tally())


@pytest.fixture
def recalls(vectors, problem):
    """Compare what was pasted with the plan: the recall of either, as `recommend` measures it."""
    asked = problem.ask(vectors[1], None)

    def compare(plan, ids):
        assert np.shape(ids) == (Q, K)
        ours = find(build(problem, plan.stage, plan.index), plan, asked)
        return [float(problem.scores(asked, each).mean()) for each in (ours, np.asarray(ids))]

    return compare


@pytest.fixture
def in_files(vectors, tmp_path, monkeypatch):
    """Be in a folder with the vectors."""
    monkeypatch.chdir(tmp_path)
    for name, each in zip(("database", "queries"), vectors, strict=True):
        np.save(f"{name}.npy", each)


def tolerance(plan):
    """Say how far a recall may be off, measured over 80 queries.

    Floats that are all compared leave no freedom. A graph or cells of another library are others;
    halves and int8 codes round, with ranges learnt before or after the cut; signs have ties.
    """
    if plan.index != EXACT:
        return 0.03
    if plan.stage.dtype == "binary":
        return 0.03
    floats = plan.stage.dtype == "float32" and (not plan.rerank or plan.rerank.dtype == "float32")
    return 0 if floats else 0.015


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_faiss_code_finds_what_the_plan_finds(plan, in_files, recalls):
    pasted: dict[str, np.ndarray] = {}
    exec(SNIPPETS["faiss.py"](Setting(plan, D, K, N)), pasted)
    ours, theirs = recalls(plan, pasted["ids"])
    assert theirs == pytest.approx(ours, abs=tolerance(plan))
    assert theirs > 0.3


@pytest.mark.parametrize("plan", SERVED, ids=str)
def test_the_milvus_code_finds_what_the_plan_finds(plan, in_files, recalls, tmp_path):
    pytest.importorskip("mrlbench.indexes.milvus", exc_type=ImportError)
    text = SNIPPETS["milvus.py"](Setting(plan, D, K, N))
    assert text.count('"http://127.0.0.1:19530"') == 1
    pasted: dict[str, object] = {}
    exec(text.replace("http://127.0.0.1:19530", str(tmp_path / "milvus.db")), pasted)
    state = pasted["client"].describe_index("items", "vector")
    pasted["client"].close()
    ours, theirs = recalls(plan, pasted["ids"])
    assert theirs == pytest.approx(ours, abs=tolerance(plan))
    kinds = {"exact": ("FLAT", "FLAT"), "hnsw": ("HNSW", "HNSW_SQ"), "ivf": ("IVF_FLAT", "IVF_SQ8")}
    assert state["index_type"] == kinds[plan.index.name][plan.stage.dtype == "int8"]
    assert state["metric_type"] == "IP"
    if plan.index == GRAPH:  # and not the server's usual ones
        assert (state["params"]["M"], state["params"]["efConstruction"]) == (16, 40)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_pgvector_sql_finds_what_the_plan_finds(plan, vectors, problem, recalls, postgres):
    import psycopg

    setting = Setting(plan, D, K, N)
    *making, query = SNIPPETS["pgvector.sql"](setting).removesuffix(";\n").split(";\n")
    rows, asked = (columns(setting, problem, each) for each in vectors)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS items")
        connection.execute("SET enable_seqscan = off")  # of so few rows it would rather sort all
        for statement in making:
            connection.execute(statement)
            if "CREATE TABLE" in statement:
                fill(connection, rows)
        cursor = psycopg.RawCursor(connection)  # takes $1
        steps = str(cursor.execute(f"EXPLAIN {query}", asked[0]).fetchall())
        assert ("Index Scan using items_" in steps) == (plan.index != EXACT)
        ids = [[row[0] for row in cursor.execute(query, each).fetchall()] for each in asked]
        connection.execute("DROP TABLE items")
    ours, theirs = recalls(in_halves(plan), ids)
    assert theirs == pytest.approx(ours, abs=tolerance(plan))
    assert theirs >= recalls(plan, ids)[0] - tolerance(plan)


def in_halves(plan):
    """Give the plan as pgvector has it: halves, which are finer, where it says int8."""
    kinds = {"int8": "float16"}
    stage = replace(plan.stage, dtype=kinds.get(plan.stage.dtype, plan.stage.dtype))
    rerank = plan.rerank and replace(
        plan.rerank, dtype=kinds.get(plan.rerank.dtype, plan.rerank.dtype)
    )
    return replace(plan, stage=stage, rerank=rerank)


def columns(setting, problem, vectors):
    """Make what the client sends of each vector: as long as is stored, and reduced."""
    stage, kept = setting.plan.stage, []
    if setting.steps or stage.reducer == "prefix":
        kept.append(prefix(vectors, setting.stored_dim))
    if stage.reducer != "prefix":
        kept.append(problem.coded_queries(vectors, stage.reducer, "float32").cut(stage.dim))
    return [[json.dumps(each.tolist()) for each in row] for row in zip(*kept, strict=True)]


def fill(connection, rows):
    with connection.cursor() as cursor, cursor.copy("COPY items FROM STDIN") as copy:
        for place, row in enumerate(rows):
            copy.write_row((place, *row))


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
    text = SNIPPETS["pgvector.sql"](Setting(PLANS[8], D, K, N))
    assert text == (
        "CREATE EXTENSION IF NOT EXISTS vector;\n"
        "CREATE TABLE items (id bigint PRIMARY KEY, embedding halfvec(64));\n"
        "CREATE INDEX ON items USING hnsw ((subvector(embedding, 1, 16)::vector(16)) "
        "vector_cosine_ops) WITH (m = 16, ef_construction = 40);\n"
        "SET hnsw.ef_search = 80;\n"
        "SELECT id FROM (\n"
        "  SELECT id, embedding FROM (\n"
        "    SELECT id, embedding FROM items\n"
        "    ORDER BY subvector(embedding, 1, 16)::vector(16) <=> "
        "subvector($1::halfvec, 1, 16)::vector(16)\n"
        "    LIMIT 80\n"
        "  ) AS shortlist\n"
        "  ORDER BY subvector(embedding, 1, 32) <=> subvector($1::halfvec, 1, 32)\n"
        "  LIMIT 20\n"
        ") AS shortlist\n"
        "ORDER BY embedding <=> $1::halfvec\n"
        "LIMIT 10;\n"
    )


def test_pgvector_takes_wide_vectors_and_long_beams(postgres):
    """More than it can index, and more than its largest beam, 1,000: most rows are reranked."""
    import psycopg

    rows, wide, length = 1060, 2008, 1040
    graph, again = IndexChoice("hnsw", 4), Rerank((wide,), (length,), "float16")
    plan = Plan(Stage("prefix", 2004, "float32"), graph, length, again)
    text = SNIPPETS["pgvector.sql"](Setting(plan, wide, K, rows))
    made = decaying(rows + 1, wide)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")
        *making, query = text.removesuffix(";\n").split(";\n")
        for statement in making:
            connection.execute(statement)
            if "CREATE TABLE" in statement:
                fill(connection, [[json.dumps(each.tolist())] for each in made[:rows]])
        cursor, asked = psycopg.RawCursor(connection), [json.dumps(made[rows].tolist())]
        shown = str(cursor.execute(f"EXPLAIN ANALYZE {query}", asked).fetchall())
        connection.execute("DROP TABLE items")
    (found,) = re.findall(
        r"Index Scan using items_\S+ on items .*?actual time=\S+ rows=(\d+)", shown
    )
    assert 1000 < int(found) <= length
