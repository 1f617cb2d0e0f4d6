"""Released checkpoints: a torchvision ResNet's state_dict with the authors' heads under `fc`."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mrlbench.errors import UserError
from mrlbench.experiment import check_method, split_method, split_variant
from mrlbench.weights import read_state, some

NESTED = "fc.nesting_classifier_"


@dataclass(frozen=True)
class Released:
    """A checkpoint in the authors' words.

    Attributes:
        path: The file.
        sha256: Of the file.
        tensors: By the authors' keys, without `module.`.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]

    @property
    def blurred(self) -> bool:
        """Whether it has BlurPool in front of its strided convolutions (paper, app. C)."""
        return any(key.endswith(".blur_filter") for key in self.tensors)

    def fits(self, width: int) -> tuple[str, ...]:
        """List the methods that the heads may belong to.

        A shared classifier of full width is MRL-E or the fixed model: their keys and shapes are the
        same. A single nested classifier is MRL-E as the newer code writes it.

        Args:
            width: D.

        Raises:
            UserError: There is no classifier under `fc`.
        """
        nested = [key for key in self.tensors if re.fullmatch(rf"{NESTED}\d+\.weight", key)]
        if len(nested) > 1:
            return ("mrl",)
        weight = self.tensors.get(nested[0] if nested else "fc.weight")
        if weight is None or weight.ndim != 2:
            raise UserError(
                f"{self.path}: expected heads under fc.weight or {NESTED}0.weight, (C, d), got "
                f"{some([key for key in self.tensors if key.startswith('fc')]) or 'none'}"
            )
        columns = weight.shape[1]
        if columns < width:
            return ("mrl",) if nested else (f"fixed-{columns}",)
        return ("mrl-e",) if nested else ("mrl-e", f"fixed-{columns}")

    def choose_method(self, wanted: str, width: int) -> str:
        """Settle what the checkpoint is imported as.

        Args:
            wanted: What the user says, such as `mrl` or `fixed-8`; empty leaves it to the keys.
            width: D.

        Raises:
            UserError: The keys contradict the user, or cannot tell and the user does not say.
        """
        possible = self.fits(width)
        if not wanted and len(possible) == 1:
            return possible[0]
        if not wanted:
            raise UserError(
                f"{self.path}: expected --as {possible[0]} or --as {possible[1]}: their keys and "
                "shapes are the same, and only the file's name or its params.json tells which it is"
            )
        name, _ = split_method(wanted)
        if name not in ("mrl", "mrl-e", "fixed"):
            raise UserError(f"--as: expected mrl, mrl-e or fixed-<d>, got {wanted!r}")
        check_method(wanted, width)
        if split_variant(wanted)[0] not in possible:
            raise UserError(
                f"{self.path}: expected --as {' or --as '.join(possible)}, which its keys and "
                f"shapes say, got --as {wanted}"
            )
        return wanted

    def backbone(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the backbone's tensors under our plug-in's keys.

        Args:
            own: The state of the `resnet` of the experiment.

        Raises:
            UserError: BlurPool, a key or a shape is another than the experiment's.
        """
        if not any(key.startswith("network.") for key in own):
            raise UserError(
                "import-checkpoint: expected [model] name = 'resnet' in the experiment, got another"
            )
        if self.blurred != any(key.endswith(".blur_filter") for key in own):
            has, other = ("has", "true") if self.blurred else ("has no", "false")
            raise UserError(
                f"{self.path}: {has} BlurPool filters: expected blurpool = {other} under [model] "
                f"of the experiment, got {'false' if self.blurred else 'true'}"
            )
        ours = self._take(own, lambda key: key.removeprefix("network."))
        known = {key.removeprefix("network.") for key in own}
        extra = [key for key in self.tensors if key not in known and not key.startswith("fc.")]
        if extra:
            raise UserError(
                f"{self.path}: expected the keys of the experiment's model, got {some(extra)} "
                "besides: are depth and blocks under [model] right?"
            )
        return ours

    def heads(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the heads' tensors under our method's keys.

        Args:
            own: The state of the method's head.

        Raises:
            UserError: A head is missing, left over, or has another shape.
        """
        shared = f"{NESTED}0" if f"{NESTED}0.weight" in self.tensors else "fc"

        def theirs(key: str) -> str:
            separate = re.sub(r"^classifiers\.(\d+)", rf"{NESTED}\1", key)
            return re.sub(r"^classifier\b", shared, separate)

        ours = self._take(own, theirs)
        left = [k for k in self.tensors if k.startswith("fc.") and k not in map(theirs, own)]
        if left:
            raise UserError(
                f"{self.path}: expected {len(own) // 2} heads, one for each of the experiment's "
                f"training.dims, got {some(left)} besides"
            )
        return ours

    def _take(self, own: Mapping[str, Tensor], theirs: Callable[[str], str]) -> dict[str, Tensor]:
        """Look up each of our keys by the authors' name, and compare shapes."""
        missing = [theirs(key) for key in own if theirs(key) not in self.tensors]
        # batch norms of files older than 2018 do not count their batches; evaluation needs no count
        missing = [key for key in missing if not key.endswith(".num_batches_tracked")]
        if missing:
            raise UserError(f"{self.path}: expected {some(missing)}, got no such key")
        taken: dict[str, Tensor] = {}
        for key, tensor in own.items():
            found = self.tensors.get(theirs(key), tensor)
            if found.shape != tensor.shape:
                raise UserError(
                    f"{self.path}: {theirs(key)}: expected shape {tuple(tensor.shape)}, "
                    f"got {tuple(found.shape)}"
                )
            if not torch.isfinite(found).all():
                raise UserError(f"{self.path}: {theirs(key)}: expected finite values, got others")
            taken[key] = found.to(tensor.dtype)
        return taken


def read_released(path: Path) -> Released:
    """Read a released checkpoint, as data and never as code.

    A bare `state_dict`, or one under `state_dict` or `model`. `module.` in front of a key is cut
    where it is there.

    Raises:
        UserError: The file is not there, does not load, or is no `state_dict`.
    """
    tensors = read_state(path)
    with path.open("rb") as file:
        return Released(path, hashlib.file_digest(file, "sha256").hexdigest(), tensors)
