"""Checkpoints: whole or not there, loaded as data and never as code."""

from pathlib import Path
from typing import Any

import torch

from mrlbench.errors import UserError
from mrlbench.files import replacing
from mrlbench.weights import LOAD_ERRORS

NAME = "checkpoint.pt"
KEYS = {"inputs", "epoch", "precision", "backbone", "head", "optimizer", "losses"}


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    with replacing(path) as beside:
        torch.save(content, beside)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint of ours.

    Raises:
        UserError: The file is not one.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except LOAD_ERRORS as error:
        raise UserError(
            f"expected a checkpoint of mrlbench in {path}, got a file that does not load "
            f"({type(error).__name__}); delete it to train again"
        ) from error
    if not isinstance(content, dict) or content.keys() != KEYS:
        raise UserError(
            f"expected a checkpoint of mrlbench in {path}, with {', '.join(sorted(KEYS))}; "
            "delete it to train again"
        )
    return content
