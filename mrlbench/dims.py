"""Nested dims: the usual ones, and which ones vectors can have."""

from collections.abc import Sequence
from itertools import pairwise

from mrlbench.errors import UserError


def default_dims(width: int) -> list[int]:
    """List 8, 16, … up to `width`, the paper's M."""
    dims = [8]
    while dims[-1] * 2 <= width:
        dims.append(dims[-1] * 2)
    return dims if dims[-1] == width else [*dims, width]


def check_dims(key: str, dims: Sequence[int], width: int) -> None:
    """Refuse dims that do not increase, or that the vectors do not have.

    Raises:
        UserError: The dim by name.
    """
    if not dims:
        raise UserError(f"{key}: expected at least one dim, got none")
    for narrow, wide in pairwise(dims):
        if narrow >= wide:
            raise UserError(f"{key}: expected increasing dims, got {narrow} before {wide}")
    for dim in dims:
        if not 1 <= dim <= width:
            raise UserError(f"{key}: expected dims from 1 to {width}, got {dim}")
