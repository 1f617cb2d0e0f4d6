"""Linear baselines: probes against scikit-learn, the classifier's SVD against numpy."""

import numpy as np
import pytest
import torch
from conftest import write_folder
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mrlbench import measurements
from mrlbench.embedding.head import Classifier, read_classifier
from mrlbench.errors import UserError
from mrlbench.evaluation import probe
from mrlbench.evaluation.linear_probes import evaluate_probes
from mrlbench.evaluation.probe import fit_scaler, train_probe
from mrlbench.evaluation.svd_classifier import truncated_logits
from mrlbench.plugins import load
from mrlbench.runs import Output
from mrlbench.sources import folder_source
from mrlbench.training.devices import choose_device


@pytest.fixture(scope="module")
def digits():
    """Digits, 16 of their pixels, split in two; some pixels never vary in the first part."""
    vectors, labels = load_digits(return_X_y=True)
    vectors = vectors.astype(np.float32)
    return (vectors[:900], labels[:900]), (vectors[900:], labels[900:])


def test_a_probe_is_scikit_learns_logistic_regression(digits, monkeypatch):
    monkeypatch.setattr(probe, "ROWS_AT_ONCE", 250)  # several blocks, the last one short
    (vectors, labels), (queries, _) = digits
    scale = StandardScaler().fit(vectors[:, :20])
    features, asked = scale.transform(vectors[:, :20]), scale.transform(queries[:, :20])
    theirs = LogisticRegression(C=1.0, max_iter=2000, tol=1e-8).fit(features, labels)
    double = torch.from_numpy(features.astype(np.float64))
    ours = train_probe(double, torch.from_numpy(labels), 10, 500)
    assert ours.converged
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=0.02)
    probabilities = torch.softmax(
        torch.from_numpy(ours.logits(torch.from_numpy(asked.astype(np.float64)))), dim=1
    )
    np.testing.assert_allclose(probabilities, theirs.predict_proba(asked), atol=0.01)


def test_a_probe_that_is_stopped_says_that_it_is_not_done(digits):
    (vectors, labels), _ = digits
    features = torch.from_numpy(fit_scaler(vectors).apply(vectors.copy()))
    assert not train_probe(features, torch.from_numpy(labels), 10, 2).converged


def test_the_scale_is_scikit_learns_and_leaves_constant_coordinates(digits):
    (vectors, _), _ = digits
    constant = np.ptp(vectors, axis=0) == 0
    assert constant.any()
    ours = fit_scaler(vectors).apply(vectors.copy())
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(vectors), atol=1e-4)
    assert (ours[:, constant] == 0).all()


@pytest.fixture
def source(digits, tmp_path):
    """The digits' pixels as an embeddings folder; one query is of a class never trained."""
    (vectors, labels), (queries, asked) = digits
    folder = tmp_path / "pixels"
    folder.mkdir()
    wrong = asked.copy()
    wrong[0] = 99
    for name, array in (
        ("database", vectors + 1),
        ("queries", queries + 1),
        ("database_labels", labels * 1000 - 5),  # any integers are classes
        ("queries_labels", wrong * 1000 - 5),
    ):
        np.save(folder / f"{name}.npy", array)
    return folder_source(
        folder, Output(tmp_path / "out"), [8, 64], ["svd", "random-dims"], choose_device("cpu")
    )


def test_probes_measure_each_reduction_at_each_dim(source, digits):
    found = {(r.reducer, r.dim, r.metric): r for r in evaluate_probes(source, 10**6, 300)}
    assert {key[:2] for key in found} == {
        (reducer, dim) for reducer in ("prefix", "svd", "random-dims") for dim in (8, 64)
    }
    assert {row.variant for row in found.values()} == {"probe=linear"}
    (vectors, labels), (queries, asked) = digits
    for name in ("prefix", "svd", "random-dims"):
        reducer = load("reducers", name)()
        reducer.fit(vectors + 1)
        train, test = (reducer.transform(each + 1)[:, :8] for each in (vectors, queries))
        scale = StandardScaler().fit(train)
        theirs = LogisticRegression(max_iter=2000, tol=1e-6).fit(scale.transform(train), labels)
        right = theirs.predict(scale.transform(test)) == asked
        right[0] = False  # its class is not known
        row = found[name, 8, "top1"]
        assert row.value == pytest.approx(right.mean(), abs=2.5 / len(asked)), name
        assert row.n == len(asked)
        assert found[name, 8, "top5"].value > row.value


def test_probes_train_on_a_part_of_the_rows_that_the_seed_draws(source):
    few, again, all_rows = (
        [row.value for row in evaluate_probes(source, rows, 20)] for rows in (40, 40, 900)
    )
    assert few == again
    assert np.mean(few) < np.mean(all_rows)


def test_probes_are_measured_from_the_command_line(source, mrlbench, tmp_path):
    target = ("--embeddings", source.embeddings.folder, "--out", tmp_path / "cli", "-q")
    arguments = ("--dims", "8", "--baselines", "pca")
    status, _, err = mrlbench("eval-classification", *target, *arguments)
    assert status == 2  # there are no logits
    assert "logits.npz" in err
    status, _, err = mrlbench("eval-classification", "--probes", *target, *arguments)
    assert status == 0, err
    table = measurements.read(tmp_path / "cli" / "classification.csv")
    assert set(zip(table["reducer"], table["variant"], strict=True)) == {
        ("prefix", "probe=linear"),
        ("pca", "probe=linear"),
    }


def test_probes_need_labels(mrlbench, folder, tmp_path):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    target = ("--embeddings", folder, "--out", tmp_path / "out", "-q")
    status, _, err = mrlbench("eval-classification", "--probes", *target)
    assert status == 2
    assert "expected database_labels.npy" in err


def test_the_truncated_classifier_is_the_nearest_of_its_rank():
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((6, 10)), rng.standard_normal(6)
    features = rng.standard_normal((5, 10)).astype(np.float32)
    found = dict(truncated_logits(Classifier(weight, bias), features, [1, 3, 6, 10]))
    values = np.linalg.svd(weight, compute_uv=False)
    for rank, logits in found.items():
        # the matrix behind the logits, from its products with the features
        matrix = np.linalg.lstsq(features.astype(float), logits - bias, rcond=None)[0].T
        full = dict(truncated_logits(Classifier(weight, bias), np.eye(10), [rank]))[rank] - bias
        assert np.linalg.matrix_rank(full, tol=1e-4) == min(rank, 6)
        distance = np.linalg.norm(weight - full.T)  # Eckart–Young
        assert distance == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), abs=1e-4)
        np.testing.assert_allclose(features @ matrix.T + bias, logits, atol=1e-3)
    np.testing.assert_allclose(found[6], features @ weight.T + bias, atol=1e-4)
    np.testing.assert_array_equal(found[6], found[10])


def test_the_classifiers_svd_is_measured_in_a_run(digits_run):
    table = measurements.read(digits_run / "classification.csv")
    svd = table[(table["reducer"] == "svd-classifier") & (table["metric"] == "top1")]
    assert set(svd["method"]) == {"fixed-512"}
    assert sorted(svd["dim"]) == [4, 16, 128, 512]
    trained = table[(table["method"] == "fixed-512") & table["reducer"].isna()]
    (whole,) = trained[trained["metric"] == "top1"]["value"]
    values = svd.set_index("dim")["value"]
    assert values[512] == values[128] == values[16] == pytest.approx(whole)  # ten classes
    folder = digits_run / "embeddings" / "fixed-512" / "seed-0"
    classifier = read_classifier(folder, 512)
    logits = np.load(folder / "queries.npy") @ classifier.weight.T + classifier.bias
    with np.load(folder / "logits.npz") as kept:
        np.testing.assert_allclose(logits, kept["512"], rtol=1e-3, atol=1e-3)


def test_a_head_of_another_width_is_refused(tmp_path):
    folder = write_folder(tmp_path / "mine")
    np.savez(folder / "head.npz", **{"classifier.weight": np.ones((3, 8)), "classifier.bias": [0]})
    with pytest.raises(UserError, match=r"expected a classifier.weight \(C, 16\)"):
        read_classifier(folder, 16)
    (folder / "head.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="expected an npz file"):
        read_classifier(folder, 16)


def test_embeddings_of_an_earlier_version_get_their_head(digits_run, mrlbench, tmp_path):
    import shutil

    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    folder = run / "embeddings" / "fixed-512" / "seed-0"
    before = read_classifier(folder, 512)
    (folder / "head.npz").unlink()
    stamp = (folder / "database.npy").stat().st_mtime_ns
    status, _, err = mrlbench("eval-classification", run, "--methods", "fixed-512", "--force", "-q")
    assert status == 0, err
    np.testing.assert_array_equal(read_classifier(folder, 512).weight, before.weight)
    assert (folder / "database.npy").stat().st_mtime_ns == stamp
