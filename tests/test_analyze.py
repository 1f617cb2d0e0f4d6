"""The analyses: numbers worked by hand or by an independent computation, and the command."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from mrlbench import measurements
from mrlbench.datasets.digits import digits
from mrlbench.datasets.fashion_mnist import CLASSES
from mrlbench.embedding.corruptions import CORRUPTIONS, Corrupted
from mrlbench.embedding.logits import open_logits
from mrlbench.embedding.query_sets import open_query_set
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.analysis import few_shot as few_shots
from mrlbench.evaluation.analysis.class_trends import accuracy_by_class, trend
from mrlbench.evaluation.analysis.classes import Classes
from mrlbench.evaluation.analysis.grad_cam import grad_cam
from mrlbench.evaluation.analysis.heads import Heads
from mrlbench.evaluation.analysis.interpolation import midpoints
from mrlbench.evaluation.analysis.long_tail import frequency_groups
from mrlbench.evaluation.analysis.oracle import first_right, majority
from mrlbench.evaluation.analysis.robustness import among
from mrlbench.evaluation.analysis.superclass import built_in, read_superclasses
from mrlbench.images import ImageArray
from mrlbench.runs import Output
from mrlbench.sources import folder_source

LABELS = [0, 1, 2, 0, 1]
PREDICTED = {4: [0, 1, 0, 1, 2], 8: [0, 2, 2, 1, 1], 16: [0, 1, 2, 2, 2]}


def heads():
    predicted = np.array(list(PREDICTED.values()))
    labels = np.array(LABELS)
    return Heads(tuple(PREDICTED), labels, 3, predicted, predicted == labels)


@pytest.fixture
def logits_folder(tmp_path):
    """A folder with nothing but the logits that predict PREDICTED."""
    folder = tmp_path / "heads"
    folder.mkdir()
    arrays = {str(dim): np.eye(3, dtype=np.float32)[each] for dim, each in PREDICTED.items()}
    np.savez(folder / "logits.npz", labels=np.array(LABELS), **arrays)
    return folder


@pytest.fixture
def analyze(mrlbench, tmp_path):
    """Analyze a folder; returns the rows of `analysis.csv`."""

    def run(folder, *arguments, csv="analysis"):
        out = tmp_path / "out"
        status, _, err = mrlbench("analyze", "--embeddings", folder, "--out", out, *arguments, "-q")
        assert status == 0, err
        return measurements.read(out / f"{csv}.csv")

    return run


@pytest.fixture
def refused(mrlbench, tmp_path):
    """Run `analyze` so that it must be refused; returns its one line."""

    def run(*arguments):
        status, out, err = mrlbench("analyze", *arguments)
        assert status == 2, err
        assert out == ""
        assert len(err.strip().splitlines()) == 1, err
        return err

    return run


def value(table, **cells):
    for column, cell in cells.items():
        table = table[table[column].isna() if cell is None else table[column] == cell]
    (number,) = table["value"]
    return number


# The oracle


def test_the_oracle_by_hand(analyze, logits_folder):
    table = analyze(logits_folder, "--what", "oracle")
    assert (table["task"] == "oracle").all()
    # queries 0 and 1 are right at 4, queries 2 and 4 first at 8, query 3 never
    for dim, share in ((4, 2 / 5), (8, 2 / 5), (16, 0)):
        assert value(table, metric="first_right", dim=dim) == pytest.approx(share)
    expected = {
        "never_right": 1 / 5,
        "oracle_accuracy": 4 / 5,
        "expected_dim": (4 + 4 + 8 + 16 + 8) / 5,
        "expected_dim_if_right": (4 + 4 + 8 + 8) / 4,
        "majority_vote": 3 / 5,  # classes 0 1 2 1 2
    }
    for metric, number in expected.items():
        assert value(table, metric=metric) == pytest.approx(number), metric
        assert value(table, metric=metric, dim=16) == pytest.approx(number)
    assert set(table["n"]) == {5, 4}


def test_first_right_and_the_vote():
    assert first_right(heads()).tolist() == [0, 0, 1, 3, 1]
    assert majority(heads()).tolist() == [0, 1, 2, 1, 2]
    tied = replace(heads(), dims=(1, 2, 3, 4), predicted=np.array([[0, 2], [1, 1], [1, 0], [0, 0]]))
    assert majority(tied).tolist() == [0, 0]  # two against two: the widest head decides
    split = replace(heads(), predicted=np.array([[2], [0], [1]]))
    assert majority(split).tolist() == [1]


# Class trends


@pytest.mark.parametrize(
    ("accuracy", "tolerance", "expected"),
    [
        ([0.5, 0.6, 0.6, 0.8], 0, "rises"),
        ([0.8, 0.7, 0.7, 0.5], 0, "falls"),
        ([0.7, 0.7, 0.7, 0.7], 0, "flat"),
        ([0.7, 0.5, 0.6, 0.8], 0, "dips"),
        ([0.5, 0.8, 0.8, 0.6], 0, "peaks"),
        ([0.5, 0.6, 0.59, 0.8], 0, "dips"),  # without a tolerance any fall counts
        ([0.5, 0.6, 0.59, 0.8], 0.05, "rises"),
        ([0.70, 0.72, 0.69, 0.71], 0.05, "flat"),
        ([0.50, 0.54, 0.58, 0.62], 0.05, "rises"),  # small steps add up
        ([0.1 * 3, 0.3], 0, "flat"),  # 0.30000000000000004
    ],
)
def test_the_trend_of_a_class(accuracy, tolerance, expected):
    assert trend(np.array(accuracy), tolerance) == expected


def test_accuracy_by_class_and_its_noise():
    found = accuracy_by_class(replace(heads(), classes=4))  # class 3 has no queries
    assert list(found.classes) == [0, 1, 2]
    np.testing.assert_allclose(found.accuracy, [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 1, 1]])
    one = replace(found, accuracy=np.array([[0.4, 0.6]]), queries=np.array([50]))
    assert one.binomial == pytest.approx([1.96 * np.sqrt(2 * 0.5 * 0.5 / 50)])


def test_class_trends_are_counted_and_kept(analyze, logits_folder, tmp_path):
    table = analyze(logits_folder, "--what", "class-trends")
    counts = {row.variant: row.value for row in table.itertuples()}
    assert counts["trend=rises"] == 1  # class 2
    assert counts["trend=flat"] == 2
    assert counts["trend=flat,tolerance=binomial"] == 3  # one query proves nothing
    assert sum(counts.values()) == 6
    assert set(table["n"]) == {3}
    kept = pd.read_csv(tmp_path / "out" / "raw" / "class-trends-heads.csv")
    assert kept.loc[2, ["4", "8", "16"]].tolist() == [0, 1, 1]
    assert kept["trend"].tolist() == ["flat", "flat", "rises"]


# Superclasses


def test_superclass_accuracy_by_hand(analyze, logits_folder, tmp_path):
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("# ours\nclass,superclass\n0,animal\n1,animal\n")
    table = analyze(logits_folder, "--what", "superclass", "--superclasses", mapping)
    # at 4: labels a a r a a, predictions a a a a r; at 16: a a r r r
    assert value(table, dim=4, variant=None) == pytest.approx(3 / 5)
    assert value(table, dim=4, variant="superclass=animal") == pytest.approx(3 / 4)
    assert value(table, dim=4, variant="superclass=reject") == 0
    assert value(table, dim=16, variant=None) == pytest.approx(3 / 5)
    assert value(table, dim=16, variant="superclass=reject") == 1
    # a changed file is measured again
    mapping.write_text("0,a\n1,b\n2,c\n")
    table = analyze(logits_folder, "--what", "superclass", "--superclasses", mapping)
    assert value(table, dim=4, variant=None) == pytest.approx(2 / 5)


def test_fashion_mnist_has_its_superclasses():
    groups = read_superclasses(built_in("fashion-mnist"), Classes(CLASSES), 10)
    of = dict(zip(CLASSES, [groups.names[place] for place in groups.of_class], strict=True))
    assert of["Sandal"] == of["Ankle boot"] == of["Sneaker"] == "shoes"
    assert of["Shirt"] == of["T-shirt/top"] == "tops"
    assert "reject" not in of.values()


@pytest.mark.parametrize(
    ("name", "classes", "wnid", "superclass"),
    [
        ("tiny-imagenet", 200, "n02099601", "carnivore"),
        ("imagenet1k", 1000, "n02123045", "feline"),
    ],
)
def test_the_shipped_superclasses_of_imagenet(name, classes, wnid, superclass):
    """Golden retriever and tabby, in files of WordNet ids."""
    lines = built_in(name).read_text().splitlines()
    wnids = [line.split("\t")[0] for line in lines if line.startswith("n")]
    assert len(wnids) == len(set(wnids)) <= classes
    groups = read_superclasses(built_in(name), Classes(wnids=tuple(wnids)), len(wnids))
    assert groups.names[groups.of_class[wnids.index(wnid)]] == superclass
    licence = built_in(name).with_name("LICENSE.wordnet").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence


def test_superclasses_from_hypernyms(monkeypatch, tmp_path):
    """Entity over animal (dog, cat, bird over owl and hen) and tool (saw): groups of 1 to 3."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    import make_superclasses as script

    synsets = {1: ("entity", None), 2: ("animal", 1), 3: ("dog", 2), 4: ("cat", 2), 5: ("bird", 2)}
    synsets |= {6: ("owl", 5), 7: ("hen", 5), 8: ("tool", 1), 9: ("saw", 8)}
    lines = ["  1 licence"]
    for number, (name, parent) in synsets.items():
        pointers = "001 ~ 00000099 n 0000" if parent is None else f"001 @ {parent:08} n 0000"
        lines.append(f"{number:08} 03 n 02 {name} 0 other_word 0 {pointers} | a | gloss")
    (tmp_path / "data.noun").write_text("\n".join(lines))
    names, parents = script.read_nouns(tmp_path)
    wnids = [f"n{number:08}" for number in (3, 4, 6, 7, 9)]

    def grouped(most, least):
        chosen = script.group(wnids, parents, most, least)
        return {names[wnid[1:]]: names[offset] for wnid, offset in chosen.items()}

    assert grouped(4, 2) == dict.fromkeys(("dog", "cat", "owl", "hen"), "animal")
    assert grouped(3, 2) == {"owl": "bird", "hen": "bird"}
    sys.modules.pop("make_superclasses")


# Few shots


def brute_force_few_shot(queries, labels, dim, shots):
    """Classify all but the shots (rows by class) by the class mean's cosine, one by one."""
    unit = np.asarray(queries[:, :dim], np.float64)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    right = {}
    for row in range(len(labels)):
        if row in np.concatenate(list(shots.values())) or labels[row] not in shots:
            continue
        means = {label: unit[rows].mean(axis=0) for label, rows in shots.items()}
        cosines = {label: unit[row] @ m / np.linalg.norm(m) for label, m in means.items()}
        right[row] = max(cosines, key=cosines.get) == labels[row]
    return right


def test_few_shot_is_that_of_a_plain_computation(folder, tmp_path):
    labels = np.array([0] * 9 + [7] * 7 + [2] * 4)
    np.save(folder / "queries_labels.npy", labels)
    source = folder_source(folder, Output(tmp_path / "out"), [3, 16], [], torch.device("cpu"))
    rows = few_shots.few_shot(source, shots=(1, 4, 5), draws=3, seed=5)
    queries = np.load(folder / "queries.npy")
    compact = np.unique(labels, return_inverse=True)[1]
    for dim in (3, 16):
        for count in (1, 4, 5):
            answers, accuracies = {}, []
            for draw in range(3):
                places = few_shots._places(compact, np.random.default_rng([5, draw]))
                for label in np.unique(labels):
                    assert sorted(places[labels == label]) == list(range((labels == label).sum()))
                shots = {
                    label: np.flatnonzero((labels == label) & (places < count))
                    for label in (0, 7, 2)
                    if (labels == label).sum() > count  # class 2 has only 4 queries
                }
                right = brute_force_few_shot(queries, labels, dim, shots)
                accuracies.append(np.mean(list(right.values())))
                for row, hit in right.items():
                    answers.setdefault(row, []).append(hit)
            (top1,) = [r for r in rows if (r.variant, r.dim, r.metric) == _few(count, dim, "top1")]
            (std,) = [
                r for r in rows if (r.variant, r.dim, r.metric) == _few(count, dim, "top1_std")
            ]
            assert top1.value == pytest.approx(
                np.mean([np.mean(each) for each in answers.values()])
            )
            assert top1.n == len(answers)
            assert top1.ci_low <= top1.value <= top1.ci_high
            assert std.value == pytest.approx(np.std(accuracies, ddof=1))


def _few(count, dim, metric):
    return (f"shots={count}", dim, metric)


def test_few_shot_of_well_parted_classes_is_right(analyze, folder):
    labels = np.arange(20) % 2
    queries = np.full((20, 16), 0.01, dtype=np.float32)
    queries[np.arange(20), labels] = 1  # classes differ in the first two coordinates
    np.save(folder / "queries.npy", queries)
    np.save(folder / "queries_labels.npy", labels)
    table = analyze(folder, "--what", "few-shot", "--dims", "1,2,16")
    assert set(table["variant"]) == {f"shots={n}" for n in (1, 3, 5, 7, 9)}
    top1 = table[table["metric"] == "top1"]
    assert (top1.loc[top1["dim"] > 1, "value"] == 1).all()
    # one positive coordinate has one direction: all means tie, which is not right
    assert (top1.loc[top1["dim"] == 1, "value"] == 0).all()


# Long tail


def test_frequency_groups_by_hand(analyze, folder):
    database = np.repeat(np.arange(4), [101, 100, 20, 19])
    groups = frequency_groups(Labels(database, np.array([0, 1, 2, 3, 4, 0])))
    assert groups["many"].tolist() == [True, False, False, False, False, True]
    assert groups["medium"].tolist() == [False, True, True, False, False, False]
    assert groups["few"].tolist() == [False, False, False, True, True, False]


def test_long_tail_of_a_folder(analyze, folder):
    rng = np.random.default_rng(1)
    np.save(folder / "database.npy", rng.standard_normal((150, 16), dtype=np.float32))
    labels, queries = np.repeat([0, 1, 2], [110, 30, 10]), np.repeat([0, 1, 2], [10, 6, 4])
    np.save(folder / "database_labels.npy", labels)
    np.save(folder / "queries_labels.npy", queries)
    logits = rng.standard_normal((20, 3)).astype(np.float32)
    np.savez(folder / "logits.npz", labels=queries, **{"16": logits})
    table = analyze(folder, "--what", "long-tail", "--dims", "8,16")
    unit = [np.load(folder / f"{n}.npy")[:, :8].astype(float) for n in ("queries", "database")]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in unit]
    nearest = labels[(unit[0] @ unit[1].T).argmax(axis=1)]
    for label, name in enumerate(("many", "medium", "few")):
        cells, own = {"variant": f"frequency={name}"}, queries == label
        knn = value(table, metric="knn_top1", dim=8, **cells)
        assert knn == pytest.approx((nearest == queries)[own].mean())
        linear = value(table, metric="top1", dim=16, **cells)
        assert linear == pytest.approx((logits.argmax(axis=1) == queries)[own].mean())


# Dims between


def test_the_papers_dims_between():
    trained = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    assert midpoints(trained) == (12, 24, 48, 96, 192, 384, 768, 1536)
    assert midpoints([1, 2, 5]) == (3,)


def test_between_of_a_folder_is_a_plain_search(analyze, folder):
    (folder / "meta.json").write_text(json.dumps({"trained_dims": [4, 6, 8, 16]}))
    table = analyze(folder, "--what", "interpolation", "--dims", "4,8,16", csv="knn")
    assert set(table["variant"]) == {"interpolated"}
    assert set(table["dim"]) == {12}  # 6 was trained
    unit = [np.load(folder / f"{n}.npy")[:, :12].astype(float) for n in ("queries", "database")]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in unit]
    labels, own = (np.load(folder / f"{n}_labels.npy") for n in ("database", "queries"))
    expected = (labels[(unit[0] @ unit[1].T).argmax(axis=1)] == own).mean()
    assert value(table, metric="top1") == pytest.approx(expected)


# Robustness


def test_logits_of_other_classes_are_no_answer():
    logits = np.array([[9, 1, 2, 8], [0, 5, 1, 7]], dtype=np.float32)
    own, labels = among(logits, np.array([3, 1]), np.array([1, 3]))
    np.testing.assert_array_equal(own, [[1, 8], [5, 7]])
    assert labels.tolist() == [1, 0]


def test_corruptions_do_what_they_say():
    rows = np.arange(64)
    grey = np.full((64, 3, 28, 28), 0.5, dtype=np.float32)
    noisy = CORRUPTIONS["noise"](grey, rows) - grey
    assert noisy.std() == pytest.approx(0.12, rel=0.02)
    np.testing.assert_array_equal(noisy[:, 0], noisy[:, 2])
    edge = np.zeros((1, 3, 28, 28), dtype=np.float32)
    edge[..., 14:] = 1
    pale = CORRUPTIONS["contrast"](edge, rows[:1])
    np.testing.assert_allclose(np.unique(pale), [0.35, 0.65], atol=1e-6)
    blurred = CORRUPTIONS["blur"](edge, rows[:1])[0, 0, 14]  # a row of pixels across the edge
    # one pixel wide: the share of the normalised Gaussian's weights that lie left of each pixel
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    weights /= weights.sum()
    np.testing.assert_allclose(blurred[12:16], np.cumsum(weights)[1:5], atol=1e-5)
    dot = np.zeros((256, 3, 28, 28), dtype=np.float32)
    dot[:, :, 14, 14] = 1
    shifted = CORRUPTIONS["shift"](dot, np.arange(256))
    moved = {tuple(np.argwhere(each[0] == 1)[0] - 14) for each in shifted}
    assert moved == {(a, b) for a in (-2, 0, 2) for b in (-2, 0, 2)} - {(0, 0)}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_image_is_the_same_in_every_batch(name):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    images = Corrupted(ImageArray(pixels), name)
    whole = images.read(np.arange(6))
    assert whole.shape == (6, 3, 8, 8)
    assert whole.dtype == np.uint8
    assert not np.array_equal(whole[:, 0], pixels)
    np.testing.assert_array_equal(whole[4:5], images.read(np.array([4])))


def write_images(folder, names, count=2):
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (20, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_folders_are_classes_by_name_wordnet_id_or_number(tmp_path):
    dataset = digits(tmp_path)
    letters = replace(dataset, classes=tuple("ab/defghij"), wnids=tuple(f"n{i}" for i in range(10)))
    for names, expected in (
        (["a", "d", "_"], [0, 2, 3]),  # the slash of a name is no folder's
        (["n4", "n1"], [1, 4]),
        (["0", "7", "3"], [0, 3, 7]),
    ):
        folder = write_images(tmp_path / "-".join(names), names)
        found = open_query_set(f"v2={folder.name}", letters, tmp_path)
        assert found.classes.tolist() == expected
        assert found.split.labels.tolist() == sorted(expected * 2)
        assert found.split.images.read(np.arange(6)[: 2 * len(names)]).shape[1:] == (3, 8, 8)
    folder = write_images(tmp_path / "odd", ["a", "zebra"])
    with pytest.raises(UserError, match=r"odd/zebra: expected folders named by class"):
        open_query_set(f"odd={folder}", letters, tmp_path)
    with pytest.raises(UserError, match="number of the 10 classes, got '10'"):
        open_query_set(f"more={write_images(tmp_path / 'more', ['1', '10'])}", dataset, tmp_path)


# Grad-CAM


class _Pooled(nn.Module):
    """One stage of feature maps and their mean: Grad-CAM there is the class activation map."""

    def __init__(self):
        super().__init__()
        self.stage = nn.Conv2d(3, 5, 3, padding=1)
        self.spatial_stages = (self.stage,)

    def forward(self, images):
        return self.stage(images).mean(dim=(2, 3))


class _TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(2, 4), nn.Linear(5, 4)])

    def forward(self, vectors):
        return [self.heads[0](vectors[:, :2]), self.heads[1](vectors)]


def test_grad_cam_of_pooled_features_is_the_class_activation_map():
    torch.manual_seed(0)
    backbone, head, images = _Pooled(), _TwoHeads(), torch.randn(3, 3, 6, 6)
    found = grad_cam(backbone, head, images)
    assert found.maps.shape == (2, 3, 6, 6)
    assert found.side == (6, 6)
    features = backbone.stage(images).detach().numpy()  # (B, K, h, w)
    logits = [each.detach().numpy() for each in head(backbone(images))]
    for place, width in enumerate((2, 5)):
        weight = head.heads[place].weight.detach().numpy()
        for image in range(3):
            predicted = logits[place][image].argmax()
            assert found.predicted[place, image] == predicted
            cam = np.einsum("k,khw->hw", weight[predicted], features[image, :width]).clip(min=0)
            np.testing.assert_allclose(found.maps[place, image], cam / cam.max(), atol=1e-4)


def test_a_model_without_maps_is_refused():
    with pytest.raises(UserError, match="spatial feature maps such as resnet, got Linear"):
        grad_cam(nn.Linear(3, 2), _TwoHeads(), torch.zeros(1, 3))


# The command on a run


@pytest.fixture(scope="module")
def analyzed(digits_run, tmp_path_factory):
    """A copy of the small run of digits, to be analyzed further."""
    run = tmp_path_factory.mktemp("analyzed") / "digits"
    shutil.copytree(digits_run, run)
    return run


def test_reproduce_does_what_the_data_allow(digits_run):
    table = measurements.read(digits_run / "analysis.csv")
    done = {"training-cost", "few-shot", "oracle", "class-trends", "long-tail"}
    assert set(table["task"]) == done  # no superclasses are known for digits
    assert set(table.loc[table["task"] == "oracle", "method"]) == {"mrl", "mrl-e"}
    for csv in ("retrieval", "knn"):
        rows = measurements.read(digits_run / f"{csv}.csv")
        rows = rows[rows["variant"] == "interpolated"]
        assert set(rows["dim"]) == {10, 72, 320}
        assert set(rows["method"]) == {"mrl", "mrl-e"}
    for name in ("few_shot_by_dim", "oracle_first_right", "class_trends", "interpolation_by_dim"):
        assert (digits_run / "plots" / f"{name}.png").is_file()


def test_between_with_a_shared_head_is_its_slice(digits_run):
    """The checkpoint's weight, sliced at a trained dim too, where the logits are known."""
    state = torch.load(digits_run / "models/mrl-e/seed-0/checkpoint.pt", weights_only=True)["head"]
    weight, bias = (state[f"classifier.{name}"].numpy() for name in ("weight", "bias"))
    folder = digits_run / "embeddings" / "mrl-e" / "seed-0"
    queries = np.load(folder / "queries.npy")
    logits, labels = open_logits(folder)
    np.testing.assert_allclose(
        queries[:, :128] @ weight[:, :128].T + bias, logits[128], rtol=1e-3, atol=1e-3
    )
    table = measurements.read(digits_run / "classification.csv")
    table = table[table["variant"] == "interpolated"]
    assert set(table["method"]) == {"mrl-e"}
    for dim in (10, 72, 320):
        answers = (queries[:, :dim] @ weight[:, :dim].T + bias).argmax(axis=1)
        expected = (answers == labels).mean()
        assert value(table, dim=dim, metric="top1") == pytest.approx(expected, abs=0.01)


def test_other_queries_of_the_same_model(analyzed, mrlbench, tmp_path):
    folder = write_images(tmp_path / "subset", ["2", "5", "9"], count=4)
    extra = ("--queries", "noise", "--queries", f"subset={folder}", "--methods", "mrl,fixed-16")
    status, out, err = mrlbench("analyze", analyzed, "--what", "robustness", *extra)
    assert status == 0, err
    assert "subset" in out
    table = measurements.read(analyzed / "analysis.csv")
    table = table[table["task"] == "robustness"]
    assert set(table["queries"]) == {"test", "noise", "subset"}
    main = measurements.read(analyzed / "classification.csv")
    labels = np.load(analyzed / "embeddings/mrl/seed-0/database_labels.npy")
    for dim in (4, 512):
        cells = {"method": "mrl", "dim": dim}
        assert value(table, queries="test", metric="top1", **cells) == value(
            main[main["variant"].isna()], metric="top1", **cells
        )
        beside = analyzed / "embeddings" / "mrl" / "seed-0" / "queries-subset"
        logits, own = open_logits(beside)
        assert own.tolist() == [2] * 4 + [5] * 4 + [9] * 4
        answers = np.array([2, 5, 9])[logits[dim][:, [2, 5, 9]].argmax(axis=1)]
        expected = (answers == own).mean()
        assert value(table, queries="subset", metric="top1", **cells) == pytest.approx(expected)
        pair = [np.load(f)[:, :dim].astype(float) for f in (beside / "queries.npy",)]
        pair.append(np.load(beside.parent / "database.npy")[:, :dim].astype(float))
        pair = [v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9) for v in pair]
        nearest = labels[(pair[0] @ pair[1].T).argmax(axis=1)]
        knn = value(table, queries="subset", metric="knn_top1", **cells)
        assert knn == pytest.approx((nearest == own).mean(), abs=1 / 12)
    before = (beside / "queries.npy").stat().st_mtime_ns
    assert mrlbench("analyze", analyzed, "--what", "robustness", *extra, "-q")[0] == 0
    assert (beside / "queries.npy").stat().st_mtime_ns == before
    status, _, err = mrlbench("plot", analyzed)
    assert status == 0, err
    assert (analyzed / "plots" / "robustness_by_dim.png").is_file()


def test_noise_is_that_of_the_queries_embedded_again(analyzed, mrlbench):
    """The images that were embedded are the corrupted queries, in order."""
    status, _, err = mrlbench(
        *("analyze", analyzed, "--what", "robustness", "--queries", "contrast", "-q"),
        *("--methods", "mrl", "--dims", "16"),
    )
    assert status == 0, err
    written = np.load(analyzed / "embeddings/mrl/seed-0/queries-contrast/queries_labels.npy")
    np.testing.assert_array_equal(written, digits(Path()).queries.labels)
    table = measurements.read(analyzed / "analysis.csv")
    rows = table[(table["queries"] == "contrast") & (table["metric"] == "top1")]
    assert rows["dim"].tolist() == [16]
    assert rows["n"].tolist() == [360]


def test_grad_cam_is_a_picture_of_the_chosen_images(analyzed, mrlbench):
    status, out, err = mrlbench(
        *("analyze", analyzed, "--what", "grad-cam", "--images", "3,17", "--methods", "mrl-e")
    )
    assert status == 0, err
    assert "grad_cam-mrl-e-seed-0.png" in out
    with Image.open(analyzed / "plots" / "grad_cam-mrl-e-seed-0.png") as picture:
        assert picture.size[0] > picture.size[1] > 300


def test_all_of_a_folder_is_what_its_vectors_allow(mrlbench, folder, tmp_path):
    target = ("--embeddings", folder, "--out", tmp_path / "out")
    status, out, err = mrlbench("analyze", *target, "--dims", "4,8,16")
    assert status == 0, err
    table = measurements.read(tmp_path / "out" / "analysis.csv")
    assert set(table["task"]) == {"few-shot", "long-tail"}
    assert "few-shot" in out
    assert (tmp_path / "out" / "retrieval.csv").is_file()
    assert (tmp_path / "out" / "knn.csv").is_file()


def test_changed_vectors_drop_the_rows_of_their_own_analysis_only(mrlbench, folder, tmp_path):
    target = ("--embeddings", folder, "--out", tmp_path / "out", "-q")
    assert mrlbench("analyze", *target, "--what", "few-shot,long-tail", "--dims", "4,16")[0] == 0
    np.save(folder / "queries.npy", np.load(folder / "queries.npy")[::-1].copy())
    assert mrlbench("analyze", *target, "--what", "few-shot", "--dims", "8")[0] == 0
    table = measurements.read(tmp_path / "out" / "analysis.csv")
    assert set(table.loc[table["task"] == "few-shot", "dim"]) == {8}
    assert set(table.loc[table["task"] == "long-tail", "dim"]) == {4, 16}


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--what", "few-shots"], "--what: expected all or some of training-cost, robustness"),
        (["--what", ","], "--what: expected all or some of training-cost, robustness"),
        (["--what", "robustness"], "--what robustness: expected a run, whose model it needs"),
        (["--what", "oracle"], "expected logits in"),
        (["--what", "superclass"], "expected logits in"),
        (["--what", "few-shot", "--dims", "99"], "--dims: expected dims from 1 to 16, got 99"),
        (["--what", "interpolation", "--dims", "4,5"], "expected dims with untrained ones between"),
    ],
)
def test_a_folder_that_cannot_be_analyzed(refused, folder, tmp_path, arguments, message):
    target = ("--embeddings", folder, "--out", tmp_path / "out")
    assert message in refused(*target, *arguments)


def test_vectors_without_labels(refused, folder, tmp_path):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    target = ("--embeddings", folder, "--out", tmp_path / "out", "--what")
    assert "few-shot: expected queries.npy with queries_labels.npy" in refused(*target, "few-shot")
    assert "long-tail: expected database_labels.npy" in refused(*target, "long-tail")
    assert "interpolation: expected labels or qrels" in refused(*target, "interpolation")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,a\n5,b\n", "line 2: expected the name, WordNet id or number of one of 3 classes, got"),
        ("0,a\n0,b\n", "line 2: expected one superclass of 0, got 'a' and 'b'"),
        ("0\n", "line 1: expected class and superclass, got ['0']"),
        ("# nothing\n", "expected lines of class and superclass, got none"),
        (None, "expected a file of superclasses in"),
    ],
)
def test_a_mapping_that_cannot_be(refused, logits_folder, tmp_path, text, message):
    mapping = tmp_path / "mapping.csv"
    if text is not None:
        mapping.write_text(text)
    target = ("--embeddings", logits_folder, "--out", tmp_path / "out", "--what", "superclass")
    assert message in refused(*target, "--superclasses", mapping)
    assert "none are shipped for heads: expected --superclasses FILE" in refused(*target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grad-cam"], "grad-cam: expected --images with rows of the queries, such as 3,17"),
        (["grad-cam", "--images", "3,360"], "--images: expected rows from 0 to 359, got 360"),
        (["robustness", "--queries", "fog"], "--queries: expected NAME=FOLDER or one of noise"),
        (["robustness", "--queries", "v2=nowhere"], "v2: expected a folder of images by class in"),
        (["robustness", "--queries", "../x=."], "--queries: expected a name without /"),
        (["robustness", "--queries", "test=."], "a name of its own for each set, got test twice"),
        (["superclass"], "superclass: none are shipped for digits"),
    ],
)
def test_a_run_that_cannot_be_analyzed(refused, digits_run, tmp_path, arguments, message):
    (tmp_path / "0").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "0" / "0.png")
    arguments = [str(tmp_path).join(["test=", ""]) if a == "test=." else a for a in arguments]
    assert message in refused(digits_run, "--what", *arguments)
