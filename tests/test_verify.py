"""`verify` finds what was damaged, names it, and passes what was not."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

SCORES = "scores-retrieval-prefix-mine.npz"
NEIGHBOURS = "neighbors-prefix-8-mine.npz"


@pytest.fixture
def measured(tmp_path, folder, mrlbench):
    """Somebody's vectors, `folder`, measured at two dims."""
    out = tmp_path / "measured"
    options = ("--dims=8,16", "--k=5", "--baselines=pca", "-q", "--embeddings", folder)
    for command in ("eval-retrieval", "eval-knn"):
        own = [each for each in options if command == "eval-retrieval" or each != "--k=5"]
        status, _, err = mrlbench(command, "--out", out, *own)
        assert status == 0, err
    return out


def check(mrlbench, run, *options):
    """Verify a run: the status, the lines of what does not match, and all lines."""
    status, out, err = mrlbench("verify", run, *options)
    assert err == ""
    lines = out.splitlines()
    return status, [each for each in lines if each.startswith("does not match: ")], lines


def change(path, **arrays):
    """Change arrays of a raw file by functions."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    for name, how in arrays.items():
        key = name.replace("__", "@")
        content[key] = how(content[key])
    np.savez(path, **content)


def swapped(scores):
    """Exchange the best and the worst query's: the mean and its interval's width stay."""
    scores, best, worst = scores.copy(), scores.argmax(), scores.argmin()
    assert scores[best] != scores[worst]
    scores[[best, worst]] = scores[[worst, best]]
    return scores


def test_what_was_measured_passes(measured, folder, mrlbench):
    status, wrong, lines = check(mrlbench, measured, "--embeddings", folder)
    assert (status, wrong) == (0, [])
    table = pd.read_csv(measured / "retrieval.csv")
    quality = table[table["ci_low"].notna()]
    knn = pd.read_csv(measured / "knn.csv")
    checked = {
        line.split(" ", 2)[2]: int(line.split()[1])
        for line in lines
        if line.startswith("checked: ")
    }
    assert checked["rows against their per-query scores"] == len(quality) + len(knn)
    judged = quality[~quality["metric"].str.startswith("recall_full")]
    whole = quality[quality["metric"].str.startswith("recall_full")]
    # the neighbours of 1-NN and of retrieval are one search: each array is compared once
    assert checked["arrays of per-query scores against the neighbours"] == len(judged) + len(whole)
    assert lines[-1].endswith("all match")


def test_without_the_vectors_scores_are_not_recomputed_and_it_says_so(measured, mrlbench):
    status, _, lines = check(mrlbench, measured)
    assert status == 0
    assert any("not checked: scores not recomputed: expected a folder" in line for line in lines)


@pytest.mark.parametrize(
    ("column", "by"), [("value", 0.001), ("ci_low", -0.001), ("ci_high", 0.001), ("n", 1)]
)
def test_a_changed_cell_is_found(measured, mrlbench, column, by):
    path = measured / "retrieval.csv"
    table = pd.read_csv(path)
    place = table.index[(table["metric"] == "map@5") & (table["dim"] == 8)][0]
    table.loc[place, column] += by
    table.to_csv(path, index=False)
    status, (line,), _ = check(mrlbench, measured)
    assert status == 1
    assert f"retrieval.csv: retrieval mine {table.loc[place, 'reducer']} map@5 dim 8: {column}" in (
        line
    )


def test_changed_scores_are_found_by_their_mean(measured, mrlbench):
    change(measured / "raw" / SCORES, map__5__dim8=lambda scores: scores + 0.01)
    status, wrong, _ = check(mrlbench, measured)
    assert status == 1
    assert any(f"raw/{SCORES} map@5@dim8" in line and ": value" in line for line in wrong)


def test_swapped_scores_are_found_by_the_neighbours(measured, folder, mrlbench):
    change(measured / "raw" / SCORES, map__5__dim8=swapped)
    status, wrong, _ = check(mrlbench, measured, "--embeddings", folder)
    assert status == 1
    assert any(
        f"raw/{SCORES} map@5@dim8: 2 of 20 queries are not what raw/{NEIGHBOURS} gives" in line
        for line in wrong
    )


def test_changed_neighbours_are_found(measured, folder, mrlbench):
    change(measured / "raw" / NEIGHBOURS, ids=lambda ids: ids[:, ::-1])
    status, wrong, _ = check(mrlbench, measured, "--embeddings", folder)
    assert status == 1
    assert any(f"raw/{SCORES} map@5@dim8" in line and NEIGHBOURS in line for line in wrong)


def test_equals_in_another_order_are_not_a_mistake(measured, folder, mrlbench):
    """A search for more neighbours may order what differs by rounding only in another way."""

    def tied(scores):
        scores = scores.copy()
        scores[:, 1] = scores[:, 0]
        return scores

    def exchanged(ids):
        return ids[:, [1, 0, *range(2, ids.shape[1])]]

    change(measured / "raw" / NEIGHBOURS, scores=tied, ids=exchanged)
    status, wrong, _ = check(mrlbench, measured, "--embeddings", folder)
    assert (status, wrong) == (0, [])


@pytest.mark.parametrize(("name", "key"), [(SCORES, "map@5@dim8"), (NEIGHBOURS, "ids")])
def test_a_flipped_byte_is_found(measured, mrlbench, name, key):
    path = measured / "raw" / name
    with np.load(path) as file:
        inside = file[key].tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(inside)] ^= 0xFF
    path.write_bytes(content)
    status, wrong, _ = check(mrlbench, measured)
    assert status == 1
    assert f"does not match: raw/{name}: damaged: it cannot be read" in wrong


def test_a_changed_entry_of_the_manifest_is_found(measured, mrlbench):
    path = measured / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["stages"]["retrieval mine"]["vectors"] = "0" * 64
    path.write_text(json.dumps(manifest))
    status, wrong, _ = check(mrlbench, measured)
    assert status == 1
    assert all(
        "stage retrieval mine of manifest.json states 000000000000…" in line for line in wrong
    )
    assert any(SCORES in line for line in wrong)


def test_another_run_s_manifest_is_found(measured, mrlbench):
    path = measured / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run": "other"}))
    status, (line,), _ = check(mrlbench, measured)
    assert status == 1
    assert "manifest.json: run 'other', but 'measured' in the CSV files" in line


def test_no_raw_files_are_no_failure_but_are_said(measured, mrlbench):
    shutil.rmtree(measured / "raw")
    status, _, lines = check(mrlbench, measured)
    assert status == 0
    (line,) = [each for each in lines if "not checked: retrieval.csv: no raw/" in each]
    assert "raw files of published runs are not committed" in line


def test_a_folder_without_measurements_is_one_line(tmp_path, mrlbench):
    status, out, err = mrlbench("verify", tmp_path)
    assert (status, out) == (2, "")
    assert "expected CSV files of measurements" in err


def test_a_real_run_passes_and_its_data_and_experiment_are_those_of_its_models(
    digits_run, tmp_path, mrlbench
):
    status, wrong, lines = check(mrlbench, digits_run)
    assert (status, wrong) == (0, [])
    assert any("arrays of per-query scores against the logits" in line for line in lines)
    assert any("stages of the manifest" in line for line in lines)

    copy = tmp_path / "digits"
    copy.mkdir()
    for path in (*digits_run.glob("*.csv"), digits_run / "experiment.toml"):
        shutil.copy(path, copy)
    manifest = json.loads((digits_run / "manifest.json").read_text())
    manifest["data"] = {"digits": "0" * 64}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    status, wrong, _ = check(mrlbench, copy)
    assert status == 1
    assert any("manifest.json: stage train mrl seed-0: inputs" in line for line in wrong)
