"""What a plug-in must look like. Nothing here imports a plug-in.

A plug-in is a file: `mrlbench/<kind>/<name>.py` holds a function or class called `<name>`; its
arguments are what may stand beside its name in an experiment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from mrlbench.arrays import WHOLE, AnyFloatArray, FloatArray, Inputs, IntArray, Judged, Neighbors

if TYPE_CHECKING:  # torch takes a second to import, and search and plots do without it
    from torch import Tensor


class Images(Protocol):
    """Images that are read in batches, so that a data set need not fit in memory."""

    def __len__(self) -> int:
        """Count the images."""
        ...

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> Inputs:
        """Read images by row.

        Args:
            rows: (B,).
            random: Where training augmentation draws from; None reads for evaluation.
            size: H and W other than the data set's own: training may begin with smaller images.
            part: Which of the rows are wanted; the others take part in what is drawn only, so that
                several processes read one batch, each its own part.

        Returns:
            (B, 3, H, W) uint8; a data set of vectors gives (B, D) float32; masked text gives
            token ids (B, L) and masked places (B, m), int64.
        """
        ...


@dataclass(frozen=True)
class Split:
    """Images and the class of each; labels (N,) int64.

    Where an input has several answers, as a masked text has m tokens to predict, so have the
    labels: (N · m,), in the order of the vectors that a model gives.
    """

    images: Images
    labels: IntArray

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> tuple[Inputs, IntArray]:
        """Read inputs by row with the answers that a training learns; see `Images.read`."""
        return self.images.read(rows, random, size, part), self.labels[rows[part]]


@dataclass(frozen=True)
class Dataset:
    """What a data-set plug-in gives.

    Attributes:
        train: Read with augmentation.
        database: What is searched, read for evaluation.
        queries: What is asked, read for evaluation.
        classes: The name of each class, C of them.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, likewise.
        fingerprint: SHA-256 over the content, for the manifest.
        query_set: The name of the queries in the CSV files.
        wnids: The WordNet id of each class, where the classes have them.
        database_classes: The classes of database and queries where they are others than those of
            the training, as in ImageNet-4K: their labels count these, and the heads of the
            training say nothing about them. Empty where they are the same.
        texts: Token ids of the prompts that describe each class, with its number, where images are
            trained with captions.
        is_text: Whether the inputs are masked text and the classes its tokens.
    """

    train: Split
    database: Split
    queries: Split
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    query_set: str = "test"
    wnids: tuple[str, ...] = ()
    database_classes: tuple[str, ...] = ()
    texts: Split | None = None
    is_text: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input, as the evaluation reads it: see `Sizes`."""
        one = self.queries.images.read(np.arange(1))
        if isinstance(one, tuple):
            return tuple(part.shape[1] for part in one)
        return one.shape[1:]


@dataclass(frozen=True)
class Sizes:
    """How large a data set is: all that the plan of an experiment needs to know of it.

    A data-set plug-in that tells the sizes of the published data, in a module constant `SIZES`, can
    be planned for where the data are not. An argument of the plug-in that changes the side is
    called `size`.

    Attributes:
        train: Images, or other inputs, to train on.
        database: Rows of the database, N.
        queries: Q.
        classes: C, of the training.
        shape: Of one image, (3, H, W); (D,) of a data set of vectors; (L, m) of masked text.
        files: Whether images are decoded from files each time they are read.
        same_classes: Whether the queries have the classes of the training.
    """

    train: int
    database: int
    queries: int
    classes: int
    shape: tuple[int, ...]
    files: bool = False
    same_classes: bool = True

    @property
    def answers(self) -> int:
        """Vectors of one input: m of masked text, else 1."""
        return self.shape[1] if len(self.shape) == 2 else 1


class Backbone(Protocol):
    """What a model plug-in gives: a `torch.nn.Module` with a known width.

    A model of text has a `vocabulary`, how many token ids it knows, and gives a vector for each
    masked place, (B · m, D). A model with two towers gives images first and then their captions,
    (2 B, D); it may bring a `tokenizer`, and the `mean` and `std` that its images are to have.
    """

    width: int  # D

    def __call__(self, inputs: "Tensor | tuple[Tensor, ...]") -> "Tensor":
        """Embed normalised images, (B, 3, H, W) -> (B, D)."""
        ...


class Method(Protocol):
    """What a method plug-in gives: a `torch.nn.Module` of heads over the nested dims.

    A method that changes the model too overrides `adapt` and `alone` of `heads.NestedHead`.

    Attributes:
        dims: The nested dims.
        paired: Whether it learns from pairs, (2 B, D), each of which is to find its other half
            among the B of the batch: C = B.
    """

    dims: tuple[int, ...]
    paired: bool

    def __call__(self, embeddings: "Tensor") -> "Sequence[Tensor]":
        """Classify each prefix, (B, D) -> one (B, C) of logits per dim, narrowest first."""
        ...

    def loss(self, losses: "Tensor") -> "Tensor":
        """Weigh and sum the cross-entropies at each dim, (len(dims),) -> scalar (paper, eq. 1)."""
        ...


class Reducer(Protocol):
    """D to d coordinates without training; the first d of `transform` are the reduction to d.

    Attributes:
        mixes: Whether each coordinate is made of all D, so that reducing a query to d costs D·d
            multiply–adds; otherwise coordinates are only picked.
    """

    mixes: bool

    def fit(self, database: AnyFloatArray) -> None:
        """Learn from the database, (N, D), only."""
        ...

    def transform(self, vectors: AnyFloatArray) -> AnyFloatArray:
        """Order or rotate coordinates so that every prefix is a reduction, (N, D) -> (N, D)."""
        ...


class Index(Protocol):
    """Nearest-neighbour search over unit vectors by cosine similarity.

    Build parameters are arguments of the plug-in. `effort` is the one dial that changes between
    searches without a rebuild (ef, nprobe, …); an exact index ignores it.

    Attributes:
        exact: Whether the ids must equal brute force.
        lossy: Whether vectors are stored as a lossy code, so that a rerank is needed.
        beam: Whether effort is a beam that holds the results, so that less than k of it is k.
    """

    exact: bool
    lossy: bool
    beam: bool

    def build(self, database: FloatArray) -> None:
        """Index the rows of `database`, (N, d) unit vectors. Called once."""
        ...

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` nearest rows, k <= N, for each of `queries`, (Q, d).

        A place without a result has id -1 and score -inf.
        """
        ...

    def nbytes(self) -> int:
        """Bytes of the index as serialised."""
        ...

    def save(self, path: Path) -> None:
        """Write the built index."""
        ...

    def load(self, path: Path) -> None:
        """Read what `save` wrote, in place of `build`."""
        ...

    def distance_computations(self) -> int | None:
        """Count distances computed in the last `search`; None where the library does not say."""
        ...


@runtime_checkable
class ServedIndex(Index, Protocol):
    """An index that a database server keeps."""

    def server(self) -> Mapping[str, str]:
        """Say what answers the searches: version, metric, index type, …, for the manifest."""
        ...

    def unmeasured(self) -> set[str]:
        """Name what must not be published of it: some of `bytes`, `build_s`, `time`."""
        ...


class Metric(Protocol):
    """A score in [0, 1] for each query; the caller averages."""

    def __call__(self, judged: Judged) -> AnyFloatArray:
        """Score ranked results, (Q, K) -> (Q,) float64: float32 would be off by 1e-8."""
        ...


Role = Literal["query", "document"]


@dataclass(frozen=True)
class Texts:
    """Texts with their ids, both (N,); ids are different from each other."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    unit: ClassVar[str] = "texts"

    def __len__(self) -> int:
        """Count them."""
        return len(self.ids)

    @property
    def contents(self) -> tuple[str, ...]:
        """Give all that a vector depends on: the texts."""
        return self.texts

    def take(self, rows: Sequence[int]) -> "Texts":
        """Keep some of them, in this order."""
        return Texts(tuple(self.ids[row] for row in rows), tuple(self.texts[row] for row in rows))


@dataclass(frozen=True)
class Pictures:
    """Image files with their ids, all (N,); ids are different from each other.

    Attributes:
        ids: Such as the path inside a folder.
        paths: Where the files are.
        contents: SHA-256 of each file, so that a picture is known wherever it lies.
    """

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    contents: tuple[str, ...]
    unit: ClassVar[str] = "images"

    def __len__(self) -> int:
        """Count them."""
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "Pictures":
        """Keep some of them, in this order."""
        return Pictures(
            tuple(self.ids[row] for row in rows),
            tuple(self.paths[row] for row in rows),
            tuple(self.contents[row] for row in rows),
        )


Items = Texts | Pictures


@dataclass(frozen=True)
class Corpus:
    """What a corpus plug-in gives: documents to search, queries to ask, and what is relevant.

    Either labels or judgements say what is relevant; pairs with a score, (Q, Q) texts of which row
    i of the one belongs to row i of the other, have `scores` instead.

    Attributes:
        documents: What is searched, N.
        queries: What is asked, Q.
        judgements: (query id, document id, gain), gain above 0; empty with labels or scores.
        document_labels: (N,) int64, or None.
        query_labels: (Q,) int64, or None.
        scores: (Q,) float32 of each pair, as in STS; None otherwise.
        fingerprint: SHA-256 over the content.
        query_set: The name of the queries in the CSV files.
    """

    documents: Items
    queries: Items
    judgements: tuple[tuple[str, str, float], ...] = ()
    document_labels: IntArray | None = None
    query_labels: IntArray | None = None
    scores: FloatArray | None = None
    fingerprint: str = ""
    query_set: str = "test"


@dataclass(frozen=True)
class TextModel:
    """What a text-model plug-in gives: where the training of a text model begins.

    Attributes:
        pipeline: A `sentence_transformers.SentenceTransformer`, in training or evaluation mode.
        content: SHA-256 over all that its vectors depend on.
    """

    pipeline: Any  # its classes are not typed here
    content: str

    @property
    def width(self) -> int:
        """D."""
        return int(self.pipeline.get_embedding_dimension())


@runtime_checkable
class Encoder(Protocol):
    """What an encoder plug-in for texts gives: full-width vectors, not trained here.

    Attributes:
        identity: All that a vector depends on beside its item: model, revision, the prompt of each
            role, preprocessing, dtype. Strings and numbers by name; a cache is keyed on it.
        trained_dims: The nested dims that the model states it was trained at; empty where it does
            not say.
        steps: The pipeline in words, in order, such as "mean pooling", "layer norm".
    """

    identity: Mapping[str, str]
    trained_dims: tuple[int, ...]
    steps: tuple[str, ...]

    def encode(self, items: Sequence[str], role: Role) -> FloatArray:
        """Embed some texts as one role, (B,) -> (B, D) float32.

        The vectors are whole: every narrower dim is derived from them.
        """
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """What an encoder plug-in for images gives; one with two towers is an `Encoder` too.

    The attributes are those of `Encoder`.
    """

    identity: Mapping[str, str]
    trained_dims: tuple[int, ...]
    steps: tuple[str, ...]

    def encode_images(self, paths: Sequence[Path]) -> FloatArray:
        """Embed the images of some files, (B,) -> (B, D) float32, whatever their role.

        Raises:
            UserError: A file is not an image, by name.
        """
        ...
