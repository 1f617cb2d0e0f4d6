"""How each number was measured."""

from mrlbench import measurements
from mrlbench.reports.page.blocks import Cell, Paragraph, Section, Table
from mrlbench.runs import Output

METHODS = {
    "classification": (
        "Linear top-1 and top-5 of the head that was trained at each dim, over all queries. "
        "Probes and the SVD of a classifier are named as such."
    ),
    "knn": "The class of the nearest database row, by exact search over unit vectors.",
    "retrieval": (
        "Exact search at each dim: cut first, then normalised, by cosine. map@k, precision@k, "
        "recall@k and the others by relevance; recall_full@k against exact search at full width, "
        "tie-aware. MFLOPs by the paper's formula, a multiply–add is 1."
    ),
    "adaptive-retrieval": (
        "An exact shortlist at Ds, reranked at Dr; a funnel reranks in steps. MFLOPs count the "
        "scan and every rerank."
    ),
    "adaptive-classification": (
        "Thresholds learned on 20% of the queries, reported on the other 80%, over 30 random "
        "splits; intervals by bootstrap over queries with the thresholds held."
    ),
    "search-speed": (
        "Warm-up outside the clock, repeats and their median with its interval, threads as stated, "
        "one query at a time (single) and all at once (batch) apart. Inside the clock is the "
        "search of unit vectors; cutting, normalising and building are outside."
    ),
    "adaptive-pipeline": (
        "A graph with a rerank: first stage, gathering, rerank and sort are inside the clock. The "
        "effort was chosen on 20% of the queries; quality is reported on the rest."
    ),
    "search-grid": (
        "Each index in a process of its own: build time, bytes as saved, peak memory; then every "
        "search, timed as search-speed is. Recall and mAP are of all queries."
    ),
    "arena": (
        "Every reduction is normalised, then coded; projections and codes learn from the database. "
        "Differences are paired over queries. MFLOPs are those of the first stage and the rerank."
    ),
    "inspect": (
        "Prefixes beside PCA, random, last and rotated coordinates, on a seeded sample of rows and "
        "queries; duplicates and lengths over all rows."
    ),
    "few-shot": "Nearest class mean of a few drawn examples; the mean over draws.",
    "class-trends": "How many classes rise, fall, dip or peak as the dims of the heads grow.",
    "long-tail": "Linear top-1 by how often the class was trained.",
    "oracle": "What choosing the best head for each query would reach: a bound, not a method.",
    "superclass": "Linear top-1 where any class of the right group counts.",
    "sts": "Rank and linear correlation of cosines with the scores of pairs.",
    "cross-modal": "Images asked for by text and texts by image, by exact search.",
    "zero-shot": "The nearest caption of a class, without a trained head.",
    "robustness": "The same model, other query sets.",
    "training-cost": "Training steps of both methods in turn, the median of the ratios.",
}
GENERAL = (
    "Accuracies are means over queries, with a 95% bootstrap interval over them. Several seeds are "
    "drawn as their mean, with a band from the lowest to the highest end of their intervals. "
    "Baselines (PCA and others) learn from the database only. mrlbench verify computes every "
    "metric again from the neighbours and scores that the run keeps."
)


def measured(output: Output) -> Section:
    """Say for each kind of number how it was measured, and how many there are."""
    rows: list[list[Cell]] = []
    for path in measurements.files(output.folder):
        for task, numbers in measurements.read(path).groupby("task", sort=True):
            counts = numbers["n"].dropna()
            ends = dict.fromkeys(f"{end:,}" for end in (counts.min(), counts.max()))
            over = " to ".join(ends) if len(counts) else ""
            seeds = ", ".join(str(each) for each in sorted(numbers["seed"].dropna().unique()))
            how = METHODS.get(str(task), "")
            rows.append([str(task), how, path.name, f"{len(numbers):,}", over, seeds])
    columns = ["task", "how", "file", "numbers", "n of each", "seeds"]
    table = Table("Every kind of number in this run", columns, rows)
    return Section("measured", "How each number was measured", [Paragraph(GENERAL), table])
