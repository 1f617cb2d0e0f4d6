"""One number of threads for every library."""

import os


def use_threads(count: int) -> int:
    """Give every library the same number of threads; 0 takes all the cores that there are.

    Returns:
        How many.
    """
    import faiss
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = count or cores or 1
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    return threads


def threads_in_use() -> int:
    """Say how many threads the libraries were given."""
    import torch

    return torch.get_num_threads()
