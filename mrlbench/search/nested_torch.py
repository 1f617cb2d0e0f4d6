"""Exact nested search in torch: the same result as the compiled one, for CUDA devices."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mrlbench.arrays import AnyFloatArray, Neighbors, blocks
from mrlbench.progress import task

QUERY_BLOCK = 512
ROW_BLOCK = 8192  # a (512, 8192) tile of float32 scores is 16 MB


def search_in_torch(
    database: AnyFloatArray, queries: AnyFloatArray, dims: Sequence[int], k: int, device_name: str
) -> dict[int, Neighbors]:
    """Do what `nested_search` does, on a torch device; the arguments are the same."""
    device = torch.device(device_name)
    norms = _inverse_norms(database, dims, device)  # (M, N)
    found: dict[int, list[Neighbors]] = {dim: [] for dim in dims}
    with task("exact search", len(queries) * len(database), "pairs") as work:
        for part in blocks(len(queries), QUERY_BLOCK):
            block = _to_tensor(queries[part], device)[:, : dims[-1]]
            best = _Best(block, dims, k)
            for rows in blocks(len(database), ROW_BLOCK):
                tile = _to_tensor(database[rows], device)[:, : dims[-1]]
                best.add(tile, norms[:, rows], rows.start)
                work.advance(len(block) * len(tile))
            for dim, neighbors in best.result().items():
                found[dim].append(neighbors)
    return {
        dim: Neighbors(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        for dim, parts in found.items()
    }


class _Best:
    """The k best rows so far for a block of queries, at each dim."""

    def __init__(self, queries: Tensor, dims: Sequence[int], k: int) -> None:
        self._queries, self._dims, self._k = queries, dims, k  # (B, D)
        self._inverse = _prefix_inverse_norms(queries, dims)  # (M, B)
        self._best: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, rows: Tensor, inverse: Tensor, first_id: int) -> None:
        """Weigh a tile of rows, (R, D) with inverse prefix norms (M, R), numbered from first_id."""
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

    def result(self) -> dict[int, Neighbors]:
        """Give ids and scores at each dim."""
        return {
            dim: Neighbors(ids.cpu().numpy(), values.clamp(-1, 1).cpu().numpy())
            for dim, (values, ids) in self._best.items()
        }


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


def _inverse_norms(database: AnyFloatArray, dims: Sequence[int], device: torch.device) -> Tensor:
    parts = [
        _prefix_inverse_norms(_to_tensor(database[rows], device), dims)
        for rows in blocks(len(database), ROW_BLOCK)
    ]
    return torch.cat(parts, dim=1)  # (M, N)


def _prefix_inverse_norms(vectors: Tensor, dims: Sequence[int]) -> Tensor:
    """Compute 1 / the norm of each prefix, (N, D) -> (M, N); 0 for a prefix of zeros."""
    edges = [0, *dims]
    pieces = [
        vectors[:, start:stop].double().square_().sum(dim=1)
        for start, stop in zip(edges, dims, strict=False)
    ]
    norms = torch.stack(pieces).cumsum(dim=0).sqrt_()
    return torch.where(norms > 0, 1 / norms, 0.0).float()


def _to_tensor(vectors: AnyFloatArray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(vectors, dtype=np.float32)).to(device)
