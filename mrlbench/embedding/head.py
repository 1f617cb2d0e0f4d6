"""A trained head's weights beside the vectors that it classifies: `head.npz`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mrlbench.arrays import FloatArray
from mrlbench.errors import UserError
from mrlbench.files import replacing

NAME = "head.npz"


class Classifier(NamedTuple):
    """One linear classifier over whole vectors: weight (C, D) and bias (C,)."""

    weight: FloatArray
    bias: FloatArray


def write_head(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Keep a head's weights under their names in the head's `state_dict`."""
    arrays = {name: each.float().cpu().numpy() for name, each in state.items()}
    with replacing(folder / NAME) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_classifier(folder: Path, width: int) -> Classifier | None:
    """Read `classifier.weight` and `classifier.bias`; None where the folder has no such head.

    Args:
        folder: The embeddings folder.
        width: D of the vectors.

    Raises:
        UserError: The file does not load, or its classifier does not read vectors of this width.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise UserError(f"expected an npz file in {path}, got none that loads: {error}") from error
    weight, bias = (content.get(f"classifier.{name}") for name in ("weight", "bias"))
    if weight is None or bias is None:
        return None  # a head of several classifiers
    if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
        raise UserError(
            f"{path}: expected a classifier.weight (C, {width}) and a classifier.bias (C,), got "
            f"{weight.shape} and {bias.shape}"
        )
    return Classifier(weight.astype(np.float32), bias.astype(np.float32))
