"""The experiment: everything that a run depends on, and what fits together in it."""

import json
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrlbench.dims import check_dims, default_dims
from mrlbench.errors import UserError
from mrlbench.plugins import check_arguments, load, make, names

PAIR = {"min_length": 2, "max_length": 2}


class Strict(BaseModel):
    """A table of the experiment that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Plugin(BaseModel):
    """A plug-in by name; its arguments stand beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """What goes to the plug-in."""
        return dict(self.model_extra or {})


class IndexPlugin(Plugin):
    """An index with the efforts to measure it at."""

    efforts: list[int] = Field(default=[0], min_length=1)

    @property
    def label(self) -> str:
        """Spell the index with its build arguments, as the CSV does.

        Of a server's address it says only the kind, such as `uri=http`: hosts are not published.
        """
        shown = {**self.arguments}
        if "uri" in shown:
            shown["uri"] = urlsplit(str(shown["uri"])).scheme or "file"
        arguments = ",".join(f"{key}={value}" for key, value in shown.items())
        return f"{self.name}({arguments})" if arguments else self.name


class Captions(Strict):
    """Captions made of class names, to train on pairs of image and text, and their text tower.

    The tower is left to the model where it has one, as `open-clip` has.
    """

    templates: list[Annotated[str, Field(pattern=r"\{\}")]] = Field(
        default=["a photo of a {}", "a picture of a {}", "an image of the {}"], min_length=1
    )
    length: int = Field(default=32, ge=1)  # words that are read of a caption
    vocabulary: int = Field(default=4096, ge=2)  # most words that all captions may have
    hidden: int = Field(default=128, ge=1)  # width of the word vectors
    layers: int = Field(default=1, ge=0)  # of a transformer; 0 averages the word vectors
    heads: int = Field(default=4, ge=1)

    @property
    def tower(self) -> dict[str, int]:
        """What the text tower is made from."""
        return self.model_dump(exclude={"templates"})


class Training(Strict):
    """How the methods are trained; the defaults follow the paper's shape (app. C)."""

    methods: list[str] = Field(default=["mrl"], min_length=1)
    dims: list[int] = []  # empty: 8, 16, … D
    weights: list[float] = []  # empty: all 1
    epochs: int = Field(default=40, ge=1)
    batch_size: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=0.1, gt=0)
    warmup: float = Field(
        default=0.05, ge=0, lt=1
    )  # share of all steps; the paper's 2 of 40 epochs
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    # [from epoch, side in pixels], epochs from 1; before the first, and if empty: the data set's
    image_sizes: list[Annotated[list[Annotated[int, Field(ge=1)]], Field(**PAIR)]] = []
    start_from: str = ""  # a method of the experiment: begin with the backbone that it trained
    unfreeze: list[str] | None = None  # modules of the backbone that are trained; all if left out
    captions: Captions | None = None  # train images with captions of their class (`contrastive`)
    # What an ablation changes of this table: `mrl@<name>` is trained with those keys instead
    variants: dict[str, dict[str, Any]] = {}
    optimizer: Literal["sgd", "adamw"] = "sgd"
    # images that pass through the model together, with batch statistics of their own, before the
    # step of a whole batch: the paper's two GPUs had 512 of 1024 each; 0: the batch
    micro_batch: int = Field(default=0, ge=0)
    models: str = ""  # a run that has trained these models; empty: this run trains its own


class Funnel(Strict):
    """A ladder of reranks after a shortlist at `shortlist_dim` (paper, sec. 4.3.1)."""

    shortlist_dim: int
    rerank_dims: list[int] = Field(min_length=1)
    lengths: list[int] = Field(min_length=1)  # the i-th is how many are reranked at the i-th dim

    def check(self, dims: Sequence[int]) -> None:
        """Refuse a ladder whose dims are not measured or do not increase, or whose lengths grow.

        Raises:
            UserError: One line.
        """
        ladder = [self.shortlist_dim, *self.rerank_dims]
        check_ladder("funnel", ladder, self.rerank_dims, self.lengths)
        if unknown := set(ladder) - set(dims):
            raise UserError(f"funnel: expected dims among {list(dims)}, got {min(unknown)}")


def check_ladder(
    key: str, ladder: Sequence[int], rerank_dims: Sequence[int], lengths: Sequence[int]
) -> None:
    """Refuse reranks whose dims do not increase, or whose lengths grow.

    Raises:
        UserError: One line that begins with the key.
    """
    if len(rerank_dims) != len(lengths):
        raise UserError(f"{key}: expected a length for each of {rerank_dims}, got {lengths}")
    if any(a >= b for a, b in pairwise(ladder)):
        raise UserError(f"{key}: expected increasing dims, got {ladder}")
    if any(a < b for a, b in pairwise(lengths)) or lengths[-1] < 1:
        raise UserError(f"{key}: expected falling lengths of at least 1, got {lengths}")


class Evaluation(Strict):
    """What is measured."""

    dims: list[int] = []  # empty: the training dims
    k: list[Annotated[int, Field(ge=1)]] = Field(default=[10, 25, 50, 100], min_length=1)
    shortlist: int = Field(default=200, ge=1)
    shortlists: list[Annotated[int, Field(ge=1)]] = []  # other K, reranked at D only: an ablation
    funnels: list[Funnel] = []  # empty: the paper's, as far as the dims allow
    baselines: list[str] = ["random-dims", "pca"]  # reducers of the fixed full-width model
    steps: list[str] = []  # of `reproduce`, such as "eval-classification"; empty: all that apply
    beside: dict[str, str] = {}  # name -> embeddings folder: measured beside, with the baselines
    tta: bool = False  # adaptive classification also with each image's mirror image (paper)
    # of cascades with joint thresholds; empty: the widest head's accuracy and a little less
    target_accuracies: list[Annotated[float, Field(gt=0, le=1)]] = []
    probes: bool = False  # whether to train linear probes on the frozen vectors at each dim
    probe_rows: int = Field(default=50_000, ge=1)  # of the database, at most; in memory
    probe_iterations: int = Field(default=100, ge=1)  # of L-BFGS, at most
    query_sets: list[str] = []  # more queries: NAME=FOLDER, or noise, blur, contrast, shift
    superclasses: str = ""  # a file of class,superclass; empty: the one shipped for the data set


class Search(Strict):
    """What `bench-search` compares."""

    dims: list[int] = []  # empty: the evaluation dims
    queries: int = Field(default=10_000, ge=1)  # how many are timed
    repeats: int = Field(default=5, ge=5)
    indexes: list[IndexPlugin] = [
        IndexPlugin(name="exact"),
        IndexPlugin.model_validate({"name": "hnsw", "m": 32, "efforts": [16, 32, 64, 128, 256]}),
        IndexPlugin.model_validate({"name": "hnswlib", "m": 32, "efforts": [16, 32, 64, 128, 256]}),
    ]


class Experiment(Strict):
    """One experiment, checked: names, arguments, dims and lengths fit together."""

    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    seeds_of: dict[str, list[int]] = {}  # methods that are trained with some of the seeds only
    dataset: Plugin
    model: Plugin
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    search: Search = Search()

    @property
    def width(self) -> int:
        """D, the width of the model."""
        return model_width(self.model)

    @property
    def trainings(self) -> list[tuple[str, int]]:
        """List each method with each of its seeds, in order."""
        return [
            (method, seed)
            for seed in self.seeds
            for method in self.training.methods
            if seed in self.seeds_of.get(method, self.seeds)
        ]

    def training_of(self, method: str) -> Training:
        """Give the training of one method, which a variant changes some keys of.

        Raises:
            UserError: No such variant, or a key or value that a training does not have.
        """
        _, variant = split_variant(method)
        if not variant:
            return self.training
        if variant not in self.training.variants:
            known = ", ".join(self.training.variants) or "none"
            raise UserError(
                f"training.methods: no variant {variant!r} in training.variants: {known}"
            )
        changed = self.training.variants[variant]
        try:
            training = Training(**{**self.training.model_dump(), "weights": [], **changed})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise UserError(f"training.variants.{variant}: {key}: {first['msg']}") from error
        if "weights" not in changed and "dims" not in changed:
            return training.model_copy(update={"weights": self.training.weights})
        return _with_weights(f"training.variants.{variant}", training)

    def resolved(self) -> "Experiment":
        """Fill in what depends on the model's width, and check that all fits.

        Raises:
            UserError: One line that names the key, what was expected and what came.
        """
        self._check_plugins()
        dims = self.training.dims or default_dims(self.width)
        check_dims("training.dims", dims, self.width)
        training = _with_weights("training", self.training.model_copy(update={"dims": dims}))
        evaluation = self.evaluation.model_copy(update={"dims": self.evaluation.dims or dims})
        search = self.search.model_copy(update={"dims": self.search.dims or evaluation.dims})
        check_dims("evaluation.dims", evaluation.dims, self.width)
        check_dims("search.dims", search.dims, self.width)
        for funnel in evaluation.funnels:
            funnel.check(evaluation.dims)
        update = {"training": training, "evaluation": evaluation, "search": search}
        experiment = self.model_copy(update=update)
        for method, seeds in self.seeds_of.items():
            if method not in training.methods or not set(seeds) <= set(self.seeds):
                raise UserError(
                    f"seeds_of.{method}: expected one of the methods {', '.join(training.methods)} "
                    f"and some of the seeds {self.seeds}, got {seeds}"
                )
        for method in training.methods:
            experiment._check_method(method)
            experiment._check_training(method)
        return experiment

    def _check_method(self, method: str) -> None:
        check_method(method, self.width)

    def _check_training(self, method: str) -> None:
        """Refuse a variant whose dims, start or modules do not fit."""
        training, where = self.training_of(method), f"method {method}"
        check_dims(f"{where}: dims", training.dims, self.width)
        if training.micro_batch and training.batch_size % training.micro_batch:
            raise UserError(
                f"training.micro_batch: expected a part of batch_size {training.batch_size}, "
                f"got {training.micro_batch}"
            )
        if training.start_from and training.start_from not in self.training.methods:
            raise UserError(
                f"{where}: start_from: expected one of {', '.join(self.training.methods)}, "
                f"got {training.start_from!r}"
            )
        _check_separate(method, training, self.model)
        modules = model_modules(self.model) if training.unfreeze else set()
        for name in training.unfreeze or []:
            if name not in modules:
                raise UserError(
                    f"{where}: unfreeze: expected modules of the model {self.model.name}, such as "
                    f"{max(modules, key=len)}, got {name!r}"
                )

    def _check_plugins(self) -> None:
        check_arguments("datasets", self.dataset.name, self.dataset.arguments)
        check_arguments("models", self.model.name, self.model.arguments)
        for index in self.search.indexes:
            make("indexes", index.name, index.arguments)  # it refuses a password in its address
        for baseline in self.evaluation.baselines:
            check_arguments("reducers", baseline, {})

    def to_toml(self) -> str:
        """Write the experiment as TOML."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def split_variant(method: str) -> tuple[str, str]:
    """Split `mrl@weights=8-boost` into the method and its variant, which is often empty."""
    base, _, variant = method.partition("@")
    return base, variant


def split_method(method: str) -> tuple[str, dict[str, Any]]:
    """Split `fixed-64` into the plug-in and its argument dim=64; others have none."""
    base, _ = split_variant(method)
    name, _, dim = base.rpartition("-")
    return (name, {"dim": int(dim)}) if name and dim.isdigit() else (base, {})


def check_method(method: str, width: int) -> None:
    """Refuse a method that does not exist or a fixed dim that the model does not have.

    Raises:
        UserError: One line.
    """
    name, arguments = split_method(method)
    if name not in names("methods"):
        known = ", ".join("fixed-<d>" if each == "fixed" else each for each in names("methods"))
        raise UserError(f"training.methods: no method {method!r}: expected one of {known}")
    check_arguments("methods", name, arguments)
    if arguments:
        check_dims(f"method {method}", [arguments["dim"]], width)


def has_separate_networks(method: str) -> bool:
    """Tell whether each dim of a method has a network, and so vectors, of its own."""
    return bool(getattr(load("methods", split_method(method)[0]), "separate", False))


def _check_separate(method: str, training: Training, model: Plugin) -> None:
    """Let a method that changes the model try it, without allocating its weights."""
    if not has_separate_networks(method):
        return
    if training.start_from or training.unfreeze is not None:
        raise UserError(f"method {method}: expected no start_from and no unfreeze")
    import torch

    with torch.device("meta"):
        backbone = load("models", model.name)(**model.arguments)
        head = load("methods", split_method(method)[0])
        head(backbone.width, 1, training.dims, training.weights).adapt(backbone)


def _with_weights(key: str, training: Training) -> Training:
    """Fill in the weights, all 1, and check that there is one for each dim."""
    dims, weights = training.dims, training.weights or [1.0] * len(training.dims)
    if len(weights) != len(dims):
        raise UserError(
            f"{key}.weights: expected {len(dims)} values, one for each dim, got {len(weights)}"
        )
    return training.model_copy(update={"weights": weights})


def model_modules(model: Plugin) -> set[str]:
    """Name the modules of the model plug-in, without allocating its weights."""
    import torch

    with torch.device("meta"):
        module = load("models", model.name)(**model.arguments)
    return {name for name, _ in module.named_modules() if name}


def model_width(model: Plugin) -> int:
    """Learn D from the model plug-in, without allocating its weights."""
    return _width(model.name, json.dumps(model.arguments, sort_keys=True))


@cache
def _width(name: str, arguments: str) -> int:
    """Make the model once: it is asked for D many times, and a large one takes half a second."""
    import torch

    with torch.device("meta"):
        width: int = load("models", name)(**json.loads(arguments)).width
    return width
