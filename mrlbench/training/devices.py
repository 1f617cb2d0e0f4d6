"""Which device and which number format pay here."""

import time
from functools import cache

import torch

from mrlbench import ranks
from mrlbench.errors import UserError


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda` into a device that is there; each process has its own GPU.

    Raises:
        UserError: No such device, or fewer GPUs than processes on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: expected a CUDA device, got none on this machine")
    if name not in ("cpu", "cuda"):
        raise UserError(f"--device: expected auto, cpu or cuda, got {name!r}")
    if name == "cuda" and ranks.count_here() > torch.cuda.device_count():
        raise UserError(
            f"--device cuda: expected at most {torch.cuda.device_count()} processes on "
            f"this machine, one for each GPU, got {ranks.count_here()}"
        )
    return torch.device(name)


@cache
def choose_precision(wanted: str, device: torch.device) -> str:
    """Turn `auto` into `bfloat16` where its products are at least 1.3 times as fast, measured.

    A processor without bf16 instructions emulates them at a tenth of float32's speed, so the list
    of its features is less to be trusted than a product that takes a few milliseconds. It is
    measured once, so that all models of a process are trained alike.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    single, half = (_product_seconds(dtype) for dtype in (torch.float32, torch.bfloat16))
    return "bfloat16" if single > 1.3 * half else "float32"


def _product_seconds(dtype: torch.dtype) -> float:
    matrix = torch.ones(512, 512, dtype=dtype)
    matrix @ matrix
    best = float("inf")
    for _ in range(20):  # the best of many: on a busy machine most are slow
        started = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return best
