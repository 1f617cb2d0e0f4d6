"""Image and text towers of a local open_clip model folder, as they are or under a projection."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mrlbench.arrays import IntArray
from mrlbench.captions import Tokenizer
from mrlbench.errors import UserError
from mrlbench.open_clip_models import local_name, opening
from mrlbench.towers import TwoTowers

if find_spec("open_clip") is None:  # looked for and not imported: that takes seconds
    raise ModuleNotFoundError("open_clip is not installed", name="open_clip_torch")


class open_clip(TwoTowers):
    """A model folder of open_clip (`open_clip_config.json` and weights); nothing is downloaded.

    Fine-tuned whole, or, with `projection` and `training.unfreeze = ["image_projection",
    "text_projection"]`, frozen under a linear map that is trained to be nested.

    Args:
        folder: The model folder.
        projection: Width of a linear map of both towers' outputs, which is then D; 0 is none, and D
            is the model's own.
    """

    def __init__(self, folder: str, projection: int = 0) -> None:
        super().__init__()
        loads = torch.get_default_device().type != "meta"  # else only its shape is asked for
        self.network = _open(folder, loads)
        visual = self.network.visual
        size = visual.image_size
        self.side: int = size[0] if isinstance(size, tuple | list) else size
        self.mean, self.std = tuple(visual.image_mean), tuple(visual.image_std)
        own = int(visual.output_dim)
        self.width = projection or own
        self.image_projection, self.text_projection = (
            nn.Linear(own, projection, bias=False) if projection else nn.Identity()
            for _ in range(2)
        )

    @staticmethod
    def tokenizer(folder: str, projection: int = 0) -> Tokenizer:
        """Give the model's own tokenizer."""
        import open_clip

        tokenize = open_clip.get_tokenizer(local_name(folder))

        def to_ids(texts: Sequence[str]) -> IntArray:
            ids: IntArray = tokenize(list(texts)).numpy()
            return ids

        return to_ids

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed images normalised by the model's own mean and std, (B, 3, H, W) -> (B, D)."""
        if images.shape[2:] != (self.side, self.side):
            height, width = images.shape[2:]
            raise UserError(
                f"model open-clip: expected images of {self.side} × {self.side}, got {height} × "
                f"{width}: set dataset.size = {self.side}"
            )
        embedded: Tensor = self.image_projection(self.network.encode_image(images))
        return embedded

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Embed token ids, (B, L) -> (B, D)."""
        embedded: Tensor = self.text_projection(self.network.encode_text(tokens))
        return embedded


def _open(folder: str, loads: bool) -> Any:  # noqa: ANN401 (open_clip is not typed)
    import open_clip

    name = local_name(folder)
    with opening(folder):
        return open_clip.create_model(
            name,
            load_weights=loads,
            require_pretrained=loads,
            device=torch.get_default_device(),
        )
