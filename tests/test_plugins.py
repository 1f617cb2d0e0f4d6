"""What every data set, model, method and reducer promises, and how plug-ins are found."""

import inspect

import numpy as np
import pytest
import torch

from mrlbench.errors import UserError
from mrlbench.heads import cross_entropies
from mrlbench.plugins import KINDS, check_arguments, load, names, parameters, summary

ARGUMENTS = {"fixed": {"dim": 8}}
DIMS, C, D, B = (4, 8, 32), 5, 32, 6


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_has_a_summary_and_a_name_with_hyphens(kind):
    for name in names(kind):
        assert "_" not in name
        assert summary(kind, name).endswith((".", ";"))


@pytest.mark.parametrize("name", names("methods"))
def test_every_method_gives_logits_and_a_loss_for_each_of_its_dims(name):
    head = load("methods", name)(D, C, DIMS, [1.0] * 3, **ARGUMENTS.get(name, {}))
    classes = B // 2 if head.paired else C  # of pairs, each is to find its other half
    embeddings, labels = torch.randn(B, D), torch.randint(0, classes, (B,))
    logits = head(embeddings)
    assert [tuple(each.shape) for each in logits] == [(B, classes)] * len(head.dims)
    loss = head.loss(cross_entropies(logits, labels))
    assert loss.shape == ()
    loss.backward()
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("name", names("methods"))
def test_every_head_sees_only_its_prefix(name):
    head = load("methods", name)(D, C, DIMS, [1.0] * 3, **ARGUMENTS.get(name, {}))
    one, other = torch.randn(2, B, D)
    for dim, before in zip(head.dims, head(one), strict=True):
        mixed = torch.cat([one[:, :dim], other[:, dim:]], dim=1)
        after = head(mixed)[head.dims.index(dim)]
        torch.testing.assert_close(before, after)


@pytest.mark.parametrize("name", names("models"))
def test_every_model_knows_its_width(name):
    if "folder" in needed("models", name):
        pytest.skip("needs a model folder: its own test writes one")
    with torch.device("meta"):
        model = load("models", name)()
        assert model(example(model)).shape == (B, model.width)


def needed(kind, name):
    """List the arguments without which a plug-in cannot be made."""
    return {key for key, each in parameters(kind, name).items() if each.default is each.empty}


def example(model):
    """Give inputs of the kind that a model reads, whose vectors are B."""
    if hasattr(model, "vocabulary"):  # token ids, and two places of each text
        return torch.zeros(B // 2, 10, dtype=torch.long), torch.ones(B // 2, 2, dtype=torch.long)
    if hasattr(model, "linear"):
        return torch.empty(B, model.linear.in_features)
    return torch.empty(B, 3, 64, 64)


@pytest.mark.parametrize("name", names("datasets"))
def test_every_dataset_takes_the_data_folder_and_refuses_an_empty_one_or_gives_splits(
    name, tmp_path, monkeypatch
):
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    monkeypatch.setattr("shutil.which", lambda _: None)
    given = {key: str(tmp_path) for key in needed("datasets", name)}
    try:
        data = load("datasets", name)(tmp_path, **given)
    except UserError as error:
        assert str(tmp_path) in str(error)
        return
    for split in (data.train, data.database, data.queries):
        assert len(split.labels) % len(split.images) == 0
        assert split.labels.dtype == np.int64
        assert 0 <= split.labels.min() <= split.labels.max() < len(data.classes)
        images = split.images.read(np.arange(2))
        if data.is_text:
            ids, places = images
            assert ids.dtype == places.dtype == np.int64
            assert ids.max() < len(data.classes)
            assert len(ids) == len(places) == 2
            continue
        assert len(split.images) == len(split.labels)
        assert images.dtype == np.uint8
        assert images.shape[:2] == (2, 3)


def _no_network(*_, **__):
    raise OSError("no network in this test")


@pytest.mark.parametrize("name", names("reducers"))
def test_every_reducer_keeps_shape_and_inputs(name):
    rng = np.random.default_rng(0)
    database = rng.standard_normal((50, 8)).astype(np.float32)
    before = database.copy()
    reducer = load("reducers", name)()
    reducer.fit(database)
    assert reducer.transform(database[:7]).shape == (7, 8)
    np.testing.assert_array_equal(database, before)


def test_pca_is_scikit_learns_up_to_sign():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    database = (rng.standard_normal((300, 8)) * np.arange(1, 9) + 5).astype(np.float32)
    ours = load("reducers", "pca")()
    ours.fit(database)
    theirs = PCA().fit(database).transform(database)
    np.testing.assert_allclose(np.abs(ours.transform(database)), np.abs(theirs), atol=2e-3)


def test_random_dims_is_a_permutation_drawn_by_seed():
    database = np.arange(12, dtype=np.float32).reshape(2, 6)
    orders = []
    for seed in (0, 0, 1):
        reducer = load("reducers", "random-dims")(seed=seed)
        reducer.fit(database)
        orders.append(reducer.transform(database)[0].tolist())
    assert sorted(orders[0]) == database[0].tolist()
    assert orders[0] == orders[1] != orders[2]


def test_digits_are_real_and_split():
    from pathlib import Path

    digits = load("datasets", "digits")(Path())
    assert len(digits.train.labels) + len(digits.queries.labels) == 1797
    images = digits.queries.images.read(np.arange(3))
    assert images.shape == (3, 3, 8, 8)
    assert images.dtype == np.uint8
    assert len(digits.classes) == 10
    assert len(digits.fingerprint) == 64


@pytest.mark.parametrize(
    ("arguments", "width"),
    [
        ({"depth": 18}, 512),
        ({"depth": 34}, 512),
        ({"depth": 50}, 2048),
        ({"depth": 101}, 2048),
        ({"blocks": [1, 1, 1, 1], "small_stem": True, "width_per_group": 32}, 2048),
        ({"depth": 18, "stem_stride": 1}, 512),
        ({"depth": 18, "stem_stride": 2}, 512),
    ],
)
def test_resnet_widths(arguments, width):
    with torch.device("meta"):
        network = load("models", "resnet")(**arguments)
        assert network.width == width
        assert network(torch.empty(2, 3, 32, 32)).shape == (2, width)


def test_the_default_bottleneck_network_costs_a_third_of_resnet50():
    from mrlbench.costs.flops import multiply_adds

    resnet = load("models", "resnet")
    with torch.device("meta"):
        full, short = resnet(depth=50), resnet(blocks=[1, 1, 1, 1])
    ratio = multiply_adds(short, (3, 224, 224)) / multiply_adds(full, (3, 224, 224))
    assert 0.25 < ratio < 0.4
    assert multiply_adds(full, (3, 224, 224)) == pytest.approx(
        4.09e9, rel=0.01
    )  # known of ResNet50


def test_strided_pointwise_convolutions_equal_torchs():
    from torch import nn

    network = load("models", "resnet")(blocks=[1, 1, 1, 1], stem_stride=2)
    ours = network.network.layer2[0].downsample[0]
    images = torch.randn(2, 256, 9, 9)
    plain = nn.Conv2d(256, 512, 1, stride=2, bias=False)
    plain.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(images), plain(images))


def test_unknown_plugins_and_arguments_are_refused_with_what_is_known():
    with pytest.raises(UserError, match="expected one of .*exact, .*hnsw, hnswlib"):
        load("indexes", "nope")
    with pytest.raises(UserError, match="wide: .*takes depth, blocks"):
        check_arguments("models", "resnet", {"wide": 3})
    with pytest.raises(UserError, match="depth"):
        check_arguments("models", "resnet", {"depth": 20})
    with pytest.raises(UserError, match=r"m: .*integer"):
        check_arguments("indexes", "hnsw", {"m": "many"})


def test_another_packages_plugin_is_found_by_entry_point(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("def bright(judged):\n    '''Shine.'''\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mrlbench.metrics]\nbright = theirs:bright\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "bright" in names("metrics")
    assert summary("metrics", "bright") == "Shine."


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    import mrlbench.metrics

    (tmp_path / "needy.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.setattr(mrlbench.metrics, "__path__", [str(tmp_path)])
    with pytest.raises(UserError, match="pip install a_package_that_is_not_there"):
        load("metrics", "needy")


def test_plugin_functions_are_named_like_their_files():
    for kind in KINDS:
        for name in names(kind):
            plugin = load(kind, name)
            assert plugin.__name__ == name.replace("-", "_")
            assert callable(plugin)
            assert inspect.getdoc(plugin)
