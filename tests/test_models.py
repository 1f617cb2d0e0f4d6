"""The models: anti-aliased residual networks and vision transformers."""

import pytest
import torch
from torch.nn import functional

from mrlbench import experiment_file
from mrlbench.errors import UserError
from mrlbench.plugins import load
from mrlbench.training.loop import Learner

TINY = {"image_size": 16, "patch_size": 4, "layers": 2, "heads": 2, "hidden": 16}


@pytest.fixture
def blurred():
    torch.manual_seed(0)
    return load("models", "resnet")(blocks=[1, 1, 1, 1], width_per_group=4, blurpool=True)


def test_blurpool_has_the_keys_of_the_authors_checkpoints(blurred):
    with torch.device("meta"):
        plain = load("models", "resnet")(blocks=[1, 1, 1, 1], width_per_group=4)
    wrapped = [
        f"network.layer{n}.0.{conv}" for n in (2, 3, 4) for conv in ("conv2", "downsample.0")
    ]
    expected = set(plain.state_dict()) - {f"{each}.weight" for each in wrapped}
    expected |= {f"{each}.conv.weight" for each in wrapped}
    expected |= {f"{each}.blur_filter" for each in wrapped}
    assert set(blurred.state_dict()) == expected


@pytest.mark.parametrize("name", ["conv2", "downsample.0"])
@pytest.mark.parametrize("side", [8, 9])
def test_blurpool_convolves_blurred_features(blurred, name, side):
    layer = blurred.network.layer2[0].get_submodule(name)
    count = layer.conv.in_channels
    assert layer.blur_filter[0, 0].tolist() == [
        [1 / 16, 2 / 16, 1 / 16],
        [2 / 16, 4 / 16, 2 / 16],
        [1 / 16, 2 / 16, 1 / 16],
    ]
    features = torch.randn(2, count, side, side)
    smooth = functional.conv2d(features, layer.blur_filter, padding=1, groups=count)
    padding = (layer.conv.kernel_size[0] - 1) // 2
    expected = functional.conv2d(smooth, layer.conv.weight, stride=2, padding=padding)
    torch.testing.assert_close(layer(features), expected)


def test_another_blur_filter_is_refused(blurred):
    state = blurred.state_dict()
    blurred.load_state_dict(state)
    state["network.layer3.0.conv2.blur_filter"] = torch.full((16, 1, 3, 3), 1 / 9)
    with pytest.raises(RuntimeError, match="blur_filter: expected the filter"):
        blurred.load_state_dict(state)


def test_vit_gives_torchvisions_class_token():
    torch.manual_seed(0)
    model = load("models", "vit")(**TINY).eval()
    images = torch.randn(3, 3, 16, 16)
    assert model.width == 16
    torch.testing.assert_close(model(images), model.network(images))


def test_vit_interpolates_positions_for_other_sizes():
    torch.manual_seed(0)
    model = load("models", "vit")(**TINY).eval()
    assert model(torch.randn(2, 3, 24, 16)).shape == (2, 16)
    place = torch.linspace(0, 1, 4)  # each position says its row
    grid = place[:, None, None].expand(4, 4, 16).reshape(1, 16, 16)
    with torch.no_grad():
        model.network.encoder.pos_embedding[:, 1:] = grid
    positions = model._positions(8, 4)[:, 1:].reshape(8, 4, 16)
    assert (positions[:, 0] - positions[:, 3]).abs().max() < 1e-5  # a row is a row still
    assert (positions[1:, 0, 0] > positions[:-1, 0, 0]).all()  # and they are in order
    assert positions.mean().item() == pytest.approx(0.5, abs=1e-3)


def test_vit_b_16_has_as_many_weights_as_published():
    with torch.device("meta"):
        model = load("models", "vit")()
    assert model.width == 768
    # 86,567,656 with the classifier of 1000 classes
    assert sum(p.numel() for p in model.parameters()) == 86_567_656 - 769 * 1000


def test_a_vit_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="expected patch_size to divide image_size"):
        load("models", "vit")(image_size=20, patch_size=16)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_micro_batches_learn_what_the_whole_batch_does(optimizer):
    """Exactly so for a model without batch statistics."""
    learned = []
    for size in (0, 3):
        experiment = experiment_file.read(
            "digits",
            [
                "model.name=vit",
                *(f"model.{key}={value}" for key, value in TINY.items()),
                "training.dims=[4, 16]",
                "training.methods=['mrl']",
                "search.dims=[16]",
                f"training.optimizer={optimizer}",
                "training.batch_size=12",
                f"training.micro_batch={size}",
                "training.precision=float32",
            ],
        )
        learner = Learner(experiment, "mrl", 0, 5, torch.device("cpu"))
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(12, 3, 16, 16, generator=generator)
        labels = torch.randint(0, 5, (12,), generator=generator)
        learned.append([each for _ in range(3) for each in learner.step(images, labels, 1e-2)])
    for whole, parts in zip(*learned, strict=True):  # losses and right answers of three steps
        torch.testing.assert_close(whole, parts, atol=1e-3, rtol=1e-3)
    assert (learned[0][0] > learned[0][4]).all()  # they fall


def test_micro_batches_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(UserError, match="training.micro_batch: expected a part of batch_size 64"):
        experiment_file.read("digits", ["training.micro_batch=48"])


def test_norms_of_a_transformer_are_not_decayed():
    overrides = [f"model.{key}={value}" for key, value in TINY.items()]
    experiment = experiment_file.read(
        "digits",
        [
            *("model.name=vit", *overrides, "training.dims=[16]", "search.dims=[16]"),
            "training.methods=['mrl']",
        ],
    )
    learner = Learner(experiment, "mrl", 0, 5, torch.device("cpu"))
    free = learner.optimizer.param_groups[1]["params"]
    assert len(free) == 2 * (2 * 2 + 1)  # weight and bias of two in each block, and the last
