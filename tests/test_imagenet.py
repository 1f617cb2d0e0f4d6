"""The ImageNet data sets: small trees of JPEGs in the usual layouts, through all of the code."""

import numpy as np
import pytest
from PIL import Image

from mrlbench import imagenet, measurements
from mrlbench.embedding.folder import open_embeddings
from mrlbench.plugins import load

TRAINED = ["n01440764", "n01443537", "n02084071", "n04552348"]  # of ImageNet-1K's, sorted
OTHERS = ["n00007846", "n07747607", "n12997654"]  # of ImageNet-4K's
SMALL = [
    *("--set=dataset.size=32", "--set=model.blocks=[1, 1, 1, 1]", "--set=model.width_per_group=8"),
    *("--set=training.epochs=4", "--set=training.image_sizes=[[1, 24], [3, 32]]"),
    *("--set=training.batch_size=8", "--set=training.micro_batch=4"),
    *("--set=training.precision=float32", "--set=training.learning_rate=0.05"),
    *("--set=training.methods=['mrl', 'fixed-8']", "--set=evaluation.k=[1, 5]"),
    *("--set=evaluation.shortlist=8", "--set=search.dims=[8, 2048]", "--set=search.queries=10"),
]


def photo(path, label, number, size=(44, 36)):
    """Write a JPEG whose colour says the class, with noise."""
    rng = np.random.default_rng([label, number])
    colour = np.array([60 * label, 255 - 60 * label, 100])
    pixels = np.clip(colour + rng.normal(0, 30, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG")


def write_1k(root, val="folders"):
    """Write train (12 of each class) and val (4 of each), by folders or flat."""
    rows = []
    for label, wnid in enumerate(TRAINED):
        for number in range(12):
            photo(root / "train" / wnid / f"{wnid}_{number}.JPEG", label, number)
    for number in range(16):
        label = (number * 7) % 4
        name = f"ILSVRC2012_val_{number + 1:08d}"
        folder = root / "val" / TRAINED[label] if val == "folders" else root / "val"
        photo(folder / f"{name}.JPEG", label, 100 + number)
        rows.append((name, label))
    return rows


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data folder with all three data sets."""
    root = tmp_path_factory.mktemp("data")
    write_1k(root / "imagenet")
    for label, wnid in enumerate([*OTHERS, "n99999999"]):  # one that the list leaves out
        for number in range(9):
            photo(root / "imagenet21k" / wnid / f"{wnid}_{number}.JPEG", label, 200 + number)
    (root / "imagenet4k.txt").write_text("".join(f"{wnid} a name\n" for wnid in OTHERS))
    for label in range(4):
        for number in range(3):
            folder = root / "imagenetv2-matched-frequency-format-val" / str(label)
            photo(folder / f"{number:03d}ab.jpeg", label, 300 + number)
    return root


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """The miniature of imagenet1k-resnet50, reproduced; returns its folder."""
    from mrlbench import cli

    folder = tmp_path_factory.mktemp("results") / "imagenet1k-resnet50"
    arguments = [
        "reproduce",
        "imagenet1k-resnet50",
        f"--run={folder}",
        f"--data-dir={data}",
        "--threads=1",
    ]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr("sys.argv", ["mrlbench", *arguments, *SMALL])
        cli.main()
    assert not stopped.value.code
    return folder


def rows(run, csv, **cells):
    table = measurements.read(run / f"{csv}.csv")
    for column, value in cells.items():
        table = table[table[column] == value]
    return table


def test_the_recipe_of_imagenet1k_runs_on_a_miniature(trained):
    table = rows(trained, "retrieval", method="mrl", metric="map@5")
    table = table[table["variant"].isna()]  # beside the dims between them
    assert sorted(table["dim"]) == [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    assert set(table["n_database"]) == {48}
    assert set(table["n"]) == {16}
    assert set(table["queries"]) == {"val"}
    assert set(rows(trained, "classification", method="fixed-8", metric="top1")["dim"]) == {8}
    # four classes of plain colours, of which guessing finds a quarter
    assert (rows(trained, "knn", method="mrl")["value"] > 0.6).all()


ONCE = [
    *("--set=dataset.size=32", "--set=training.epochs=1", "--set=training.batch_size=8"),
    *("--set=training.micro_batch=4", "--set=training.precision=float32", "--set=evaluation.k=[1]"),
    *("--set=evaluation.shortlist=8", "--set=search.queries=10", "--threads=1", "-q"),
]
NARROW = ["--set=model.width_per_group=4", "--set=training.image_sizes=[[1, 32]]"]


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        (
            "imagenet1k-vit-b16",
            [
                "model.image_size=32",
                "model.layers=1",
                "model.mlp_width=64",
                "training.methods=['mrl', 'fixed-12']",
            ],
            {("mrl", "", 12), ("mrl", "", 768), ("fixed-12", "", 12)},
        ),
        (
            "imagenet1k-ablations",
            ["model.blocks=[1, 1, 1, 1]"],
            {("mrl", "weights=8-boost", 8), ("mrl", "start=6", 6), ("mrl", "dims=uniform", 212)},
        ),
        (
            "imagenet1k-finetune",
            [
                "model.blocks=[1, 1, 1, 3]",
                "training.methods=['fixed-2048', 'mrl@finetune=conv2']",
                "training.variants.'finetune=conv2'.epochs=1",
                "training.variants.'finetune=conv2'.image_sizes=[[1, 32]]",
            ],
            {("mrl", "finetune=conv2", 8), ("fixed-2048", "", 2048)},
        ),
        (
            "imagenet1k-slimmable",
            [
                "model.blocks=[1, 1, 1, 1]",
                "training.methods=['slimmable']",
                "training.dims=[256, 2048]",
                "training.weights=[1, 1]",
            ],
            {("slimmable", "", 256), ("slimmable", "", 2048)},
        ),
    ],
)
def test_the_other_imagenet_experiments_run_on_a_miniature(
    mrlbench, data, tmp_path, name, settings, expected
):
    own = [f"--set={each}" for each in settings] + ([] if "vit" in name else NARROW)
    folders = ("--run", tmp_path / "run", "--data-dir", data)
    status, _, err = mrlbench("reproduce", name, *folders, *ONCE, *own)
    assert status == 0, err
    table = rows(tmp_path / "run", "classification", metric="top1")
    keys = zip(table["method"], table["variant"].fillna(""), table["dim"], strict=True)
    assert expected <= set(keys)
    assert set(table["n"]) == {16}


def test_the_plan_says_how_much_disk_models_and_embeddings_take(trained, data):
    import torch

    from mrlbench.estimates import Estimate, sizes_of
    from mrlbench.runs import open_run

    dataset = load("datasets", "imagenet1k")(data, size=32)
    estimate = Estimate(open_run(trained).experiment, sizes_of(dataset), torch.device("cpu"))
    expected = {
        "models": 2 * estimate.training("mrl").disk,
        "embeddings": sum(estimate.embedding(m).disk for m in ("mrl", "fixed-8")),
    }
    for folder, size in expected.items():
        files = [path for path in (trained / folder).rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) == pytest.approx(size, rel=0.1), folder


def test_imagenet4k_uses_the_models_of_the_other_run(trained, data, mrlbench, tmp_path, caplog):
    run = tmp_path / "imagenet4k"
    arguments = ("reproduce", "imagenet4k", "--run", run, "--data-dir", data, "--threads=1")
    small = [*SMALL, "--set=dataset.held_out=2", f"--set=training.models={trained}"]
    status, out, err = mrlbench(*arguments, *small)
    assert status == 0, err
    assert "train mrl" not in out
    assert not (run / "models").exists()
    assert set(rows(run, "retrieval", method="mrl", metric="map@5")["n_database"]) == {3 * 7}
    assert set(rows(run, "knn", method="mrl")["n"]) == {3 * 2}
    status, out, err = mrlbench("eval-classification", run, "--data-dir", data)
    assert status == 0
    assert "skipped: its queries have other classes than the heads were trained on" in caplog.text
    assert not (run / "classification.csv").exists()
    assert not (run / "embeddings" / "mrl" / "seed-0" / "logits.npz").exists()
    # the vectors are those of the other run's model
    found = open_embeddings(run / "embeddings" / "mrl" / "seed-0")
    again = _embed(trained, data, load("datasets", "imagenet4k")(data, held_out=2, size=32))
    np.testing.assert_allclose(found.queries, again, atol=1e-4)
    status, out, err = mrlbench(*arguments, *small, "--dry-run")
    assert status == 0, err
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["done", "done"]


def _embed(run, data, dataset):
    import torch

    from mrlbench.runs import open_run
    from mrlbench.training.batches import to_input
    from mrlbench.training.loop import load_trained

    cpu, path = torch.device("cpu"), run / "models" / "mrl" / "seed-0" / "checkpoint.pt"
    backbone, _ = load_trained(open_run(run).experiment, dataset, "mrl", 0, path, cpu)
    images = dataset.queries.images.read(np.arange(len(dataset.queries.labels)))
    with torch.inference_mode():
        return backbone(to_input(images, dataset, cpu)).numpy()


def test_imagenet_v2_is_asked_of_the_1k_database(trained, data, mrlbench, tmp_path):
    run = tmp_path / "imagenet-v2"
    arguments = ("reproduce", "imagenet-v2", "--run", run, "--data-dir", data, "--threads=1")
    status, _, err = mrlbench(*arguments, *SMALL, f"--set=training.models={trained}")
    assert status == 0, err
    table = rows(run, "classification", method="mrl", metric="top1", dim=64)
    assert table["queries"].tolist() == ["imagenet-v2"]
    assert table["n"].tolist() == [12]
    assert set(rows(run, "knn")["n_database"]) == {48}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.models=nowhere", "expected a run in nowhere, got none"),
        ("training.epochs=3", "have trained mrl with training.epochs = 3, got 4"),
        ("model.depth=18", "training.dims"),
        ("training.methods=['mrl-e']", "expected a trained mrl-e with seed 0 in"),
    ],
)
def test_models_that_are_not_those_described(trained, data, mrlbench, tmp_path, override, message):
    arguments = (
        "reproduce",
        "imagenet-v2",
        "--run",
        tmp_path / "run",
        "--data-dir",
        data,
        "-q",
        "--threads=1",
    )
    chosen = [*SMALL, f"--set=training.models={trained}", f"--set={override}"]
    status, out, err = mrlbench(*arguments, *chosen)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def _flat(tmp_path, write_labels):
    root = tmp_path / "flat"
    known = write_1k(root, val="flat")
    write_labels(root, known)
    return root, [label for _, label in known]


def _val_txt_of_numbers(root, known):
    (root / "val.txt").write_text("".join(f"{name}.JPEG {label}\n" for name, label in known))


def _val_txt_of_wnids(root, known):
    lines = [f"val/{name}.JPEG {TRAINED[label]}\n" for name, label in reversed(known)]
    (root / "val.txt").write_text("".join(lines))


def _kaggle(root, known):
    lines = [f"{name},{TRAINED[label]} 1 2 3 4 {TRAINED[label]} 5 6 7 8" for name, label in known]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines]))


def _devkit(root, known):
    from scipy.io import savemat

    folder = root / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    numbers = [40, 10, 30, 20]  # the devkit's order is not that of the wnids
    synsets = np.zeros(5, dtype=[("ILSVRC2012_ID", object), ("WNID", object)])
    synsets["ILSVRC2012_ID"] = [*numbers, 1001]
    synsets["WNID"] = [*TRAINED, "n00001740"]  # the table has inner nodes too
    savemat(folder / "meta.mat", {"synsets": synsets})
    truth = "".join(f"{numbers[label]}\n" for _, label in known)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)


@pytest.mark.parametrize("write_labels", [_val_txt_of_numbers, _val_txt_of_wnids, _kaggle, _devkit])
def test_a_flat_val_takes_its_classes_from_a_list(tmp_path, write_labels):
    root, labels = _flat(tmp_path, write_labels)
    dataset = load("datasets", "imagenet1k")(root, size=32)
    assert dataset.queries.labels.tolist() == labels
    assert dataset.wnids == tuple(TRAINED)
    photos = dataset.queries.images.read(np.arange(16))
    # red grows with the class: the label belongs to the photo
    assert np.corrcoef(photos[:, 0].mean(axis=(1, 2)), labels)[0, 1] > 0.99


def test_folders_and_a_list_give_the_same_photos_and_labels(tmp_path, data):
    root, _ = _flat(tmp_path, _val_txt_of_wnids)
    folders, flat = (load("datasets", "imagenet1k")(each, size=32) for each in (data, root))
    one, other = (
        sorted(
            (label, image.tobytes())
            for label, image in zip(s.labels, s.images.read(np.arange(16)), strict=True)
        )
        for s in (folders.queries, flat.queries)
    )
    assert one == other


def test_classes_are_named_where_a_list_says_so(tmp_path):
    write_1k(tmp_path / "ILSVRC" / "Data" / "CLS-LOC")
    names = [f"{wnid} name {wnid[-1]}, other" for wnid in TRAINED[:3]]
    (tmp_path / "LOC_synset_mapping.txt").write_text("\n".join(names))
    dataset = load("datasets", "imagenet1k")(tmp_path, size=32)
    assert dataset.classes == ("name 4", "name 7", "name 1", TRAINED[3])


def test_held_out_queries_are_not_in_the_database(data):
    dataset = load("datasets", "imagenet4k")(data, held_out=2, per_class=5, size=32)
    assert np.bincount(dataset.queries.labels).tolist() == [2, 2, 2]
    assert np.bincount(dataset.database.labels).tolist() == [5, 5, 5]
    one, other = (
        {image.tobytes() for image in split.images.read(np.arange(len(split.labels)))}
        for split in (dataset.queries, dataset.database)
    )
    assert len(one) == 6
    assert len(other) == 15
    assert not one & other
    assert dataset.database_classes == tuple(OTHERS)
    assert len(dataset.classes) == 4
    again = load("datasets", "imagenet4k")(data, held_out=2, per_class=5, seed=1, size=32)
    assert again.fingerprint != dataset.fingerprint


def test_a_val_folder_of_imagenet4k_is_taken_whole(data, tmp_path):
    for label, wnid in enumerate(OTHERS):
        for part, count in (("train", 3), ("val", 1 + label)):
            for number in range(count):
                photo(tmp_path / "four" / part / wnid / f"{number}.JPEG", label, number)
    (tmp_path / "list.txt").write_text("\n".join(OTHERS[::-1]))
    (tmp_path / "imagenet").symlink_to(data / "imagenet")
    dataset = load("datasets", "imagenet4k")(tmp_path, class_list="list.txt", path="four", size=32)
    assert dataset.database.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.queries.labels.tolist() == [0, 1, 1, 2, 2, 2]


def test_a_listing_is_kept_until_a_folder_changes(tmp_path, monkeypatch):
    write_1k(tmp_path)
    first = imagenet.list_photos(tmp_path / "train", TRAINED)
    scans, scan = [], imagenet._scan
    monkeypatch.setattr(imagenet, "_scan", lambda folder: scans.append(folder) or scan(folder))
    again = imagenet.list_photos(tmp_path / "train", TRAINED)
    assert not scans
    assert again[13] == first[13] == tmp_path / "train" / TRAINED[1] / f"{TRAINED[1]}_1.JPEG"
    prints = {imagenet.fingerprint({"train": each}) for each in (first, again)}
    photo(tmp_path / "train" / TRAINED[1] / "new.JPEG", 1, 1)
    changed = imagenet.list_photos(tmp_path / "train", TRAINED)
    assert len(scans) == 4
    assert np.bincount(changed.labels).tolist() == [12, 13, 12, 12]
    prints.add(imagenet.fingerprint({"train": changed}))
    assert len(prints) == 2
    fewer = imagenet.list_photos(tmp_path / "train", TRAINED[1:])
    assert np.bincount(fewer.labels).tolist() == [13, 12, 12]
    (tmp_path / "train" / imagenet.LISTING).write_bytes(b"cut off")
    assert len(imagenet.list_photos(tmp_path / "train", TRAINED[1:])) == 37


def _remove_val(root):
    (root / "imagenet" / "val").rename(root / "elsewhere")


def _flatten_val(root):
    for path in (root / "imagenet" / "val").glob("*/*"):
        path.rename(root / "imagenet" / "val" / path.name)


def _strange_class(root):
    photo(root / "imagenet" / "val" / "n99999999" / "a.JPEG", 0, 0)


def _missing_class(root):
    (root / "imagenet" / "val" / TRAINED[2]).rename(root / "elsewhere")


def _bad_label(root):
    _flatten_val(root)
    (root / "imagenet" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 4\n")


def _short_list(root):
    _flatten_val(root)
    (root / "imagenet" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 3\n")


def _no_train(root):
    (root / "imagenet" / "train").rename(root / "elsewhere")


def _empty_class(root):
    (root / "imagenet" / "train" / "n05555555").mkdir()


def _damaged(root):
    path = root / "imagenet" / "train" / TRAINED[1] / f"{TRAINED[1]}_3.JPEG"
    path.write_bytes(path.read_bytes()[:300])


def _shared_class(root):
    (root / "imagenet4k.txt").write_text(f"{OTHERS[0]}\n{TRAINED[2]}\n")


def _few(root):
    photo(root / "imagenet21k" / "n05555555" / "a.JPEG", 0, 0)
    (root / "imagenet4k.txt").write_text("n05555555\n")


def _no_list(root):
    (root / "imagenet4k.txt").unlink()


def _not_there(root):
    (root / "imagenet4k.txt").write_text("n05555555\n")


def _folder_name(root):
    photo(root / "imagenetv2-matched-frequency-format-val" / "4" / "a.jpeg", 0, 0)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("imagenet1k", _no_train, "imagenet1k: expected train/… in "),
        ("imagenet1k", _remove_val, "val, got no such folder"),
        ("imagenet1k", _flatten_val, "with val.txt (`file label` a line), LOC_val_solution.csv or"),
        ("imagenet1k", _strange_class, "expected the classes of train, got n99999999 too"),
        ("imagenet1k", _missing_class, f"expected the classes of train, got no {TRAINED[2]}"),
        ("imagenet1k", _bad_label, "or 0 to 3, got 4 for ILSVRC2012_val_00000001.JPEG"),
        ("imagenet1k", _short_list, "a class for each photo, got none for ILSVRC2012_val_00000002"),
        ("imagenet1k", _empty_class, "n05555555, got none"),
        ("imagenet1k", _damaged, f"got an unreadable file: {{root}}/imagenet/train/{TRAINED[1]}"),
        ("imagenet4k", _shared_class, f"no class of ImageNet-1K's, got {TRAINED[2]}"),
        ("imagenet4k", _few, "more than 2 photos of each class, got 1 of n05555555; held_out"),
        ("imagenet4k", _no_list, "expected the list of its classes, a WordNet id a line, in "),
        ("imagenet4k", _not_there, "imagenet21k/n05555555: No such file"),
        ("imagenet-v2", _folder_name, "expected folders 0 to 3, the classes of "),
    ],
)
def test_data_that_are_not_as_usual_give_one_line(mrlbench, data, tmp_path, name, spoil, message):
    import shutil

    root = tmp_path / "data"
    shutil.copytree(data, root)
    spoil(root)
    own = ["--set=dataset.held_out=2"] if name == "imagenet4k" else []
    status, out, err = mrlbench(
        *("train", "digits", "--run", tmp_path / "run", "--data-dir", root, "-q", "--threads=1"),
        *(f"--set=dataset.name={name}", "--set=dataset.size=32", *own),
        *("--set=training.epochs=1", "--set=training.methods=['mrl']"),
    )
    assert (status, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert message.format(root=root) in line
