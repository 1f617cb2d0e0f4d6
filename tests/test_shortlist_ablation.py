"""Shortlists of several lengths, against brute force; funnels of the paper."""

import numpy as np
import pytest
from conftest import write_folder

from mrlbench.evaluation import shortlist_ablation
from mrlbench.evaluation.shortlist_ablation import evaluate_shortlists
from mrlbench.runs import Output
from mrlbench.search.adaptive import rerank, rerank_lengths
from mrlbench.sources import folder_source
from mrlbench.training.devices import choose_device

LENGTHS = [5, 10, 25, 60, 100]  # the database has 60 rows


@pytest.fixture
def source(tmp_path):
    folder = write_folder(tmp_path / "mine")
    return folder_source(folder, Output(tmp_path / "out"), [2, 4, 16], [], choose_device("cpu"))


def unit(vectors, dim):
    cut = np.asarray(vectors[:, :dim], dtype=np.float64)
    return cut / np.linalg.norm(cut, axis=1, keepdims=True)


def brute_force(embeddings, dim, length):
    """AP@10 with every class having over 10 rows, P@10 and the share of the true ten found."""
    database, queries = embeddings.database, embeddings.queries
    labels = embeddings.relevance
    precisions, averages, shares = [], [], []
    near, full = (unit(queries, d) @ unit(database, d).T for d in (dim, 16))
    for query in range(len(queries)):
        shortlist = np.argsort(-near[query], kind="stable")[:length]
        order = shortlist[np.argsort(-full[query, shortlist], kind="stable")][:10]
        hits = labels.database[order] == labels.queries[query]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        averages.append((precision * hits).sum() / len(order))
        precisions.append(hits.mean())
        shares.append(np.isin(np.argsort(-full[query])[: len(order)], shortlist).mean())
    return np.mean(averages), np.mean(precisions), np.mean(shares)


@pytest.mark.parametrize("bytes_at_once", [2**28, 1])  # all queries at once, and one at a time
def test_every_length_is_what_brute_force_gives(source, monkeypatch, bytes_at_once):
    monkeypatch.setattr(shortlist_ablation, "SHORTLIST_BYTES", bytes_at_once)
    assert np.bincount(source.embeddings.relevance.database).min() >= 10
    found = {(r.dim, r.shortlist, r.metric): r for r in evaluate_shortlists(source, LENGTHS)}
    assert {key[:2] for key in found} == {(d, str(n)) for d in (2, 4) for n in (5, 10, 25, 60)}
    for dim in (2, 4):
        for length in (5, 10, 25, 60):
            k = min(10, length)
            average, precision, share = brute_force(source.embeddings, dim, length)
            values = {
                metric: found[dim, str(length), metric].value
                for metric in (f"map@{k}", f"precision@{k}", f"ceiling_full@{k}", "mflops")
            }
            expected = (average, precision, share, (60 * dim + length * 16) / 1e6)
            assert list(values.values()) == pytest.approx(expected, abs=1e-6), (dim, length)
            strict = found[dim, str(length), f"recall_full_strict@{k}"]
            assert strict.value == pytest.approx(share, abs=1e-6)
            assert strict.rerank_dims == "16"


def test_a_shorter_shortlist_is_reranked_as_if_it_were_alone(source):
    database, queries = source.embeddings.database, source.embeddings.queries
    shortlist = source.neighbors([4], 30)[4].ids
    for length, found in rerank_lengths(database, queries, shortlist, [7, 30], 16).items():
        alone = rerank(database, queries, shortlist[:, :length], [16])[16]
        np.testing.assert_array_equal(found.ids, alone.ids)
        np.testing.assert_array_equal(found.scores, alone.scores)


def test_a_run_measures_the_lengths_once(mrlbench, folder, tmp_path, caplog):
    from mrlbench import measurements

    target = ("--embeddings", folder, "--out", tmp_path / "out", "--dims", "4,16")
    command = ("eval-adaptive-retrieval", *target, "--shortlist", "20", "--shortlists", "10,20,40")
    status, _, err = mrlbench(*command)
    assert status == 0, err
    table = measurements.read(tmp_path / "out" / "adaptive_retrieval.csv")
    quality = table[(table["metric"] == "map@10") & (table["rerank_dims"] == "16")]
    assert sorted(quality["shortlist"]) == ["10", "20", "40"]
    mrlbench(*command)
    assert "done before" in caplog.text
    assert (tmp_path / "out" / "raw" / "scores-shortlists-mine.npz").is_file()
