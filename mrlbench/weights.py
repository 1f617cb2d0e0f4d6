"""Weights in files, loaded as data and never as code."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not to list encoders
    from torch import Tensor, nn

LOAD_ERRORS = (  # what torch raises on files of other kinds
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
WRAPPERS = ("state_dict", "model")  # keys that a state_dict often stands under
DISTRIBUTED = "module."  # in front of every key of a model that was trained on several GPUs
SHOWN = 3  # keys named in a message


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read a bare `state_dict`, or one under `state_dict` or `model`; also from `.safetensors`.

    `module.` in front of a key is cut where it is there.

    Raises:
        UserError: The file is not there, does not load, or is no `state_dict`.
    """
    if not path.is_file():
        raise UserError(f"expected a checkpoint in {path}, got no such file")
    tensors: dict[str, Tensor] = {}
    for key, tensor in _state_dict(path, _load(path)).items():
        short = key.removeprefix(DISTRIBUTED)
        if short in tensors:
            raise UserError(f"{path}: expected each key once, got {short!r} also as {key!r}")
        tensors[short] = tensor
    return tensors


def load_into(
    network: "nn.Module", state: "Mapping[str, Tensor]", source: object, heads: Sequence[str]
) -> None:
    """Load weights into a network whose classifier was taken off.

    Args:
        network: All of its tensors must be in the file.
        state: By key.
        source: Where they are from, for messages.
        heads: Modules that the file may have and the network no longer has.

    Raises:
        UserError: Keys or shapes of another model.
    """
    taken = tuple(f"{head}." for head in heads)
    own = network.state_dict()
    kept = {key: each for key, each in state.items() if key in own or not key.startswith(taken)}
    # batch norms of files older than 2018 do not count their batches; evaluation needs no count
    missing = [k for k in own if k not in kept and not k.endswith(".num_batches_tracked")]
    if missing:
        raise UserError(f"{source}: expected {some(missing)}, got no such key")
    if extra := [key for key in kept if key not in own]:
        raise UserError(f"{source}: expected the keys of the model, got {some(extra)} besides")
    for key, tensor in kept.items():
        expected, got = tuple(own[key].shape), tuple(tensor.shape)
        if expected != got:
            raise UserError(f"{source}: {key}: expected shape {expected}, got {got}")
    network.load_state_dict(kept, strict=False)


def some(keys: Sequence[str]) -> str:
    """Name the first of some keys, and how many more there are."""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _load(path: Path) -> Any:  # noqa: ANN401 (whatever loads)
    try:
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        import torch

        return torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        raise UserError(
            f"expected a state_dict in {path}, got a file that does not load as one "
            f"({type(error).__name__}): is it cut off, or more than tensors?"
        ) from error


def _load_safetensors(path: Path) -> "dict[str, Tensor]":
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise UserError(f"{path}: needs the package: pip install safetensors") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _state_dict(path: Path, content: Any) -> "dict[str, Tensor]":  # noqa: ANN401 (whatever loads)
    if _is_state(content):
        state: dict[str, Tensor] = content
        return state
    inner = [key for key in WRAPPERS if isinstance(content, dict) and _is_state(content.get(key))]
    if len(inner) == 1:
        wrapped: dict[str, Tensor] = content[inner[0]]
        return wrapped
    came = some([str(key) for key in content]) if isinstance(content, dict) else type(content)
    raise UserError(
        f"{path}: expected a state_dict, or one under 'state_dict' or 'model', got {came}"
    )


def _is_state(content: Any) -> bool:  # noqa: ANN401 (whatever loads)
    from torch import Tensor

    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    )
