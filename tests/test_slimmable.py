"""A slimmable network against plain ones with the same weights, and a run of it."""

import numpy as np
import pytest
import torch
from torch import nn

from mrlbench import experiment_file, measurements
from mrlbench.embedding.folder import open_embeddings
from mrlbench.embedding.logits import open_logits
from mrlbench.errors import UserError
from mrlbench.heads import cross_entropies
from mrlbench.methods.slimmable import slimmable
from mrlbench.plugins import load
from mrlbench.slimming import SlimmableNetwork
from mrlbench.training.loop import Learner

CPU = torch.device("cpu")


class Tiny(nn.Module):
    """Two convolutions with batch norms around them, pooled to 8 features."""

    def __init__(self, inner=4, width=8):
        super().__init__()
        self.width = width
        self.first = nn.Conv2d(3, inner, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(inner)
        self.second = nn.Conv2d(inner, width, 3)
        self.last = nn.BatchNorm2d(width)

    def forward(self, images):
        hidden = self.norm(self.first(images)).relu()
        return self.last(self.second(hidden)).relu().mean(dim=(2, 3))


@pytest.fixture
def images():
    return torch.randn(6, 3, 7, 7, generator=torch.Generator().manual_seed(0))


def test_at_full_width_it_is_the_network_itself(images):
    torch.manual_seed(0)
    plain = load("models", "resnet")(depth=18, blocks=[1, 1, 1, 1], stem_stride=2)
    slim = SlimmableNetwork(plain, [4, 512])
    state = {name: each.clone() for name, each in plain.state_dict().items()}
    expected = plain(images)
    after = {name: each.clone() for name, each in plain.state_dict().items()}
    plain.load_state_dict(state)  # the batch norms have seen the images
    torch.testing.assert_close(slim(images)[1], expected, rtol=0, atol=0)
    for name, each in plain.state_dict().items():
        torch.testing.assert_close(each, after[name], rtol=0, atol=0)


@pytest.mark.parametrize(("dim", "inner"), [(4, 2), (2, 1), (3, 2)])  # 1.5 channels are 2
def test_a_narrow_width_is_a_narrow_network_with_the_first_channels(images, dim, inner):
    torch.manual_seed(0)
    whole, narrow = Tiny(), Tiny(inner, dim)
    slim = SlimmableNetwork(whole, [dim, 8])
    with torch.no_grad():
        narrow.first.weight.copy_(whole.first.weight[:inner])
        narrow.second.weight.copy_(whole.second.weight[:dim, :inner])
        narrow.second.bias.copy_(whole.second.bias[:dim])
    for training in (True, False):  # with the batch's statistics, then with those that it left
        slim.train(training)
        narrow.train(training)
        torch.testing.assert_close(slim.at(images, dim), narrow(images))
    assert slim.at(images, dim).shape == (6, dim)
    torch.testing.assert_close(slim.norms[0][1].running_mean, narrow.last.running_mean)
    assert (whole.last.running_mean == 0).all()  # no width touches another's statistics


def test_gradients_of_a_width_reach_its_slices_and_its_batch_norms_only(images):
    whole = Tiny()
    head = slimmable(8, 5, [2, 4, 8], [1.0] * 3)
    slim = head.adapt(whole)
    slim_part, head_part = head.alone(slim, 4)
    (logits,) = head_part(slim_part(images))
    logits.square().sum().backward()
    gradient = whole.second.weight.grad
    assert (gradient[:4, :2] != 0).any()
    assert (gradient[4:] == 0).all() and (gradient[:, 2:] == 0).all()
    assert (whole.first.weight.grad[2:] == 0).all()
    assert (head.classifier.weight.grad[:, 4:] == 0).all()
    assert (head.classifier.weight.grad[:, :4] != 0).any()
    assert whole.norm.weight.grad is None
    assert [norms[0].weight.grad is not None for norms in slim.norms] == [False, True]


def test_all_widths_are_trained_in_a_step_and_their_losses_summed(images):
    head = slimmable(8, 5, [2, 4, 8], [1.0, 0.5, 2.0])
    slim = head.adapt(Tiny())
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    outputs = slim(images)
    assert [tuple(each.shape) for each in outputs] == [(6, 2), (6, 4), (6, 8)]
    weight, bias = head.classifier.weight, head.classifier.bias
    expected = sum(
        own * nn.functional.cross_entropy(each @ weight[:, : each.shape[1]].T + bias, labels)
        for own, each in zip((1.0, 0.5, 2.0), outputs, strict=True)
    )
    torch.testing.assert_close(head.loss(cross_entropies(head(outputs), labels)), expected)


class Grouped(Tiny):
    def __init__(self):
        super().__init__()
        self.second = nn.Conv2d(4, 8, 3, groups=2)


class Normed(Tiny):
    def __init__(self):
        super().__init__()
        self.other = nn.LayerNorm(8)


def test_networks_and_dims_that_cannot_be_slimmed_are_refused():
    for network, layer in ((Grouped(), "Conv2d"), (Normed(), "LayerNorm")):
        with pytest.raises(UserError, match=f"got a {layer} in it"):
            SlimmableNetwork(network, [2, 8])
    with pytest.raises(UserError, match="end with the model's width 8, got 4"):
        SlimmableNetwork(Tiny(), [2, 4])


def test_an_experiment_that_cannot_be_slimmed_is_refused_before_any_training():
    for override in (
        "training.dims=[8, 64]",
        "training.variants={fc={start_from='mrl'}}",
    ):
        overrides = ["training.methods=['mrl', 'slimmable', 'slimmable@fc']", override]
        if "dims" in override:
            overrides[0] = "training.methods=['slimmable']"
        with pytest.raises(UserError, match="slimmable"):
            experiment_file.read("digits", overrides)


def test_batch_norms_of_every_width_are_not_decayed():
    overrides = ["training.methods=['slimmable']", "training.dims=[16, 128, 512]"]
    learner = Learner(experiment_file.read("digits", overrides), "slimmable", 0, 10, CPU)
    decayed, free = learner.optimizer.param_groups
    norms = [m for m in learner.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    plain = sum(isinstance(m, nn.BatchNorm2d) for m in learner.backbone.network.modules())
    assert len(norms) == 3 * plain
    assert len(free["params"]) == 2 * len(norms)
    assert free["weight_decay"] == 0 < decayed["weight_decay"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small slimmable network, trained and measured."""
    from mrlbench import cli

    folder = tmp_path_factory.mktemp("results") / "slim"
    own = [
        "--set=training.methods=['slimmable']",
        "--set=training.dims=[64, 256, 512]",
        "--set=evaluation.dims=[16, 64, 512]",
        "--set=training.epochs=2",
        "--set=model.stem_stride=4",
        "--set=training.precision='float32'",
        "--set=training.batch_size=64",
    ]
    steps = [["train", "digits", f"--run={folder}", *own], ["eval-retrieval", str(folder)]]
    steps += [[f"eval-{name}", str(folder)] for name in ("classification", "knn")]
    for step in steps:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
            patch.setattr("sys.argv", ["mrlbench", *step, "-q"])
            cli.main()
        assert not stopped.value.code, step
    return folder


def test_each_width_has_a_folder_of_its_own_vectors(run):
    whole = run / "embeddings" / "slimmable" / "seed-0"
    for folder, dim in ((whole, 512), (whole / "width-64", 64), (whole / "width-256", 256)):
        assert open_embeddings(folder).width == dim
        assert list(open_logits(folder)[0]) == [dim]
    narrow, wide = (np.load(folder / "queries.npy") for folder in (whole / "width-64", whole))
    assert np.abs(narrow - wide[:, :64]).max() > 1e-3  # its own output, no prefix


def test_rows_stand_at_the_dims_that_were_trained_and_are_those_of_their_vectors(run):
    for name in ("classification", "knn", "retrieval"):
        table = measurements.read(run / f"{name}.csv")
        assert set(table["method"]) == {"slimmable"}
        assert set(table["dim"]) == {64, 512}  # 256 is not measured, 16 was not trained
    knn = measurements.read(run / "knn.csv").set_index("dim")["value"]
    top1 = measurements.read(run / "classification.csv")
    top1 = top1[top1["metric"] == "top1"].set_index("dim")["value"]
    whole = run / "embeddings" / "slimmable" / "seed-0"
    for folder, dim in ((whole, 512), (whole / "width-64", 64)):
        vectors = open_embeddings(folder)
        unit = [
            np.asarray(each, np.float64) / np.linalg.norm(each, axis=1, keepdims=True)
            for each in (vectors.database, vectors.queries)
        ]
        nearest = (unit[1] @ unit[0].T).argmax(axis=1)
        labels = vectors.relevance
        right = labels.database[nearest] == labels.queries
        assert knn[dim] == pytest.approx(right.mean(), abs=3e-3)
        logits, asked = open_logits(folder)
        assert top1[dim] == pytest.approx((logits[dim].argmax(axis=1) == asked).mean())
    assert knn[512] > 0.4  # of ten classes: it learned


def test_what_is_done_is_not_done_again(run, mrlbench, caplog):
    status, _, err = mrlbench("eval-knn", run)
    assert status == 0, err
    assert caplog.text.count("done before") == 2
    assert mrlbench("eval-knn", run, "--dims", "16")[0] == 2


def test_retrieval_with_other_vectors_drops_the_rows_of_that_width_only(run, mrlbench, tmp_path):
    import json
    import shutil

    copy = tmp_path / "slim"
    shutil.copytree(run, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for stage in manifest["stages"]:
        if stage.startswith("knn"):
            manifest["stages"][stage] |= {"vectors": "others", "inputs": "others"}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert mrlbench("eval-knn", copy, "-q")[0] == 0
    assert set(measurements.read(copy / "knn.csv")["dim"]) == {64, 512}
