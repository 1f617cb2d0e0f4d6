"""Exact nested search in torch: the same result as the compiled one, for CUDA devices."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mrlbench.arrays import AnyFloatArray, Neighbors, blocks, join
from mrlbench.progress import task
from mrlbench.search.rows import LOWEST_EXPONENT, Rows
from mrlbench.threads import read_ahead

QUERY_BLOCK = 512
ROW_BLOCK = 8192  # a (512, 8192) tile of float32 scores is 16 MB
LARGEST_POWER = 126  # beyond it a float32 factor would overflow


def search_in_torch(
    database: AnyFloatArray | Rows | Tensor,
    queries: AnyFloatArray | Rows | Tensor,
    dims: Sequence[int],
    k: int,
    device_name: str,
) -> dict[int, Neighbors]:
    """Do what `nested_search` does, on a torch device; the arguments are the same.

    The queries stay on the device; the database passes over it once, a block being copied while
    the last one computes. Either may be a tensor that is there already.
    """
    device = torch.device(device_name)
    copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    parts = [
        _Best(_scaled(_to_device(queries[part], dims, device)), dims, k)
        for part in blocks(len(queries), QUERY_BLOCK)
    ]
    spans = list(blocks(len(database), ROW_BLOCK))
    tiles = [partial(_copied, database, rows, dims, device, copies) for rows in spans]
    with (
        task("exact search", len(queries) * len(database), "pairs") as work,
        ThreadPoolExecutor(1) as reader,
    ):
        for rows, (copied, event) in zip(spans, read_ahead(reader, tiles), strict=True):
            if event is not None:
                torch.cuda.current_stream(device).wait_event(event)
                copied.record_stream(torch.cuda.current_stream(device))
            tile = _scaled(copied)
            inverse = _inverse_norms(tile, dims)
            for part in parts:
                part.add(tile, inverse, rows.start)
            work.advance(len(queries) * len(tile))
    return {dim: join([part.result(dim) for part in parts]) for dim in dims}


class _Best:
    """The k best rows so far for a block of queries, at each dim."""

    def __init__(self, queries: Tensor, dims: Sequence[int], k: int) -> None:
        self._queries, self._dims, self._k = queries, dims, k  # (B, d)
        self._inverse = _inverse_norms(queries, dims)  # (M, B)
        self._best: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, rows: Tensor, inverse: Tensor, first_id: int) -> None:
        """Weigh a tile of rows, (R, d) with inverse prefix norms (M, R), numbered from first_id."""
        products, start = torch.zeros(len(self._queries), len(rows), device=rows.device), 0
        for place, dim in enumerate(self._dims):
            products.addmm_(self._queries[:, start:dim], rows[:, start:dim].T)  # (B, R)
            start = dim
            scores = products * inverse[place]
            scores.mul_(self._inverse[place][:, None])
            values, ids = _select(scores, min(self._k, len(rows)))
            ids += first_id
            if dim in self._best:  # earlier rows first: a stable sort then breaks ties by lower id
                values = torch.cat([self._best[dim][0], values], dim=1)
                ids = torch.cat([self._best[dim][1], ids], dim=1)
            values, order = values.sort(dim=1, descending=True, stable=True)
            ids = ids.gather(1, order)
            self._best[dim] = values[:, : self._k], ids[:, : self._k]

    def result(self, dim: int) -> Neighbors:
        """Give ids and scores at one dim, (B, k)."""
        values, ids = self._best[dim]
        return Neighbors(ids.cpu().numpy(), values.clamp(-1, 1).cpu().numpy())


def _select(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Take the k highest of each row, (B, R) -> (B, k); ties go to the lower column.

    `topk` takes any of several equal columns. One value more shows where the k-th is tied, and
    those rows are sorted whole; the others are put in column order.
    """
    width = scores.shape[1]
    values, ids = scores.topk(min(k + 1, width), dim=1)
    if k < width:
        tied = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
        values, ids = values[:, :k].contiguous(), ids[:, :k].contiguous()
        if len(tied):
            full, order = scores[tied].sort(dim=1, descending=True, stable=True)
            values[tied], ids[tied] = full[:, :k], order[:, :k]
    ids, order = ids.sort(dim=1)
    return values.gather(1, order), ids


def _inverse_norms(vectors: Tensor, dims: Sequence[int]) -> Tensor:
    """Compute 1 / the norm of each prefix, (N, d) -> (M, N); 0 for a prefix of zeros."""
    edges = zip([0, *dims], dims, strict=False)
    pieces = [vectors[:, a:b].double().square_().sum(dim=1) for a, b in edges]
    norms = torch.stack(pieces).cumsum(dim=0).sqrt_()
    return torch.where(norms > 0, 1 / norms, 0.0).float()


def _copied(
    database: AnyFloatArray | Rows | Tensor,
    rows: slice,
    dims: Sequence[int],
    device: torch.device,
    copies: torch.cuda.Stream | None,
) -> tuple[Tensor, torch.cuda.Event | None]:
    """Read a block and bring it to the device, on a stream of its own where there is one."""
    block = database[rows]
    if copies is None or isinstance(block, Tensor):
        return _to_device(block, dims, device), None
    pinned = _to_device(block, dims, torch.device("cpu")).pin_memory()
    with torch.cuda.stream(copies):
        copied = pinned.to(device, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(copies)
    copies.synchronize()  # in the reader's thread: pinned memory is not given back before
    return copied, event


def _to_device(
    vectors: AnyFloatArray | Tensor, dims: Sequence[int], device: torch.device
) -> Tensor:
    """Cut to the widest dim, (B, D) -> (B, d), in the type that it has."""
    if not isinstance(vectors, Tensor):
        vectors = torch.from_numpy(np.array(vectors[:, : dims[-1]], order="C"))
    return vectors[:, : dims[-1]].to(device)


def _scaled(vectors: Tensor) -> Tensor:
    """Scale each row by a power of two as `scaled_with_norms` does, to float32."""
    wide = vectors if vectors.dtype == torch.float64 else vectors.float()
    _, exponents = torch.frexp(wide.abs().amax(dim=1, keepdim=True))
    most = -LOWEST_EXPONENT if wide.dtype == torch.float64 else LARGEST_POWER
    factors = torch.exp2(-exponents.clamp(-most, most).to(wide.dtype))  # exact: powers of two
    return (wide * factors).float()
