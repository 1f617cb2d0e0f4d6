"""Both towers of an open_clip model: images and texts in one space, each to find the other."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench.arrays import FloatArray, blocks
from mrlbench.errors import UserError
from mrlbench.image_models import Computing, DType, ImageModel
from mrlbench.open_clip_models import local_name, opening
from mrlbench.protocols import Encoder, Role

if find_spec("open_clip") is None:  # looked for and not imported: that takes seconds
    raise ModuleNotFoundError("open_clip is not installed", name="open_clip_torch")

MARKS = 2  # tokens around a text


def open_clip(
    name: str, pretrained: str = "", batch: int = 0, dtype: DType = "float32", device: str = "cpu"
) -> Encoder:
    """Embed images by the image tower and texts by the text tower, as the model's files say.

    Args:
        name: A model folder with `open_clip_config.json`, `hf-hub:<organisation>/<repository>`, or
            an architecture such as `ViT-B-32` with `pretrained`.
        pretrained: Of an architecture: a file, or a tag such as `laion2b_s34b_b79k`.
        batch: Images or texts computed at once; 0 takes 8 on a CPU, else 64.
        dtype: What the model computes in; vectors are float32.
        device: Where it computes.

    Raises:
        UserError: No such model or file, other keys, or no network.
    """
    computing = Computing(batch, dtype, device)
    place = _place(name, pretrained)
    with opening(f"{name} {pretrained}".strip()):
        import open_clip as library

        network, preprocess = library.create_model_from_pretrained(place, pretrained or None)
        tokenizer = library.get_tokenizer(place)
    shown = Path(name).resolve().name if Path(name).expanduser().is_dir() else name
    return _OpenClip(shown, network, preprocess, computing, tokenizer)


def _place(name: str, pretrained: str) -> str:
    """Check what can be without loading anything."""
    is_folder, is_hub = Path(name).expanduser().is_dir(), ":" in name
    if (is_folder or is_hub) and pretrained:
        raise UserError(f"model.pretrained: expected none with {name}, which has its own")
    if is_hub:
        return name
    if pretrained and not is_folder:
        if Path(pretrained).suffix and not Path(pretrained).is_file():
            raise UserError(
                f"model.pretrained: expected a file of weights, got nothing at {pretrained}"
            )
        return name
    return local_name(name)


class _OpenClip(ImageModel):
    def __init__(
        self,
        name: str,
        network: Any,  # noqa: ANN401 (open_clip is not typed)
        preprocess: Any,  # noqa: ANN401
        computing: Computing,
        tokenizer: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(("open-clip", name), network, preprocess, computing, network.encode_image)
        self._text_tower, self._tokenizer = network.encode_text, tokenizer
        self.max_length = int(tokenizer.context_length)
        self.identity = {
            **self.identity,
            "tokenizer": type(tokenizer).__name__,
            "max_length": str(self.max_length),
        }

    def encode(self, items: Sequence[str], role: Role) -> FloatArray:
        """Embed texts; the role makes no difference."""
        parts = blocks(len(items), self._computing.rows)
        vectors = [self.run(self._text_tower, self._tokenizer(list(items[p]))) for p in parts]
        return np.concatenate(vectors)

    def count_cut(self, items: Sequence[str], role: Role) -> int:
        """Count the texts that are longer than the model's limit."""
        limit = self.max_length
        longest = [text for text in items if len(text.encode("utf-8", "replace")) + MARKS > limit]
        # the place after the limit is empty unless a text goes on; one more, since ends are marked
        empty = self._tokenizer([""], context_length=limit + MARKS)[0, limit]
        found = (
            self._tokenizer(longest[rows], context_length=limit + MARKS)
            for rows in blocks(len(longest), self._computing.rows)
        )
        return sum(int((tokens[:, limit] != empty).sum()) for tokens in found)
