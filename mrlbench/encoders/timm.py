"""Any image model of the timm package: its pooled features, before the classifier."""

from importlib.util import find_spec

from mrlbench.image_models import Computing, DType, ImageModel, existing, fetching
from mrlbench.protocols import ImageEncoder
from mrlbench.weights import load_into, read_state

if find_spec("timm") is None:  # looked for and not imported: that takes seconds
    raise ModuleNotFoundError("timm is not installed", name="timm")


def timm(
    name: str, checkpoint: str = "", batch: int = 0, dtype: DType = "float32", device: str = "cpu"
) -> ImageEncoder:
    """Pool the features of a model, with the preprocessing that its configuration states.

    Args:
        name: As in `timm.list_models()`, with or without a tag such as `resnet50.a1_in1k`.
        checkpoint: A `state_dict` file, `.pth`, `.bin` or `.safetensors`, with or without the
            classifier; empty takes the published ones, which need a network the first time.
        batch: Images computed at once; 0 takes 8 on a CPU, else 64.
        dtype: What the model computes in; vectors are float32.
        device: Where it computes.

    Raises:
        UserError: No such model or file, other keys, or no network.
    """
    computing = Computing(batch, dtype, device)
    state = read_state(existing(checkpoint)) if checkpoint else {}
    with fetching(f"encoders timm: expected a model of timm within reach, got {name!r}"):
        import timm as library
        from timm.data import create_transform, resolve_data_config

        network = library.create_model(name, pretrained=not checkpoint, num_classes=0)
        preprocess = create_transform(**resolve_data_config({}, model=network))
    if checkpoint:
        stated = network.pretrained_cfg.get("classifier") or ()
        heads = (stated,) if isinstance(stated, str) else tuple(stated)
        load_into(network, state, checkpoint, heads)
    return ImageModel(("timm", name), network, preprocess, computing)
