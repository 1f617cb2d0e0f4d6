"""The cascade against plain Python, by hand, on real digits; what tunes never reports."""

import itertools
import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image

from mrlbench import measurements
from mrlbench.cascade.confidence import RULES, confidences
from mrlbench.cascade.heads import Heads, calibrated, uncalibrated
from mrlbench.cascade.joint import JointSearch
from mrlbench.cascade.outcome import SplitRows, draw_splits
from mrlbench.cascade.temperature import GRID
from mrlbench.cascade.thresholds import first_sure, pairwise_thresholds, places
from mrlbench.cascade.variants import run_cascades
from mrlbench.embedding.logits import open_logits
from mrlbench.errors import UserError
from mrlbench.evaluation.adaptive_classification import Cascades, evaluate_adaptive_classification
from mrlbench.runs import Output
from mrlbench.sources import folder_source
from mrlbench.training.devices import choose_device

DIMS = (2, 8, 32)
Q, C = 75, 4
PAPER = "rule=max-softmax"


def write_logits(path, seed, integer=False, scale=2):
    """Heads that are right more often the wider they are; with `integer`, full of ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, C, Q)
    arrays = {}
    for place, dim in enumerate(DIMS):
        logits = rng.standard_normal((Q, C)).astype(np.float32) * scale
        logits[np.arange(Q), labels] += place + 0.5
        if integer:
            logits = np.round(logits)
            logits[1::7] = logits[0]  # the same image again and again
        arrays[str(dim)] = logits
    path.parent.mkdir(exist_ok=True)
    np.savez(path, labels=labels, **arrays)
    return arrays, labels


# The paper's procedure again, in plain Python and from its description alone


def softmax_and_right(row, label):
    weights = [math.exp(float(x) - float(max(row))) for x in row]
    others = [float(x) for place, x in enumerate(row) if place != label]
    return 1 / sum(weights), all(float(row[label]) > x for x in others)


def smallest_best_threshold(narrow, wide, tuning):
    best, best_hits = None, -1
    for threshold in np.linspace(0.1, 1, 100):
        hits = 0
        for query in tuning:
            sure, right = narrow[query]
            hits += right if sure > float(threshold) else wide[query][1]
        if hits > best_hits:
            best, best_hits = float(threshold), hits
    return best


def brute_force(arrays, labels):
    """Thresholds, and by widest head the accuracies and mean dims of each of 30 splits."""
    known = [
        [softmax_and_right(row, label) for row, label in zip(arrays[str(dim)], labels, strict=True)]
        for dim in DIMS
    ]
    thresholds, numbers = [], {dim: [] for dim in DIMS}
    for seed in range(30):
        order = np.random.default_rng(seed).permutation(Q).tolist()
        tuning, reporting = order[: Q // 5], order[Q // 5 :]
        learned = [
            smallest_best_threshold(narrow, wide, tuning)
            for narrow, wide in itertools.pairwise(known)
        ]
        thresholds.append(learned)
        for last, widest in enumerate(DIMS):
            hits, final, tried = 0, 0, 0
            for query in reporting:
                head = 0
                tried += DIMS[0]
                while head < last and not known[head][query][0] > learned[head]:
                    head += 1
                    tried += DIMS[head]
                hits += known[head][query][1]
                final += DIMS[head]
            count = len(reporting)
            numbers[widest].append((hits / count, final / count, tried / count))
    return thresholds, numbers


def source_of(folder, out):
    return folder_source(folder, Output(out), [], [], choose_device("cpu"))


@pytest.mark.parametrize(("seed", "integer"), [(0, False), (1, True), (2, True)])
def test_thresholds_and_expected_dims_are_those_of_plain_python_to_the_last_digit(
    tmp_path, seed, integer
):
    files = {"": "logits.npz", ",tta": "logits_tta.npz"}
    truth = {}
    for scale, (tta, name) in enumerate(files.items(), 1):
        written = write_logits(tmp_path / "mine" / name, seed, integer, scale)
        truth[tta] = brute_force(*written)
    source = source_of(tmp_path / "mine", tmp_path / "out")
    rows = evaluate_adaptive_classification(source, Cascades(tta=True))
    for tta, (thresholds, numbers) in truth.items():
        suffix = "-tta" if tta else ""
        with np.load(tmp_path / "out" / "raw" / f"cascade{suffix}-mine.npz") as raw:
            np.testing.assert_array_equal(raw[f"thresholds {PAPER}{tta}"], thresholds)
        for widest in DIMS[1:]:
            accuracy, final, tried = np.array(numbers[widest]).T
            found = {r.metric: r for r in rows if r.variant == PAPER + tta and r.dim == widest}
            assert found["top1"].value == accuracy.mean()
            assert found["expected_dim"].value == final.mean()
            assert found["expected_dim_all_heads"].value == tried.mean()
            assert found["top1_std"].value == accuracy.std(ddof=1)
            assert found["expected_dim_std"].value == final.std(ddof=1)
            assert found["top1"].n == 30
            for metric in ("top1", "expected_dim", "expected_dim_all_heads"):
                assert found[metric].ci_low <= found[metric].value <= found[metric].ci_high
    alone = [r for r in rows if r.variant == "rule=none,tta"]
    assert [r.dim for r in alone] == list(DIMS)


GRIDS = np.array([0.1, 0.2, 0.3, 0.55, 0.9, 1.0])


def test_by_hand():
    # keeping the narrow head gains 0, 1, -1, -1: only the last is to be sent on in any case, and
    # 0.2 > 0.2 is false, so that the smallest best threshold is 0.2 itself
    confidence = np.array([[0.95, 1.0], [0.55, 1.0], [0.55, 1.0], [0.2, 1.0]])
    right = np.array([[1, 1], [1, 0], [0, 1], [0, 1]], dtype=bool)
    place = places(confidence, GRIDS)
    assert place[:, 0].tolist() == [5, 3, 3, 1]
    learned = pairwise_thresholds(place, right, len(GRIDS))
    assert GRIDS[learned].tolist() == [0.2]
    assert first_sure(place, learned).tolist() == [0, 0, 0, 1]


def test_no_head_is_surer_than_1_and_the_last_always_answers():
    place = places(np.array([[1.0, 0.4, 0.0]]), GRIDS)
    last = len(GRIDS) - 1
    assert first_sure(place, np.array([last, last])).tolist() == [2]
    assert first_sure(place, np.array([last - 1, last])).tolist() == [0]
    assert first_sure(place, np.array([last, 2])).tolist() == [1]


def test_rules_by_hand():
    logits = np.log(np.array([[6.0, 3.0, 1.0], [5.0, 5.0, 5.0]], dtype=np.float32))
    entropy = -sum(p * math.log(p) for p in (0.6, 0.3, 0.1))
    found = dict(zip(RULES, confidences(logits), strict=True))
    assert found["max-softmax"] == pytest.approx([0.6, 1 / 3])
    assert found["margin"] == pytest.approx([0.3, 0], abs=1e-7)
    assert found["entropy"] == pytest.approx([1 - entropy / math.log(3), 0], abs=1e-7)
    halved = dict(zip(RULES, confidences(2 * logits, 2.0), strict=True))
    assert halved["max-softmax"] == pytest.approx(found["max-softmax"])


def heads_of(arrays, labels, splits):
    right = [(a > a[np.arange(Q), labels, None]).sum(axis=1) == 0 for a in arrays.values()]
    tunings = [split.tuning for split in splits]
    return Heads(
        np.array(DIMS),
        np.stack(right, axis=1),
        [uncalibrated(each, len(splits)) for each in arrays.values()],
        [calibrated(each, labels, tunings) for each in arrays.values()],
        splits,
    )


def learned(arrays, labels, split):
    heads = heads_of(arrays, labels, [split])
    thresholds = {name: found.thresholds for name, found in run_cascades(heads, [0.6])}
    temperatures = [head.temperatures[head.chosen[0]] for head in heads.calibrated]
    return thresholds | {"temperatures": np.array(temperatures)}


def test_nothing_is_learned_from_the_queries_that_are_reported_on(tmp_path):
    arrays, labels = write_logits(tmp_path / "logits.npz", 3)
    split = draw_splits(Q, 1)[0]
    before = learned(arrays, labels, split)
    assert len(before) == 3 * 2 + 1 + 1  # rules plain and calibrated, joint, temperatures
    other = np.random.default_rng(9)

    def changed(rows):
        wild = {dim: each.copy() for dim, each in arrays.items()}
        for each in wild.values():
            each[rows] = other.standard_normal((len(rows), C)) * 9
        mixed = labels.copy()
        mixed[rows] = other.integers(0, C, len(rows))
        return learned(wild, mixed, split)

    after = changed(split.reporting)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values, name)
    tuned = changed(split.tuning)
    assert any((tuned[name] != values).any() for name, values in before.items())


def test_the_temperature_is_the_best_on_the_grid(tmp_path):
    arrays, labels = write_logits(tmp_path / "logits.npz", 4)
    logits = arrays["8"].astype(np.float64) * 4  # four times too sure
    tunings = [np.arange(0, 40), np.arange(20, 75)]
    found = calibrated(logits.astype(np.float32), labels, tunings)
    for split, rows in enumerate(tunings):
        losses = []
        for temperature in GRID:
            scaled = logits[rows] / temperature
            own = scaled[np.arange(len(rows)), labels[rows]]
            losses.append((np.log(np.exp(scaled).sum(axis=1)) - own).mean())
        assert found.temperatures[found.chosen[split]] == GRID[np.argmin(losses)]
        assert found.temperatures[found.chosen[split]] > 2


@pytest.mark.parametrize("heads", [2, 3])
def test_joint_thresholds_are_the_best_there_are(heads):
    grid, dims = np.linspace(0.1, 1, 9), np.array([2, 8, 32][-heads:])
    gains = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        right = rng.random((50, heads)) < np.linspace(0.5, 0.8, heads)
        place = places(rng.random((50, heads)) * 0.6 + 0.4 * right, grid)
        search = JointSearch(place, right, dims.tolist(), len(grid))

        def result(thresholds, place=place, right=right):
            final = first_sure(place, np.array(thresholds))
            return right[np.arange(50), final].mean(), dims[final].mean()

        every = [result(each) for each in itertools.product(range(9), repeat=heads - 1)]
        for target in (0.5, 0.6, 0.7):
            reach = [dim for accuracy, dim in every if accuracy >= target]
            accuracy, dim = result(search.thresholds(target))
            if reach:
                assert accuracy >= target
                assert dim == min(reach)
                gains += dim < dims[-1]
            else:
                assert accuracy == max(accuracy for accuracy, _ in every)
    assert gains > 6  # the thresholds that never stop would not do


# The command, on real digits and on bad input


@pytest.fixture(scope="module")
def mirrored_run(digits_run, tmp_path_factory):
    run = tmp_path_factory.mktemp("mirrored") / "digits"
    shutil.copytree(digits_run, run)
    return run


def rows(run, **cells):
    table = measurements.read(run / "adaptive_classification.csv")
    for column, value in cells.items():
        table = table[table[column] == value]
    return table


def number(run, **cells):
    (value,) = rows(run, **cells)["value"]
    return value


def test_reproduce_measures_the_cascades_of_nested_models(digits_run):
    table = rows(digits_run, task="adaptive-classification")
    assert set(table["method"]) == {"mrl", "mrl-e"}
    assert set(rows(digits_run, variant=PAPER)["dim"]) == {16, 128, 512}
    assert set(rows(digits_run, variant=f"{PAPER},thresholds=joint,target=widest")["dim"]) == {512}
    assert (digits_run / "plots" / "adaptive_classification.png").is_file()
    assert (digits_run / "plots" / "adaptive_classification_rules.png").is_file()
    cells = {"method": "mrl", "dim": 16, "variant": PAPER}
    assert 4 <= number(digits_run, metric="expected_dim", **cells) <= 16
    # with two heads, 4 is always tried and 16 by those that end there
    final = number(digits_run, metric="expected_dim", **cells)
    share = (final - 4) / 12
    tried = number(digits_run, metric="expected_dim_all_heads", **cells)
    assert tried == pytest.approx(4 + 16 * share)
    widest = number(digits_run, method="mrl", dim=512, variant=PAPER, metric="mflops")
    from mrlbench import runs
    from mrlbench.stages import Workshop

    workshop = Workshop(runs.open_run(digits_run), digits_run, choose_device("cpu"))
    backbone = workshop.image_multiply_adds()
    heads = number(
        digits_run, method="mrl", dim=512, variant=PAPER, metric="expected_dim_all_heads"
    )
    assert widest == pytest.approx((backbone + 10 * heads) / 1e6)


def test_tta_sums_the_logits_of_the_image_and_its_mirror_image(mirrored_run, mrlbench):
    import torch

    from mrlbench import runs
    from mrlbench.stages import Workshop
    from mrlbench.training.batches import to_input
    from mrlbench.training.loop import load_trained

    command = ("eval-adaptive-classification", mirrored_run, "--tta", "--targets", "0.3")
    status, out, err = mrlbench(*command)
    assert status == 0, err
    assert "rule=max-softmax,tta" in out
    experiment = runs.open_run(mirrored_run).experiment
    workshop = Workshop(runs.open_run(mirrored_run), mirrored_run, choose_device("cpu"))
    path = mirrored_run / "models" / "mrl" / "seed-0" / "checkpoint.pt"
    dataset, device = workshop.dataset, torch.device("cpu")
    backbone, head = load_trained(experiment, dataset, "mrl", 0, path, device)
    images = dataset.queries.images.read(np.arange(50))
    with torch.inference_mode():
        both = [head(backbone(to_input(i, dataset, device))) for i in (images, images[..., ::-1])]
    folder = mirrored_run / "embeddings" / "mrl" / "seed-0"
    with np.load(folder / "logits_tta.npz") as sums:
        for dim, plain, mirrored in zip((4, 16, 128, 512), *both, strict=True):
            expected = (plain + mirrored).numpy()
            np.testing.assert_allclose(sums[str(dim)][:50], expected, atol=1e-3)
            assert (sums[str(dim)][:50].argmax(axis=1) == expected.argmax(axis=1)).all()
        np.testing.assert_array_equal(sums["labels"], dataset.queries.labels)
        cells = {"metric": "top1", "variant": "rule=none,tta"}
        right = (sums["16"].argmax(axis=1) == sums["labels"]).mean()
        assert number(mirrored_run, method="mrl", dim=16, **cells) == pytest.approx(right)
    assert not list(folder.glob("queries_mirrored*"))
    assert len(rows(mirrored_run, method="fixed-16", **cells)) == 1
    plain, tta = (
        number(mirrored_run, method="mrl", dim=16, variant=v, metric="mflops")
        for v in (PAPER, f"{PAPER},tta")
    )
    assert tta > 1.9 * plain
    joint = f"{PAPER},tta,thresholds=joint,target=0.30"
    assert 0 < number(mirrored_run, method="mrl", variant=joint, metric="top1") < 1
    assert mrlbench("plot", mirrored_run)[0] == 0
    with Image.open(mirrored_run / "plots" / "adaptive_classification_tta.png") as picture:
        assert picture.size[0] > 800


def test_an_interrupted_mirroring_is_gone_on_with_and_new_embeddings_drop_it(
    digits_run, mrlbench, tmp_path
):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    folder = run / "embeddings" / "fixed-16" / "seed-0"
    inputs = json.loads((folder / "meta.json").read_text())["inputs"]
    ours = np.zeros((360, 512), dtype=np.float32)
    np.save(folder / "queries_mirrored.npy", ours)  # whole, but the sums were not yet written
    (folder / "queries_mirrored.json").write_text(json.dumps({"inputs": inputs, "rows": 360}))
    command = ("eval-adaptive-classification", run, "--tta", "-q")
    assert mrlbench(*command)[0] == 0
    plain, _ = open_logits(folder)
    with np.load(folder / "logits_tta.npz") as sums:
        added = sums["16"] - plain[16]  # the head's bias, as the vectors were zeros
    np.testing.assert_allclose(added, np.broadcast_to(added[0], added.shape), atol=1e-4)
    (folder / "meta.json").unlink()
    assert mrlbench("embed", run, "--methods", "fixed-16", "-q")[0] == 0
    assert not (folder / "logits_tta.npz").exists()


def test_a_deleted_csv_is_measured_again_for_every_model(digits_run, mrlbench, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    (run / "adaptive_classification.csv").unlink()
    assert mrlbench("eval-adaptive-classification", run, "-q")[0] == 0
    assert set(rows(run)["method"]) == {"mrl", "mrl-e"}


def test_any_models_logits_are_enough(mrlbench, tmp_path):
    write_logits(tmp_path / "mine" / "logits.npz", 5)
    out = tmp_path / "out"
    target = ("--embeddings", tmp_path / "mine", "--out", out)
    assert mrlbench("eval-adaptive-classification", *target, "--dims", "2,32", "-q")[0] == 0
    assert set(rows(out, variant=PAPER)["dim"]) == {32}
    assert "mflops" not in set(rows(out)["metric"])  # the backbone is not known
    tried = number(out, variant=PAPER, metric="expected_dim_all_heads")
    heads = number(out, variant=PAPER, metric="mflops_heads")
    assert heads == pytest.approx(tried * C / 1e6)
    assert mrlbench("eval-adaptive-classification", *target, "-q")[0] == 0
    assert set(rows(out, variant=PAPER)["dim"]) == {8, 32}


def test_rows_of_logits_that_are_gone_are_dropped(mrlbench, tmp_path):
    write_logits(tmp_path / "mine" / "logits.npz", 5)
    out = tmp_path / "out"
    target = ("--embeddings", tmp_path / "mine", "--out", out, "-q")
    assert mrlbench("eval-adaptive-classification", *target, "--targets", "0.5")[0] == 0
    assert len(rows(out, variant=f"{PAPER},thresholds=joint,target=0.50")) > 0
    write_logits(tmp_path / "mine" / "logits.npz", 6)
    assert mrlbench("eval-adaptive-classification", *target, "--dims", "2,32")[0] == 0
    assert set(rows(out)["dim"]) == {32}
    assert len(rows(out, variant=f"{PAPER},thresholds=joint,target=0.50")) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tta"], "--tta: expected logits summed over each image and its mirror image in"),
        (["--dims", "2,9"], "--dims: no head for dim 9: expected some of 2, 8, 32"),
        (["--dims", "8"], "a cascade needs heads at two dims or more, got 8"),
        (["--targets", "70"], "--targets: expected fractions above 0 and up to 1, got 70"),
        (["--targets", "a"], "--targets: expected fractions such as 0.7,0.75, got 'a'"),
    ],
)
def test_bad_requests_are_one_line(mrlbench, tmp_path, options, message):
    write_logits(tmp_path / "mine" / "logits.npz", 6)
    target = ("--embeddings", tmp_path / "mine", "--out", tmp_path / "out")
    status, _, err = mrlbench("eval-adaptive-classification", *target, *options)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_one_head_few_queries_and_other_mirrored_logits_are_refused(tmp_path):
    def refusal(tta=False, **arrays):
        folder = tmp_path / "mine"
        np.savez(folder / "logits.npz", **arrays)
        with pytest.raises(UserError) as refused:
            from mrlbench.evaluation.adaptive_classification import check_cascade

            check_cascade(source_of(folder, tmp_path / "out"), Cascades(tta=tta))
        return str(refused.value)

    arrays, labels = write_logits(tmp_path / "mine" / "logits.npz", 7)
    assert "two dims or more, got 8" in refusal(labels=labels, **{"8": arrays["8"]})
    few = {dim: each[:9] for dim, each in arrays.items()}
    assert "expected at least 10 queries" in refusal(labels=labels[:9], **few)
    np.savez(tmp_path / "mine" / "logits_tta.npz", labels=labels[::-1], **arrays)
    assert "expected the heads and labels of" in refusal(True, labels=labels, **arrays)


def test_a_run_of_fixed_models_has_no_cascade(mrlbench, digits_run):
    command = ("eval-adaptive-classification", digits_run, "--methods", "fixed-16,fixed-512")
    status, _, err = mrlbench(*command)
    assert status == 2
    assert "a cascade needs heads at two dims or more, got 16" in err


def test_splits_are_a_fifth_and_the_rest():
    for tuning, reporting in draw_splits(50, 3):
        assert (len(tuning), len(reporting)) == (10, 40)
        assert sorted([*tuning, *reporting]) == list(range(50))
    assert SplitRows._fields == ("tuning", "reporting")
