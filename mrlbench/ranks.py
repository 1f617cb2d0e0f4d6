"""The processes of one command, as `torchrun` starts them: usually there is one.

All do the same work in the same order, each on its own rows; the first writes what they made.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mrlbench.errors import UserError
from mrlbench.files import digest, locked

if TYPE_CHECKING:  # heavy: not for --help
    from torch import Tensor

TIMEOUT = "MRLBENCH_TIMEOUT"  # seconds that a process waits for the others
SECONDS = 600

Value = TypeVar("Value")


@dataclass
class _Here:
    """Who this process is; set once by `joined`, as `progress.quiet` is."""

    rank: int = 0
    count: int = 1
    store: Any = None  # of torchrun's, which outlives a process that dies


_here = _Here()


def wanted() -> int:
    """Say how many processes `torchrun` has started, before they have met."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def count() -> int:
    """Say how many processes there are."""
    return _here.count


def count_here() -> int:
    """Say how many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def rank() -> int:
    """Say which of them this one is, from 0."""
    return _here.rank


def is_first() -> bool:
    """Tell whether this process writes for all."""
    return _here.rank == 0


@contextmanager
def joined() -> Iterator[None]:
    """Meet the other processes, if there are any; only the first keeps its stdout.

    Raises:
        ConnectionError: Another process has died, or is not heard of for `MRLBENCH_TIMEOUT`
            seconds.
    """
    if wanted() == 1:
        yield
        return
    from torch.distributed import DistError

    seconds = _seconds()
    try:
        _meet(timedelta(seconds=seconds))
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stdout(sys.stdout if is_first() else nowhere),
        ):
            yield
    except RuntimeError as error:
        if not isinstance(error, DistError) and "gloo" not in str(error).lower():
            raise
        raise ConnectionError(
            f"process {rank()} of {count()}: another one has died, or has not answered for "
            f"{seconds} s ({TIMEOUT}); run the same command again to go on"
        ) from error


def _meet(timeout: timedelta) -> None:
    import torch
    import torch.distributed as processes
    from torch.distributed.rendezvous import rendezvous

    # without a GPU for each process they may still use the CPU: `choose_device` says what is wrong
    if count_here() <= torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    _here.store, _here.rank, _here.count = next(rendezvous("env://", timeout=timeout))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    processes.init_process_group(
        backend, store=_here.store, rank=_here.rank, world_size=_here.count, timeout=timeout
    )


def own_rows(rows: int, block: int = 1) -> slice:
    """Say which consecutive rows are this process's: whole blocks, in the order of the ranks."""
    blocks = -(-rows // block)
    start, stop = (blocks * each // _here.count for each in (_here.rank, _here.rank + 1))
    return slice(min(rows, start * block), min(rows, stop * block))


def expect_one(what: str) -> None:
    """Refuse several processes where they would do the same work over and over.

    Raises:
        UserError: There are several.
    """
    if _here.count > 1:
        raise UserError(f"{what}: expected one process, got {_here.count} of torchrun")


def fails_first() -> bool:
    """Tell whether no other process has failed before: of several lines, one is enough."""
    return _here.store is None or int(_here.store.add("mrlbench failures", 1)) == 1


def wait() -> None:
    """Wait until all are here."""
    if _here.count > 1:
        import torch.distributed as processes

        processes.barrier()


def same(value: Value) -> Value:
    """Give every process what the first has."""
    if _here.count == 1:
        return value
    import torch.distributed as processes

    values = [value]
    processes.broadcast_object_list(values, src=0)
    return values[0]


def summed(values: "Tensor") -> "Tensor":
    """Add up a tensor over the processes; each gets the sum."""
    if _here.count == 1:
        return values
    import torch.distributed as processes

    total = values.clone()
    processes.all_reduce(total)
    return total


@contextmanager
def in_turn(what: object) -> Iterator[None]:
    """Let the processes of one machine do something one after the other, such as a download."""
    if _here.count == 1:
        yield
        return
    user = os.getuid() if hasattr(os, "getuid") else ""  # another's folder could not be locked
    with locked(Path(tempfile.gettempdir()) / f"mrlbench-{user}-{digest(what)[:16]}"):
        yield


def _seconds() -> int:
    given = os.environ.get(TIMEOUT, str(SECONDS))
    if not given.isdecimal() or int(given) < 1:
        raise UserError(f"{TIMEOUT}: expected whole seconds, got {given!r}")
    return int(given)
