"""Any classifier of torchvision: the features that its last layer classifies."""

from contextlib import nullcontext, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mrlbench.errors import UserError
from mrlbench.image_models import Computing, DType, ImageModel, existing, fetching, resolves
from mrlbench.protocols import ImageEncoder
from mrlbench.weights import load_into, read_state

if TYPE_CHECKING:  # heavy: not to list encoders
    from torch import nn

if find_spec("torchvision") is None:  # looked for and not imported: that takes seconds
    raise ModuleNotFoundError("torchvision is not installed", name="torchvision")

AUXILIARY = ("googlenet", "inception_v3")  # their builders prepare inputs by where weights are from


def torchvision(
    name: str,
    checkpoint: str = "",
    preset: str = "DEFAULT",
    batch: int = 0,
    dtype: DType = "float32",
    device: str = "cpu",
) -> ImageEncoder:
    """Take what the last linear layer of a classifier is given, with a preset's preprocessing.

    Args:
        name: As in `torchvision.models.list_models(torchvision.models)`.
        checkpoint: A `state_dict` file, with or without the classifier; empty takes the preset's,
            which need a network the first time.
        preset: The weights whose preprocessing it is, such as `IMAGENET1K_V1`.
        batch: Images computed at once; 0 takes 8 on a CPU, else 64.
        dtype: What the model computes in; vectors are float32.
        device: Where it computes.

    Raises:
        UserError: No such model, preset or file, other keys, or no network.
    """
    computing = Computing(batch, dtype, device)
    state = read_state(existing(checkpoint)) if checkpoint else {}
    with fetching(f"encoders torchvision: expected a model within reach, got {name!r}"):
        from torchvision import models

        if name not in models.list_models(models):
            raise ValueError("not one of torchvision.models.list_models(torchvision.models)")
        if name in AUXILIARY:
            raise ValueError("a model with auxiliary classifiers")
        presets = models.get_model_weights(name)
        if preset not in presets.__members__:
            raise ValueError(f"its presets are {', '.join(presets.__members__)}")
        chosen = presets[preset]
        # not while the network is built: the classifier goes, and what is loaded is checked
        if not state:
            # out of reach, it would say what it downloads and then fail
            near = resolves(urlsplit(chosen.url).hostname)
            with nullcontext() if near else redirect_stderr(StringIO()):
                state = chosen.get_state_dict(progress=False, check_hash=True)
        network = models.get_model(name, weights=None)
    head = _take_classifier_off(network, name)
    load_into(network, state, checkpoint or chosen.url, [head])
    return ImageModel(("torchvision", name), network, chosen.transforms(), computing)


def _take_classifier_off(network: "nn.Module", name: str) -> str:
    """Replace the last linear layer by nothing, and give its name."""
    from torch import nn

    linear: list[str] = [
        key for key, module in network.named_modules() if isinstance(module, nn.Linear)
    ]
    if not linear:
        raise UserError(f"encoders torchvision: expected a linear classifier in {name}, got none")
    parent, _, own = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    return linear[-1]
