"""Released checkpoints: files of those formats, imported, give the logits of the saved network."""

import hashlib
import inspect
import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.transforms.functional import normalize

from mrlbench import experiment_file
from mrlbench.embedding.logits import open_logits
from mrlbench.models.resnet import resnet
from mrlbench.plugins import load
from mrlbench.training import checkpoint

DIMS, D, C = [8, 64, 2048], 2048, 3
EXPERIMENT = """
seeds = [0]
[dataset]
name = "image-folder"
path = "{data}"
size = 32
[model]
name = "resnet"
blocks = [1, 1, 1, 1]
width_per_group = 4{model}
[training]
methods = ["mrl"]
dims = [8, 64, 2048]
epochs = 2
[evaluation]
k = [1, 2]
shortlist = 3
"""
BLURPOOL = "blurpool" in inspect.signature(resnet).parameters
needs_blurpool = pytest.mark.skipif(not BLURPOOL, reason="the resnet plug-in has no blurpool")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of small images, two of each class for the database and for the queries."""
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for part, name, number in itertools.product(("train", "val"), "abc", range(2)):
        (root / part / name).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def network():
    """Torchvision's bottleneck network, its batch norms as if it had been trained."""
    torch.manual_seed(3)
    net = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=C, width_per_group=4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(7)
    return net.eval()


class Blurred(nn.Module):
    """A strided convolution of an image that was smoothed by [1 2 1] in both directions."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv
        row = torch.tensor([[0.25, 0.5, 0.25]])
        self.register_buffer("blur_filter", (row.T @ row).repeat(conv.in_channels, 1, 1, 1))

    def forward(self, x):
        return self.conv(functional.conv2d(x, self.blur_filter, padding=1, groups=x.shape[1]))


@pytest.fixture(scope="module")
def blurred_network():
    torch.manual_seed(4)
    net = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=C, width_per_group=4)
    for layer in (net.layer2, net.layer3, net.layer4):
        layer[0].conv2 = Blurred(layer[0].conv2)
        layer[0].downsample[0] = Blurred(layer[0].downsample[0])
    return net.eval()


def heads(kind):
    """Weights under the authors' keys."""
    torch.manual_seed(5)
    shapes = {
        "mrl": {f"fc.nesting_classifier_{i}": d for i, d in enumerate(DIMS)},
        "mrl-e": {"fc.nesting_classifier_0": D},
        "mrl-e-old": {"fc": D},
        "fixed-8": {"fc": 8},
        "fixed-2048": {"fc": D},
    }[kind]
    parts = {}
    for name, columns in shapes.items():
        parts[f"{name}.weight"], parts[f"{name}.bias"] = torch.randn(C, columns), torch.randn(C)
    return parts


def state_of(net, kind, prefix="module."):
    backbone = {key: each for key, each in net.state_dict().items() if not key.startswith("fc.")}
    return {prefix + key: each for key, each in {**backbone, **heads(kind)}.items()}


@torch.no_grad()
def expected_logits(net, kind, root):
    """Logits of the queries at each dim, (Q, C): the network's pooled features, cut, times W."""
    queries, features = load("datasets", "image-folder")(root, "", 32).queries, []
    hook = net.avgpool.register_forward_hook(lambda _m, _i, out: features.append(out.flatten(1)))
    pixels = torch.from_numpy(queries.images.read(np.arange(6)))
    net(normalize(pixels / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    hook.remove()
    z, w = features[0], heads(kind)
    if kind == "mrl":
        name = "fc.nesting_classifier_"
        pairs = [(d, w[f"{name}{i}.weight"], w[f"{name}{i}.bias"]) for i, d in enumerate(DIMS)]
    elif kind.startswith("mrl-e"):
        weight, bias = w.values()
        pairs = [(d, weight[:, :d], bias) for d in DIMS]
    else:
        weight, bias = w.values()
        pairs = [(weight.shape[1], weight, bias)]
    return {d: (z[:, :d] @ weight.T + bias).numpy() for d, weight, bias in pairs}


@pytest.fixture
def experiment(tmp_path, data):
    path = tmp_path / "mine.toml"
    path.write_text(EXPERIMENT.format(model="", data=data))
    return path


@pytest.fixture
def take(mrlbench, experiment, tmp_path):
    """Save a state, import it, and return (status, stdout, stderr, run)."""

    def run(state, *arguments, run="run", name="model.pt"):
        torch.save(state, tmp_path / name)
        folder = tmp_path / run
        arguments = ("import-checkpoint", tmp_path / name, experiment, "--run", folder, *arguments)
        return *mrlbench(*arguments), folder

    return run


@pytest.fixture
def refused(take):
    def run(state, *arguments):
        status, out, err, folder = take(state, *arguments)
        assert status == 2, err
        assert out == ""
        assert not folder.exists()  # nothing is written for what cannot be
        (line,) = err.strip().splitlines()
        return line

    return run


def check_logits(folder, net, kind, root):
    logits, _ = open_logits(folder)
    expected = expected_logits(net, kind, root)
    assert list(logits) == list(expected)
    for dim, each in logits.items():
        assert np.ptp(expected[dim]) > 0.1
        np.testing.assert_allclose(each, expected[dim], atol=1e-4, rtol=1e-4, err_msg=str(dim))


@pytest.mark.parametrize(
    ("kind", "prefix", "wanted"),
    [
        ("mrl", "module.", "mrl"),
        ("mrl", "", ""),
        ("mrl-e", "module.", "mrl-e"),
        ("mrl-e-old", "module.", "mrl-e"),
        ("fixed-8", "module.", ""),
        ("fixed-2048", "", "fixed-2048"),
    ],
)
def test_logits_are_those_of_the_network_that_was_saved(
    take, mrlbench, network, data, kind, prefix, wanted
):
    method = wanted or kind
    state = state_of(network, kind, prefix)
    status, out, err, run = take(state, *(["--as", wanted] if wanted else []))
    assert status == 0, err
    assert f"models/{method}/seed-0" in out
    status, _, err = mrlbench("embed", run, "-q")
    assert status == 0, err
    check_logits(run / "embeddings" / method / "seed-0", network, kind, data)


@needs_blurpool
def test_logits_with_blurpool(take, mrlbench, blurred_network, experiment, data):
    experiment.write_text(EXPERIMENT.format(model="\nblurpool = true", data=data))
    status, _, err, run = take(state_of(blurred_network, "mrl"), "--as", "mrl")
    assert status == 0, err
    status, _, err = mrlbench("embed", run, "-q")
    assert status == 0, err
    check_logits(run / "embeddings" / "mrl" / "seed-0", blurred_network, "mrl", data)


@needs_blurpool
def test_a_plain_checkpoint_does_not_fit_an_experiment_with_blurpool(
    refused, network, experiment, data
):
    experiment.write_text(EXPERIMENT.format(model="\nblurpool = true", data=data))
    line = refused(state_of(network, "mrl"))
    assert "has no BlurPool filters: expected blurpool = false" in line


def test_a_checkpoint_with_blurpool_does_not_fit_an_experiment_without(refused, blurred_network):
    line = refused(state_of(blurred_network, "mrl"))
    assert "has BlurPool filters: expected blurpool = true under [model]" in line


def test_the_run_goes_on_from_there_and_the_manifest_says_where_it_came_from(
    take, mrlbench, network, tmp_path, caplog
):
    status, _, err, run = take(state_of(network, "mrl"))
    assert status == 0, err
    manifest = json.loads((run / "manifest.json").read_text())
    entry = manifest["stages"]["train mrl seed-0"]
    assert entry["imported"] == "model.pt"
    saved = (tmp_path / "model.pt").read_bytes()
    assert entry["imported_sha256"] == hashlib.sha256(saved).hexdigest()
    status, out, err = mrlbench("eval-classification", run, "--dims", "8,64")
    assert status == 0, err
    assert "top1" in out
    status, out, err = mrlbench("train", run / "experiment.toml", "--run", run, "-q")
    assert status == 0, err
    assert "train mrl seed-0: done before" in caplog.messages
    state = checkpoint.load(
        run / "models" / "mrl" / "seed-0" / checkpoint.NAME, torch.device("cpu")
    )
    assert (state["epoch"], state["losses"]) == (2, [])


def test_an_imported_model_is_never_trained_over(take, mrlbench, network):
    status, _, err, run = take(state_of(network, "mrl"))
    assert status == 0, err
    before = (run / "models" / "mrl" / "seed-0" / checkpoint.NAME).read_bytes()
    again = ("train", run / "experiment.toml", "--run", run, "--set", "training.epochs=1", "-q")
    status, _, err = mrlbench(*again)
    assert status == 2
    assert "the experiment that the checkpoint was imported for, got another" in err
    assert (run / "models" / "mrl" / "seed-0" / checkpoint.NAME).read_bytes() == before


def test_a_deleted_import_is_trained_anew_and_the_manifest_says_so(take, mrlbench, network):
    status, _, err, run = take(state_of(network, "fixed-8"))
    assert status == 0, err
    shutil.rmtree(run / "models")
    status, _, err = mrlbench("train", run / "experiment.toml", "--run", run, "-q")
    assert status == 0, err
    entry = json.loads((run / "manifest.json").read_text())["stages"]["train fixed-8 seed-0"]
    assert "imported" not in entry
    assert (run / "models" / "fixed-8" / "seed-0" / "losses.csv").is_file()
    status, _, err = mrlbench("embed", run, "-q")
    assert status == 0, err


def test_several_models_in_one_run_and_another_file_for_the_same_place(
    take, mrlbench, network, data, caplog
):
    assert take(state_of(network, "mrl"))[0] == 0
    status, _, err, run = take(state_of(network, "fixed-8"))
    assert status == 0, err
    status, _, err = mrlbench("embed", run, "-q")
    assert status == 0, err
    check_logits(run / "embeddings" / "fixed-8" / "seed-0", network, "fixed-8", data)
    assert take(state_of(network, "mrl"))[0] == 0
    assert f"{run / 'models' / 'mrl' / 'seed-0'}: imported before" in caplog.messages
    other = state_of(network, "mrl") | {"module.fc.nesting_classifier_0.bias": torch.ones(C)}
    status, _, err, _ = take(other)
    assert status == 2
    assert "expected no model yet in" in err
    status, _, err, _ = take(other, "--set", "training.dims=[8, 64, 2048]", "--seed", "1")
    assert status == 0, err
    experiment = experiment_file.read(run / "experiment.toml")
    assert experiment.trainings == [("mrl", 0), ("fixed-8", 0), ("mrl", 1)]
    status, _, err, _ = take(other, "--set", "training.epochs=9", "--seed", "2")
    assert status == 2
    assert "expected a run of the same experiment" in err


def test_another_file_gives_other_embeddings(take, mrlbench, network, data):
    status, _, err, run = take(state_of(network, "fixed-8"))
    assert status == 0, err
    assert mrlbench("embed", run, "-q")[0] == 0
    place = run / "models" / "fixed-8" / "seed-0" / checkpoint.NAME
    place.unlink()
    changed = heads("fixed-8")["fc.bias"] + 1
    status, _, err, _ = take(state_of(network, "fixed-8") | {"module.fc.bias": changed})
    assert status == 0, err
    before = expected_logits(network, "fixed-8", data)[8]
    status, _, err = mrlbench("embed", run, "-q")
    assert status == 0, err
    logits, _ = open_logits(run / "embeddings" / "fixed-8" / "seed-0")
    np.testing.assert_allclose(logits[8], before + 1, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_inside_a_training_state(take, network, key):
    status, _, err, _ = take({key: state_of(network, "mrl"), "epoch": 40, "params": {"lr": 0.4}})
    assert status == 0, err


def test_two_state_dicts_in_one_file(refused, network):
    state = state_of(network, "mrl")
    line = refused({"state_dict": state, "model": state})
    assert "expected a state_dict, or one under 'state_dict' or 'model'" in line


def test_what_the_keys_cannot_tell_the_user_must(refused, network):
    line = refused(state_of(network, "fixed-2048"))
    assert "expected --as mrl-e or --as fixed-2048: their keys and shapes are the same" in line


@pytest.mark.parametrize(
    ("kind", "wanted", "message"),
    [
        ("mrl", "mrl-e", "expected --as mrl, which its keys and shapes say, got --as mrl-e"),
        ("mrl", "fixed-8", "expected --as mrl, which"),
        ("mrl-e", "mrl", "expected --as mrl-e, which"),
        ("mrl-e", "fixed-2048", "expected --as mrl-e, which"),
        ("mrl-e-old", "mrl", "expected --as mrl-e or --as fixed-2048, which"),
        ("fixed-8", "mrl-e", "expected --as fixed-8, which"),
        ("fixed-8", "fixed-16", "expected --as fixed-8, which"),
        ("mrl", "adaptive", "--as: expected mrl, mrl-e or fixed-<d>, got 'adaptive'"),
        ("mrl", "fixed-4096", "expected dims from 1 to 2048, got 4096"),
    ],
)
def test_a_file_that_is_something_else(refused, network, kind, wanted, message):
    assert message in refused(state_of(network, kind), "--as", wanted)


def test_shapes_and_keys_that_do_not_fit(refused, network):
    state = state_of(network, "mrl", "")
    wrong = state | {"layer1.0.conv1.weight": torch.zeros(4, 32, 1, 1)}
    line = refused(wrong)
    assert "layer1.0.conv1.weight: expected shape (4, 64, 1, 1), got (4, 32, 1, 1)" in line
    missing = {key: each for key, each in state.items() if not key.startswith("layer3.")}
    assert "expected layer3.0.conv1.weight, layer3.0.bn1.weight" in refused(missing)
    more = state | {"layer1.1.conv1.weight": torch.zeros(4, 256, 1, 1)}
    assert "got layer1.1.conv1.weight besides: are depth and blocks" in refused(more)
    wide = state | {"fc.nesting_classifier_3.weight": torch.zeros(C, 4096)}
    assert "expected 3 heads, one for each of the experiment's training.dims" in refused(wide)
    other = state | {"fc.nesting_classifier_1.weight": torch.zeros(C, 16)}
    line = refused(other)
    assert "fc.nesting_classifier_1.weight: expected shape (3, 64), got (3, 16)" in line
    classes = state | {"fc.nesting_classifier_0.bias": torch.zeros(1000)}
    assert "fc.nesting_classifier_0.bias: expected shape (3,), got (1000,)" in refused(classes)
    wild = state | {"bn1.bias": torch.full((64,), torch.nan)}
    assert "bn1.bias: expected finite values" in refused(wild)
    twice = state | {"module.conv1.weight": state["conv1.weight"]}
    assert "expected each key once, got 'conv1.weight' also as" in refused(twice)
    headless = {key: each for key, each in state.items() if not key.startswith("fc.")}
    assert "expected heads under fc.weight or fc.nesting_classifier_0.weight" in refused(headless)


def test_files_that_are_no_checkpoint(refused, mrlbench, experiment, network, tmp_path):
    assert "expected a state_dict, or one under" in refused({"epoch": 3})
    assert "expected a state_dict, or one under" in refused([torch.ones(2)])
    assert "more than tensors?" in refused({"conv1.weight": np.random.RandomState})
    path = tmp_path / "cut.pt"
    torch.save(state_of(network, "mrl"), path)
    path.write_bytes(path.read_bytes()[:100_000])
    for file, message in (
        (path, "got a file that does not load as one"),
        (tmp_path / "none.pt", "got no such file"),
    ):
        status, _, err = mrlbench("import-checkpoint", file, experiment, "--run", tmp_path / "run")
        assert status == 2
        assert len(err.strip().splitlines()) == 1
        assert message in err


def test_a_model_that_is_no_resnet(refused, network, experiment):
    resnet_table = 'name = "resnet"\nblocks = [1, 1, 1, 1]\nwidth_per_group = 4'
    experiment.write_text(experiment.read_text().replace(resnet_table, 'name = "adapter"'))
    assert "expected [model] name = 'resnet'" in refused(state_of(network, "mrl"))


def test_batch_norms_of_old_files_do_not_count_batches(take, network):
    state = state_of(network, "mrl")
    status, _, err, _ = take({k: v for k, v in state.items() if "num_batches" not in k})
    assert status == 0, err
