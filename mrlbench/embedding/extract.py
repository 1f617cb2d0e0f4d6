"""Write embeddings: evaluation transforms, blocks, one file for all processes, resumable."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mrlbench import ranks
from mrlbench.arrays import WHOLE, FloatArray, Inputs, IntArray
from mrlbench.embedding.logits import MIRRORED, PLAIN
from mrlbench.embedding.rows_file import RowsFile
from mrlbench.files import replacing, write_json
from mrlbench.heads import NestedHead
from mrlbench.images import only_images
from mrlbench.progress import Task, task
from mrlbench.protocols import Dataset, Images, Split
from mrlbench.training.batches import evaluation_batches, to_input

BATCH = 256


class Extractor:
    """A trained backbone and head that write an embeddings folder."""

    def __init__(
        self, backbone: nn.Module, head: NestedHead, dataset: Dataset, device: torch.device
    ) -> None:
        self._backbone, self._head = backbone, head
        self._dataset, self._device = dataset, device

    def write(self, folder: Path, inputs: str, width: int, what: str) -> None:
        """Write database, queries, labels, per-dim logits of the queries, and `meta.json`.

        Args:
            folder: The embeddings folder; a part written for the same `inputs` is gone on with.
            inputs: What the vectors depend on, hashed.
            width: D.
            what: Shown with the progress.
        """
        folder.mkdir(parents=True, exist_ok=True)
        splits = {"database": self._dataset.database, "queries": self._dataset.queries}
        if ranks.is_first():
            for stale in (MIRRORED, "meta.json"):  # the latter says that the folder is whole
                (folder / stale).unlink(missing_ok=True)
        total = sum(len(split.labels) for split in splits.values())
        with task(f"embed {what}", total, "rows") as work:
            for name, split in splits.items():
                self._write_vectors(folder / f"{name}.npy", split, inputs, width, work)
        if ranks.is_first():
            for name, split in splits.items():
                _save(folder / f"{name}_labels.npy", split.labels)
            self._finish(folder, inputs, self._dataset.queries, self._dataset.query_set)
            for name in splits:
                (folder / f"{name}.json").unlink(missing_ok=True)

    def write_queries(
        self, folder: Path, inputs: str, width: int, queries: Split, query_set: str
    ) -> None:
        """Write another set of queries: vectors, labels, logits and `meta.json`, no database."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").unlink(missing_ok=True)
        with task(f"embed {query_set}", len(queries.labels), "images") as work:
            self._write_vectors(folder / "queries.npy", queries, inputs, width, work)
        _save(folder / "queries_labels.npy", queries.labels)
        self._finish(folder, inputs, queries, query_set)
        (folder / "queries.json").unlink(missing_ok=True)

    def _finish(self, folder: Path, inputs: str, queries: Split, query_set: str) -> None:
        """Write the logits of the queries, and then that the folder is whole."""
        heads = not self._dataset.database_classes  # else they know other classes than the queries'
        if self._dataset.texts is not None:
            self._write_texts(folder, self._dataset.texts)
        if heads:
            _save_logits(folder / PLAIN, self._logits(folder / "queries.npy"), queries.labels)
        meta = {
            "inputs": inputs,
            "trained_dims": self._head.dims,
            "query_set": query_set,
            "heads": heads,
        }
        if self._dataset.texts is not None:
            meta["classifier"] = "zero-shot"
        write_json(folder / "meta.json", meta)

    def _write_vectors(self, path: Path, split: Split, inputs: str, width: int, work: Task) -> None:
        """Embed one split, going on after the last whole batches of an interrupted call.

        Each process writes its own rows of one file.
        """
        count = len(split.labels)
        each = count // len(split.images)  # vectors of one input: masked text has several
        file = RowsFile(path, (count, width), inputs)
        if file.is_whole():
            work.advance(count)
            return
        span = ranks.own_rows(len(split.images), BATCH)
        done = file.begin(each * span.start)
        work.advance(done * ranks.count())
        left = slice(span.start + done // each, span.stop)
        for batch in evaluation_batches(split.images, left, BATCH):
            embedded = self._embed(batch)
            file.append(embedded)
            work.advance(len(embedded) * ranks.count())
        file.finish()

    @torch.inference_mode()
    def _embed(self, inputs: Inputs) -> FloatArray:
        features = self._backbone(to_input(inputs, self._dataset, self._device))
        result: FloatArray = features.float().cpu().numpy()
        if not np.isfinite(result).all():
            raise FloatingPointError("the model gives vectors that are not finite")
        return result

    def write_mirrored(self, folder: Path, inputs: str, what: str) -> None:
        """Write `logits_tta.npz`: each logit summed over the image and its mirror image.

        Args:
            folder: Whole embeddings, from `write`; the mirrored vectors of an interrupted call are
                gone on with.
            inputs: What the vectors depend on, hashed.
            what: Shown with the progress.
        """
        queries, path = self._dataset.queries, folder / "queries_mirrored.npy"
        mirrored = Split(_Mirrored(queries.images), queries.labels)
        width = np.load(folder / "queries.npy", mmap_mode="r").shape[1]
        with task(f"embed {what}", len(queries.labels), "images") as work:
            self._write_vectors(path, mirrored, inputs, width, work)
        sums = self._logits(folder / "queries.npy")
        for dim, logits in self._logits(path).items():
            sums[dim] += logits
        _save_logits(folder / MIRRORED, sums, queries.labels)
        for done in (path, path.with_suffix(".json")):
            done.unlink()

    @torch.inference_mode()
    def _logits(self, path: Path) -> dict[int, FloatArray]:
        """Compute each head's logits of the vectors in a file, (Q, C) for each dim."""
        vectors = torch.from_numpy(np.load(path)).to(self._device)
        logits = self._classify(path.parent, vectors)
        pairs = zip(self._head.dims, logits, strict=True)
        return {dim: each.float().cpu().numpy() for dim, each in pairs}

    def _classify(self, folder: Path, vectors: Tensor) -> list[Tensor]:
        """Give the logits of each head; where there are prompts, of zero-shot classification."""
        if self._dataset.texts is None:
            logits: list[Tensor] = self._head(vectors)
            return logits
        texts = torch.from_numpy(np.load(folder / "texts.npy")).to(self._device)
        classes = torch.from_numpy(self._dataset.texts.labels).to(self._device)
        return self._head.zero_shot(vectors, texts, classes)

    def _write_texts(self, folder: Path, texts: Split) -> None:
        """Embed the prompts of the classes: thousands, not millions."""
        batches = evaluation_batches(texts.images, slice(0, len(texts.images)), BATCH)
        _save(folder / "texts.npy", np.concatenate([self._embed(batch) for batch in batches]))
        _save(folder / "texts_labels.npy", texts.labels)


class _Mirrored:
    """Images seen in a mirror."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> Inputs:
        return only_images(self._images.read(rows, random, size, part))[..., ::-1]  # along W


def is_written(folder: Path, inputs: str) -> bool:
    """Tell whether the folder holds whole embeddings made from these inputs."""
    meta = folder / "meta.json"
    return meta.is_file() and json.loads(meta.read_text()).get("inputs") == inputs


def _save(path: Path, array: np.ndarray) -> None:
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array)


def _save_logits(path: Path, logits: Mapping[int, FloatArray], labels: IntArray) -> None:
    arrays: dict[str, Any] = {str(dim): each for dim, each in logits.items()}
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez(file, labels=labels, **arrays)
