"""One number of threads for every library."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mrlbench import ranks
from mrlbench.arrays import blocks

Result = TypeVar("Result")


def use_threads(count: int) -> int:
    """Give every library the same number of threads; 0 takes all the cores that there are.

    Several processes of one machine share its cores.

    Returns:
        How many.
    """
    import faiss
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = count or max(1, (cores or 1) // ranks.count_here())
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    return threads


def threads_in_use() -> int:
    """Say how many threads the libraries were given."""
    if torch := sys.modules.get("torch"):  # seconds to import, and an index does without it
        threads: int = torch.get_num_threads()
        return threads
    import faiss

    return int(faiss.omp_get_max_threads())


def map_blocks(work: Callable[[slice], Result], rows: int, size: int) -> list[Result]:
    """Do some work on consecutive blocks of rows, in as many threads as the libraries have.

    Blocks that fit a core's cache are faster than whole arrays even in one thread.

    Args:
        work: Array operations on a slice of rows; they let other threads run.
        rows: How many there are.
        size: Of a block.

    Returns:
        The results in order.
    """
    with ThreadPoolExecutor(threads_in_use()) as pool:
        return list(pool.map(work, blocks(rows, size)))


def read_ahead(
    reader: ThreadPoolExecutor, calls: Sequence[Callable[[], Result]]
) -> Iterator[Result]:
    """Give what each call returns, in order, while the next one is under way in another thread."""
    waiting = reader.submit(calls[0]) if calls else None
    for call in [*calls[1:], None]:
        if waiting is None:
            return
        result = waiting.result()
        waiting = reader.submit(call) if call else None
        yield result
