"""What image encoders share: files decoded in threads, the model's own preprocessing, batches."""

import hashlib
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from PIL import Image

from mrlbench.arrays import FloatArray, blocks
from mrlbench.errors import UserError
from mrlbench.images import DECODERS, opened
from mrlbench.threads import read_ahead

if TYPE_CHECKING:  # heavy: not to list encoders
    from torch import Tensor, nn

DType = Literal["float32", "bf16"]
Preprocess = Callable[[Image.Image], "Tensor"]  # -> (3, H, W)


@dataclass(frozen=True)
class Computing:
    """How a model computes; only the dtype makes a difference to vectors.

    Raises:
        UserError: A batch that cannot be.

    Attributes:
        batch: Images computed at once; 0 leaves it to the device.
        dtype: What the model computes in; vectors are float32.
        device: Where it computes.
    """

    batch: int
    dtype: DType
    device: str

    def __post_init__(self) -> None:
        if self.batch < 0:
            raise UserError(f"model.batch: expected a number from 0, got {self.batch}")

    @property
    def rows(self) -> int:
        """How many images are computed at once."""
        # a CPU gets new memory for each layer of a large batch: twice the time at 64
        return self.batch or (8 if self.device == "cpu" else 64)


class ImageModel:
    """A network over the files of images.

    Args:
        name: Of the encoder and of the model.
        network: Gives features, (B, 3, H, W) -> (B, D).
        preprocess: The model's own.
        computing: How it computes.
        compute: Where features are not what calling the network gives.
    """

    identity: Mapping[str, str]
    trained_dims: tuple[int, ...] = ()  # the libraries do not say
    steps: tuple[str, ...]

    def __init__(
        self,
        name: tuple[str, str],
        network: "nn.Module",
        preprocess: Preprocess,
        computing: Computing,
        compute: "Callable[[Tensor], Tensor] | None" = None,
    ) -> None:
        import torch

        encoder, model = name
        place = torch.device(computing.device)
        # convolutions are faster where the channels of a pixel lie together
        self.network = network.eval().to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._preprocess, self._computing = preprocess, computing
        self._compute = compute or self.network
        described = describe(preprocess)
        self.steps = (f"preprocessing {described}", f"features of {model}")
        self.identity = {
            "encoder": encoder,
            "model": model,
            "content": hash_weights(network),
            "preprocessing": described,
            "dtype": computing.dtype,
        }

    def encode_images(self, paths: Sequence[Path]) -> FloatArray:
        """Embed files batch by batch, the next of which is decoded meanwhile.

        Raises:
            UserError: A file is not an image, by name.
        """
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(DECODERS) as pool:
            rows = blocks(len(paths), self._computing.rows)
            reads = [partial(self._read, pool, paths[each]) for each in rows]
            batches = read_ahead(reader, reads)
            return np.concatenate([self.run(self._compute, batch) for batch in batches])

    def run(self, compute: "Callable[[Tensor], Tensor]", inputs: "Tensor") -> FloatArray:
        """Compute one batch without gradients, (B, …) -> (B, D) float32."""
        import torch

        place, half = torch.device(self._computing.device), self._computing.dtype == "bf16"
        with torch.inference_mode(), torch.autocast(place.type, torch.bfloat16, enabled=half):
            vectors: FloatArray = compute(inputs.to(place)).float().cpu().numpy()
        return vectors

    def _read(self, pool: ThreadPoolExecutor, paths: Sequence[Path]) -> "Tensor":
        import torch

        batch = torch.stack(list(pool.map(self._read_one, paths)))  # (B, 3, H, W)
        return batch.contiguous(memory_format=torch.channels_last)

    def _read_one(self, path: Path) -> "Tensor":
        with opened(path) as file:
            image = file.convert("RGB")
        return self._preprocess(image)


def hash_weights(network: "nn.Module") -> str:
    """Hash all tensors of a network, whatever file they are from."""
    import torch

    total = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        total.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(whole.view(torch.uint8).numpy())
    return total.hexdigest()


def describe(preprocess: object) -> str:
    """Say in one line what a preprocessing does; its repr without addresses in memory."""
    text = re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", str(preprocess))
    return " ".join(text.split())


@contextmanager
def patient_hub() -> Iterator[None]:
    """Keep the hub's client from trying for minutes, a line each time, where there is no network.

    Models that were downloaded before still open.
    """
    if find_spec("huggingface_hub") is None:
        yield
        return
    from huggingface_hub import constants

    log, before = logging.getLogger("huggingface_hub"), constants.HF_HUB_OFFLINE
    level = log.level
    log.setLevel(logging.CRITICAL)
    constants.HF_HUB_OFFLINE = before or not resolves(urlsplit(constants.ENDPOINT).hostname)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        log.setLevel(level)


def resolves(host: str | None) -> bool:
    """Tell whether a host's name is known here, as it is not without a network."""
    if getproxies():  # they look names up
        return True
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


@contextmanager
def fetching(what: str) -> Iterator[None]:
    """Say in one line which model a library does not know or cannot get.

    Raises:
        UserError: With the library's own words, shortened.
    """
    import torch

    try:
        with patient_hub():
            yield
    except ModuleNotFoundError as error:
        raise UserError(f"{what}: needs the package {error.name!r}") from error
    except (OSError, ValueError, RuntimeError, LookupError, AttributeError, TypeError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        raise UserError(f"{what}: {_short(error)}") from error


def existing(checkpoint: str) -> Path:
    """Look for a file of weights before a library does.

    Raises:
        UserError: It is not there.
    """
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise UserError(f"model.checkpoint: expected a file of weights, got nothing at {path}")
    return path


def _short(error: Any) -> str:  # noqa: ANN401
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
