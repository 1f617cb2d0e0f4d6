"""Judging and every ranking metric at four k, against pytrec-eval.

python experiments/peers/metrics.py        # 50,000 queries x 100 neighbours, two minutes
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytrec_eval
import typer
from common import Ratio, in_turn, tell, write

from mrlbench.embedding.relevance import Labels
from mrlbench.evaluation.scores import metric_scores
from mrlbench.threads import use_threads

KS = (10, 25, 50, 100)
ROWS, CLASSES = 100_000, 1000


def main(
    queries: int = 50_000,
    repeats: int = 5,
    threads: Annotated[int, typer.Option(help="0 takes all cores.")] = 0,
    out: Path = Path("results/peers"),
) -> None:
    """Compare on synthetic neighbours; the peer's dictionaries are made outside the clock."""
    used = use_threads(threads)
    random = np.random.default_rng(0)
    labels = Labels(random.integers(0, CLASSES, ROWS), random.integers(0, CLASSES, queries))
    ids = np.stack([random.choice(ROWS, max(KS), replace=False) for _ in range(queries)])
    judged = labels.judge(ids)
    run = {
        str(query): {str(row): float(len(order) - place) for place, row in enumerate(order)}
        for query, order in enumerate(ids.tolist())
    }
    of_class = {
        each: {str(row): 1 for row in np.flatnonzero(labels.database == each).tolist()}
        for each in range(CLASSES)
    }
    judgements = {str(query): of_class[each] for query, each in enumerate(labels.queries.tolist())}
    cuts = ",".join(map(str, KS))
    measures = {f"{name}.{cuts}" for name in ("P", "recall", "ndcg_cut", "success", "map_cut")}
    evaluator = pytrec_eval.RelevanceEvaluator(judgements, measures)
    theirs = evaluator.evaluate(run)
    ours = metric_scores(judged, KS)
    same = [theirs[str(query)]["P_10"] for query in range(queries)]
    np.testing.assert_allclose(ours["precision@10"], same, rtol=0, atol=1e-9)
    times: dict[str, Any] = in_turn(
        lambda: metric_scores(labels.judge(ids), KS), lambda: evaluator.evaluate(run), repeats
    )
    row = Ratio(
        what=f"{len(ours) // len(KS)} metrics at k = {cuts}",
        data="synthetic",
        rows=ROWS,
        queries=queries,
        dim=0,
        k=max(KS),
        ours="judging and scoring",
        peer="pytrec-eval, P, recall, nDCG, success and map",
        mode="batch",
        threads=used,
        **times,
    )
    write("metrics", [tell(row)], used, out)


if __name__ == "__main__":
    typer.run(main)
