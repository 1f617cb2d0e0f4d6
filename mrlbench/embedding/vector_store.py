"""Vectors kept by what they are of, so that nothing is encoded twice.

A store is a folder of shards that are only ever added: `<name>.npy` holds vectors, (n, D) float32,
and `<name>.keys` their n keys, written last: a shard without them is not there. A process may be
killed at any time, and several may add to one store, since a shard is named by its keys.
"""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mrlbench.arrays import FloatArray
from mrlbench.errors import UserError
from mrlbench.files import check_writable, digest, replacing, write_json
from mrlbench.protocols import Items, Pictures, Role

log = logging.getLogger(__name__)

Kind = Role | Literal["image"]

KEY_BYTES = 32
SECONDS_BETWEEN_SHARDS = 5.0  # what a kill loses, beside the batch under way


class VectorStore:
    """The vectors of one encoder.

    Args:
        cache: Holds a folder for each encoder, so that what two of them give never mixes.
        identity: All that a vector depends on beside its content and its role.

    Raises:
        UserError: The folder cannot be written to.
    """

    def __init__(self, cache: Path, identity: Mapping[str, str]) -> None:
        self._identity = digest(dict(identity))
        self._folder = cache / self._identity[:16]
        check_writable(self._folder)
        write_json(self._folder / "identity.json", dict(identity))  # for whoever looks inside
        self._shards: list[FloatArray] = []
        self._starts = [0]  # of each shard among all rows, and how many rows there are
        self._rows: dict[bytes, int] = {}
        self._waiting: dict[bytes, FloatArray] = {}  # (D,) each, not written yet
        self._written = time.monotonic()
        for path in sorted(self._folder.glob("*.keys")):
            self._open_shard(path)

    def __contains__(self, key: bytes) -> bool:
        """Tell whether a vector is there."""
        return key in self._rows or key in self._waiting

    @property
    def width(self) -> int:
        """D, or 0 while the store is empty."""
        held = [*self._shards[:1], *list(self._waiting.values())[:1]]
        return int(held[0].shape[-1]) if held else 0

    def key(self, kind: Kind, content: str) -> bytes:
        """Hash all that a vector depends on."""
        whole = f"{self._identity}\n{kind}\n{content}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(whole).digest()

    def keys(self, role: Role, items: Items) -> list[bytes]:
        """Give the keys of texts in a role, or of images, whose vectors are the same in both."""
        kind: Kind = "image" if isinstance(items, Pictures) else role
        return [self.key(kind, content) for content in items.contents]

    def add(self, keys: Sequence[bytes], vectors: FloatArray) -> None:
        """Keep vectors, (B, D); they are on disk some seconds later, and after `flush`.

        Raises:
            UserError: Another width than that of the vectors before.
        """
        if self.width not in (0, vectors.shape[1]):
            raise UserError(
                f"expected vectors of {self.width} dims, as all before, got {vectors.shape[1]}; "
                f"those before are kept in {self._folder}"
            )
        self._waiting.update(zip(keys, vectors, strict=True))
        if time.monotonic() - self._written > SECONDS_BETWEEN_SHARDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one shard."""
        if self._waiting:
            joined = b"".join(self._waiting)
            path = self._folder / f"{hashlib.sha256(joined).hexdigest()[:32]}.keys"
            with replacing(path.with_suffix(".npy")) as beside, beside.open("wb") as file:
                np.save(file, np.stack(list(self._waiting.values())).astype(np.float32, copy=False))
            with replacing(path) as beside:
                beside.write_bytes(joined)
            self._waiting.clear()
            self._open_shard(path)
        self._written = time.monotonic()

    def read(self, keys: Sequence[bytes]) -> FloatArray:
        """Give the vectors of keys that were flushed, (B,) -> (B, D)."""
        rows = np.array([self._rows[key] for key in keys], dtype=np.int64)  # (B,)
        shards = np.searchsorted(self._starts, rows, side="right") - 1  # (B,)
        vectors = np.empty((len(keys), self.width), dtype=np.float32)
        for shard in np.unique(shards):
            here = shards == shard
            vectors[here] = self._shards[shard][rows[here] - self._starts[shard]]
        return vectors

    def _open_shard(self, path: Path) -> None:
        joined = path.read_bytes()
        keys = [joined[at : at + KEY_BYTES] for at in range(0, len(joined), KEY_BYTES)]
        try:
            vectors: FloatArray = np.load(path.with_suffix(".npy"), mmap_mode="r")
            fits = vectors.ndim == 2 and len(vectors) == len(keys) > 0
            fits = fits and vectors.shape[1] == (self.width or vectors.shape[1])
        except (OSError, ValueError, EOFError):
            fits = False
        if not fits:  # a disk that was full or lost power
            log.warning("%s: damaged; what it held is encoded again", path.with_suffix(".npy"))
            return
        self._rows.update({key: row for row, key in enumerate(keys, self._starts[-1])})
        self._shards.append(vectors)
        self._starts.append(self._starts[-1] + len(keys))
