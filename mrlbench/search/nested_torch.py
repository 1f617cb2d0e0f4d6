"""Exact nested search in torch: the same result as the compiled one, for CUDA devices."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mrlbench.arrays import AnyFloatArray, Neighbors, blocks, join
from mrlbench.progress import task
from mrlbench.search.rows import Rows, scaled_rows

QUERY_BLOCK = 512
ROW_BLOCK = 8192  # a (512, 8192) tile of float32 scores is 16 MB


def search_in_torch(
    database: AnyFloatArray | Rows,
    queries: AnyFloatArray | Rows,
    dims: Sequence[int],
    k: int,
    device_name: str,
) -> dict[int, Neighbors]:
    """Do what `nested_search` does, on a torch device; the arguments are the same.

    The queries stay on the device; the database passes over it once.
    """
    device = torch.device(device_name)
    parts = [
        _Best(_to_tensor(queries[part], dims, device), dims, k)
        for part in blocks(len(queries), QUERY_BLOCK)
    ]
    with task("exact search", len(queries) * len(database), "pairs") as work:
        for rows in blocks(len(database), ROW_BLOCK):
            tile = _to_tensor(database[rows], dims, device)
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


def _to_tensor(vectors: AnyFloatArray, dims: Sequence[int], device: torch.device) -> Tensor:
    return torch.from_numpy(scaled_rows(vectors, dims[-1])).to(device)
