"""The machine and the versions behind a number; no host name and no path."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "torch", "torchvision", "faiss-cpu", "hnswlib", "scikit-learn", "pandas")


def describe_machine() -> dict[str, Any]:
    """Describe processor, memory, threads, accelerator, versions and commit, for the manifest."""
    import torch

    return {
        **_hardware(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


@cache
def _hardware() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "blas": _blas(),
        "commit": commit_of(Path(__file__).parents[2]),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _blas() -> list[str]:
    """Name each thread pool in the process with its kernel, such as `openblas 0.3.30 Zen`."""
    from threadpoolctl import threadpool_info

    pools = threadpool_info()
    return sorted(
        " ".join(
            str(pool[key]) for key in ("internal_api", "version", "architecture") if pool.get(key)
        )
        for pool in pools
    )


def commit_of(checkout: Path) -> str | None:
    """Name the commit of a checkout, with `-dirty` when more than its results has changed since.

    Args:
        checkout: A folder; of what is installed, perhaps inside somebody else's checkout, it says
            None.
    """
    if not (checkout / ".git").exists():
        return None
    commit = _git(checkout, "describe", "--always", "--abbrev=12")
    changed = ("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    return f"{commit}-dirty" if commit and _git(checkout, *changed) else commit


def _git(checkout: Path, *arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
